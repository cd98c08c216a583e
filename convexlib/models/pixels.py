"""Images as a model takes them, all at once or as they are asked for."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

AT_ONCE = 256  # images
_KEPT = 2**29  # bytes of all pixels, up to which they are processed once


class Pixels:
    """Images as a model takes them: with a tensor of rows, a batch (n, 3, height, width).

    Images are processed when they are asked for; once for all where their pixels take 512 MB at
    most.

    Parameters
    ----------
    images : sequence of uint8 ndarray or PIL image
        Such as `convexlib.data.images.ImageFiles`.
    processor : image processor of transformers

    Examples
    --------
    >>> import numpy as np
    >>> from transformers import ViTImageProcessorPil
    >>> images = np.zeros((3, 8, 8, 3), dtype=np.uint8)
    >>> pixels = Pixels(images, ViTImageProcessorPil(do_resize=False))
    >>> pixels[torch.tensor([0, 2])].shape
    torch.Size([2, 3, 8, 8])
    """

    def __init__(self, images: Sequence[Any], processor: Any) -> None:
        self._images, self._processor, self._kept = images, processor, None
        rows = torch.arange(len(images))
        first = self[rows[:1]]
        if len(images) * first.nbytes <= _KEPT:
            kept = torch.empty(len(images), *first.shape[1:], dtype=first.dtype)
            for part in rows.split(AT_ONCE):
                kept[part] = self[part]
            self._kept = kept

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, rows: Tensor) -> Tensor:
        if self._kept is not None:
            return self._kept[rows]
        with ThreadPoolExecutor() as pool:
            images = list(pool.map(self._images.__getitem__, rows.tolist()))
        return self._processor(images, return_tensors="pt")["pixel_values"]
