"""What is measured at a layer is what the words say, and judged on what nothing was fitted to."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from convexlib import measures
from convexlib.concepts import nonmetric_mds, predicted_dimensions
from convexlib.convexity import graph_convexity_score
from convexlib.judgments import (
    fit_temperature,
    object_folds,
    odd_one_out_accuracy,
    rsa_score,
    triplets_from_similarity,
)
from convexlib.measures import NotMeasuredWarning, check, of_layer, of_model
from convexlib.settings import Measures
from convexlib.stimuli import Judged
from convexlib.transforms import AlignmentTransform

N_CONCEPTS, N_IMAGES, N_FEATURES = 12, 10, 8
SETTINGS = Measures.model_validate(
    {
        "n_neighbors": 5,
        "transform": {"strength": 0.1, "n_folds": 3, "n_repeats": 2},
    }
)
ONE_FIT = Measures.model_validate(
    {
        "n_neighbors": 5,
        "transform": {"strength": 0.1, "n_folds": 3, "n_repeats": 1, "kinds": ["global"]},
    }
)
CATEGORY = np.array(list("aaaabbbbcccc"))


def human(seed: int = 0) -> np.ndarray:
    """Similarities of concepts on a plane."""
    places = np.random.default_rng(seed).normal(size=(N_CONCEPTS, 2))
    return -np.linalg.norm(places[:, None] - places, axis=2)


def stimuli(similarity: np.ndarray) -> Judged:
    concepts = np.repeat(np.arange(N_CONCEPTS), N_IMAGES)
    return Judged(
        categories=pd.get_dummies(pd.Series(CATEGORY[concepts]), dtype=bool),
        concepts=concepts,
        names=[f"concept {number}" for number in range(N_CONCEPTS)],
        triplets=triplets_from_similarity(similarity),
        similarity=similarity,
        dimensions=nonmetric_mds(similarity).coordinates,
        stress=nonmetric_mds(similarity).stress,
    )


def a_layer(seed: int = 1, *, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Images scattered around their concepts, and reference images."""
    rng = np.random.default_rng(seed)
    reference = rng.normal(size=(N_CONCEPTS, N_FEATURES))
    images = np.repeat(reference, N_IMAGES, axis=0)
    return images + noise * rng.normal(size=images.shape), reference


def measured(
    X: np.ndarray, reference: np.ndarray, judged: Judged, settings: Measures = SETTINGS
) -> pd.DataFrame:
    table = pd.DataFrame(of_layer(X, reference, judged, settings))
    assert not table.duplicated(["measure", "space", "kind", "concept"]).any()
    return table


@pytest.fixture(scope="module")
def layer() -> tuple[np.ndarray, np.ndarray, Judged, pd.DataFrame]:
    """A layer, what is known of its images, and what was measured."""
    X, reference = a_layer()
    judged = stimuli(human())
    return X, reference, judged, measured(X, reference, judged)


def values(table: pd.DataFrame) -> pd.Series:
    return table[table["concept"] == ""].set_index(["measure", "space"])["value"]


def test_the_original_space_is_measured_as_the_words_say(layer: tuple) -> None:
    X, reference, judged, table = layer
    value = values(table)
    assert value["convexity", "original"] == pytest.approx(
        graph_convexity_score(X, CATEGORY[judged.concepts], n_neighbors=5)
    )
    assert value["concept_convexity", "original"] == pytest.approx(
        graph_convexity_score(X, judged.concepts, n_neighbors=5)
    )
    assert value["odd_one_out", "original"] == odd_one_out_accuracy(reference, judged.triplets)
    assert value["rsa", "original"] == rsa_score(reference, judged.similarity)
    assert value["temperature", "original"] == fit_temperature(reference, judged.triplets)


