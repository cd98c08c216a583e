"""What the folder of a model holds: weights that are whole, their names and shapes."""

import json
from collections.abc import Iterator
from pathlib import Path

from safetensors import safe_open
from transformers import PreTrainedConfig

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
MERGE = "save the model that an adapter is merged into: model.merge_and_unload().save_pretrained()"

_POINTER = b"version https://git-lfs"
_ADAPTER = "adapter_model.safetensors"
_INSTEAD_OF_WEIGHTS = {
    _ADAPTER: f"it holds an adapter alone; {MERGE}",
    "pytorch_model*.bin": "weights as {} would have to be unpickled; load them where you trust "
    "them and convert them with save_pretrained(..., safe_serialization=True)",
    "*.safetensors": "it holds {}; if that is the model, rename it",
}


def shapes(folder: Path) -> dict[str, list[int]]:
    """Names and shapes of the weights, from the heads of the files.

    safetensors compares the length of each file with what its head says.

    Raises
    ------
    ValueError
        In one line, if there are no weights, or damaged ones, or those of an adapter too.
    """
    named = f"model folder {str(folder)!r} holds"
    if not any((folder / name).is_file() for name in WEIGHTS):
        raise ValueError(f"{named} no weights: expected {WEIGHTS[0]}; {_remedy(folder)}")
    try:
        found = {name: shape for file in _files(folder) for name, shape in _head(file)}
    except Exception as error:  # whatever makes a library raise is the fault of the file
        raise ValueError(
            f"{named} damaged weights ({first_line(error)}); copy or save the model again"
        ) from error
    if (folder / _ADAPTER).is_file():
        raise ValueError(f"{named} an adapter beside its weights; {MERGE}")
    return found


def is_of_timm(folder: Path) -> bool:
    """Judged by the configuration; what may be wrong with that is left to who loads it."""
    try:
        config, _ = PreTrainedConfig.get_config_dict(folder)
    except Exception:
        return False
    return isinstance(config, dict) and config.get("model_type") == "timm_wrapper"


def first_line(error: BaseException) -> str:
    """What an error of somebody else's says, in a line."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return first if len(first) < 300 else first[:297] + "..."


def _remedy(folder: Path) -> str:
    for pattern, remedy in _INSTEAD_OF_WEIGHTS.items():
        if found := sorted(folder.glob(pattern)):
            return remedy.format(found[0].name)
    return "save the model with save_pretrained()"


def _files(folder: Path) -> list[Path]:
    """Files of the weights, as transformers chooses them."""
    whole, index = (folder / name for name in WEIGHTS)
    if whole.is_file():
        return [whole]
    names = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
    return [folder / name for name in sorted(set(names))]


def _head(file: Path) -> Iterator[tuple[str, list[int]]]:
    with file.open("rb") as opened:
        start = opened.read(len(_POINTER))
    if start in (b"", _POINTER):
        kind = "a pointer of Git LFS: run git lfs pull there" if start else "empty"
        raise ValueError(f"{file.name} is {kind}")
    with safe_open(file, framework="numpy") as opened:
        for name in opened.keys():  # noqa: SIM118
            yield name, opened.get_slice(name).get_shape()
