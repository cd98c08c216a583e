"""Tidy DataFrame to matplotlib Axes: one function a figure. Nothing is loaded or computed here.

A family has the same colour in every figure (Okabe and Ito's palette, safe for the colour
blind), a size the same marker, a pretrained model a dashed line and open markers, a fine-tuned
one a solid line and filled markers.
"""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import matplotlib.ticker
import numpy as np
import pandas as pd
from IPython import get_ipython
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib_inline.backend_inline import set_matplotlib_formats
from PIL import Image

FAMILY_NAMES = {"vit": "ViT", "beit": "BEiT", "data2vec": "data2vec"}
MEASURE_NAMES = {
    "convexity": "graph convexity\n({categories})",
    "concept_convexity": "graph convexity\n({concepts})",
    "connected_pairs": "pairs joined\nby any path",
    "odd_one_out": "odd-one-out\naccuracy",
    "rsa": "RSA\n(Spearman)",
    "temperature": "temperature",
    "held_out_convexity": "graph convexity\n(held-out {concepts})",
    "held_out_odd_one_out": "odd-one-out accuracy\n(held-out {concepts})",
    "held_out_rsa": "RSA\n(held-out {concepts})",
    "held_out_dot": "odd-one-out accuracy\n(dot product, held-out {concepts})",
    "other_half_odd_one_out": "odd-one-out accuracy\n(other judgments)",
    "taught_convexity": "graph convexity\n({categories})",
    "made_up_convexity": "graph convexity\n(made-up names)",
    "probed": "odd-one-out\naccuracy, probed",
    "dimension 1": "R² of\ndimension 1",
    "dimension 2": "R² of\ndimension 2",
}
SPACE_NAMES = {"original": "zero-shot", "naive": "naive probe", "global": "global probe"}
CHANCE = 1 / 3

_WORDS = {"concepts": "concepts", "categories": "categories"}
_CEILING: list[float] = []
_COLORS = {"vit": "#0072B2", "beit": "#D55E00", "data2vec": "#009E73"}
_GAP = 4  # pixels between pictures
_CEILING_COLOR = "0.88"
_OTHER_COLOR = "#CC79A7"
_ADDED_COLOR = "#000000"
_MARKERS = {"base": "o", "large": "s"}
_OTHER_MARKER = "D"


def set_style(
    words: Mapping[str, str] | None = None, ceiling: tuple[float, float] | None = None
) -> None:
    """Fonts, lines and words for all figures, as SVG without a date; call once a notebook.

    Parameters
    ----------
    words : mapping, optional
        What "concepts" and "categories" are in the study at hand, such as "hues" and "colour
        names".
    ceiling : tuple of two floats, optional
        The noise ceiling, drawn as a grey band wherever accuracy is drawn.
    """
    _WORDS.update(words or {})
    _CEILING[:] = ceiling or ()
    if get_ipython():
        set_matplotlib_formats("svg", bbox_inches="tight", metadata={"Date": None})
    mpl.rcParams.update(
        {
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 10,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "legend.frameon": False,
            "lines.markersize": 4,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "svg.hashsalt": "convexlib",  # the same figure gives the same file
        }
    )


def panels(n_rows: int, n_columns: int, *, height: float = 2.1, width: float = 5.8) -> np.ndarray:
    """Axes (n_rows, n_columns) of a new figure, `height` inches a row, `width` in all."""
    n_rows, n_columns = max(1, n_rows), max(1, n_columns)  # to say on it what is missing
    _, axes = plt.subplots(n_rows, n_columns, figsize=(width, height * n_rows), squeeze=False)
    return axes


