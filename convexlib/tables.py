"""Study to tidy DataFrame: one function a question. Tables only join what was measured."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from scipy.spatial.distance import jensenshannon

from convexlib import alignment, measures, pipeline, statistics
from convexlib.layers import ORIGINAL, Row, first_fold
from convexlib.measures.carried_over import FITTED_TO, UNSEEN
from convexlib.measures.dimensions import PREDICTED
from convexlib.measures.disagreement import told
from convexlib.measures.factors import FACTOR
from convexlib.measures.few_shot import N_EXAMPLES, TASK
from convexlib.measures.levels import LEVEL, category_of
from convexlib.measures.people import OF_PERSON
from convexlib.measures.shift import SHIFT
from convexlib.models import families
from convexlib.settings import TARGETS, UNKNOWN, VARIANTS
from convexlib.study import ADDED, Study
from convexlib.triplets import LEVELS, levels

PARTS = {"all layers": (0.0, 1.0), "first half": (0.0, 0.5), "second half": (0.5, 1.0)}
"""Parts of a model by depth. The middle layer, where there is one, is in the first half."""

HALVES = ("first half", "second half")

LAST = "last layer"

THIRDS = {"first third": (0.0, 1 / 3), "middle": (1 / 3, 2 / 3), "last third": (2 / 3, 1.0)}
"""Parts of a model by depth, the middle with both ends."""

LABELS = "labels"
"""The objective of models that are supervised."""

ALL = "all"
"""The variant that stands for models of all variants."""

FEWEST_OF_LEVEL = 100
"""Judgments from which on it is told how models do at a level of abstraction."""

PROBE = "global"
"""The transform that stands for a linear probe where models are compared."""

BASIC = ("convexity", "concept_convexity", "connected_pairs", "odd_one_out")
"""Measures of a layer as it is that are compared between layers and between models."""

_CALLED = {
    "all": "all models",
    VARIANTS[1]: "fine-tuned",
    ORIGINAL: "zero-shot",
    "naive": "naive probe",
    PROBE: "global probe",
    "probed": "odd-one-out\naccuracy, probed",
    "joined_convexity": "graph convexity\n(joined pairs)",
    "correlation": "correlation of convexity and odd-one-out accuracy",
    "fine-tuning": "by fine-tuning",
    "dimension 1": "R² of\ndimension 1",
    "dimension 2": "R² of\ndimension 2",
}
"""What values of columns are called, where it is not their own name."""

_LIMITS = dict.fromkeys(
    (
        *("correlation", "dimension 1", "dimension 2", "R²", "gain in accuracy", "gain"),
        *("change of\nconvexity", "change of\naccuracy"),
    ),
    (-1, 1),
) | {"joined_convexity": (0, 1)}

_SOME_THREES = 5000  # that are enough to find some on which people and models part

_ESTIMATE = [*statistics.Estimate._fields]
_LAYER = ["id", "layer", "depth"]
_BY_VARIANT = ["study", "variant", "measure"]


def style(study: Study) -> dict[str, Any]:
    """What figures must know of a study, its measures and its families: see `figures.set_style`."""
    known = measures.known()
    return {
        "labels": _CALLED | {name: about.label for name, about in known.items()},
        "limits": {name: about.limits for name, about in known.items()} | _LIMITS,
        "chance": {name: about.chance for name, about in known.items() if about.chance},
        "families": {
            name: {"label": about.LABEL, "color": about.COLOR}
            for name, about in families.known().items()
        },
        "levels": {"variant": (*VARIANTS, *TARGETS)},
        "ceilings": {name: each.ceiling for name, each in pipeline.judged(study).sets.items()},
        "words": dict(study.stimuli.WORDS),
    }


def style_of_several(several: Sequence[Study]) -> dict[str, Any]:
    """The same for figures about several studies, in words that fit all of them."""
    words = {"concept": "concept", "concepts": "concepts", "category": "class"}
    words |= {"categories": "classes", "units": "units"}
    return style(several[0]) | {"words": words, "ceilings": {}}


@cache
def _whose(study: Study) -> pd.DataFrame:
    """What is known of each model: one row a model, by id."""
    rows = [
        {
            "id": model.id,
            "study": study.name,
            "model": model.name,
            **model.attributes,
            "seed": model.seed,
            "model_kind": study.root(model).kind,
            "lineage": study.root(model).id,
            "counted": model.counted,
            "parent": model.parent,
        }
        for model in study.models
    ]
    return pd.DataFrame(rows).astype({"seed": "Int64"})


def _model(study: Study) -> list[str]:
    """Columns that say which model a row is about, whatever its seed."""
    return ["study", "model", *study.models[0].attributes]


@cache
def _measured(study: Study) -> pd.DataFrame:
    """All rows of all measures of all models."""
    tables = [
        pd.read_parquet(result.get() / "rows.parquet").assign(id=model)
        for model, results in pipeline.all_measures(study).items()
        for result in results.values()
    ]
    none = pd.DataFrame(columns=["layer", "depth", *Row._fields, "id"])
    tables = [table for table in tables if len(table)] or [none]
    return _whose(study).merge(pd.concat(tables, ignore_index=True), on="id")


def layer_measures(study: Study) -> pd.DataFrame:
    """What was measured: one row a model, seed, layer, space and measure.

    Of measures that are taken with each set of judgments, those with the first; for the others see
    `by_judgments`.

    Returns
    -------
    DataFrame
        Columns study, model, the attributes of models (family, size, variant, ...), seed,
        model_kind (what models that differ by their seed have in common), lineage (the model that
        it goes back to), counted (whether estimates over models take it in), id, parent (the id
        of the model that it was made from, if known), layer, depth, measure, space, value and n
        (images, triplets, pairs or folds behind the value). Measures and what they are stand in
        `convexlib.measures`, spaces in `convexlib.layers`.
    """
    first = ["", next(iter(pipeline.judged(study).sets))]
    table = _of_layers(study)
    chosen = table[table["judgments"].isin(first)]
    return chosen.drop(columns="judgments").reset_index(drop=True)


def by_judgments(study: Study) -> pd.DataFrame:
    """The same as `layer_means` of what is measured with each set of judgments, which has a name.

    Returns
    -------
    DataFrame
        The columns of `layer_means`, and judgments, the name of the set.
    """
    table = _of_layers(study)
    keys = [*_model(study), "layer", "depth", "measure", "space", "judgments"]
    return _over_seeds(table[table["judgments"] != ""], keys)


def _of_layers(study: Study) -> pd.DataFrame:
    table = _measured(study)
    return table[table["kind"] == ""].drop(columns=["kind", "concept"])


def by_pooling(study: Study, table: Callable[[Study], pd.DataFrame]) -> pd.DataFrame:
    """A table of the study by each of its poolings, and pooling, which it is."""
    pooled = [table(each).assign(pooling=name) for name, each in study.poolings.items()]
    return pd.concat(pooled, ignore_index=True)


def of_several(several: Iterable[Study], table: Callable[[Study], pd.DataFrame]) -> pd.DataFrame:
    """A table of each of several studies, one below the other, with the title of the study."""
    return pd.concat(
        [table(each).assign(title=each.file.title) for each in several], ignore_index=True
    )


def baselines(study: Study) -> pd.DataFrame:
    """What no training made, as `layer_means`: untrained models and plain features.

    Empty where all models are files of features, and there are no images.
    """
    if not study.baselines.models:
        return layer_means(study).head(0)
    return layer_means(study.baselines)


def joined_convexity(study: Study) -> pd.DataFrame:
    """Convexity among pairs that a path joins, as `layer_means`; empty where that is not tried."""
    own = study.file.measures.pairs
    for varied in study.variations.values():
        if varied.file.measures.pairs != own:
            table = layer_means(varied).query("space == @ORIGINAL and measure == 'convexity'")
            return table.assign(measure="joined_convexity")
    return layer_means(study).head(0)


def concept_measures(study: Study) -> pd.DataFrame:
    """What was measured concept by concept: one row a model, seed, layer, space and concept.

    Returns
    -------
    DataFrame
        The columns of `layer_measures`, and kind ("concept", "category" or "dimension") and
        concept, its name; a dimension is named by the concept farthest out at either end.
        Accuracies are those of the triplets about it, convexities its own as a class.
    """
    table = _measured(study)
    others = table["kind"].isin(["", FITTED_TO, OF_PERSON]) | (table["measure"] == PREDICTED)
    table = table[~others]
    return table.drop(columns="judgments").reset_index(drop=True)


def predicted_dimensions(study: Study) -> pd.DataFrame:
    """Where ridge regression puts each concept: one row a model, seed, layer and concept.

    Returns
    -------
    DataFrame
        Columns of `layer_measures` up to depth, concept, and "dimension 1" ..., predicted from
        the other concepts. Without rows where no human dimensions are known.
    """
    table = _measured(study)
    table = table[table["measure"] == PREDICTED]
    wide = _wide(table, [*_LAYER, "concept"], "kind").reset_index()
    return _whose(study).merge(wide, on="id")


def layer_means(study: Study) -> pd.DataFrame:
    """Mean of every measure over seeds, with a 95 % t interval; n is the number of seeds.

    Columns low and high are what a band shows: the interval, or the seeds where there are two.
    """
    keys = [*_model(study), "layer", "depth", "measure", "space"]
    return _over_seeds(layer_measures(study), keys)


def by_family(study: Study) -> pd.DataFrame:
    """Layers of the models of a family in a few steps of depth, so that sizes can be put together.

    A layer counts at the nearest third of the depth; sizes count equally, and so do seeds.

    Returns
    -------
    DataFrame
        One row a family, variant, measure and depth (0, 1/3, 2/3 or 1), of the original space, with
        the value and n, how many sizes it is a mean of.
    """
    means = layer_means(study).query("space == 'original'")
    means = means.assign(depth=(3 * means["depth"]).round() / 3)
    keys = ["study", "family", "variant", "measure"]
    sizes = means.groupby([*keys, "model", "depth"], sort=False, as_index=False)["value"].mean()
    grouped = sizes.groupby([*keys, "depth"], sort=False)["value"]
    return grouped.agg(value="mean", n="size").reset_index().sort_values([*keys, "depth"])


def convexity_and_accuracy(study: Study, *, of: str = "convexity") -> pd.DataFrame:
    """One row a part of `PARTS`, model, seed and layer, with columns convexity and odd_one_out.

    The convexity is that of the categories, or `of` is "concept_convexity", that of the concepts.
    """
    table, pair = _original(layer_measures(study)), [of, "odd_one_out"]
    wide = _wide(table[table["measure"].isin(pair)], _LAYER, "measure")
    wide = wide.reindex(columns=pair).dropna().rename(columns={of: "convexity"}).reset_index()
    return _in_parts(_whose(study).merge(wide, on="id"), PARTS)


def correlations(study: Study, *, by: str = "variant", of: str = "convexity") -> pd.DataFrame:
    """Pearson correlation of convexity and odd-one-out accuracy over layers and models.

    Layers of one model, its seeds, and a pretrained model and its fine-tuned form, are not
    independent: the 95 % interval is one over kinds of models, each with all of these.

    Returns
    -------
    DataFrame
        One row a part ("all layers", "first half", "second half") and level of the attribute
        `by`, or "all": value, ci_low, ci_high, p_value (corrected for the number of rows), n
        (points), n_models (kinds). Without rows of too few points. `of` says of what convexity
        is, as in `convexity_and_accuracy`.
    """
    points = _counted(convexity_and_accuracy(study, of=of))
    rows = [
        {"part": part, by: level, "measure": "correlation"}
        | statistics.pearson(*_points(chosen))._asdict()
        | _sizes(chosen)
        for part, of_part in points.groupby("part", sort=False)
        for level, chosen in _levels(of_part, by)
        if len(chosen) > 1
    ]
    return _estimates(study, rows, ["part", by, "measure"])


def correlation_differences(study: Study, *, by: str = "variant") -> pd.DataFrame:
    """How much the correlation of both measures differs between kinds of layers and models.

    Returns
    -------
    DataFrame
        One row a difference, "first half minus second half" (of all models, and of each level of
        the attribute `by`) or one level minus another (in each part): difference, part, `by`,
        value, ci_low, ci_high as in `correlations`, p_value corrected for the number of rows,
        n, n_models. Without rows of too few points on either side.
    """
    points = _counted(convexity_and_accuracy(study))
    in_halves = points[points["part"] != "all layers"]
    sides = [
        (" minus ".join(HALVES), "halves", level, chosen, chosen["part"] == HALVES[0])
        for level, chosen in _levels(in_halves, by)
    ]
    for part, of_part in points.groupby("part", sort=False):
        for one, other in combinations(dict.fromkeys(points[by]), 2):
            chosen = of_part[of_part[by].isin([one, other])]
            sides.append((f"{one} minus {other}", part, "both", chosen, chosen[by] == one))
    rows = []
    for difference, part, level, chosen, first in sides:
        if min(first.sum(), (~first).sum()) > 1:
            x, y, clusters = _points(chosen)
            estimate = statistics.pearson_difference(x, y, first, clusters)
            keys = {"difference": difference, "part": part, by: level}
            rows.append(keys | estimate._asdict() | _sizes(chosen))
    return _estimates(study, rows, ["difference", "part", by])


def _points(chosen: pd.DataFrame) -> tuple[pd.Series, pd.Series, pd.Series]:
    return chosen["convexity"], chosen["odd_one_out"], chosen["model_kind"]


def _sizes(chosen: pd.DataFrame) -> dict[str, int]:
    return {"n": len(chosen), "n_models": chosen["model_kind"].nunique()}


def _estimates(study: Study, rows: list[dict[str, Any]], keys: list[str]) -> pd.DataFrame:
    columns = [*keys, *_ESTIMATE, "n", "n_models"]
    table = pd.DataFrame(rows, columns=columns).dropna(subset="value")
    table.insert(0, "study", study.name)
    return _corrected(table)


def fine_tuning_deltas(study: Study) -> pd.DataFrame:
    """What is added to each measure at each layer: a model minus its parent.

    Returns
    -------
    DataFrame
        The attributes of the model, layer, depth, measure, value, the mean over seeds, with a
        95 % t interval over these, and n. Empty where the study has no pair.
    """
    keys = [*_model(study), "model_kind", "layer", "depth", "measure"]
    return _over_seeds(_paired_deltas(study), keys)


def student_deltas(study: Study) -> pd.DataFrame:
    """What is added to convexity, and to accuracy on what the teacher does not know: a student
    minus the model that it was made of.

    Returns
    -------
    DataFrame
        The columns of `fine_tuning_deltas`.
    """
    students = study.students
    of = ("convexity", "unseen_odd_one_out")
    deltas = _paired_deltas(students, of, of_students=True)
    return _over_seeds(deltas, [*_model(students), "model_kind", "layer", "depth", "measure"])


def fine_tuning_summary(study: Study) -> pd.DataFrame:
    """What is added to each measure in each family, over all layers: a model minus its parent.

    Returns
    -------
    DataFrame
        One row a family and measure: value, with a 95 % t interval over other seeds of these
        very models, since a family has few sizes, p_value, corrected for the number of rows, and
        n, the number of pairs. Empty where the study has no pair.
    """
    return _nested(_paired_deltas(study), ["study", "family", "measure"], "members")


def depth_contrasts(study: Study) -> pd.DataFrame:
    """How much each measure differs between parts of a model by depth.

    Returns
    -------
    DataFrame
        One row a contrast ("last layer minus embedding"; "middle layer minus embedding", of the
        last layer of the first half; "middle minus first third", "middle minus last third", means
        over the layers of each), variant ("all", too) and measure: value, with a 95 % t interval
        over kinds of models, p_value, corrected for the number of rows, and n, the number of kinds.
    """
    table = _original(layer_measures(study))
    table = table[table["measure"].isin(BASIC)]
    keys, depth = ["id", "measure"], table["depth"]
    halfway = depth.where(depth <= PARTS[HALVES[0]][1]).groupby(table["id"]).transform("max")
    first, middle, last = THIRDS.values()
    parts = {
        LAST: depth == 1,
        "embedding": depth == 0,
        "middle layer": depth == halfway,
        "first third": depth < first[1],
        "middle": depth.between(*middle),
        "last third": depth > last[0],
    }
    means = {name: table[chosen].groupby(keys)["value"].mean() for name, chosen in parts.items()}
    contrasts = [
        (LAST, "embedding"),
        ("middle layer", "embedding"),
        ("middle", "first third"),
        ("middle", "last third"),
    ]
    found = [
        (means[plus] - means[minus]).reset_index().assign(contrast=f"{plus} minus {minus}")
        for plus, minus in contrasts
    ]
    table = _whose(study).merge(pd.concat(found), on="id")
    return _over_models(_and_all(table), ["study", "contrast", "variant", "measure"])


def gains(study: Study) -> pd.DataFrame:
    """One row a model, seed, layer, measure and transform: before, after, gain.

    Transforms are the spaces other than the original one; measures those that are known in both,
    but for the convexity of concepts, of which nothing is claimed: each test weakens the others.
    """
    table = layer_measures(study)
    wide = _wide(table[table["measure"] != "concept_convexity"], [*_LAYER, "measure"], "space")
    table = wide.melt(ORIGINAL, var_name="transform", value_name="after", ignore_index=False)
    table = table.rename(columns={ORIGINAL: "before"}).dropna(subset="after").reset_index()
    table["gain"] = table["after"] - table["before"]
    return _whose(study).merge(table, on="id")


def transform_effects(study: Study) -> pd.DataFrame:
    """Measures before and after each transform at every layer, and what it adds.

    Returns
    -------
    DataFrame
        The columns of `layer_means`, and transform. Space is "before", "after" or "gain" (the
        difference, paired by seed).
    """
    spaces = ["before", "after", "gain"]
    keys = [*_model(study), "layer", "depth", "measure", "transform", "space"]
    tidy = gains(study).melt(
        [column for column in gains(study) if column not in spaces], spaces, var_name="space"
    )
    return _over_seeds(tidy, keys)


def transform_summary(study: Study, transform: str) -> pd.DataFrame:
    """What a transform adds to each measure, on average over the layers of each half.

    Parameters
    ----------
    study : Study
    transform : {"naive", "global", "lda", "lda shuffled"}

    Returns
    -------
    DataFrame
        One row a part (those of `PARTS`, "last layer", and "second half minus first half"),
        variant ("all", too) and measure: value, with a 95 % t interval over kinds of models,
        p_value, corrected for the number of rows, and n, the number of kinds.
    """
    table = gains(study).rename(columns={"gain": "value"})
    table = _and_all(table[table["transform"] == transform])
    parts = _in_parts(table, PARTS)
    keys = [*_whose(study), "measure"]
    means = parts.groupby(["part", *keys], sort=False, dropna=False)["value"].mean().reset_index()
    first, second = HALVES
    contrast = _difference(means, keys, "part", second, first).assign(
        part=f"{second} minus {first}"
    )
    last = table[table["depth"] == 1].assign(part=LAST)
    return _over_models(pd.concat([parts, last, contrast]), ["study", "part", "variant", "measure"])


def carried_over(study: Study) -> pd.DataFrame:
    """What transforms that were fitted to one set of judgments add to accuracy on another.

    Returns
    -------
    DataFrame
        One row a part, variant ("all", too), space, set that it was fitted to (source) and set that
        it is judged on (target), and elsewhere, whether that is another: value, the gain over the
        original space on the very same triplets, with the columns of `transform_summary`. Spaces
        are "global" and, fitted to choices that were shuffled, "global shuffled". On its own set,
        what folds hold out; and where a concept has several reference images, target is also
        `UNSEEN`, concepts that a transform was not fitted to.
    """
    table = _measured(study)
    table = table[table["kind"] == FITTED_TO]
    table = table.rename(columns={"concept": "source", "judgments": "target"})
    before = table[table["space"] == ORIGINAL]
    keys = [*_LAYER, "source", "target"]
    after = table[table["space"] != ORIGINAL].merge(
        before[[*keys, "value"]], on=keys, suffixes=("", "_before")
    )
    after["value"] -= after["value_before"]
    keys = ["study", "part", "variant", "space", "source", "target"]
    found = _over_models(_in_parts(_and_all(after), HALVES), keys)
    elsewhere = (found["source"] != found["target"]) & (found["target"] != UNSEEN)
    return found.assign(elsewhere=elsewhere)


def disagreement(study: Study) -> pd.DataFrame:
    """How well models tell people's choices and how these disagree, and how well people do.

    Returns
    -------
    DataFrame
        One row a set of judgments (judgments), measure ("cross_entropy", "entropy_correlation"),
        part and variant, with the columns of `transform_summary`, and ceiling: one half of the
        people predicting the other.
    """
    table = _counted(_measured(study))
    table = table[table["measure"].isin(["cross_entropy", "entropy_correlation"])]
    found = _over_models(
        _in_parts(table, HALVES), ["study", "judgments", "measure", "part", "variant"]
    )
    ceilings = {
        (name, measure): value
        for name, judged in pipeline.judged(study).sets.items()
        if name in set(found["judgments"])
        for measure, value in alignment.disagreement_ceiling(judged.triplets)._asdict().items()
    }
    keys = zip(found["judgments"], found["measure"], strict=True)
    return found.assign(ceiling=[ceilings[key] for key in keys])


PEOPLE = "people"
"""What stands for people where they are compared with variants of models."""


def parting(study: Study, *, n_threes: int = 12) -> pd.DataFrame:
    """Three objects each of which models and people find odd with the least alike shares.

    Of the first set of judgments; of models the last layer, at the temperature that fits it, and
    means over all of a variant. Where no three were judged often, shares of models are how many
    choose so. Shares are compared by the Jensen-Shannon divergence.

    Returns
    -------
    DataFrame
        One row a three objects, object and source ("people", then variants): three (its rank),
        name and image of the object (None where it may not be shown), source, share (how often it
        is the odd one), divergence (of people and the mean of all models, in bits).
    """
    threes, counts, models = _told(study)
    if models.empty or not len(threes):
        threes, counts, models = _chosen(study)
    if models.empty:
        return pd.DataFrame(columns=["three", "name", "image", "source", "share", "divergence"])
    people = counts / counts.sum(axis=1, keepdims=True)
    divergence = jensenshannon(people, np.mean([*models["likely"]], axis=0), axis=1, base=2) ** 2
    shares = {PEOPLE: people}
    for variant, of_variant in models.groupby("variant", sort=False)["likely"]:
        shares[variant] = np.mean([*of_variant], axis=0)
    shown = study.stimuli.MAY_SHOW
    images = pipeline.images(study, "reference")[0] if shown else None
    rows = [
        {
            "three": rank,
            "name": pipeline.judged(study).names[row],
            "image": thumbnail(images[row]) if shown else None,
            "source": source,
            "share": of_source[number, 2 - place],  # it is odd where the other two are kept
            "divergence": divergence[number],
        }
        for rank, number in enumerate(np.argsort(-divergence, kind="stable")[:n_threes], start=1)
        for place, row in enumerate(threes[number].tolist())
        for source, of_source in shares.items()
    ]
    return pd.DataFrame(rows)


def kept_together(study: Study, pairs: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """How often people keep two concepts together, and how likely models hold it.

    Of the first set of judgments; of models the last layer, at the temperature that fits it.

    Parameters
    ----------
    study : Study
    pairs : iterable of two names of concepts

    Returns
    -------
    DataFrame
        One row a pair that was judged, and source ("people", then variants): pair ("b, d"),
        source, value, with a 95 % interval, which ends where shares do, and n. Those of people are
        for other units that folds hold out, such as typefaces, those of models for other kinds of
        models.
    """
    judged = pipeline.judged(study)
    concept = np.asarray(judged.concept)
    groups = judged.held_together
    threes, counts, models = _told(study)
    sides, found = np.array([[0, 1], [0, 2], [1, 2]]), []
    for pair in pairs:
        both = concept[threes[:, sides]]  # (n_threes, 3 pairs, 2)
        is_pair = (np.sort(both, axis=2) == sorted(pair)).all(axis=2)
        if not is_pair.any():
            continue
        people = (counts / counts.sum(axis=1, keepdims=True))[is_pair]
        means = pd.Series(people).groupby(groups[threes[is_pair.any(axis=1), 0]]).mean()
        name = ", ".join(pair)
        own = [study.name, name, PEOPLE, *statistics.mean_interval(means), len(means)]
        found.append(pd.DataFrame([own], columns=["study", "pair", "source", *_ESTIMATE, "n"]))
        values = [likely[is_pair].mean() for likely in models["likely"]]
        of_models = models.assign(value=values, pair=name).rename(columns={"variant": "source"})
        found.append(_over_models(of_models, ["study", "pair", "source"]))
    if not found:
        return pd.DataFrame(columns=["pair", "source", *_ESTIMATE, "n"])
    table, ends = pd.concat(found), ["ci_low", "ci_high"]
    return table.assign(**table[ends].clip(0, 1))


@cache
def _told(study: Study) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Threes of the first set, choices of people, and what the last layer of each model says."""
    likely, triplets = {}, pipeline.judged(study).judgments.triplets
    threes, counts = alignment.choice_counts(triplets)
    for model in study.models:
        layer = pipeline.last_layer(study, model) if model.counted else None
        if layer and layer.is_finite():
            threes, counts, found = told(layer, triplets)
            if np.isfinite(found).all():
                likely[model.id] = found
    return threes, counts, _with(likely, study)


