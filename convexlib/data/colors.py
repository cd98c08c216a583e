"""Coloured shapes at the spectral hues that Ekman's observers judged.

Every image shows one shape of one hue on a grey ground. Hue is what the human judgments
are about; shape, size, position, brightness, ground and pixel noise vary as nuisance.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from convexlib import data
from convexlib.data import corruptions

if TYPE_CHECKING:
    from convexlib.concepts import Embedding

WAVELENGTHS = (434, 445, 465, 472, 490, 504, 537, 555, 584, 600, 610, 628, 651, 674)
"""Ekman's stimuli, in nm."""

SHAPES = ("circle", "square", "triangle", "diamond", "cross", "star")

IMAGE_SIZE = 32
"""Height and width of every image, in pixels."""

_SUPERSAMPLING = 4
_MAX_RADIUS = 13.0
_NAME_LIMITS = {"violet": 450, "blue": 495, "green": 570, "yellow": 590, "orange": 620, "red": 780}

# Upper triangle of the mean similarity of 31 observers, row by row: Ekman (1954), table 1.
_EKMAN_SIMILARITY = """
.86 .42 .42 .18 .06 .07 .04 .02 .07 .09 .12 .13 .16
.50 .44 .22 .09 .07 .07 .02 .04 .07 .11 .13 .14
.81 .47 .17 .10 .08 .02 .01 .02 .01 .05 .03
.54 .25 .10 .09 .02 .01 .00 .01 .02 .04
.61 .31 .26 .07 .02 .02 .01 .02 .00
.62 .45 .14 .08 .02 .02 .02 .01
.73 .22 .14 .05 .02 .02 .00
.33 .19 .04 .03 .02 .02
.58 .37 .27 .20 .23
.74 .50 .41 .28
.76 .62 .55
.85 .68
.76
"""


def human_similarity() -> np.ndarray:
    """Ekman's similarity of the 14 hues, mean of 31 observers.

    Returns
    -------
    ndarray of shape (14, 14)
        Symmetric, in [0, 1], with ones on the diagonal, in the order of `WAVELENGTHS`.

    References
    ----------
    Ekman, G. (1954). Dimensions of color vision. Journal of Psychology 38, 467-474, table 1.

    Examples
    --------
    >>> float(human_similarity()[0, 1])
    0.86
    """
    similarity = np.eye(len(WAVELENGTHS))
    similarity[np.triu_indices_from(similarity, k=1)] = np.array(
        _EKMAN_SIMILARITY.split(), dtype=float
    )
    return np.maximum(similarity, similarity.T)


def human_triplets() -> np.ndarray:
    """All triplets of hues whose odd one out is unambiguous in Ekman's table.

    The pair of the highest similarity is kept together. A triplet in which two pairs share
    the highest similarity has no odd one out and is left out.

    Returns
    -------
    ndarray of shape (n_triplets, 3)
        Rows of `WAVELENGTHS`; columns 0 and 1 are the pair kept together, column 2 is odd.

    Examples
    --------
    >>> human_triplets()[0]
    array([0, 1, 2])
    """
    from convexlib.alignment import triplets_from_similarity

    return triplets_from_similarity(human_similarity())


def human_dimensions() -> "Embedding":
    """The circle of hues in Ekman's judgments: non-metric scaling in two dimensions.

    Returns
    -------
    Embedding
        Coordinates of shape (14, 2), in the order of `WAVELENGTHS`, and the stress.

    References
    ----------
    Shepard (1962), *The analysis of proximities*, Psychometrika 27, found the circle.

    Examples
    --------
    >>> human_dimensions().coordinates.shape
    (14, 2)
    """
    from convexlib.concepts import nonmetric_mds

    return nonmetric_mds(human_similarity())


def color_name(wavelength: float) -> str:
    """Name of a spectral colour by the usual ranges: violet to 450 nm, ... red beyond 620 nm.

    Examples
    --------
    >>> color_name(584)
    'yellow'
    """
    return next(name for name, limit in _NAME_LIMITS.items() if wavelength <= limit)


def wavelength_to_linear_rgb(wavelength: float) -> np.ndarray:
    """Displayable colour of a spectral light.

    Monochromatic lights lie outside sRGB. The colour of the CIE 1931 observer is brought
    into gamut by adding just enough white that no channel is negative, then scaled so that
    the largest channel is 1. This keeps the direction from white, so the dominant wavelength.

    Parameters
    ----------
    wavelength : float
        In nm.

    Returns
    -------
    ndarray of shape (3,)
        Linear (not gamma-encoded) sRGB in [0, 1].

    Examples
    --------
    >>> wavelength_to_linear_rgb(584).round(2).tolist()
    [1.0, 0.37, 0.0]
    """
    import colour

    xyz = colour.wavelength_to_XYZ(wavelength)
    srgb = colour.RGB_COLOURSPACES["sRGB"]
    linear = colour.XYZ_to_RGB(xyz, srgb, apply_cctf_encoding=False)
    linear = linear - min(linear.min(), 0.0)
    return linear / linear.max()


