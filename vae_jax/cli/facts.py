"""What a model must know of its data to be built again without them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

from vae_jax.data import Layout
from vae_jax.errors import InputError, check_at_least
from vae_jax.runs.json_config import from_json

Look = Literal["rendered", "binary", "nearly binary", "grey", "colour"]


@dataclasses.dataclass(frozen=True)
class Facts:
    """How examples are stored, how many there are, and what labels they have in a conditional run."""

    layout: Layout
    num_train: int
    look: Look | None = None
    """Of images, of all parts together, before they are binarized; `rendered` are the sprites."""
    num_classes: int | None = None
    """Of the labels, in a conditional run."""
    size: float | None = None
    """Of counts: the median of how many there are in a training example, the size of what is drawn."""

    def __post_init__(self) -> None:
        event = self.layout.event
        if not event or min(event) < 1:
            raise InputError(f"event {event}: expected sizes of at least 1")
        if self.num_classes is not None:
            check_at_least("num_classes", self.num_classes, 1)
        if not 1 <= self.num_train < 2**63:
            raise InputError(f"num_train {self.num_train}: expected between 1 and 2^63 - 1")
        for name in ("columns", "loc", "scale"):
            held = getattr(self.layout, name)
            if held is not None and len(held) != event[-1]:
                raise InputError(f"{len(held)} {name} of an event {event}: expected one a channel")
        if self.layout.stored == "counts" and not (self.size is not None and 0 < self.size < math.inf):
            raise InputError(f"size {self.size} of an example of counts: expected a number above 0")
        if self.layout.stored == "columns" and self.layout.columns is None:
            raise InputError("columns of several kinds without their names: expected `columns`")


def read_facts(content: Mapping[str, Any]) -> Facts:
    """The facts of a data.json; those of runs on images before there were other data had one level."""
    content = dict(content)
    if "x_shape" in content:
        event, stored = content.pop("x_shape"), content.pop("stored", None)
        layout = {"form": "images", "stored": stored, "event": event, "classes": content.pop("classes", None)}
        if stored == "sprites":
            layout["stored"], content["look"] = "unit", "rendered"
        content["layout"] = layout
    facts: Facts = from_json(Facts, content, at="data.json")
    return facts
