"""Tables join what was measured, one row a measurement."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from convexlib import alignment, measures, pipeline, statistics, tables
from convexlib import study as studies
from convexlib.convexity import graph_convexity_score
from convexlib.data import Human, Judgments, colors
from convexlib.layers import Layer
from convexlib.measures.dimensions import PREDICTED
from convexlib.models import representations
from convexlib.study import ADDED, Study
from tests.conftest import TINY

TIDY = ["study", "model", "family", "size", "variant", "layer", "depth", "measure", "value"]
HELD_OUT = [
    *("held_out_convexity", "held_out_odd_one_out", "held_out_dot", "held_out_rsa"),
    "other_half_odd_one_out",
]
MEASURED = {
    "original": [*measures.known()],
    "naive": ["convexity", "concept_convexity", *HELD_OUT],
    "global": ["convexity", "concept_convexity", *HELD_OUT],
    "lda": ["taught_convexity", "odd_one_out", "rsa"],
    "lda shuffled": ["made_up_convexity", "odd_one_out", "rsa"],
}
N_LAYERS = 3
AS = dict.fromkeys(("mine", "twin"), "vit-base-pretrained-seed0")
"""Models that are measured just as another one."""


def rows(study: Study, model: str) -> Iterator[dict]:
    """Random measurements of a model."""
    rng = np.random.default_rng([*AS.get(model, model).encode()])
    judged = pipeline.judged(study)
    about = {"concept": judged.names, "category": [*judged.categories], "dimension": judged.ends}
    accuracies = [("odd_one_out", "original")]
    accuracies += [("held_out_odd_one_out", space) for space in ("original", "naive", "global")]
    with_each = [(measure, "original") for measure in ("odd_one_out", "rsa")]
    keys = [
        (m, space, "", "", "Ekman" if (m, space) in with_each else "")
        for space, known in MEASURED.items()
        for m in known
    ]
    keys += [(*measure, "", "", "others") for measure in with_each]
    keys += [
        (*accuracy, kind, name, "")
        for accuracy, kind in product(accuracies, about)
        for name in about[kind]
    ]
    keys += [
        (tables.CLASSES[kind], space, kind, name, "")
        for kind in tables.CLASSES
        for space, name in product(("original", "naive", "global"), about[kind])
    ]
    keys += [
        (PREDICTED, "original", f"dimension {number}", name, "")
        for number, name in product((1, 2), judged.names)
    ]
    for layer, (measure, space, kind, concept, of_set) in product(range(N_LAYERS), keys):
        yield {
            "layer": layer,
            "depth": layer / (N_LAYERS - 1),
            "measure": measure,
            "space": space,
            "value": rng.uniform(),
            "n": 9,
            "kind": kind,
            "concept": concept,
            "judgments": of_set,
            "id": model,
        }


@cache
def made_up(study: Study) -> pd.DataFrame:
    table = pd.DataFrame([row for model in study.models for row in rows(study, model.id)])
    return tables._whose(study).merge(table, on="id")


@pytest.fixture(scope="module")
def miniature() -> Study:
    return studies.load(str(TINY))


@pytest.fixture
def tiny(miniature: Study, monkeypatch: pytest.MonkeyPatch) -> Study:
    """The miniature study, of which the measures are made up."""
    monkeypatch.setattr(tables, "_measured", made_up)
    return miniature


def test_every_table_is_tidy(tiny: Study) -> None:
    for table in (
        tables.layer_measures(tiny),
        tables.layer_means(tiny),
        tables.concept_measures(tiny),
        tables.transform_effects(tiny),
        tables.dimension_scores(tiny),
    ):
        assert set(TIDY) <= set(table.columns)
        keys = [
            c
            for c in table.columns
            if c not in ("value", "ci_low", "ci_high", "p_value", "n", "low", "high")
        ]
        assert not table.duplicated(keys).any()


@pytest.mark.slow
def test_measures_are_those_of_the_stored_representations(vits: Study) -> None:
    model = vits.models[-1]
    source = pipeline.representations(vits, model).get()
    _, labels = pipeline.images(vits, "test")
    table = tables.layer_measures(vits).query("space == 'original'")
    table = table[(table["model"] == model.name) & (table["seed"] == model.seed)]
    values = table.set_index(["layer", "measure"])["value"]
    for layer in range(representations.n_layers(source / "test")):
        X = representations.load(source / "test", layer)
        reference = representations.load(source / "reference", layer)
        convexity = graph_convexity_score(X, labels["color_name"], n_neighbors=5)
        accuracy = alignment.odd_one_out_accuracy(reference, colors.human_triplets())
        assert values[layer, "convexity"] == convexity
        assert values[layer, "odd_one_out"] == accuracy


@pytest.mark.slow
def test_values_lie_where_they_must(vits: Study) -> None:
    table = tables.layer_measures(vits)
    below_zero = table["measure"].isin(["rsa", "held_out_rsa"])
    assert table.loc[below_zero, "value"].between(-1, 1).all()
    unbounded = table["measure"] == "temperature"
    assert (table.loc[unbounded, "value"] > 0).all()
    assert table.loc[~below_zero & ~unbounded, "value"].between(0, 1).all()
    assert table["depth"].min() == 0
    assert table["depth"].max() == 1
    wide = table.query("space == 'original'").pivot(
        index=["model", "seed", "layer"], columns="measure", values="value"
    )
    assert (wide["convexity"] <= wide["connected_pairs"] + 1e-12).all()


def test_fine_tuning_deltas_pair_the_models_of_a_seed(tiny: Study) -> None:
    measures = tables.layer_measures(tiny).query(
        "family == 'vit' and layer == 1 and measure == 'convexity' and space == 'original'"
    )
    value = measures.set_index(["variant", "seed"])["value"]
    differences = [value["finetuned", seed] - value["pretrained", seed] for seed in (0, 1)]
    deltas = tables.fine_tuning_deltas(tiny).query(
        "family == 'vit' and layer == 1 and measure == 'convexity'"
    )
    assert len(deltas) == 1
    assert deltas["n"].item() == 2
    assert deltas["value"].item() == pytest.approx(np.mean(differences))


def test_a_gain_is_after_minus_before(tiny: Study) -> None:
    effects = tables.transform_effects(tiny)
    keys = ["model", "layer", "measure", "transform"]
    wide = effects.pivot(index=keys, columns="space", values="value")
    pd.testing.assert_series_equal(wide["gain"], wide["after"] - wide["before"], check_names=False)
    measured = tables.layer_means(tiny).set_index(["model", "layer", "measure", "space"])
    for transform in ("naive", "global", "lda", "lda shuffled"):
        of_transform = wide.xs(transform, level="transform")
        for key, row in of_transform.iterrows():
            assert row["after"] == pytest.approx(measured.loc[(*key, transform), "value"])
            assert row["before"] == pytest.approx(measured.loc[(*key, "original"), "value"])


def test_only_the_transforms_of_the_study_are_in_its_tables(tiny: Study) -> None:
    effects = tables.transform_effects(tiny)
    assert set(effects["transform"]) == {"naive", "global", "lda", "lda shuffled"}
    assert set(tables.probing(tiny)["transform"]) == {"naive", "global"}


def test_seeds_of_a_kind_count_once_in_a_summary_over_models(tiny: Study) -> None:
    probing = tables.probing(tiny).query("transform == 'global' and depth > 0.5")
    gains = (probing["after"] - probing["before"]).groupby(
        [probing[column] for column in ("variant", "family")]
    )
    expected = gains.mean().loc["pretrained"]
    summary = tables.transform_summary(tiny, "global")
    estimate = tables.estimate(
        summary, part="second half", variant="pretrained", measure="held_out_odd_one_out"
    )
    assert estimate.value == pytest.approx(expected.mean())
    assert estimate.ci_high - estimate.value == pytest.approx(
        stats.t.ppf(0.975, 2) * stats.sem(expected)
    )
    assert set(summary["n"]) == {3}


def test_what_fine_tuning_does_to_a_family_is_said_for_other_seeds(tiny: Study) -> None:
    deltas = tables._paired_deltas(tiny).query("measure == 'convexity'")
    of_seed = deltas.query("family == 'beit'").groupby("seed")["value"].mean()
    estimate = tables.estimate(tables.fine_tuning_summary(tiny), family="beit", measure="convexity")
    assert estimate[:3] == pytest.approx(statistics.mean_interval(of_seed)[:3])


def test_real_names_are_held_against_made_up_ones(tiny: Study) -> None:
    table = tables.layer_measures(tiny).query("measure == 'rsa'")
    of_space = table.query("variant == 'finetuned'").groupby("space")["value"].mean()
    contrast = tables.estimate(tables.lda_contrast(tiny), variant="finetuned", measure="rsa")
    assert contrast.value == pytest.approx(of_space["lda"] - of_space["lda shuffled"])


@pytest.mark.slow
def test_the_accuracies_of_the_concepts_are_those_of_their_triplets(vits: Study) -> None:
    model = vits.models[-1]
    source = pipeline.representations(vits, model).get()
    scores = alignment.odd_one_out_scores(
        representations.load(source / "reference", 1), colors.human_triplets()
    )
    about = (colors.human_triplets()[:, :2] == 3).any(axis=1)
    table = tables.concept_measures(vits).query(
        "model == @model.name and seed == @model.seed and layer == 1 and concept == '472 nm' "
        "and measure == 'odd_one_out'"
    )
    assert table["value"].item() == pytest.approx(scores[about].mean())
    assert table["n"].item() == about.sum()


def test_a_dimension_is_explained_over_all_seeds_of_a_model(tiny: Study) -> None:
    predicted = tables.predicted_dimensions(tiny).query(
        "model == 'vit-base-finetuned' and layer == 1"
    )
    y = colors.human_dimensions().coordinates[:, 1]
    residuals = predicted["dimension 2"] - np.tile(y, 2)
    expected = 1 - (residuals**2).sum() / (2 * ((y - y.mean()) ** 2).sum())
    scores = tables.dimension_scores(tiny).query(
        "model == 'vit-base-finetuned' and layer == 1 and measure == 'dimension 2'"
    )
    assert scores["value"].item() == pytest.approx(expected)
    assert scores["n"].item() == 14


def test_the_best_and_the_worst_concepts_come_with_their_pictures(tiny: Study) -> None:
    ranked = tables.best_and_worst(tiny, n_concepts=2)
    accuracy = tables.concept_accuracy(tiny).query(
        "kind == 'concept' and measure == 'held_out_odd_one_out' and space == 'original'"
    )
    means = accuracy.groupby("concept")["value"].mean()
    shown = list(dict.fromkeys(ranked["concept"]))
    assert len(shown) == 4
    assert means[shown].is_monotonic_decreasing
    hidden = means.drop(shown)
    assert means[shown[1]] >= hidden.max() >= hidden.min() >= means[shown[2]]
    assert set(ranked["space"]) == {"original", "naive", "global"}
    references, labels = pipeline.images(tiny, "reference")
    for concept, image in zip(ranked["concept"], ranked["image"], strict=True):
        (place,) = np.flatnonzero(labels["hue"] == int(concept.removesuffix(" nm")))
        np.testing.assert_array_equal(image, references[place])


def test_people_stand_first_among_those_who_place_the_concepts(tiny: Study) -> None:
    positions = tables.predicted_positions(tiny)
    assert list(dict.fromkeys(positions["panel"])) == ["people", "vit", "beit", "data2vec"]
    people = positions[positions["panel"] == "people"]
    np.testing.assert_array_equal(people[["x", "y"]], colors.human_dimensions().coordinates)
    assert list(people["concept"]) == [f"{hue} nm" for hue in colors.WAVELENGTHS]


def test_levels_of_a_factor_are_held_against_each_other(tiny: Study) -> None:
    every = tables.model_contrasts(tiny)
    own = every["judgments"] == "Ekman"
    contrasts = every[own & (every["variant"] == "all")]
    last = tables.layer_measures(tiny).query(
        "depth == 1 and measure == 'odd_one_out' and space == 'original'"
    )
    tuned = last.pivot_table(index="family", columns="variant", values="value")
    expected = statistics.mean_interval(tuned["finetuned"] - tuned["pretrained"])
    estimate = tables.estimate(
        contrasts, level="finetuned", against="pretrained", measure="odd_one_out"
    )
    assert estimate[:3] == pytest.approx(expected[:3])
    of_kind = last.groupby("family")["value"].mean()
    for level, family in (("masked latents", "data2vec"), ("masked tokens", "beit")):
        estimate = tables.estimate(contrasts, level=level, against="labels", measure="odd_one_out")
        assert estimate.value == pytest.approx(of_kind[family] - of_kind["vit"])
        assert np.isnan(estimate.ci_low)  # of one kind each
    assert set(contrasts["factor"]) == {"objective", "architecture", "variant", "supervision"}
    assert set(every["judgments"]) == {"Ekman", "others"}
    pretrained = last[last["variant"] == "pretrained"].groupby("family")["value"].mean()
    estimate = tables.estimate(
        every[own & (every["variant"] == "pretrained")],
        factor="supervision",
        measure="odd_one_out",
    )
    others = pretrained[["beit", "data2vec"]].mean()
    assert estimate.value == pytest.approx(others - pretrained["vit"])


def test_tables_do_without_a_transform_that_a_study_leaves_out(
    tiny: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tables._of_layers(tiny)
    monkeypatch.setattr(tables, "_of_layers", lambda study: whole.query("space != 'global'"))
    assert "global" not in set(tables.transform_effects(tiny)["transform"])
    summary = tables.transform_summary(tiny, "global")
    assert str(tables.estimate(summary, part="first half")) == "not measured here"
    assert set(tables.model_effects(tiny)["measure"]) == {"odd_one_out", "rsa"}


def test_every_model_counts_once_for_each_factor(tiny: Study) -> None:
    effects = tables.model_effects(tiny).query("measure == 'odd_one_out'")
    assert set(effects["factor"]) == {
        "objective",
        "architecture",
        "size",
        "training data",
        "variant",
        "supervision",
    }
    last = tables.layer_measures(tiny).query(
        "depth == 1 and measure == 'odd_one_out' and space == 'original'"
    )
    by_family = last.groupby("family")["value"].mean()
    levels = effects.set_index("level")["value"]
    assert levels["labels"] == pytest.approx(by_family["vit"])
    both = by_family[["beit", "data2vec"]].mean()
    assert levels["relative positions"] == pytest.approx(both)
    assert effects.set_index("level").loc["base", "n"] == 3


def test_correlations_are_pearsons_over_layers_and_models(tiny: Study) -> None:
    points = tables.convexity_and_accuracy(tiny).query("part == 'all layers'")
    expected = stats.pearsonr(points["convexity"], points["odd_one_out"]).statistic
    correlations = tables.correlations(tiny)
    estimate = tables.estimate(correlations, part="all layers", variant="all")
    assert estimate.value == pytest.approx(expected)
    assert np.isnan(estimate.ci_low)  # three kinds are too few to say anything of others
    assert (correlations["n_models"] == 3).all()


def test_the_halves_of_a_model_share_no_layer_and_miss_none(tiny: Study) -> None:
    concepts = tables.convexity_and_accuracy(tiny, of="concept_convexity")
    measured = tables.layer_measures(tiny).query(
        "measure == 'concept_convexity' and space == 'original'"
    )
    assert set(concepts["convexity"]) == set(measured["value"])
    points = tables.convexity_and_accuracy(tiny)
    sizes = points.groupby("part").size()
    assert sizes["first half"] + sizes["second half"] == sizes["all layers"]


def test_an_estimate_that_the_study_does_not_have_says_so(tiny: Study) -> None:
    table = tables.fine_tuning_summary(tiny).query("family != 'vit'")
    missing = tables.estimate(table, family="vit", measure="convexity")
    assert str(missing) == "not measured here"


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ({"family": "vti"}, "family is 'vti'; choose of: beit, data2vec, vit"),
        ({"measure": "convexty"}, "measure is 'convexty'; choose of: "),
        ({"fam": "vit"}, "there is no column 'fam'; choose of: study, family, measure"),
        ({"family": "vit"}, "4 rows of the table have {'family': 'vit'}; say which is meant"),
    ],
)
def test_an_estimate_that_no_table_could_have_is_refused(
    tiny: Study, where: dict[str, str], named: str
) -> None:
    with pytest.raises(ValueError, match=r"choose of|say which") as caught:
        tables.estimate(tables.fine_tuning_summary(tiny), **where)
    assert named in str(caught.value)


def test_a_contrast_names_the_levels_that_there_are(
    tiny: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tables._of_layers(tiny)
    monkeypatch.setattr(tables, "_of_layers", lambda study: whole.query("family != 'vit'"))
    contrasts = tables.model_contrasts(tiny)
    there = contrasts.query(
        "factor == 'objective' and measure == 'odd_one_out' and variant == 'all' "
        "and judgments == 'Ekman'"
    )
    assert list(zip(there["level"], there["against"], strict=True)) == [
        ("masked latents", "masked tokens")
    ]


@pytest.fixture
def with_another(tiny: Study) -> Study:
    """The study with a model that a reader added, whose measures are those of another."""
    model = tiny.models[0]
    attributes = {**model.attributes, "size": ADDED}
    added = replace(model, name="mine", seed=None, attributes=attributes, added=True, counted=False)
    return replace(tiny, models=(*tiny.models, added))


def test_an_added_model_is_drawn_and_not_counted(with_another: Study) -> None:
    study = with_another
    alone = replace(study, models=study.models[:-1])
    assert "mine" in set(tables.layer_means(study)["model"])
    assert "mine" in set(tables.convexity_and_accuracy(study)["model"])
    for table in (
        tables.depth_contrasts,
        tables.correlations,
        tables.correlation_differences,
        tables.fine_tuning_summary,
        tables.model_contrasts,
        tables.concept_accuracy,
        tables.dimension_summary,
        lambda study: tables.transform_summary(study, "naive"),
    ):
        pd.testing.assert_frame_equal(table(study), table(alone))
    counted = replace(study, models=(*study.models[:-1], replace(study.models[-1], counted=True)))
    assert set(tables.depth_contrasts(counted).query("variant == 'pretrained'")["n"]) == {4}
    assert (tables.n_models(study), tables.n_models(counted)) == (3, 4)


def test_two_models_of_one_kind_are_two_curves_and_one_kind(
    with_another: Study,
) -> None:
    study = with_another
    attributes = study.models[0].attributes
    twin = replace(study.models[-1], name="twin", attributes=attributes, added=False, counted=True)
    twins = replace(study, models=(*study.models[:-1], twin))
    curves = tables.layer_means(twins).query(
        "family == 'vit' and variant == 'pretrained' and measure == 'convexity' and depth == 1"
    )
    assert list(curves.query("space == 'original'")["model"]) == ["vit-base-pretrained", "twin"]
    assert tables.n_models(twins) == 3
    assert len(tables.fine_tuning_deltas(twins)) == len(tables.fine_tuning_deltas(study))
    assert set(tables.depth_contrasts(twins)["n"]) == {3}


def test_examples_show_the_reference_image_first(tiny: Study) -> None:
    table = tables.example_images(tiny, n_per_concept=3)
    references, _ = pipeline.images(tiny, "reference")
    assert list(table["concept"]) == list(colors.WAVELENGTHS)
    for images, reference in zip(table["images"], references, strict=True):
        assert len(images) == 4
        np.testing.assert_array_equal(images[0], reference)


def test_numbers_of_concepts_and_images_are_told_in_the_words_of_the_study(tiny: Study) -> None:
    table = tables.stimuli(tiny).set_index("colour name")
    assert table.loc["all"].to_dict() == {"hues": 14, "images": 84}
    assert table.drop("all")["hues"].sum() == 14
    assert table.loc["blue", "images"] == 6 * table.loc["blue", "hues"]


def test_models_of_one_name_are_one_row_of_what_is_known_of_them(tiny: Study) -> None:
    table = tables.models(tiny)
    assert table["model"].tolist() == [
        f"{family}-base-{variant}"
        for family, variant in product(("vit", "beit", "data2vec"), ("pretrained", "finetuned"))
    ]
    assert set(table["training data"]) == {"coloured shapes"}
    assert "revision" not in table


def test_figures_are_told_of_all_measures_and_families(tiny: Study) -> None:
    style = tables.style(tiny)
    assert measures.known().keys() <= style["labels"].keys() & style["limits"].keys()
    assert style["chance"]["odd_one_out"] == pytest.approx(1 / 3)
    assert "rsa" not in style["chance"]
    assert style["families"]["vit"]["label"] == "ViT"
    assert style["ceilings"] == {"Ekman": None}
    assert style["words"]["concept"] == "hue"


def test_estimates_are_shown_in_words_and_what_is_missing_is_left_out(tiny: Study) -> None:
    summary = tables.fine_tuning_summary(tiny)
    shown = tables.shown(
        summary.query("family != 'data2vec'"),
        {name: {"family": name} for name in ("vit", "beit", "data2vec")},
        {name: {"measure": name} for name in ("convexity", "rsa")},
        form="{0}",
    )
    assert shown[""].tolist() == ["vit", "beit"]
    expected = tables.estimate(summary, family="beit", measure="convexity")
    assert shown["convexity"].tolist()[1] == str(expected)
    assert "rsa" not in shown


def test_a_band_goes_from_one_of_two_seeds_to_the_other_and_is_else_the_interval() -> None:
    values = [0.2, 0.3, 0.1, 0.2, 0.6]
    table = pd.DataFrame({"model": [*"aabbb"], "value": values})
    of_two, of_three = tables._over_seeds(table, ["model"]).to_dict("records")
    assert (of_two["low"], of_two["high"]) == (0.2, 0.3)
    assert of_two["ci_low"] < -0.3
    assert (
        of_three["low"]
        == of_three["ci_low"]
        == pytest.approx(statistics.mean_interval(values[2:])[1])
    )
    assert of_three["high"] == of_three["ci_high"]


def test_measures_are_those_with_the_first_set_of_judgments(tiny: Study) -> None:
    by_judgments = tables.by_judgments(tiny)
    others = by_judgments[by_judgments["judgments"] == "others"]
    assert set(others["measure"]) == {"odd_one_out", "rsa"}
    first = by_judgments.drop(others.index)
    means = tables.layer_means(tiny)
    means = means[means["measure"].isin(first["measure"])].query("space == 'original'")
    keys = ["model", "layer", "measure", "space"]
    both = first.merge(means, on=keys, suffixes=("", "_main"), validate="one_to_one")
    assert len(both) == len(first) == len(others) > 0
    assert (both["value"] == both["value_main"]).all()
    assert (both["n"] == both["n_main"]).all()


@pytest.fixture
def of_letters(miniature: Study, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Of b, d and o in two typefaces people keep b and d; models do in the first typeface alone."""
    concepts, typefaces = [*"bdobdo"], ["one"] * 3 + ["two"] * 3
    people = [[0, 1, 2]] * 18 + [[0, 2, 1]] * 2 + [[3, 4, 5]] * 16 + [[4, 5, 3]] * 4
    human = Human(
        names=[f"{face} {letter}" for face, letter in zip(typefaces, concepts, strict=True)],
        shown=np.arange(6),
        categories=pd.DataFrame({"round": [True] * 6}),
        sets={"people": Judgments(np.array(people))},
        concepts=concepts,
        groups=typefaces,
    )
    X = np.array([[1, 0.1], [1, 0], [0, 1], [1, 0], [0, 1], [0.1, 1]])
    monkeypatch.setattr(pipeline, "judged", lambda _: human)
    monkeypatch.setattr(pipeline, "last_layer", lambda *_: Layer.of(X, X, human))
    images = np.zeros((6, 4, 4, 3), np.uint8), pd.DataFrame({"concept": concepts})
    monkeypatch.setattr(pipeline, "images", lambda *_: images)
    tables._told.cache_clear()
    return miniature


