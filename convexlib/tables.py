"""Study to tidy DataFrame: one function a question. Tables only join what steps measured."""

import itertools
import json
from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import get_args

import numpy as np
import pandas as pd
from PIL import Image

from convexlib import judgments, statistics, steps
from convexlib.measures import (
    CONCEPT_CONVEXITY,
    CONNECTED,
    CONVEXITY,
    GLOBAL,
    HELD_OUT_CONVEXITY,
    HELD_OUT_DOT,
    HELD_OUT_ODD_ONE_OUT,
    HELD_OUT_RSA,
    MADE_UP_CONVEXITY,
    MISNAMED,
    NAIVE,
    NAMED,
    ODD_ONE_OUT,
    ORIGINAL,
    OTHER_HALF_ODD_ONE_OUT,
    RSA,
    TAUGHT_CONVEXITY,
)
from convexlib.settings import Family
from convexlib.study import ADDED, FACTORS, LEVELS, VARIANTS, Study

MODEL = ["study", "model", "family", "size", "variant"]
"""Columns that say which model a row is about, whatever its seed."""

_WHOSE = [*MODEL, "seed", "model_kind", "lineage", "counted"]
"""The same, and what seeds have in common, what goes back to one training, and what counts."""

_LAYER = [*_WHOSE, "layer", "depth"]

_ESTIMATE = [*statistics.Estimate._fields]

_CURVE = ["epoch", "training_loss", "validation_score"]

PARTS = {"all layers": (0.0, 1.0), "first half": (0.0, 0.5), "second half": (0.5, 1.0)}
"""Parts of a model by depth. The middle layer, where there is one, is in the first half."""

_HALVES = ("first half", "second half")


_BASIC = [CONVEXITY, CONCEPT_CONVEXITY, CONNECTED, ODD_ONE_OUT]

_HELD_OUT = [HELD_OUT_ODD_ONE_OUT, HELD_OUT_DOT, HELD_OUT_RSA, OTHER_HALF_ODD_ONE_OUT]
_TRANSFORMED = {
    NAIVE: [CONVEXITY, HELD_OUT_CONVEXITY, *_HELD_OUT],
    GLOBAL: [CONVEXITY, HELD_OUT_CONVEXITY, *_HELD_OUT],
    NAMED: [TAUGHT_CONVEXITY, ODD_ONE_OUT, RSA],
    MISNAMED: [MADE_UP_CONVEXITY, ODD_ONE_OUT, RSA],
}
"""Measures that are compared before and after, by space."""

_KNOWN = {
    "measure": [*_BASIC, *itertools.chain(*_TRANSFORMED.values()), "probed", "correlation"]
    + [f"dimension {number}" for number in (1, 2)],
    "variant": [*VARIANTS, "all", "both"],
    "part": [*PARTS, "halves"],
    "family": get_args(Family),
    "level": LEVELS,
    "against": LEVELS,
}
"""What `estimate` may be asked for, also where a study does not have it."""


def layer_measures(study: Study) -> pd.DataFrame:
    """What was measured: one row a model, seed, layer, space and measure.

    Returns
    -------
    DataFrame
        Columns of `MODEL`, seed, model_kind (what models that differ by their seed have in common),
        lineage (the model that it goes back to), counted (whether estimates over models take it
        in), id, parent (the id of the model that it was fine-tuned from, if known), layer, depth,
        measure, space, value and n (images, triplets or pairs behind the value). The measures:

        - "convexity" of the categories, "concept_convexity", and "connected_pairs", the share of
          the pairs of a category that any path joins;
        - "odd_one_out" accuracy and "rsa" with all judgments, and "temperature", at which the
          similarities make the judgments most likely;
        - "held_out_convexity", "held_out_odd_one_out", "held_out_rsa": of concepts to which the
          transform was not fitted, over folds and repeats; "held_out_dot": the same accuracy by
          the dot product of standardised features, with which the transform was fitted;
          "other_half_odd_one_out": of judgments to which it was not fitted; n counts triplets,
          or folds of RSA and convexity;
        - "taught_convexity" and "made_up_convexity" of images whose names were not shown.

        The spaces: "original"; "naive" and "global" for the transforms; "named" and "misnamed"
        where the names of the categories were learned, or names dealt at random.
    """
    return _stored(study, "layers")


