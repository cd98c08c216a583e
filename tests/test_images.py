"""Images in files are read in RGB when they are asked for, and broken ones are found."""

import os
import struct
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin, TiffImagePlugin

from convexlib.data.images import BrokenImageWarning, ImageFiles, check_images, load_image, suffixes

RAMP = np.linspace(0, 255, 12 * 16).round().astype(np.uint8).reshape(12, 16)
COLOURS = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], axis=-1)
ORIENTATION = 0x0112


def write(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def coloured(path: Path, **options: object) -> Path:
    return write(path, Image.fromarray(COLOURS), **options)


def read(path: Path) -> np.ndarray:
    image = load_image(path)
    assert image.mode == "RGB"
    return np.asarray(image)


def corrupt(path: Path) -> None:
    coloured(path, format="PNG")
    content = path.read_bytes()
    start = content.index(b"IDAT") + 10
    path.write_bytes(content[:start] + bytes(40) + content[start + 40 :])


def truncated(path: Path) -> None:
    noise = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
    content = write(path, Image.fromarray(noise), format="JPEG").read_bytes()
    path.write_bytes(content[: len(content) // 2])


def half_a_header(path: Path) -> None:
    path.write_bytes(coloured(path, format="PNG").read_bytes()[:20])


def of_size(path: Path, width: int, height: int) -> None:
    """A PNG that says to be so large; its pixels are those of a small one."""
    content = bytearray(coloured(path, format="PNG").read_bytes())
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)


def huge(path: Path) -> None:
    of_size(path, 20_000, 10_000)


def somewhat_too_large(path: Path) -> None:
    of_size(path, 10_000, 10_000)


def real_numbers(path: Path) -> None:
    write(path, Image.fromarray(RAMP.astype(np.float32)), format="TIFF")


def of_32_bits(path: Path) -> None:
    write(path, Image.fromarray(RAMP.astype(np.int32) * 100_000), format="TIFF")


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "corrupt": (corrupt, "cannot be read as an image: "),
    "truncated": (truncated, ": image file is truncated"),
    "half a header": (half_a_header, ""),
    "empty": (Path.touch, ": cannot identify image file"),
    "text": (lambda path: path.write_text("not an image\n"), "cannot identify image file"),
    "folder": (Path.mkdir, ": Is a directory; "),
    "pipe": (lambda path: os.mkfifo(path), ": it is a pipe; "),
    "dangling link": (lambda path: path.symlink_to("nowhere"), ": No such file or directory; "),
    "link to itself": (lambda path: path.symlink_to(path), ": Too many levels"),
    "missing": (lambda path: None, ": No such file or directory; "),
    "somewhat too large": (somewhat_too_large, "(100000000 pixels) exceeds limit of 89478485"),
    "huge": (huge, "(200000000 pixels) exceeds limit"),
    "real numbers": (real_numbers, "its values are real numbers"),
    "32 bits": (of_32_bits, "or of 32 bits, not of 8 or 16"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_whole_image_is_refused_in_one_line_with_a_remedy(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / "it's.jpg"
    make, reason = BROKEN[name]
    make(path)
    with pytest.raises(
        ValueError, match=r"; remove it, or replace it by a whole image that is not too large$"
    ) as error:
        load_image(path)
    assert reason in str(error.value)
    assert repr(str(path)) in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_an_image_that_is_too_large_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    somewhat_too_large(tmp_path / "large.png")
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("it was decoded"))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", Image.Image.load)
    with pytest.raises(ValueError, match="exceeds limit of 89478485 pixels"):
        load_image(tmp_path / "large.png")


def test_the_bound_is_that_of_pil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = coloured(tmp_path / "small.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 191)
    with pytest.raises(ValueError, match=r"\(192 pixels\) exceeds limit of 191 pixels"):
        load_image(path)
    for bound in (192, None):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", bound)
        assert load_image(path).size == (16, 12)


def test_colours_are_kept(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(coloured(tmp_path / "colours.png")), COLOURS)


def test_grey_of_8_bits_becomes_three_equal_channels(tmp_path: Path) -> None:
    grey = read(write(tmp_path / "grey.png", Image.fromarray(RAMP)))
    np.testing.assert_array_equal(grey, np.repeat(RAMP[..., None], 3, axis=-1))


def test_black_and_white_becomes_0_and_255(tmp_path: Path) -> None:
    drawing = read(write(tmp_path / "drawing.png", Image.fromarray(RAMP > 100)))
    np.testing.assert_array_equal(drawing[..., 0], np.where(RAMP > 100, 255, 0))


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_grey_of_16_bits_is_scaled_to_8(suffix: str, tmp_path: Path) -> None:
    values = RAMP.astype(np.uint16) * 257 + np.where(RAMP < 255, 100, 0).astype(np.uint16)
    grey = read(write(tmp_path / f"grey.{suffix}", Image.fromarray(values)))
    np.testing.assert_array_equal(grey, np.repeat(RAMP[..., None], 3, axis=-1))


def test_grey_of_16_bits_in_a_mode_of_32_is_scaled_to_8(tmp_path: Path) -> None:
    values = RAMP.astype(np.int32) * 257
    path = write(tmp_path / "grey.tif", Image.fromarray(values))
    with Image.open(path) as image:
        assert image.mode == "I"
    np.testing.assert_array_equal(read(path)[..., 0], RAMP)


def test_a_cmyk_jpeg_becomes_rgb(tmp_path: Path) -> None:
    orange = Image.new("RGB", (16, 16), (250, 120, 10)).convert("CMYK")
    found = read(write(tmp_path / "orange.jpg", orange, quality=95))
    np.testing.assert_allclose(found.mean(axis=(0, 1)), [250, 120, 10], atol=4)


def test_a_palette_becomes_the_colours_it_stands_for(tmp_path: Path) -> None:
    image = Image.fromarray(COLOURS).quantize(8)
    path = write(tmp_path / "palette.png", image)
    np.testing.assert_array_equal(read(path), np.asarray(image.convert("RGB")))


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (8, 8), name) for name in ("red", "blue"))
    path = write(tmp_path / "blinks.gif", first, save_all=True, append_images=[second])
    assert load_image(path).getpixel((3, 3)) == (255, 0, 0)


def half_transparent(mode: str) -> Image.Image:
    alpha = np.full_like(RAMP, 255)
    alpha[:, :4], alpha[:, 4:8] = 0, 127
    return Image.fromarray(np.dstack([COLOURS, alpha])).convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_laid_on_white(mode: str, tmp_path: Path) -> None:
    image = half_transparent(mode)
    found = read(write(tmp_path / "logo.png", image))
    opaque = np.asarray(image.convert("RGBA").convert("RGB"))
    alpha = np.asarray(image.convert("RGBA"))[..., 3:] / 255
    np.testing.assert_allclose(found, 255 * (1 - alpha) + opaque * alpha, atol=1)
    assert (found[:, :4] == 255).all()


def test_a_transparent_colour_is_laid_on_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8)).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    for transparency in (1, b"\xff\x00\xff"):  # one colour, or the opacity of each
        path = write(tmp_path / "icon.png", image, transparency=transparency)
        assert read(path).tolist() == [[[255, 0, 0], [255, 255, 255], [0, 0, 255]]]


