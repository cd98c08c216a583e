"""Draw pictures from results that are stored: python tools/pictures.py, or with a model of yours.

Without a model it is that of the README, with one that of the page *Your model in ten minutes*.
"""

import sys

import matplotlib.pyplot as plt

import convexlib as cv
from convexlib.store import ROOT

BOTH = ["convexity", "odd_one_out"]
README = ROOT / "book" / "images" / "layer_curves.svg"
OF_A_MODEL = ROOT / "book" / "images" / "new_model.html"


def draw(models: list[str]) -> None:
    """Layer curves of the colour study, a line a family, or a line a model where some are named."""
    study = cv.begin("colors", models=models)
    if models:
        means = cv.tables.layer_means(study).query("space == 'original' and measure in @BOTH")
        figure = cv.figures.curves(means, baselines=cv.tables.baselines(study))
        OF_A_MODEL.write_text(cv.figures.html(figure) + "\n", encoding="utf-8")
        return
    means = cv.tables.by_family(study).query("measure in @BOTH")
    units = ["family", "variant"]
    figure = cv.figures.curves(means, row="", units=units, xlabel="depth, in thirds")
    with plt.rc_context({"svg.hashsalt": "convexlib"}):
        figure.savefig(README, bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    draw(sys.argv[1:])
