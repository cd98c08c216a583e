"""Ready-made features in place of a model: a file of arrays, a row a concept or an image."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

SUFFIXES = (".npy", ".safetensors")


def is_one(source: str | Path) -> bool:
    """Whether a source is such a file, and not the folder or name of a model."""
    return Path(source).suffix in SUFFIXES and Path(source).is_file()


def read(path: Path, names: Sequence[str]) -> list[np.ndarray]:
    """Features at every layer, the first first.

    Parameters
    ----------
    path : Path
        An ``.npy`` file of an array (n, n_features), or (n_layers, n, n_features), whose rows are
        in the order of the names; or a ``.safetensors`` file with an array (n, n_features) a layer,
        in the order of their names. Its metadata may hold ``names``, a list as JSON that says what
        each row is of, in any order.
    names : sequence of str
        What the rows are to be of.

    Returns
    -------
    list of ndarray of float32, each of shape (len(names), n_features)

    Raises
    ------
    ValueError
        If the file holds something else, or not a row for each name.
    """
    from convexlib import checks

    try:
        layers, order = _npy(path) if path.suffix == ".npy" else _safetensors(path)
    except (ValueError, EOFError, SafetensorError) as error:
        said = str(error).partition("\n")[0]
        raise ValueError(f"{str(path)!r} holds no arrays that can be read ({said})") from error
    if not layers:
        raise ValueError(f"{str(path)!r} holds no array; give one a layer")
    if order is not None:
        if missing := [name for name in names if name not in order]:
            raise ValueError(
                f"{str(path)!r} names no row for {missing[0]!r}, nor for {len(missing) - 1} others "
                f"of {len(names)}; give all"
            )
        rows = [order.index(name) for name in names]
        layers = [layer[rows] if len(layer) == len(order) else layer for layer in layers]
    for number, layer in enumerate(layers):
        checks.features(layer, name=f"layer {number} of {path.name}")
        if len(layer) != len(names):
            raise ValueError(
                f"{str(path)!r} has {len(layer)} rows at layer {number}; give one for each of "
                f"{len(names)}, from {names[0]!r} to {names[-1]!r}, in that order"
            )
    return [np.ascontiguousarray(layer, dtype=np.float32) for layer in layers]


def _npy(path: Path) -> tuple[list[np.ndarray], None]:
    array = np.load(path, allow_pickle=False)
    if array.ndim not in (2, 3):
        raise ValueError(f"shape {array.shape} is not (n, n_features) or (n_layers, n, n_features)")
    return list(array) if array.ndim == 3 else [array], None


def _safetensors(path: Path) -> tuple[list[np.ndarray], list[str] | None]:
    with safe_open(path, framework="numpy") as file:
        layers = [file.get_tensor(name) for name in sorted(file.keys())]
        names = (file.metadata() or {}).get("names")
    order = None if names is None else [str(name) for name in json.loads(names)]
    return layers, order
