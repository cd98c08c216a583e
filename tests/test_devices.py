"""A GPU is used where one works, and a broken one is said to be."""

from collections.abc import Iterator

import pytest
import torch

from convexlib import devices


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    devices._best.cache_clear()
    yield
    devices._best.cache_clear()


def test_without_a_gpu_it_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.best() == torch.device("cpu")
    assert devices.best("cpu") == torch.device("cpu")


def test_a_gpu_that_does_not_work_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a driver that is too old: PyTorch sees a GPU and cannot use it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA driver version is insufficient\nmore")

    monkeypatch.setattr(torch, "zeros", broken)
    with pytest.warns(devices.DeviceWarning, match=r"\(CUDA driver .*\); the CPU is"):
        assert devices.best() == torch.device("cpu")
    assert devices.best() == torch.device("cpu")  # in silence


@pytest.mark.parametrize("name", ["cuda:99", "abacus"])
def test_a_device_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"device is '{name}', and unusable"):
        devices.best(name)
