"""Fits of alignment transforms, many at once, on tensors of a CPU or a GPU.

What is minimised stands in `transforms.AlignmentTransform`. Problems of several sizes lie in one
tensor, filled up with zeros, on which nothing depends.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from convexlib.alignment import PAIRS
from convexlib.devices import in_32_bits
from convexlib.lbfgs import minimize

_NUMBERS_AT_ONCE = 2**28  # in memory, of some fits: 1 or 2 GB
_MOST_FILLED = 2  # how many times larger the largest of those solved at once may be
_VECTORS = 24  # of parameters, that L-BFGS keeps
_WORTH_THREADS_FOR = 10**6  # multiplications; threads take longer to wake than small products take


class Problem(NamedTuple):
    """What a transform is fitted to, in coordinates of the space that its samples span.

    Attributes
    ----------
    rows : ndarray of shape (n_objects, rank)
        Standardised features of the judged objects.
    triplets : ndarray of int, shape (n_triplets, 3)
    targets : ndarray of shape (n_triplets, 3), optional
        How likely each pair is kept together; by default the first is.
    width : int
        Columns of W and b.
    start : float
        The multiple of the identity that the fit starts from.
    lmbda : float
    local : ndarray of shape (n_samples, rank), optional
        The second set of features of "glocal".
    """

    rows: np.ndarray
    triplets: np.ndarray
    targets: np.ndarray | None
    width: int
    start: float
    lmbda: float
    local: np.ndarray | None = None


class Options(NamedTuple):
    """What fits have in common, as in `transforms.AlignmentTransform`."""

    kind: str
    fit_intercept: bool
    temperature: float
    alpha: float
    local_temperature: float
    tol: float
    max_iter: int


class Solution(NamedTuple):
    """W, (rank, width), and b, (width,), in the coordinates of a problem, and how it ended."""

    W: np.ndarray
    b: np.ndarray
    value: float
    n_iter: int
    n_evaluations: int


def solve(problems: Sequence[Problem], options: Options, device: torch.device) -> list[Solution]:
    """Solve problems, as many of about one size at once as the memory holds."""
    sizes = np.array([_size(problem) for problem in problems])
    left, at_once = np.argsort(-sizes, kind="stable"), _NUMBERS_AT_ONCE // sizes.max()
    found: dict[int, Solution] = {}
    with _threads_for(problems), in_32_bits():
        while len(left):
            # What is small takes as long as the largest that it is filled up to.
            alike = int((sizes[left] > sizes[left[0]] / _MOST_FILLED).sum())
            some = left[: max(1, min(at_once, alike))]
            try:
                solved = _solve([problems[n] for n in some], options, device)
            except torch.OutOfMemoryError:
                if len(some) == 1:
                    raise
                torch.cuda.empty_cache()
                at_once = (len(some) + 1) // 2
                continue
            found |= zip(some.tolist(), solved, strict=True)
            left = left[len(some) :]
    return [found[n] for n in range(len(problems))]


@contextmanager
def _threads_for(problems: Sequence[Problem]) -> Iterator[None]:
    before = torch.get_num_threads()
    is_small = all(p.rows.size * p.width < _WORTH_THREADS_FOR for p in problems)
    torch.set_num_threads(1 if is_small else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _size(problem: Problem) -> int:
    """Numbers in memory, about."""
    n_objects, rank = problem.rows.shape
    return _VECTORS * rank * problem.width + 8 * problem.triplets.size + 4 * n_objects**2


def _solve(problems: Sequence[Problem], options: Options, device: torch.device) -> list[Solution]:
    objective = Objective(problems, options, device)
    ends = minimize(objective, objective.start, tol=options.tol, max_iter=options.max_iter)
    W, b, *ended = (
        part.cpu().double().numpy() if part.is_floating_point() else part.cpu().numpy()
        for part in (*objective.unpacked(ends.x), *ends[1:4])
    )
    return [
        Solution(
            W[n, : problem.rows.shape[1], : problem.width],
            b[n, 0, : problem.width],
            *(of_all[n].item() for of_all in ended),
        )
        for n, problem in enumerate(problems)
    ]


class _Data(NamedTuple):
    """Of each problem what its objective needs; the first axis is that of the problems."""

    rows: Tensor  # (n, n_objects, rank)
    pairs: Tensor  # (n, 3, n_triplets), numbers of similarities in their matrix
    shares: Tensor  # (n, 1, n_triplets), of a triplet in the mean, zero where there is none
    targets: Tensor  # (n, 3, n_triplets)
    order: Tensor  # (n, 3 n_triplets), of the pairs by their numbers; empty on a CPU
    sizes: Tensor  # (n, n_objects^2), how many pairs have a number
    diagonal: Tensor  # (n, rank), one over the rank, and zero where there is no feature
    lmbda: Tensor  # (n,)
    local: Tensor  # (n, n_samples, rank)
    near: Tensor  # (n, n_samples, n_samples), how likely each is near


class Objective:
    """Values and gradients of the objectives of some problems, as `lbfgs.minimize` wants them."""

    def __init__(self, problems: Sequence[Problem], options: Options, device: torch.device) -> None:
        self.options = options
        rows = _filled([problem.rows for problem in problems])
        n_problems, n_objects, self.rank = rows.shape
        self.width = max(problem.width for problem in problems)
        of_triplets = [_in_order(problem, n_objects, device) for problem in problems]
        pairs, shares, targets = (_stacked(each) for each in zip(*of_triplets, strict=True))
        ranks = [problem.rows.shape[1] for problem in problems]
        diagonal = _filled([np.full(rank, 1 / rank) for rank in ranks]).to(rows.dtype)
        lmbda = torch.tensor([problem.lmbda for problem in problems], dtype=rows.dtype)
        local = near = torch.zeros(n_problems, 0)
        if options.kind == "glocal":
            local = _filled([problem.local for problem in problems])
            near = _log_near(local, options.local_temperature)[0].exp()
        order = sizes = pairs.new_zeros(n_problems, 0)
        if device.type == "cuda":
            order, sizes = _groups(torch.where(shares > 0, pairs, -1).flatten(1), n_objects**2)
        parts = rows, pairs, shares, targets, order, sizes, diagonal, lmbda, local, near
        self.data = _Data(*(part.to(device) for part in parts))
        start = torch.zeros(n_problems, self.rank + options.fit_intercept, self.width)
        for matrix, rank, problem in zip(start, ranks, problems, strict=True):
            matrix[:rank].fill_diagonal_(problem.start)
        self.start = start.to(device, rows.dtype).flatten(1)

    def unpacked(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """W, (n, rank, width), and b, (n, 1, width)."""
        W_and_b = x.view(len(x), -1, self.width)
        return W_and_b[:, : self.rank], W_and_b[:, self.rank :].sum(dim=1, keepdim=True)

    def __call__(self, x: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        """Value, float64 (n,), and gradient, (n, n_parameters), of some of the problems."""
        of_all = len(which) == len(self.start)
        data = self.data if of_all else _Data(*(part[which] for part in self.data))
        W, b = self.unpacked(x)
        value, dW = _penalty(W, data, self.options.kind)
        alpha = self.options.alpha if self.options.kind == "glocal" else 0.0
        losses = [(1 - alpha, data.rows, _choices, self.options.temperature)]
        if alpha:
            losses.append((alpha, data.local, _neighborhoods, self.options.local_temperature))
        db = torch.zeros_like(b)
        for share, rows, loss, temperature in losses:
            of_rows, dZ = loss(rows @ W + b, data, temperature)
            value = value + share * of_rows
            dW = dW + share * (rows.mT @ dZ)
            db = db + share * dZ.sum(dim=1, keepdim=True)
        return value, torch.cat([dW, db], dim=1).flatten(1)[:, : x.shape[1]]


def _filled(arrays: Sequence[np.ndarray]) -> Tensor:
    """Arrays of several sizes as one tensor, with zeros behind and below."""
    return _stacked([torch.from_numpy(array) for array in arrays])


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    shape = [max(sizes) for sizes in zip(*(each.shape for each in tensors), strict=True)]
    stacked = tensors[0].new_zeros(len(tensors), *shape)
    for place, each in zip(stacked, tensors, strict=True):
        place[tuple(map(slice, each.shape))] = each
    return stacked


def _in_order(
    problem: Problem, n_objects: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of the triplets as numbers in a matrix of the objects, shares and targets."""
    objects = torch.from_numpy(problem.triplets.copy()).to(device).T
    precision = torch.from_numpy(problem.rows).dtype
    # In this order, neighbouring triplets read and write neighbouring similarities.
    if problem.targets is None:  # choices of the very same three are counted
        kept = 2 - (objects[2] > objects[:2]).sum(dim=0)  # of the pairs, once in this order
        objects = objects.sort(dim=0).values
        numbers, of_three = ((objects[0] * n_objects + objects[1]) * n_objects + objects[2]).unique(
            return_inverse=True
        )
        objects = numbers // n_objects**2, numbers // n_objects % n_objects, numbers % n_objects
        counts = torch.bincount(kept * len(numbers) + of_three, minlength=3 * len(numbers))
        counts = counts.view(3, -1).to(precision)
        counts, targets = counts.sum(dim=0), counts / counts.sum(dim=0)
    else:
        order = (objects[0] * n_objects + objects[1]).argsort(stable=True)
        objects, counts = objects[:, order], torch.ones_like(order)
        targets = torch.from_numpy(problem.targets.copy()).to(device, precision)[order].T
    pairs = torch.stack([objects[i] * n_objects + objects[j] for i, j in PAIRS])
    return pairs, (counts.to(precision) / counts.sum())[None], targets