def concept_measures(study: Study) -> pd.DataFrame:
    """What was measured concept by concept: one row a model, seed, layer, space and concept.

    Returns
    -------
    DataFrame
        The columns of `layer_measures`, and kind ("concept", "category" or "dimension") and
        concept, its name; a dimension is named by the concept farthest out at either end.
        The measures are "odd_one_out" and "held_out_odd_one_out" over the triplets about it.
    """
    return _stored(study, "concepts")


def predicted_dimensions(study: Study) -> pd.DataFrame:
    """Where ridge regression puts each concept: one row a model, seed, layer and concept.

    Returns
    -------
    DataFrame
        Columns of `MODEL`, seed, layer, depth, concept, and "dimension 1" ..., predicted from the
        other concepts. Without rows where no human dimensions are known.
    """
    return _stored(study, "dimensions")


def layer_means(study: Study) -> pd.DataFrame:
    """Mean of every measure over seeds, with a 95 % t interval; n is the number of seeds."""
    return _over_seeds(layer_measures(study), [*MODEL, "layer", "depth", "measure", "space"])


def convexity_and_accuracy(study: Study) -> pd.DataFrame:
    """One row a part of `PARTS`, model, seed and layer, with columns convexity and odd_one_out."""
    table = _original(layer_measures(study))
    table = table[table["measure"].isin([CONVEXITY, ODD_ONE_OUT])]
    wide = _wide(table, _LAYER, "measure").reindex(columns=[CONVEXITY, ODD_ONE_OUT]).dropna()
    return _in_parts(wide.reset_index().rename_axis(columns=None), PARTS)


def correlations(study: Study) -> pd.DataFrame:
    """Pearson correlation of convexity and odd-one-out accuracy over layers and models.

    Layers of one model, its seeds, and a pretrained model and its fine-tuned form, are not
    independent: the 95 % interval is one over kinds of models, each with all of these.

    Returns
    -------
    DataFrame
        One row a part ("all layers", "first half", "second half") and variant ("all",
        "pretrained", "finetuned"): value, ci_low, ci_high, p_value (corrected for the number
        of rows), n (points), n_models (kinds). Without rows of too few points.
    """
    points = _counted(convexity_and_accuracy(study))
    rows = [
        [
            study.name,
            part,
            variant,
            "correlation",
            *statistics.pearson(chosen[CONVEXITY], chosen[ODD_ONE_OUT], chosen["model_kind"]),
            len(chosen),
            chosen["model_kind"].nunique(),
        ]
        for part, of_part in points.groupby("part", sort=False)
        for variant, chosen in _of_variants(of_part)
        if len(chosen) > 1
    ]
    columns = ["study", "part", "variant", "measure", *_ESTIMATE, "n", "n_models"]
    return _corrected(pd.DataFrame(rows, columns=columns).dropna(subset="value"))


def correlation_differences(study: Study) -> pd.DataFrame:
    """How much the correlation of both measures differs between kinds of layers and models.

    Returns
    -------
    DataFrame
        One row a difference, "first half minus second half" (of all, pretrained and finetuned
        models) or "pretrained minus finetuned" (in each part): difference, part, variant,
        value, ci_low, ci_high as in `correlations`, p_value corrected for the number of rows,
        n, n_models. Without rows of too few points on either side.
    """
    points = _counted(convexity_and_accuracy(study))
    halves = points[points["part"] != "all layers"]
    kinds = [
        ("first half minus second half", "halves", variant, chosen, chosen["part"] == "first half")
        for variant, chosen in _of_variants(halves)
    ]
    kinds += [
        ("pretrained minus finetuned", part, "both", chosen, chosen["variant"] == "pretrained")
        for part, chosen in points.groupby("part", sort=False)
    ]
    rows = [
        [
            study.name,
            difference,
            part,
            variant,
            *statistics.pearson_difference(
                chosen[CONVEXITY], chosen[ODD_ONE_OUT], first, chosen["model_kind"]
            ),
            len(chosen),
            chosen["model_kind"].nunique(),
        ]
        for difference, part, variant, chosen, first in kinds
        if min(first.sum(), (~first).sum()) > 1
    ]
    columns = ["study", "difference", "part", "variant", *_ESTIMATE, "n", "n_models"]
    return _corrected(pd.DataFrame(rows, columns=columns).dropna(subset="value"))


