"""What a finished run does with other examples: in batches, compiled once, arrays in and out, in own units.

What is drawn for an example depends on its place alone, first + i for the i-th: neither on the other examples, nor
on how many there are, nor on the batches that they come in.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Key, Num, UInt

from vae_jax.data.leading import num_examples
from vae_jax.distributions import center
from vae_jax.errors import InputError
from vae_jax.evidence import importance_log_likelihood
from vae_jax.latents import linear
from vae_jax.model import ConditionalVAE
from vae_jax.numerics import full_precision
from vae_jax.objectives import elbo
from vae_jax.runs.given import conditions_of, stored_examples
from vae_jax.runs.task import EVALUATION_SEED

Array = jax.Array
BATCH_SIZE = 256


def encode(run: Any, x: Any, c: Any = None, *, first: int = 0) -> Any:
    """The centres of q(z|x), posterior means where these are known: [N, *z]. x: [N, *event] in own units."""
    return mapped(_encode, run, stored_examples(run, x, c), first=first)


def decode(run: Any, z: Any, c: Any = None) -> Float[np.ndarray, " N *event"]:
    """The centre of p(x|z), its mean where that is known, in own units: [N, *event]. z: [N, *z]."""
    conditions = conditions_of(run, num_examples(z, name="z"), c)
    return run.units.restore(mapped(_decode, run, (z, conditions)))  # type: ignore[no-any-return]


def sample(
    run: Any, key: Key[Array, ""], num: int, c: Any = None, *, first: int = 0
) -> Num[np.ndarray, " num *event"]:
    """Ancestral samples, z ~ p(z) and x ~ p(x|z), as data are stored: [num, *event] in own units."""
    if num < 1:
        raise InputError(f"{num} samples: expected at least 1")
    given = (one_key_each(key, num), conditions_of(run, num, c))
    found = mapped(_sampler(jax.random.key_impl(key)), run, given, first=first)
    return run.units.drawn(found)  # type: ignore[no-any-return]


def reconstruct(run: Any, x: Any, c: Any = None, *, first: int = 0) -> Float[np.ndarray, " N *event"]:
    """The centre of p(x|z) at the centre of q(z|x), in own units: [N, *event]."""
    found = mapped(_reconstruct, run, stored_examples(run, x, c), first=first)
    return run.units.restore(found)  # type: ignore[no-any-return]


def interpolate(
    run: Any,
    x0: Any,
    x1: Any,
    c: Any = None,
    c1: Any = None,
    *,
    num_steps: int = 10,
    path: Callable[..., Any] = linear,
) -> Float[np.ndarray, " num_steps *event"]:
    """The centres of p(x|z) along a path between the codes of two examples: [num_steps, *event].

    c: the condition of x0, and of the whole way. c1: that of x1, by default the same. x0, x1: [*event].
    """
    if num_steps < 2:
        raise InputError(f"num_steps {num_steps}: expected at least 2, the two ends of the path")
    if jax.tree.map(np.shape, x0) != jax.tree.map(np.shape, x1):
        raise InputError(f"examples of shape {np.shape(x0)} and {np.shape(x1)}: expected two of one shape")
    pair = jax.tree.map(lambda a, b: np.stack([a, b]), x0, x1)
    z = encode(run, pair, None if c is None else np.stack([c, c if c1 is None else c1]))
    first, last = (jax.tree.map(operator.itemgetter(i), z) for i in (0, 1))
    steps = np.linspace(0.0, 1.0, num_steps, dtype=np.float32)
    along = jax.tree.map(lambda a, b: np.stack([np.asarray(path(a, b, t)) for t in steps]), first, last)
    return decode(run, along, None if c is None else np.stack([c] * num_steps))


def bound(run: Any, x: Any, c: Any = None, *, first: int = 0) -> Float[np.ndarray, " N"]:
    """The ELBO of each example with one sample of z, in nats of the data's own units: [N]."""
    return mapped(_bound, run, stored_examples(run, x, c), first=first)  # type: ignore[no-any-return]


def log_likelihood(
    run: Any, x: Any, c: Any = None, *, num_samples: int = 1000, first: int = 0
) -> Float[np.ndarray, " N"]:
    """log p(x) of each example by `num_samples` importance samples, in nats of the data's own units: [N].

    The value of `importance_log_likelihood`, which is below log p(x) in expectation. Raises InputError for less
    than one sample.
    """
    if num_samples < 1:
        raise InputError(f"num_samples {num_samples}: expected at least 1")
    found = mapped(_weighed(num_samples), run, stored_examples(run, x, c), batch_of(run, num_samples), first=first)
    return found  # type: ignore[no-any-return]


