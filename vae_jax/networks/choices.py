"""The networks that a model can be made of, as parts: a network is one file, one class in this union."""

from __future__ import annotations

from typing import TypeAlias, get_args

from vae_jax.errors import InputError
from vae_jax.networks.activations import Activation
from vae_jax.networks.conv import Conv
from vae_jax.networks.mlp import MLP
from vae_jax.networks.residual import Residual

Network: TypeAlias = MLP | Conv | Residual


def choose(name: str, hidden: tuple[int, ...] | None = None, activation: Activation | None = None) -> Network:
    """The network of that name in lower case, `mlp`, `conv` or `residual`; None takes the network's own default.

    Raises InputError for another name.
    """
    parts = {part.__name__.lower(): part for part in get_args(Network)}
    if name not in parts:
        raise InputError(f"network {name}: expected one of {', '.join(parts)}")
    settings = {"hidden": hidden, "activation": activation}
    part: Network = parts[name](**{key: value for key, value in settings.items() if value is not None})
    return part