def fine_tuning_deltas(study: Study) -> pd.DataFrame:
    """What fine-tuning adds to each measure at each layer: a model minus its parent.

    Returns
    -------
    DataFrame
        Columns study, model_kind, family, size, layer, depth, measure, value, the mean over
        seeds, with a 95 % t interval over these, and n. Empty where the study has no pair.
    """
    keys = ["study", "model_kind", "family", "size", "layer", "depth", "measure"]
    return _over_seeds(_paired_deltas(study), keys)


def change_with_depth(study: Study) -> pd.DataFrame:
    """How much each measure differs between the last layer and the embedding.

    Returns
    -------
    DataFrame
        One row a variant and measure: value is last minus embedding, with a 95 % t interval over
        kinds of models, p_value, corrected for the number of rows, and n, the number of kinds.
    """
    table = _original(layer_measures(study))
    table = table[table["depth"].isin([0.0, 1.0])]
    wide = _wide(table[table["measure"].isin(_BASIC)], [*_WHOSE, "measure"], "depth")
    wide = wide.reindex(columns=[0.0, 1.0])
    changes = (wide[1.0] - wide[0.0]).rename("value").reset_index()
    return _over_models(changes, ["study", "variant", "measure"])


def transform_effects(study: Study) -> pd.DataFrame:
    """Measures before and after each transform at every layer, and what it adds.

    Returns
    -------
    DataFrame
        The columns of `layer_means`, and transform: "naive" and "global" (measures "convexity"
        and, on what the transform was not fitted to, "held_out_convexity",
        "held_out_odd_one_out", "held_out_dot", "held_out_rsa", "other_half_odd_one_out");
        "named" and "misnamed"
        ("taught_convexity" or "made_up_convexity" of images whose names were not shown,
        "odd_one_out", "rsa"). Space is "before", "after" or "gain" (the difference, paired by
        seed).
    """
    tidy = _gains(study).melt(
        id_vars=[*_LAYER, "measure", "transform"],
        value_vars=["before", "after", "gain"],
        var_name="space",
    )
    return _over_seeds(tidy, [*MODEL, "layer", "depth", "measure", "transform", "space"])


def fine_tuning_summary(study: Study) -> pd.DataFrame:
    """What fine-tuning adds to each measure in each family, on average over layers.

    Returns
    -------
    DataFrame
        One row a family and measure: value, with a 95 % t interval over other seeds of these
        very models, since a family has few sizes, p_value, corrected for the number of rows, and
        n, the number of pairs. Empty where the study has no pair.
    """
    return _over_members(_counted(_paired_deltas(study)), ["study", "family", "measure"])


def transform_summary(study: Study, transform: str) -> pd.DataFrame:
    """What a transform adds to each measure, on average over the layers of each half.

    Parameters
    ----------
    study : Study
    transform : {"naive", "global", "named", "misnamed"}

    Returns
    -------
    DataFrame
        One row a part, variant and measure: value, with a 95 % t interval over kinds of models,
        p_value, corrected for the number of rows, and n, the number of kinds.
    """
    gains = _gains(study)
    gains = gains[gains["transform"] == transform].rename(columns={"gain": "value"})
    return _over_models(_in_parts(gains, _HALVES), ["study", "part", "variant", "measure"])


