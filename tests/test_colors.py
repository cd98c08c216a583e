"""The colour study shows Ekman's hues, and asks what his observers were asked."""

import colorsys
import hashlib
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convexlib import data
from convexlib.data import colors

MID_GREY = 128
STIMULI = colors.Stimuli(
    kind="colors", seed=0, train_per_hue=30, validation_per_hue=6, test_per_hue=12
)
SPLITS = STIMULI.splits()
IMAGES, LABELS = SPLITS["train"]
QUIET = (LABELS["noise"] < 0.01).to_numpy()


def hue_angle(rgb: np.ndarray) -> float:
    """In degrees; 0 is red, 120 green, 240 blue; reds towards blue are negative."""
    angle = 360 * colorsys.rgb_to_hsv(*rgb)[0]
    return angle if angle < 300 else angle - 360


def lone_shape(shape: str, **changes: float) -> np.ndarray:
    """Coverage of one shape of full size in the middle."""
    place = {"size": 13.0, "x": 16.0, "y": 16.0, **changes}
    return colors._coverage(pd.DataFrame([{"shape": shape, **place}]))[0]


def pixels_at(rows: np.ndarray) -> np.ndarray:
    """The pixel in which the shape's centre lies, of each image."""
    x, y = (LABELS.loc[rows, axis].astype(int) for axis in ("x", "y"))
    return IMAGES[rows][np.arange(rows.sum()), y, x].astype(int)


def test_ekmans_table_is_a_similarity() -> None:
    similarity = colors.human_similarity()
    assert similarity.shape == (14, 14)
    assert (similarity == similarity.T).all()
    assert (np.diag(similarity) == 1).all()
    assert similarity.min() >= 0
    assert similarity.max() <= 1


def test_every_pair_of_hues_was_judged() -> None:
    assert len(colors._EKMAN_SIMILARITY.split()) == 14 * 13 / 2


@pytest.mark.parametrize(
    ("one", "other", "similarity"),
    [
        (434, 445, 0.86),
        (434, 674, 0.16),
        (445, 465, 0.50),
        (465, 472, 0.81),
        (465, 674, 0.03),
        (472, 555, 0.09),
        (472, 610, 0.00),
        (490, 504, 0.61),
        (490, 674, 0.00),
        (504, 537, 0.62),
        (537, 555, 0.73),
        (555, 584, 0.33),
        (584, 600, 0.58),
        (600, 674, 0.28),
        (610, 651, 0.62),
        (628, 674, 0.68),
        (651, 674, 0.76),
    ],
)
def test_ekmans_observers_said(one: int, other: int, similarity: float) -> None:
    row, column = colors.WAVELENGTHS.index(one), colors.WAVELENGTHS.index(other)
    assert colors.human_similarity()[row, column] == similarity


def test_every_triplet_is_there_once_unless_its_two_best_pairs_tie() -> None:
    similarity = colors.human_similarity()
    found = [tuple(sorted(row)) for row in colors.human_triplets().tolist()]
    unambiguous = [
        (i, j, k)
        for i, j, k in combinations(range(14), 3)
        if np.diff(np.sort([similarity[i, j], similarity[i, k], similarity[j, k]]))[1] > 0
    ]
    assert len(found) == len(set(found))
    assert sorted(found) == unambiguous


def test_a_triplet_keeps_the_most_similar_pair_and_ends_with_the_odd_one() -> None:
    similarity = colors.human_similarity()
    first, second, odd = colors.human_triplets().T
    kept = similarity[first, second]
    assert (kept > similarity[first, odd]).all()
    assert (kept > similarity[second, odd]).all()


def test_the_orange_is_odd_beside_two_violets() -> None:
    violet, other_violet, orange = (colors.WAVELENGTHS.index(w) for w in (434, 445, 600))
    assert [violet, other_violet, orange] in colors.human_triplets().tolist()


@pytest.mark.parametrize(
    ("name", "wavelengths"),
    [
        ("violet", (434, 445, 450)),
        ("blue", (451, 465, 472, 490, 495)),
        ("green", (496, 504, 537, 555, 570)),
        ("yellow", (571, 584, 590)),
        ("orange", (591, 600, 610, 620)),
        ("red", (621, 628, 651, 674)),
    ],
)
def test_a_spectral_colour_has_its_usual_name(name: str, wavelengths: tuple[int, ...]) -> None:
    assert {colors.color_name(wavelength) for wavelength in wavelengths} == {name}


