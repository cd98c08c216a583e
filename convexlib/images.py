"""Images that lie in files: read when they are needed, in RGB, or refused in one line."""

import os
import stat
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Literal, overload

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from tqdm import tqdm

_NAMED = 3  # of the images left out, in a warning
_PATIENCE = 2  # seconds until progress is shown
_FILTERS = Lock()

_NO_PICTURES = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"})
"""What PIL knows, and is a drawing, a film or an array, or cannot be read by PIL alone."""

_TURNS = {  # by the orientation in the EXIF data
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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

    @overload
    def __getitem__(self, some: int) -> Image.Image: ...

    @overload
    def __getitem__(self, some: slice) -> list[Image.Image]: ...

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


def check_images(
    paths: Iterable[str | Path], *, broken: Literal["error", "skip"] = "error"
) -> list[Path]:
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
    whole, left_out = [], []
    with _no_warnings_of_pil(), ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = tqdm(
            pool.map(_problem, paths),
            total=len(paths),
            desc="checking images",
            unit="image",
            delay=_PATIENCE,
        )
        for path, problem in zip(paths, problems, strict=True):
            if problem is None:
                whole.append(path)
            elif broken == "skip":
                left_out.append(path)
            else:
                pool.shutdown(wait=False, cancel_futures=True)
                problems.close()
                raise ValueError(f"{problem}, or leave all such images out with broken: skip")
    if left_out:
        names = ", ".join(repr(str(path)) for path in left_out[:_NAMED])
        more = f" and {len(left_out) - _NAMED} more" if len(left_out) > _NAMED else ""
        warnings.warn(
            f"{len(left_out)} of {len(paths)} images cannot be read and are left out: "
            f"{names}{more}",
            BrokenImageWarning,
            stacklevel=2,
        )
    return whole


def _problem(path: Path) -> str | None:
    try:
        _read(path)
    except ValueError as error:
        return str(error)
    return None


def _read(path: Path) -> Image.Image:
    # Whatever a file of somebody else's can make PIL raise, it is the file's fault.
    try:
        _check_kind(path)
        with Image.open(path) as image:
            _check_size(image)
            return _in_rgb(_upright(image))
    except MemoryError:
        raise
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"image {str(path)!r} has more than {Image.MAX_IMAGE_PIXELS:,} pixels, too many to "
            "read safely; scale it down"
        ) from error
    except UnidentifiedImageError as error:
        raise ValueError(f"file {str(path)!r} is no image; remove or replace it") from error
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise ValueError(
            f"image {str(path)!r} cannot be read ({reason or type(error).__name__}); remove or "
            "replace it"
        ) from error


def _check_kind(path: Path) -> None:
    """Whoever opens a pipe waits until somebody writes into it."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ValueError("it is a pipe or a device")


def _check_size(image: Image.Image) -> None:
    """PIL warns of what is too large, and raises an error only for twice that."""
    if Image.MAX_IMAGE_PIXELS and image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError


def _upright(image: Image.Image) -> Image.Image:
    """`ImageOps.exif_transpose` also rewrites the EXIF data, and fails where they are damaged."""
    image.load()  # which turns a TIFF and forgets its orientation, so it is asked for afterwards
    turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    return image if turn is None else image.transpose(turn)


def _in_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("its values are real numbers, not of 8 or 16 bits")
    if image.mode.startswith("I"):
        image = _scaled_to_8_bits(image)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def _scaled_to_8_bits(image: Image.Image) -> Image.Image:
    """PIL cuts grey of 16 bits off at 255 where it converts it."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("its values are of 32 bits, not of 8 or 16")
    return Image.fromarray((values / 257).round().astype(np.uint8))


@contextmanager
def _no_warnings_of_pil() -> Iterator[None]:
    """Python's filters of warnings are one for all threads, so one at a time changes them."""
    with _FILTERS, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield
