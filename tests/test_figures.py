"""Figures draw the rows of their table, by the look that the style gives them."""

import io
from collections.abc import Iterator
from itertools import pairwise, product
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox
from matplotlib.text import Text

from convexlib import figures

STYLE: dict[str, Any] = {
    "labels": {"closeness": "closeness\nof {concepts}", "tuned": "fine-tuned"},
    "limits": {"closeness": (0, 1), "order": (-1, 1)},
    "chance": {"closeness": 0.25},
    "families": {"oak": {"label": "Oak", "color": "#0072B2"}},
    "levels": {"variant": ["plain", "tuned"], "size": ["small", "big"]},
    "words": {"concepts": "leaves"},
}
FAMILIES = ("oak", "elm", "ash")
MEASURES = ("closeness", "order")
GREY = "#999999"


@pytest.fixture(autouse=True)
def _style() -> Iterator[None]:
    figures.set_style(STYLE)
    yield
    plt.close("all")
    figures.set_style()


def made_up(families: tuple[str, ...] = ("oak", "elm"), **columns: Any) -> pd.DataFrame:
    """Curves of a small and a big model, plain and tuned, of each family, for both measures."""
    kinds = product(families, ("small", "big"), ("plain", "tuned"), MEASURES, (0.0, 0.5, 1.0))
    table = pd.DataFrame(kinds, columns=["family", "size", "variant", "measure", "depth"])
    table["model"] = table["family"] + "-" + table["size"] + "-" + table["variant"]
    table["value"] = 0.3 + 0.2 * table["depth"] + 0.01 * np.arange(len(table)) / len(table)
    table = table.assign(low=table["value"] - 0.1, high=table["value"] + 0.1)
    return table.assign(**columns)


def added(model: str, family: str = "elm") -> pd.DataFrame:
    rows = made_up((family,)).query("size == 'small' and variant == 'plain'")
    return rows.assign(model=model, size="added")


def estimates(**columns: Any) -> pd.DataFrame:
    kinds = product(("first", "second", "third"), ("plain", "tuned"), MEASURES)
    table = pd.DataFrame(kinds, columns=["part", "variant", "measure"])
    table["value"] = np.linspace(0.4, 0.8, len(table))
    return table.assign(ci_low=0.2, ci_high=0.9, **columns)


def is_baseline(line: Any) -> bool:
    gid = line.get_gid() or ""
    number = gid.removeprefix("cv:line-").partition(" ")[0]
    return number.isdigit() and "baseline" in line.axes.figure.told["lines"][int(number)]


def data_lines(ax: Axes) -> list[Any]:
    known = [line for line in ax.lines if (line.get_gid() or "cv:").startswith("cv:")]
    return [line for line in known if not is_baseline(line)]


def baseline_lines(ax: Axes) -> list[Any]:
    return [line for line in ax.lines if is_baseline(line)]


def marks(ax: Axes) -> set[str]:
    gids = {artist.get_gid() for artist in [*ax.lines, *ax.patches]} - {None}
    return {gid for gid in gids if not gid.startswith("cv:")}


def names_at_lines(figure: Figure) -> set[str]:
    return {text.get_text() for ax in figure.axes for text in ax.texts}


def xlabel(figure: Figure) -> str:
    return figure.get_supxlabel() or figure.legends[0].get_title().get_text()


def legend(figure: Figure) -> dict[str, Any]:
    (drawn,) = figure.legends
    names = [text.get_text() for text in drawn.get_texts()]
    return dict(zip(names, drawn.legend_handles, strict=True))


def boxes(ax: Axes) -> list[AnnotationBbox]:
    return [artist for artist in ax.artists if isinstance(artist, AnnotationBbox)]


def colors(figure: Figure) -> list[str]:
    return [
        *dict.fromkeys(to_hex(line.get_color()) for ax in figure.axes for line in data_lines(ax))
    ]


def test_a_line_goes_through_the_values_of_its_model_and_its_band_to_the_ends() -> None:
    table = made_up()
    figure = figures.curves(table)
    panels = table.groupby(["family", "measure"], sort=False)
    for ax, (_, of_panel) in zip(figure.axes, panels, strict=True):
        lines = data_lines(ax)
        assert len(lines) == len(ax.collections) == 4
        for line, (_, curve) in zip(lines, of_panel.groupby("model", sort=False), strict=True):
            np.testing.assert_array_equal(line.get_ydata(), curve["value"])
        heights = ax.collections[0].get_paths()[0].vertices[:, 1]
        assert heights.min() == of_panel["low"].min()