def generate(n_per_hue: int, *, seed: int | list[int]) -> tuple[np.ndarray, pd.DataFrame]:
    """Draw images of coloured shapes, equally many of each hue and nearly so of each shape.

    Parameters
    ----------
    n_per_hue : int
        Images of each of the 14 hues.
    seed : int or list of int
        Same seed, same images.

    Returns
    -------
    images : uint8 ndarray of shape (14 * n_per_hue, 32, 32, 3)
        sRGB.
    labels : DataFrame
        One row an image: `hue` (nm), `color_name`, `shape`, `size` (radius in pixels),
        `x` and `y` (centre in pixels), `brightness` (share of the full linear colour),
        `background` (sRGB grey) and `noise` (standard deviation in sRGB), greys in [0, 1].

    Examples
    --------
    >>> images, labels = generate(2, seed=0)
    >>> images.shape
    (28, 32, 32, 3)
    """
    rng = np.random.default_rng(seed)
    n = len(WAVELENGTHS) * n_per_hue
    hue = np.repeat(WAVELENGTHS, n_per_hue)
    shape = np.concatenate([rng.permutation(np.resize(SHAPES, n_per_hue)) for _ in WAVELENGTHS])
    radius = rng.uniform(9.0, _MAX_RADIUS, n)
    room = np.minimum(IMAGE_SIZE / 2 - radius, 3.0)
    labels = pd.DataFrame(
        {
            "hue": hue,
            "color_name": _color_names(hue),
            "shape": shape,
            "size": radius,
            "x": IMAGE_SIZE / 2 + rng.uniform(-room, room),
            "y": IMAGE_SIZE / 2 + rng.uniform(-room, room),
            "brightness": rng.uniform(0.4, 1.0, n),
            "background": rng.uniform(0.2, 0.8, n),
            "noise": rng.uniform(0.0, 0.06, n),
        }
    )
    return _render(labels, rng), labels


def reference_images() -> tuple[np.ndarray, pd.DataFrame]:
    """One plain patch a hue: what the observers judged.

    A disc of the largest size in the middle of mid grey, at full brightness, without noise:
    every nuisance is at rest, so only hue differs between the 14 images.

    Returns
    -------
    images : uint8 ndarray of shape (14, 32, 32, 3)
    labels : DataFrame
        The columns of `generate`.
    """
    labels = pd.DataFrame(
        {
            "hue": WAVELENGTHS,
            "color_name": _color_names(WAVELENGTHS),
            "shape": "circle",
            "size": _MAX_RADIUS,
            "x": IMAGE_SIZE / 2,
            "y": IMAGE_SIZE / 2,
            "brightness": 1.0,
            "background": 0.5,
            "noise": 0.0,
        }
    )
    return _render(labels, np.random.default_rng(0)), labels


class Stimuli(data.Stimuli):
    """How many images of each hue to draw for each split, and from which seed."""

    CONCEPT: ClassVar = "hue"
    WORDS: ClassVar = {
        "concept": "hue",
        "concepts": "hues",
        "category": "colour name",
        "categories": "colour names",
        "units": "hues",
    }
    IN_ORDER: ClassVar = True
    TRAINS: ClassVar = True
    TASKS: ClassVar = True
    FEATURES: ClassVar = False
    DATA: ClassVar = "coloured shapes"
    PLAIN: ClassVar = ("pixels", "CIELAB")

    kind: Literal["colors"]
    train_per_hue: int = Field(ge=1)
    validation_per_hue: int = Field(ge=1)
    test_per_hue: int = Field(ge=2)

    @property
    def extent(self) -> tuple[int, int]:
        return len(WAVELENGTHS), self.test_per_hue

    def splits(self) -> dict[str, tuple[np.ndarray, pd.DataFrame]]:
        """Each split is drawn from its own random stream, so no two share an image."""
        sizes = {
            "train": self.train_per_hue,
            "validation": self.validation_per_hue,
            "test": self.test_per_hue,
        }
        drawn = {
            name: generate(n_per_hue, seed=[self.seed, stream])
            for stream, (name, n_per_hue) in enumerate(sizes.items())
        }
        return drawn | {"reference": reference_images()}

    def tasks(self) -> dict[str, tuple[np.ndarray, pd.DataFrame]]:
        """Shapes and sizes, colours under other light, and all that the images differ in.

        Few-shot classes are shapes, which ViT is trained to name, and three sizes, which nothing is
        trained on. A probe learns colour names, and is tried on others and on shifted images.
        """
        images, labels = generate(16, seed=[self.seed, 5])
        sizes = pd.cut(labels["size"], 3, labels=["small", "middle", "large"]).astype(str)
        known, others = (generate(16, seed=[self.seed, stream]) for stream in (6, 7))
        sets = {"none": known, "other images": others}
        shifts = corruptions.SHIFTS | corruptions.OF_COLOR
        sets |= {name: (shift(others[0]), others[1]) for name, shift in shifts.items()}
        factors = labels.drop(columns="noise").astype({"hue": str, "color_name": str})
        return {
            "few_shot": (images, pd.DataFrame({"shapes": labels["shape"], "sizes": sizes})),
            "shift": corruptions.joined(sets, "color_name"),
            "factors": (images, factors),
        }

    @staticmethod
    def plain_features(name: str, images: Sequence[np.ndarray]) -> np.ndarray:
        """Pixels, or the mean colour of each image: lightness, a* and b* in daylight (D65)."""
        if name == "pixels":
            return data.Stimuli.plain_features(name, images)
        import colour

        white = colour.RGB_COLOURSPACES["sRGB"].whitepoint
        colors = colour.XYZ_to_Lab(colour.sRGB_to_XYZ(np.asarray(images) / 255), white)
        return colors.mean(axis=(1, 2)).astype(np.float32)

    def judgments_depend_on(self) -> None:
        """Nothing: they stand in the code."""

    def human(self, of_test: pd.DataFrame, of_reference: pd.DataFrame) -> data.Human:
        """What Ekman's observers judged of the hues."""
        wavelengths = of_reference["hue"]
        scaled = human_dimensions()
        ekman = data.Judgments(
            human_triplets(),
            human_similarity(),
            scaled.coordinates,
            scaled.stress,
            method=data.RATED,
        )
        return data.Human(
            names=[f"{wavelength} nm" for wavelength in wavelengths],
            shown=pd.Index(wavelengths).get_indexer(of_test["hue"]),
            categories=pd.get_dummies(of_test["color_name"].astype(str), dtype=bool),
            sets={"Ekman": ekman},
        )