@cache
def _chosen(study: Study) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """The same where each three was judged once or a few times, of some: what models choose."""
    threes, counts = alignment.choice_counts(pipeline.judged(study).judgments.triplets)
    some = np.random.default_rng(0).permutation(len(threes))[:_SOME_THREES]
    threes, counts, found = threes[some], counts[some], {}
    for model in (model for model in study.models if model.counted):
        layer = pipeline.last_layer(study, model)
        if layer.is_finite():
            odd = alignment.odd_one_out_choices(
                layer.reference, threes, similarity=layer.similarity
            )
            # Columns are pairs, in the order of those without the third, the second, the first.
            found[model.id] = np.where(odd[:, None] < 0, 1 / 3, odd[:, None] == [2, 1, 0])
    return threes, counts, _with(found, study)


def _with(likely: Mapping[str, np.ndarray], study: Study) -> pd.DataFrame:
    """What is known of each of these models, with how likely it holds each pair."""
    table = _whose(study)
    table = table[table["id"].isin([*likely])]
    return table.assign(likely=[likely[model] for model in table["id"]])


def whose_judgments(study: Study, *, fewest: int = 20) -> pd.DataFrame:
    """How people of each answer agree with their like, with others and with models.

    Agreement with people is how likely another of these people judges alike; with models, the mean
    odd-one-out accuracy over counted models and all layers on that person's choices. Answers of
    fewer people than `fewest` are left out.

    Returns
    -------
    DataFrame
        One row a set of judgments, question, answer and measure ("with their like", "with others",
        "with models"): value, with a 95 % t interval over people, and n, their number.
    """
    judged, rows = pipeline.judged(study), []
    by_models = _counted(_measured(study))
    by_models = by_models[by_models["measure"] == OF_PERSON].astype({"concept": int})
    by_models = by_models.groupby(["judgments", "concept"])["value"].mean()
    for name, of_set in judged.sets.items():
        if of_set.judges is None:
            continue
        for question in judged.people:
            answers = judged.people[question].to_numpy()[of_set.judges]
            for answer in sorted(pd.unique(answers[pd.notna(answers)]), key=str):
                like = answers == answer
                n = len(np.unique(of_set.judges[like]))
                if n < fewest or like.all():
                    continue
                own, judges = of_set.triplets[like], of_set.judges[like]
                scores = {
                    "with their like": alignment.agreement(own, own, own=True),
                    "with others": alignment.agreement(own, of_set.triplets[~like]),
                }
                of_people = {
                    measure: pd.Series(each).groupby(judges).mean()
                    for measure, each in scores.items()
                }
                of_people["with models"] = by_models[name].reindex(np.unique(judges)).dropna()
                for measure, values in of_people.items():
                    estimate = statistics.mean_interval(values.dropna())
                    rows.append([study.name, name, question, answer, measure, *estimate, n])
    keys = ["study", "judgments", "question", "answer", "measure"]
    return pd.DataFrame(rows, columns=[*keys, *_ESTIMATE, "n"])