def test_facets_say_what_they_show_and_share_the_axis_of_their_measure() -> None:
    figure = figures.curves(made_up())
    columns = np.array(figure.axes).reshape(2, 2).T
    assert {ax.get_ylabel() for ax in columns[0]} == {"closeness\nof leaves"}
    assert {ax.get_ylabel() for ax in columns[1]} == {"order"}
    assert [ax.get_title(loc="left") for ax in columns[0]] == ["Oak", "elm"]
    assert all(len({ax.get_ylim() for ax in column}) == 1 for column in columns)
    assert xlabel(figure) == xlabel(figure.phone()) == "depth (layer / last layer)"


def test_facets_of_one_measure_share_one_axis_whatever_their_columns_are() -> None:
    table = made_up().query("measure == 'order'")
    both = pd.concat([table.assign(judgments=name) for name in ("Latin", "Cyrillic")])
    axes = figures.curves(both, column="judgments").axes
    assert len({ax.get_ylim() for ax in axes}) == 1
    labels = [ax.get_ylabel() for ax in axes]
    assert labels == ["order", "", "order", ""]


def test_axes_end_where_the_measure_does() -> None:
    figure = figures.curves(made_up(low=-3.0, high=3.0))
    assert figure.axes[0].get_ylim() == (-0.02, 1.02)
    assert figure.axes[1].get_ylim() == (-1.04, 1.04)
    unknown = figures.curves(made_up(low=-3.0, high=3.0, measure="girth"))
    assert unknown.axes[0].get_ylim()[0] < -3


def test_chance_and_the_noise_ceiling_stand_where_there_is_a_chance() -> None:
    assert [marks(ax) for ax in figures.curves(made_up()).axes] == [{"chance"}, set()] * 2
    figures.set_style(STYLE | {"ceilings": {"one": (0.8, 0.9), "other": None}})
    figure = figures.curves(made_up(("oak",)))
    assert [marks(ax) for ax in figure.axes] == [{"chance", "ceiling"}, set()]
    of_sets = pd.concat([made_up(("oak",)).assign(judgments=name) for name in ("one", "other")])
    of_sets = of_sets[of_sets["measure"] == of_sets["measure"].iloc[0]]
    figure = figures.curves(of_sets, column="judgments")
    assert [marks(ax) for ax in figure.axes] == [{"chance", "ceiling"}, {"chance"}]


def test_changes_are_drawn_against_zero_and_beyond_the_limits() -> None:
    figure = figures.curves(made_up(low=-3.0), change=True)
    assert [marks(ax) for ax in figure.axes] == [{"zero"}] * 4
    assert figure.axes[0].get_ylabel() == "change of\ncloseness\nof leaves"
    assert figure.axes[0].get_ylim()[0] < -3


def test_a_family_has_the_same_colour_in_every_figure_of_the_page() -> None:
    first = colors(figures.curves(made_up(FAMILIES)))
    assert first[0] == "#0072b2"
    assert len(set(first)) == 3
    assert colors(figures.curves(made_up(FAMILIES[::-1]))) == first[::-1]
    cloud = figures.scatter(made_up(FAMILIES), x="depth", y="value", column="measure")
    assert colors(cloud) == first


def test_forty_families_are_drawn() -> None:
    table = pd.concat([made_up((f"family {number}",)) for number in range(40)])
    assert figures.scatter(table, x="depth", y="value", column="measure").axes


def test_lines_carry_their_names_and_on_a_phone_a_legend_does() -> None:
    figure = figures.curves(made_up())
    assert not figure.legends
    assert names_at_lines(figure) == {
        f"{size} {variant}" for size in ("small", "big") for variant in ("plain", "fine-tuned")
    }
    figure.draw_without_rendering()
    for ax in figure.axes[1::2]:  # the last of each row
        extents = map(Text.get_window_extent, ax.texts)  # without the lines that lead to them
        boxes = sorted(extents, key=lambda box: box.y0)
        assert all(below.y1 <= above.y0 + 1 for below, above in pairwise(boxes))
    handles = legend(figure.phone())
    assert [*handles] == ["small", "big", "plain", "fine-tuned"]
    assert [handles[name].get_marker() for name in ("small", "big")] == ["o", "s"]
    assert [handles[name].get_linestyle() for name in ("plain", "fine-tuned")] == ["--", "-"]
    cloud = figures.scatter(made_up(), x="depth", y="value", column="measure")
    assert [*legend(cloud)][:2] == ["Oak", "elm"]


def test_a_level_has_its_look_also_where_others_are_missing() -> None:
    handles = legend(
        figures.curves(made_up().query("variant == 'tuned' and size == 'big'")).phone()
    )
    assert handles["fine-tuned"].get_linestyle() == "-"
    assert handles["big"].get_marker() == "s"


def test_models_of_the_reader_are_black_and_named_with_markers_of_their_own() -> None:
    table = pd.concat([made_up(), added("mine"), added("yours", "new")])
    figure = figures.curves(table)
    assert {"mine", "yours"} <= names_at_lines(figure)
    handles = legend(figure.phone())
    assert [to_hex(handles[name].get_color()) for name in ("mine", "yours")] == ["#000000"] * 2
    markers = {handle.get_marker() for handle in handles.values()}
    assert markers == {"o", "s", "D", "P"}
    assert "added" not in handles
    assert sum(to_hex(line.get_color()) == "#000000" for line in data_lines(figure.axes[2])) == 1
    assert figure.axes[4].get_title(loc="left") == "new"


def test_what_is_behind_is_grey_and_has_no_band() -> None:
    table = made_up(("elm",))
    figure = figures.curves(table, behind=table.assign(value=0.1))
    ax = figure.axes[0]
    greys = [line for line in data_lines(ax) if to_hex(line.get_color()) == GREY]
    assert len(greys) == 4
    assert {value for line in greys for value in line.get_ydata()} == {0.1}
    assert [to_hex(line.get_color()) for line in data_lines(ax)[:4]] == [GREY] * 4
    assert len(ax.collections) == 4


def test_columns_that_a_table_lacks_are_not_used() -> None:
    table = pd.DataFrame({"age": [1, 2, 3], "height": [3.0, 5.0, 6.0]})
    figure = figures.curves(table, x="age", y="height", xlabel="years")
    (ax,) = figure.axes
    assert len(data_lines(ax)) == 1
    assert (ax.get_ylabel(), xlabel(figure)) == ("height", "years")


def test_several_columns_can_tell_lines_apart() -> None:
    of_one = made_up().query("measure == 'order'")
    table = pd.concat([of_one.assign(seed=seed) for seed in (0, None)])
    figure = figures.curves(table, units=["model", "seed"], column="variant", band=("", ""))
    assert figure.axes[0].get_title(loc="left") == "Oak, plain"
    assert [len(data_lines(ax)) for ax in figure.axes] == [4] * 4


def test_the_page_is_told_what_each_line_shows() -> None:
    table = made_up()
    seeds = pd.concat([table.assign(seed=seed, value=table["value"] + seed) for seed in (0, 1)])
    figure = figures.curves(table, seeds=seeds)
    lines = figure.told["lines"]
    assert len(lines) == 16 * 3
    means = [line for line in lines if "seed" not in line]
    for line, (_, curve) in zip(
        means,
        (
            (None, rows)
            for _, panel in table.groupby(["family", "measure"], sort=False)
            for _, rows in panel.groupby("model", sort=False)
        ),
        strict=True,
    ):
        assert line["y"] == curve["value"].round(4).tolist()
        assert line["low"] == curve["low"].round(4).tolist()
    assert means[0]["name"] == "Oak small plain"
    page = figures.html(figure)
    for number, line in enumerate(lines):
        hidden = ' style="display: none"' if "seed" in line else ""
        assert page.count(f'data-cv="line-{number}"{hidden}>') == 2  # on a desk and on a phone
    assert figures.html(figures.curves(table)).count("display: none") == 0


def test_a_figure_says_what_is_seen_on_it() -> None:
    assert "Oak small plain 0.30 to 0.50" in figures.curves(made_up()).alt
    assert (
        "closeness of leaves, plain: third 0.69 down to first 0.40"
        in figures.forest(estimates(), row="part").alt
    )
    cloud = figures.scatter(made_up(), x="depth", y="value", column="measure")
    assert "closeness of leaves: 24 points, correlation 1.00" in cloud.alt
    page = figures.html(cloud)
    assert page.count(f'aria-label="{cloud.alt}"') == 2


def test_what_is_missing_is_said() -> None:
    nothing = made_up().head(0)
    (text,) = figures.curves(nothing, missing="There is no pair.").axes[0].texts
    assert text.get_text() == "There is no pair."
    partly = made_up().query("family != 'elm' or measure == 'order'")
    figure = figures.curves(partly, missing="not here")
    said = [[text.get_text() for text in ax.texts] for ax in figure.axes[:4]]
    assert [texts == ["not here"] for texts in said] == [False, False, True, False]
    assert len(figure.phone().axes) == 3  # what is empty has no room on a phone
    for figure in (
        figures.forest(estimates().head(0), row="part"),
        figures.scatter(nothing, x="depth", y="value", column="measure"),
        figures.positions(pd.DataFrame(columns=["panel", "x", "y", "image"])),
    ):
        assert "not measured" in figure.axes[0].texts[0].get_text()


def test_estimates_stand_in_the_row_and_facet_of_their_table() -> None:
    table = estimates()
    figure = figures.forest(table, row="part")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "first",
        "second",
        "third",
    ]
    for ax, (_, of_panel) in zip(figure.axes, table.groupby("measure", sort=False), strict=True):
        plain, tuned = data_lines(ax)
        for line, variant in ((plain, "plain"), (tuned, "tuned")):
            values = of_panel.loc[of_panel["variant"] == variant, "value"]
            np.testing.assert_array_equal(line.get_xdata(), values)
        np.testing.assert_allclose(tuned.get_ydata() - plain.get_ydata(), 0.35)
        np.testing.assert_allclose((tuned.get_ydata() + plain.get_ydata()) / 2, [0, 1, 2])
        segments = ax.collections[0].get_segments()
        assert {tuple(segment[:, 0]) for segment in segments} == {(0.2, 0.9)}
    assert [ax.get_xlabel() for ax in figure.axes] == ["closeness\nof leaves", "order"]
    assert [marks(ax) for ax in figure.axes] == [{"chance"}, {"zero"}]


def test_a_wide_interval_runs_out_of_its_facet() -> None:
    figure = figures.forest(estimates(measure="girth").assign(ci_high=50.0), row="part")
    assert figure.axes[0].get_xlim()[1] < 1.2


def test_facets_of_one_measure_share_its_axis_and_its_name() -> None:
    table = pd.concat(
        [estimates(space="before"), estimates(space="after").eval("value = value - 0.3")]
    )
    figure = figures.forest(table.query("measure == 'closeness'"), row="part", column="space")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["before", "after"]
    assert len({ax.get_xlim() for ax in figure.axes}) == 1
    assert figure.legends[0].get_title().get_text() == "closeness of leaves"


def test_estimates_carry_their_notes_and_pictures() -> None:
    table = estimates(note="12 of 4").query("measure == 'order'")
    pictures = {part: np.full((4, 4, 3), 255, np.uint8) for part in table["part"]}
    figure = figures.forest(
        table.assign(image=table["part"].map(pictures)), row="part", note="note"
    )
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.texts] == ["12 of 4"] * 6
    assert [box.xy for box in boxes(ax)] == [(0, 0), (0, 1), (0, 2)]
    without = figures.forest(table.assign(image=None), row="part")
    assert boxes(without.axes[0]) == []


@pytest.mark.parametrize("jitter", [0.0, 0.01])
def test_points_are_held_against_the_diagonal_where_axes_are_equal(jitter: float) -> None:
    table = made_up().assign(after=lambda table: table["value"] + 0.1)
    options = {"x": "value", "y": "after", "column": "measure"}
    figure = figures.scatter(table, **options, equal=True, jitter=jitter)
    for ax, (_, of_panel) in zip(figure.axes, table.groupby("measure", sort=False), strict=True):
        *points, diagonal = data_lines(ax)
        x = np.sort(np.concatenate([line.get_xdata() for line in points]))
        np.testing.assert_allclose(x, np.sort(of_panel["value"]), atol=jitter)
        assert diagonal.get_slope() == 1
        assert ax.get_xlim() == ax.get_ylim()


def test_a_matrix_is_shown_as_it_is_with_lines_between_its_groups() -> None:
    values = np.corrcoef(np.random.default_rng(0).random((5, 9)))
    figure = figures.matrix(values, [7, 8, 9, 10, 11], label="r", groups_label="nm", limits=(0, 1))
    ax, bar = figure.axes
    np.testing.assert_array_equal(ax.collections[0].get_array(), values)
    assert ax.collections[0].get_clim() == (0, 1)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["7", "8", "9", "10", "11"]
    assert (ax.get_xlabel(), bar.get_ylabel()) == ("nm", "r")
    ax = figures.matrix(values, ["a"] * 2 + ["b"] * 3, label="r", groups_label="letter").axes[0]
    assert ax.get_xticks().tolist() == [1, 3.5]
    low, high = ax.collections[0].get_clim()
    assert low == values.min()
    assert high == np.sort(values[np.triu_indices(5, 1)])[-1]


