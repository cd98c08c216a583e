"""What is measured at a layer is what the words say, and judged on what nothing was fitted to."""

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import cdist

from convexlib import layers, measures
from convexlib.alignment import (
    fit_temperature,
    object_folds,
    odd_one_out_accuracy,
    odd_one_out_probabilities,
    odd_one_out_scores,
    rsa_score,
    triplets_from_similarity,
)
from convexlib.concepts import nonmetric_mds, predicted_dimensions
from convexlib.convexity import graph_convexity_score
from convexlib.data import Human, Judgments
from convexlib.layers import ORIGINAL, Layer, NotMeasuredWarning
from convexlib.measures import carried_over, convexity
from convexlib.measures.dimensions import PREDICTED
from convexlib.settings import Measures
from convexlib.transforms import AlignmentTransform

N_CONCEPTS, N_IMAGES, N_FEATURES = 12, 10, 8
CATEGORY = np.array(list("aaaabbbbcccc"))
FITTED = {
    *("held_out_convexity", "held_out_odd_one_out", "held_out_rsa"),
    *("other_half_odd_one_out", "transformed_convexity"),
}
KEYS = ["measure", "space", "kind", "concept", "judgments"]

Arrays = tuple[np.ndarray, np.ndarray]


def with_settings(**changes: object) -> Measures:
    transform = {"lmbda": 0.1, "n_folds": 3, "n_repeats": 2} | changes.pop("transform", {})
    return Measures.model_validate({"n_neighbors": 5, "transform": transform} | changes)


SETTINGS = with_settings()
ONE_FIT = with_settings(transform={"n_repeats": 1, "kinds": ["global"]})


def similarities(seed: int = 0) -> np.ndarray:
    """Of concepts on a plane."""
    places = np.random.default_rng(seed).normal(size=(N_CONCEPTS, 2))
    return -np.linalg.norm(places[:, None] - places, axis=2)


@cache
def on_a_plane() -> Judgments:
    similarity = similarities()
    scaled = nonmetric_mds(similarity)
    triplets = triplets_from_similarity(similarity)
    return Judgments(triplets, similarity, scaled.coordinates, scaled.stress)


def people(**changes: object) -> Human:
    """What people judged, but for what is changed."""
    concepts = np.repeat(np.arange(N_CONCEPTS), N_IMAGES)
    return Human(
        names=[f"concept {number}" for number in range(N_CONCEPTS)],
        shown=concepts,
        categories=pd.get_dummies(pd.Series(CATEGORY[concepts]), dtype=bool),
        sets={"people": on_a_plane()._replace(**changes)},
    )