def lda_contrast(study: Study) -> pd.DataFrame:
    """How much more real names of categories add to alignment than names dealt at random.

    Returns
    -------
    DataFrame
        One row a variant and measure ("odd_one_out", "rsa"): the columns of
        `transform_summary`, over all layers.
    """
    table = gains(study).rename(columns={"gain": "value"})
    table = table[table["measure"].isin(["odd_one_out", "rsa"])]
    keys = [*_LAYER, "measure"]
    contrast = _difference(table, keys, "transform", "lda", "lda shuffled")
    return _over_models(_whose(study).merge(contrast, on="id"), ["study", "variant", "measure"])


def probing(study: Study) -> pd.DataFrame:
    """Zero-shot and probed odd-one-out accuracy on the same held-out triplets.

    Returns
    -------
    DataFrame
        One row a model, seed, layer and transform ("naive", "global"), with columns before
        (zero-shot) and after (probed).
    """
    table = gains(study)
    return table[table["measure"] == "held_out_odd_one_out"].drop(columns="gain")


def dimension_scores(study: Study) -> pd.DataFrame:
    """How well each human dimension is predicted at every layer, R-squared.

    Returns
    -------
    DataFrame
        One row a model, layer and dimension: measure ("dimension 1" ...), value, with a 95 %
        interval over concepts, n (concepts). All seeds of a model count together.
    """
    return _explained(study, predicted_dimensions(study), [*_model(study), "layer", "depth"])


