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
# # Many runs in one program, and how disentangled they are
# Random seeds matter as much as methods (Locatello et al. 2019). `train_many` trains all seeds and all weights
# beta of a beta-VAE in one compiled program. The factors of the sprites are known, so the mutual information
# gap (MIG) of every run can be computed. The whole study is `python -m experiments.disentanglement`.

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
OUT = os.environ.get("VAE_JAX_OUT", "runs/disentanglement_notebook")

# %%
from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vae_jax import (
    elbo,
    init_many,
    make_vae,
    mutual_information_gap,
    per_example,
    plots,
    run_of,
    train_many,
    traverse,
)
from vae_jax.data import render, shuffled_batches
from vae_jax.networks import MLPDecoder, MLPEncoder
from vae_jax.runs.scores import encoder

# %% [markdown]
# ## Data: ellipses of three factors
# Every combination of 6 sizes and 16 x 16 places.

# %%
size, sizes, places = (4, [0, 3], [0, 16]) if FAST else (16, np.arange(6), np.arange(0, 32, 2))
# Shape, size, orientation and the two places of each image; the second and the last two vary.
grid = np.stack(np.meshgrid([1], sizes, [0], places, places, indexing="ij"), axis=-1).reshape(-1, 5)
factors, factor_names = grid[:, [1, 3, 4]], ("size", "position x", "position y")
images = jax.jit(jax.vmap(partial(render, size=size)))(grid)
print(f"{len(images)} images of {images.shape[1:]}; factors: {', '.join(factor_names)}")

# %% [markdown]
# ## All runs at once
# A run is a seed and a beta. The parameters of all runs have one more axis in front, and `run_of` takes one run
# out.

# %%
BETAS, SEEDS = ((1.0, 4.0), 2) if FAST else ((1.0, 2.0, 4.0), 4)
NUM_STEPS = 2 if FAST else 6000
runs = list(product(BETAS, range(SEEDS)))
hidden = (8,) if FAST else (128, 128)
vae = make_vae(MLPEncoder(6, hidden), MLPDecoder(images.shape[1:], hidden), examples=images)
optimizer = optax.adam(2e-3)


def after_call(states, metrics):
    if int(states.step) % 1000 == 0:
        print(
            f"step {int(states.step)}: mean ELBO of each run {np.round(metrics['elbo'].mean(axis=1), 1)}",
            flush=True,
        )


states = train_many(
    lambda beta: (per_example(elbo, vae, beta=beta), optimizer),
    shuffled_batches(8 if FAST else 64),
    init_many(vae.init, optimizer, jnp.stack([jax.random.key(seed) for _, seed in runs])),
    images,
    {"beta": [beta for beta, _ in runs]},
    num_steps=NUM_STEPS,
    after_call=after_call,
)

# %% [markdown]
# ## Scores
# The codes are posterior means. A figure of violins shows how far the seeds of one beta differ.

# %%
encode = encoder(vae, lambda key, x: x)
codes = [encode(run_of(states.ema, i), jax.random.key(0), images) for i in range(len(runs))]
gaps = [mutual_information_gap(code["loc"], factors) for code in codes]
scores = np.array([float(gap.score) for gap in gaps])
for (beta, seed), code, score in zip(runs, codes, scores, strict=True):
    print(f"beta {beta:g}, seed {seed}: MIG {score:.3f}, ELBO {code['elbo'].mean():.2f} nats")
by_beta = {f"beta = {beta:g}": [s for (b, _), s in zip(runs, scores, strict=True) if b == beta] for beta in BETAS}
plots.show(plots.violins(by_beta, title=f"MIG of {SEEDS} seeds", label="MIG (20 bins)"), f"{OUT}/violins.png")

# %% [markdown]
# ## The best run
# In a disentangled code each factor has one latent that knows it, and no second one. Latents that are not used are
# marked: the decoder sees no more of a latent than its rate.

# %%
best = int(scores.argmax())
beta, seed = runs[best]
matrix = np.asarray(gaps[best].mutual_information)
title = f"beta {beta:g}, seed {seed}: MIG {scores[best]:.2f}"
rates = codes[best]["rates"].mean(axis=0)
plots.show(plots.information(matrix, factor_names, title=title, rates=rates), f"{OUT}/information.png")

# %%
params = run_of(states.ema, best)
middle = images[len(images) // 2]
moved = jax.jit(lambda params: traverse(vae, params, vae.encode(params, middle).mean()))(params)
plots.show(plots.traversals(moved, rates), f"{OUT}/traversals.png")
