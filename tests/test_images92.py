"""The 92 images, their categories and the judgments of sixteen people."""

from pathlib import Path

import numpy as np
import pytest

from convexlib.alignment import noise_ceiling, odd_one_out_accuracy
from convexlib.data import images92
from tests.conftest import data


@pytest.fixture(autouse=True)
def _real_data() -> None:
    data("images92")


def test_there_are_92_images_of_six_categories() -> None:
    images = images92.images()
    assert images.shape == (92, 175, 175, 3)
    assert images.dtype == np.uint8
    assert images.std(axis=(1, 2, 3)).min() > 5
    names, counts = np.unique(images92.categories(), return_counts=True)
    assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == {
        "artificial inanimate": 21,
        "human bodypart": 12,
        "human face": 12,
        "natural inanimate": 23,
        "nonhuman bodypart": 12,
        "nonhuman face": 12,
    }


def test_the_groupings_agree_with_the_categories() -> None:
    membership, names = images92.memberships()
    assert membership.shape == (92, 12)
    face = membership[:, names.index("face")]
    of_category = np.char.endswith(images92.categories(), "face")
    np.testing.assert_array_equal(face, of_category)


def test_people_agree_up_to_their_ceiling() -> None:
    triplets = images92.human_triplets(20_000)
    assert 300_000 < len(triplets) <= 16 * 20_000
    ceiling = noise_ceiling(triplets)
    assert ceiling.lower == pytest.approx(0.629, abs=0.003)
    assert ceiling.upper == pytest.approx(0.675, abs=0.003)
    names = images92.categories()
    of_category = (names[:, None] == np.unique(names)).astype(float)
    accuracy = odd_one_out_accuracy(of_category, triplets)
    assert 0.45 < accuracy < ceiling.lower


def test_a_file_that_is_no_matlab_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "images92").mkdir()
    (tmp_path / "images92" / "92_behavRDMs.mat").write_bytes(b"no matlab")
    monkeypatch.setenv("CONVEXLIB_DATA", str(tmp_path))
    images92._mat.cache_clear()
    with pytest.raises(ValueError, match="is not the published file"):
        images92.human_similarity()
    images92._mat.cache_clear()