def dimension_summary(study: Study) -> pd.DataFrame:
    """R-squared of each human dimension over all models of a kind and the layers of each half.

    Returns
    -------
    DataFrame
        One row a part, variant and dimension, as `dimension_scores`.
    """
    halves = _in_parts(_counted(predicted_dimensions(study)), HALVES)
    return _explained(study, halves, ["study", "part", "variant"])


def last_layer_dimensions(study: Study) -> pd.DataFrame:
    """R-squared of each human dimension at the last layer, the best explained first.

    Returns
    -------
    DataFrame
        One row a dimension, named by the concept farthest out, and variant: dimension, variant,
        measure ("R²"), value, with a 95 % interval over concepts, n (concepts).
    """
    predicted = _counted(predicted_dimensions(study))
    table = _explained(study, predicted[predicted["depth"] == 1], ["study", "variant"])
    number = table["measure"].str.removeprefix("dimension ").astype(int) - 1
    ends = np.array(pipeline.judged(study).ends)
    table["dimension"] = ends[number] if len(table) else ""
    best = -table.groupby("dimension")["value"].transform("mean")
    order = best.sort_values(kind="stable").index
    return table.loc[order].assign(measure="R²").reset_index(drop=True)


def predicted_positions(study: Study) -> pd.DataFrame:
    """Where people put each concept in the first two human dimensions, and where models do.

    Models: the mean prediction at the last layer of the models of a family that were made from
    no other, or of all where there is none; models that the reader added stand by themselves.

    Returns
    -------
    DataFrame
        One row a panel ("people", then families and added models) and concept: panel, concept,
        x, y, image.
    """
    judged = pipeline.judged(study)
    table = predicted_dimensions(study)
    if table.empty:
        return pd.DataFrame(columns=["panel", "concept", "x", "y", "image"])
    people = pd.DataFrame(judged.judgments.dimensions[:, :2], columns=["x", "y"])
    people = people.assign(panel="people", concept=judged.names[: len(people)])
    table = table.rename(columns={"dimension 1": "x", "dimension 2": "y"})
    table = table[table["depth"] == 1]
    first = table[table["variant"] == VARIANTS[0]]
    table = first if len(first) else table
    table = table.assign(panel=table["family"].where(table["size"] != ADDED, table["model"]))
    models = table.groupby(["panel", "concept"], sort=False)[["x", "y"]].mean().reset_index()
    return pd.concat([people, models]).merge(pictures(study), on="concept", sort=False)