@pytest.mark.parametrize("n_panels", [1, 2, 3])
def test_pictures_lie_where_the_table_says(n_panels: int) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    points = pd.DataFrame({"x": [0.0, 1.0], "y": [1.0, -2.0], "image": [image] * 2})
    names = ["people", "oak", "ash"][:n_panels]
    table = pd.concat([points.assign(panel=name) for name in names])
    figure = figures.positions(table, in_order=True)
    drawn = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title(loc="left") for ax in drawn] == ["people", "Oak", "ash"][:n_panels]
    for ax in drawn:
        assert [box.xy for box in boxes(ax)] == [(0, 1), (1, -2)]
        assert ax.get_xlim() == ax.get_ylim()


def test_pictures_stand_in_rows_of_their_groups() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    table = pd.DataFrame({"category": ["a"] * 3 + ["b"], "image": [image] * 4})
    (ax,) = figures.pictures(table, n_columns=2).axes
    corners = [(image.get_extent()[0], image.get_extent()[3]) for image in ax.images]
    assert corners == [(0, 0), (1, 0), (0, 1), (0, 2)]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "", "b"]


def test_equal_figures_are_equal_files() -> None:
    files = [io.StringIO(), io.StringIO()]
    for file in files:
        figures.forest(estimates(), row="part").savefig(file, format="svg", metadata={"Date": None})
    assert files[0].getvalue() == files[1].getvalue()


def test_nothing_is_cut_off_and_no_labels_overlap() -> None:
    table = pd.concat([made_up(), added("a-model-of-the-hub/with-a-very-long-name-224")])
    figure = figures.curves(table)
    figure.draw_without_rendering()
    whole = figure.bbox
    for box in [figure.legends[0].get_window_extent(), *(ax.get_tightbbox() for ax in figure.axes)]:
        assert box.x0 >= whole.x0
        assert box.x1 <= whole.x1
        assert box.y0 >= whole.y0
        assert box.y1 <= whole.y1
    for ax in figure.axes[-2:]:
        assert not ax.get_tightbbox().overlaps(figure.legends[0].get_window_extent())
        ends = [label.get_window_extent() for label in ax.get_xticklabels()]
        inside = [box for box in ends if ax.bbox.x0 - 20 < box.x0 < ax.bbox.x1]
        assert all(a.x1 < b.x0 for a, b in pairwise(inside))


def test_below_each_of_three_objects_stands_how_often_it_is_odd() -> None:
    rows = [
        {"three": three, "name": f"{name}{three}", "image": image, "source": source, "share": share}
        for three, image in ((1, np.zeros((8, 8, 3), np.uint8)), (2, None))
        for name, share in zip("bdo", (0.1, 0.2, 0.7), strict=True)
        for source in ("people", "pretrained")
    ]
    figure = figures.odd_shares(pd.DataFrame(rows), n_columns=2)
    for ax in figure.axes:
        assert [bar.get_height() for bar in ax.patches] == [0.1, 0.2, 0.7] * 2
    assert len(boxes(figure.axes[0])) == 3
    assert [text.get_text() for text in figure.axes[1].texts] == ["b2", "d2", "o2"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["people", "pretrained"]
    assert figures.odd_shares(pd.DataFrame(rows).head(0)).axes[0].texts


def test_baselines_are_grey_and_stand_in_their_rows_or_in_all() -> None:
    table = made_up()
    of_oak = (table["family"] == "oak") & (table["measure"] == table["measure"].iloc[0])
    untrained = table[of_oak].drop_duplicates("depth")
    untrained = untrained.assign(variant="untrained", model="oak-untrained")
    plain = untrained.head(1).assign(family="pixels", variant="plain", model="pixels", value=0.3)
    figure = figures.curves(table, baselines=pd.concat([untrained, plain]))
    drawn = {ax: baseline_lines(ax) for ax in figure.axes}
    counts = sorted(len(lines) for lines in drawn.values())
    assert counts == [0, 0, 1, 2]  # of the other measure; elm, where pixels are; oak
    for line in (line for lines in drawn.values() for line in lines):
        assert to_hex(line.get_color()) == to_hex("0.45")
        if len({*line.get_ydata()}) == 1:
            assert set(line.get_ydata()) == {0.3}
            assert set(line.get_xdata()) == {table["depth"].min(), table["depth"].max()}
    # Names stand at the ends of the last facet of each row, which here has no baseline.
    assert {"untrained", "pixels"} <= {*legend(figure.phone())}


def test_verdicts_have_a_sign_each_and_no_sign_where_none_was_made() -> None:
    table = pd.DataFrame(
        [("size", "own", "holds"), ("size", "other", "fails"), ("data", "own", "fails")],
        columns=["claim", "setting", "verdict"],
    )
    (ax,) = figures.verdicts(table, signs={"holds": "+", "fails": "x"}).axes
    assert [text.get_text() for text in ax.texts] == ["+", "x", "x"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["size", "data"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["own", "other"]
