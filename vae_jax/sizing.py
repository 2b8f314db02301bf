"""What a network must be, and what it must emit, to serve a family."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from vae_jax.errors import InputError
from vae_jax.stateless import stateless_networks

Array = jax.Array


def check_part(name: str, part: Any, example: str, *functions: str) -> None:
    """Raises InputError for what is no part: a class in place of one, or something without its functions."""
    missing = [function for function in functions if not callable(getattr(part, function, None))]
    if isinstance(part, type) or missing:
        found = f"the class {part.__name__}" if isinstance(part, type) else getattr(part, "__name__", repr(part))
        why = "" if isinstance(part, type) else f"; it has no {', '.join(missing)}"
        raise InputError(f"{name} {found}: expected a part, as {example}{why}")


def latent_size(encoder: Any) -> int:
    """The number of latents that an encoder was made for. Raises InputError where it tells none."""
    size = getattr(encoder, "latent_size", None)
    if not isinstance(size, int):
        raise InputError(f"encoder {type(encoder).__name__}: expected an attribute latent_size, a whole number")
    if size < 1:
        raise InputError(f"latent size {size}: expected at least 1")
    return size


def event_shape(decoder: Any) -> tuple[int, ...]:
    """The shape of one x that a decoder was made for. Raises InputError where it tells none."""
    shape = getattr(decoder, "x_shape", None)
    if shape is None:
        raise InputError(f"decoder {type(decoder).__name__}: expected an attribute x_shape, the shape of one x")
    return tuple(shape)


def sized(network: Any, name: str, family: Any, event: tuple[int, ...], inputs: Any, *start: Any) -> Any:
    """The network with the output that a family of that event reads: [*positions, size].

    A network of this library is given it, with a start for its bias; of another it is compared. Raises InputError
    where it differs, and for a network with noise or a state of its own.
    """
    wanted = (*event[:-1], family.size(event[-1]))
    if hasattr(network, "sized"):
        return network.sized(wanted, *start)

    def output(key: Array) -> Any:
        return network.apply(network.init(key, *inputs), *inputs)

    with stateless_networks():
        found = jax.eval_shape(output, jax.random.key(0))
    if getattr(found, "shape", None) != wanted:
        raise InputError(
            f"{name} {type(network).__name__} emits {getattr(found, 'shape', type(found).__name__)}: "
            f"{type(family).__name__} of {list(event)} reads an array of shape {wanted}; make it emit that"
        )
    return network


def output_bias(likelihood: Any, examples: Any) -> Callable[..., Float[Array, "..."]]:
    """A bias initializer: the output at the marginals of the examples, a number an output or a channel."""

    def init(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        bias = likelihood.bias(examples)
        if bias is None:
            return jnp.zeros(shape, dtype)
        if bias.size != math.prod(shape):
            # Positions share the bias of their channel: they count as examples of one.
            bias = likelihood.bias(jax.tree.map(lambda a: a.reshape(-1, a.shape[-1]), examples))
        return jnp.asarray(bias, dtype).reshape(shape)

    return init
