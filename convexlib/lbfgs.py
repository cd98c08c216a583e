"""L-BFGS for many problems at once, on tensors of any device.

A problem takes the steps that it would take alone: each has its own length of step, memory and end.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Objective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Of parameters (n, n_parameters) of the problems with these numbers (n,): values, gradients."""

_MEMORY = 10  # steps
_MOST_TRIALS = 30  # of a length of step
_DECREASE, _CURVATURE = 1e-4, 0.9  # weak Wolfe conditions


class Minima(NamedTuple):
    """Where the problems ended.

    Attributes
    ----------
    x : Tensor, shape (n_problems, n_parameters)
    value : Tensor of float64, shape (n_problems,)
    n_iter, n_evaluations : Tensor of int, shape (n_problems,)
    converged : Tensor of bool, shape (n_problems,)
        False where the bound on the iterations, or no step that leads down, ended it.
    """

    x: Tensor
    value: Tensor
    n_iter: Tensor
    n_evaluations: Tensor
    converged: Tensor


def minimize(objective: Objective, x: Tensor, *, tol: float, max_iter: int) -> Minima:
    """Minimise each of several functions from its start.

    Parameters
    ----------
    objective : callable
    x : Tensor, shape (n_problems, n_parameters)
        The starts.
    tol : float
        A problem ends when a step lowers its value by less than this (of the value, where that is
        above one), or no derivative is larger.
    max_iter : int

    Returns
    -------
    Minima

    References
    ----------
    Liu & Nocedal (1989), *On the limited memory BFGS method for large scale optimization*,
    Mathematical Programming 45. The length of a step is found by bisection: Lewis & Overton (2013),
    *Nonsmooth optimization via quasi-Newton methods*, Mathematical Programming 141, section 2.

    Examples
    --------
    >>> centres = torch.tensor([[1.0], [2.0]])
    >>> def squares(x, which):
    ...     away = x - centres[which]
    ...     return (away**2).sum(dim=1), 2 * away
    >>> minimize(squares, torch.zeros(2, 1), tol=1e-9, max_iter=100).x.ravel()
    tensor([1., 2.])
    """
    n, device = len(x), x.device
    which = torch.arange(n, device=device)
    value, gradient = objective(x, which)
    going = abs(gradient).amax(dim=1) > tol
    n_iter, n_evaluations = torch.zeros(2, n, dtype=torch.int64, device=device)
    ends = Minima(x.clone(), value.clone(), n_iter, n_evaluations + 1, ~going)
    steps: list[tuple[Tensor, Tensor, Tensor]] = []
    scale = 1 / torch.linalg.vector_norm(gradient, dim=1, keepdim=True)  # of the first step
    for number in range(1, max_iter + 1):
        if not going.all():  # what has ended is not carried along
            which, x, value, gradient, scale = (
                kept[going] for kept in (which, x, value, gradient, scale)
            )
            steps = [tuple(kept[going] for kept in step) for step in steps]
        if not len(which):
            break
        direction = _newton(gradient, steps, scale)
        before, start = value, (x, gradient)
        x, value, gradient = _along(objective, which, x, value, gradient, direction, ends)
        step, turn = x - start[0], gradient - start[1]
        bend, size = _dot(step, turn), _dot(turn, turn)
        bends = bend > torch.finfo(x.dtype).eps * size
        scale = torch.where(bends, bend / size, scale)
        steps = [*steps, (step, turn, torch.where(bends, 1 / bend, 0))][-_MEMORY:]
        least = tol * torch.stack([abs(value), abs(before), torch.ones_like(value)]).amax(dim=0)
        going = (before - value > least) & (abs(gradient).amax(dim=1) > tol)
        ends.x[which], ends.value[which], ends.n_iter[which] = x, value, number
        ends.converged[which] = ~going
    return ends


def _newton(gradient: Tensor, steps: list[tuple[Tensor, Tensor, Tensor]], scale: Tensor) -> Tensor:
    """Where the steps so far say that the minimum lies: the two loops of L-BFGS."""
    direction, shares = -gradient, []
    for step, turn, inverse in reversed(steps):
        shares.append(inverse * _dot(step, direction))
        direction = direction - shares[-1] * turn
    direction = direction * scale
    for step, turn, inverse in steps:
        direction = direction + (shares.pop() - inverse * _dot(turn, direction)) * step
    return direction


def _along(
    objective: Objective,
    which: Tensor,
    x: Tensor,
    value: Tensor,
    gradient: Tensor,
    direction: Tensor,
    ends: Minima,
) -> tuple[Tensor, Tensor, Tensor]:
    """A step along its direction for each problem, of its own length; none if none leads down."""
    slope = _dot(gradient, direction)
    least, most = torch.zeros_like(slope), torch.full_like(slope, torch.inf)
    length, trying = torch.ones_like(slope), slope[:, 0] < 0
    best = x.clone(), value.clone(), gradient.clone()
    for _ in range(_MOST_TRIALS):
        (rows,) = torch.nonzero(trying, as_tuple=True)
        if not len(rows):
            break
        tried = x[rows] + length[rows] * direction[rows]
        there = (tried, *objective(tried, which[rows]))
        ends.n_evaluations[which[rows]] += 1
        gain = (value[rows, None] - there[1][:, None]) + _DECREASE * length[rows] * slope[rows]
        lower = gain >= 0  # not so where the value is no number
        flat = _dot(there[2], direction[rows]) >= _CURVATURE * slope[rows]
        for kept, new in zip(best, there, strict=True):
            kept[rows[lower[:, 0]]] = new[lower[:, 0]]
        least[rows] = torch.where(lower, length[rows], least[rows])
        most[rows] = torch.where(lower, most[rows], length[rows])
        trying[rows] = ~(lower & flat)[:, 0]
        middle = torch.where(most.isinf(), 2 * length, (least + most) / 2)
        length = torch.where(trying[:, None], middle, length)
    return best


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=1, keepdim=True)
