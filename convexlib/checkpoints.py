"""Hugging Face vision checkpoints: found by name or folder, loaded quietly, never unpickled."""

import errno
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.request import getproxies

import numpy as np
import torch
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id
from safetensors import safe_open
from torch import Tensor, nn
from transformers import AutoConfig, AutoImageProcessor, AutoModel, PreTrainedConfig
from transformers import logging as transformers_logging
from transformers.models.auto.auto_factory import _get_model_class

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")

_PATTERNS = ["config.json", "*processor_config.json", "*.safetensors", WEIGHTS[1]]
_COMMIT = re.compile(r"[0-9a-f]{40}")
_POINTER = b"version https://git-lfs"
_TOWERS = ("vision_model", "vision_tower", "vision_encoder", "image_model")
_FULL = (errno.ENOSPC, errno.EDQUOT)


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
    folder = _here(source) or _from_hub(source)
    check(folder)
    return folder


def size(source: str) -> int | None:
    """Bytes that `locate` would load: 0 if all is here, None if the hub cannot be asked."""
    if _here(source):
        return 0
    try:
        name, revision = _name_and_revision(source)
        if _cached(name, revision):
            return 0
        files = snapshot_download(name, revision=revision, allow_patterns=_PATTERNS, dry_run=True)
    except Exception:  # of many libraries; `locate` says what is wrong
        return None
    return sum(file.file_size or 0 for file in files if file.will_download)


def revision(folder: Path) -> str | None:
    """Commit of a model in the local hub cache, None for any other folder.

    Examples
    --------
    >>> revision(Path("models--someone--vit/snapshots/0123456789abcdef0123456789abcdef01234567"))
    '0123456789abcdef0123456789abcdef01234567'
    >>> revision(Path("my-model")) is None
    True
    """
    snapshots, repository = folder.parent, folder.parent.parent
    if snapshots.name == "snapshots" and repository.name.startswith("models--"):
        return folder.name
    return None


def check(folder: Path) -> None:
    """Raise a one-line ValueError unless the folder holds a checkpoint that can be loaded.

    No weights are read, only their names and shapes. They must be those of the model that
    config.json describes, as far as its hidden states depend on them: a missing pooler or head is
    no fault, and neither is a head or a decoder that is left over.
    """
    named = f"model folder {str(folder)!r}"
    _check_files(folder)
    if is_of_timm(folder):
        try:
            import_module("timm")
        except Exception as error:
            raise ValueError(
                f"{named} holds a model of timm, which cannot be imported "
                f"({first_line(error)}); run pip install 'convexlib[timm]' in an environment "
                "whose torchvision fits its torch"
            ) from error
    try:
        config = load_config(folder)
    except Exception as error:
        raise ValueError(
            f"{named} has no config.json that transformers knows "
            f"({first_line(error)}); save the model with save_pretrained()"
        ) from error
    if getattr(config, "quantization_config", None):
        raise ValueError(
            f"{named} holds quantized weights; give the model in 16 or 32 bits, before it was "
            "quantized"
        )
    try:
        processor = load_processor(folder)
    except Exception as error:
        raise ValueError(f"{named} {_no_processor(error)}") from error
    try:
        fault = _fault_of_weights(config, _shapes(folder), processor)
    except Exception as error:
        raise ValueError(
            f"{named} holds a model of type {config.model_type!r} that transformers cannot load "
            f"as a model of images ({first_line(error)}); give the part for images, saved with "
            "save_pretrained()"
        ) from error
    if fault:
        raise ValueError(f"{named} holds weights that do not fit its config.json: {fault}")


def load_config(folder: Path) -> PreTrainedConfig:
    """Configuration of a checkpoint."""
    return AutoConfig.from_pretrained(folder, trust_remote_code=False)


def load_processor(folder: Path) -> Any:
    """Image processor of a checkpoint, by its PIL implementation where it has one."""
    with quiet():
        return AutoImageProcessor.from_pretrained(folder, backend="pil", trust_remote_code=False)


def load_model(auto_class: Any, folder: Path, **options: Any) -> Any:
    """Model of a checkpoint by one of the transformers Auto classes, from safetensors alone.

    In 32 bits, whatever it was saved in.
    """
    with quiet():
        return auto_class.from_pretrained(
            folder,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            **options,
        )