def teaching_contrast(study: Study) -> pd.DataFrame:
    """How much more real names add to alignment than names dealt at random.

    Returns
    -------
    DataFrame
        One row a variant and measure ("odd_one_out", "rsa"): the columns of
        `transform_summary`, over all layers.
    """
    gains = _gains(study)
    gains = gains[gains["measure"].isin([ODD_ONE_OUT, RSA])]
    wide = gains.set_index([*_LAYER, "measure", "transform"])["gain"].unstack("transform")
    wide = wide.reindex(columns=[NAMED, MISNAMED])
    contrast = (wide[NAMED] - wide[MISNAMED]).rename("value").reset_index()
    return _over_models(contrast, ["study", "variant", "measure"])


def probing(study: Study) -> pd.DataFrame:
    """Zero-shot and probed odd-one-out accuracy on the same held-out triplets.

    Returns
    -------
    DataFrame
        One row a model, seed, layer and transform ("naive", "global"), with columns before
        (zero-shot) and after (probed).
    """
    gains = _gains(study)
    return gains[gains["measure"] == HELD_OUT_ODD_ONE_OUT].drop(columns="gain")


def dimension_scores(study: Study) -> pd.DataFrame:
    """How well each human dimension is predicted at every layer, R-squared.

    Returns
    -------
    DataFrame
        One row a model, layer and dimension: measure ("dimension 1" ...), value, with a 95 %
        interval over concepts, n (concepts). All seeds of a model count together.
    """
    return _explained(study, predicted_dimensions(study), [*MODEL, "layer", "depth"])


def dimension_summary(study: Study) -> pd.DataFrame:
    """R-squared of each human dimension over all models of a kind and the layers of each half.

    Returns
    -------
    DataFrame
        One row a part, variant and dimension, as `dimension_scores`.
    """
    halves = _in_parts(_counted(predicted_dimensions(study)), _HALVES)
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
    ends = np.array(steps.judged(study).ends)
    table["dimension"] = ends[number] if len(table) else ""
    best = -table.groupby("dimension")["value"].transform("mean")
    order = best.sort_values(kind="stable").index
    return table.loc[order].assign(measure="R²").reset_index(drop=True)


def predicted_positions(study: Study) -> pd.DataFrame:
    """Where people put each concept in the first two human dimensions, and where models do.

    Models: the mean prediction at the last layer of the pretrained models of a family, or of
    all where none is pretrained; models that the reader added stand by themselves.

    Returns
    -------
    DataFrame
        One row a panel ("people", then families and added models) and concept: panel, concept,
        x, y, image.
    """
    judged = steps.judged(study)
    axes = {"dimension 1": "x", "dimension 2": "y"}
    table = predicted_dimensions(study).rename(columns=axes)
    if table.empty:
        return pd.DataFrame(columns=["panel", "concept", "x", "y", "image"])
    people = pd.DataFrame(
        {"panel": "people", "concept": judged.names}
        | dict(zip("xy", judged.dimensions.T[:2], strict=True))
    )
    table = table[table["depth"] == 1]
    if (table["variant"] == "pretrained").any():
        table = table[table["variant"] == "pretrained"]
    table["panel"] = table["family"].where(table["size"] != ADDED, table["model"])
    models = table.groupby(["panel", "concept"], sort=False)[["x", "y"]].mean().reset_index()
    return pd.concat([people, models]).merge(pictures(study), on="concept", sort=False)


def best_and_worst(study: Study, *, n_concepts: int = 5) -> pd.DataFrame:
    """The concepts of the highest and the lowest zero-shot accuracy, with their pictures.

    Returns
    -------
    DataFrame
        Rows of `concept_accuracy` on held-out concepts, before and after the transforms, from
        the best concept to the worst by the mean over kinds of models, with a column image.
    """
    table = concept_accuracy(study)
    table = table[(table["kind"] == "concept") & (table["measure"] == HELD_OUT_ODD_ONE_OUT)]
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
    table = table[table["measure"].isin([ODD_ONE_OUT, HELD_OUT_ODD_ONE_OUT])]
    keys = ["study", "variant", "kind", "concept", "measure", "space"]
    return _over_models(table, keys)