CLASSES = {"category": "convexity", "concept": "concept_convexity"}
"""Kinds of classes, and the measure of their convexity."""


def class_correlations(study: Study, kind: str) -> pd.DataFrame:
    """Which classes drive the correlation of convexity and accuracy?

    Parameters
    ----------
    study : Study
    kind : {"category", "concept"}

    Returns
    -------
    DataFrame
        One row a part (halves) and class (name): value, the correlation over layers and models of
        its own convexity with the accuracy over all triplets, with the columns of `correlations`.
    """
    points = _counted(convexity_and_accuracy(study, of=CLASSES[kind]))
    own = _of_classes(study, kind)
    own = _original(own[own["measure"] == CLASSES[kind]])[["id", "layer", "name", "value"]]
    points = points[points["part"].isin(HALVES)].merge(own, on=["id", "layer"])
    points = points[np.isfinite(points["value"])]
    rows = []
    for (part, name), chosen in points.groupby(["part", "name"], sort=False):
        x, y, clusters = chosen["value"], chosen["odd_one_out"], chosen["model_kind"]
        if len(chosen) > 1:
            keys = {"part": part, "name": name, "measure": "correlation"}
            rows.append(keys | statistics.pearson(x, y, clusters)._asdict() | _sizes(chosen))
    return _estimates(study, rows, ["part", "name", "measure"])


def class_changes(study: Study, kind: str) -> pd.DataFrame:
    """Which classes gain or lose by fine-tuning and by transforms?

    Parameters
    ----------
    study : Study
    kind : {"category", "concept"}

    Returns
    -------
    DataFrame
        One row a change ("fine-tuning", "naive", "global"), class (name) and measure (change of
        the convexity of the class, and of the accuracy of the triplets about it, of held-out
        concepts where transforms are): value, over all layers, with a 95 % t interval over kinds
        of models, and n, their number. Transforms are those of pretrained models.
    """
    table = _counted(_of_classes(study, kind))
    convexity, accuracy = (f"change of\n{name}" for name in ("convexity", "accuracy"))
    called = {CLASSES[kind]: convexity, "odd_one_out": accuracy}
    plain = _original(table[table["measure"].isin([*called])])
    tuned = _minus_parents(plain, plain["variant"] == VARIANTS[1], ["layer", "measure", "name"])
    found = [tuned.assign(change="fine-tuning", measure=tuned["measure"].map(called))]
    held_out = {CLASSES[kind]: convexity, "held_out_odd_one_out": accuracy}
    pretrained = table[(table["variant"] == VARIANTS[0]) & table["measure"].isin([*held_out])]
    keys = [*_LAYER, "measure", "name"]
    for space in (space for space in ("naive", PROBE) if space in set(table["space"])):
        gain = _difference(pretrained, keys, "space", space, ORIGINAL).dropna(subset="value")
        gain = gain.assign(change=space, measure=gain["measure"].map(held_out))
        found.append(_whose(study).merge(gain, on="id"))
    return _over_models(pd.concat(found), ["study", "change", "measure", "name"])


def _of_classes(study: Study, kind: str) -> pd.DataFrame:
    """Rows of `concept_measures` about categories, or about concepts, which are named in full."""
    table = concept_measures(study)
    table = table[table["kind"] == kind]
    names = _full_names(study) if kind == "concept" else {}
    return table.assign(name=table["concept"].map(lambda name: names.get(name, name)))


def _full_names(study: Study) -> dict[str, str]:
    """What each concept is called, with its category where it has one, such as a hue its name."""
    judged = pipeline.judged(study)
    of_concept = judged.category_of_concept
    concepts = judged.concept.categories[of_concept.index]
    return {
        concept: f"{concept} ({of_concept.columns[row.argmax()]})" if row.sum() == 1 else concept
        for concept, row in zip(concepts, of_concept.to_numpy(), strict=True)
    }


def members(study: Study) -> pd.DataFrame:
    """Which concepts each category has: one row a category."""
    judged = pipeline.judged(study)
    of_concept = judged.category_of_concept
    concepts = judged.concept.categories[of_concept.index]
    rows = [[name, ", ".join(concepts[of_concept[name].to_numpy()])] for name in of_concept]
    words = study.stimuli.WORDS
    return pd.DataFrame(rows, columns=[words["category"], words["concepts"]])


def concept_spread(study: Study) -> pd.DataFrame:
    """How much better models judge the concepts that other models judge best than their worst.

    Concepts are ranked by the mean accuracy of all kinds of models but one, over their layers, and
    that one says how far the best third is from the worst: so chance makes no spread.

    Returns
    -------
    DataFrame
        One row a measure ("odd_one_out"): value, with a 95 % t interval over kinds of models, and
        n, their number. Empty where there are fewer than two kinds or three concepts.
    """
    table = _counted(_original(concept_measures(study)))
    table = table[(table["kind"] == "concept") & (table["measure"] == "odd_one_out")]
    means = table.groupby(["model_kind", "concept"])["value"].mean().unstack()
    third = means.shape[1] // 3
    if len(means) < 2 or not third:
        return pd.DataFrame(columns=["study", "measure", *_ESTIMATE, "n"])
    spreads = []
    for kind, own in means.iterrows():
        order = means.drop(index=kind).mean().argsort()
        spreads.append(own.iloc[order.iloc[-third:]].mean() - own.iloc[order.iloc[:third]].mean())
    row = [study.name, "odd_one_out", *statistics.cross_validated_mean(spreads), len(spreads)]
    return pd.DataFrame([row], columns=["study", "measure", *_ESTIMATE, "n"])


def best_and_worst(study: Study, *, n_concepts: int = 5) -> pd.DataFrame:
    """The concepts of the highest and the lowest zero-shot accuracy, with their pictures.

    Returns
    -------
    DataFrame
        Rows of `concept_accuracy` on held-out concepts, before and after the transforms, from
        the best concept to the worst by the mean over kinds of models, with a column image.
    """
    table = concept_accuracy(study)
    table = table[(table["kind"] == "concept") & (table["measure"] == "held_out_odd_one_out")]
    ranks = _original(table).groupby("concept")["value"].mean().rank(method="first")
    shown = ranks[(ranks <= n_concepts) | (ranks > len(ranks) - n_concepts)]
    table = table[table["concept"].isin(shown.index)].merge(pictures(study), on="concept")
    return table.sort_values(
        "concept", key=lambda concept: -concept.map(shown), kind="stable", ignore_index=True
    )


def concept_accuracy(study: Study) -> pd.DataFrame:
    """Odd-one-out accuracy of the triplets about each concept, category and dimension.

    Returns
    -------
    DataFrame
        One row a kind, concept, variant, measure ("odd_one_out", "held_out_odd_one_out") and
        space: value, the mean over layers, with a 95 % t interval over kinds of models, and n,
        their number.
    """
    table = concept_measures(study)
    table = table[table["measure"].isin(["odd_one_out", "held_out_odd_one_out"])]
    return _over_models(table, ["study", "variant", "kind", "concept", "measure", "space"])


def model_effects(study: Study) -> pd.DataFrame:
    """Alignment by what models were trained on and how they are built, at the last layer.

    Returns
    -------
    DataFrame
        One row a factor (an attribute of models other than the family), level and measure
        ("odd_one_out", "rsa", and "probed", the accuracy after the global transform on held-out
        concepts): value, with a 95 % t interval over kinds of models, and n, their number.
    """
    first = next(iter(pipeline.judged(study).sets))
    table = _by_factor(study)
    table = table[(table["variant"] == ALL) & (table["judgments"] == first)]
    return _over_models(table, ["study", "factor", "level", "measure"])