@settings(deadline=None)
@given(st.floats(390, 750))
def test_a_spectral_light_is_as_vivid_as_a_screen_allows(wavelength: float) -> None:
    rgb = colors.wavelength_to_linear_rgb(wavelength)
    assert rgb.shape == (3,)
    assert rgb.max() == 1
    assert rgb.min() == 0


def test_the_hues_run_from_violet_to_red_without_turning_back() -> None:
    angles = [hue_angle(colors.wavelength_to_linear_rgb(w)) for w in colors.WAVELENGTHS]
    assert (np.diff(angles) < 0).all()
    assert angles[0] > 240 > angles[2] > 180 > angles[5] > 120 > angles[8] > 0 > angles[-1]


@pytest.mark.parametrize(
    ("wavelength", "angle"), [(465, 240), (490, 180), (545, 125), (584, 22), (610, 0)]
)
def test_a_wavelength_looks_as_it_should(wavelength: int, angle: int) -> None:
    assert hue_angle(colors.wavelength_to_linear_rgb(wavelength)) == pytest.approx(angle, abs=6)


def test_images_are_small_and_coloured() -> None:
    assert IMAGES.shape == (14 * 30, 32, 32, 3)
    assert IMAGES.dtype == np.uint8
    assert len(LABELS) == len(IMAGES)


def test_every_hue_and_shape_occurs_equally_often() -> None:
    counts = LABELS.value_counts(["hue", "shape"])
    assert len(counts) == 14 * 6
    assert set(counts) == {5}


@pytest.mark.parametrize("n_per_hue", [1, 7, 20])
def test_shapes_are_balanced_as_far_as_the_number_allows(n_per_hue: int) -> None:
    _, labels = colors.generate(n_per_hue, seed=3)
    table = pd.crosstab(labels["hue"], labels["shape"]).reindex(
        columns=list(colors.SHAPES), fill_value=0
    )
    assert (table.sum(axis=1) == n_per_hue).all()
    assert (table.max(axis=1) - table.min(axis=1) <= 1).all()


def test_labels_name_the_colour_of_the_hue() -> None:
    assert LABELS["color_name"].tolist() == [colors.color_name(w) for w in LABELS["hue"]]
    assert set(LABELS["hue"]) == set(colors.WAVELENGTHS)


def test_same_seed_same_images() -> None:
    images, labels = colors.generate(2, seed=7)
    again, labels_again = colors.generate(2, seed=7)
    np.testing.assert_array_equal(images, again)
    pd.testing.assert_frame_equal(labels, labels_again)


def test_another_seed_gives_other_images() -> None:
    images, other = (colors.generate(2, seed=seed)[0] for seed in (7, 8))
    assert (images != other).any(axis=(1, 2, 3)).all()


def test_no_two_images_of_a_study_are_the_same() -> None:
    hashes = [
        hashlib.sha256(image.tobytes()).digest()
        for images, _ in SPLITS.values()
        for image in images
    ]
    assert len(hashes) == 14 * (30 + 6 + 12 + 1)
    assert len(set(hashes)) == len(hashes)


def test_splits_have_the_sizes_of_the_settings() -> None:
    sizes = {name: len(images) / 14 for name, (images, _) in SPLITS.items()}
    assert sizes == {"train": 30, "validation": 6, "test": 12, "reference": 1}


def test_at_the_place_of_the_label_there_is_the_hue_of_the_label() -> None:
    import colour

    linear = np.stack([colors.wavelength_to_linear_rgb(w) for w in LABELS["hue"][QUIET]])
    dimmed = linear * LABELS["brightness"][QUIET].to_numpy()[:, None]
    expected = 255 * colour.cctf_encoding(dimmed, "sRGB")
    assert QUIET.sum() > 30
    assert abs(pixels_at(QUIET) - expected).max() < 0.01 * 255 * 5


def test_blue_is_blue_green_is_green_and_red_is_red() -> None:
    names, strongest = LABELS["color_name"][QUIET], pixels_at(QUIET).argmax(axis=1)
    channels = {name: set(strongest[names == name]) for name in set(names) - {"yellow"}}
    assert channels == {"violet": {2}, "blue": {2}, "green": {1}, "orange": {0}, "red": {0}}


def test_the_ground_is_the_grey_of_the_label() -> None:
    corners = IMAGES[QUIET][:, [0, 0, -1, -1], [0, -1, 0, -1]].astype(int)
    grey = 255 * LABELS["background"][QUIET].to_numpy()
    assert abs(corners - grey[:, None, None]).max() < 0.01 * 255 * 5


