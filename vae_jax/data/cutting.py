"""Training, validation and test examples, from the parts that data bring along and from what is cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Int

from vae_jax.data.found import Part
from vae_jax.errors import InputError

_SHARE_OF_TEST = 5  # one in five
MOST_TEST = 10_000  # of data that need not be held, which are streamed or made


def cut_parts(
    parts: Mapping[str, Part],
    others: Mapping[str, Part],
    split: Literal["random", "time"],
    num_validation: int,
    name: str,
    most_test: int | None = None,
) -> tuple[dict[str, Part], str]:
    """The three parts, and in words where they come from.

    parts: "all", or "train" and others, of the data. others: "validation" and "test" that the user gave beside
    them. Raises InputError where the data bring what the user gives, and where too few examples are left.
    """
    for part in others:
        if part in parts:
            raise InputError(f"{name} has a part {part!r} of its own: expected none beside --{part}; leave it out")
    train = parts["all" if "all" in parts else "train"]
    have = {key: part for key, part in {**parts, **others}.items() if key in ("validation", "test")}
    said = [f"{key} as given" if key in others else f"{key} as in the data" for key in sorted(have)]
    num = len(train.values)
    test = validation = np.arange(0)
    rest = np.arange(num)
    if "test" not in have:
        size = num // _SHARE_OF_TEST
        few = most_test is not None and size > most_test
        test, rest = cut_rows(rest, most_test if few and most_test else size, split)
        said.append(f"{most_test} for test" if few else "a fifth for test")
    if "validation" not in have:
        size = size_of_validation(len(rest), num_validation)
        validation, rest = cut_rows(rest, size, split)
        said.append(f"{size} of the training examples for validation")
    cut = {"train": rows_of(train, rest), "validation": rows_of(train, validation), "test": rows_of(train, test)}
    if test.size or validation.size:
        said.append("in their order, test last" if split == "time" else "drawn by a fixed seed")
    return {**cut, **have}, ", ".join(said)


def size_of_validation(num: int, wanted: int) -> int:
    """A tenth of so many training examples, at least two, at most those wanted."""
    return min(wanted, max(2, num // 10))


def rows_of(part: Part, rows: Int[np.ndarray, " n"]) -> Part:
    """Some examples, with their labels and names."""
    names = None if part.names is None else tuple(part.names[i] for i in rows.tolist())
    return Part(part.values[rows], None if part.labels is None else part.labels[rows], names)


def cut_rows(
    rows: Int[np.ndarray, " N"], first: int, split: Literal["random", "time"]
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " N-n"]]:
    """So many of the rows, and all others: the last ones, or drawn; each in order."""
    if split == "time":
        return rows[len(rows) - first :], rows[: len(rows) - first]
    # The same draw as of `load_splits`, so that a run begun with either has the same test examples.
    order = np.random.default_rng(0).permutation(len(rows))
    return rows[np.sort(order[:first])], rows[np.sort(order[first:])]
