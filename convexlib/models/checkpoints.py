"""Hugging Face vision checkpoints: found by name or folder, loaded quietly, never unpickled."""

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, AutoImageProcessor, AutoModel, PreTrainedConfig
from transformers import logging as transformers_logging
from transformers.models.auto.auto_factory import _get_model_class

from convexlib.models import hub
from convexlib.models.hub import revision, size  # noqa: F401 - asked for by name here
from convexlib.models.weights import MERGE, first_line, is_of_timm, shapes

_TOWERS = ("vision_model", "vision_tower", "vision_encoder", "image_model")


def locate(source: str) -> Path:
    """Folder of a checkpoint, given as a folder or as a name on the Hugging Face hub.

    Of a model on the hub, only its configuration, image processor and safetensors weights are
    fetched. A bare name, or one with a commit, is looked for in the local hub cache first, so the
    revision that was fetched first is used from then on, by all processes and without a network.
    To get a newer one, name the revision, for example ``name@main``, or remove the model from the
    cache with ``hf cache rm``. With a branch or a tag the hub is asked each time, and the cache
    where the hub cannot be reached.

    Parameters
    ----------
    source : str
        For example ``./my-model``, ``google/vit-base-patch16-224`` or
        ``google/vit-base-patch16-224@main``, where a branch, tag or commit stands behind the ``@``.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If `source` is neither, or if `check` refuses it.
    """
    folder = hub.find(source)
    check(folder)
    return folder


def check(folder: Path) -> None:
    """Raise a one-line ValueError unless the folder holds a checkpoint that can be loaded.

    No weights are read, only their names and shapes. They must be those of the model that
    config.json describes, as far as its hidden states depend on them: a missing pooler or head is
    no fault, and neither is a head or a decoder that is left over. A process checks a folder
    again only if a file in it has changed.
    """
    files = [(path, path.stat()) for path in folder.glob("*") if path.is_file()]
    _check(folder, frozenset((path, stat.st_mtime_ns, stat.st_size) for path, stat in files))


@cache
def _check(folder: Path, files: frozenset[tuple[Path, int, int]]) -> None:
    given = shapes(folder)
    try:
        if is_of_timm(folder):
            import_module("timm")
        fault = _fault_of_weights(load_config(folder), given, load_processor(folder))
    except Exception as error:
        raise ValueError(
            f"model folder {str(folder)!r} cannot be loaded as a model of images "
            f"({first_line(error)}); {_remedy(folder, error)}"
        ) from error
    if fault:
        raise ValueError(f"model folder {str(folder)!r} holds weights that do not fit: {fault}")


def _remedy(folder: Path, error: Exception) -> str:
    if is_of_timm(folder) or "torchvision" in str(error).lower():
        return (
            "use the environment that has timm and torchvision, make book WITH=timm, or pip "
            "install 'convexlib[timm]' where torchvision fits torch"
        )
    return (
        "save the model and its image processor there with save_pretrained(); of models of images "
        "and more the part for images, since text, audio and videos cannot be used"
    )


def load_config(folder: Path) -> PreTrainedConfig:
    """Configuration of a checkpoint."""
    return AutoConfig.from_pretrained(folder, trust_remote_code=False)


def load_processor(folder: Path) -> Any:
    """Image processor of a checkpoint, by its PIL implementation where it has one."""
    with quiet():
        return AutoImageProcessor.from_pretrained(folder, backend="pil", trust_remote_code=False)


def load_model(auto_class: Any, folder: Path | None, **options: Any) -> Any:
    """Model of a checkpoint by one of the transformers Auto classes, from safetensors alone.

    In 32 bits, whatever it was saved in.
    """
    safe = {"use_safetensors": True, "trust_remote_code": False, "dtype": torch.float32}
    with quiet():
        return auto_class.from_pretrained(folder, **safe, **options)


def load_for_images(folder: Path, *, untrained: bool = False) -> nn.Module:
    """The model of a checkpoint, or of one for images and text its tower for images.

    Untrained, its weights are those that its architecture begins with, from seed 0.
    """
    config = load_config(folder)
    # Of a masked autoencoder nothing is masked.
    options = {"mask_ratio": 0.0} if hasattr(config, "mask_ratio") else {}
    if untrained:
        with torch.random.fork_rng(), quiet():
            torch.manual_seed(0)
            config.update(options)
            model = AutoModel.from_config(config, trust_remote_code=False, dtype=torch.float32)
    else:
        model = load_model(AutoModel, folder, **options)
    part = _tower(model)
    part.name_or_path = str(folder)  # which a tower does not know
    return part


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' loading bars and reports off the screen."""
    with ExitStack() as after:
        after.callback(transformers_logging.set_verbosity, transformers_logging.get_verbosity())
        if transformers_logging.is_progress_bar_enabled():
            after.callback(transformers_logging.enable_progress_bar)
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        yield


