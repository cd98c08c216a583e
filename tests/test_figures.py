"""Figures draw the rows of their table and nothing else."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.offsetbox import AnnotationBbox

from convexlib import figures, tables
from convexlib.stimuli import colors
from convexlib.study import Study


@pytest.fixture(autouse=True)
def _closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


def test_a_curve_goes_through_the_means_of_its_model(tiny_results: Study) -> None:
    means = tables.layer_means(tiny_results).query(
        "space == 'original' and measure in ['convexity', 'odd_one_out']"
    )
    axes = figures.layer_curves(means, figures.panels(3, 2))
    expected = means.query("model == 'vit-base-finetuned' and measure == 'odd_one_out'")
    lines = {line.get_label(): line for line in axes[0, 1].lines}
    line = lines["vit-base-finetuned"]
    np.testing.assert_array_equal(line.get_xdata(), expected["depth"])
    np.testing.assert_array_equal(line.get_ydata(), expected["value"])
    assert len(lines) == 3  # two models and chance


def test_axes_are_labelled_and_rows_comparable(tiny_results: Study) -> None:
    means = tables.layer_means(tiny_results).query(
        "space == 'original' and measure in ['convexity', 'odd_one_out']"
    )
    axes = figures.layer_curves(means, figures.panels(3, 2))
    assert all(ax.get_ylabel() and ax.get_title(loc="left") for ax in axes.ravel())
    assert all("depth" in ax.get_xlabel() for ax in axes[-1])
    for column in axes.T:
        assert len({ax.get_ylim() for ax in column}) == 1


def test_a_family_has_the_same_colour_in_every_figure(tiny_results: Study) -> None:
    means = tables.layer_means(tiny_results).query(
        "space == 'original' and measure in ['convexity', 'odd_one_out']"
    )
    curves = figures.layer_curves(means, figures.panels(3, 2))
    points = tables.convexity_and_accuracy(tiny_results).query("part != 'all layers'")
    cloud = figures.scatter(points, figures.panels(1, 2))
    gains = figures.gains(
        tables.transform_effects(tiny_results).query(
            "space == 'gain' and transform == 'named' and measure != 'rsa'"
        ),
        figures.panels(3, 2),
    )
    families = [to_hex(row[0].lines[0].get_color()) for row in curves]
    assert len(set(families)) == 3
    assert [to_hex(row[0].lines[0].get_color()) for row in gains] == families
    drawn = {to_hex(line.get_color()) for line in cloud[0, 0].lines if not line.get_gid()}
    assert drawn == set(families)


def test_changes_are_drawn_against_zero_and_not_against_chance(tiny_results: Study) -> None:
    deltas = tables.fine_tuning_deltas(tiny_results).query(
        "measure in ['convexity', 'odd_one_out']"
    )
    axes = figures.deltas(deltas, figures.panels(3, 2))
    for ax in axes.ravel():
        assert not [line for line in ax.lines if line.get_gid() == "chance"]
        assert [line for line in ax.lines if set(line.get_ydata()) == {0}]


def test_a_figure_without_its_pairs_says_so(tiny_results: Study) -> None:
    deltas = tables.fine_tuning_deltas(tiny_results).query("family == 'none'")
    axes = figures.deltas(deltas, figures.panels(1, 2))
    (text,) = axes[0, 0].figure.texts
    assert "no pair" in text.get_text()


def test_the_similarity_matrix_is_shown_as_it_is() -> None:
    similarity = colors.human_similarity()
    axes = figures.panels(1, 1)
    ax = figures.similarity_matrix(
        similarity,
        colors.WAVELENGTHS,
        axes[0, 0],
        groups_name="wavelength (nm)",
        name="similarity",
        limits=(0, 1),
    )
    np.testing.assert_array_equal(ax.images[0].get_array(), similarity)
    assert [label.get_text() for label in ax.get_xticklabels()] == [
        str(wavelength) for wavelength in colors.WAVELENGTHS
    ]


def test_correlations_carry_their_intervals_and_the_published_value(tiny_results: Study) -> None:
    correlations = tables.correlations(tiny_results)
    axes = figures.panels(1, 1)
    ax = figures.correlation_bars(correlations, axes[0, 0], published={"first half": 0.91})
    drawn = np.sort(np.concatenate([line.get_xdata() for line in ax.lines]).astype(float))
    assert 0.91 in drawn
    assert set(correlations["value"]) <= set(drawn)


def test_estimates_stand_in_the_row_and_panel_of_their_table(tiny_results: Study) -> None:
    table = tables.model_effects(tiny_results)
    axes = figures.forest(table, figures.panels(1, 3), rows="level", panels="measure")
    levels = list(dict.fromkeys(table["level"]))
    for ax, (_, of_panel) in zip(axes[0], table.groupby("measure", sort=False), strict=True):
        (points,) = ax.lines
        np.testing.assert_array_equal(points.get_xdata(), of_panel["value"])
        np.testing.assert_array_equal(
            points.get_ydata(), [levels.index(level) for level in of_panel["level"]]
        )
    assert [label.get_text() for label in axes[0, 0].get_yticklabels()] == levels


def test_probed_layers_are_held_against_themselves(tiny_results: Study) -> None:
    table = tables.probing(tiny_results)
    axes = figures.zero_shot_and_probed(table, figures.panels(1, 2))
    for ax, (_, of_transform) in zip(axes[0], table.groupby("transform", sort=False), strict=True):
        drawn = [line for line in ax.lines if line.get_marker() != "None"]
        assert sum(len(line.get_xdata()) for line in drawn) == len(of_transform)
        x = np.sort(np.concatenate([line.get_xdata() for line in drawn]))
        np.testing.assert_allclose(x, np.sort(of_transform["before"]), atol=0.01)


def test_concepts_are_shown_as_pictures_where_they_lie(tiny_results: Study) -> None:
    positions = tables.predicted_positions(tiny_results)
    for n_panels in (1, 2, 3, 4):
        chosen = list(dict.fromkeys(positions["panel"]))[:n_panels]
        axes = figures.panels(-(-n_panels // 2), 2)
        figures.positions(positions[positions["panel"].isin(chosen)], axes)
        assert [ax.get_visible() for ax in axes.ravel()].count(True) == n_panels
    for ax, (_, points) in zip(axes.ravel(), positions.groupby("panel", sort=False), strict=True):
        pictures = [artist for artist in ax.artists if isinstance(artist, AnnotationBbox)]
        assert [picture.xy for picture in pictures] == [*zip(points["x"], points["y"], strict=True)]


def test_a_transform_that_is_not_there_is_said_to_be_missing(tiny_results: Study) -> None:
    effects = tables.transform_effects(tiny_results).query("transform == 'glocal'")
    for draw in (figures.gains, figures.before_and_after):
        (text,) = draw(effects, figures.panels(3, 2))[0, 0].figure.texts
        assert "does not have this transform" in text.get_text()


def test_every_ranked_concept_has_its_picture(tiny_results: Study) -> None:
    ranked = tables.best_and_worst(tiny_results, n_concepts=2)
    axes = figures.concept_pictures(ranked, figures.panels(1, 3))
    pictures = [a for a in axes[0, 0].artists if isinstance(a, AnnotationBbox)]
    assert len(pictures) == 4
    titles = [ax.get_title(loc="left") for ax in axes[0]]
    assert titles == ["zero-shot", "naive probe", "global probe"]
