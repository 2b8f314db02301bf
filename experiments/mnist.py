"""The VAE of Kingma and Welling 2013 on MNIST, Fashion-MNIST, or your own images.

    python -m experiments.mnist
    python -m experiments.mnist --data fashion_mnist --out runs/fashion
    python -m experiments.mnist --data my_images.npz --out runs/mine
    python -m experiments.mnist --data larger_than_memory.npy --stream --out runs/streamed

784-400-20 with one hidden layer a side, dynamic binarization, batch 128, Adam 1e-3: after 20 epochs the test ELBO
is -99.4 nats with seed 0. Images that are not nearly black and white, Fashion-MNIST and most of one's own, get a
likelihood of their levels, which is printed; `likelihood:bernoulli-pixels` binarizes them, as some papers do.
"""

from __future__ import annotations

from experiments.presets import PUBLISHED, run_preset
from vae_jax.cli.train import TrainConfig
from vae_jax.runs import RunConfig

PRESET = TrainConfig(data="mnist", run=RunConfig(out="runs/mnist", **PUBLISHED), hidden=(400,), latent_size=20)

if __name__ == "__main__":
    run_preset(PRESET, __doc__)
