"""The reader finds the odd one of threes that people judged, and sees with whom they agree."""

import base64
from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML
from PIL import Image

from convexlib import alignment, checks, data, figures, pipeline, tables, widgets
from convexlib.settings import UNKNOWN
from convexlib.study import ADDED, Model, Study

N_THREES = 60
"""How many threes a page has at most."""

UNDEFINED = "0"
"""The digit of a three of which a space says nothing."""

_KEPT_FIRST = ((1, 2, 0), (0, 2, 1), (0, 1, 2))  # of each odd one: the pair that is kept, and it
_STILL = 8  # threes that are seen without scripts
_LARGE = 64  # pixels, from which on a picture is a photograph, which may lose a little
_SIZES = (175, 144, 112, 96, 64)  # pixels, to be tried until all pictures are small enough
_ROOM = 200_000  # characters, of all pictures
_OTHER_COLORS = ("#CC79A7", "#56B4E9", "#E69F00", "#8C564B")
_HOW = {
    data.RATED: "Nobody was asked just this: people rated how alike two are, and the choices "
    "follow from their ratings.",
    data.ARRANGED: "Nobody was asked just this: people arranged all by how alike they are, and "
    "the choices follow from that.",
}


def widget(study: Study) -> HTML:
    """What the reader tries: threes, one after another, and then whom they agree with.

    Parameters
    ----------
    study : Study

    Returns
    -------
    HTML
        Some of the threes, with the shares of people, and what the script needs to go on.
    """
    threes, odd = draw(study)
    still = figures.odd_shares(_some(study, threes, odd))
    alt = (
        f"{min(_STILL, len(threes))} panels of three {study.stimuli.WORDS['concepts']} each, with "
        "a bar below each for the share of people who found it the odd one out."
    )
    return widgets.mount("odd_one_out", content(study), still=still, alt=alt)


def content(study: Study) -> dict[str, Any]:
    """What the script needs: pictures, what people chose, and what models choose.

    Returns
    -------
    dict
        words : what concepts are called. how : of judgments that are no choices, what they are.
        names, pictures : of each reference image that occurs, its name, and a data URI, or None
        where it may not be shown. threes : places in these. people : how often each of the three
        was found odd. repeated : whether the same three were judged so often that the shares of
        people are known. variants, families : what they are called; the colour of a family is None
        for a model that the reader added, which is one of its own. models : name, called, family,
        variant, size, counted, and layers, of each its depth and, seed by seed, the digits of
        `choices`.
    """
    threes, odd = draw(study)
    rows = np.unique(threes)
    names = pipeline.judged(study).names
    told = choices(study, threes)
    style = tables.style(study)
    others = cycle(_OTHER_COLORS)
    added = {f"{ADDED} {model.name}": model.name for model in study.models if model.added}
    families = {
        name: {"label": added[name], "color": None}
        if name in added
        else style["families"].get(name) or {"label": name, "color": next(others)}
        for name in dict.fromkeys(told["family"])
    }
    called = {name: style["labels"].get(name, name) for name in dict.fromkeys(told["variant"])}
    order = [name for name in style["levels"]["variant"] if name in called]
    return {
        "words": dict(study.stimuli.WORDS),
        "how": _HOW.get(pipeline.judged(study).judgments.method, ""),
        "names": [names[row].replace("_", " ") for row in rows],
        "pictures": _pictures(study, rows),
        "threes": np.searchsorted(rows, threes).tolist(),
        "people": odd.tolist(),
        "repeated": bool((odd.sum(axis=1) >= alignment.FEWEST_CHOICES).all()),
        "variants": {name: called[name] for name in dict.fromkeys([*order, *called])},
        "families": families,
        "models": [*_of_models(told, families, called)],
    }


def draw(study: Study, n_threes: int = N_THREES) -> tuple[np.ndarray, np.ndarray]:
    """Threes that people judged, drawn uniformly at random, always the same ones.

    Of all different threes of the first set of judgments each is as likely as any other, whatever
    people or models make of it, so what holds of the drawn ones holds of all but for chance.

    Parameters
    ----------
    study : Study
    n_threes : int, default=60
        At most; all, where fewer were judged.

    Returns
    -------
    threes : ndarray of int, shape (n_threes, 3)
        Rows of the reference images, in ascending order.
    odd : ndarray of int, shape (n_threes, 3)
        How often each of the three was found odd.
    """
    threes, kept = alignment.choice_counts(pipeline.judged(study).judgments.triplets)
    n = min(n_threes, len(threes))
    drawn = np.random.default_rng(0).choice(len(threes), n, replace=False)
    # Pairs come as (0, 1), (0, 2), (1, 2), and of the first it is the last that is odd.
    return threes[drawn], kept[drawn, ::-1].astype(int)


