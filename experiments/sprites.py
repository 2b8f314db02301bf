"""A VAE on sprites rendered on the fly: nothing to download.

    python -m experiments.sprites
    python -m experiments.sprites --network conv --size 64 --num-steps 100000 --out runs/sprites64

Trains on 32x32 sprites (shape, scale, orientation, position) and writes reconstructions, samples, interpolations
and latent traversals. Fully connected (512-256) it learns more in a minute on a CPU; the convolutional network is
that of Burgess et al. 2018.
"""

from __future__ import annotations

from experiments.presets import PUBLISHED, run_preset
from vae_jax.cli.train import TrainConfig
from vae_jax.runs import RunConfig

PRESET = TrainConfig(
    data="sprites",
    run=RunConfig(out="runs/sprites", batch_size=64, num_steps=15_000, eval_every=3000, **PUBLISHED),
    latent_size=10,
)

if __name__ == "__main__":
    run_preset(PRESET, __doc__)
