"""Images that are shifted away from those that models are trained on.

How strong a shift is was fixed before any model was tried on it: so that a person still tells what
the image shows, and beyond the jitter of the images that models are trained on.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter


def blurred(images: np.ndarray, width: float = 1.2) -> np.ndarray:
    """Images (n, height, width, 3) of uint8, blurred by a Gaussian of so many pixels.

    Examples
    --------
    >>> image = np.zeros((1, 3, 3, 3), np.uint8)
    >>> image[:, 1, 1] = 255
    >>> int(blurred(image)[0, 1, 1, 0]) < 100
    True
    """
    return _as_images(gaussian_filter(images.astype(float), (0, width, width, 0)))


def noisy(images: np.ndarray, deviation: float = 0.15) -> np.ndarray:
    """With noise of this standard deviation, of values in [0, 1], on every pixel and channel."""
    noise = np.random.default_rng(0).normal(scale=255 * deviation, size=images.shape)
    return _as_images(images + noise)


def flat(images: np.ndarray, contrast: float = 0.3) -> np.ndarray:
    """With so small a share of the contrast to the mean of each image."""
    mean = images.mean(axis=(1, 2), keepdims=True)
    return _as_images(mean + contrast * (images - mean))


def dark(images: np.ndarray, share: float = 0.4) -> np.ndarray:
    """With so small a share of the light."""
    return _as_images(share * images)


def tinted(images: np.ndarray) -> np.ndarray:
    """In a warmer light: more red, less blue."""
    return _as_images(images * np.array([1.15, 1.0, 0.65]))


def greyish(images: np.ndarray, saturation: float = 0.35) -> np.ndarray:
    """With so small a share of the difference from grey in each pixel."""
    grey = images.mean(axis=3, keepdims=True)
    return _as_images(grey + saturation * (images - grey))


SHIFTS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "blurred": blurred,
    "noisy": noisy,
    "flat": flat,
}
OF_COLOR: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "dark": dark,
    "tinted": tinted,
    "greyish": greyish,
}


def joined(
    sets: Mapping[str, tuple[np.ndarray, pd.DataFrame]], column: str
) -> tuple[np.ndarray, pd.DataFrame]:
    """Images of all shifts by name, with labels shift and class, which is that column."""
    labels = [
        pd.DataFrame({"shift": name, "class": of_set[column].astype(str)})
        for name, (_, of_set) in sets.items()
    ]
    images = np.concatenate([images for images, _ in sets.values()])
    return images, pd.concat(labels, ignore_index=True)


def _as_images(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
