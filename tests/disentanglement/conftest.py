"""Every test of the scores runs where JAX refuses arrays of different rank that nobody aligned."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True)
def no_implicit_rank_promotion() -> Iterator[None]:
    """Fails a test in which a score relies on NumPy to add axes, which jax_numpy_rank_promotion='raise' forbids."""
    with jax.numpy_rank_promotion("raise"):
        yield