@pytest.mark.parametrize("kind", ["naive", "global"])
@pytest.mark.filterwarnings("ignore:the fit was stopped")
def test_a_transform_is_judged_on_concepts_that_it_was_not_fitted_to(
    kind: str, layer: tuple
) -> None:
    X, reference, judged, table = layer
    value = values(table)
    correct, by_dot, by_dot_before, rsa, convexity = [], [], [], [], []
    for repeat in range(2):
        for training, test in object_folds(judged.triplets, 12, n_folds=3, random_state=repeat):
            objects = np.unique(training)
            rows = np.searchsorted(objects, training)
            fitted = AlignmentTransform(kind, strength=0.1).fit(reference[objects], rows)
            Z = fitted.transform(reference)
            correct += [odd_one_out_accuracy(Z, [t]) for t in test]
            by_dot += [odd_one_out_accuracy(Z, [t], similarity="dot") for t in test]
            scaled = fitted.standardize(reference)
            by_dot_before += [odd_one_out_accuracy(scaled, [t], similarity="dot") for t in test]
            held_out = np.unique(test)
            assert not set(held_out) & set(objects)
            of_people = judged.similarity[np.ix_(held_out, held_out)]
            rsa.append(rsa_score(Z[held_out], of_people))
            images = np.isin(judged.concepts, held_out)
            if (judged.categories[images].sum() > 0).sum() > 1:
                convexity.append(
                    graph_convexity_score(
                        fitted.transform(X[images]),
                        CATEGORY[judged.concepts[images]],
                        n_neighbors=5,
                    )
                )
    assert value["held_out_odd_one_out", kind] == pytest.approx(np.mean(correct))
    assert value["held_out_dot", kind] == pytest.approx(np.mean(by_dot))
    assert value["held_out_dot", "original"] == pytest.approx(np.mean(by_dot_before))
    assert value["held_out_rsa", kind] == pytest.approx(np.mean(rsa))
    assert value["held_out_convexity", kind] == pytest.approx(np.mean(convexity))
    everything = AlignmentTransform(kind, strength=0.1).fit(reference, judged.triplets)
    assert value["convexity", kind] == pytest.approx(
        graph_convexity_score(everything.transform(X), CATEGORY[judged.concepts], n_neighbors=5)
    )


def test_judgments_without_a_rule_cannot_be_learned_from_the_other_half() -> None:
    """Were a transform judged on what it was fitted to, it would be right nearly always."""
    rng = np.random.default_rng(0)
    accuracies = []
    for seed in range(3):
        judged = stimuli(human())
        judged = judged._replace(triplets=rng.permuted(judged.triplets, axis=1))
        value = values(measured(*a_layer(seed), judged))
        accuracies += [value["other_half_odd_one_out", kind] for kind in ("naive", "global")]
        accuracies += [value["held_out_odd_one_out", kind] for kind in ("naive", "global")]
    assert np.mean(accuracies) == pytest.approx(1 / 3, abs=0.06)


def test_a_rule_that_holds_for_all_judgments_is_learned_from_half_of_them() -> None:
    similarity = human()
    places = nonmetric_mds(similarity).coordinates
    rng = np.random.default_rng(0)
    reference = np.concatenate([places, 3 * rng.normal(size=(12, 4))], axis=1)
    value = values(measured(np.repeat(reference, N_IMAGES, 0), reference, stimuli(similarity)))
    before = value["other_half_odd_one_out", "original"]
    assert value["other_half_odd_one_out", "global"] > before + 0.2


def test_names_of_images_not_seen_cannot_be_learned_from_noise() -> None:
    gains = []
    for seed in range(3):
        noise = np.random.default_rng(seed).normal(size=(N_CONCEPTS * N_IMAGES, N_FEATURES))
        value = values(measured(noise, a_layer(seed)[1], stimuli(human())))
        gains.append(value["taught_convexity", "named"] - value["taught_convexity", "original"])
    assert abs(np.mean(gains)) < 0.05


def test_human_names_bring_alignment_and_made_up_ones_do_not() -> None:
    """Categories are what people judge by; the space holds them among much else."""
    codes = pd.get_dummies(CATEGORY).to_numpy(dtype=float)
    rng = np.random.default_rng(3)
    similarity = codes @ codes.T + 0.01 * -abs(human())
    reference = np.concatenate([codes, rng.normal(size=(N_CONCEPTS, 6))], axis=1)
    X = np.repeat(reference, N_IMAGES, axis=0)
    X = X + 0.3 * rng.normal(size=X.shape)
    value = values(measured(X, reference, stimuli(similarity)))
    assert value["taught_convexity", "named"] > value["taught_convexity", "original"] + 0.1
    assert value["made_up_convexity", "misnamed"] > value["made_up_convexity", "original"] + 0.05
    assert value["odd_one_out", "named"] > value["odd_one_out", "original"] + 0.1
    assert value["odd_one_out", "misnamed"] < value["odd_one_out", "named"] - 0.1


