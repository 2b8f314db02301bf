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
# # How likely are the data?
# The ELBO is a lower bound on log p(x), and may be far below it. This notebook trains a small model and bounds
# its log p(x) from below by importance sampling and by annealed importance sampling, and from both sides on
# images that the model itself has simulated.

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
OUT = os.environ.get("VAE_JAX_OUT", "runs/likelihood_notebook")

# %%
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

from vae_jax import (
    annealed_log_likelihood,
    bidirectional_bounds,
    elbo,
    evaluate,
    fit,
    importance_log_likelihood,
    init_state,
    make_vae,
    mean_and_error,
    per_example,
    plots,
    sample,
)
from vae_jax.data import render, shuffled_batches
from vae_jax.evidence import posterior_base, prior_base
from vae_jax.networks import MLPDecoder, MLPEncoder

# %% [markdown]
# ## Data and model
# Ellipses of several sizes and places, each pixel of which is turned over with probability 0.1. How these
# images come about is known, so their log p(x) is known too: no model can do better on average, and its
# estimates can be held against it.

# %%
NOISE = 0.1
size, sizes, places = (4, [0, 3], [0, 16]) if FAST else (16, [0, 1, 3, 4], np.arange(12) * 32 // 12)
# Shape, size, orientation and the two places of each image.
factors = np.stack(np.meshgrid([1], sizes, [0], places, places, indexing="ij"), axis=-1).reshape(-1, 5)
clean = jax.jit(jax.vmap(partial(render, size=size)))(factors)


def transform(key, image):
    return jnp.where(jax.random.bernoulli(key, NOISE, image.shape), 1 - image, image)


def log_p_of_source(x):
    """log (1/N) sum_i p(x | clean image i), in nats."""
    flipped = jnp.sum(x != clean, axis=(1, 2, 3))
    log_p = flipped * jnp.log(NOISE) + (x.size - flipped) * jnp.log1p(-NOISE)
    return jax.nn.logsumexp(log_p) - jnp.log(len(clean))


hidden = (8,) if FAST else (128, 128)
vae = make_vae(MLPEncoder(4, hidden), MLPDecoder(clean.shape[1:], hidden))
optimizer = optax.adam(1e-3)
state = fit(
    per_example(elbo, vae),
    optimizer,
    shuffled_batches(8 if FAST else 64, transform),
    init_state(vae.init, optimizer, jax.random.key(0)),
    clean,
    num_steps=2 if FAST else 8000,
)
params = state.ema
num_images = 4 if FAST else 64
chosen = clean[np.random.default_rng(0).permutation(len(clean))[:num_images]]
x = jax.vmap(transform)(jax.random.split(jax.random.key(1), num_images), chosen)
plots.show(
    plots.image_grid(
        jnp.stack([x[:8], sample(vae, params, jax.random.key(2), min(8, num_images))]),
        title="Noisy sprites",
        row_labels=["data", "samples"],
    ),
    f"{OUT}/images.png",
)

# %% [markdown]
# ## Bounds on test images
# Every estimator takes one example; `evaluate` runs it over all of them. L_k is the importance-weighted bound of
# k samples (Burda et al. 2016); in expectation it rises with k. Annealed importance sampling (AIS) goes from the
# prior, or from the encoder, to the posterior in many steps.


# %%
def estimates(estimator, **tunables):
    """The metrics of an estimator, one value for each image of x."""
    return evaluate(estimator, vae, params, jax.random.key(3), x, **tunables)


def describe(name, values):
    print("{:24s} {:9.3f} +- {:.3f} nats".format(name, *mean_and_error(values)), flush=True)


annealing = {
    "num_temperatures": 4 if FAST else 500,
    "num_chains": 2 if FAST else 8,
    "num_leapfrog": 1 if FAST else 5,
}
counts = (1, 2) if FAST else (1, 10, 100, 1000)
found = {"ELBO": estimates(elbo)["elbo"]}
for k in counts:
    found[f"L_{k}"] = estimates(importance_log_likelihood, num_samples=k)["log_likelihood"]
for start, base in (("prior", prior_base), ("encoder", posterior_base)):
    found[f"AIS from the {start}"] = estimates(annealed_log_likelihood, base=base, **annealing)["log_likelihood"]
found["source of the data"] = np.asarray(jax.jit(jax.vmap(log_p_of_source))(x), np.float64)
for name, values in found.items():
    describe(name, values)

# %% [markdown]
# ## From both sides
# For an image that the model has simulated, the latent that it came from is an exact sample of the posterior.
# AIS run backwards from there bounds log p(x) from above (bidirectional Monte Carlo, Grosse et al. 2015). Where
# the two bounds meet, AIS with these settings can be trusted on data such as the model makes. `evaluate` is given
# the number of images to simulate in place of data.

# %%
lengths = (2,) if FAST else (10, 30, 100, 300, 1000)
between = {}
for length in lengths:
    settings = annealing | {"num_temperatures": length}
    between[length] = evaluate(bidirectional_bounds, vae, params, jax.random.key(4), num_images, **settings)
    describe(f"upper - lower, T = {length}", between[length]["gap"])

# %% [markdown]
# ## The bounds in one figure

# %%
figure = Figure(figsize=(10, 4), layout="constrained")
left, right = figure.subplots(1, 2)
left.plot(counts, [found[f"L_{k}"].mean() for k in counts], "o-", label="importance sampling, $L_k$")
left.axhline(found["ELBO"].mean(), color="C3", linestyle=":", label="ELBO, KL in closed form")
for start, style in (("encoder", "C2-"), ("prior", "C1--")):
    level = found[f"AIS from the {start}"].mean()
    left.axhline(level, color=style[:2], linestyle=style[2:], label=f"AIS from the {start}")
left.axhline(found["source of the data"].mean(), color="black", linewidth=1, label="source of the data, exact")
left.set_xscale("log")
left.set_xlabel("k, samples of the encoder")
left.set_ylabel("log p(x) (nats per image)")
left.set_title(f"Bounds on {num_images} test images", fontsize=10)
right.plot(lengths, [between[t]["upper"].mean() for t in lengths], "v-", label="upper bound")
right.plot(lengths, [between[t]["lower"].mean() for t in lengths], "^-", label="lower bound")
right.set_xscale("log")
right.set_xlabel("temperatures")
right.set_ylabel("log p(x) (nats per image)")
right.set_title(f"Bounds on {num_images} simulated images (BDMC)", fontsize=10)
for axes in (left, right):
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
plots.show(figure, f"{OUT}/bounds.png")