def layer_curves(
    means: pd.DataFrame, axes: np.ndarray, *, limits: tuple[float, float] = (-0.02, 1.02)
) -> np.ndarray:
    """Measures against depth: a row a family, a column a measure, bands are intervals.

    Parameters
    ----------
    means : DataFrame
        From `tables.layer_means` or `tables.dimension_scores`, with the measures to draw, one
        space only.
    axes : ndarray of Axes, shape (n_families, n_measures)
    limits : (float, float), default=(-0.02, 1.02)
        How far the y axes reach at most.

    Returns
    -------
    ndarray of Axes
    """
    if means.empty:
        return missing(axes)
    measures = list(dict.fromkeys(means["measure"]))
    for row, (family, of_family) in zip(axes, means.groupby("family", sort=False), strict=True):
        missing(row[len(measures) :])
        for ax, measure in zip(row, measures, strict=False):
            for _, curve in of_family[of_family["measure"] == measure].groupby(
                ["model", "size", "variant"], sort=False
            ):
                _curve(ax, curve)
            if "odd_one_out" in measure:
                _chance_line(ax)
            ax.set_ylabel(_measure_name(measure))
            ax.set_title(_family_name(family), loc="left", color=_family_color(family))
    _share_limits(axes, low=limits[0], high=limits[1])
    for ax in axes[-1]:
        ax.set_xlabel("depth (layer / last layer)")
    return _legend_below(axes, means)


def scatter(points: pd.DataFrame, axes: np.ndarray) -> np.ndarray:
    """Odd-one-out accuracy against convexity, a point a layer of a model.

    Parameters
    ----------
    points : DataFrame
        From `tables.convexity_and_accuracy`, with the parts to draw.
    axes : ndarray of Axes, shape (1, n_parts)
    """
    for ax, (part, of_part) in zip(axes.ravel(), points.groupby("part", sort=False), strict=True):
        _points(ax, of_part, "convexity", "odd_one_out")
        _chance_line(ax)
        ax.set_title(f"{part} of the layers", loc="left")
        ax.set_xlabel(_measure_name("convexity").replace("\n", " "))
        ax.set_ylabel("odd-one-out accuracy")
    _share_limits(axes.T)
    return _legend_below(axes, points, families=True, lines=False)


def correlation_bars(correlations: pd.DataFrame, ax: Axes, *, published: dict[str, float]) -> Axes:
    """Correlations with their intervals by part and variant, beside published ones.

    Parameters
    ----------
    correlations : DataFrame
        From `tables.correlations`.
    ax : Axes
    published : dict
        Published correlation by part, drawn as a diamond.
    """
    if correlations.empty:
        return missing(np.array(ax))
    parts = list(dict.fromkeys(correlations["part"]))
    variants = list(dict.fromkeys(correlations["variant"]))
    styles = {"all": ("o", "k"), "pretrained": ("o", "none"), "finetuned": ("o", "0.5")}
    for variant in variants:
        offset = 0.18 * (variants.index(variant) - (len(variants) - 1) / 2)
        of_variant = correlations[correlations["variant"] == variant]
        y = np.array([parts.index(part) for part in of_variant["part"]]) + offset
        marker, face = styles[variant]
        ax.plot(
            of_variant["value"],
            y,
            marker,
            color="k",
            markerfacecolor=face,
            markersize=7,
            label={"all": "all models", "finetuned": "fine-tuned"}.get(variant, variant),
        )
        ax.hlines(y, of_variant["ci_low"], of_variant["ci_high"], color="k", zorder=1)
        counts = zip(y, of_variant["n"], of_variant["n_models"], strict=True)
        for height, n_points, n_models in counts:
            ax.text(
                1.04,
                height,
                f"{n_points} of {n_models}",
                va="center",
                fontsize=8,
                transform=ax.get_yaxis_transform(),
            )
    ax.text(1.04, 1.02, "points of models", fontsize=8, transform=ax.transAxes, va="bottom")
    for part in published.keys() & set(parts):
        ax.plot(published[part], parts.index(part), "D", color=_OTHER_COLOR, markersize=8)
    ax.plot([], [], "D", color=_OTHER_COLOR, markersize=8, label="published (objects)")
    ax.axvline(0, color="0.5", linewidth=1)
    ax.set_yticks(range(len(parts)), parts)
    ax.set_ylim(len(parts) - 0.4, -0.6)
    ax.set_xlim(-1.02, 1.02)
    ax.set_xlabel("correlation of convexity and odd-one-out accuracy")
    ax.figure.legend(loc="outside lower center", ncols=2)
    return ax


