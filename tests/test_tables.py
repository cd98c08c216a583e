"""Tables join what was measured, one row a measurement."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from convexlib import judgments, representations, steps, tables
from convexlib.convexity import graph_convexity_score
from convexlib.stimuli import colors
from convexlib.study import Study

TIDY = [*tables.MODEL, "layer", "depth", "measure", "value"]


def test_every_table_is_tidy(tiny_results: Study) -> None:
    for table in (tables.layer_measures(tiny_results), tables.layer_means(tiny_results)):
        assert set(TIDY) <= set(table.columns)
        keys = [c for c in table.columns if c not in ("value", "ci_low", "ci_high", "n")]
        assert not table.duplicated(keys).any()


def test_measures_are_those_of_the_stored_representations(tiny_results: Study) -> None:
    model = tiny_results.models[-1]
    source = steps.representations(tiny_results, model).get()
    _, labels = steps.images(tiny_results, "test")
    table = tables.layer_measures(tiny_results).query("space == 'original'")
    table = table[(table["model"] == model.name) & (table["seed"] == model.seed)]
    values = table.set_index(["layer", "measure"])["value"]
    for layer in range(representations.n_layers(source / "test")):
        X = representations.load(source / "test", layer)
        reference = representations.load(source / "reference", layer)
        convexity = graph_convexity_score(X, labels["color_name"], n_neighbors=5)
        accuracy = judgments.odd_one_out_accuracy(reference, colors.human_triplets())
        assert values[layer, "convexity"] == convexity
        assert values[layer, "odd_one_out"] == accuracy


def test_values_lie_where_they_must(tiny_results: Study) -> None:
    table = tables.layer_measures(tiny_results)
    assert table["value"].between(0, 1).all()
    assert table["depth"].min() == 0
    assert table["depth"].max() == 1
    wide = table.query("space == 'original'").pivot(
        index=["model", "seed", "layer"], columns="measure", values="value"
    )
    assert (wide["convexity"] <= wide["connected_pairs"] + 1e-12).all()


def test_fine_tuning_deltas_pair_the_models_of_a_seed(tiny_results: Study) -> None:
    measures = tables.layer_measures(tiny_results).query(
        "family == 'vit' and layer == 1 and measure == 'convexity' and space == 'original'"
    )
    value = measures.set_index(["variant", "seed"])["value"]
    differences = [value["finetuned", seed] - value["pretrained", seed] for seed in (0, 1)]
    deltas = tables.fine_tuning_deltas(tiny_results).query(
        "family == 'vit' and layer == 1 and measure == 'convexity'"
    )
    assert len(deltas) == 1
    assert deltas["n"].item() == 2
    assert deltas["value"].item() == pytest.approx(np.mean(differences))


def test_the_gain_of_the_transform_is_aligned_minus_original(tiny_results: Study) -> None:
    effects = tables.transform_effects(tiny_results)
    wide = effects.pivot(index=["model", "layer", "measure"], columns="space", values="value")
    pd.testing.assert_series_equal(
        wide["gain"], wide["aligned"] - wide["original"], check_names=False
    )


def test_correlations_are_pearsons_over_layers_and_models(tiny_results: Study) -> None:
    points = tables.convexity_and_accuracy(tiny_results).query("part == 'all layers'")
    expected = stats.pearsonr(points["convexity"], points["odd_one_out"]).statistic
    correlations = tables.correlations(tiny_results)
    estimate = tables.estimate(correlations, part="all layers", variant="all")
    assert estimate.value == pytest.approx(expected)
    assert estimate.ci_low <= estimate.value <= estimate.ci_high
    assert (correlations["n_lineages"] == 6).all()


def test_the_halves_of_a_model_share_no_layer_and_miss_none(tiny_results: Study) -> None:
    points = tables.convexity_and_accuracy(tiny_results)
    sizes = points.groupby("part").size()
    assert sizes["first half"] + sizes["second half"] == sizes["all layers"]


def test_an_estimate_that_is_not_in_the_table_says_so(tiny_results: Study) -> None:
    table = tables.fine_tuning_summary(tiny_results)
    missing = tables.estimate(table, family="resnet", measure="convexity")
    assert str(missing) == "not measured here"
    assert missing.sign == "of unknown sign"


def test_examples_show_the_reference_image_first(tiny_results: Study) -> None:
    table = tables.example_images(tiny_results, n_per_concept=3)
    references, _ = steps.images(tiny_results, "reference")
    assert list(table["concept"]) == list(colors.WAVELENGTHS)
    for images, reference in zip(table["images"], references, strict=True):
        assert len(images) == 4
        np.testing.assert_array_equal(images[0], reference)
