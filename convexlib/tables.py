"""Study to tidy DataFrame: one function a question. Tables only join what steps measured."""

import json

import pandas as pd

from convexlib import statistics, steps
from convexlib.measures import ALIGNED, CONVEXITY, HELD_OUT_ODD_ONE_OUT, ODD_ONE_OUT, ORIGINAL
from convexlib.stimuli.colors import CONCEPT
from convexlib.study import ADDED, VARIANTS, Study

MODEL = ["study", "model", "family", "size", "variant"]
"""Columns that say which model a row is about, whatever its seed."""

_CURVE = ["epoch", "training_loss", "validation_score"]

PARTS = {"all layers": (0.0, 1.0), "first half": (0.0, 0.5), "second half": (0.5, 1.0)}
"""Parts of a model by depth. The middle layer, where there is one, is in the first half."""


def layer_measures(study: Study) -> pd.DataFrame:
    """What was measured: one row a model, seed, layer, space and measure.

    Returns
    -------
    DataFrame
        Columns study, model, family, size, variant, seed, layer, depth, measure ("convexity"
        of the categories, "concept_convexity", "connected_pairs" (share of the pairs of a
        category that any path joins), "odd_one_out" accuracy on all triplets,
        "held_out_odd_one_out" on triplets of held-out concepts), space ("original", or
        "aligned" by the transform), value, n (images or triplets behind the value).
    """
    tables = []
    for model in study.models:
        table = pd.read_parquet(steps.measures(study, model).get() / "layers.parquet")
        whose = [study.name, model.name, model.family, model.size, model.variant, model.seed]
        for place, (column, value) in enumerate(zip([*MODEL, "seed"], whose, strict=True)):
            table.insert(place, column, value)
        tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    return table.astype({"seed": "Int64"})


def layer_means(study: Study) -> pd.DataFrame:
    """Mean of every measure over seeds, with a 95 % t interval; n is the number of seeds."""
    return _over_seeds(layer_measures(study), [*MODEL, "layer", "depth", "measure", "space"])


def convexity_and_accuracy(study: Study) -> pd.DataFrame:
    """One row a part of `PARTS`, model, seed and layer, with columns convexity and odd_one_out."""
    table = _original(layer_measures(study))
    table = table[table["measure"].isin([CONVEXITY, ODD_ONE_OUT])]
    wide = _wide(table, [*MODEL, "seed", "layer", "depth"], "measure")
    wide = wide.reset_index().rename_axis(columns=None)
    return pd.concat([_of_part(wide, part).assign(part=part) for part in PARTS])


def correlations(study: Study) -> pd.DataFrame:
    """Pearson correlation of convexity and odd-one-out accuracy over layers and models.

    Layers of one model, and a pretrained model and its fine-tuned form, are not independent:
    the 95 % interval resamples lineages (family, size and seed) as wholes.

    Returns
    -------
    DataFrame
        One row a part ("all layers", "first half", "second half") and variant ("all",
        "pretrained", "finetuned"): value, ci_low, ci_high, p_value (corrected for the number
        of rows), n (points), n_lineages.
    """
    points = convexity_and_accuracy(study)
    points["lineage"] = _lineage(points)
    rows = []
    for part, of_part in points.groupby("part", sort=False):
        for variant in ("all", *VARIANTS):
            chosen = of_part if variant == "all" else of_part[of_part["variant"] == variant]
            if len(chosen) < 2:
                continue
            estimate = statistics.pearson(chosen[CONVEXITY], chosen[ODD_ONE_OUT], chosen["lineage"])
            rows.append(
                {
                    "study": study.name,
                    "part": part,
                    "variant": variant,
                    "measure": "correlation",
                    **estimate._asdict(),
                    "n": len(chosen),
                    "n_lineages": chosen["lineage"].nunique(),
                }
            )
    return _corrected(pd.DataFrame(rows))


def correlation_differences(study: Study) -> pd.DataFrame:
    """How much the correlation of both measures differs between kinds of layers and models.

    Returns
    -------
    DataFrame
        One row a difference, "first half minus second half" (of all, pretrained and finetuned
        models) or "pretrained minus finetuned" (in each part): difference, part, variant,
        value, ci_low, ci_high as in `correlations`, p_value corrected for the number of rows.
        Empty where a kind has fewer than two points.
    """
    points = convexity_and_accuracy(study)
    points["lineage"] = _lineage(points)
    halves = points[points["part"] != "all layers"]
    kinds = [
        ("first half minus second half", "halves", variant, chosen, chosen["part"] == "first half")
        for variant in ("all", *VARIANTS)
        for chosen in [halves if variant == "all" else halves[halves["variant"] == variant]]
    ]
    kinds += [
        ("pretrained minus finetuned", part, "both", chosen, chosen["variant"] == "pretrained")
        for part, chosen in points.groupby("part", sort=False)
    ]
    rows = [
        {
            "study": study.name,
            "difference": difference,
            "part": part,
            "variant": variant,
            **statistics.pearson_difference(
                chosen[CONVEXITY], chosen[ODD_ONE_OUT], first, chosen["lineage"]
            )._asdict(),
        }
        for difference, part, variant, chosen, first in kinds
        if min(first.sum(), (~first).sum()) > 1
    ]
    return _corrected(pd.DataFrame(rows))


def fine_tuning_deltas(study: Study) -> pd.DataFrame:
    """What fine-tuning adds to each measure at each layer, paired by seed.

    Returns
    -------
    DataFrame
        The columns of `layer_means` without model and variant; value is fine-tuned minus
        pretrained. Empty where the study has no pair.
    """
    return _over_seeds(
        _paired_deltas(study), ["study", "family", "size", "layer", "depth", "measure"]
    )