def choices(study: Study, threes: np.ndarray) -> pd.DataFrame:
    """Which of three each layer of each model finds odd, by the similarity of the study.

    Parameters
    ----------
    study : Study
    threes : ndarray of int, shape (n_threes, 3)
        Rows of the reference images.

    Returns
    -------
    DataFrame
        One row a model, seed and layer: model, called (in words), family (one of its own for a
        model that the reader added), size, variant, counted, seed, layer, depth, and odd, a digit
        a three: the sum of 1, 2 and 4 for each of the three that is odd; several where pairs tie,
        and `UNDEFINED` where the space has no similarities.
    """
    similarity = study.file.measures.similarity
    rows = []
    for model in study.models:
        layers = [*_references(study, model)]
        of_model = {
            "model": model.name,
            "called": _called(study, model),
            "family": f"{ADDED} {model.name}" if model.added else model.family,
            **{name: model.attributes[name] for name in ("size", "variant")},
            "counted": model.counted,
            "seed": model.seed,
        }
        for number, X in enumerate(layers):
            depth = number / max(1, len(layers) - 1)
            odd = "".join(map(str, _odd(X, threes, similarity)))
            rows.append(of_model | {"layer": number, "depth": depth, "odd": odd})
    columns = ["model", "called", "family", "size", "variant", "counted", "seed"]
    return pd.DataFrame(rows, columns=[*columns, "layer", "depth", "odd"])


def shares(odd: str) -> np.ndarray:
    """How much of its choice a space gives to each of three, from the digits of `choices`.

    Returns
    -------
    ndarray of shape (n_threes, 3)
        Rows sum to one; NaN where the space says nothing.

    Examples
    --------
    >>> shares("15")
    array([[1. , 0. , 0. ],
           [0.5, 0. , 0.5]])
    """
    bits = np.array([[int(digit) >> place & 1 for place in range(3)] for digit in odd], float)
    n_odd = bits.sum(axis=1, keepdims=True)
    return np.divide(bits, n_odd, out=np.full(bits.shape, np.nan), where=n_odd > 0)


def _odd(X: np.ndarray, threes: np.ndarray, similarity: str) -> np.ndarray:
    """The digit of each three."""
    if not np.isfinite(X).all():
        return np.full(len(threes), int(UNDEFINED))
    if checks.alike(X):
        return np.full(len(threes), 7)
    try:
        triplets = np.concatenate([threes[:, order] for order in _KEPT_FIRST])
        scores = alignment.odd_one_out_scores(X, triplets, similarity=similarity)
    except checks.Undefined:
        return np.full(len(threes), int(UNDEFINED))
    return [1, 2, 4] @ (scores.reshape(3, -1) > 0)


def _references(study: Study, model: Model) -> Iterator[np.ndarray]:
    """The reference images at each layer of a model."""
    from convexlib.models.representations import load, n_layers

    folder = pipeline.representations(study, model).get()
    folder = folder / ("reference" if (folder / "reference").is_dir() else "test")
    for number in range(n_layers(folder)):
        yield load(folder, number)


def _called(study: Study, model: Model) -> str:
    """Size and variant where they tell models of a family apart, else the name."""
    known = (model.family, model.size, model.variant)
    alike = {m.name for m in study.models if (m.family, m.size, m.variant) == known}
    if model.added or model.size == UNKNOWN or len(alike) > 1:
        return model.name
    return f"{model.size}, {tables.style(study)['labels'].get(model.variant, model.variant)}"


def _of_models(
    told: pd.DataFrame, families: dict[str, Any], called: dict[str, str]
) -> Iterator[dict[str, Any]]:
    for name, of_model in told.groupby("model", sort=False):
        about = of_model.iloc[0]
        layers = [
            {"depth": round(float(depth), 4), "odd": [*seeds["odd"]]}
            for depth, seeds in of_model.groupby("depth")
        ]
        known = {key: str(about[key]) for key in ("called", "family", "variant", "size")}
        yield {"name": name, **known, "counted": bool(about["counted"]), "layers": layers}


def _some(study: Study, threes: np.ndarray, odd: np.ndarray) -> pd.DataFrame:
    """What `figures.odd_shares` draws of the first of the threes."""
    images = pipeline.images(study, "reference")[0] if study.stimuli.MAY_SHOW else None
    names = pipeline.judged(study).names
    rows = [
        {
            "three": number,
            "name": names[row].replace("_", " "),
            "image": None if images is None else tables.thumbnail(images[row]),
            "source": tables.PEOPLE,
            "share": n / counts.sum(),
        }
        for number, (three, counts) in enumerate(zip(threes[:_STILL], odd, strict=False), start=1)
        for row, n in zip(three.tolist(), counts, strict=True)
    ]
    return pd.DataFrame(rows)


def _pictures(study: Study, rows: Sequence[int]) -> list[str | None]:
    """Reference images as data URIs, as large as there is room for all."""
    if not study.stimuli.MAY_SHOW:
        return [None] * len(rows)
    images = pipeline.images(study, "reference")[0]
    for size in _SIZES:
        found = [_uri(tables.thumbnail(images[int(row)], size)) for row in rows]
        if sum(map(len, found)) <= _ROOM:
            break
    return found


def _uri(picture: np.ndarray) -> str:
    file = BytesIO()
    lossless = max(picture.shape) <= _LARGE
    Image.fromarray(picture).save(file, "WEBP", lossless=lossless, quality=80, method=6)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