@pytest.mark.parametrize("orientation", range(10))
def test_a_photograph_stands_upright(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = coloured(tmp_path / "photograph.jpg", exif=exif, quality=100, subsampling=0)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(read(path), expected)
    if orientation == 6:
        np.testing.assert_allclose(expected.astype(int), np.rot90(COLOURS, -1), atol=6)


XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{}"/></rdf:RDF></x:xmpmeta>'
)


def in_exif(orientation: int) -> dict[str, object]:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return {"exif": exif}


def in_xmp(orientation: int) -> dict[str, object]:
    return {"xmp": XMP.format(orientation).encode()}


def in_xmp_of_a_png(orientation: int) -> dict[str, object]:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.format(orientation))
    return {"pnginfo": info}


def in_xmp_of_a_tiff(orientation: int) -> dict[str, object]:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[700] = XMP.format(orientation).encode()
    return {"tiffinfo": tags}


def in_both_of_a_tiff(orientation: int) -> dict[str, object]:
    options = in_xmp_of_a_tiff(orientation)
    options["tiffinfo"][ORIENTATION] = orientation
    return options


ORIENTED = {
    "JPEG": ("jpg", in_exif, {"quality": 100, "subsampling": 0}),
    "JPEG, XMP": ("jpg", in_xmp, {"quality": 100, "subsampling": 0}),
    "MPO": ("mpo", in_exif, {"save_all": True, "quality": 100, "subsampling": 0}),
    "PNG": ("png", in_exif, {}),
    "PNG, XMP": ("png", in_xmp_of_a_png, {}),
    "animated PNG": ("apng", in_exif, {"save_all": True, "format": "PNG"}),
    "WebP": ("webp", in_exif, {"lossless": True}),
    "WebP, XMP": ("webp", in_xmp, {"lossless": True}),
    "AVIF": ("avif", in_exif, {"quality": 100, "subsampling": "4:4:4"}),
    "TIFF": ("tif", in_exif, {}),
    "TIFF, LZW": ("tif", in_exif, {"compression": "tiff_lzw"}),
    "TIFF, two pages": ("tif", in_exif, {"save_all": True}),
    "TIFF, XMP": ("tif", in_xmp_of_a_tiff, {}),
    "TIFF, both": ("tif", in_both_of_a_tiff, {"compression": "tiff_lzw"}),
}


@pytest.mark.parametrize("name", ORIENTED)
def test_in_every_format_an_image_is_turned_once(name: str, tmp_path: Path) -> None:
    suffix, noted, options = ORIENTED[name]
    ramp = np.linspace(20, 235, 96).reshape(8, 12)
    picture = np.stack([ramp, ramp[::-1], ramp[:, ::-1]], axis=-1).round().astype(np.uint8)
    turned = {1: picture, 3: picture[::-1, ::-1], 6: np.rot90(picture, -1)}
    turned |= {5: picture.swapaxes(0, 1), 8: np.rot90(picture)}
    for orientation, expected in turned.items():
        path = tmp_path / f"{orientation}.{suffix}"
        second = (
            {"append_images": [Image.fromarray(picture[::-1])]} if "save_all" in options else {}
        )
        Image.fromarray(picture).save(path, **noted(orientation), **options, **second)
        np.testing.assert_allclose(read(path).astype(int), expected, atol=12)


