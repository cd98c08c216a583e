"""Hugging Face vision checkpoints: found by name or folder, loaded quietly, never unpickled."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import safe_open
from transformers import AutoConfig, AutoImageProcessor, PreTrainedConfig
from transformers import logging as transformers_logging

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")

_PATTERNS = ["config.json", "*processor_config.json", "*.safetensors", WEIGHTS[1]]
_HUB_ERRORS = (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError)


def locate(source: str) -> Path:
    """Folder of a checkpoint, given as a folder or as a name on the Hugging Face hub.

    A name is looked up on the hub, or offline in the local hub cache, and only its
    configuration, image processor and safetensors weights are fetched.

    Parameters
    ----------
    source : str
        For example ``google/vit-base-patch16-224`` or ``./my-model``.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If `source` is neither, or lacks weights, an image processor or a known architecture.
    """
    folder = Path(source).expanduser()
    folder = folder.resolve() if folder.is_dir() else _from_hub(source)
    check(folder)
    return folder


def size(source: str) -> int | None:
    """Bytes that `locate` would load: 0 if all is here, None if the hub cannot be asked."""
    if Path(source).expanduser().is_dir():
        return 0
    try:
        files = snapshot_download(source, allow_patterns=_PATTERNS, dry_run=True)
    except _HUB_ERRORS:
        return None
    return sum(file.file_size or 0 for file in files if file.will_download)


def check(folder: Path) -> None:
    """Raise a one-line ValueError unless the folder holds a checkpoint that can be loaded."""
    if not any((folder / name).is_file() for name in WEIGHTS):
        raise ValueError(
            f"model folder {str(folder)!r} holds no weights: expected {WEIGHTS[0]}; "
            "save the model with save_pretrained()"
        )
    # Whatever a file of somebody else's can make the libraries raise, it is the file's fault.
    try:
        _check_weights(folder)
    except Exception as error:
        raise ValueError(
            f"model folder {str(folder)!r} holds damaged weights ({first_line(error)}); "
            "copy or save the model again"
        ) from error
    if _is_of_timm(folder):
        try:
            import_module("timm")
        except Exception as error:
            raise ValueError(
                f"model folder {str(folder)!r} holds a model of timm, which cannot be imported "
                f"({first_line(error)}); run pip install 'convexlib[timm]' in an environment "
                "whose torchvision fits its torch"
            ) from error
    try:
        load_config(folder)
    except Exception as error:
        raise ValueError(
            f"model folder {str(folder)!r} has no config.json that transformers knows "
            f"({first_line(error)}); save the model with save_pretrained()"
        ) from error
    try:
        load_processor(folder)
    except Exception as error:
        raise ValueError(
            f"model folder {str(folder)!r} has no image processor ({first_line(error)}); "
            "save it there too with save_pretrained(); a model of text cannot be used"
        ) from error


def load_config(folder: Path) -> PreTrainedConfig:
    """Configuration of a checkpoint."""
    return AutoConfig.from_pretrained(folder, trust_remote_code=False)


def load_processor(folder: Path) -> Any:
    """Image processor of a checkpoint, by its PIL implementation."""
    with quiet():
        return AutoImageProcessor.from_pretrained(folder, backend="pil", trust_remote_code=False)


def load_model(auto_class: Any, folder: Path, **options: Any) -> Any:
    """Model of a checkpoint by one of the transformers Auto classes, from safetensors alone."""
    with quiet():
        return auto_class.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, **options
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' loading bars and reports off the screen."""
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


def _check_weights(folder: Path) -> None:
    """Open every file of weights; safetensors compares its length with what its header says."""
    index = folder / WEIGHTS[1]
    whole = folder / WEIGHTS[0]
    if whole.is_file():
        files = [whole]
    else:
        files = [
            folder / name for name in set(json.loads(index.read_text())["weight_map"].values())
        ]
    for file in files:
        with safe_open(file, framework="numpy"):
            pass


def _is_of_timm(folder: Path) -> bool:
    """Judged by the configuration; what may be wrong with that is left to who loads it."""
    try:
        config, _ = PreTrainedConfig.get_config_dict(folder)
    except Exception:
        return False
    return isinstance(config, dict) and config.get("model_type") == "timm_wrapper"


def _from_hub(name: str) -> Path:
    try:
        return Path(snapshot_download(name, allow_patterns=_PATTERNS))
    except _HUB_ERRORS as error:
        raise ValueError(
            f"model {name!r} is neither a folder nor a model on the Hugging Face hub that can be "
            f"reached or is cached here ({first_line(error)}); "
            "check the spelling, the path or the network"
        ) from error


def first_line(error: Exception) -> str:
    """What an error of somebody else's says, in a line."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return first if len(first) < 300 else first[:297] + "..."