def test_dimensions_are_predicted_from_the_mean_of_the_images_of_a_concept(layer: tuple) -> None:
    X, _, judged, _ = layer
    table = measures.predicted_dimensions(X, judged)
    means = X.reshape(N_CONCEPTS, N_IMAGES, -1).mean(axis=1)
    expected = predicted_dimensions(means, judged.dimensions)[:, 1]
    np.testing.assert_allclose(table["dimension 2"], expected)
    assert table["concept"].tolist() == judged.names


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
    similarity = human()
    judged = stimuli(similarity)
    places = nonmetric_mds(similarity, n_dimensions=4).coordinates
    distances = np.linalg.norm(places[:, None] - places, axis=2)
    judged = judged._replace(triplets=triplets_from_similarity(-distances))
    settings = SETTINGS.model_copy(update={"similarity": "euclidean"})
    X = np.repeat(places, N_IMAGES, axis=0)
    X = X + 0.01 * np.random.default_rng(0).normal(size=X.shape)
    table = pd.DataFrame(of_layer(X, places, judged, settings))
    value = values(table)
    assert value["odd_one_out", "original"] == 1
    assert value["temperature", "original"] == 0


def test_layers_are_measured_one_by_one_with_their_depth(layer: tuple) -> None:
    *_, judged, table = layer
    by_name = of_model(2, lambda layer: a_layer(layer), judged, SETTINGS)
    layers, by_concept = by_name["layers"], by_name["concepts"]
    assert set(layers["depth"]) == {0.0, 1.0}
    assert set(by_concept["kind"]) == {"concept", "category", "dimension"}
    alone = values(table)
    together = layers[layers["layer"] == 1].set_index(["measure", "space"])["value"]
    pd.testing.assert_series_equal(together, alone)


Change = Callable[[np.ndarray, np.ndarray], None]


def changed(place: str, row: int, value: float) -> Change:
    """One image, among all or among the references, is represented by this value alone."""

    def change(X: np.ndarray, reference: np.ndarray) -> None:
        {"X": X, "reference": reference}[place][row] = value

    return change


def of_three_layers(change: Change, **options: str) -> dict[str, pd.DataFrame]:
    """The measures of a model of which the second layer is changed."""

    def load(layer: int) -> tuple[np.ndarray, np.ndarray]:
        X, reference = a_layer(layer)
        if layer == 1:
            change(X, reference)
        return X, reference

    return of_model(3, load, stimuli(human()), ONE_FIT, **options)


def without(table: pd.DataFrame, layer: int) -> pd.DataFrame:
    return table[table["layer"] != layer].reset_index(drop=True)


@pytest.fixture(scope="module")
def whole() -> dict[str, pd.DataFrame]:
    return of_three_layers(lambda X, reference: None)


@pytest.mark.parametrize(
    ("place", "row", "value", "image"),
    [
        ("X", 57, np.nan, "X row 57, an image of 'concept 5'"),
        ("reference", 7, -np.inf, "reference row 7, an image of 'concept 7'"),
    ],
)
def test_a_layer_that_is_not_finite_leaves_the_others_as_they_are(
    place: str, row: int, value: float, image: str, whole: dict[str, pd.DataFrame]
) -> None:
    with pytest.warns(
        NotMeasuredWarning, match=f"^layer 1 of a-model is left out: {image}.*$"
    ) as said:
        tables = of_three_layers(changed(place, row, value), model="a-model")
    assert len(said) == 1
    for name, table in tables.items():
        pd.testing.assert_frame_equal(without(table, 1), without(whole[name], 1))
    seen = tables["layers"][tables["layers"]["layer"] == 1]
    assert seen["value"].isna().all()
    original = whole["layers"].query("layer == 1 and space == 'original'")
    assert {"convexity", "odd_one_out", "rsa", "temperature"} <= set(seen["measure"])
    assert set(seen["measure"]) <= set(original["measure"])
    assert (seen["depth"] == 0.5).all()
    for name in ("concepts", "dimensions"):
        assert 1 not in set(tables[name]["layer"])


def test_a_model_of_which_no_layer_is_finite_has_a_table_still() -> None:
    X, reference = a_layer()
    X[3] = np.nan
    with pytest.warns(NotMeasuredWarning, match=r"layer \d is left out") as said:
        tables = of_model(2, lambda layer: (X, reference), stimuli(human()), SETTINGS)
    assert [str(warning.message)[:7] for warning in said] == ["layer 0", "layer 1"]
    assert tables["layers"]["value"].isna().all()
    assert set(tables["layers"]["layer"]) == {0, 1}
    assert tables["concepts"].empty
    assert tables["dimensions"].empty


