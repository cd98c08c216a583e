"""What a book takes before anything starts: what is there, what is made, and how long about."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from convexlib import book, pipeline, store
from convexlib.store import Result
from convexlib.study import Model, Study

_N_LAYERS, _WIDTH = 12, 768  # of a model of which nothing is known, as of ViT-B
_N_IMAGES = 8  # that a model is tried with
_N_EVALUATIONS = 2 * 25  # of an objective, in a fit, about: naive and global


class Line(NamedTuple):
    """Results of a kind: how many there are, are stored and are missing, and how long these take.

    `seconds` is NaN where nothing is known; `measured` says by what it was told.
    """

    kind: str
    results: int
    stored: int
    missing: int
    seconds: float
    measured: str


def plan(study: Study) -> list[Line]:
    """What is stored of a study and what would be made, by kind, in the order of the work.

    How long a result takes is told by what results of its kind took on this machine, the newest of
    each name, as their manifests say. Where there is none, representations and fits of transforms
    are timed: some images through the model, some evaluations of the objective.

    Parameters
    ----------
    study : Study

    Returns
    -------
    list of Line
    """
    of_kind: dict[str, list[Result]] = {}
    for job in store.jobs(book.site(study)).values():
        for result in job.results:
            of_kind.setdefault(result.name.split("/")[1], []).append(result)
    return [_line(study, kind, results) for kind, results in of_kind.items()]


def _line(study: Study, kind: str, results: list[Result]) -> Line:
    missing = [r for r in results if not store.is_whole(r.folder, thoroughly=False)]
    about = kind, len(results), len(results) - len(missing), len(missing)
    known = store.seconds_of(kind)
    if not missing or known:
        return Line(*about, len(missing) * np.mean(known or [0]), "results that are there")
    probe = _PROBES.get(kind)
    if probe is None:
        return Line(*about, np.nan, "")
    names = [result.name.rpartition("/")[2] for result in missing]
    endings = ["", *(varied.suffix for varied in study.variations.values())]
    counts = {m: sum(m.id + ending in names for ending in endings) for m in study.models}
    return Line(*about, sum(n * probe(study, m) for m, n in counts.items() if n), "a trial")


def _seconds(function: Callable[[], object]) -> float:
    function()
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _shape(model: Model) -> tuple[int, int]:
    """Layers, the embedding included, and features, as far as they are known."""
    from convexlib.models.checkpoints import load_config

    if model.recipe is not None:
        about = model.recipe.architecture
        return (about.layers + 1, about.width) if about else (_N_LAYERS + 1, _WIDTH)
    if not model.source.is_dir():
        return 1, _WIDTH
    config = load_config(model.source)
    config = getattr(config, "vision_config", config)
    layers = getattr(config, "num_hidden_layers", _N_LAYERS)
    return layers + 1, getattr(config, "hidden_size", _WIDTH)


def _represent(study: Study, model: Model) -> float:
    from convexlib.models.representations import extract

    if model.source is None or not model.source.is_dir():
        return 0.0
    noise = np.random.default_rng(0).integers(0, 256, (_N_IMAGES, 240, 320, 3), dtype=np.uint8)
    per_image = _seconds(lambda: extract(model.source, list(noise))) / _N_IMAGES
    return per_image * np.prod(study.stimuli.extent)


def _fit(study: Study, model: Model) -> float:
    import torch

    from convexlib.devices import best
    from convexlib.fitting import Objective, Options, Problem

    n_layers, width = _shape(model)
    options, n_concepts = study.file.measures.transform, study.stimuli.extent[0]
    n_triplets = len(pipeline.judged(study).judgments.triplets)
    n_fits = options.n_folds * options.n_repeats + 3
    rng, rank = np.random.default_rng(0), min(width, n_concepts)
    rows = rng.normal(size=(n_concepts, rank)).astype(np.float32)
    triplets = np.array([rng.permutation(n_concepts)[:3] for _ in range(1000)])
    triplets = triplets[rng.integers(len(triplets), size=n_triplets)]
    problem = Problem(rows, triplets, None, rank, 1.0, options.lmbda)
    device = best()
    objective = Objective([problem], Options("naive", True, 1, 0, 1, 1e-4, 1), device)

    def evaluate() -> float:
        return objective(objective.start, torch.zeros(1, dtype=torch.int64, device=device))[
            0
        ].item()

    return n_layers * n_fits * _N_EVALUATIONS * _seconds(evaluate)


_PROBES: Mapping[str, Callable[[Study, Model], float]] = {
    "representations": _represent,
    "transforms": _fit,
}


def shown(lines: list[Line]) -> pd.DataFrame:
    """The plan as a table for people."""
    table = pd.DataFrame(lines)
    table["time"] = [in_words(line.seconds) if line.missing else "" for line in lines]
    return table.drop(columns="seconds")


def in_words(seconds: float) -> str:
    """A time for people."""
    if np.isnan(seconds):
        return "not known yet"
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
