"""What is measured at a layer is what the words say, and judged on what nothing was fitted to."""

import numpy as np
import pandas as pd
import pytest

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
from convexlib.measures import of_layer, of_model
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


def measured(X: np.ndarray, reference: np.ndarray, judged: Judged) -> pd.DataFrame:
    table = pd.DataFrame(of_layer(X, reference, judged, SETTINGS))
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