def test_what_needs_the_cosine_of_an_image_without_one_is_nan(
    whole: dict[str, pd.DataFrame],
) -> None:
    with pytest.warns(
        NotMeasuredWarning,
        match="^layer 1 of a-model has no cosines with reference row 4, the image of 'concept 4'",
    ) as said:
        tables = of_three_layers(changed("reference", 4, 0.0), model="a-model")
    assert len(said) == 1
    for name, table in tables.items():
        pd.testing.assert_frame_equal(without(table, 1), without(whole[name], 1))
    of_layer_1, as_before = (
        table["layers"].query("layer == 1").set_index(["measure", "space"])["value"]
        for table in (tables, whole)
    )
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
    table = pd.DataFrame(of_layer(X, reference, stimuli(human()), settings))
    assert table["value"].notna().all()


def test_an_image_of_zeros_that_nobody_judged_has_a_place() -> None:
    X, reference = a_layer()
    X[3] = 0
    assert measured(X, reference, stimuli(human()), ONE_FIT)["value"].notna().all()


def test_a_zero_that_is_in_no_triplet_leaves_the_choices() -> None:
    judged = stimuli(human())
    judged = judged._replace(triplets=judged.triplets[(judged.triplets != 4).all(axis=1)])
    X, reference = a_layer()
    as_before = values(measured(X, reference, judged, ONE_FIT))
    reference[4] = 0
    with pytest.warns(NotMeasuredWarning, match="no cosines with reference row 4"):
        value = values(measured(X, reference, judged, ONE_FIT))
    assert value["odd_one_out", "original"] == as_before["odd_one_out", "original"]
    assert value["temperature", "original"] == as_before["temperature", "original"]
    assert np.isnan(value["rsa", "original"])


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("noise", [0, 1])
def test_a_class_token_before_it_met_an_image_is_measured(
    noise: int, dtype: type, similarity: str, whole: dict[str, pd.DataFrame]
) -> None:
    """At the first layer of several, in their own precision, the same for all but for rounding."""
    rng = np.random.default_rng(0)
    token = rng.normal(size=N_FEATURES).astype(dtype)

    def tokens(n_images: int) -> np.ndarray:
        steps = noise * rng.integers(-1, 2, size=(n_images, N_FEATURES)).astype(dtype)
        return token + steps * np.spacing(abs(token))

    def load(layer: int) -> tuple[np.ndarray, np.ndarray]:
        return a_layer(layer) if layer else (tokens(N_CONCEPTS * N_IMAGES), tokens(N_CONCEPTS))

    assert load(0)[0].dtype == dtype
    settings = ONE_FIT.model_copy(update={"similarity": similarity})
    tables = of_model(2 if similarity == "cosine" else 1, load, stimuli(human()), settings)
    first = tables["layers"].query("layer == 0").set_index(["measure", "space"])["value"]
    assert first["odd_one_out", "original"] == pytest.approx(1 / 3)
    assert first["temperature", "original"] == np.inf
    undefined = ["convexity", "concept_convexity", "connected_pairs", "rsa"]
    assert first[undefined].isna().all()
    assert len(first) == 6
    by_concept = tables["concepts"].query("layer == 0")["value"]
    assert by_concept.to_numpy() == pytest.approx(1 / 3)
    predicted = tables["dimensions"].query("layer == 0").filter(like="dimension ")
    constant = measures.predicted_dimensions(
        np.ones((N_CONCEPTS * N_IMAGES, N_FEATURES)), stimuli(human())
    )
    np.testing.assert_allclose(predicted, constant.filter(like="dimension "))
    if similarity == "cosine":  # the next layer is measured as if it were alone
        for name, table in tables.items():
            pd.testing.assert_frame_equal(
                table.query("layer == 1").drop(columns="depth").reset_index(drop=True),
                whole[name].query("layer == 1").drop(columns="depth").reset_index(drop=True),
            )


def test_a_space_of_one_direction_is_at_chance_and_has_nothing_to_rank() -> None:
    rng = np.random.default_rng(0)
    direction = rng.normal(size=50)
    lengths = rng.uniform(1, 2, size=(N_CONCEPTS * N_IMAGES, 1))
    for dtype in (np.float32, np.float64):
        X = (lengths * direction).astype(dtype)
        value = values(measured(X, X[::N_IMAGES], stimuli(human()), ONE_FIT))
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
        NotMeasuredWarning, match="this layer allows no fit of the (naive|global) transform"
    ) as said:
        value = values(measured(X, reference, stimuli(human())))
    assert len(said) == 2
    assert np.isfinite(value["convexity", "original"])
    assert np.isfinite(value["odd_one_out", "original"])
    for kind in ("naive", "global"):
        assert np.isnan(value["held_out_odd_one_out", kind])
        assert np.isnan(value["convexity", kind])
    assert np.isfinite(value["taught_convexity", "named"])


