"""Estimates over a whole data set: every example counts once, each with a key of its own."""

from vae_jax.evaluation.over_data import NotFiniteError as NotFiniteError
from vae_jax.evaluation.over_data import evaluate as evaluate
from vae_jax.evaluation.over_data import evaluator as evaluator
from vae_jax.evaluation.over_data import mean_and_error as mean_and_error
from vae_jax.evaluation.over_data import plug_in as plug_in
