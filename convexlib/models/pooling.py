"""Where the hidden states of a vision model have the places of an image, told by their shapes."""

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from torch import Tensor

Places = slice | tuple[int, int]
"""Some tokens of axis 1, or the two axes of a feature map."""

_Size = tuple[int, int]

_MOST_SPECIAL = 16  # tokens that are no places


def places(
    states: Any, pixels: Tensor, patch_size: Any, *, class_token: bool
) -> list[Places | None]:
    """Where each hidden state of two images has its places; None for the pixels themselves.

    Parameters
    ----------
    states : sequence of torch.Tensor or None
        Tokens (2, n_tokens, n_features) or feature maps, with the features first or last.
    pixels : torch.Tensor
        Of two images that differ, (2, n_channels, height, width).
    patch_size : int, (int, int) or None
        As the configuration of the model has it.
    class_token : bool
        Whether there must be one in front of the places.

    Raises
    ------
    ValueError
        In one line without a subject, if the states are none of these.
    """
    if not states:
        raise ValueError("gives no hidden states; give its encoder alone")
    shapes = [tuple(getattr(state, "shape", ())) for state in states]
    if any(len(shape) not in (3, 4) or shape[0] != len(pixels) for shape in shapes):
        raise ValueError(
            f"gives hidden states of shapes {shapes}; only tokens (n, n_tokens, n_features) and "
            "feature maps (n, n_features, height, width) can be pooled"
        )
    size = (pixels.shape[-2], pixels.shape[-1])
    kept = [each for each in states if each.shape != pixels.shape or not torch.equal(each, pixels)]
    if len({state.ndim for state in kept}) != 1:
        raise ValueError("gives feature maps and tokens by turns; give its encoder alone")
    if kept[0].ndim == 4:
        found = [_axes(kept, size)] * len(kept)
    else:
        found = _tokens(kept, size, patch_size)
    if class_token and not all(isinstance(each, slice) and each.start for each in found):
        raise ValueError("has no class token; use pooling 'mean'")
    return [None] * (len(states) - len(kept)) + found


def pool(state: Tensor, where: Places, pooling: str) -> Tensor:
    """Of a hidden state the mean over places, all places side by side, or the class token.

    (n, n_features); side by side, as many more as there are places.
    """
    if pooling == "cls":
        return state[:, 0]
    if pooling == "tokens":
        return (state[:, where] if isinstance(where, slice) else state).flatten(1)
    state = state.float()  # a mean of 16 bits is a coarse one
    return state[:, where].mean(dim=1) if isinstance(where, slice) else state.mean(dim=where)


def _axes(maps: Sequence[Tensor], size: _Size) -> tuple[int, int]:
    """The two axes of feature maps that may be a grid of the pixels."""
    possible = [
        axes
        for axes in ((2, 3), (1, 2))
        if all(_is_grid((each.shape[axes[0]], each.shape[axes[1]]), size) for each in maps)
    ]
    if len(possible) != 1:
        raise ValueError(
            f"gives feature maps of shapes {[tuple(each.shape) for each in maps]} for pixels of "
            f"{size[0]} x {size[1]}, where places cannot be told from features; let its image "
            "processor give pixels of another size"
        )
    return possible[0]


def _is_grid(grid: _Size, size: _Size) -> bool:
    """Whether one stride, rounded either way, makes the grid of the pixels."""
    lowest = max(pixels / (n + 1) for n, pixels in zip(grid, size, strict=True))
    highest = min(pixels / max(n - 1, 1e-9) for n, pixels in zip(grid, size, strict=True))
    return max(1, lowest) < highest


def _tokens(sequences: Sequence[Tensor], size: _Size, patch_size: Any) -> list[slice]:
    """Which tokens are places of the image; class tokens and their like stand before or behind.

    Where the first hidden state is no embedding, such tokens know of the image, and are what is
    left beside a grid. Later stages may merge places by twos.
    """
    front, back = _n_fixed(sequences[0])
    n_tokens = sequences[0].shape[1]
    patch = [tuple(np.broadcast_to(patch_size, 2).tolist())] if patch_size else []
    edges = range(1, min(size) + 1)
    even = [(n, n) for n in edges if n.bit_count() == 1 or not any(np.mod(size, n))]
    attempts = [(patch, 0 if front else _MOST_SPECIAL), (even, 0 if front else 1)]
    n_more, stride = _beside_grid(n_tokens - front - back, size, attempts)
    found = {n_tokens: slice(front + n_more, -back if back else None)}
    merged = [(stride[0] * 2**n, stride[1] * 2**n) for n in range(min(size).bit_length())]
    for n in {each.shape[1] for each in sequences} - {n_tokens}:
        found[n] = slice(_beside_grid(n, size, [(merged, 1)])[0], None)
    return [found[each.shape[1]] for each in sequences]


def _n_fixed(tokens: Tensor) -> tuple[int, int]:
    """How many tokens, in front and behind, are the same for both images: they are no places."""
    fixed = (tokens[0] == tokens[1]).all(dim=-1).tolist()
    front, back = (len(list(takewhile(bool, each))) for each in (fixed, reversed(fixed)))
    if front + back != sum(fixed):
        raise ValueError(
            "gives tokens at its first layer that are the same for any image, and not only in "
            "front of those that are places or behind"
        )
    return front, back


def _beside_grid(
    n_tokens: int, size: _Size, attempts: Iterable[tuple[list[_Size], int]]
) -> tuple[int, _Size]:
    """How few tokens are left beside a grid of places, and its stride in pixels.

    By the first attempt, which is strides and how many tokens may be left, that finds a grid. The
    edge of an image is cut off or filled up.
    """
    for strides, most in attempts:
        grids = [
            (n_tokens - int(np.prod(rounded(np.divide(size, stride)))), stride)
            for stride in strides
            for rounded in (np.floor, np.ceil)
        ]
        if possible := [each for each in grids if 0 <= each[0] <= min(most, n_tokens - 1)]:
            return min(possible)
    raise ValueError(
        f"gives {n_tokens} tokens for pixels of {size[0]} x {size[1]}, which make no grid of "
        "places; models of queries, groups or latents cannot be pooled"
    )