def model_effects(study: Study) -> pd.DataFrame:
    """Alignment by what models were trained on and how they are built, at the last layer.

    Returns
    -------
    DataFrame
        One row a factor ("objective", "architecture", "size", "training data",
        "fine-tuning"), level and measure ("odd_one_out", "rsa", and "probed", the accuracy after
        the global transform on held-out concepts): value, with a 95 % t interval over kinds of
        models, and n, their number.
    """
    return _over_models(_by_factor(study), ["study", "factor", "level", "measure"])


def model_contrasts(study: Study) -> pd.DataFrame:
    """How much alignment at the last layer differs between the levels of a factor.

    Returns
    -------
    DataFrame
        One row a factor, two of its levels and measure of `model_effects`: level, against, value
        (level minus against), with a 95 % interval over kinds of models, paired ones where both
        levels have the same kinds and of two groups otherwise, p_value, corrected for the number
        of rows, and n, the number of kinds at the level.
    """
    means = _of_kinds(_by_factor(study), ["study", "factor", "measure", "level"])
    rows = []
    for key, of_factor in means.groupby(["study", "factor", "measure"], sort=False):
        levels = of_factor.pivot(index="model_kind", columns="level", values="value")
        for against, level in combinations(dict.fromkeys(of_factor["level"]), 2):
            pair = levels[[level, against]].dropna(how="all")
            if pair.notna().to_numpy().all():
                estimate = statistics.mean_interval(pair[level] - pair[against])
            else:
                estimate = statistics.mean_difference(pair[level].dropna(), pair[against].dropna())
            rows.append([*key, level, against, *estimate, pair[level].count()])
    columns = ["study", "factor", "measure", "level", "against", *_ESTIMATE, "n"]
    return _corrected(pd.DataFrame(rows, columns=columns))


def words(study: Study) -> dict[str, str]:
    """What the concepts and the categories of a study are called."""
    return dict(steps.kind(study).WORDS)


def n_models(study: Study) -> int:
    """How many kinds of models estimates take in; seeds of one kind count once."""
    return len({study.root(model).kind for model in study.models if model.counted})


def noise_ceiling(study: Study) -> tuple[float, float] | None:
    """Lower and upper noise ceiling of the judgments, where some were made more than once."""
    return steps.judged(study).ceiling


def models(study: Study) -> pd.DataFrame:
    """What is known of each model: one row a model, seeds together."""
    rows = [
        {"model": model.name, "family": model.family, **model.attributes}
        | {"revision": (model.revision or "")[:8]}
        for model in study.models
    ]
    table = pd.DataFrame(rows).drop_duplicates(ignore_index=True)
    return table if table["revision"].any() else table.drop(columns="revision")


def stimuli(study: Study) -> pd.DataFrame:
    """How many concepts and images are in each category, and in all."""
    judged = steps.judged(study)
    counts = {
        "concepts": judged.category_of_concept.sum(),
        "images": judged.categories.sum(),
    }
    table = pd.DataFrame(counts).rename_axis("category").reset_index()
    table.loc[len(table)] = ["all", len(judged.names), len(judged.categories)]
    return table.rename(columns=words(study))


