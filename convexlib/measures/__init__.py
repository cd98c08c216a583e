"""Measures of a layer: a file each, whose results are stored by themselves.

A file has `MEASURES`, what each of its measures is called and how it is shown, and `rows(layer)`,
arrays in, tidy rows out. Those that ask for `layers.spaces` come after the fits of transforms.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

OF_ALIGNET = ("factors", "few_shot", "levels", "reaction_time", "shift")
"""Files that are measured for the page on AligNet alone."""

OF_SEVERAL_SETS = ("carried_over",)
"""Files that are measured where there are several sets of judgments alone."""


def of_every_model() -> list[str]:
    """Names of the files that are measured of every model, for all pages.

    Examples
    --------
    >>> "convexity" in of_every_model(), "few_shot" in of_every_model()
    (True, False)
    """
    return [name for name in names() if name not in OF_ALIGNET]


def names() -> list[str]:
    """Names of the files of this folder.

    Examples
    --------
    >>> "convexity" in names()
    True
    """
    return [module.name for module in iter_modules(__path__)]


def known() -> dict[str, Any]:
    """All measures by name, each a `layers.Measure` that says how it is shown.

    Examples
    --------
    >>> known()["rsa"].higher_is_better
    True
    """
    found: dict[str, Any] = {}
    for name in names():
        found |= import_module(f"convexlib.measures.{name}").MEASURES
    return found