def test_every_shape_lies_within_its_image() -> None:
    _, labels = colors.generate(100, seed=1)
    assert (labels[["x", "y"]].sub(labels["size"], axis=0) >= 0).all(axis=None)
    assert (labels[["x", "y"]].add(labels["size"], axis=0) <= 32).all(axis=None)


@pytest.mark.parametrize("shape", colors.SHAPES)
def test_no_shape_is_larger_than_its_radius(shape: str) -> None:
    rows, columns = np.nonzero(lone_shape(shape, size=9.0, x=12.0, y=20.0))
    # A pixel's centre may lie half a diagonal beyond the edge that crosses the pixel.
    limit = 9.0 * (1.0 if shape in ("circle", "diamond", "star") else 1.2) + 0.75
    assert np.hypot(columns + 0.5 - 12.0, rows + 0.5 - 20.0).max() <= limit
    assert max(abs(columns + 0.5 - 12.0).max(), abs(rows + 0.5 - 20.0).max()) <= 9.5


@pytest.mark.parametrize("shape", [shape for shape in colors.SHAPES if shape != "triangle"])
def test_a_shape_is_centred_on_its_place(shape: str) -> None:
    coverage = lone_shape(shape, size=10.0, x=14.0, y=18.5)
    centre = np.arange(32) + 0.5
    assert (coverage.sum(axis=0) @ centre) / coverage.sum() == pytest.approx(14.0, abs=0.15)
    assert (coverage.sum(axis=1) @ centre) / coverage.sum() == pytest.approx(18.5, abs=0.15)


@pytest.mark.parametrize(
    ("shape", "area"),
    [("circle", np.pi), ("square", 1.6**2), ("diamond", 2.0), ("cross", 8 * 0.33 - 4 * 0.33**2)],
)
def test_a_shape_covers_its_area(shape: str, area: float) -> None:
    assert lone_shape(shape).sum() == pytest.approx(area * 13.0**2, rel=0.02)


@pytest.mark.parametrize(("one", "other"), [*combinations(colors.SHAPES, 2)])
def test_two_shapes_differ_in_many_pixels(one: str, other: str) -> None:
    different = abs(lone_shape(one) - lone_shape(other)) > 0.5
    assert different.sum() > 32


def test_triangle_and_star_point_up() -> None:
    for shape in ("triangle", "star"):
        width = (lone_shape(shape) > 0.5).sum(axis=1)
        assert 0 < width[4] < width[10]


def test_reference_images_differ_in_nothing_but_hue() -> None:
    images, labels = colors.reference_images()
    assert images.shape == (14, 32, 32, 3)
    assert tuple(labels["hue"]) == colors.WAVELENGTHS
    assert len(labels.drop(columns=["hue", "color_name"]).drop_duplicates()) == 1
    assert list(labels.columns) == list(LABELS.columns)
    disc = lone_shape("circle")
    assert (images[:, disc == 0] == MID_GREY).all()
    for image in images:
        assert len(np.unique(image[disc == 1], axis=0)) == 1
    assert len(np.unique(images[:, 16, 16], axis=0)) == 14


def test_reference_images_are_the_same_every_time() -> None:
    np.testing.assert_array_equal(*(colors.reference_images()[0] for _ in range(2)))


def test_labels_survive_a_parquet_file(tmp_path: Path) -> None:
    LABELS.to_parquet(tmp_path / "labels.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "labels.parquet"), LABELS)


def test_plain_features_are_pixels_and_the_mean_colour() -> None:
    images, labels = colors.generate(2, seed=0)
    pixels = colors.Stimuli.plain_features("pixels", images)
    np.testing.assert_allclose(pixels, images.reshape(len(images), -1) / 255, atol=1e-6)
    lab = colors.Stimuli.plain_features("CIELAB", images)
    assert lab.shape == (len(images), 3)
    assert (lab[:, 0] > 0).all()
    assert (lab[:, 0] < 100).all()
    grey = np.full((1, 32, 32, 3), 128, np.uint8)
    np.testing.assert_allclose(
        colors.Stimuli.plain_features("CIELAB", grey), [[53.585, 0, 0]], atol=0.01
    )
    red, violet = (lab[labels["hue"] == hue].mean(axis=0) for hue in (674, 434))
    assert red[2] > violet[2]  # b*: from blue to yellow


def test_pixels_of_larger_images_are_means_over_blocks() -> None:
    large = np.zeros((1, 64, 64, 3), np.uint8)
    large[:, ::2] = 200
    features = data.Stimuli.plain_features("pixels", [Image.fromarray(large[0])])
    np.testing.assert_allclose(features, np.full((1, 32 * 32 * 3), 100 / 255), atol=0.01)
