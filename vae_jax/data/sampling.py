"""The order of training examples, without storing or sorting a permutation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Int, Int32

from vae_jax.errors import InputError

Array = jax.Array
NUM_ROUNDS = 8


def shuffled_indices(
    key: Array, step: int | Int[Array, ""], *, num_examples: int, batch_size: int
) -> Int32[Array, " {batch_size}"]:
    """The examples of training batch `step`: int32 [batch_size], a pure function of the key and the step.

    An epoch is num_examples // batch_size steps long. Each epoch has a permutation of its own, of which batch b
    is the b-th stretch, so no example comes twice in an epoch (num_examples modulo batch_size of them sit it
    out). Raises InputError for a batch larger than the data.
    """
    if not 1 <= batch_size <= num_examples:
        raise InputError(
            f"batch size {batch_size}: expected between 1 and the number of examples, {num_examples}; "
            "choose a smaller batch or more data"
        )
    epoch, batch = jnp.divmod(step, num_examples // batch_size)
    position = batch * batch_size + jnp.arange(batch_size)
    return permuted(jax.random.fold_in(key, epoch), position, num_examples)


def permuted(key: Array, position: Int[Array, " n"], size: int) -> Int32[Array, " n"]:
    """pi(position) for a pseudo-random permutation pi of 0 ... size - 1 that is never stored.

    A balanced Feistel network permutes the numbers below 4^h >= size; where it leaves 0 ... size - 1, it is
    applied again until it comes back ("cycle walking"), which permutes 0 ... size - 1. Halves of fewer than
    three bits, or fewer rounds, are measurably not uniform. position: int32 [n].
    Source: Black and Rogaway 2002, "Ciphers with arbitrary finite domains".
    """
    half_bits = max(3, -(-(size - 1).bit_length() // 2))
    mask = jnp.uint32(2**half_bits - 1)
    round_keys = jax.random.bits(key, (NUM_ROUNDS,), jnp.uint32)

    def encrypt(v: Array) -> Array:
        left, right = v >> half_bits, v & mask
        for round_key in round_keys:
            left, right = right, left ^ (_mix(right ^ round_key) & mask)
        joined: Array = (left << half_bits) | right
        return joined

    def walk(v: Array) -> Array:
        return jnp.where(v >= size, encrypt(v), v)

    start = encrypt(position.astype(jnp.uint32))
    v = jax.lax.while_loop(lambda v: jnp.any(v >= size), walk, start).astype(jnp.int32)
    # Where a batch is spread over devices, each takes its part by index. A loop that was spread over them itself
    # would have to ask all of them, each time round, whether to go on.
    return v[jnp.arange(v.shape[0])]


def _mix(v: Array) -> Array:
    """The finalizer of MurmurHash3 (Appleby 2011): each bit of the input flips half the bits of the output."""
    v = (v ^ (v >> 16)) * jnp.uint32(0x85EBCA6B)
    v = (v ^ (v >> 13)) * jnp.uint32(0xC2B2AE35)
    return v ^ (v >> 16)