def change_with_depth(study: Study) -> pd.DataFrame:
    """How much each measure differs between the last layer and the embedding.

    Returns
    -------
    DataFrame
        One row a variant and measure: value is last minus embedding, with a 95 % t interval
        over lineages (family, size and seed), p_value, corrected for the number of rows, and n,
        the number of lineages.
    """
    table = _original(layer_measures(study))
    table = table[table["depth"].isin([0.0, 1.0])]
    wide = _wide(table, [*MODEL, "seed", "measure"], "depth")
    changes = (wide[1.0] - wide[0.0]).rename("value").reset_index()
    return _over_lineages(changes, ["study", "variant", "measure"])


def transform_effects(study: Study) -> pd.DataFrame:
    """Both measures before and after the transform at every layer, and what it adds.

    Returns
    -------
    DataFrame
        The columns of `layer_means`, for the measures "convexity" and
        "held_out_odd_one_out"; space is "original", "aligned" or "gain" (the difference,
        paired by seed).
    """
    spaces = _both_spaces(study)
    spaces["gain"] = spaces[ALIGNED] - spaces[ORIGINAL]
    tidy = spaces.melt(ignore_index=False, value_name="value").reset_index()
    return _over_seeds(tidy, [*MODEL, "layer", "depth", "measure", "space"])


def fine_tuning_summary(study: Study) -> pd.DataFrame:
    """What fine-tuning adds to each measure in each family, on average over layers.

    Returns
    -------
    DataFrame
        One row a family and measure: value, with a 95 % t interval over lineages (size and
        seed), p_value, corrected for the number of rows, and n, the number of lineages. Empty
        where the study has no pair.
    """
    return _over_lineages(_paired_deltas(study), ["study", "family", "measure"])


def transform_summary(study: Study) -> pd.DataFrame:
    """What the transform adds to each measure, on average over the layers of each part.

    Returns
    -------
    DataFrame
        One row a part, variant and measure: value, with a 95 % t interval over lineages
        (family, size and seed), p_value, corrected for the number of rows, and n, the number of
        lineages.
    """
    spaces = _both_spaces(study)
    gains = (spaces[ALIGNED] - spaces[ORIGINAL]).rename("value").reset_index()
    parts = [_of_part(gains, part).assign(part=part) for part in PARTS]
    return _over_lineages(pd.concat(parts), ["study", "part", "variant", "measure"])


def estimate(table: pd.DataFrame, **where: str) -> statistics.Estimate:
    """The one estimate of a table whose columns have these values; NaN if there is none."""
    for column, value in where.items():
        table = table[table[column] == value] if len(table) else table
    if table.empty:
        return statistics.Estimate(float("nan"), float("nan"), float("nan"))
    return statistics.Estimate(*table[[*statistics.Estimate._fields]].iloc[0])


def example_images(study: Study, *, n_per_concept: int) -> pd.DataFrame:
    """Reference image and first test images of every concept.

    Returns
    -------
    DataFrame
        One row a concept: concept, and images, an array (1 + n_per_concept, h, w, 3).
    """
    references, concepts = steps.images(study, "reference")
    images, labels = steps.images(study, "test")
    rows = []
    for reference, concept in zip(references, concepts[CONCEPT], strict=True):
        tests = images[(labels[CONCEPT] == concept).to_numpy()][:n_per_concept]
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
        record = json.loads((folder / "training.json").read_text())
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


def _paired_deltas(study: Study) -> pd.DataFrame:
    table = _original(layer_measures(study))
    table = table[table["size"] != ADDED]
    keys = ["study", "family", "size", "seed", "layer", "depth", "measure"]
    wide = _wide(table, keys, "variant")
    wide = wide.reindex(columns=list(VARIANTS)).dropna()
    return (wide["finetuned"] - wide["pretrained"]).rename("value").reset_index()


def _both_spaces(study: Study) -> pd.DataFrame:
    table = layer_measures(study)
    table = table[table["measure"].isin([CONVEXITY, HELD_OUT_ODD_ONE_OUT])]
    keys = [*MODEL, "seed", "layer", "depth", "measure"]
    return _wide(table, keys, "space")


def _original(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["space"] == ORIGINAL]


def _wide(table: pd.DataFrame, keys: list[str], column: str) -> pd.DataFrame:
    """A value of `column` a column, rows in the order of the table."""
    return table.set_index([*keys, column])["value"].unstack(column, sort=False)


def _of_part(table: pd.DataFrame, part: str) -> pd.DataFrame:
    low, high = PARTS[part]
    above = table["depth"] >= low if low == 0 else table["depth"] > low
    return table[above & (table["depth"] <= high)]


def _lineage(table: pd.DataFrame) -> pd.Series:
    """What is independent: a model with all that was fine-tuned from it."""
    trained = table["family"] + " " + table["size"] + " " + table["seed"].astype(str)
    if "model" not in table:
        return trained
    return trained.where(table["size"] != ADDED, table["model"])


def _over_seeds(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    return _means(table, keys).drop(columns="p_value")


def _over_lineages(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    lineage = _lineage(table).rename("lineage")
    means = table.groupby([*keys, lineage], sort=False)["value"].mean().reset_index()
    return _corrected(_means(means, keys))


def _means(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    rows = []
    for key, values in table.groupby(keys, sort=False, dropna=False)["value"]:
        rows.append([*key, *statistics.mean_interval(values), len(values)])
    return pd.DataFrame(rows, columns=[*keys, *statistics.Estimate._fields, "n"])


def _corrected(table: pd.DataFrame) -> pd.DataFrame:
    """The table with p-values corrected for the number of its rows."""
    if len(table):
        table["p_value"] = statistics.corrected(table["p_value"])
    return table