def test_images_alike_within_their_category_teach_no_names() -> None:
    codes = np.eye(3)[np.repeat([0, 1, 2], 4)]
    X = np.repeat(codes, N_IMAGES, axis=0)
    with pytest.warns(NotMeasuredWarning, match="this layer allows no names to be learned"):
        value = values(measured(X, a_layer()[1][:, :3], stimuli(human()), ONE_FIT))
    assert "taught_convexity" not in value.index.get_level_values("measure")
    assert value["convexity", "original"] == 1


def test_tensors_are_measured_as_arrays_are(layer: tuple) -> None:
    X, reference, judged, table = layer
    tensors = (torch.tensor(features, requires_grad=True) for features in (X, reference))
    pd.testing.assert_frame_equal(measured(*tensors, judged), table)


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
        of_layer(X, reference, stimuli(human()), SETTINGS)


def with_settings(**changes: object) -> Measures:
    transform = {"strength": 0.1, "n_folds": 3, "n_repeats": 2} | changes.pop("transform", {})
    return Measures.model_validate({"n_neighbors": 5, "transform": transform} | changes)


def fewer(n_concepts: int) -> Judged:
    """The first concepts alone, and their images."""
    judged = stimuli(human())
    images = judged.concepts < n_concepts
    return judged._replace(
        categories=judged.categories[images].reset_index(drop=True),
        concepts=judged.concepts[images],
        names=judged.names[:n_concepts],
        triplets=judged.triplets[(judged.triplets < n_concepts).all(axis=1)],
        similarity=judged.similarity[:n_concepts, :n_concepts],
        dimensions=judged.dimensions[:n_concepts],
    )


ALL = stimuli(human())
CANNOT_BE_MEASURED = [
    (ALL._replace(triplets=ALL.triplets[:3]), {}, "triplets are 3, and none of 3 folds of 12"),
    (ALL._replace(triplets=ALL.triplets[:0]), {}, r"triplets has shape \(0, 3\)"),
    (ALL._replace(triplets=ALL.triplets + 1), {}, "triplets row .*but X has rows 0 to 11"),
    (ALL, {"transform": {"n_folds": 5}}, "n_folds is 5 for 12 objects; give at least 2 folds"),
    (ALL, {"n_neighbors": 40}, "n_neighbors is 40, but .* as few as 40 images; choose at most 39"),
    (ALL, {"n_neighbors": 200}, "n_neighbors is 200, but convexity"),
    (ALL._replace(categories=ALL.categories.any(axis=1).to_frame("all")), {}, "one category 'all'"),
    (ALL._replace(categories=ALL.categories & False), {}, "3 categories and none of two images"),
    (ALL._replace(categories=ALL.categories.iloc[:, :0]), {}, "0 categories and none of two"),
    (ALL._replace(categories=ALL.categories.iloc[:5]), {}, "categories has 5 rows, but there are"),
    (ALL._replace(concepts=ALL.concepts % 11), {}, "concepts lack 'concept 11', of which there"),
    (ALL._replace(similarity=np.eye(5)), {}, "similarity is of 5 concepts, but there are 12"),
    (
        ALL._replace(similarity=np.where(np.eye(12, k=1) + np.eye(12, k=-1), np.nan, 0)),
        {},
        "similarity holds NaN or infinity",
    ),
    (ALL._replace(dimensions=ALL.dimensions[:5]), {}, "dimensions has 5 rows for 12 concepts"),
    (fewer(3), {}, "dimensions has 3 rows for 3 concepts; .*at least 4 concepts"),
    (fewer(5), {}, "n_folds is 3 for 5 objects; give at least 2 folds"),
]