def model_contrasts(study: Study) -> pd.DataFrame:
    """How much alignment at the last layer differs between the levels of a factor.

    Returns
    -------
    DataFrame
        One row a factor (an attribute of models, or "supervision": whether they were trained on
        labels), two of its levels, set of judgments, variant (among which models, or "all") and
        measure of `model_effects`: level, against, value (level minus against), with a 95 %
        interval over kinds of models, paired ones where both levels have the same kinds and of two
        groups otherwise, p_value, corrected for the number of rows, and n, the number of kinds at
        the level.
    """
    keys = ["study", "factor", "judgments", "variant", "measure"]
    lineages = _of_lineages(_by_factor(study), [*keys, "level"])
    means = lineages.groupby([*keys, "level", "model_kind"], sort=False)["value"].mean()
    rows = []
    for key, of_factor in means.reset_index().groupby(keys, sort=False):
        levels = of_factor.pivot(index="model_kind", columns="level", values="value")
        for against, level in combinations(dict.fromkeys(of_factor["level"]), 2):
            pair = levels[[level, against]].dropna(how="all")
            if pair.notna().to_numpy().all():
                estimate = statistics.mean_interval(pair[level] - pair[against])
            else:
                estimate = statistics.mean_difference(pair[level].dropna(), pair[against].dropna())
            rows.append([*key, level, against, *estimate, pair[level].count()])
    return _corrected(pd.DataFrame(rows, columns=[*keys, "level", "against", *_ESTIMATE, "n"]))


def probe_against_scale(study: Study) -> pd.DataFrame:
    """How much more a linear probe adds to accuracy than the step from the smallest size does.

    At the last layer, on choices about held-out objects: what the global transform adds, mean over
    sizes, less what the largest size has over the smallest as they are.

    Returns
    -------
    DataFrame
        One row a measure ("held_out_odd_one_out"): value, with a 95 % t interval over families,
        and n, their number. Empty where no family has two sizes.
    """
    table = _counted(probing(study))
    table = table[(table["depth"] == 1) & (table["transform"] == PROBE)]
    order = [*dict.fromkeys(model.size for model in study.models)]
    keys = ["family", "variant", "size"]
    means = table.groupby(keys)[["before", "after"]].mean().reset_index()
    rows = []
    for _, of_family in means.groupby(["family", "variant"]):
        by_size = of_family.sort_values("size", key=lambda size: size.map(order.index))
        if len(by_size) > 1:
            scale = by_size["before"].iloc[-1] - by_size["before"].iloc[0]
            probe = (by_size["after"] - by_size["before"]).mean()
            rows.append((by_size["family"].iloc[0], probe - scale))
    columns = ["study", "measure", *_ESTIMATE, "n"]
    if not rows:
        return pd.DataFrame(columns=columns)
    families, values = zip(*rows, strict=True)
    estimate = statistics.nested_mean(values, families, over="groups")
    row = [study.name, "held_out_odd_one_out", *estimate, len({*families})]
    return pd.DataFrame([row], columns=columns)


def teacher(study: Study) -> pd.DataFrame:
    """How the layers of the teacher of AligNet do, and how the one that was taken does.

    Returns
    -------
    DataFrame
        One row a layer, as `models.alignet.teach` has them.
    """
    return pd.read_parquet(pipeline.teacher(study).get() / "layers.parquet")


def teacher_summary(study: Study) -> pd.DataFrame:
    """What the teacher is, and its accuracy on judgments that it does not know, in one row."""
    taken = teacher(study).dropna(subset="aligned").iloc[0]
    row = {
        "teacher": study.file.alignet.teacher,
        "layer": int(taken["layer"]),
        "judgments": int(taken["n"]),
        "before": taken["zero_shot"],
        "after": taken["aligned"],
    }
    return pd.DataFrame([row])


def lessons_learned(study: Study) -> pd.DataFrame:
    """How often students keep the pair that their teacher keeps, of validation images.

    Returns
    -------
    DataFrame
        One row a student, seed and epoch, as `training_curves`.
    """
    curves = training_curves(study.students)
    return curves[curves["variant"].isin(TARGETS)].reset_index(drop=True)


def outcomes(study: Study) -> pd.DataFrame:
    """What models and the students made of them can do, at the last layer.

    Returns
    -------
    DataFrame
        One row a model and outcome, with the attributes of the model: about ("people", "other
        people", "few examples", "shift", "factors", "convexity"), outcome (its name), value.
        Without levels of abstraction of fewer than `FEWEST_OF_LEVEL` judgments.
    """
    table = _measured(study.students)
    table = table[table["depth"] == 1]
    first, *others = pipeline.judged(study).sets
    own = table["judgments"].isin(["", first])
    plain = table["kind"] == ""
    concept, measure = table["concept"], table["measure"]
    new = measure == "unseen_odd_one_out"
    sort = (table["kind"] == TASK, table["kind"] == SHIFT, table["kind"] == FACTOR)
    shots = concept.str.rpartition(", ")[2]
    called = {
        "all levels": ("people", new & plain & own),
        **{
            level: ("people", new & (table["kind"] == LEVEL) & (concept == level) & own)
            for level in LEVELS
            if table.loc[new & (table["kind"] == LEVEL) & (concept == level) & own, "n"].max()
            >= FEWEST_OF_LEVEL
        },
        "all levels, dot product": ("people", (measure == "unseen_dot") & own),
        "RSA": ("people", (measure == "unseen_rsa") & own),
        "cross-entropy": ("people", (measure == "cross_entropy") & own),
        "entropies": ("people", (measure == "entropy_correlation") & own),
        "entropy and time": ("people", (measure == "uncertainty_and_time") & own),
        **{name: ("other people", new & plain & (table["judgments"] == name)) for name in others},
        **{
            f"{name}, RSA": ("other people", (measure == "unseen_rsa") & of_set)
            for name, of_set in {name: table["judgments"] == name for name in others}.items()
        },
        **{
            f"{n} example{'s' * (n > 1)}, {how}": (
                "few examples",
                sort[0] & (measure == f"few_shot_{learner}") & (shots == str(n)),
            )
            for n in N_EXAMPLES
            for how, learner in (("linear", "linear"), ("nearest mean", "centroid"))
        },
        "all few examples": ("few examples", sort[0]),
        "all shifts": ("shift", sort[1]),
        **{name: ("shift", sort[1] & (concept == name)) for name in concept[sort[1]].unique()},
        **{name: ("factors", sort[2] & (concept == name)) for name in concept[sort[2]].unique()},
        "categories": ("convexity", (measure == "convexity") & plain),
        "concepts": ("convexity", (measure == "concept_convexity") & plain),
    }
    keys = [*_whose(study.students)]
    found = [
        table[chosen]
        .groupby(keys, sort=False, dropna=False)["value"]
        .mean()
        .reset_index()
        .assign(about=about, outcome=name)
        for name, (about, chosen) in called.items()
    ]
    table = pd.concat(found, ignore_index=True)
    return table.assign(outcome=table["outcome"].str.replace("_", " "))


def outcome_summary(study: Study) -> pd.DataFrame:
    """Outcomes of the models that students are made of, and of students of each target.

    Returns
    -------
    DataFrame
        One row an outcome and variant ("pretrained", "unaligned", "shuffled", "aligned"), with the
        columns of `transform_summary`. Intervals end at 1, where accuracies, correlations and R²
        do.
    """
    table = _over_models(outcomes(study), ["study", "about", "outcome", "variant"])
    bounded = table["outcome"] != "cross-entropy"
    return table.assign(ci_high=table["ci_high"].mask(bounded, table["ci_high"].clip(upper=1)))


def outcome_gains(study: Study) -> pd.DataFrame:
    """What learning from a teacher adds to each outcome, and what of it is due to people.

    Returns
    -------
    DataFrame
        One row an outcome and difference ("aligned minus pretrained", ..., "aligned minus
        unaligned", "aligned minus shuffled"): value, paired by the model that students are made
        of, with the columns of `transform_summary`. P-values are corrected for the number of rows
        that are about the same question.
    """
    table = outcomes(study)
    about = table[["lineage", "model_kind", "study", "counted"]].drop_duplicates()
    pairs = [(target, VARIANTS[0]) for target in TARGETS]
    pairs += [(TARGETS[0], target) for target in TARGETS[1:]]
    found = [
        _difference(table, ["lineage", "about", "outcome"], "variant", *pair)
        .assign(difference=" minus ".join(pair))
        .merge(about, on="lineage")
        for pair in pairs
    ]
    keys = ["study", "about", "outcome", "difference"]
    table = pd.concat(found, ignore_index=True)
    questions = [_over_models(of_one, keys) for _, of_one in table.groupby("about", sort=False)]
    return pd.concat(questions, ignore_index=True)


