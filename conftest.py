"""Fixtures for the examples in docstrings and for the tests."""

from collections.abc import Iterator

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def arrays_are_printed_plainly() -> Iterator[None]:
    """Importing colour-science changes how arrays are printed, in examples too."""
    with np.printoptions(legacy=False):
        yield