@pytest.mark.parametrize(("judged", "changes", "message"), CANNOT_BE_MEASURED)
@pytest.mark.filterwarnings("ignore:.* fewer than two members")
def test_what_cannot_be_measured_is_known_before_any_layer(
    judged: Judged, changes: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as said:
        check(judged, with_settings(**changes))
    assert "\n" not in str(said.value)


def some_study(seed: int) -> tuple[Judged, Measures]:
    """Few concepts, of few images, with few judgments."""
    rng = np.random.default_rng(seed)
    n_concepts, n_categories = int(rng.integers(6, 14)), int(rng.integers(1, 4))
    n_images = rng.choice([1, 2, 6], n_concepts) if seed % 2 else int(rng.integers(1, 4))
    concepts = rng.permutation(np.repeat(np.arange(n_concepts), n_images))
    category = pd.Series(rng.integers(n_categories, size=n_concepts)[concepts])
    ratings = rng.integers(4, size=(n_concepts, n_concepts)).astype(float)
    n_triplets = int(rng.choice([2, 10, 100]))
    judged = Judged(
        categories=pd.get_dummies(category.map("category {}".format), dtype=bool),
        concepts=concepts,
        names=[f"concept {number}" for number in range(n_concepts)],
        triplets=np.array([rng.permutation(n_concepts)[:3] for _ in range(n_triplets)]),
        similarity=ratings + ratings.T if seed % 3 else None,
        dimensions=rng.normal(size=(n_concepts, 2)) if seed % 5 else None,
    )
    transform = {"n_folds": int(rng.integers(2, 4)), "n_repeats": 1, "kinds": ["global"]}
    return judged, with_settings(n_neighbors=int(rng.integers(1, 5)), transform=transform)


def is_refused(measure: Callable, *arguments: object) -> bool:
    try:
        measure(*arguments)
    except ValueError:
        return True
    return False


@pytest.mark.filterwarnings("ignore:.* fewer than two members")
def test_what_passes_the_check_can_be_measured_and_nothing_else() -> None:
    outcomes = []
    for seed in range(30):
        judged, settings = some_study(seed)
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(len(judged.concepts), 4))
        reference = rng.normal(size=(len(judged.names), 4))
        fails = [
            is_refused(check, judged, settings),
            is_refused(of_layer, X, reference, judged, settings)
            or is_refused(measures.predicted_dimensions, X, judged),
        ]
        assert fails[0] == fails[1], seed
        outcomes.append(fails[0])
    assert 5 < sum(outcomes) < 25


def test_a_layer_that_is_the_same_for_all_images_is_at_chance() -> None:
    """Such as a class token before it met an image."""
    judged = stimuli(human())
    same = np.ones((N_CONCEPTS * N_IMAGES, N_FEATURES))
    value = values(measured(same, same[:N_CONCEPTS], judged))
    assert value["odd_one_out", "original"] == pytest.approx(1 / 3)
    assert value["temperature", "original"] == np.inf
    assert np.isnan(value["convexity", "original"])
    assert np.isnan(value["rsa", "original"])
    assert set(value.index.get_level_values("space")) == {"original"}


@pytest.mark.filterwarnings("ignore:the fit was stopped")
def test_a_transform_that_leaves_nothing_is_at_chance() -> None:
    X, reference = a_layer()
    strong = SETTINGS.transform.model_copy(update={"strength": 1e6})
    settings = SETTINGS.model_copy(update={"transform": strong})
    value = values(pd.DataFrame(of_layer(X, reference, stimuli(human()), settings)))
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
    table = pd.DataFrame(of_layer(X, reference, stimuli(human()), settings))
    assert set(table["space"]) == {"original", "global", "named", "misnamed"}


def test_categories_may_overlap_and_leave_images_out() -> None:
    X, reference = a_layer()
    judged = stimuli(human())
    members = pd.DataFrame(
        {"ab": CATEGORY != "c", "b": CATEGORY == "b", "few": np.arange(N_CONCEPTS) < 2}
    )
    overlapping = judged._replace(categories=members.iloc[judged.concepts].reset_index(drop=True))
    table = measured(X, reference, overlapping)
    value = values(table)
    assert value["convexity", "original"] == pytest.approx(
        graph_convexity_score(X, overlapping.categories, n_neighbors=5)
    )
    assert "named" not in table["space"].unique()  # there is no single name to learn
    kinds = table[table["kind"] == "category"]
    assert {"ab", "b"} <= set(kinds["concept"]) <= {"ab", "b", "few"}


def test_a_concept_may_have_a_single_image() -> None:
    X, reference = a_layer()
    several = stimuli(human())
    first = np.arange(0, len(X), N_IMAGES)
    single = several._replace(
        categories=several.categories.iloc[first].reset_index(drop=True),
        concepts=np.arange(N_CONCEPTS),
    )
    settings = SETTINGS.model_copy(update={"n_neighbors": 2})
    table = pd.DataFrame(of_layer(X[first], reference, single, settings))
    assert "concept_convexity" not in set(table["measure"])
    # Four images a category are too few to learn its name from.
    assert set(table["space"]) == {"original", "naive", "global"}