def level_ceilings(study: Study) -> pd.DataFrame:
    """Noise ceilings of the judgments that the teacher does not know, at each level of abstraction.

    Returns
    -------
    DataFrame
        One row a level: level, n (judgments of the first set), lower, upper; NaN where fewer than
        `alignment.FEWEST_CHOICES` people judged the very same three.
    """
    judged = pipeline.judged(study)
    _, triplets = first_fold(judged, study.file.measures.transform)
    at = levels(triplets, category_of(judged.category_of_reference))
    rows = []
    for number, name in enumerate(LEVELS):
        chosen = triplets[at == number]
        counts = alignment.choice_counts(chosen)[1].sum(axis=1) if len(chosen) else np.zeros(1)
        repeated = np.median(counts) >= alignment.FEWEST_CHOICES
        ceiling = alignment.noise_ceiling(chosen) if repeated else (np.nan, np.nan)
        rows.append([name, len(chosen), *ceiling])
    return pd.DataFrame(rows, columns=["level", "n", "lower", "upper"])


def level_contrasts(study: Study) -> pd.DataFrame:
    """How much nearer models come to people at one level of abstraction than at another.

    Of the models that students are made of, at the last layer, on judgments that the teacher does
    not know: accuracy as a share of the upper noise ceiling of the level, or as it is where a
    ceiling is not known.

    Returns
    -------
    DataFrame
        One row two levels, level and against: value, with the columns of `transform_summary`.
    """
    table = outcomes(study)
    table = table[(table["variant"] == VARIANTS[0]) & table["outcome"].isin(LEVELS)]
    ceilings = level_ceilings(study).set_index("level")["upper"]
    reached = [*table["outcome"].unique()]
    if ceilings[reached].notna().all():
        table["value"] /= table["outcome"].map(ceilings)
    found = [
        _difference(table, ["id"], "outcome", level, against).assign(level=level, against=against)
        for against, level in combinations(reached, 2)
    ]
    if not found:
        return pd.DataFrame(columns=["study", "level", "against", *_ESTIMATE, "n"])
    table = _whose(study.students).merge(pd.concat(found), on="id")
    return _over_models(table, ["study", "level", "against"])


def n_models(study: Study) -> int:
    """How many kinds of models estimates take in; seeds of one kind count once."""
    return len({study.root(model).kind for model in study.models if model.counted})


def models(study: Study) -> pd.DataFrame:
    """What is known of each model: one row a model, seeds together."""
    rows = [
        {"model": model.name, **model.attributes, "revision": (model.revision or "")[:8]}
        for model in study.models
    ]
    table = pd.DataFrame(rows).drop_duplicates(ignore_index=True)
    return table if table["revision"].any() else table.drop(columns="revision")


def stimuli(study: Study) -> pd.DataFrame:
    """How many concepts and images are in each category, and in all."""
    judged = pipeline.judged(study)
    counts = {"concepts": judged.category_of_concept.sum(), "images": judged.categories.sum()}
    table = pd.DataFrame(counts).rename_axis("category").reset_index()
    n_concepts = len(np.unique(judged.concept.codes[judged.shown]))
    table.loc[len(table)] = ["all", n_concepts, len(judged.categories)]
    return table.rename(columns=study.stimuli.WORDS)


def pictures(study: Study) -> pd.DataFrame:
    """The first reference image of each concept, small.

    Returns
    -------
    DataFrame
        One row a concept: concept, category (the first that it belongs to, or "none"), and image,
        an array of at most 175 x 175 pixels, or None where the licence does not allow to show it.
    """
    judged = pipeline.judged(study)
    members = judged.category_of_reference
    category = members.columns.to_numpy()[members.to_numpy().argmax(axis=1)]
    if study.stimuli.MAY_SHOW:
        images = [thumbnail(image) for image in pipeline.images(study, "reference")[0]]
        images += [None] * (len(members) - len(images))
    else:
        images = [None] * len(members)
    category = np.where(members.any(axis=1), category, "none")
    table = pd.DataFrame({"concept": judged.concept, "category": category, "image": images})
    return table.astype({"concept": str}).drop_duplicates("concept", ignore_index=True)


def judgments(study: Study) -> pd.DataFrame:
    """Sets of judgments: how and how many, of how many threes, and their noise ceilings."""
    rows = [
        {
            "judgments": name,
            "method": judged.method,
            "choices": len(judged.triplets),
            "threes": len(alignment.choice_counts(judged.triplets)[0]),
            "lower ceiling": (judged.ceiling or (np.nan, np.nan))[0],
            "upper ceiling": (judged.ceiling or (np.nan, np.nan))[1],
        }
        for name, judged in pipeline.judged(study).sets.items()
    ]
    return pd.DataFrame(rows)


def faces(study: Study) -> pd.Series:
    """How many typefaces the images of each split show."""
    splits = ("train", "validation", "test")
    counts = [pipeline.images(study, split)[1]["typeface"].nunique() for split in splits]
    return pd.Series(counts, index=splits)


def stress(study: Study) -> float:
    """How badly the human dimensions of a study fit the judgments: Kruskal's stress-1."""
    return pipeline.judged(study).judgments.stress


def example_images(study: Study, *, n_per_concept: int) -> pd.DataFrame:
    """Reference image and first test images of every concept.

    Returns
    -------
    DataFrame
        One row a concept: concept, and images, an array (1 + n_per_concept, h, w, 3).
    """
    references, concepts = pipeline.images(study, "reference")
    images, labels = pipeline.images(study, "test")
    column = study.stimuli.CONCEPT
    rows = []
    for number, concept in concepts[column].drop_duplicates().items():
        tests = images[(labels[column] == concept).to_numpy()][:n_per_concept]
        if len(tests):
            rows.append({"concept": concept, "images": [references[number], *tests]})
    return pd.DataFrame(rows)


def training(study: Study) -> pd.DataFrame:
    """What the models trained here learned: one row a model and seed.

    Returns
    -------
    DataFrame
        The attributes of the model, seed, and task (what it was trained for), score ("accuracy"
        or "explained variance"), test_score, undistorted_score (of the test images as they are
        before any jitter, where a study has such), n_steps, n_parameters, and curve: a list of
        dicts with epoch, training_loss and validation_score.
    """
    rows, scores = [], ["score", "test_score", "undistorted_score"]
    kept = [*scores, "n_steps", "n_parameters", "curve"]
    for model in (model for model in study.models if model.recipe):
        folder = pipeline.checkpoint(study, model).get()
        record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        about = {"study": study.name, "model": model.name, **model.attributes, "seed": model.seed}
        rows.append(about | {"task": record["objective"]} | {key: record.get(key) for key in kept})
    table = pd.DataFrame(rows, columns=[*_model(study), "seed", "task", *kept])
    return table.astype({"test_score": float, "undistorted_score": float})


def training_curves(study: Study) -> pd.DataFrame:
    """Validation score after every epoch: one row a model, seed and epoch."""
    table = training(study).explode("curve", ignore_index=True)
    curve = pd.DataFrame([*table.pop("curve")], index=table.index)
    return table.join(curve)


def training_summary(study: Study) -> pd.DataFrame:
    """For the reader: what each model was trained on and its test score over seeds."""
    keys = ["family", "size", "variant", "task", "score"]
    grouped = training(study).groupby(keys, sort=False)
    names = {"mean": "test score", "min": "lowest", "max": "highest"}
    found = grouped["test_score"].agg([*names]).rename(columns=names)
    undistorted = grouped["undistorted_score"].mean().rename("without jitter")
    return found.join(undistorted.dropna(), how="left").dropna(axis=1, how="all").reset_index()


def estimate(table: pd.DataFrame, **where: str) -> statistics.Estimate:
    """The one estimate of a table whose columns have these values; NaN if there is none.

    Raises
    ------
    ValueError
        If a column or a value is none that such a table could have, or several rows have these
        values.
    """
    rows = table
    for column, value in where.items():
        if column not in table:
            raise ValueError(f"there is no column {column!r}; choose of: {', '.join(table)}")
        known = {*table[column].dropna(), *_possible().get(column, ())}
        if value not in known:
            raise ValueError(
                f"{column} is {value!r}; choose of: {', '.join(sorted(map(str, known)))}"
            )
        rows = rows[rows[column] == value]
    if len(rows) > 1:
        raise ValueError(f"{len(rows)} rows of the table have {where}; say which is meant")
    if rows.empty:
        return statistics.Estimate(float("nan"), float("nan"), float("nan"))
    return statistics.Estimate(*rows[_ESTIMATE].iloc[0])