def test_threes_on_which_models_and_people_part_come_first(of_letters: Study) -> None:
    table = tables.parting(of_letters)
    assert table["divergence"].is_monotonic_decreasing
    first = table[table["three"] == 1]
    assert first["name"].unique().tolist() == ["two b", "two d", "two o"]
    people = first[first["source"] == "people"].set_index("name")["share"]
    assert people.tolist() == [0.2, 0.0, 0.8]
    models = first[first["source"] == "pretrained"].set_index("name")["share"]
    assert models["two b"] > 0.5 > models["two o"]
    shares = table.groupby(["three", "source"])["share"].sum()
    np.testing.assert_allclose(shares, 1)
    assert len(tables.parting(of_letters, n_threes=1)) == len(table) / 2


def test_how_often_two_letters_are_kept_together(of_letters: Study) -> None:
    table = tables.kept_together(of_letters, [("d", "b"), ("p", "q")])
    assert table["pair"].unique().tolist() == ["d, b"]
    people = table[table["source"] == "people"].iloc[0]
    assert people["value"] == pytest.approx((0.9 + 0.8) / 2)
    assert people["n"] == 2
    models = table[table["source"] == "pretrained"].iloc[0]
    assert 0.3 < models["value"] < people["value"]
    assert tables.kept_together(of_letters, [("p", "q")]).empty