def a_layer(seed: int = 1, *, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Images scattered around their concepts, and reference images."""
    rng = np.random.default_rng(seed)
    reference = rng.normal(size=(N_CONCEPTS, N_FEATURES))
    images = np.repeat(reference, N_IMAGES, axis=0)
    return images + noise * rng.normal(size=images.shape), reference


def of_model(
    arrays: Sequence[Arrays],
    human: Human,
    settings: Measures = SETTINGS,
    *,
    only: Sequence[str] = (),
) -> pd.DataFrame:
    """What files of measures, by default those of every model, measure, as the pipeline does."""
    options, only = settings.transform, only or measures.of_every_model()
    files = [import_module(f"convexlib.measures.{name}") for name in only]
    found = []
    for number, (X, reference) in enumerate(arrays):
        layer = Layer.of(
            X,
            reference,
            human,
            n_neighbors=settings.n_neighbors,
            similarity=settings.similarity,
            name=f"layer {number} of a-model",
            options=options,
        )
        if FITTED & {*only}:
            fits = layers.load_fits(layers.fit_all(layer, options), human, options)
            layer = layer._replace(fits=fits)
        found.append(layer)
    tables = [layers.measured(file.rows, file.MEASURES, found) for file in files]
    return pd.concat([table for table in tables if len(table)], ignore_index=True)


def measured(
    X: np.ndarray,
    reference: np.ndarray,
    human: Human,
    settings: Measures = SETTINGS,
    only: Sequence[str] = (),
) -> pd.DataFrame:
    """What is measured at one layer."""
    table = of_model([(X, reference)], human, settings, only=only)
    table = table.drop(columns=["layer", "depth"])
    assert not table.duplicated(KEYS).any()
    return table


@pytest.fixture(scope="module")
def layer() -> tuple[np.ndarray, np.ndarray, Human, pd.DataFrame]:
    """A layer, what is known of its images, and what was measured."""
    X, reference = a_layer()
    human = people()
    return X, reference, human, measured(X, reference, human)


def values(table: pd.DataFrame) -> pd.Series:
    return table[table["kind"] == ""].set_index(["measure", "space"])["value"]


def test_the_original_space_is_measured_as_the_words_say(layer: tuple) -> None:
    X, reference, human, table = layer
    value = values(table)
    assert value["convexity", "original"] == pytest.approx(
        graph_convexity_score(X, CATEGORY[human.shown], n_neighbors=5)
    )
    assert value["concept_convexity", "original"] == pytest.approx(
        graph_convexity_score(X, human.shown, n_neighbors=5)
    )
    assert value["odd_one_out", "original"] == odd_one_out_accuracy(
        reference, human.judgments.triplets
    )
    assert value["rsa", "original"] == rsa_score(reference, human.judgments.similarity)
    assert value["temperature", "original"] == fit_temperature(reference, human.judgments.triplets)


@pytest.mark.parametrize("kind", ["naive", "global"])
def test_a_transform_is_judged_on_concepts_that_it_was_not_fitted_to(
    kind: str, layer: tuple
) -> None:
    X, reference, human, table = layer
    value = values(table)
    correct, by_dot, by_dot_before, rsa, convexity = [], [], [], [], []
    for repeat in range(2):
        for training, test in object_folds(
            human.judgments.triplets, 12, n_folds=3, random_state=repeat
        ):
            objects = np.unique(training)
            rows = np.searchsorted(objects, training)
            fitted = AlignmentTransform(kind, lmbda=0.1).fit(reference[objects], rows)
            Z = fitted.transform(reference)
            correct += [odd_one_out_accuracy(Z, [t]) for t in test]
            by_dot += [odd_one_out_accuracy(Z, [t], similarity="dot") for t in test]
            scaled = fitted.standardize(reference)
            by_dot_before += [odd_one_out_accuracy(scaled, [t], similarity="dot") for t in test]
            held_out = np.unique(test)
            assert not set(held_out) & set(objects)
            of_people = human.judgments.similarity[np.ix_(held_out, held_out)]
            rsa.append(rsa_score(Z[held_out], of_people))
            images = np.isin(human.shown, held_out)
            if (human.categories[images].sum() > 0).sum() > 1:
                convexity.append(
                    graph_convexity_score(
                        fitted.transform(X[images]),
                        CATEGORY[human.shown[images]],
                        n_neighbors=5,
                    )
                )
    assert value["held_out_odd_one_out", kind] == pytest.approx(np.mean(correct), abs=1e-6)
    assert value["held_out_dot", kind] == pytest.approx(np.mean(by_dot), abs=1e-6)
    assert value["held_out_dot", "original"] == pytest.approx(np.mean(by_dot_before))
    assert value["held_out_rsa", kind] == pytest.approx(np.mean(rsa), abs=1e-6)
    assert value["held_out_convexity", kind] == pytest.approx(np.mean(convexity), abs=1e-6)
    everything = AlignmentTransform(kind, lmbda=0.1).fit(reference, human.judgments.triplets)
    assert value["convexity", kind] == pytest.approx(
        graph_convexity_score(everything.transform(X), CATEGORY[human.shown], n_neighbors=5)
    )


def test_judgments_without_a_rule_cannot_be_learned_from_the_other_half() -> None:
    """Were a transform judged on what it was fitted to, it would be right nearly always."""
    rng = np.random.default_rng(0)
    accuracies = []
    for seed in range(3):
        human = people(triplets=rng.permuted(people().judgments.triplets, axis=1))
        unseen = ["held_out_odd_one_out", "other_half_odd_one_out"]
        value = values(measured(*a_layer(seed), human, only=unseen))
        accuracies += [value["other_half_odd_one_out", kind] for kind in ("naive", "global")]
        accuracies += [value["held_out_odd_one_out", kind] for kind in ("naive", "global")]
    assert np.mean(accuracies) == pytest.approx(1 / 3, abs=0.06)


def test_a_rule_that_holds_for_all_judgments_is_learned_from_half_of_them() -> None:
    places = people().judgments.dimensions
    rng = np.random.default_rng(0)
    reference = np.concatenate([places, 3 * rng.normal(size=(12, 4))], axis=1)
    X = np.repeat(reference, N_IMAGES, axis=0)
    value = values(measured(X, reference, people(), only=["other_half_odd_one_out"]))
    before = value["other_half_odd_one_out", "original"]
    assert value["other_half_odd_one_out", "global"] > before + 0.2


def test_names_of_images_not_seen_cannot_be_learned_from_noise() -> None:
    gains = []
    for seed in range(3):
        noise = np.random.default_rng(seed).normal(size=(N_CONCEPTS * N_IMAGES, N_FEATURES))
        value = values(measured(noise, a_layer(seed)[1], people(), only=["lda"]))
        gains.append(value["taught_convexity", "lda"] - value["taught_convexity", "original"])
    assert abs(np.mean(gains)) < 0.05


def test_human_names_bring_alignment_and_made_up_ones_do_not() -> None:
    """Categories are what people judge by; the space holds them among much else."""
    codes = pd.get_dummies(CATEGORY).to_numpy(dtype=float)
    rng = np.random.default_rng(3)
    similarity = codes @ codes.T + 0.01 * -abs(similarities())
    reference = np.concatenate([codes, rng.normal(size=(N_CONCEPTS, 6))], axis=1)
    X = np.repeat(reference, N_IMAGES, axis=0)
    X = X + 0.3 * rng.normal(size=X.shape)
    triplets = triplets_from_similarity(similarity)
    human = people(triplets=triplets, similarity=similarity)
    value = values(measured(X, reference, human, only=["lda", "odd_one_out"]))
    assert value["taught_convexity", "lda"] > value["taught_convexity", "original"] + 0.1
    assert (
        value["made_up_convexity", "lda shuffled"] > value["made_up_convexity", "original"] + 0.05
    )
    assert value["odd_one_out", "lda"] > value["odd_one_out", "original"] + 0.1
    assert value["odd_one_out", "lda shuffled"] < value["odd_one_out", "lda"] - 0.1


def test_dimensions_are_predicted_from_the_mean_of_the_images_of_a_concept(layer: tuple) -> None:
    X, _, human, table = layer
    rows = table[(table["measure"] == PREDICTED) & (table["kind"] == "dimension 2")]
    means = X.reshape(N_CONCEPTS, N_IMAGES, -1).mean(axis=1)
    expected = predicted_dimensions(means, human.judgments.dimensions)[:, 1]
    np.testing.assert_allclose(rows["value"], expected)
    assert rows["concept"].tolist() == human.names


def test_accuracies_by_concept_are_parts_of_the_whole(layer: tuple) -> None:
    *_, table = layer
    whole = values(table)
    for measure, space in (("odd_one_out", "original"), ("held_out_odd_one_out", "naive")):
        chosen = table[(table["measure"] == measure) & (table["space"] == space)]
        n_triplets = chosen[chosen["concept"] == ""]["n"].item()
        by_dimension = chosen[chosen["kind"] == "dimension"]
        assert 0.8 * n_triplets < by_dimension["n"].sum() <= n_triplets
        mean = np.average(by_dimension["value"], weights=by_dimension["n"])
        assert mean == pytest.approx(whole[measure, space], abs=0.1)
        assert chosen[chosen["kind"] == "concept"]["n"].sum() == 2 * n_triplets  # the kept pair


def test_a_space_that_agrees_in_all_needs_no_temperature() -> None:
    places = nonmetric_mds(similarities(), n_dimensions=4).coordinates
    distances = np.linalg.norm(places[:, None] - places, axis=2)
    human = people(triplets=triplets_from_similarity(-distances))
    settings = SETTINGS.model_copy(update={"similarity": "euclidean"})
    X = np.repeat(places, N_IMAGES, axis=0)
    X = X + 0.01 * np.random.default_rng(0).normal(size=X.shape)
    value = values(measured(X, places, human, settings, ["odd_one_out", "temperature"]))
    assert value["odd_one_out", "original"] == 1
    assert value["temperature", "original"] == 0


def test_layers_are_measured_one_by_one_with_their_depth(whole: pd.DataFrame) -> None:
    assert whole.groupby("layer")["depth"].unique().tolist() == [0.0, 0.5, 1.0]
    second = whole[whole["layer"] == 1].set_index(KEYS)["value"]
    alone = measured(*a_layer(1), people(), ONE_FIT).set_index(KEYS)["value"]
    pd.testing.assert_series_equal(second, alone)


def test_convexity_is_the_mean_of_its_classes(layer: tuple) -> None:
    X, _, human, table = layer
    for measure, kind, labels in (
        ("convexity", "category", CATEGORY[human.shown]),
        ("concept_convexity", "concept", human.shown),
    ):
        rows = table[(table["measure"] == measure) & (table["space"] == ORIGINAL)]
        of_class = rows[rows["kind"] == kind]
        alone = graph_convexity_score(X, labels, n_neighbors=5, average=None)
        np.testing.assert_array_equal(of_class["value"], alone)
        assert of_class["n"].sum() == len(X)
        assert rows[rows["kind"] == ""]["value"].item() == pytest.approx(alone.mean())


def test_every_measure_of_a_layer_is_known_and_every_known_one_is_measured(layer: tuple) -> None:
    *_, table = layer
    of_several = {"carried_over", "cross_entropy", "entropy_correlation"}  # sets, or judges
    known = [import_module(f"convexlib.measures.{n}").MEASURES for n in measures.of_every_model()]
    assert set(table["measure"]) == {*chain.from_iterable(known), PREDICTED} - of_several


Change = Callable[[np.ndarray, np.ndarray], None]


def changed(place: str, row: int, value: float) -> Change:
    """One image, among all or among the references, is represented by this value alone."""

    def change(X: np.ndarray, reference: np.ndarray) -> None:
        {"X": X, "reference": reference}[place][row] = value

    return change


def of_three_layers(change: Change) -> pd.DataFrame:
    """The measures of a model of which the second layer is changed."""
    arrays = [a_layer(0), a_layer(1), a_layer(2)]
    change(*arrays[1])
    return of_model(arrays, people(), ONE_FIT)


def without(table: pd.DataFrame, layer: int) -> pd.DataFrame:
    return table[table["layer"] != layer].reset_index(drop=True)


@pytest.fixture(scope="module")
def whole() -> pd.DataFrame:
    return of_three_layers(lambda X, reference: None)


@pytest.mark.parametrize(
    ("place", "row", "value", "image"),
    [
        ("X", 57, np.nan, "X row 57, an image of 'concept 5'"),
        ("reference", 7, -np.inf, "reference row 7, an image of 'concept 7'"),
    ],
)
def test_a_layer_that_is_not_finite_leaves_the_others_as_they_are(
    place: str, row: int, value: float, image: str, whole: pd.DataFrame
) -> None:
    with pytest.warns(
        NotMeasuredWarning, match=f"^layer 1 of a-model is left out: {image}.*$"
    ) as said:
        table = of_three_layers(changed(place, row, value))
    assert len({str(warning.message) for warning in said}) == 1
    pd.testing.assert_frame_equal(without(table, 1), without(whole, 1))
    seen = table[table["layer"] == 1]
    assert seen["value"].isna().all()
    original = whole.query("layer == 1 and space == 'original'")
    assert {"convexity", "odd_one_out", "rsa", "temperature"} <= set(seen["measure"])
    assert set(seen["measure"]) <= set(original["measure"])
    assert (seen["depth"] == 0.5).all()
    assert set(seen["kind"]) == {""}


def test_a_model_of_which_no_layer_is_finite_has_a_table_still() -> None:
    X, reference = a_layer()
    X[3] = np.nan
    with pytest.warns(NotMeasuredWarning, match=r"layer \d of a-model is left out") as said:
        table = of_model([(X, reference)] * 2, people())
    of_layers = dict.fromkeys(str(warning.message)[:7] for warning in said)
    assert [*of_layers] == ["layer 0", "layer 1"]
    assert table["value"].isna().all()
    assert set(table["layer"]) == {0, 1}
    assert set(table["kind"]) == {""}


def test_what_needs_the_cosine_of_an_image_without_one_is_nan(whole: pd.DataFrame) -> None:
    with pytest.warns(
        NotMeasuredWarning,
        match="^layer 1 of a-model has no cosines with reference row 4, the image of 'concept 4'",
    ) as said:
        table = of_three_layers(changed("reference", 4, 0.0))
    assert len({str(warning.message) for warning in said}) == 1
    pd.testing.assert_frame_equal(without(table, 1), without(whole, 1))
    of_layer_1, as_before = (values(t.query("layer == 1")) for t in (table, whole))
    assert of_layer_1.index.equals(as_before.index)
    undefined = of_layer_1[of_layer_1.isna()].index
    assert set(undefined) == {
        (measure, "original")
        for measure in (
            "odd_one_out",
            "rsa",
            "temperature",
            "held_out_odd_one_out",
            "held_out_rsa",
            "other_half_odd_one_out",
        )
    }
    for measure in ("convexity", "concept_convexity", "connected_pairs", "taught_convexity"):
        assert of_layer_1[measure, "original"] == as_before[measure, "original"]


@pytest.mark.parametrize("similarity", ["dot", "euclidean"])
def test_an_image_of_zeros_has_dot_products_and_distances(similarity: str) -> None:
    settings = ONE_FIT.model_copy(update={"similarity": similarity})
    X, reference = a_layer()
    X[3] = reference[4] = 0
    table = measured(X, reference, people(), settings)
    assert table["value"].notna().all()


def test_an_image_of_zeros_that_nobody_judged_has_a_place() -> None:
    X, reference = a_layer()
    X[3] = 0
    assert measured(X, reference, people(), ONE_FIT)["value"].notna().all()


def test_a_zero_that_is_in_no_triplet_leaves_the_choices() -> None:
    triplets = people().judgments.triplets
    human = people(triplets=triplets[(triplets != 4).all(axis=1)])
    X, reference = a_layer()
    as_before = values(measured(X, reference, human, ONE_FIT))
    reference[4] = 0
    with pytest.warns(NotMeasuredWarning, match="no cosines with reference row 4"):
        value = values(measured(X, reference, human, ONE_FIT))
    assert value["odd_one_out", "original"] == as_before["odd_one_out", "original"]
    assert value["temperature", "original"] == as_before["temperature", "original"]
    assert np.isnan(value["rsa", "original"])


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("noise", [0, 1])
def test_a_class_token_before_it_met_an_image_is_measured(
    noise: int, dtype: type, similarity: str, whole: pd.DataFrame
) -> None:
    """At the first layer of several, in their own precision, the same for all but for rounding."""
    rng = np.random.default_rng(0)
    token = rng.normal(size=N_FEATURES).astype(dtype)

    def tokens(n_images: int) -> np.ndarray:
        steps = noise * rng.integers(-1, 2, size=(n_images, N_FEATURES)).astype(dtype)
        return token + steps * np.spacing(abs(token))

    first_layer = tokens(N_CONCEPTS * N_IMAGES), tokens(N_CONCEPTS)
    assert first_layer[0].dtype == dtype
    settings = ONE_FIT.model_copy(update={"similarity": similarity})
    others = [a_layer(1)] if similarity == "cosine" else []
    table = of_model([first_layer, *others], people(), settings)
    rows = table[table["layer"] == 0]
    first = values(rows)
    assert first["odd_one_out", "original"] == pytest.approx(1 / 3)
    assert first["temperature", "original"] == np.inf
    undefined = ["convexity", "concept_convexity", "connected_pairs", "rsa"]
    assert first[undefined].isna().all()
    assert len(first) == 6
    by_concept = rows[(rows["kind"] != "") & (rows["measure"] == "odd_one_out")]["value"]
    assert by_concept.to_numpy() == pytest.approx(1 / 3)
    constant = np.ones((N_CONCEPTS, N_FEATURES))
    expected = predicted_dimensions(constant, people().judgments.dimensions)
    predicted = rows[rows["measure"] == PREDICTED]["value"]
    np.testing.assert_allclose(predicted, expected.ravel())
    for one, other in [(table, whole)] * len(others):  # measured as if it were alone
        pd.testing.assert_frame_equal(
            *(
                t.query("layer == 1").drop(columns="depth").reset_index(drop=True)
                for t in (one, other)
            )
        )


def test_a_space_of_one_direction_is_at_chance_and_has_nothing_to_rank() -> None:
    rng = np.random.default_rng(0)
    direction = rng.normal(size=50)
    of_a_line = ["convexity", "odd_one_out", "held_out_odd_one_out", "temperature", "rsa"]
    lengths = rng.uniform(1, 2, size=(N_CONCEPTS * N_IMAGES, 1))
    for dtype in (np.float32, np.float64):
        X = (lengths * direction).astype(dtype)
        value = values(measured(X, X[::N_IMAGES], people(), ONE_FIT, of_a_line))
        assert value["odd_one_out", "original"] == pytest.approx(1 / 3)
        assert value["held_out_odd_one_out", "original"] == pytest.approx(1 / 3)
        assert value["temperature", "original"] == np.inf
        assert np.isnan(value["rsa", "original"])
        assert np.isfinite(value["convexity", "original"])


def test_a_space_in_which_no_transform_can_be_fitted_is_measured_as_it_is() -> None:
    """All references but one are represented alike, so that a fold is fitted to nothing else."""
    X, reference = a_layer()
    reference[1:] = reference[1]
    with pytest.warns(
        NotMeasuredWarning, match="layer 0 of a-model allows no fit of the (naive|global) transform"
    ) as said:
        value = values(measured(X, reference, people()))
    assert len(said) == 2
    assert np.isfinite(value["convexity", "original"])
    assert np.isfinite(value["odd_one_out", "original"])
    for kind in ("naive", "global"):
        assert np.isnan(value["held_out_odd_one_out", kind])
        assert np.isnan(value["convexity", kind])
    assert np.isfinite(value["taught_convexity", "lda"])


def test_images_alike_within_their_category_teach_no_names() -> None:
    codes = np.eye(3)[np.repeat([0, 1, 2], 4)]
    X = np.repeat(codes, N_IMAGES, axis=0)
    with pytest.warns(NotMeasuredWarning, match="layer 0 of a-model allows no names to be learned"):
        value = values(measured(X, a_layer()[1][:, :3], people(), ONE_FIT, ["convexity", "lda"]))
    assert "taught_convexity" not in value.index.get_level_values("measure")
    assert value["convexity", "original"] == 1


def test_tensors_are_measured_as_arrays_are(layer: tuple) -> None:
    X, reference, human, table = layer
    tensors = (torch.tensor(features, requires_grad=True) for features in (X, reference))
    pd.testing.assert_frame_equal(measured(*tensors, human), table)


@pytest.mark.parametrize(
    ("X", "reference", "message"),
    [
        (np.ones((3, 2)), np.ones((12, 2)), "X has 3 rows; give one each of 120 images"),
        (np.ones((120, 2)), np.ones((3, 2)), "reference has 3 rows; give one each of 12 images"),
        (np.ones(120), np.ones((12, 2)), r"X has shape \(120,\); give a non-empty array"),
        (np.ones((120, 2)) * 1j, np.ones((12, 2)), "X has dtype complex128; give real numbers"),
        (np.ones((120, 2)), [[1.0], [1.0, 2.0]], "reference is no array"),
    ],
)
def test_features_of_other_images_are_named(X: object, reference: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Layer.of(X, reference, people())


def judging(human: Human, **changes: object) -> Human:
    """The same with other judgments."""
    return human._replace(sets={"people": human.judgments._replace(**changes)})


def fewer(n_concepts: int) -> Human:
    """The first concepts alone, and their images."""
    human = people()
    images, judged = human.shown < n_concepts, human.judgments
    return judging(
        human._replace(
            categories=human.categories[images].reset_index(drop=True),
            shown=human.shown[images],
            names=human.names[:n_concepts],
        ),
        triplets=judged.triplets[(judged.triplets < n_concepts).all(axis=1)],
        similarity=judged.similarity[:n_concepts, :n_concepts],
        dimensions=judged.dimensions[:n_concepts],
    )


ALL = people()
TRIPLETS = ALL.judgments.triplets
NEIGHBOURS_UNKNOWN = np.where(np.eye(12, k=1) + np.eye(12, k=-1), np.nan, 0)
CANNOT_BE_MEASURED = [
    (people(triplets=TRIPLETS[:3]), {}, "triplets are 3, and none of 3 folds of 12"),
    (people(triplets=TRIPLETS[:0]), {}, r"triplets has shape \(0, 3\)"),
    (people(triplets=TRIPLETS + 1), {}, "triplets row .*but X has rows 0 to 11"),
    (ALL, {"transform": {"n_folds": 5}}, "n_folds is 5 for 12 objects; give 3 objects a fold"),
    (ALL, {"n_neighbors": 40}, "n_neighbors is 40, but .* as few as 40 images; choose at most 39"),
    (ALL, {"n_neighbors": 200}, "n_neighbors is 200, but convexity"),
    (ALL._replace(categories=ALL.categories.any(axis=1).to_frame("all")), {}, "one category 'all'"),
    (ALL._replace(categories=ALL.categories & False), {}, "3 categories and none of two images"),
    (ALL._replace(categories=ALL.categories.iloc[:, :0]), {}, "0 categories and none of two"),
    (ALL._replace(categories=ALL.categories.iloc[:5]), {}, "categories has 5 rows, but there are"),
    (ALL._replace(shown=ALL.shown % 11), {}, "concepts lack 'concept 11', of which there"),
    (people(similarity=np.eye(5)), {}, "similarity is of 5 concepts, but there are 12"),
    (people(similarity=NEIGHBOURS_UNKNOWN), {}, "similarity holds NaN or infinity"),
    (people(dimensions=ALL.judgments.dimensions[:5]), {}, "dimensions has 5 rows for 12 concepts"),
    (
        ALL._replace(sets=ALL.sets | {"others": Judgments(TRIPLETS + 1)}),
        {},
        "triplets row .*but X has rows 0 to 11",
    ),
    (fewer(3), {}, "dimensions has 3 rows for 3 concepts; .*at least 4 concepts"),
    (fewer(5), {}, "n_folds is 3 for 5 objects; give 3 objects a fold"),
]


@pytest.mark.parametrize(("human", "changes", "message"), CANNOT_BE_MEASURED)
@pytest.mark.filterwarnings("ignore:.* fewer than two members")
def test_what_cannot_be_measured_is_known_before_any_layer(
    human: Human, changes: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as said:
        layers.check(human, with_settings(**changes))
    assert "\n" not in str(said.value)


def some_study(seed: int) -> tuple[Human, Measures]:
    """Few concepts, of few images, with few judgments."""
    rng = np.random.default_rng(seed)
    n_concepts, n_categories = int(rng.integers(6, 14)), int(rng.integers(1, 4))
    n_images = rng.choice([1, 2, 6], n_concepts) if seed % 2 else int(rng.integers(1, 4))
    concepts = rng.permutation(np.repeat(np.arange(n_concepts), n_images))
    category = pd.Series(rng.integers(n_categories, size=n_concepts)[concepts])
    ratings = rng.integers(4, size=(n_concepts, n_concepts)).astype(float)
    n_triplets = int(rng.choice([2, 10, 100]))
    judged = Judgments(
        triplets=np.array([rng.permutation(n_concepts)[:3] for _ in range(n_triplets)]),
        similarity=ratings + ratings.T if seed % 3 else None,
        dimensions=rng.normal(size=(n_concepts, 2)) if seed % 5 else None,
    )
    human = Human(
        names=[f"concept {number}" for number in range(n_concepts)],
        shown=concepts,
        categories=pd.get_dummies(category.map("category {}".format), dtype=bool),
        sets={"people": judged},
    )
    transform = {"n_folds": int(rng.integers(2, 4)), "n_repeats": 1, "kinds": ["global"]}
    return human, with_settings(n_neighbors=int(rng.integers(1, 5)), transform=transform)


def is_refused(measure: Callable, *arguments: object) -> bool:
    try:
        measure(*arguments)
    except ValueError:
        return True
    return False


@pytest.mark.filterwarnings("ignore:.* fewer than two members")
def test_what_passes_the_check_can_be_measured_and_nothing_else() -> None:
    outcomes = []
    for seed in range(20):
        human, settings = some_study(seed)
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(len(human.shown), 4))
        reference = rng.normal(size=(len(human.names), 4))
        fails = [
            is_refused(layers.check, human, settings),
            is_refused(of_model, [(X, reference)], human, settings),
        ]
        assert fails[0] == fails[1], seed
        outcomes.append(fails[0])
    assert 4 < sum(outcomes) < 16


def test_a_layer_that_is_the_same_for_all_images_is_at_chance() -> None:
    """Such as a class token before it met an image."""
    human = people()
    same = np.ones((N_CONCEPTS * N_IMAGES, N_FEATURES))
    value = values(measured(same, same[:N_CONCEPTS], human))
    assert value["odd_one_out", "original"] == pytest.approx(1 / 3)
    assert value["temperature", "original"] == np.inf
    assert np.isnan(value["convexity", "original"])
    assert np.isnan(value["rsa", "original"])
    assert set(value.index.get_level_values("space")) == {"original"}


def test_a_transform_that_leaves_nothing_is_at_chance() -> None:
    X, reference = a_layer()
    strong = SETTINGS.transform.model_copy(update={"lmbda": 1e6})
    settings = SETTINGS.model_copy(update={"transform": strong})
    value = values(measured(X, reference, people(), settings))
    assert value["held_out_odd_one_out", "naive"] == pytest.approx(1 / 3)
    assert value["other_half_odd_one_out", "naive"] == pytest.approx(1 / 3)
    assert np.isnan(value["held_out_rsa", "naive"])
    assert np.isnan(value["convexity", "naive"])
    # So strong a pull towards the original space leaves it, up to scale and a shift.
    for measure in ("held_out_convexity", "convexity"):
        assert value[measure, "global"] == pytest.approx(value[measure, "original"], abs=0.01)


def test_a_study_may_choose_one_transform() -> None:
    X, reference = a_layer()
    one = SETTINGS.transform.model_copy(update={"kinds": ("global",)})
    settings = SETTINGS.model_copy(update={"transform": one})
    table = measured(X, reference, people(), settings)
    assert set(table["space"]) == {"original", "global", "lda", "lda shuffled"}


def test_categories_may_overlap_and_leave_images_out() -> None:
    X, reference = a_layer()
    human = people()
    members = pd.DataFrame(
        {"ab": CATEGORY != "c", "b": CATEGORY == "b", "few": np.arange(N_CONCEPTS) < 2}
    )
    overlapping = human._replace(categories=members.iloc[human.shown].reset_index(drop=True))
    table = measured(X, reference, overlapping)
    value = values(table)
    assert value["convexity", "original"] == pytest.approx(
        graph_convexity_score(X, overlapping.categories, n_neighbors=5)
    )
    assert "lda" not in table["space"].unique()  # there is no single name to learn
    kinds = table[table["kind"] == "category"]
    assert {"ab", "b"} <= set(kinds["concept"]) <= {"ab", "b", "few"}


def test_a_concept_may_have_a_single_image() -> None:
    X, reference = a_layer()
    several = people()
    first = np.arange(0, len(X), N_IMAGES)
    single = several._replace(
        categories=several.categories.iloc[first].reset_index(drop=True),
        shown=np.arange(N_CONCEPTS),
    )
    settings = SETTINGS.model_copy(update={"n_neighbors": 2})
    table = measured(X[first], reference, single, settings)
    assert "concept_convexity" not in set(table["measure"])
    # Four images a category are too few to learn its name from.
    assert set(table["space"]) == {"original", "naive", "global"}


# Several sets of judgments.


def of_two_sets(other: Judgments) -> Human:
    return people()._replace(sets={"one": on_a_plane(), "other": other})


def carried(table: pd.DataFrame, space: str) -> pd.Series:
    rows = table[(table["measure"] == "carried_over") & (table["space"] == space)]
    assert (rows["kind"] == "fitted to").all()
    return rows.set_index(["concept", "judgments"])["value"]


def test_a_transform_is_judged_on_the_other_set_as_the_words_say() -> None:
    X, reference = a_layer()
    other = Judgments(triplets_from_similarity(similarities(seed=5)))
    table = measured(X, reference, of_two_sets(other), ONE_FIT, only=["carried_over"])
    fitted = AlignmentTransform("global", lmbda=0.1).fit(reference, on_a_plane().triplets)
    values = carried(table, "global")
    assert values["one", "other"] == pytest.approx(
        odd_one_out_accuracy(fitted.transform(reference), other.triplets)
    )
    original = carried(table, "original")
    assert original["one", "other"] == pytest.approx(
        odd_one_out_accuracy(reference, other.triplets)
    )
    folds = [*object_folds(on_a_plane().triplets, N_CONCEPTS, n_folds=3)]
    unseen = np.concatenate([test for _, test in folds])
    assert original["one", "one"] == pytest.approx(odd_one_out_accuracy(reference, unseen))
    scores = [
        odd_one_out_scores(
            AlignmentTransform("global", lmbda=0.1).fit(reference, training).transform(reference),
            test,
        )
        for training, test in folds
    ]
    assert values["one", "one"] == pytest.approx(np.concatenate(scores).mean(), abs=0.02)


def test_what_is_learned_carries_over_to_a_kindred_set_and_from_shuffled_choices_nothing() -> None:
    """People of both sets see the same two of the features, and judge other triplets."""
    rng = np.random.default_rng(3)
    reference = rng.normal(size=(N_CONCEPTS, N_FEATURES))
    seen = np.exp(-np.linalg.norm(reference[:, None, :2] - reference[:, :2], axis=2))
    triplets = rng.permutation(triplets_from_similarity(seen))
    half = len(triplets) // 2
    human = people()._replace(
        sets={"one": Judgments(triplets[:half]), "other": Judgments(triplets[half:])}
    )
    X = np.repeat(reference, N_IMAGES, axis=0)
    table = measured(X, reference, human, ONE_FIT, only=["carried_over"])
    pair = ("one", "other")
    original, real, shuffled = (
        carried(table, space)[pair] for space in ("original", "global", "global shuffled")
    )
    assert real > original + 0.1
    assert shuffled < original + 0.05


def test_concepts_of_several_reference_images_are_held_out_too() -> None:
    """Twelve concepts in each of three typefaces, and triplets within a typeface."""
    rng = np.random.default_rng(0)
    one = rng.normal(size=(N_CONCEPTS, N_FEATURES))
    reference = np.concatenate([one + 0.1 * rng.normal(size=one.shape) for _ in range(3)])
    triplets = triplets_from_similarity(similarities())
    triplets = np.concatenate([triplets + N_CONCEPTS * number for number in range(3)])
    concept, typeface = np.tile(np.arange(N_CONCEPTS), 3), np.repeat(np.arange(3), N_CONCEPTS)
    human = people()._replace(
        names=[f"image {number}" for number in range(len(reference))],
        sets={"one": Judgments(triplets), "other": on_a_plane()},
        concepts=[f"concept {number}" for number in concept],
        groups=[f"typeface {number}" for number in typeface],
    )
    X = np.repeat(one, N_IMAGES, axis=0)
    found = carried(measured(X, reference, human, ONE_FIT, only=["carried_over"]), "global")
    for target, groups in {"one": typeface, carried_over.UNSEEN: concept}.items():
        folds = object_folds(triplets, len(reference), n_folds=3, groups=groups)
        scores = []
        for training, test in folds:
            assert not set(groups[training].ravel()) & set(groups[test].ravel())
            fitted = AlignmentTransform("global", lmbda=0.1).fit(reference, training)
            scores.append(odd_one_out_scores(fitted.transform(reference), test))
        assert found["one", target] == pytest.approx(np.concatenate(scores).mean(), abs=0.02)


def test_each_set_of_judgments_has_groups_enough_for_its_folds() -> None:
    triplets = on_a_plane().triplets
    human = of_two_sets(Judgments(triplets[triplets.max(axis=1) < 6]))
    groups = [*"aabbccddeeff"]
    message = r"n_folds is 4, but the judgments 'other' are of 3 groups .* choose at most 3"
    settings = with_settings(n_neighbors=2, transform={"n_folds": 4})
    with pytest.raises(ValueError, match=message):
        layers.check(human._replace(groups=groups), settings)
    layers.check(human, settings)


def test_similarities_of_some_objects_are_held_against_these_alone() -> None:
    X, reference = a_layer()
    known, similarity = np.arange(3, 9), similarities()
    partly = np.full(similarity.shape, np.nan)
    partly[np.ix_(known, known)] = similarity[np.ix_(known, known)]
    human = of_two_sets(Judgments(on_a_plane().triplets, partly))
    layers.check(human, SETTINGS)
    table = measured(X, reference, human, only=["rsa"]).set_index("judgments")
    whole = rsa_score(reference[known], similarity[np.ix_(known, known)])
    assert table.loc["other", "value"] == pytest.approx(whole)
    assert table["n"].tolist() == [N_CONCEPTS * (N_CONCEPTS - 1) // 2, 15]


def test_a_single_set_has_nothing_to_carry_over() -> None:
    X, reference = a_layer()
    layer = Layer.of(X, reference, people(), options=ONE_FIT.transform)
    rows = import_module("convexlib.measures.carried_over").rows(layer)
    assert list(rows) == []


def test_uncertainty_is_measured_where_triplets_repeat() -> None:
    rng = np.random.default_rng(0)
    X, reference = a_layer()
    likely = odd_one_out_probabilities(reference, on_a_plane().triplets, temperature=0.2)
    ways = np.array([[0, 1, 2], [0, 2, 1], [1, 2, 0]])
    kept = np.stack([rng.choice(3, 40, p=share) for share in likely])
    triplets = on_a_plane().triplets[np.arange(len(likely))[:, None, None], ways[kept]]
    human = people()._replace(sets={"many": Judgments(triplets.reshape(-1, 3))})
    table = measured(X, reference, human, only=["disagreement"]).set_index("measure")
    entropies = stats.entropy(likely, axis=1)
    assert table.loc["cross_entropy", "value"] == pytest.approx(entropies.mean(), abs=0.02)
    assert table.loc["entropy_correlation", "value"] > 0.8
    assert (table["n"] == len(likely)).all()
    assert measured(X, reference, people(), only=["disagreement", "rsa"])["measure"].tolist() == [
        "rsa"
    ]


def test_a_share_of_the_images_is_measured_and_the_judgments_stay() -> None:
    human, (X, reference) = people(), a_layer()
    fewer = human.fewer(0.5)
    assert len(fewer.measured) == len(fewer.shown) == len(fewer.categories)
    assert set(np.bincount(fewer.shown)) == {round(N_IMAGES / 2)}
    np.testing.assert_array_equal(fewer.shown, human.shown[fewer.measured])
    layer = layers.Layer.of(X, reference, fewer)
    np.testing.assert_array_equal(layer.X, X[fewer.measured])
    np.testing.assert_array_equal(layer.reference, reference)
    assert fewer.sets == human.sets
    assert len(human.fewer(0.01).shown) == N_CONCEPTS  # one each at least


def test_shuffled_labels_keep_how_often_people_agree_and_how_large_categories_are() -> None:
    human = people()
    dealt = human.shuffled()
    judged, before = dealt.judgments, human.judgments
    assert (judged.triplets != before.triplets).any()
    assert (dealt.categories.to_numpy() != human.categories.to_numpy()).any()
    per_concept = dealt.categories.groupby(dealt.shown).nunique()
    assert (per_concept == 1).all(axis=None)  # images of a concept stay together
    assert sorted(dealt.categories.sum()) == sorted(human.categories.sum())
    # Judgments by one method still say the same as those by the other.
    triplets = triplets_from_similarity(judged.similarity)
    assert {(*sorted(t[:2]), t[2]) for t in triplets.tolist()} == {
        (*sorted(t[:2]), t[2]) for t in judged.triplets.tolist()
    }
    distances = cdist(judged.dimensions, judged.dimensions)
    own = cdist(before.dimensions, before.dimensions)
    assert sorted(distances.ravel()) == pytest.approx(sorted(own.ravel()))
    (i, j), place = judged.triplets[0, :2], before.triplets[0, :2]
    assert judged.similarity[i, j] == before.similarity[place[0], place[1]]


def test_shuffled_judgments_stay_within_the_groups_that_are_held_out() -> None:
    groups = [f"group {number % 2}" for number in range(N_CONCEPTS)]
    within = [t for t in on_a_plane().triplets.tolist() if len({k % 2 for k in t}) == 1]
    human = people(triplets=np.array(within))._replace(groups=groups)
    dealt = human.shuffled().judgments.triplets
    assert (dealt != human.judgments.triplets).any()
    np.testing.assert_array_equal(dealt % 2, human.judgments.triplets % 2)


def test_human_judgments_of_fewer_images_are_read_as_they_were_written(tmp_path: Path) -> None:
    fewer = people().fewer(0.5)
    fewer.save(tmp_path)
    np.testing.assert_array_equal(Human.load(tmp_path).measured, fewer.measured)
    people().save(tmp_path)
    assert Human.load(tmp_path).measured is None


def test_convexity_is_among_joined_pairs_where_it_is_asked_for() -> None:
    X, reference = a_layer(noise=0.02)
    options = {"n_neighbors": 3}
    every, joined = (
        {row.measure: row.value for row in convexity.rows(layer) if not row.kind}
        for layer in (
            layers.Layer.of(X, reference, people(), pairs=pairs, **options)
            for pairs in ("all", "joined")
        )
    )
    assert every["connected_pairs"] < 1
    assert joined["convexity"] > every["convexity"]
    assert joined["connected_pairs"] == every["connected_pairs"]