def _penalty(W: Tensor, data: _Data, kind: str) -> tuple[Tensor, Tensor]:
    """The penalty on the weights and its gradient."""
    lmbda = data.lmbda[:, None, None]
    if kind == "naive":
        norm = torch.linalg.vector_norm(W, dim=(1, 2), keepdim=True)
        return (lmbda * norm)[:, 0, 0].double(), lmbda * W / torch.where(norm > 0, norm, 1)
    away = W.clone()
    diagonal = torch.diagonal(away, dim1=1, dim2=2)
    mean = (diagonal * data.diagonal).sum(dim=1, keepdim=True)
    diagonal -= mean * (data.diagonal > 0)
    return (lmbda * away**2).sum(dim=(1, 2), dtype=torch.float64), 2 * lmbda * away


def _choices(Z: Tensor, data: _Data, temperature: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the choices, and its gradient."""
    pairs = data.pairs.flatten(1)
    S = (Z @ Z.mT / temperature).flatten(1)
    log_likely = S.gather(1, pairs).view(data.pairs.shape).log_softmax(dim=1)
    value = -(data.shares * data.targets * log_likely).sum(dim=(1, 2), dtype=torch.float64)
    pulls = (data.shares * (log_likely.exp_() - data.targets)).flatten(1)
    if data.order.numel():
        G = _sums_of_groups(pulls, data.order, data.sizes)
    else:
        G = torch.zeros_like(S).scatter_add_(1, pairs, pulls)
    G = G.view(len(Z), Z.shape[1], Z.shape[1])
    return value, (G + G.mT) @ Z / temperature


def _groups(places: Tensor, n_places: int) -> tuple[Tensor, Tensor]:
    """An order in which values of one place are together, and how many each place has.

    Those of place -1, which there is not, come last.
    """
    places = torch.where(places < 0, n_places, places)
    sizes = torch.stack([torch.bincount(each, minlength=n_places + 1) for each in places])
    return places.argsort(dim=1, stable=True), sizes[:, :-1].contiguous()


def _sums_of_groups(values: Tensor, order: Tensor, sizes: Tensor) -> Tensor:
    """Sums at each place, in the same order every time, as a GPU does not scatter them."""
    together = values.gather(1, order)
    return torch.segment_reduce(together, "sum", lengths=sizes, axis=1, unsafe=True)


def _log_near(X: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """How likely each row is near each other one, by cosine; directions and lengths of the rows."""
    lengths = torch.linalg.vector_norm(X, dim=2, keepdim=True)
    directions = X / lengths.clamp(min=torch.finfo(X.dtype).tiny)
    similarities = directions @ directions.mT / temperature
    torch.diagonal(similarities, dim1=1, dim2=2)[:] = -torch.inf
    return similarities.log_softmax(dim=2), directions, lengths


def _neighborhoods(Z: Tensor, data: _Data, temperature: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy between who is near whom in the second set and in Z, and its gradient."""
    log_near, directions, lengths = _log_near(Z, temperature)
    n = Z.shape[1]
    G = (log_near.exp() - data.near) / (temperature * n)
    torch.diagonal(log_near, dim1=1, dim2=2)[:] = 0
    d_directions = (G + G.mT) @ directions
    along = (d_directions * directions).sum(dim=2, keepdim=True)
    value = -(data.near * log_near).sum(dim=(1, 2), dtype=torch.float64) / n
    return value, (d_directions - along * directions) / lengths