def test_pictures_are_known_by_the_suffixes_that_pil_knows() -> None:
    pictures = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".avif", ".tif"}
    pictures |= {".tiff", ".bmp", ".gif", ".jp2", ".ppm", ".mpo", ".tga", ".ico"}
    assert pictures <= suffixes()
    assert not suffixes() & {".pdf", ".eps", ".ps", ".mpg", ".mpeg", ".h5", ".hdf", ".wmf", ".txt"}


def test_an_image_with_damaged_exif_data_is_still_an_image(tmp_path: Path) -> None:
    path = coloured(tmp_path / "photograph.jpg", exif=b"Exif\0\0nothing that one could read")
    assert load_image(path).size == (16, 12)


def with_a_damaged_animation(path: Path) -> Path:
    """A PNG that PIL reads with a warning."""
    content = coloured(path).read_bytes()
    chunk = b"acTL" + struct.pack(">II", 0, 0)
    damaged = struct.pack(">I", 8) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(content[:33] + damaged + content[33:])
    return path


def test_no_warning_of_pil_reaches_the_reader(tmp_path: Path) -> None:
    path = with_a_damaged_animation(tmp_path / "colours.png")
    with pytest.warns(UserWarning, match="Invalid APNG"), Image.open(path):
        pass
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        load_image(path)
        check_images([path])
    assert warned == []


def test_threads_leave_the_filters_of_warnings_as_they_were(tmp_path: Path) -> None:
    path = coloured(tmp_path / "colours.png")
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(load_image, [path] * 200))
    assert warnings.filters == before


@pytest.fixture
def mixed(tmp_path: Path) -> list[Path]:
    """Twelve files in turn whole and broken."""
    paths = []
    for number in range(6):
        paths.append(coloured(tmp_path / f"{9 - number}.png"))
        paths.append(tmp_path / f"broken {number}.jpg")
        truncated(paths[-1])
    return paths


def test_images_in_files_are_a_sequence(mixed: list[Path]) -> None:
    images = ImageFiles(str(path) for path in mixed)
    assert len(images) == 12
    np.testing.assert_array_equal(images[0], COLOURS)
    np.testing.assert_array_equal(images[-2], COLOURS)
    some = images[0:12:2]
    assert isinstance(some, list)
    assert [image.mode for image in some] == ["RGB"] * 6
    assert images[12:20] == []
    with pytest.raises(IndexError):
        images[12]
    with pytest.raises(ValueError, match=r"broken 0\.jpg' cannot be read"):
        images[1]


def test_an_image_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    images = ImageFiles([tmp_path / "later.png"])
    for colour in (0, 255):
        Image.new("L", (2, 2), colour).save(tmp_path / "later.png")
        assert images[0].getpixel((0, 0)) == (colour,) * 3


def test_whole_images_pass_the_check_in_their_order(mixed: list[Path]) -> None:
    assert check_images(mixed[::2]) == mixed[::2]
    assert check_images([]) == []


def test_the_first_broken_image_is_an_error_that_tells_of_skipping(mixed: list[Path]) -> None:
    with pytest.raises(ValueError, match=r"broken 0\.jpg' cannot be read") as error:
        check_images(map(str, mixed), broken="error")
    assert str(error.value).endswith(
        "image that is not too large, or leave all such out with broken: skip"
    )


def test_broken_images_are_left_out_with_one_warning(mixed: list[Path]) -> None:
    with pytest.warns(BrokenImageWarning) as warned:
        whole = check_images(mixed, broken="skip")
    assert whole == mixed[::2]
    (warning,) = warned
    names = ", ".join(repr(str(path)) for path in mixed[1:7:2])
    assert str(warning.message) == (
        f"6 of 12 images cannot be read and are left out, such as {names}"
    )
    assert warning.filename == __file__


def test_another_word_for_skip_is_refused(mixed: list[Path]) -> None:
    with pytest.raises(ValueError, match="broken is 'ignore'; give 'error' or 'skip'"):
        check_images(mixed, broken="ignore")


@pytest.mark.parametrize("patience", [0, 60])
def test_progress_is_shown_of_long_work_only(
    patience: float,
    mixed: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setattr("convexlib.data.images._PATIENCE", patience)
    check_images(mixed[::2])
    assert ("checking images" in capsys.readouterr().err) == (patience == 0)


def test_the_most_oblong_of_some_images_may_stand_upright(tmp_path: Path) -> None:
    for name, size in (("a", (8, 8)), ("b", (4, 9)), ("c", (8, 7))):
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
    assert ImageFiles(sorted(tmp_path.iterdir())).most_oblong == 1
