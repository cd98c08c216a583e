"""Tidy DataFrame to matplotlib Axes: one function a figure. Nothing is loaded or computed here.

A family has the same colour in every figure (Okabe and Ito's palette, safe for the colour
blind), a size the same marker, a pretrained model a dashed line and open markers, a fine-tuned
one a solid line and filled markers.
"""

from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import matplotlib.ticker
import numpy as np
import pandas as pd
from IPython import get_ipython
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib_inline.backend_inline import set_matplotlib_formats

FAMILY_NAMES = {"vit": "ViT", "beit": "BEiT", "data2vec": "data2vec"}
MEASURE_NAMES = {
    "convexity": "graph convexity\n(colour names)",
    "concept_convexity": "graph convexity\n(hues)",
    "connected_pairs": "pairs joined\nby any path",
    "odd_one_out": "odd-one-out\naccuracy",
    "held_out_odd_one_out": "odd-one-out\naccuracy",
}
CHANCE = 1 / 3

_COLORS = {"vit": "#0072B2", "beit": "#D55E00", "data2vec": "#009E73"}
_OTHER_COLOR = "#CC79A7"
_ADDED_COLOR = "#000000"
_MARKERS = {"base": "o", "large": "s"}
_OTHER_MARKER = "D"


def set_style() -> None:
    """Fonts and lines for all figures, as SVG without a date; call once a notebook."""
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
    _, axes = plt.subplots(n_rows, n_columns, figsize=(width, height * n_rows), squeeze=False)
    return axes


def layer_curves(means: pd.DataFrame, axes: np.ndarray) -> np.ndarray:
    """Measures against depth: a row a family, a column a measure, bands are intervals.

    Parameters
    ----------
    means : DataFrame
        From `tables.layer_means`, with the measures to draw, one space only.
    axes : ndarray of Axes, shape (n_families, n_measures)

    Returns
    -------
    ndarray of Axes
    """
    measures = list(dict.fromkeys(means["measure"]))
    for row, (family, of_family) in zip(axes, means.groupby("family", sort=False), strict=True):
        for ax, measure in zip(row, measures, strict=True):
            for _, curve in of_family[of_family["measure"] == measure].groupby(
                ["model", "size", "variant"], sort=False
            ):
                _curve(ax, curve)
            if "odd_one_out" in measure:
                _chance_line(ax)
            ax.set_ylabel(MEASURE_NAMES.get(measure, measure))
            ax.set_title(_family_name(family), loc="left", color=_family_color(family))
    _share_limits(axes, low=-0.02, high=1.02)
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
        for (family, size, variant), group in of_part.groupby(
            ["family", "size", "variant"], sort=False
        ):
            color = _color(family, size)
            ax.plot(
                group["convexity"],
                group["odd_one_out"],
                linestyle="none",
                marker=_marker(size),
                color=color,
                markerfacecolor=color if variant == "finetuned" else "none",
                alpha=0.75,
            )
        _chance_line(ax)
        ax.set_title(f"{part} of the layers", loc="left")
        ax.set_xlabel("graph convexity (colour names)")
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
    for part, value in published.items():
        ax.plot(value, parts.index(part), "D", color=_OTHER_COLOR, markersize=8)
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
    drawn = table.assign(model=table["family"] + table["size"], variant="finetuned")
    return _changes(drawn, axes)


def gains(table: pd.DataFrame, axes: np.ndarray) -> np.ndarray:
    """What the transform adds, against depth: a row a family, a column a measure.

    Parameters
    ----------
    table : DataFrame
        The rows of `tables.transform_effects` whose space is "gain".
    axes : ndarray of Axes, shape (n_families, n_measures)
    """
    return _changes(table, axes)


def before_and_after(table: pd.DataFrame, axes: np.ndarray) -> np.ndarray:
    """Measures before (grey) and after (colour) the transform, against depth.

    Parameters
    ----------
    table : DataFrame
        The rows of `tables.transform_effects` whose space is "original" or "aligned".
    axes : ndarray of Axes, shape (n_families, n_measures)
    """
    layer_curves(table[table["space"] == "aligned"], axes)
    for row, (_, of_family) in zip(axes, table.groupby("family", sort=False), strict=True):
        for ax, measure in zip(row, dict.fromkeys(table["measure"]), strict=True):
            before = of_family[
                (of_family["measure"] == measure) & (of_family["space"] == "original")
            ]
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


def missing(axes: np.ndarray, what: str) -> np.ndarray:
    """Say on the figure why there is nothing to draw."""
    for ax in axes.ravel():
        ax.set_axis_off()
    axes.ravel()[0].figure.text(0.5, 0.5, what, ha="center", va="center", wrap=True)
    return axes


def similarity_matrix(similarity: np.ndarray, labels: Sequence[str], ax: Axes) -> Axes:
    """A similarity matrix with its scale."""
    image = ax.imshow(similarity, vmin=0, vmax=1, cmap="cividis")
    ax.grid(visible=False)
    ax.set_xticks(range(len(labels)), labels, rotation=90)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_xlabel("wavelength (nm)")
    ax.set_ylabel("wavelength (nm)")
    ax.figure.colorbar(image, ax=ax, label="mean similarity (0 to 1)", shrink=0.8)
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
        for ax, measure in zip(row, dict.fromkeys(table["measure"]), strict=True):
            for line in [line for line in ax.lines if line.get_gid() == "chance"]:
                line.remove()
            ax.set_ylim(auto=True)
            ax.axhline(0, color="0.4", linewidth=1)
            ax.set_ylabel("change of\n" + MEASURE_NAMES[measure])
            ax.relim()
            ax.autoscale_view()
    _share_limits(axes)
    return axes


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


def _chance_line(ax: Axes) -> None:
    ax.axhline(CHANCE, color="0.4", linestyle=":", linewidth=1, gid="chance")


def _share_limits(axes: np.ndarray, *, low: float = -np.inf, high: float = np.inf) -> None:
    """Same y axis down each column, so that rows can be compared, within what is possible."""
    for column in axes.T:
        limits = np.array([ax.get_ylim() for ax in column])
        for ax in column:
            ax.set_ylim(max(limits[:, 0].min(), low), min(limits[:, 1].max(), high))


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
        name = f"{size}, {variant.replace('finetuned', 'fine-tuned')}"
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


def _line_style(variant: str) -> str:
    return "-" if variant == "finetuned" else "--"


def _marker(size: str) -> str:
    return _MARKERS.get(size, _OTHER_MARKER)
