"""A conditional VAE on MNIST with the digit as the condition (Sohn et al. 2015).

    python -m experiments.conditional

Writes class-conditional samples, one row a digit, and analogies: the style of one image in all ten digits.
"""

from __future__ import annotations

from experiments.presets import PUBLISHED, run_preset
from vae_jax.cli.train import TrainConfig
from vae_jax.runs import RunConfig

PRESET = TrainConfig(
    data="mnist",
    run=RunConfig(out="runs/conditional", **PUBLISHED),
    conditional=True,
    hidden=(400,),
    latent_size=20,
)

if __name__ == "__main__":
    run_preset(PRESET, __doc__)
