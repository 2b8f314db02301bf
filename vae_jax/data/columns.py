"""What one column of a table holds."""

from __future__ import annotations

import dataclasses
from typing import Literal

Kind = Literal["real", "positive", "count", "categorical"]


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of a table: its name, its kind, and what its values are counted or measured by.

    `categories`: what the codes 0, 1, ... of a categorical column stand for, in this order. `loc`, `scale`: mean
    and standard deviation over the training rows, of x for a real column and of log x for a positive one; 0 and 1
    for the others, and a scale of 1 where all training values are one.
    """

    name: str
    kind: Kind
    categories: tuple[str, ...] = ()
    loc: float = 0.0
    scale: float = 1.0
