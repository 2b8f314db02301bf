"""Missing values of examples, drawn from what a finished run thinks of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Key

from vae_jax.distributions import Observed, sample_and_log_prob
from vae_jax.errors import InputError, check_at_least
from vae_jax.objectives import log_joint
from vae_jax.runs.given import stored_examples
from vae_jax.runs.using import batch_of, mapped, one_key_each, read_example

Array = jax.Array
# Latents that are weighed at once, which bounds the memory of a call.
CHUNK_SIZE = 100


def impute(
    run: Any,
    key: Key[Array, ""],
    x: Any,
    c: Any = None,
    *,
    num_draws: int = 10,
    num_samples: int = 1000,
    first: int = 0,
) -> Float[np.ndarray, " draws N *event"]:
    """Draws of each example whose gaps, NaN in x, are filled: [num_draws, N, *event] in own units.

    x_missing ~ p(x_missing | x_seen), by self-normalised importance resampling: z_k ~ q(z|x_seen),
    w_k = p(x_seen, z_k) / q(z_k|x_seen), z ~ sum_k w_k delta(z_k) / sum_k w_k, x_missing ~ p(x_missing|z). Exact as
    num_samples grows. What is drawn for an example depends on its place, `first` + i, alone.

    Source: Mattei and Frellsen 2019 (arXiv:1812.02633). Raises InputError for a run that was trained on examples
    without gaps, whose encoder cannot read any, and for an example that the model holds to be impossible.
    """
    check_at_least("num_draws", num_draws, 1)
    check_at_least("num_samples", num_samples, 1)
    x = np.asarray(x)
    stored = stored_examples(run, x, c)
    draw = _drawer(num_draws, num_samples, jax.random.key_impl(key))
    found, possible = mapped(
        draw, run, (one_key_each(key, len(x)), stored), batch_of(run, num_samples), first=first
    )
    if not possible.all():
        raise InputError(
            f"example {first + int(np.argmin(possible))} is impossible under the model: expected values such as "
            "it was trained on; look for one that is far off"
        )
    each = [_drawn(run, jax.tree.map(lambda a, k=k: a[:, k], found)) for k in range(num_draws)]
    # What is seen stays as it was, to the last digit.
    return np.stack([np.where(np.isnan(x), one, x) for one in each])


def _drawn(run: Any, x: Observed) -> Any:
    found = run.units.drawn(x)
    return found.value if isinstance(found, Observed) else np.asarray(found)


@functools.lru_cache(maxsize=8)
def _drawer(num_draws: int, num_samples: int, kind: Any) -> Callable[..., Any]:
    def drawn(model: Any, transform: Any, params: Any, i: Array, given: Any) -> Any:
        numbers, stored = given
        vae, x, _ = read_example(model, transform, i, stored)
        if not isinstance(x, Observed):
            raise InputError("the run was trained on examples without gaps: expected one on examples with some")
        key = jax.random.fold_in(jax.random.wrap_key_data(numbers, impl=kind), i)
        z_key, choice_key, x_key = jax.random.split(key, 3)
        q = vae.encode(params, x)

        def weighed(key: Array) -> tuple[Any, Array]:
            z, log_q = sample_and_log_prob(q, key)
            return z, log_joint(vae, params, x, z) - log_q

        keys = jax.random.split(z_key, num_samples)
        z, log_w = jax.lax.map(weighed, keys, batch_size=min(CHUNK_SIZE, num_samples))
        chosen = jax.random.categorical(choice_key, log_w, shape=(num_draws,))

        def one(k: Array, key: Array) -> Any:
            return vae.decode(params, jax.tree.map(lambda a: a[k], z)).sample(key)

        draws = jax.vmap(one)(chosen, jax.random.split(x_key, num_draws))
        return draws, jnp.isfinite(jnp.max(log_w))

    return drawn
