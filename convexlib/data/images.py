"""Images that lie in files: read when they are needed, in RGB, or refused in one line."""

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

Broken = Literal["error", "skip"]
"""What to do about an image that cannot be read."""

_NAMED = 3  # of the images left out, in a warning
_PATIENCE = 2  # seconds until progress is shown
_FILTERS = Lock()
_REMEDY = "; remove it, or replace it by a whole image that is not too large"

_NO_PICTURES = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"})
"""What PIL knows, and is a drawing, a film or an array, or cannot be read by PIL alone."""


class BrokenImageWarning(UserWarning):
    """Some files hold no image that can be read, and are left out."""


def suffixes() -> frozenset[str]:
    """Ends of the names of files that PIL reads as pictures, in lower case.

    Examples
    --------
    >>> {".jpg", ".jfif", ".png", ".tiff"} <= suffixes()
    True
    >>> ".mpg" in suffixes()
    False
    """
    formats = Image.registered_extensions()
    read = {*Image.OPEN, "MPO"} - _NO_PICTURES  # an MPO is opened as the JPEG that it begins with
    return frozenset(suffix for suffix, name in formats.items() if name in read)


class ImageFiles(Sequence[Image.Image]):
    """Images in files as a sequence; each is read when it is asked for, and none is kept.

    Parameters
    ----------
    paths : iterable of paths

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("red", "green", "blue"):
    ...     Image.new("RGB", (4, 3), name).save(folder / f"{name}.png")
    >>> images = ImageFiles(sorted(folder.iterdir()))
    >>> len(images)
    3
    >>> images[0].getpixel((0, 0))
    (0, 0, 255)
    >>> [image.size for image in images[1:]]
    [(4, 3), (4, 3)]
    """

    def __init__(self, paths: Iterable[str | Path]) -> None:
        self.paths = [Path(path) for path in paths]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def most_oblong(self) -> int:
        """Which image is the farthest from a square."""
        ratios = []
        for path in self.paths:
            with _no_warnings_of_pil(), Image.open(path) as image:
                ratios.append(max(image.size) / min(image.size))
        return int(np.argmax(ratios))

    def __getitem__(self, some: int | slice) -> Image.Image | list[Image.Image]:
        if isinstance(some, slice):
            return [load_image(path) for path in self.paths[some]]
        return load_image(self.paths[some])


def load_image(path: str | Path) -> Image.Image:
    """The image of a file in RGB, upright, with 8 bits a channel.

    What is transparent is laid on white. Grey of 16 bits is scaled to 8. Of an animation this is
    the first frame. The orientation that a camera noted in the EXIF data or, where these have
    none, in the XMP data, is applied; a colour profile is not.

    Parameters
    ----------
    path : str or Path
        In any format that PIL reads.

    Returns
    -------
    PIL image of mode RGB

    Raises
    ------
    ValueError
        If the file holds no whole image, or one with more pixels than `PIL.Image.MAX_IMAGE_PIXELS`,
        PIL's bound against small files that fill the memory.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "grey.png")
    >>> Image.new("I;16", (4, 3), 65535).save(path)
    >>> image = load_image(path)
    >>> image.mode, image.size, image.getpixel((0, 0))
    ('RGB', (4, 3), (255, 255, 255))
    """
    with _no_warnings_of_pil():
        return _read(Path(path))


def check_images(paths: Iterable[str | Path], *, broken: Broken = "error") -> list[Path]:
    """Read every image once, so that a broken one is found before the long work starts.

    Parameters
    ----------
    paths : iterable of paths
    broken : {"error", "skip"}, default="error"
        Whether a file that `load_image` refuses is an error or is left out with a warning.

    Returns
    -------
    list of Path
        The files that hold whole images, in the order given.

    Raises
    ------
    ValueError
        If an image is broken and `broken` is "error"; it names the first.

    Warns
    -----
    BrokenImageWarning
        If images are left out.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "red.png")
    >>> Image.new("RGB", (4, 3), "red").save(path)
    >>> [whole.name for whole in check_images([path])]
    ['red.png']
    """
    if broken not in ("error", "skip"):
        raise ValueError(f"broken is {broken!r}; give 'error' or 'skip'")
    paths = [Path(path) for path in paths]

    def is_whole(path: Path) -> bool:
        try:
            _read(path)
        except ValueError as error:
            if broken == "error":
                raise ValueError(f"{error}, or leave all such out with broken: skip") from error
            return False
        return True

    with _no_warnings_of_pil(), ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(is_whole, paths)
        about = {"desc": "checking images", "unit": "image", "delay": _PATIENCE}
        whole = dict(zip(paths, tqdm(found, total=len(paths), **about), strict=True))
    left_out = [str(path) for path in paths if not whole[path]]
    if left_out:
        warnings.warn(
            f"{len(left_out)} of {len(paths)} images cannot be read and are left out, such as "
            f"{', '.join(map(repr, left_out[:_NAMED]))}",
            BrokenImageWarning,
            stacklevel=2,
        )
    return [path for path in paths if whole[path]]


def _read(path: Path) -> Image.Image:
    with readable(path, "an image", _REMEDY):
        if path.is_fifo():  # whoever opens it waits until somebody writes into it
            raise ValueError("it is a pipe")
        with Image.open(path) as image:
            return _in_rgb(_upright(image))


@contextmanager
def readable(path: Path, what: str, remedy: str = "") -> Iterator[None]:
    """Let whatever is wrong with a file be a one-line ValueError that names it.

    Whatever a file of somebody else's can make a library raise, it is the file's fault.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        said = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]
        reason = said or type(error).__name__
        raise ValueError(f"{str(path)!r} cannot be read as {what}: {reason}{remedy}") from error


def _upright(image: Image.Image) -> Image.Image:
    """Turned by what `getexif` finds; to rewrite that would fail where it is damaged."""
    image.load()  # which turns a TIFF and forgets its orientation, so it is asked for afterwards
    image.getexif()
    for key in ("exif", "Raw profile type exif"):
        image.info.pop(key, None)
    return ImageOps.exif_transpose(image)


def _in_rgb(image: Image.Image) -> Image.Image:
    if image.mode[0] in "FI":
        image = _in_8_bits(image)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def _in_8_bits(image: Image.Image) -> Image.Image:
    """PIL cuts grey of 16 bits off at 255 where it converts it."""
    values = np.asarray(image)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        raise ValueError("its values are real numbers, or of 32 bits, not of 8 or 16")
    return Image.fromarray((values / 257).round().astype(np.uint8))


@contextmanager
def _no_warnings_of_pil() -> Iterator[None]:
    """But for its bound on pixels, which is an error.

    Python's filters of warnings are one for all threads, so one at a time changes them.
    """
    with _FILTERS, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
