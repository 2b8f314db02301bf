"""The scale of a normal likelihood in closed form, where gradients would need thousands of steps."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Key, Num

from vae_jax.distributions import Normal, bounded_scale, stddev
from vae_jax.errors import InputError
from vae_jax.likelihoods.scales import unbounded_scale
from vae_jax.shapes import AnyArray

Array = jax.Array


def with_optimal_scale(
    vae: Any, params: Any, key: Key[Array, ""], x: Num[AnyArray, " N *event"], *, batch_size: int = 256
) -> Any:
    """`params` with the scale of a `NormalPixels` that learns it at its maximum of the ELBO over x.

    s^2 = mean of (x - m(z))^2 over examples and elements (`channel`: examples and positions; `element`: examples),
    z ~ q(z|x), one z an example.

    At these z no other scale gives a higher mean of log p(x|z), and the rest of the ELBO does not depend on it. The
    scale is a number of the model, not of an example: with the mean squared error of the very x that is scored in
    its place, log p(x|z) would be no log-density, for it would not integrate to 1. A scale of units around the
    normals is left as it is, because errors are measured in standard deviations of the model.

    Args: vae: a VAE (of a ConditionalVAE: `given(c)`, with the x of that c). x: the training data as the model sees
    them, [N, *event]. Returns params of the same structure, to train on from or to score with. Raises InputError
    where the likelihood has no learned scale or is not normal, and where there is no example. Source: Rybkin et al.
    2021 (arXiv:2006.13202), for the data set in place of a batch.
    """
    own = params.get("likelihood", {})
    if len(x) == 0:
        raise InputError("with_optimal_scale of 0 examples: expected the training data, [N, *event]")
    if set(own) != {"scale"}:
        raise _refused(f"the parameters {sorted(own)}")
    axes = jnp.ndim(own["scale"])

    @jax.jit
    def squares(params: Any, i: Array, x: Any) -> Array:
        def one(i: Array, x: Any) -> Array:
            p = vae.decode(params, vae.encode(params, x).sample(jax.random.fold_in(key, i)))
            if not any(isinstance(d, Normal) for d in jax.tree.leaves(p, is_leaf=lambda d: isinstance(d, Normal))):
                raise _refused(f"a density {type(p).__name__}")
            squared: Array = ((x - p.mean()) / stddev(p)) ** 2
            return squared

        mean = jnp.mean(jax.vmap(one)(i, x), axis=0)
        return jnp.mean(mean, axis=tuple(range(mean.ndim - axes)))

    # In float64 on the host, weighted by their sizes, for the last batch may be smaller.
    parts = [np.arange(i, min(i + batch_size, len(x))) for i in range(0, len(x), batch_size)]
    means = [np.asarray(squares(params, i, x[i[0] : i[-1] + 1]), np.float64) for i in parts]
    error = np.sqrt(np.average(means, axis=0, weights=[len(i) for i in parts]))
    scale = np.asarray(bounded_scale(own["scale"]) * np.maximum(error, 1e-6))
    return params | {"likelihood": {"scale": jnp.asarray(unbounded_scale(scale), own["scale"].dtype)}}


def _refused(what: str) -> InputError:
    return InputError(
        f"with_optimal_scale of a likelihood with {what}: expected normals with a parameter `scale` alone, as of "
        'NormalPixels("learned"), ("channel") and ("element")'
    )
