"""Optimizers of Optax: the parts that a run can choose, their learning rate, and how a step uses them."""

from vae_jax.optimizers.adam import Adam as Adam
from vae_jax.optimizers.adam import Adamax as Adamax
from vae_jax.optimizers.adam import AdamW as AdamW
from vae_jax.optimizers.contrib import Ademamix as Ademamix
from vae_jax.optimizers.contrib import Adopt as Adopt
from vae_jax.optimizers.contrib import Cocob as Cocob
from vae_jax.optimizers.contrib import DAdaptAdamW as DAdaptAdamW
from vae_jax.optimizers.contrib import Madgrad as Madgrad
from vae_jax.optimizers.contrib import MomoAdam as MomoAdam
from vae_jax.optimizers.contrib import Muon as Muon
from vae_jax.optimizers.contrib import Prodigy as Prodigy
from vae_jax.optimizers.contrib import ScheduleFree as ScheduleFree
from vae_jax.optimizers.decay import decayed as decayed
from vae_jax.optimizers.in_step import optimized as optimized
from vae_jax.optimizers.in_step import partitioned as partitioned
from vae_jax.optimizers.rates import clipped as clipped
from vae_jax.optimizers.rates import rate_over_steps as rate_over_steps
from vae_jax.optimizers.sgd import SGD as SGD

Optimizer = (
    Adam
    | AdamW
    | Adamax
    | SGD
    | Ademamix
    | Adopt
    | Cocob
    | DAdaptAdamW
    | Madgrad
    | MomoAdam
    | Muon
    | Prodigy
    | ScheduleFree
)