def trials(study: Study) -> pd.DataFrame:
    """Of THINGS: how many judgments there are, and how well two human embeddings predict them.

    Returns
    -------
    DataFrame
        One row a set of judgments: set, judgments, people, triplets, ceiling (lower and upper,
        where triplets were judged repeatedly), and the accuracy of SPoSE and of VICE by the dot
        product.
    """
    things = steps.kind(study)
    everything = things.read_trials()
    embeddings = {"SPoSE": things.spose()[0], "VICE": things.vice()}
    names = {0: "training", 1: "repeated, set 1", 2: "repeated, set 2", 3: "repeated, set 3"}
    rows = []
    for number, name in names.items():
        chosen = everything.ceiling_set == number
        triplets = everything.triplets[chosen]
        if not len(triplets):
            continue
        ceiling = judgments.noise_ceiling(triplets) if number else None
        accuracies = {
            f"accuracy of {embedding}": judgments.odd_one_out_accuracy(
                X, triplets, similarity="dot"
            )
            for embedding, X in embeddings.items()
        }
        rows.append(
            {
                "set": name,
                "judgments": len(triplets),
                "people": len(np.unique(everything.subject[chosen])),
                "triplets": len(np.unique(np.sort(triplets, axis=1), axis=0)),
                "ceiling": f"{ceiling.lower:.3f} to {ceiling.upper:.3f}" if ceiling else "",
                **accuracies,
            }
        )
    return pd.DataFrame(rows)


def reaction_times(study: Study, *, n_bins: int = 8) -> pd.DataFrame:
    """Of THINGS: how fast people judge triplets on which they agree more or less.

    Returns
    -------
    DataFrame
        One row a range of agreement, the share of people who made the most frequent choice of a
        triplet that was judged repeatedly: agreement (its middle), low, median and high (quartiles
        of the reaction time, in seconds), n (judgments).
    """
    everything = steps.kind(study).read_trials()
    repeated = everything.ceiling_set > 0
    triplets = everything.triplets[repeated]
    _, triplet = np.unique(np.sort(triplets, axis=1), axis=0, return_inverse=True)
    table = pd.DataFrame(
        {
            "triplet": triplet.ravel(),
            "odd": triplets[:, 2],
            "seconds": everything.reaction_time[repeated] / 1000,
        }
    )
    times_chosen = table.groupby(["triplet", "odd"]).size().groupby("triplet")
    agreement = table["triplet"].map(times_chosen.max() / times_chosen.sum())
    ranges = pd.cut(agreement, np.linspace(1 / 3, 1, n_bins + 1), include_lowest=True)
    of_range = table.groupby(ranges, observed=True)["seconds"]
    quartiles = of_range.quantile([0.25, 0.5, 0.75]).unstack()
    return pd.DataFrame(
        {
            "agreement": [interval.mid for interval in quartiles.index],
            "low": quartiles[0.25].to_numpy(),
            "median": quartiles[0.5].to_numpy(),
            "high": quartiles[0.75].to_numpy(),
            "n": of_range.size().to_numpy(),
        }
    )


def pictures(study: Study) -> pd.DataFrame:
    """The reference image of each concept, small.

    Returns
    -------
    DataFrame
        One row a concept: concept, category (the first that it belongs to, or "none"), and image,
        an array of at most 175 x 175 pixels, or None where the licence does not allow to show it.
    """
    judged = steps.judged(study)
    members = judged.category_of_concept
    category = members.columns.to_numpy()[members.to_numpy().argmax(axis=1)]
    if steps.kind(study).MAY_SHOW:
        images = [_thumbnail(image) for image in steps.images(study, "reference")[0]]
    else:
        images = [None] * len(members)
    return pd.DataFrame(
        {
            "concept": judged.names,
            "category": np.where(members.any(axis=1), category, "none"),
            "image": images,
        }
    )


def stress(study: Study) -> float:
    """How badly the human dimensions of a study fit the judgments: Kruskal's stress-1."""
    return steps.judged(study).stress


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
        known = {*table[column].dropna(), *_KNOWN.get(column, ())}
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


def example_images(study: Study, *, n_per_concept: int) -> pd.DataFrame:
    """Reference image and first test images of every concept.

    Returns
    -------
    DataFrame
        One row a concept: concept, and images, an array (1 + n_per_concept, h, w, 3).
    """
    references, concepts = steps.images(study, "reference")
    images, labels = steps.images(study, "test")
    column = steps.kind(study).CONCEPT
    rows = []
    for reference, concept in zip(references, concepts[column], strict=True):
        tests = images[(labels[column] == concept).to_numpy()][:n_per_concept]
        rows.append({"concept": concept, "images": [reference, *tests]})
    return pd.DataFrame(rows)