def deltas(table: pd.DataFrame, axes: np.ndarray) -> np.ndarray:
    """What fine-tuning adds, against depth: a row a family, a column a measure.

    Parameters
    ----------
    table : DataFrame
        From `tables.fine_tuning_deltas`, with the measures to draw.
    axes : ndarray of Axes, shape (n_families, n_measures)
    """
    if table.empty:
        return missing(axes, "These models hold no pair of pretrained and fine-tuned.")
    drawn = table.assign(model=table["model_kind"], variant="finetuned")
    return _changes(drawn, axes)


def gains(table: pd.DataFrame, axes: np.ndarray) -> np.ndarray:
    """What the transform adds, against depth: a row a family, a column a measure.

    Parameters
    ----------
    table : DataFrame
        The rows of `tables.transform_effects` of one transform whose space is "gain".
    axes : ndarray of Axes, shape (n_families, n_measures)
    """
    if table.empty:
        return missing(axes, "This study does not have this transform.")
    return _changes(table, axes)


def before_and_after(table: pd.DataFrame, axes: np.ndarray) -> np.ndarray:
    """Measures before (grey) and after (colour) the transform, against depth.

    Parameters
    ----------
    table : DataFrame
        The rows of `tables.transform_effects` of one transform whose space is "before" or
        "after".
    axes : ndarray of Axes, shape (n_families, n_measures)
    """
    if table.empty:
        return missing(axes, "This study does not have this transform.")
    after = table[table["space"] == "after"]
    layer_curves(after, axes)
    for row, (_, of_family) in zip(axes, table.groupby("family", sort=False), strict=True):
        for ax, measure in zip(row, dict.fromkeys(after["measure"]), strict=False):
            before = of_family[(of_family["measure"] == measure) & (of_family["space"] == "before")]
            for (_, size, variant), curve in before.groupby(
                ["model", "size", "variant"], sort=False
            ):
                ax.plot(
                    curve["depth"],
                    curve["value"],
                    color="0.6",
                    linestyle=_line_style(variant),
                    marker=_marker(size),
                    markersize=3,
                    zorder=1,
                )
            ax.relim()
            ax.autoscale_view()
    _share_limits(axes, low=-0.02, high=1.02)
    return axes