def _tower(model: nn.Module) -> nn.Module:
    """Of a model for images and text the tower for images, else the model."""
    parts = (getattr(model, name, None) for name in _TOWERS)
    return next((part for part in parts if isinstance(part, nn.Module)), model)


def _fault_of_weights(
    config: PreTrainedConfig, given: dict[str, list[int]], processor: Any
) -> str | None:
    """What of the weights does not fit the model, and the remedy; None if all do."""
    if getattr(config, "quantization_config", None):
        return "they are quantized; give the model in 16 or 32 bits, before it was quantized"
    nothing = torch.zeros(())  # repeated, takes no memory
    weights = {name: nothing.expand(shape) for name, shape in given.items()}
    options = {"ignore_mismatched_sizes": True, "output_loading_info": True}
    model_class = _get_model_class(config, AutoModel._model_mapping)
    with torch.random.fork_rng(devices=[]):
        model, report = load_model(model_class, None, config=config, state_dict=weights, **options)
    known, own_prefix = model.state_dict(), f"{model.base_model_prefix}."

    def kind(name: str) -> str:
        return re.sub(r"\d+", "0", name.removeprefix(own_prefix))

    together = "save the model together with its configuration, with save_pretrained()"
    if report["mismatched_keys"]:
        name, shape, wanted = min(report["mismatched_keys"])
        return f"{name} has shape {tuple(shape)}, and the model's has {tuple(wanted)}; {together}"
    kinds = {kind(name) for name in known}
    if more := [name for name in report["unexpected_keys"] if kind(name) in kinds]:
        return f"the model has no place for {len(more)} of them, such as {min(more)}; {together}"
    floating = [name for name in report["missing_keys"] if known[name].is_floating_point()]
    if missing := floating and _needed(model.to("meta"), floating, processor):
        part = _wrapping(given, known, own_prefix) if 2 * len(missing) >= len(known) else ""
        call = f"model.{part}.save_pretrained(...)" if part else "save_pretrained()"
        adapted = any(".lora_" in name or name.startswith("base_model.") for name in given)
        return (
            f"{len(missing)} of the model's {len(known)} are not there, such as {min(missing)}, "
            f"but names such as {min(given)}; "
            + (MERGE if adapted else f"save the whole model itself: {call}")
        )
    return None


def _needed(model: nn.Module, missing: list[str], processor: Any) -> list[str]:
    """Those of the missing weights on which a hidden state depends.

    All of them where the model, without values, cannot be asked for hidden states.
    """
    parameters = dict(model.requires_grad_(False).named_parameters())
    asked = {}
    for name in missing:
        # A buffer has no gradient, so those beside it tell; with none there, it may be needed.
        beside = model.get_submodule(name.rpartition(".")[0]).parameters(recurse=False)
        those = [parameters[name]] if name in parameters else beside
        asked[name] = [parameter.requires_grad_() for parameter in those]
    try:
        # Of the model's own size, to which a processor need not bring it.
        size = np.broadcast_to(getattr(_tower(model).config, "image_size", None) or 256, 2)
        image = np.zeros((*size, 3), dtype=np.uint8)
        pixels = processor([image], return_tensors="pt")["pixel_values"].float().to("meta")
        states = _tower(model)(pixel_values=pixels, output_hidden_states=True).hidden_states
        total = sum(state.sum() for state in states)
        if total.requires_grad:
            total.backward()
    except Exception:
        return missing
    return [
        name
        for name, given in asked.items()
        if not given or any(parameter.grad is not None for parameter in given)
    ]


def _wrapping(given: Iterable[str], known: Iterable[str], own_prefix: str) -> str:
    """What stands before the model's own names in those that are given, such as ``module``."""
    own = [f".{name.removeprefix(own_prefix)}" for name in known]
    found = (name.removesuffix(each) for each in own for name in given if name.endswith(each))
    return next(found, "").removesuffix(own_prefix.rstrip(".")).removesuffix(".")