def training(study: Study) -> pd.DataFrame:
    """What the models trained here learned: one row a model and seed.

    Returns
    -------
    DataFrame
        Columns of `MODEL`, seed, objective, score ("accuracy" or "explained variance"),
        test_score, n_steps, n_parameters, and curve: a list of dicts with epoch,
        training_loss and validation_score.
    """
    rows = []
    for model in study.models:
        if model.source is not None:
            continue
        folder = steps.checkpoint(study, model).get()
        record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        columns = ("objective", "score", "test_score", "n_steps", "n_parameters", "curve")
        rows.append(
            {
                "study": study.name,
                "model": model.name,
                "family": model.family,
                "size": model.size,
                "variant": model.variant,
                "seed": model.seed,
                **{column: record[column] for column in columns},
            }
        )
    return pd.DataFrame(rows)


def training_curves(study: Study) -> pd.DataFrame:
    """Validation score after every epoch: one row a model, seed and epoch."""
    table = training(study)
    rows = [
        {**{key: model[key] for key in [*MODEL, "seed", "objective", "score"]}, **point}
        for model in table.to_dict("records")
        for point in model["curve"]
    ]
    return pd.DataFrame(rows, columns=[*MODEL, "seed", "objective", "score", *_CURVE])


def training_summary(study: Study) -> pd.DataFrame:
    """For the reader: what each model was trained on and its test score over seeds."""
    table = training(study)
    keys = [*MODEL[2:], "objective", "score"]
    if table.empty:
        return pd.DataFrame(columns=[*keys, "test score", "lowest", "highest"])
    grouped = table.groupby(keys, sort=False)
    summary = grouped["test_score"].agg(["mean", "min", "max"])
    summary.columns = ["test score", "lowest", "highest"]
    return summary.reset_index()


def _stored(study: Study, name: str) -> pd.DataFrame:
    """One of the tables of all models' measures, with columns that say whose they are."""
    tables = []
    for model in study.models:
        table = pd.read_parquet(steps.measures(study, model).get() / f"{name}.parquet")
        root = study.root(model)
        whose = [study.name, model.name, model.family, model.size, model.variant, model.seed]
        whose += [root.kind, root.id, model.counted, model.id, model.parent]
        columns = [*_WHOSE, "id", "parent"]
        for place, (column, value) in enumerate(zip(columns, whose, strict=True)):
            table.insert(place, column, value)
        tables.append(table)
    return pd.concat(tables, ignore_index=True).astype({"seed": "Int64"})


def _thumbnail(image: np.ndarray | Image.Image, size: int = 175) -> np.ndarray:
    small = Image.fromarray(np.asarray(image))
    small.thumbnail((size, size))
    return np.asarray(small)


def _paired_deltas(study: Study) -> pd.DataFrame:
    """Each fine-tuned model minus the very model that it came from."""
    table = _original(layer_measures(study))
    table = table[table["measure"].isin(_BASIC)]
    before = table[["id", "layer", "measure", "value"]].rename(columns={"id": "parent"})
    keys = ["parent", "layer", "measure"]
    both = table.dropna(subset="parent").merge(before, on=keys, suffixes=("", "_before"))
    both["value"] -= both.pop("value_before")
    return both.dropna(subset="value")


def _by_factor(study: Study) -> pd.DataFrame:
    """Alignment at the last layer: one row a model, seed, measure and factor, with its level."""
    table = _counted(layer_measures(study))
    probed = (table["measure"] == HELD_OUT_ODD_ONE_OUT) & (table["space"] == GLOBAL)
    table.loc[probed, "measure"] = "probed"
    zero_shot = table["measure"].isin([ODD_ONE_OUT, RSA]) & (table["space"] == ORIGINAL)
    table = table[(table["depth"] == 1) & (probed | zero_shot)]
    levels = {model.name: model.attributes for model in study.models}
    tables = []
    for factor in FACTORS:
        of_model = {model: of_factor[factor] for model, of_factor in levels.items()}
        level = pd.Categorical(table["model"].map(of_model), dict.fromkeys(of_model.values()))
        by_level = table.assign(factor=factor, level=level).sort_values("level", kind="stable")
        tables.append(by_level.astype({"level": str}))
    return pd.concat(tables)