def _color_names(wavelengths: Sequence[float]) -> pd.Categorical:
    """In the order of the wavelengths."""
    return pd.Categorical([color_name(w) for w in wavelengths], [*_NAME_LIMITS], ordered=True)


def _render(labels: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    import colour

    linear_rgb = {w: wavelength_to_linear_rgb(w) for w in WAVELENGTHS}
    color = np.stack([linear_rgb[w] for w in labels["hue"]])
    color = color * labels["brightness"].to_numpy()[:, None]
    ground = colour.cctf_decoding(labels["background"].to_numpy(), "sRGB")
    coverage = _coverage(labels)[..., None]
    linear = coverage * color[:, None, None, :] + (1 - coverage) * ground[:, None, None, None]
    encoded = colour.cctf_encoding(linear, "sRGB")
    noise = labels["noise"].to_numpy()[:, None, None, None] * rng.standard_normal(encoded.shape)
    return np.rint(255 * np.clip(encoded + noise, 0, 1)).astype(np.uint8)


def _coverage(labels: pd.DataFrame) -> np.ndarray:
    """Share of each pixel that the shape covers, `(n, 32, 32)`, by supersampling."""
    fine = IMAGE_SIZE * _SUPERSAMPLING
    grid = (np.arange(fine) + 0.5) / _SUPERSAMPLING
    coverage = np.empty((len(labels), IMAGE_SIZE, IMAGE_SIZE))
    columns = (labels[name].to_numpy() for name in ("shape", "size", "x", "y"))
    for row, (shape, radius, x, y) in enumerate(zip(*columns, strict=True)):
        inside = _inside(shape, (grid[None, :] - x) / radius, (grid[:, None] - y) / radius)
        blocks = inside.reshape(IMAGE_SIZE, _SUPERSAMPLING, IMAGE_SIZE, _SUPERSAMPLING)
        coverage[row] = blocks.mean(axis=(1, 3))
    return coverage


def _inside(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Where a shape of radius 1 at the origin lies, `u` rightwards and `v` downwards."""
    if shape == "circle":
        return u**2 + v**2 <= 1
    if shape == "square":
        return np.maximum(abs(u), abs(v)) <= 0.8
    if shape == "diamond":
        return abs(u) + abs(v) <= 1
    if shape == "cross":
        return (np.minimum(abs(u), abs(v)) <= 0.33) & (np.maximum(abs(u), abs(v)) <= 1)
    if shape == "triangle":
        return (v <= 0.7) & (abs(u) <= 0.55 * (v + 1))
    return _inside_star(u, v)


def _inside_star(u: np.ndarray, v: np.ndarray, inner: float = 0.45) -> np.ndarray:
    """A five-pointed star; by symmetry only one edge, from a tip to an inner corner, counts."""
    tenth = np.pi / 5
    angle = abs((np.arctan2(u, -v) + tenth) % (2 * tenth) - tenth)
    distance = np.hypot(u, v)
    px, py = distance * np.cos(angle), distance * np.sin(angle)
    corner_x, corner_y = inner * np.cos(tenth), inner * np.sin(tenth)
    return (corner_x - 1) * py - corner_y * (px - 1) >= 0
