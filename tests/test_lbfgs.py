"""Many minimisations at once end where each would alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize as minimize_by_scipy
from scipy.optimize import rosen, rosen_der

from convexlib.lbfgs import minimize


def rosenbrock(x: torch.Tensor, which: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    assert len(x) == len(which)
    values = torch.tensor([rosen(row.numpy()) for row in x], dtype=torch.float64)
    return values, torch.stack([torch.from_numpy(rosen_der(row.numpy())) for row in x])


def test_minima_are_those_of_scipy_in_about_as_many_steps() -> None:
    starts = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 8)))
    found = minimize(rosenbrock, starts, tol=1e-12, max_iter=500)
    for row, start in enumerate(starts.numpy()):
        other = minimize_by_scipy(rosen, start, jac=rosen_der, method="L-BFGS-B", tol=1e-12)
        assert found.value[row] == pytest.approx(other.fun, abs=1e-9) or found.value[row] < 1e-9
        assert found.n_iter[row] < 2 * other.nit
    assert found.converged.all()


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), n_problems=st.integers(1, 5))
def test_a_problem_ends_as_it_would_alone(seed: int, n_problems: int) -> None:
    rng = np.random.default_rng(seed)
    roots = torch.from_numpy(rng.normal(size=(n_problems, 6, 6)))
    bowls = roots @ roots.mT + 0.1 * torch.eye(6, dtype=torch.float64)
    centres = torch.from_numpy(rng.normal(size=(n_problems, 6, 1)))

    def bowl(x: torch.Tensor, which: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        away = x[:, :, None] - centres[which]
        slope = bowls[which] @ away
        return (away * slope).sum(dim=(1, 2)) / 2, slope[:, :, 0]

    together = minimize(bowl, torch.zeros(n_problems, 6).double(), tol=1e-14, max_iter=200)
    np.testing.assert_allclose(together.x, centres[:, :, 0], atol=1e-4)
    for row in range(n_problems):
        alone = minimize(
            lambda x, which, row=row: bowl(x, which + row),
            torch.zeros(1, 6).double(),
            tol=1e-14,
            max_iter=200,
        )
        np.testing.assert_allclose(together.x[row], alone.x[0], atol=1e-9)
        assert together.n_iter[row] == alone.n_iter[0]


def test_the_bound_on_the_iterations_holds() -> None:
    found = minimize(rosenbrock, torch.full((2, 4), 3.0).double(), tol=1e-12, max_iter=5)
    assert found.n_iter.tolist() == [5, 5]
    assert not found.converged.any()


def test_where_a_problem_starts_at_its_minimum_it_stays() -> None:
    starts = torch.stack([torch.ones(4), torch.zeros(4)]).double()
    found = minimize(rosenbrock, starts, tol=1e-9, max_iter=300)
    assert found.n_iter[0] == 0
    assert found.converged.all()
    np.testing.assert_array_equal(found.x[0], 1)
    np.testing.assert_allclose(found.x[1], 1, atol=1e-3)


def test_steps_to_where_a_function_is_no_number_are_shortened() -> None:
    def logarithm(x: torch.Tensor, which: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (x - x.log()).sum(dim=1), 1 - 1 / x

    found = minimize(logarithm, torch.full((1, 1), 0.01).double(), tol=1e-12, max_iter=100)
    np.testing.assert_allclose(found.x, 1, atol=1e-4)
