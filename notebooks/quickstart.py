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
# # Quickstart
# A VAE on sprites that are rendered on the fly: nothing to download. It trains on whatever jax finds, a CPU, a
# GPU or a TPU, saves its state as it goes, and goes on from there when this notebook runs again.

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
OUT = os.environ.get("VAE_JAX_OUT", "runs/quickstart")

# %% [markdown]
# `OUT` is where checkpoints and figures go. A Colab runtime loses its disk when it is reset. For a run that
# survives that, mount a drive and give a folder on it, or give a bucket, `gs://bucket/folder`:
#
# ```python
# from google.colab import drive
# drive.mount("/content/drive")
# OUT = "/content/drive/MyDrive/vae_jax/quickstart"
# ```

# %%
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vae_jax import (
    elbo,
    evaluate,
    fit,
    init_state,
    make_vae,
    mean_and_error,
    per_example,
    plots,
    rate_per_latent,
    reconstruct,
    sample_means,
    traverse,
)
from vae_jax.data import NUM_SPRITES, factors_of, render, shuffled_batches
from vae_jax.networks import MLPDecoder, MLPEncoder, logit_bias
from vae_jax.paths import as_path
from vae_jax.runs import read_rows, train_in_folder

device = jax.devices()[0]
# TPUs, and GPUs since Ampere (8.0; a T4 is 7.5), multiply bfloat16 several times as fast as float32. Parameters,
# likelihoods and sums stay float32.
older_gpu = str(getattr(device, "compute_capability", "")).startswith(("5.", "6.", "7."))
bfloat16_pays = device.platform in ("tpu", "gpu") and not older_gpu
dtype = jnp.bfloat16 if bfloat16_pays else jnp.float32
print(f"{device.device_kind} ({device.platform}), networks in {jnp.dtype(dtype).name}")

# %% [markdown]
# ## Data
# An example is the index of a sprite; `transform` renders it on the device, when a batch is made.

# %%
SIZE = 8 if FAST else 32
order = np.random.default_rng(0).permutation(NUM_SPRITES).astype(np.int32)
test, train = order[: 16 if FAST else 2000], order[2000:]


def transform(key, index):
    return render(factors_of(index), size=SIZE)


images = jax.jit(jax.vmap(partial(transform, None)))
pixel_means = np.asarray(images(train[:2000]).mean(axis=0))

# %% [markdown]
# ## Model and objective
# A `VAE` is four functions of one example: `init`, `encode`, `decode`, `prior`. `per_example` lifts an
# objective of one example to a batch; `beta` may be a number or a schedule of the step.

# %%
hidden = (8,) if FAST else (512, 256)
vae = make_vae(
    MLPEncoder(latent_size=10, hidden=hidden, dtype=dtype),
    MLPDecoder((SIZE, SIZE, 1), hidden[::-1], output_bias=logit_bias(pixel_means), dtype=dtype),
)
objective = per_example(elbo, vae, beta=1.0)
optimizer = optax.adam(1e-3)

# %% [markdown]
# ## Training
# Many steps run in one compiled call. `train_in_folder` keeps checkpoints and a log in a folder: a run that was
# stopped anywhere goes on from its last checkpoint and ends with the same numbers as one that was not. To train
# longer, raise `NUM_STEPS` and run the cell again.

# %%
NUM_STEPS, SAVE_EVERY = (4, 2) if FAST else (10_000, 1000)
folder = as_path(OUT)


def advance(state, after_call):
    if int(state.step):
        print(f"goes on from step {int(state.step)}")
    return fit(
        objective,
        optimizer,
        shuffled_batches(8 if FAST else 64, transform),
        state,
        jnp.asarray(train),
        num_steps=NUM_STEPS,
        steps_per_call=min(SAVE_EVERY, 100),
        after_call=after_call,
    )


fresh = init_state(vae.init, optimizer, jax.random.key(0))
state = train_in_folder(folder, fresh, advance, num_steps=NUM_STEPS, save_every=SAVE_EVERY)

# %% [markdown]
# ## Test ELBO
# At the moving average of the parameters, one sample of z per example, in nats.

# %%
values = evaluate(elbo, vae, state.ema, jax.random.key(1), test, transform=transform)
for name in ("elbo", "distortion", "rate"):
    print("{:10s} {:8.2f} +- {:.2f} nats".format(name, *mean_and_error(values[name])))

# %% [markdown]
# ## Figures

# %%
x, keys = images(test[:16]), jax.random.split(jax.random.key(2), 16)


@jax.jit
def pictures(params):
    x_hat = jax.vmap(partial(reconstruct, vae, params))(keys, x)
    samples = sample_means(vae, params, jax.random.key(3), 64)
    moved = traverse(vae, params, vae.encode(params, x[0]).mean())
    rates = jax.vmap(partial(rate_per_latent, vae, params))(x).mean(axis=0)
    return x_hat, samples, moved, rates


x_hat, samples, moved, rates = pictures(state.ema)
plots.show(plots.training_curves(read_rows(folder)), f"{OUT}/figures/training.png")

# %%
plots.show(plots.reconstructions(x, x_hat), f"{OUT}/figures/reconstructions.png")

# %%
plots.show(plots.prior_samples(samples), f"{OUT}/figures/samples.png")

# %% [markdown]
# Traversals: one latent a row, moved over the prior while the others stay at the code of one image. Latents
# with a rate near 0 are not used.

# %%
plots.show(plots.traversals(moved, rates), f"{OUT}/figures/traversals.png")
