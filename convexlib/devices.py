"""Where to compute: on a GPU, if there is one that works."""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

import torch

# Where PyTorch may compute in less than 32 bits though it was given 32.
_SHORTENED = (
    torch.backends.cuda.matmul,
    torch.backends.cudnn.conv,
    torch.backends.mkldnn.matmul,
    torch.backends.mkldnn.conv,
)


class DeviceWarning(UserWarning):
    """A GPU is there and cannot be used."""


def best(device: str | None = None) -> torch.device:
    """The device of this name, such as "cpu" or "cuda:1"; by default a GPU where there is one.

    Raises
    ------
    ValueError
        If there is no such device.

    Warns
    -----
    DeviceWarning
        If a GPU is there that does not work, such as for want of a driver that fits; the CPU is
        used in its place.
    """
    if device is None:
        return _best()
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError, TypeError) as error:
        said = str(error).partition("\n")[0]
        raise ValueError(f"device is {device!r}, and unusable ({said}); give 'cpu'") from error
    return chosen


@cache
def _best() -> torch.device:
    with warnings.catch_warnings(record=True) as said:  # torch warns of an old driver and says no
        warnings.simplefilter("always")
        is_there = torch.cuda.is_available()
    reasons = [str(each.message) for each in said]
    if is_there:
        try:
            torch.zeros(1, device="cuda")
            return torch.device("cuda")
        except RuntimeError as error:
            reasons.append(str(error))
    if reasons:
        reason = reasons[0].partition("\n")[0]
        warnings.warn(f"the GPU cannot be used ({reason}); the CPU is", DeviceWarning, stacklevel=3)
    return torch.device("cpu")


@contextmanager
def in_32_bits() -> Iterator[None]:
    """Compute in all of the 32 bits of single precision, whatever else was allowed."""
    with ExitStack() as after:
        for backend in _SHORTENED:
            after.callback(setattr, backend, "fp32_precision", backend.fp32_precision)
            backend.fp32_precision = "ieee"
        yield


def mixed(device: torch.device, *, enabled: bool = True) -> torch.autocast:
    """Compute in 16 bits where PyTorch's autocast has it so: bfloat16, where the device has it."""
    old_gpu = device.type == "cuda" and not torch.cuda.is_bf16_supported()
    half = torch.float16 if old_gpu else torch.bfloat16
    return torch.autocast(device.type, half, enabled=enabled)