def forest(
    table: pd.DataFrame, axes: np.ndarray, *, rows: str, panels: str, xlabel: str = ""
) -> np.ndarray:
    """Estimates with their intervals, one below the other; open for pretrained models.

    Where an interval is much wider than the values lie apart, it runs out of the axes.

    Parameters
    ----------
    table : DataFrame
        With columns value, ci_low, ci_high and, where kinds of models are told apart, variant.
    axes : ndarray of Axes, shape (1, n_panels)
    rows, panels : str
        The columns that say in which row and panel an estimate stands, in the table's order.
    xlabel : str, optional
        What all panels show; by default each shows what its name says.
    """
    if table.empty:
        return missing(axes)
    labels = list(dict.fromkeys(table[rows]))
    variants = list(dict.fromkeys(table["variant"])) if "variant" in table else [None]
    faces = {"pretrained": "white"}
    for ax, (panel, of_panel) in zip(axes[0], table.groupby(panels, sort=False), strict=True):
        for number, variant in enumerate(variants):
            chosen = of_panel if variant is None else of_panel[of_panel["variant"] == variant]
            offset = 0.3 * (number - (len(variants) - 1) / 2)
            y = np.array([labels.index(label) for label in chosen[rows]]) + offset
            ax.hlines(y, chosen["ci_low"], chosen["ci_high"], color="k", linewidth=1, zorder=1)
            ax.plot(
                chosen["value"],
                y,
                "o",
                color="k",
                markerfacecolor=faces.get(variant, "k"),
                zorder=2,
            )
        ax.set_title(panel if xlabel else "", loc="left")
        ax.set_xlabel("" if xlabel else _measure_name(panel))
        ax.set_yticks(range(len(labels)), labels)
        ax.set_ylim(len(labels) - 0.5, -0.5)
        _show_values(ax, of_panel["value"])
    for ax in axes[0, 1:]:
        ax.tick_params(labelleft=False)
    if xlabel:
        axes[0, axes.shape[1] // 2].set_xlabel(xlabel)
        _share_x_limits(axes)
    if variants != [None]:
        handles = [
            _handle("k", "base", variant, _variant_name(variant), line=False)
            for variant in variants
        ]
        axes[0, 0].figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return axes


def zero_shot_and_probed(table: pd.DataFrame, axes: np.ndarray) -> np.ndarray:
    """Probed against zero-shot accuracy, a point a layer; above the line the probe helps.

    Parameters
    ----------
    table : DataFrame
        From `tables.probing`.
    axes : ndarray of Axes, shape (1, n_transforms)
    """
    rng = np.random.default_rng(0)
    # A shift below the width of a marker, since few triplets give few values.
    shift = rng.uniform(-0.006, 0.006, (len(table), 2))
    shifted = table.assign(x=table["before"] + shift[:, 0], y=table["after"] + shift[:, 1])
    for ax, (transform, chosen) in zip(
        axes[0], shifted.groupby("transform", sort=False), strict=True
    ):
        _points(ax, chosen, "x", "y")
        ax.axline((0.5, 0.5), slope=1, color="0.5", linewidth=1)
        ax.set_aspect("equal")
        ax.set_title(f"{transform} transform", loc="left")
        ax.set_xlabel("zero-shot accuracy")
        ax.set_ylabel("probed accuracy")
    values = table[["before", "after"]].to_numpy()
    for ax in axes.ravel():
        limits = values.min() - 0.03, values.max() + 0.03
        ax.set(xlim=limits, ylim=limits)
    return _legend_below(axes, table, families=True, lines=False)


def positions(table: pd.DataFrame, axes: np.ndarray, *, in_order: bool = False) -> np.ndarray:
    """Concepts as pictures where people, and models, put them in two human dimensions.

    Parameters
    ----------
    table : DataFrame
        From `tables.predicted_positions`.
    axes : ndarray of Axes
        At least one a panel; further ones are hidden.
    in_order : bool, default=False
        Whether a line joins each concept with the next.
    """
    if table.empty:
        return missing(axes)
    size = 14 if len(table) < 20 * table["panel"].nunique() else 9  # points
    for ax in axes.ravel()[table["panel"].nunique() :]:
        ax.set_visible(False)
    for ax, (panel, points) in zip(axes.ravel(), table.groupby("panel", sort=False), strict=False):
        if in_order:
            ax.plot(points["x"], points["y"], color="0.7", linewidth=1, zorder=0)
        for x, y, image in points[["x", "y", "image"]].itertuples(index=False):
            ax.add_artist(AnnotationBbox(_picture(image, size), (x, y), frameon=False, pad=0))
        ax.set_title(FAMILY_NAMES.get(panel, panel), loc="left", color=_title_color(panel))
        ax.set_xlabel("dimension 1")
        ax.set_ylabel("dimension 2")
        ax.set_aspect("equal")
    reach = 1.15 * abs(table[["x", "y"]].to_numpy()).max()
    for ax in axes.ravel():
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
    return axes


def accuracies(table: pd.DataFrame, axes: np.ndarray) -> np.ndarray:
    """Accuracy by concept, zero-shot and probed.

    Parameters
    ----------
    table : DataFrame
        Rows of `tables.concept_accuracy` of one measure.
    axes : ndarray of Axes, shape (1, n_spaces)
    """
    named = table.assign(space=table["space"].replace(SPACE_NAMES))
    forest(named, axes, rows="concept", panels="space", xlabel="odd-one-out accuracy")
    for ax in axes[0]:
        ax.axvline(CHANCE, color="0.4", linestyle=":", linewidth=1, zorder=0)
        if _CEILING:
            ax.axvspan(*_CEILING, color=_CEILING_COLOR, zorder=0)
    return axes


def concept_pictures(table: pd.DataFrame, axes: np.ndarray) -> np.ndarray:
    """Accuracy of the concepts, with their pictures if any: a row a concept, the best at the top.

    Parameters
    ----------
    table : DataFrame
        From `tables.best_and_worst`.
    axes : ndarray of Axes, shape (1, n_spaces)
    """
    names = list(dict.fromkeys(table["concept"]))
    images = dict(zip(table["concept"], table["image"], strict=True))
    accuracies(table, axes)
    if any(image is None for image in images.values()):
        return axes
    for row, name in enumerate(names):
        picture = _picture(images[name], 16)
        place = (-0.09, row)
        axes[0, 0].add_artist(
            AnnotationBbox(
                picture,
                place,
                xycoords=axes[0, 0].get_yaxis_transform(),
                frameon=False,
                pad=0,
                annotation_clip=False,
            )
        )
    axes[0, 0].tick_params(axis="y", pad=24)
    return axes


def training_curves(curves: pd.DataFrame, axes: np.ndarray) -> np.ndarray:
    """Validation score against epoch: a row a family, a column a variant.

    Parameters
    ----------
    curves : DataFrame
        From `tables.training_curves`.
    axes : ndarray of Axes, shape (n_families, 2)
    """
    if curves.empty:
        return missing(axes, "None of these models was trained here.")
    for row, (family, of_family) in zip(axes, curves.groupby("family", sort=False), strict=True):
        for ax, variant in zip(row, ("pretrained", "finetuned"), strict=True):
            of_variant = of_family[of_family["variant"] == variant]
            for (size, _), curve in of_variant.groupby(["size", "seed"], sort=False):
                color = _color(family, size)
                ax.plot(
                    curve["epoch"],
                    curve["validation_score"],
                    color=color,
                    linestyle=_line_style(variant),
                    marker=_marker(size),
                    markerfacecolor=color if variant == "finetuned" else "white",
                )
            for objective, score in dict.fromkeys(
                zip(of_variant["objective"], of_variant["score"], strict=True)
            ):
                ax.set_title(f"{_family_name(family)}: {objective}", loc="left", fontsize=9)
                ax.set_ylabel(score)
            ax.set_xlabel("epoch")
            ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    return _legend_below(axes, curves)


def missing(axes: np.ndarray, what: str = "This is not measured here.") -> np.ndarray:
    """Say why there is nothing to draw, in the middle of the figure or of some of its axes."""
    for ax in axes.ravel():
        ax.set_axis_off()
    if axes.size == 0:
        return axes
    first = axes.ravel()[0]
    style = {"ha": "center", "va": "center", "wrap": True}
    if axes.size == len(first.figure.axes):
        first.figure.text(0.5, 0.5, what, **style)
    else:
        first.text(0.5, 0.5, what, **style, transform=first.transAxes)
    return axes


def similarity_matrix(
    similarity: np.ndarray,
    groups: Sequence[str],
    ax: Axes,
    *,
    groups_name: str,
    name: str,
    limits: tuple[float | None, float | None] = (None, None),
) -> Axes:
    """A similarity matrix with its scale.

    Parameters
    ----------
    similarity : ndarray of shape (n, n)
    groups : sequence of str
        To which group each row belongs; rows of a group follow on each other.
    ax : Axes
    groups_name, name : str
        What the groups and the similarities are.
    limits : (float or None, float or None)
        Of the scale; by default those of the values off the diagonal.
    """
    off_diagonal = np.where(np.eye(len(similarity), dtype=bool), np.nan, similarity)
    low = np.nanmin(off_diagonal) if limits[0] is None else limits[0]
    high = np.nanmax(off_diagonal) if limits[1] is None else limits[1]
    image = ax.imshow(similarity, vmin=low, vmax=high, cmap="cividis")
    ax.grid(visible=False)
    names, first, sizes = np.unique(np.asarray(groups), return_index=True, return_counts=True)
    centres = first + (sizes - 1) / 2
    ax.set_xticks(centres, names, rotation=90)
    ax.set_yticks(centres, names)
    if len(names) < len(groups):
        for border in first[first > 0] - 0.5:
            ax.axhline(border, color="white", linewidth=0.6)
            ax.axvline(border, color="white", linewidth=0.6)
    ax.set_xlabel(groups_name)
    ax.set_ylabel(groups_name)
    ax.figure.colorbar(image, ax=ax, label=name, shrink=0.8)
    return ax


def reaction_times(table: pd.DataFrame, ax: Axes) -> Axes:
    """Reaction time against agreement, medians and quartiles.

    Parameters
    ----------
    table : DataFrame
        From `tables.reaction_times`.
    ax : Axes
    """
    ax.plot(table["agreement"], table["median"], "o-", color="k")
    ax.fill_between(table["agreement"], table["low"], table["high"], color="0.85", linewidth=0)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("share of people who made the most frequent choice")
    ax.set_ylabel("reaction time (s)")
    return ax


def pictures(table: pd.DataFrame, ax: Axes, *, n_columns: int = 12, size: int = 64) -> Axes:
    """Pictures of the concepts, a row or more a category.

    Parameters
    ----------
    table : DataFrame
        From `tables.pictures`, with pictures.
    ax : Axes
    n_columns : int, default=12
    size : int, default=64
        Pixels of a picture in each direction.
    """
    rows, ticks = [], {}
    for category, of_category in table.groupby("category", sort=False):
        ticks[category] = (len(rows) + 0.5) * (size + _GAP)
        images = of_category["image"].tolist()
        for start in range(0, len(images), n_columns):
            row = np.full((size + _GAP, (size + _GAP) * n_columns, 3), 255, dtype=np.uint8)
            for column, image in enumerate(images[start : start + n_columns]):
                left = column * (size + _GAP)
                row[:size, left : left + size] = Image.fromarray(image).resize((size, size))
            rows.append(row)
    ax.imshow(np.concatenate(rows), interpolation="nearest")
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.set_xticks([])
    ax.set_yticks([*ticks.values()], [*ticks])
    ax.tick_params(length=0)
    return ax


def image_rows(table: pd.DataFrame, axes: np.ndarray) -> np.ndarray:
    """Images of every concept, a row a concept.

    Parameters
    ----------
    table : DataFrame
        From `tables.example_images`.
    axes : ndarray of Axes, shape (n_concepts, n_images)
    """
    for row, concept, images in zip(axes, table["concept"], table["images"], strict=True):
        for ax, image in zip(row, images, strict=True):
            ax.imshow(image, interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        row[0].set_ylabel(concept, rotation=0, ha="right", va="center")
    return axes


def _changes(table: pd.DataFrame, axes: np.ndarray) -> np.ndarray:
    layer_curves(table, axes)
    for row in axes:
        for ax, measure in zip(row, dict.fromkeys(table["measure"]), strict=False):
            for artist in [*ax.lines, *ax.patches]:
                if artist.get_gid() == "chance":
                    artist.remove()
            ax.set_ylim(auto=True)
            ax.axhline(0, color="0.4", linewidth=1)
            ax.set_ylabel("change of\n" + _measure_name(measure))
            ax.relim()
            ax.autoscale_view()
    _share_limits(axes)
    return axes


def _points(ax: Axes, table: pd.DataFrame, x: str, y: str) -> None:
    """A point a row, in the style of its model."""
    for (family, size, variant), group in table.groupby(["family", "size", "variant"], sort=False):
        color = _color(family, size)
        ax.plot(
            group[x],
            group[y],
            linestyle="none",
            marker=_marker(size),
            color=color,
            markerfacecolor=color if variant == "finetuned" else "none",
            alpha=0.75,
        )


def _curve(ax: Axes, curve: pd.DataFrame) -> None:
    family, size, variant = curve[["family", "size", "variant"]].iloc[0]
    color = _color(family, size)
    ax.plot(
        curve["depth"],
        curve["value"],
        color=color,
        linestyle=_line_style(variant),
        marker=_marker(size),
        markerfacecolor=color if variant == "finetuned" else "white",
        label=curve["model"].iloc[0],
    )
    ax.fill_between(
        curve["depth"], curve["ci_low"], curve["ci_high"], color=color, alpha=0.12, linewidth=0
    )


def _picture(image: np.ndarray, size: float) -> OffsetImage:
    """A picture of so many points in height."""
    return OffsetImage(image, zoom=size / len(image), interpolation="antialiased")


def _title_color(family: str) -> str:
    return _family_color(family) if family in FAMILY_NAMES else "k"


def _measure_name(measure: str) -> str:
    return MEASURE_NAMES.get(measure, measure).format(**_WORDS)


def _chance_line(ax: Axes) -> None:
    """Between which bounds accuracy can be expected: chance and, where known, the ceiling."""
    ax.axhline(CHANCE, color="0.4", linestyle=":", linewidth=1, gid="chance")
    if _CEILING:
        ax.axhspan(*_CEILING, color=_CEILING_COLOR, zorder=0, gid="chance")


def _share_limits(axes: np.ndarray, *, low: float = -np.inf, high: float = np.inf) -> None:
    """Same y axis down each column, so that rows can be compared, within what is possible."""
    for column in axes.T:
        limits = np.array([ax.get_ylim() for ax in column])
        for ax in column:
            ax.set_ylim(max(limits[:, 0].min(), low), min(limits[:, 1].max(), high))


def _show_values(ax: Axes, values: pd.Series) -> None:
    """Reach over the values; an interval that goes far beyond them runs out of the axes."""
    low, high = values.min(), values.max()
    room = max(0.15, 0.6 * (high - low))
    left, right = ax.get_xlim()
    ax.set_xlim(max(left, low - room), min(right, high + room))


def _share_x_limits(axes: np.ndarray) -> None:
    limits = np.array([ax.get_xlim() for ax in axes.ravel()])
    for ax in axes.ravel():
        ax.set_xlim(limits[:, 0].min(), limits[:, 1].max())


def _legend_below(
    axes: np.ndarray, table: pd.DataFrame, *, families: bool = False, lines: bool = True
) -> np.ndarray:
    """Legend of what the styles mean, in grey; colours where no title names the family."""
    own = table[table["size"] != "added"]
    handles = []
    if families:
        handles += [
            Line2D(
                [], [], color=_family_color(f), marker="o", linestyle="none", label=_family_name(f)
            )
            for f in dict.fromkeys(own["family"])
        ]
    styles = own[["size", "variant"]].drop_duplicates().itertuples(index=False)
    for size, variant in styles:
        name = f"{size}, {_variant_name(variant)}"
        handles.append(_handle("0.3", size, variant, name, lines))
    for model, variant in dict(zip(table["model"], table["variant"], strict=True)).items():
        if (table.loc[table["model"] == model, "size"] == "added").all():
            handles.append(_handle(_ADDED_COLOR, "added", variant, model, lines))
    axes.ravel()[0].figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return axes


def _handle(color: str, size: str, variant: str, name: str, line: bool) -> Line2D:
    return Line2D(
        [],
        [],
        color=color,
        linestyle=_line_style(variant) if line else "none",
        marker=_marker(size),
        markerfacecolor=color if variant == "finetuned" else "white",
        label=name,
    )


def _color(family: str, size: str) -> str:
    return _ADDED_COLOR if size == "added" else _family_color(family)


def _family_color(family: str) -> str:
    return _COLORS.get(family, _OTHER_COLOR)


def _family_name(family: str) -> str:
    return FAMILY_NAMES.get(family, family)


def _variant_name(variant: str) -> str:
    return {"finetuned": "fine-tuned"}.get(variant, variant)


def _line_style(variant: str) -> str:
    return "-" if variant == "finetuned" else "--"


def _marker(size: str) -> str:
    return _MARKERS.get(size, _OTHER_MARKER)