def _gains(study: Study) -> pd.DataFrame:
    """One row a model, seed, layer, measure and transform: before, after, gain."""
    spaces = _wide(layer_measures(study), [*_LAYER, "measure"], "space").reset_index()
    tables = []
    for transform, measures in _TRANSFORMED.items():
        for measure in measures if transform in spaces else ():  # a study may have fewer
            chosen = spaces[spaces["measure"] == measure]
            table = chosen[[*_LAYER, "measure"]].assign(
                transform=transform, before=chosen[ORIGINAL], after=chosen[transform]
            )
            tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    return table.assign(gain=table["after"] - table["before"])


def _explained(study: Study, predicted: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """R-squared of predicted human dimensions, of all rows of a group together."""
    judged = steps.judged(study)
    rows = []
    for key, group in predicted.groupby(keys, sort=False):
        concepts = pd.Index(judged.names).get_indexer(group["concept"])
        for number, y in enumerate(judged.dimensions[concepts].T, start=1):
            dimension = f"dimension {number}"
            r_squared = statistics.r_squared(y, group[dimension], concepts)
            rows.append([*key, dimension, *r_squared, group["concept"].nunique()])
    return pd.DataFrame(rows, columns=[*keys, "measure", *_ESTIMATE, "n"])


def _original(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["space"] == ORIGINAL]


def _wide(table: pd.DataFrame, keys: list[str], column: str) -> pd.DataFrame:
    """A value of `column` a column, rows in the order of the table."""
    return table.set_index([*keys, column])["value"].unstack(column, sort=False)


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
    return table[table["counted"]]


def _of_variants(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    yield "all", table
    for variant in VARIANTS:
        yield variant, table[table["variant"] == variant]


def _of_kinds(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Mean of each kind of models, in which each lineage has the same weight."""
    lineages = _of_lineages(table, keys).groupby([*keys, "model_kind"], sort=False)["value"]
    return lineages.mean().reset_index()


def _of_lineages(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    table = _counted(table)
    table = table[np.isfinite(table["value"])]  # where a measure is not defined, it does not count
    return table.groupby([*keys, "model_kind", "lineage"], sort=False)["value"].mean().reset_index()


def _over_seeds(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Means that say what other seeds of the same model would give."""
    return _means(table, keys).drop(columns="p_value")


def _over_members(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Means over kinds of models that say what other seeds of these would give."""
    return _nested(table, keys, "members")


def _over_models(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Means over kinds of models that say what other kinds would give."""
    return _nested(table, keys, "groups")


def _nested(table: pd.DataFrame, keys: list[str], over: str) -> pd.DataFrame:
    rows = []
    for key, of_key in _of_lineages(table, keys).groupby(keys, sort=False):
        estimate = statistics.nested_mean(of_key["value"], of_key["model_kind"], over=over)
        n = of_key["model_kind"].nunique() if over == "groups" else len(of_key)
        rows.append([*key, *estimate, n])
    return _corrected(pd.DataFrame(rows, columns=[*keys, *_ESTIMATE, "n"]))


def _means(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    rows = []
    for key, values in table.groupby(keys, sort=False, dropna=False)["value"]:
        values = values[np.isfinite(values)]  # where a measure is not defined, it does not count
        if values.empty:
            continue
        rows.append([*key, *statistics.mean_interval(values), len(values)])
    return pd.DataFrame(rows, columns=[*keys, *_ESTIMATE, "n"])


def _corrected(table: pd.DataFrame) -> pd.DataFrame:
    """The table with p-values corrected for the number of its rows."""
    return table.assign(p_value=statistics.corrected(table["p_value"]))