def load_for_images(folder: Path) -> nn.Module:
    """The model of a checkpoint, or of one for images and text its tower for images."""
    # Of a masked autoencoder nothing is masked.
    options = {"mask_ratio": 0.0} if hasattr(load_config(folder), "mask_ratio") else {}
    part = _tower(load_model(AutoModel, folder, **options))
    part.name_or_path = str(folder)  # which a tower does not know
    return part


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


def first_line(error: BaseException) -> str:
    """What an error of somebody else's says, in a line."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return first if len(first) < 300 else first[:297] + "..."


def _here(source: str) -> Path | None:
    try:
        folder = Path(source).expanduser()
        return folder.resolve() if folder.is_dir() else None
    except (OSError, RuntimeError, ValueError):  # not readable, no such home, no path at all
        return None


def _name_and_revision(source: str) -> tuple[str, str | None]:
    """Parts of a source on the hub; a one-line ValueError for what can be a path only."""
    name, _, revision = source.partition("@")
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        remedy = "check the path"
        with suppress(OSError, ValueError):  # of what no path can be
            if Path(source).is_file():
                remedy = "it is a file; give the folder that it is in"
        raise ValueError(f"model {source!r}: there is no such folder; {remedy}") from error
    return name, revision or None


def _from_hub(source: str) -> Path:
    name, revision = _name_and_revision(source)
    if cached := _cached(name, revision):
        return cached
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_PATTERNS))
    except Exception as error:  # of the hub, the network, its proxy, the disk
        cause = _cause(error)
        there = isinstance(cause, GatedRepoError | DisabledRepoError | RevisionNotFoundError)
        state = (
            "is on the Hugging Face hub, but cannot be loaded"
            if there
            else "is neither a folder nor a model on the Hugging Face hub that can be reached or "
            "is cached here"
        )
        said = " ".join((getattr(cause, "server_message", None) or first_line(cause)).split())
        raise ValueError(f"model {source!r} {state} ({said}); {_remedy(cause, name)}") from error


def _cached(name: str, revision: str | None) -> Path | None:
    """Folder of a whole model in the local hub cache, unless its revision is one that may move."""
    if revision and not _COMMIT.fullmatch(revision):
        return None
    try:
        folder = Path(
            snapshot_download(
                name, revision=revision, allow_patterns=_PATTERNS, local_files_only=True
            )
        )
        _check_files(folder)
    except Exception:  # whatever is wrong with the cache, the hub is asked next
        return None
    described = any(folder.glob("*processor_config.json")) or is_of_timm(folder)
    return folder if described and (folder / "config.json").is_file() else None


def _cause(error: BaseException) -> BaseException:
    """huggingface_hub hides why it looked into the cache behind that it found nothing there."""
    known = (HfHubHTTPError, OfflineModeIsEnabled)
    while not isinstance(error, known) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _remedy(cause: BaseException, name: str) -> str:
    page, cache = f"{constants.ENDPOINT}/{name}", constants.HF_HUB_CACHE
    log_in = "log in with `hf auth login`, or set HF_TOKEN"
    match cause:
        case GatedRepoError():
            return f"access to it must be asked for on {page}; then {log_in}"
        case DisabledRepoError():
            return f"access to it was disabled; see {page}"
        case RevisionNotFoundError():
            return f"it has no such revision; see {page}/commits/main"
        case RepositoryNotFoundError():
            return f"check the spelling or the path; if the model is private, {log_in}"
        case HfHubHTTPError() if cause.response.status_code in (401, 403):
            return f"the hub refuses access; {log_in}"
        case HfHubHTTPError():
            return "the hub does not answer as it should; try again later"
        case OfflineModeIsEnabled():
            return f"check the spelling, or load it once with HF_HUB_OFFLINE unset, into {cache}"
        case OSError() if cause.errno in _FULL:
            return f"the disk is full: make room in {cache}, or point HF_HOME to another disk"
        case OSError() if cause.errno and cause.filename:
            return f"let {cache} be read and written, or point HF_HOME elsewhere"
    if getproxies():
        return (
            "check the network, and the proxies that HTTPS_PROXY and ALL_PROXY name; "
            "one of kind socks needs `pip install socksio`"
        )
    return "check the spelling, the path or the network"


def _check_files(folder: Path) -> None:
    """Open every file of weights; safetensors compares its length with what its header says."""
    named = f"model folder {str(folder)!r}"
    if not any((folder / name).is_file() for name in WEIGHTS):
        raise ValueError(
            f"{named} holds no weights: expected {WEIGHTS[0]}; {_instead_of_weights(folder)}"
        )
    # Whatever a file of somebody else's can make the libraries raise, it is the file's fault.
    try:
        files = _weights(folder)
        pointers = [file.name for file in files if _is_pointer(file)]
        if not pointers:
            _shapes(folder)
    except Exception as error:
        raise ValueError(
            f"{named} holds damaged weights ({first_line(error)}); copy or save the model again"
        ) from error
    if pointers:
        raise ValueError(
            f"{named} holds {pointers[0]} as a pointer of Git LFS and not the weights; "
            "run git lfs pull there"
        )
    if (folder / "adapter_model.safetensors").is_file():
        raise ValueError(f"{named} holds an adapter beside its weights; {_MERGE}")


_MERGE = "save the model that it is merged into: model.merge_and_unload().save_pretrained(...)"


def _instead_of_weights(folder: Path) -> str:
    if (folder / "adapter_model.safetensors").is_file():
        return f"it holds an adapter alone; {_MERGE}"
    if any(folder.glob("pytorch_model*.bin")):
        return (
            "weights as pytorch_model.bin would have to be unpickled; load them where you trust "
            "them and convert them with save_pretrained(..., safe_serialization=True)"
        )
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    if others:
        return f"it holds {others[0]}; if that is the model, rename it"
    return "save the model with save_pretrained()"


def _is_pointer(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(len(_POINTER)) == _POINTER


def _weights(folder: Path) -> list[Path]:
    """Files of the weights, as transformers chooses them."""
    whole, index = folder / WEIGHTS[0], folder / WEIGHTS[1]
    if whole.is_file():
        return [whole]
    names = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
    return [folder / name for name in sorted(set(names))]


def _shapes(folder: Path) -> dict[str, list[int]]:
    """Names and shapes of the weights, from the heads of the files."""
    shapes = {}
    for file in _weights(folder):
        if not file.stat().st_size:
            raise ValueError(f"{file.name} is empty")
        with safe_open(file, framework="numpy") as opened:
            shapes |= {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118
    return shapes


def is_of_timm(folder: Path) -> bool:
    """Judged by the configuration; what may be wrong with that is left to who loads it."""
    try:
        config, _ = PreTrainedConfig.get_config_dict(folder)
    except Exception:
        return False
    return isinstance(config, dict) and config.get("model_type") == "timm_wrapper"


def _no_processor(error: Exception) -> str:
    if "torchvision" in str(error).lower():
        return (
            "has an image processor that needs torchvision, which is not installed here; use the "
            "environment that has it: make book WITH=timm"
        )
    said = first_line(error)
    if said.startswith("Unrecognized image processor"):
        said = "what it names as one is none that transformers knows"
    return (
        f"has no image processor ({said}); save it there too with save_pretrained(); "
        "a model of text cannot be used, nor one of audio or videos"
    )


def _fault_of_weights(
    config: PreTrainedConfig, shapes: dict[str, list[int]], processor: Any
) -> str | None:
    """What of the weights does not fit the model, and the remedy; None if all do."""
    model, report = _without_weights(config, shapes)
    known = model.state_dict()
    if report["mismatched_keys"]:
        name, given, expected = min(report["mismatched_keys"])
        return (
            f"{name} has shape {tuple(given)}, and the model's has {tuple(expected)}; save the "
            "model together with its configuration, with save_pretrained()"
        )
    alike = {_without_numbers(name) for name in known}
    prefix = f"{model.base_model_prefix}."
    more = [
        name
        for name in report["unexpected_keys"]
        if _without_numbers(name.removeprefix(prefix)) in alike or _without_numbers(name) in alike
    ]
    if more:
        return (
            f"the model has no place for {len(more)} of them, such as {min(more)}; save the model "
            "together with its configuration, with save_pretrained()"
        )
    missing = [name for name in report["missing_keys"] if known[name].is_floating_point()]
    if missing and set(known) - report["missing_keys"]:
        missing = _needed(_tower(model), missing, model, processor)
    if missing:
        lost = f"{len(missing)} of the model's {len(known)} are not there, such as {min(missing)}"
        if any(".lora_" in name or name.startswith("base_model.") for name in shapes):
            return f"{lost}, but those of an adapter; {_MERGE}"
        if 2 * len(missing) < len(known) or not report["unexpected_keys"]:
            return f"{lost}; save the whole model with save_pretrained()"
        own = {name.removeprefix(prefix) for name in known}
        part = _wrapping(shapes, own).removesuffix(model.base_model_prefix).removesuffix(".")
        call = f"model.{part}.save_pretrained(...)" if part else "save_pretrained()"
        return f"{lost}, but names such as {min(shapes)}; save the model itself, with {call}"
    return None


def _without_weights(
    config: PreTrainedConfig, shapes: dict[str, list[int]]
) -> tuple[nn.Module, dict[str, Any]]:
    """The model on the meta device, and what transformers reports of loading such weights."""
    nothing = torch.zeros(())  # repeated, takes no memory
    with quiet(), torch.random.fork_rng(devices=[]):
        model_class = _get_model_class(config, AutoModel._model_mapping)
        model, report = model_class.from_pretrained(
            None,
            config=config,
            state_dict={name: nothing.expand(shape) for name, shape in shapes.items()},
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    return model.to("meta"), report


def _without_numbers(name: str) -> str:
    return re.sub(r"\d+", "0", name)


def _needed(tower: nn.Module, missing: list[str], model: nn.Module, processor: Any) -> list[str]:
    """Those of the missing weights on which a hidden state depends."""
    try:
        image = np.zeros((256, 256, 3), dtype=np.uint8)
        pixels = processor([image], return_tensors="pt")["pixel_values"]
    except Exception:  # what cannot be asked for hidden states is refused before any is measured
        return []
    for device in ("meta", "cpu"):  # some operations need values, which takes the model's memory
        model.to_empty(device=device)
        asked = _parameters_beside(model, missing)
        _let_repeated_blocks_pass(tower)
        try:
            states = tower(
                pixel_values=pixels.float().to(device), output_hidden_states=True
            ).hidden_states
            total = torch.stack([state.sum() for state in states]).sum()
        except Exception:
            continue
        return _with_gradient(total, asked)
    return []


def _parameters_beside(model: nn.Module, names: list[str]) -> dict[str, list[Tensor]]:
    """Parameters of these names; of a buffer, which has no gradient, those beside it."""
    parameters = dict(model.requires_grad_(False).named_parameters())
    asked = {}
    for name in names:
        module = model.get_submodule(name.rpartition(".")[0])
        beside = [parameters[name]] if name in parameters else module.parameters(recurse=False)
        asked[name] = [parameter.requires_grad_() for parameter in beside]
    return asked


def _let_repeated_blocks_pass(tower: nn.Module) -> None:
    """Run one block of each kind that lacks no weight, since a large model's take half a second."""
    run = set()

    def shortened(block: nn.Module) -> Callable[..., Any]:
        forward = block.forward

        def of_one(*args: Any, **options: Any) -> Any:
            kind = type(block), *(getattr(each, "shape", None) for each in args)
            if kind in run:
                return args[0]
            outputs = forward(*args, **options)
            if isinstance(outputs, Tensor) and args and outputs.shape == args[0].shape:
                run.add(kind)
            return outputs

        return of_one

    for blocks in (each for each in tower.modules() if isinstance(each, nn.ModuleList)):
        for block in blocks:
            if not any(parameter.requires_grad for parameter in block.parameters()):
                block.forward = shortened(block)


def _with_gradient(total: Tensor, asked: dict[str, list[Tensor]]) -> list[str]:
    parameters = [parameter for beside in asked.values() for parameter in beside]
    gradients = iter(
        torch.autograd.grad(total, parameters, allow_unused=True)
        if total.requires_grad
        else [None] * len(parameters)
    )
    found = {name: [next(gradients) for _ in beside] for name, beside in asked.items()}
    # A buffer with no parameters beside it cannot be judged, and is taken to be needed.
    return [
        name
        for name, given in found.items()
        if not given or any(each is not None for each in given)
    ]


def _wrapping(names: Iterable[str], known: Iterable[str]) -> str:
    """What stands before the model's own names in most of these, such as ``module``."""
    before = Counter(
        name.removesuffix(f".{own}") for name in names for own in known if name.endswith(f".{own}")
    )
    return max(before, key=before.__getitem__, default="")


def _tower(model: nn.Module) -> nn.Module:
    """Of a model for images and text the tower for images, else the model."""
    parts = (getattr(model, name, None) for name in _TOWERS)
    return next((part for part in parts if isinstance(part, nn.Module)), model)
