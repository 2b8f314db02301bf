"""Missing values of examples, drawn from what a finished run thinks of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Key

from vae_jax.distributions import Observed, sample_and_log_prob
from vae_jax.errors import InputError, check_at_least
from vae_jax.objectives import log_joint
from vae_jax.runs.using import mapped, read_example, stored_examples

Array = jax.Array


def impute(
    run: Any, key: Key[Array, ""], x: Any, c: Any = None, *, num_draws: int = 10, num_samples: int = 1000
) -> Float[np.ndarray, " draws N *event"]:
    """Draws of each example whose gaps, NaN in x, are filled: [num_draws, N, *event] in own units.

    x_missing ~ p(x_missing | x_seen), by self-normalised importance resampling: z_k ~ q(z|x_seen),
    w_k = p(x_seen, z_k) / q(z_k|x_seen), z ~ sum_k w_k delta(z_k) / sum_k w_k, x_missing ~ p(x_missing|z). Exact as
    num_samples grows. Source: Mattei and Frellsen 2019 (arXiv:1812.02633). Raises InputError for a run that was
    trained on examples without gaps, whose encoder cannot read any.
    """
    check_at_least("num_draws", num_draws, 1)
    check_at_least("num_samples", num_samples, 1)
    numbers = np.asarray(jax.random.key_data(jax.random.split(key, len(x))))
    batch = max(1, min(256, 2**21 // (num_samples * max(1, int(np.prod(run.units.event))))))
    draw = _drawer(num_draws, num_samples, jax.random.key_impl(key))
    found = mapped(draw, run, (numbers, stored_examples(run, x, c)), batch)
    each = [np.asarray(run.units.drawn(jax.tree.map(lambda a, k=k: a[:, k], found))) for k in range(num_draws)]
    # What is seen stays as it was, to the last digit.
    return np.stack([np.where(np.isnan(x), one, x) for one in each])


@functools.lru_cache(maxsize=8)
def _drawer(num_draws: int, num_samples: int, kind: Any) -> Callable[..., Any]:
    def drawn(model: Any, transform: Any, params: Any, i: Array, given: Any) -> Any:
        numbers, stored = given
        vae, x, _ = read_example(model, transform, i, stored)
        if not isinstance(x, Observed):
            raise InputError("the run was trained on examples without gaps: expected one on examples with some")
        z_key, choice_key, x_key = jax.random.split(jax.random.wrap_key_data(numbers, impl=kind), 3)
        q = vae.encode(params, x)

        def weighed(key: Array) -> tuple[Any, Array]:
            z, log_q = sample_and_log_prob(q, key)
            return z, log_joint(vae, params, x, z) - log_q

        z, log_w = jax.vmap(weighed)(jax.random.split(z_key, num_samples))
        chosen = jax.random.categorical(choice_key, log_w, shape=(num_draws,))

        def one(k: Array, key: Array) -> Any:
            return vae.decode(params, jax.tree.map(lambda a: a[k], z)).sample(key)

        return jax.vmap(one)(chosen, jax.random.split(x_key, num_draws))

    return drawn