def _possible() -> dict[str, Iterable[str]]:
    """What columns may hold, also where a study does not have it."""
    return {
        "measure": [*measures.known(), "probed", "dimension 1", "dimension 2"],
        "variant": [*VARIANTS, *TARGETS, ALL, "both"],
        "source": [PEOPLE, *VARIANTS, *TARGETS],
        "part": [*PARTS, "halves", LAST, " minus ".join(reversed(HALVES))],
        "family": families.names(),
    }


def shown(
    table: pd.DataFrame,
    rows: Mapping[str, Mapping[str, str]],
    columns: Mapping[str, Mapping[str, str]],
    *,
    form: str = "{0}",
) -> pd.DataFrame:
    """Estimates of a table in words, for a page.

    Parameters
    ----------
    table : DataFrame
    rows, columns : mapping
        What each line and column is called, with the values of columns of the table that make it,
        as `estimate` takes them. Lines and columns that the table does not have are left out.
    form : str
        What is shown of an estimate.
    """
    cells = [
        {"": line}
        | {
            name: form.format(found)
            for name, also in columns.items()
            if np.isfinite((found := estimate(table, **where, **also)).value)
        }
        for line, where in rows.items()
    ]
    return pd.DataFrame([of_line for of_line in cells if len(of_line) > 1]).fillna("")


def thumbnail(image: np.ndarray | Image.Image, size: int = 128) -> np.ndarray:
    """An image in colours, of at most as many pixels on a side."""
    small = Image.fromarray(np.asarray(image)).convert("RGB")
    small.thumbnail((size, size))
    return np.asarray(small)


def _paired_deltas(
    study: Study, of: Iterable[str] = BASIC, *, of_students: bool = False
) -> pd.DataFrame:
    """Each model, fine-tuned or a student, minus the very model that it was made from."""
    table = _original(layer_measures(study))
    table = table[table["measure"].isin(of)]
    made = table["variant"].isin(TARGETS) == of_students
    return _minus_parents(table, made, ["layer", "measure"])


def _minus_parents(table: pd.DataFrame, made: pd.Series, keys: list[str]) -> pd.DataFrame:
    """The rows that are chosen, minus those of the models that theirs were made from."""
    before = table[["id", *keys, "value"]].rename(columns={"id": "parent"})
    chosen = table[made].dropna(subset="parent")
    both = chosen.merge(before, on=["parent", *keys], suffixes=("", "_before"))
    both["value"] -= both.pop("value_before")
    return both.dropna(subset="value")


def _by_factor(study: Study) -> pd.DataFrame:
    """Alignment at the last layer: one row a model, seed, measure, set and factor, with its level.

    Each row is there twice: among models of its variant, and among all.
    """
    table = _counted(_of_layers(study))
    table["judgments"] = table["judgments"].replace("", next(iter(pipeline.judged(study).sets)))
    probed = (table["measure"] == "held_out_odd_one_out") & (table["space"] == PROBE)
    table.loc[probed, "measure"] = "probed"
    zero_shot = table["measure"].isin(["odd_one_out", "rsa"]) & (table["space"] == ORIGINAL)
    table = table[(table["depth"] == 1) & (probed | zero_shot)]
    known = table["objective"] != UNKNOWN
    table["supervision"] = np.where(table["objective"] == LABELS, "supervised", "self-supervised")
    table["supervision"] = table["supervision"].where(known)
    tables = []
    for factor in (*study.models[0].attributes, "supervision"):
        if factor != "family":
            order = table[factor].dropna().unique()
            level = pd.Categorical(table[factor], order)
            by_level = table.assign(factor=factor, level=level).dropna(subset="level")
            by_level = by_level.sort_values("level", kind="stable").astype({"level": str})
            tables.append(
                by_level.assign(variant=ALL) if factor == "variant" else _and_all(by_level)
            )
    return pd.concat(tables)


def _explained(study: Study, predicted: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """R-squared of predicted human dimensions, of all rows of a group together."""
    judged = pipeline.judged(study)
    rows = []
    for key, group in predicted.groupby(keys, sort=False):
        concepts = pd.Index(judged.names).get_indexer(group["concept"])
        for number, y in enumerate(judged.judgments.dimensions[concepts].T, start=1):
            dimension = f"dimension {number}"
            r_squared = statistics.r_squared(y, group[dimension], concepts)
            rows.append([*key, dimension, *r_squared, group["concept"].nunique()])
    return pd.DataFrame(rows, columns=[*keys, "measure", *_ESTIMATE, "n"])


def _original(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["space"] == ORIGINAL]


def _wide(table: pd.DataFrame, keys: list[str], column: str) -> pd.DataFrame:
    """A value of `column` a column, rows in the order of the table."""
    return table.set_index([*keys, column])["value"].unstack(column, sort=False)


def _difference(
    table: pd.DataFrame, keys: list[str], column: str, plus: Any, minus: Any
) -> pd.DataFrame:
    """The value where `column` is `plus`, minus that where it is `minus`."""
    wide = _wide(table, keys, column).reindex(columns=[plus, minus])
    return (wide[plus] - wide[minus]).rename("value").reset_index()


def _in_parts(table: pd.DataFrame, parts: Iterable[str]) -> pd.DataFrame:
    """The rows of each part of a model by depth, one part below the other."""
    chosen = []
    for part in parts:
        low, high = PARTS[part]
        above = table["depth"] >= low if low == 0 else table["depth"] > low
        chosen.append(table[above & (table["depth"] <= high)].assign(part=part))
    return pd.concat(chosen)


def _counted(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of models that estimates take in."""
    return table[table["counted"]].copy()


def _and_all(table: pd.DataFrame) -> pd.DataFrame:
    """The rows again as those of models of all variants, which come first."""
    return pd.concat([table.assign(variant=ALL), table], ignore_index=True)


def _levels(table: pd.DataFrame, by: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """All rows, then those of each level of an attribute."""
    yield "all", table
    yield from table.groupby(by, sort=False)


def _of_lineages(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Mean of each lineage; where a measure is not defined, it does not count."""
    table = _counted(table)
    table = table[np.isfinite(table["value"])]
    return table.groupby([*keys, "model_kind", "lineage"], sort=False)["value"].mean().reset_index()


def _over_seeds(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Means that say what other seeds of the same model would give, and how far seeds lie apart.

    Columns low and high are the interval, which two seeds make wider than a panel: of these, they
    are the seeds themselves.
    """
    table = table[np.isfinite(table["value"])]
    rows = []
    for key, values in table.groupby(keys, sort=False, dropna=False)["value"]:
        estimate, n = statistics.mean_interval(values), len(values)
        band = (values.min(), values.max()) if n == 2 else (estimate.ci_low, estimate.ci_high)
        rows.append([*key, *estimate, n, *band])
    columns = [*keys, *_ESTIMATE, "n", "low", "high"]
    return pd.DataFrame(rows, columns=columns).drop(columns="p_value")


def _over_models(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Means over kinds of models that say what other kinds would give."""
    return _nested(table, keys, "groups")


def _nested(table: pd.DataFrame, keys: list[str], over: str) -> pd.DataFrame:
    """Means over kinds of models that generalise to others, or to other members of these."""
    rows = []
    for key, of_key in _of_lineages(table, keys).groupby(keys, sort=False):
        estimate = statistics.nested_mean(of_key["value"], of_key["model_kind"], over=over)
        n = of_key["model_kind"].nunique() if over == "groups" else len(of_key)
        rows.append([*key, *estimate, n])
    return _corrected(pd.DataFrame(rows, columns=[*keys, *_ESTIMATE, "n"]))


def _corrected(table: pd.DataFrame) -> pd.DataFrame:
    """The table with p-values corrected for the number of its rows."""
    return table.assign(p_value=statistics.corrected(table["p_value"]))
