"""What a model is trained for: a class an objective, a model and its loss in one torch module.

What an objective learns from are examples: images by their row, and a target. The examples of
most are single images; those of `ContrastivePairs` and `Distillation` are pairs and triplets, by
the numbers of their images, each of which goes through the model once a batch.
"""

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Generator, Tensor, nn
from torch.nn.functional import (
    cross_entropy,
    layer_norm,
    normalize,
    smooth_l1_loss,
    unfold,
)
from torch.optim.swa_utils import get_ema_multi_avg_fn
from transformers import PreTrainedModel

from convexlib.models.pixels import AT_ONCE, Pixels
from convexlib.models.pooling import places, pool

_N_TOKENIZED = 10_000  # patches that k-means sees
# Baevski et al. use 0.9998 over hundreds of thousands of steps. The teacher's memory, here
# 100 steps, is kept well below the few hundred steps of our training.
_TEACHER_DECAY = 0.99
_SMOOTH_L1_BETA = 2.0
_TEMPERATURE = 0.1  # of cosine similarities; Chen et al. (2020), table 5


class Objective(nn.Module):
    """A model and what it is trained for.

    Trained are the parameters that require a gradient. Called with the pixels of some examples,
    their targets and a random generator, it returns what the model says and what is true, of
    which `loss` and `score` make a number. Where an example has several images, pixels are of
    distinct images, and `places`, (n, images an example), says which of them an example has.

    Parameters
    ----------
    model : PreTrainedModel

    Attributes
    ----------
    name, score_name : str
        What is learned, and what `score` is called.
    """

    name: str
    score_name = "accuracy"

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def examples(self, pixels: Pixels, labels: pd.DataFrame) -> tuple[Tensor, Tensor]:
        """Rows of the images of each example, (n,) or (n, images an example), and targets."""
        return torch.arange(len(pixels)), torch.zeros(len(pixels))

    def loss(self, said: Tensor, true: Tensor) -> Tensor:
        """What training makes small."""
        return cross_entropy(said, true)

    def score(self, said: Tensor, true: Tensor) -> float:
        """How well the model does; at most 1."""
        true = true if true.ndim == 1 else true.argmax(dim=1)
        return (said.argmax(dim=1) == true).double().mean().item()

    def after_step(self, rate: float) -> None:
        """Move what the optimizer does not, after a step at this learning rate."""


class NamedClasses(Objective):
    """Name the class of an image, by a linear head.

    Parameters
    ----------
    model : PreTrainedModel
        One for image classification, whose configuration has the names: see `naming`.
    columns : sequence of str
        Those of the labels that make the class; images that lack one take no part.
    """

    def __init__(self, model: PreTrainedModel, columns: Sequence[str]) -> None:
        super().__init__(model)
        self.columns = columns
        self.name = " and ".join(columns).replace("_", " ")

    def examples(self, pixels: Pixels, labels: pd.DataFrame) -> tuple[Tensor, Tensor]:
        (rows,) = np.nonzero(labels[[*self.columns]].notna().all(axis=1))
        names = _joined(labels.iloc[rows], self.columns)
        codes = pd.Index(self.model.config.id2label.values()).get_indexer(names)
        if codes.min() < 0:
            raise ValueError(
                f"no image to train on is of class {names[codes.argmin()]!r}, which another split "
                "has; give each split images of the same classes"
            )
        return torch.from_numpy(rows), torch.from_numpy(codes)

    def forward(self, pixels: Tensor, codes: Tensor, _: Generator) -> tuple[Tensor, Tensor]:
        return self.model(pixels).logits, codes


