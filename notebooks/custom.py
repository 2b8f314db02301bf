# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # An objective, a prior and a network of one's own
# Nothing has to be registered or inherited. A distribution is a pytree with `sample`, `log_prob` and `mean`; a
# model is four functions; an objective is a function of one example that returns a loss and metrics.

# %%
PACKAGE = "vae-jax @ git+https://github.com/OWNER/vae_jax"  # what pip installs where vae_jax is not there already

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

if importlib.util.find_spec("vae_jax") is None:
    # jax and the plugin of the accelerator must be of one version, or jax finds the CPU only.
    tpu = any(Path("/dev").glob("accel*")) or Path("/dev/vfio/0").exists()
    jax_for = "jax[tpu]" if tpu else "jax[cuda12]" if shutil.which("nvidia-smi") else "jax"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", PACKAGE, jax_for], check=True)
    importlib.invalidate_caches()

FAST = bool(os.environ.get("VAE_JAX_FAST"))  # tiny sizes, by which the tests see that every cell runs
OUT = os.environ.get("VAE_JAX_OUT", "runs/custom_notebook")

# %%
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from matplotlib.figure import Figure

from vae_jax import (
    VAE,
    Bernoulli,
    Estimate,
    Normal,
    diagonal_normal,
    evaluate,
    fit,
    importance_log_likelihood,
    init_state,
    mean_and_error,
    per_example,
    plots,
    sample_means,
)
from vae_jax.data import render, shuffled_batches
from vae_jax.objectives import terms

SIZE, HIDDEN, COMPONENTS = (4, 8, 3) if FAST else (16, 256, 9)

# %% [markdown]
# ## The model
# - The prior is a mixture of normals whose places and widths are learned. `kl_divergence` has no closed form
#   for this pair and takes log q(z|x) - log p(z) at the sample z, so nothing else has to know of it.
# - The networks are modules of `flax.nnx`, split into a graph, which is static, and a state, which is the
#   parameters. Networks of any other library plug in the same way.
# - The objective has free bits: the rate of an example costs nothing below `free` nats (after Kingma et al. 2016,
#   arXiv:1606.04934, who do so for groups of latents).


# %%
@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Mixture:
    components: Normal  # locations and scales [K, size]

    def log_prob(self, z):
        each = jax.vmap(lambda component: component.log_prob(z))(self.components)
        return jax.nn.logsumexp(each) - jnp.log(len(each))

    def sample(self, key):
        which_key, key = jax.random.split(key)
        i = jax.random.randint(which_key, (), 0, len(self.components.loc))
        return jax.tree.map(lambda a: a[i], self.components).sample(key)

    def mean(self):
        return self.components.loc.mean(axis=0)


def networks(key):
    rngs = nnx.Rngs(key)
    encoder = nnx.Sequential(nnx.Linear(SIZE**2, HIDDEN, rngs=rngs), nnx.gelu, nnx.Linear(HIDDEN, 4, rngs=rngs))
    decoder = nnx.Sequential(nnx.Linear(2, HIDDEN, rngs=rngs), nnx.gelu, nnx.Linear(HIDDEN, SIZE**2, rngs=rngs))
    return nnx.split((encoder, decoder))


graph, _ = networks(jax.random.key(0))


def init(key):
    network_key, key = jax.random.split(key)
    prior = {"loc": jax.random.normal(key, (COMPONENTS, 2)), "log_scale": jnp.zeros((COMPONENTS, 2))}
    return {"networks": networks(network_key)[1], "prior": prior}


def encode(params, x):
    return diagonal_normal(nnx.merge(graph, params["networks"])[0](x.ravel()).reshape(2, 2))


def decode(params, z):
    return Bernoulli(nnx.merge(graph, params["networks"])[1](z).reshape(SIZE, SIZE, 1))


def prior(params):
    return Mixture(Normal(params["prior"]["loc"], jnp.exp(params["prior"]["log_scale"])))


def free_bits(vae, params, key, x, *, free):
    at = terms(vae, params, key, x)
    loss = at.distortion + jnp.maximum(at.rate, free)
    return Estimate(loss, {"elbo": at.elbo, "distortion": at.distortion, "rate": at.rate})


vae = VAE(init, encode, decode, prior)

# %% [markdown]
# ## Training and evaluation are the library's
# Sprites of three shapes and 8 orientations in 3 x 3 places.

# %%
orientations, places = ([0], [0, 16]) if FAST else (np.arange(0, 40, 5), [0, 10, 21])
grid = np.meshgrid(np.arange(3), [3], orientations, places, places, indexing="ij")
factors = np.stack(grid, axis=-1).reshape(-1, 5)
images = jax.jit(jax.vmap(partial(render, size=SIZE)))(factors)
optimizer = optax.adam(1e-3)
state = fit(
    per_example(free_bits, vae, free=1.0),
    optimizer,
    shuffled_batches(8 if FAST else 64),
    init_state(vae.init, optimizer, jax.random.key(0)),
    images,
    num_steps=2 if FAST else 8000,
)
params = state.ema
values = evaluate(free_bits, vae, params, jax.random.key(1), images, free=1.0)
print("ELBO {:.2f} +- {:.2f} nats".format(*mean_and_error(values["elbo"])))
samples = 2 if FAST else 100
found = evaluate(importance_log_likelihood, vae, params, jax.random.key(2), images, num_samples=samples)
print("L_{} {:.2f} +- {:.2f} nats".format(samples, *mean_and_error(found["log_likelihood"])))

# %%
plots.show(plots.prior_samples(sample_means(vae, params, jax.random.key(3), 64)), f"{OUT}/samples.png")

# %% [markdown]
# ## The prior has moved to the codes
# Posterior means of all images by shape, and the components of the prior with two standard deviations.

# %%
codes = np.asarray(jax.jit(jax.vmap(lambda x: vae.encode(params, x).mean()))(images))
components = jax.tree.map(np.asarray, vae.prior(params).components)
figure = Figure(figsize=(6, 5), layout="constrained")
axes = figure.subplots()
for i, shape in enumerate(("square", "ellipse", "heart")):
    axes.scatter(*codes[factors[:, 0] == i].T, s=8, label=shape)
angle = np.linspace(0, 2 * np.pi, 100)
for i, (loc, scale) in enumerate(zip(components.loc, components.scale, strict=True)):
    ring = loc[:, None] + 2 * scale[:, None] * np.stack([np.cos(angle), np.sin(angle)])
    axes.plot(*ring, color="black", linewidth=0.8, label="prior, two standard deviations" if i == 0 else None)
axes.set_xlabel("$z_0$")
axes.set_ylabel("$z_1$")
axes.set_title("Posterior means and the components of the prior", fontsize=10)
axes.grid(alpha=0.3)
axes.legend(fontsize=8)
plots.show(figure, f"{OUT}/latents.png")