@pytest.mark.parametrize(("kind", "n"), [("category", 6), ("concept", 14)])
def test_classes_are_told_one_by_one(kind: str, n: int, tiny: Study) -> None:
    found = tables.class_correlations(tiny, kind)
    assert found["name"].nunique() == n
    assert set(found["part"]) == set(tables.HALVES)
    table = tables.concept_measures(tiny).query("kind == @kind and space == 'original'")
    own = table[(table["measure"] == tables.CLASSES[kind]) & (table["depth"] <= 0.5)]
    name = own["concept"].iloc[0]
    own = own[own["concept"] == name].set_index(["id", "layer"])["value"]
    points = tables.layer_measures(tiny).query("measure == 'odd_one_out' and space == 'original'")
    both = pd.concat([own, points.set_index(["id", "layer"])["value"]], axis=1, join="inner")
    (row,) = found[
        found["name"].str.startswith(name) & (found["part"] == "first half")
    ].itertuples()
    assert row.value == pytest.approx(np.corrcoef(both.T)[0, 1])
    changes = tables.class_changes(tiny, kind)
    assert set(changes["change"]) == {"fine-tuning", "naive", "global"}
    assert set(changes["n"]) == {3}


def test_a_hue_bears_its_name(tiny: Study) -> None:
    table = tables.members(tiny).set_index("colour name")["hues"]
    assert table["orange"] == "600 nm, 610 nm"
    names = set(tables.class_changes(tiny, "concept")["name"])
    assert "600 nm (orange)" in names
