"""Triplets are drawn as their schemes say, judged by looking features up, and kept in files."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convexlib import triplets
from convexlib.triplets import Triplets

GROUPS = np.repeat(np.arange(10), 7)


def made_up(n_images: int = 9) -> Triplets:
    rng = np.random.default_rng(0)
    indices = np.array([rng.choice(n_images, 3, replace=False) for _ in range(20)])
    similarities = rng.normal(size=(20, 3)).astype(np.float32)
    names = np.array([f"{n}.png" for n in range(n_images)])
    ordered, similarities = triplets.odd_last(indices, similarities)
    return Triplets(ordered, similarities, names[ordered])


@pytest.mark.parametrize(
    ("scheme", "level"),
    [("cluster-border", 2), ("class-border", 2), ("between-class", 0), ("within-class", 1)],
)
@given(
    seed=st.integers(0, 99), n=st.integers(1, 300), sizes=st.lists(st.integers(3, 9), min_size=3)
)
def test_a_scheme_draws_distinct_images_of_the_groups_that_it_names(
    scheme: str, level: int, seed: int, n: int, sizes: list[int]
) -> None:
    groups = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    drawn = triplets.draw(groups, n, scheme, batch_size=50, random_state=seed)
    assert drawn.shape == (n, 3)
    assert (np.diff(np.sort(drawn, axis=1), axis=1) > 0).all()
    assert (triplets.levels(drawn, groups) == level).all()
    if level == 2:
        assert (groups[drawn[:, 0]] == groups[drawn[:, 1]]).all()


def test_a_batch_has_few_images_and_all_batches_have_all() -> None:
    drawn = triplets.draw(GROUPS, 6400, batch_size=64, n_groups=4, n_of_group=3)
    for batch in drawn.reshape(100, 64, 3):
        assert len(np.unique(batch)) <= 12
    np.testing.assert_array_equal(np.unique(drawn), np.arange(70))


def test_all_images_of_a_group_are_drawn_as_often() -> None:
    drawn = triplets.draw(GROUPS, 60_000, batch_size=6, n_groups=2, n_of_group=3)
    counts = np.bincount(drawn.ravel(), minlength=70)
    # An image is in a batch with probability 6 / 70, and if so in three of six triplets on average.
    assert counts.std() / counts.mean() < 0.05


def test_images_of_no_group_are_left_out_and_seeds_differ() -> None:
    groups = np.where(np.arange(70) % 2, GROUPS, -1)
    drawn = triplets.draw(groups, 500)
    assert (drawn % 2).all()
    assert (triplets.draw(groups, 500) == drawn).all()
    assert (triplets.draw(groups, 500, random_state=1) != drawn).any()


@pytest.mark.parametrize(
    ("groups", "scheme", "said"),
    [
        ([0, 0, 0], "cluster-border", "takes 2 groups of 2 images, and there are 1"),
        ([0, 1, 2, 3], "class-border", "and there are 0 such groups"),
        ([0, 0, 1, 1], "between-class", "takes 3 groups of 1 images, and there are 2"),
        ([0, 0, 1, 1], "within-class", "takes 1 groups of 3 images, and there are 0"),
        ([0, 0, 1, 1], "between", "scheme is 'between'"),
    ],
)
def test_too_few_groups_are_refused(groups: list[int], scheme: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        triplets.draw(groups, 5, scheme)


def test_clusters_are_those_that_there_are() -> None:
    rng = np.random.default_rng(0)
    X = 20 * np.eye(5)[np.repeat(np.arange(5), 30)] + rng.normal(size=(150, 5))
    found = triplets.clusters(X, 5)
    assert len({*zip(np.repeat(np.arange(5), 30).tolist(), found.tolist(), strict=True)}) == 5
    np.testing.assert_array_equal(triplets.clusters(X, 5), found)


def test_more_clusters_than_images_or_empty_ones_are_refused() -> None:
    with pytest.raises(ValueError, match="n_clusters is 5, and there are 4 images"):
        triplets.clusters(np.eye(4), 5)
    with pytest.raises(ValueError, match="3 of them are empty"):
        triplets.clusters(np.repeat(np.eye(2), 5, axis=0), 5)


def test_similarities_are_dot_products_and_the_odd_one_comes_last() -> None:
    X = np.random.default_rng(0).normal(size=(70, 6))
    drawn = triplets.draw(GROUPS, 500)
    said = triplets.told(X, drawn)
    S = X @ X.T
    ordered, similarities = triplets.odd_last(drawn, said)
    for three, of_three in zip(ordered, similarities, strict=True):
        a, b, odd = three
        np.testing.assert_allclose(of_three, [S[a, b], S[a, odd], S[b, odd]], rtol=1e-4, atol=1e-4)
        assert (np.diff(of_three) <= 0).all()
    np.testing.assert_array_equal(np.sort(ordered, axis=1), np.sort(drawn, axis=1))


def test_levels_are_told_by_groups_and_not_where_one_is_missing() -> None:
    groups = [0, 0, 0, 1, 2, -1]
    threes = np.array([[0, 3, 4], [0, 1, 2], [0, 1, 3], [4, 0, 1], [0, 1, 5]])
    assert triplets.levels(threes, groups).tolist() == [0, 1, 2, 2, -1]


def test_a_file_comes_back_as_it_was(tmp_path: Path) -> None:
    before = made_up()
    before.save(tmp_path / "some.npz")
    after = Triplets.load(tmp_path / "some.npz")
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    assert [path.name for path in tmp_path.iterdir()] == ["some.npz"]
    np.testing.assert_allclose(after.targets.sum(axis=1), 1, rtol=1e-6)


def test_a_file_that_numpy_alone_wrote_in_the_released_layout_is_read(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "released.npz",
        filenames=np.array([["n01_b.JPEG", "n01_a.JPEG", "n02_c.JPEG"]]),
        similarities=np.array([[3.0, 1.0, 0.5]]),
        indices=np.array([[1, 0, 2]], dtype=np.int64),
    )
    found = Triplets.load(tmp_path / "released.npz")
    assert found.filenames.tolist() == [["n01_b.JPEG", "n01_a.JPEG", "n02_c.JPEG"]]
    expected = np.exp([3.0, 1.0, 0.5]) / np.exp([3.0, 1.0, 0.5]).sum()
    np.testing.assert_allclose(found.targets[0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"indices": np.array([[0, 1, 9]])}, "of 9 images: indices: .* 9"),
        ({"similarities": np.array([[0.3, 0.1, 0.2]])}, r"row 0: similarities \[0.3, 0.1, 0.2\]"),
        ({"filenames": np.array(["a", "b", "c"])}, r"and \(3,\); give three of each"),
        ({"indices": np.array([[0, 1, 1]])}, "indices: "),
        ({"similarities": np.array([[0.1, 0.2, 0.0]])}, r"row 0: similarities \[0.1, 0.2, 0.0\]"),
        ({"similarities": np.array([[np.nan, 0.2, 0.0]])}, "not finite, as in row 0"),
        ({"similarities": np.array([[0.2, 0.0]])}, r"shapes \(1, 3\), \(1, 2\)"),
    ],
)
def test_a_wrong_file_is_refused(changed: dict, said: str, tmp_path: Path) -> None:
    arrays = {"indices": np.array([[0, 1, 2]]), "similarities": np.array([[0.3, 0.2, 0.1]])}
    arrays["filenames"] = np.array([["a", "b", "c"]])
    np.savez(tmp_path / "wrong.npz", **(arrays | changed))
    with pytest.raises(ValueError, match=said):
        Triplets.load(tmp_path / "wrong.npz", 9)


def test_what_is_no_file_of_triplets_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.npz"
    np.savez(path, indices=np.zeros((1, 3), int))
    with pytest.raises(ValueError, match=r"no \.npz file with arrays indices, similarities, filen"):
        Triplets.load(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r"no \.npz file with arrays"):
        Triplets.load(path)
    path.write_bytes(b"not an archive")
    with pytest.raises(ValueError, match=r"no \.npz file with arrays"):
        Triplets.load(path)
