"""Draw pictures from results that are stored: python tools/pictures.py, or with a model of yours.

Without a model it is that of the README, with one that of the page *Your model in ten minutes*.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt

import convexlib as cv
from convexlib.store import ROOT

BOTH = ["convexity", "odd_one_out"]


def draw(path: Path, models: list[str]) -> None:
    """Layer curves of the colour study, a line a family, or a line a model where some are named."""
    study = cv.begin("colors", models=models)
    if models:
        means = cv.tables.layer_means(study).query("space == 'original' and measure in @BOTH")
        figure = cv.figures.curves(means, baselines=cv.tables.baselines(study))
    else:
        means = cv.tables.by_family(study).query("measure in @BOTH")
        units = ["family", "variant"]
        figure = cv.figures.curves(means, row="", units=units, xlabel="depth, in thirds")
    with plt.rc_context({"svg.hashsalt": "convexlib"}):
        figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    print(f"{path}: {figure.alt}")


if __name__ == "__main__":
    models = sys.argv[1:]
    draw(ROOT / "book" / "images" / ("new_model.svg" if models else "layer_curves.svg"), models)