class _Masked(Objective):
    """Some patches of an image are masked, and the model is to tell what they hide."""

    def __init__(self, model: PreTrainedModel, masked: float) -> None:
        super().__init__(model)
        self.masked = masked
        self.n_patches = (model.config.image_size // model.config.patch_size) ** 2

    def mask(self, pixels: Tensor, generator: Generator) -> Tensor:
        """Boolean (n, n_patches) with the same number of masked patches in every image."""
        order = torch.rand(len(pixels), self.n_patches, generator=generator).argsort(dim=1)
        return (order < round(self.masked * self.n_patches)).to(pixels.device)


class MaskedTokens(_Masked):
    """Predict the visual tokens of masked patches (Bao et al. 2022).

    Tokens are clusters of patches by k-means, in place of a discrete variational autoencoder.

    Parameters
    ----------
    model : PreTrainedModel
        One for masked image modelling; its vocabulary says how many tokens there are.
    pixels : Pixels
        In whose patches clusters are found.
    masked : float
        Share of patches.
    seed : int
    """

    name = "visual tokens of masked patches"

    def __init__(self, model: PreTrainedModel, pixels: Pixels, masked: float, seed: int) -> None:
        super().__init__(model, masked)
        order = np.random.default_rng(seed).permutation(len(pixels) * self.n_patches)
        some = [
            self._patches(pixels[part // self.n_patches])[range(len(part)), part % self.n_patches]
            for part in torch.from_numpy(order[:_N_TOKENIZED]).split(AT_ONCE)
        ]
        self.tokenizer = KMeans(model.config.vocab_size, n_init=1, max_iter=50, random_state=seed)
        with threadpool_limits(1):
            self.tokenizer.fit(torch.cat(some).numpy())

    def examples(self, pixels: Pixels, labels: pd.DataFrame) -> tuple[Tensor, Tensor]:
        rows = torch.arange(len(pixels))
        patches = (self._patches(pixels[part]).flatten(0, 1) for part in rows.split(AT_ONCE))
        tokens = np.concatenate([self.tokenizer.predict(some.numpy()) for some in patches])
        return rows, torch.from_numpy(tokens).long().view(-1, self.n_patches)

    def forward(self, pixels: Tensor, true: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        masked = self.mask(pixels, generator)
        return self.model(pixels, bool_masked_pos=masked).logits[masked], true[masked]

    def _patches(self, pixels: Tensor) -> Tensor:
        """Cut (n, 3, h, w) into (n, n_patches, 3 * size * size), row by row."""
        size = self.model.config.patch_size
        return unfold(pixels, size, stride=size).transpose(1, 2).contiguous()


class MaskedLatents(_Masked):
    """Regress what a slowly moving teacher makes of masked patches (Baevski et al. 2022).

    Parameters
    ----------
    model : PreTrainedModel
        One that takes `bool_masked_pos`; the teacher begins as its copy.
    masked : float
        Share of patches.
    """

    name = "latent targets of masked patches"
    score_name = "explained variance"

    def __init__(self, model: PreTrainedModel, masked: float) -> None:
        super().__init__(model, masked)
        self.head = nn.Linear(model.config.hidden_size, model.config.hidden_size)
        self.teacher = deepcopy(model).requires_grad_(False)
        self.n_averaged = max(1, model.config.num_hidden_layers // 2)

    def forward(self, pixels: Tensor, _: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        masked = self.mask(pixels, generator)
        with torch.no_grad():
            states = self.teacher.eval()(pixels, output_hidden_states=True).hidden_states
            states = [layer_norm(s, s.shape[-1:]) for s in states[-self.n_averaged :]]
            latent = torch.stack(states).mean(dim=0)
        said = self.head(self.model(pixels, bool_masked_pos=masked).last_hidden_state)
        return said[:, 1:][masked], latent[:, 1:][masked]

    def loss(self, said: Tensor, true: Tensor) -> Tensor:
        return smooth_l1_loss(said, true, beta=_SMOOTH_L1_BETA)

    def score(self, said: Tensor, true: Tensor) -> float:
        residual = (true - said).square().sum()
        return (1 - residual / (true - true.mean(dim=0)).square().sum()).item()

    @torch.no_grad()
    def after_step(self, rate: float) -> None:
        student, teacher = self.model.parameters(), self.teacher.parameters()
        for fast, slow in zip(student, teacher, strict=True):
            slow.lerp_(fast, 1 - _TEACHER_DECAY)


class ContrastivePairs(Objective):
    """Tell the partner of an image from all others of the batch: InfoNCE (van den Oord 2018).

    Images are compared by the mean of their tokens in the last layer; `score` is how often the
    partner is the nearest.

    Parameters
    ----------
    model : PreTrainedModel
        Without a head.
    columns : sequence of two str
        Those of the labels that number the images of a pair.
    """

    name = "pairs of images"

    def __init__(self, model: PreTrainedModel, columns: Sequence[str]) -> None:
        super().__init__(model)
        self.columns = list(columns)

    def examples(self, pixels: Pixels, labels: pd.DataFrame) -> tuple[Tensor, Tensor]:
        rows = torch.tensor(labels[self.columns].to_numpy(int))
        return rows, torch.zeros(len(rows))

    def forward(
        self, pixels: Tensor, true: Tensor, _: Generator, places: Tensor
    ) -> tuple[Tensor, Tensor]:
        tokens = self.model(pixels).last_hidden_state
        return normalize(tokens.mean(dim=1), dim=-1)[places], true

    def loss(self, said: Tensor, true: Tensor) -> Tensor:
        similarity, partner = self._compared(said)
        return (cross_entropy(similarity, partner) + cross_entropy(similarity.T, partner)) / 2

    def score(self, said: Tensor, true: Tensor) -> float:
        return super().score(*self._compared(said))

    def _compared(self, said: Tensor) -> tuple[Tensor, Tensor]:
        similarity = said[:, 0] @ said[:, 1].T / _TEMPERATURE
        return similarity, torch.arange(len(said), device=said.device)


class Distillation(Objective):
    """Choose of three images as a teacher does (Muttenthaler et al. 2025).

    Images are compared by what is measured of the model: its last layer, pooled. After each step,
    all weights decay towards those that the student started from. `score` is how often the student
    keeps the pair that the teacher keeps.

    Parameters
    ----------
    model : PreTrainedModel
        Any whose hidden states can be pooled.
    pixels : Pixels
        Those to train on.
    pooling : {"mean", "cls", "tokens"}
    divergence, similarity, temperature, anchor
        As in `settings.Distillation`.

    Raises
    ------
    ValueError
        If the model gives no hidden states that can be pooled so.
    """

    name = "triplets of a teacher"
    score_name = "agreement with the teacher"

    def __init__(
        self,
        model: PreTrainedModel,
        pixels: Pixels,
        *,
        pooling: str,
        divergence: str,
        similarity: str,
        temperature: float,
        anchor: float,
    ) -> None:
        super().__init__(model)
        self.divergence, self.similarity = divergence, similarity
        self.temperature, self.anchor, self.pooling = temperature, anchor, pooling
        self.start = deepcopy(model).requires_grad_(False)
        image = pixels[torch.arange(1)]
        noise = torch.randn(image.shape, generator=Generator().manual_seed(0))
        patch_size = getattr(model.config, "patch_size", None)
        two = torch.cat([image, noise])
        with torch.no_grad():
            states = model.eval()(pixel_values=two, output_hidden_states=True).hidden_states
        self.where = places(states, two, patch_size, class_token=pooling == "cls")

    def forward(
        self, pixels: Tensor, likely: Tensor, _: Generator, places: Tensor
    ) -> tuple[Tensor, Tensor]:
        states = self.model(pixel_values=pixels, output_hidden_states=True).hidden_states
        images = pool(states[-1], self.where[-1], self.pooling)
        if self.similarity == "cosine":
            images = normalize(images, dim=-1)
        images = images[places]
        similarity = (images[:, [0, 0, 1]] * images[:, [1, 2, 2]]).sum(dim=-1)
        return similarity / self.temperature, likely

    def loss(self, said: Tensor, true: Tensor) -> Tensor:
        said = said.log_softmax(dim=1)
        told = true.log()
        if self.divergence == "kullback-leibler":
            return _kullback_leibler(told, said)
        middle = torch.logaddexp(said, told) - math.log(2)
        return (_kullback_leibler(told, middle) + _kullback_leibler(said, middle)) / 2

    def score(self, said: Tensor, true: Tensor) -> float:
        best = said == said.amax(dim=1, keepdim=True)  # of equal ones, each for its share
        kept = best.gather(1, true.argmax(dim=1, keepdim=True))[:, 0]
        return (kept / best.sum(dim=1)).double().mean().item()

    @torch.no_grad()
    def after_step(self, rate: float) -> None:
        back = get_ema_multi_avg_fn(math.exp(-rate * self.anchor))
        back([*self.model.parameters()], [*self.start.parameters()], None)


def _kullback_leibler(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Of distributions in rows, the mean over rows, in nats; what is impossible adds nothing."""
    possible = log_p > -torch.inf
    apart = torch.where(possible, log_p, 0) - torch.where(possible, log_q, 0)
    return (log_p.exp() * apart).sum(dim=1).mean()


def naming(labels: pd.DataFrame, columns: Sequence[str]) -> dict[str, Any]:
    """What the configuration of a model says of the classes that it names.

    Parameters
    ----------
    labels : DataFrame
        One row an image.
    columns : sequence of str
        Their combinations are the classes, in sorted order; a Categorical has its own.

    Returns
    -------
    dict
        Options of a configuration of transformers. A name is the values, joined by a blank.

    Raises
    ------
    ValueError
        If no column is given, or one that there is not.

    Examples
    --------
    >>> labels = pd.DataFrame({"hue": [600, 434, 600], "shape": ["star", "disc", "disc"]})
    >>> naming(labels, ["hue", "shape"])["id2label"]
    {0: '434 disc', 1: '600 disc', 2: '600 star'}
    """
    if not columns or set(columns) - set(labels):
        raise ValueError(
            f"columns of the labels to name are {list(columns)}; choose of: {', '.join(labels)}"
        )
    distinct = labels[list(columns)].dropna().drop_duplicates().sort_values(list(columns))
    names = dict(enumerate(_joined(distinct, columns)))
    return {"id2label": names, "label2id": {name: code for code, name in names.items()}}


def _joined(labels: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    return [" ".join(map(str, row)) for row in labels[list(columns)].itertuples(index=False)]
