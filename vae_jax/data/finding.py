"""One entry for data of every form: a known name or a path, in; what it is and its three parts, out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from vae_jax.data.columns import Kind
from vae_jax.data.found import Form, Found, Layout, Part


def find(
    data: str,
    *,
    form: Form | None = None,
    kinds: Mapping[str, Kind] | Kind | None = None,
    label: str | None = None,
    size: int | None = None,
    split: Literal["random", "time"] = "random",
    validation: str | None = None,
    test: str | None = None,
    stream: bool = False,
    num_validation: int = 5000,
    data_dir: str | None = None,
    manual_dir: str | None = None,
) -> Found:
    """What `data` are, and their training, validation and test examples."""
    raise NotImplementedError


def load_like(path: str, layout: Layout, *, data_dir: str | None = None, manual_dir: str | None = None) -> Part:
    """Other data of the same layout: columns by name, the same categories and classes, shape, and loc."""
    raise NotImplementedError


def to_stored(values: Any, layout: Layout) -> Any:
    """Values in their own units, float64 [N, *event], as they are stored."""
    raise NotImplementedError


def to_own_units(stored: Any, layout: Layout) -> Any:
    """The inverse of `to_stored`, in float64."""
    raise NotImplementedError


def described(found: Found) -> list[tuple[str, str]]:
    """The rows of the table that is printed before training, each a name and a text."""
    raise NotImplementedError


def checked_labels(found: Found, num_classes: int | None = None) -> tuple[Int[np.ndarray, " _"], ...]:
    """The labels of the three parts, where a run uses them; by default as many classes as were found."""
    raise NotImplementedError