def one_key_each(key: Key[Array, ""], num: int) -> UInt[np.ndarray, "num words"]:
    """The numbers of one key for each example, whose place is folded in where it is used: [num, ...]."""
    numbers = np.asarray(jax.random.key_data(key))
    return np.broadcast_to(numbers, (num, *numbers.shape))


def batch_of(run: Any, num_samples: int) -> int:
    """Of how many examples one call draws `num_samples` latents each, so that it takes seconds and some 100 MB."""
    return max(1, min(BATCH_SIZE, 2**21 // (num_samples * max(1, int(np.prod(run.units.event))))))


def mapped(f: Callable[..., Any], run: Any, examples: Any, batch_size: int = BATCH_SIZE, *, first: int = 0) -> Any:
    """f(model, transform, params, place, example) of every example, in batches of one shape, on the host.

    examples: a tree of [N, ...], at the places first, ..., first + N - 1. The last batch is filled up with its last
    example, and a single one is as long as the next power of two, so that few shapes are compiled.
    """
    count = num_examples(examples, name="examples")
    if count < 1:
        raise InputError("no examples: expected at least one")
    while batch_size // 2 >= count:
        batch_size //= 2
    compiled = _compiled(f, run.model, run.transform)
    # Once, and not again for each batch.
    params, examples = jax.tree.map(jnp.asarray, run.params), jax.tree.map(np.asarray, examples)
    parts = []
    for start in range(0, count, batch_size):
        i = np.minimum(np.arange(start, start + batch_size), count - 1)
        part = compiled(params, i + first, jax.tree.map(lambda a, i=i: a[i], examples))
        parts.append(jax.tree.map(lambda a, start=start: np.asarray(a)[: count - start], part))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


@functools.lru_cache(maxsize=32)
def _compiled(f: Callable[..., Any], model: Any, transform: Any) -> Callable[..., Any]:
    one = functools.partial(full_precision(f), model, transform)
    return jax.jit(jax.vmap(one, in_axes=(None, 0, 0)))


class Example(NamedTuple):
    """A VAE, at the condition of the example if it has one, x and a key for what is drawn."""

    vae: Any
    x: Any
    key: Key[Array, ""]


def read_example(model: Any, transform: Any, i: Int[Array, ""], stored: Any) -> Example:
    """A stored example as the evaluation of a run would see it at place i."""
    transform_key, key = jax.random.split(jax.random.fold_in(jax.random.key(EVALUATION_SEED), i))
    example = transform(transform_key, stored)
    if isinstance(model, ConditionalVAE):
        x, c = example
        return Example(model.given(c), x, key)
    return Example(model, example, key)


def _encode(model: Any, transform: Any, params: Any, i: Array, stored: Any) -> Any:
    vae, x, _ = read_example(model, transform, i, stored)
    return center(vae.encode(params, x))


def _reconstruct(model: Any, transform: Any, params: Any, i: Array, stored: Any) -> Any:
    vae, x, _ = read_example(model, transform, i, stored)
    return center(vae.decode(params, center(vae.encode(params, x))))


def _decode(model: Any, transform: Any, params: Any, i: Array, given: Any) -> Any:
    z, c = given
    return center(_at(model, c).decode(params, z))


def _bound(model: Any, transform: Any, params: Any, i: Array, stored: Any) -> Array:
    vae, x, key = read_example(model, transform, i, stored)
    return elbo(vae, params, key, x).metrics["elbo"]


@functools.lru_cache(maxsize=32)
def _weighed(num_samples: int) -> Callable[..., Any]:
    def weighed(model: Any, transform: Any, params: Any, i: Array, stored: Any) -> Array:
        vae, x, key = read_example(model, transform, i, stored)
        found = importance_log_likelihood(vae, params, key, x, num_samples=num_samples)
        return found.value  # type: ignore[no-any-return]

    return weighed


@functools.lru_cache(maxsize=4)
def _sampler(kind: Any) -> Callable[..., Any]:
    def drawn(model: Any, transform: Any, params: Any, i: Array, given: Any) -> Any:
        numbers, c = given
        key = jax.random.fold_in(jax.random.wrap_key_data(numbers, impl=kind), i)
        z_key, x_key = jax.random.split(key)
        vae = _at(model, c)
        return vae.decode(params, vae.prior(params).sample(z_key)).sample(x_key)

    return drawn


def _at(model: Any, c: Any) -> Any:
    return model.given(c) if isinstance(model, ConditionalVAE) else model
