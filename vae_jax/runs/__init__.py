"""The kit of a run: one's own model, objective and data in, and out of it comes a run folder.

A config is a frozen dataclass with a field `run: RunConfig` and two methods: `load_data() -> Data` and
`make_task(facts, examples) -> Task`. With it `train` and `command_line` give progress, checkpoints, exact resume
and figures, `load_run` the finished run without its data, and the commands `evaluate` and `likelihood` its numbers.
"""

from vae_jax.runs.arguments import parse as parse
from vae_jax.runs.bounds import LikelihoodConfig as LikelihoodConfig
from vae_jax.runs.bounds import likelihood_of_run as likelihood_of_run
from vae_jax.runs.command import run_command as run_command
from vae_jax.runs.config import OWN_DATA as OWN_DATA
from vae_jax.runs.config import RunConfig as RunConfig
from vae_jax.runs.fields import MayChange as MayChange
from vae_jax.runs.fields import OfThisStart as OfThisStart
from vae_jax.runs.figures import write_figures as write_figures
from vae_jax.runs.finished import Finished as Finished
from vae_jax.runs.finished import data_of as data_of
from vae_jax.runs.finished import load_run as load_run
from vae_jax.runs.folder import read_rows as read_rows
from vae_jax.runs.in_folder import train_in_folder as train_in_folder
from vae_jax.runs.json_config import from_json as from_json
from vae_jax.runs.json_config import to_json as to_json
from vae_jax.runs.loop import train as train
from vae_jax.runs.programs import command_line as command_line
from vae_jax.runs.progress import Progress as Progress
from vae_jax.runs.scored import EvaluateConfig as EvaluateConfig
from vae_jax.runs.scored import evaluate_run as evaluate_run
from vae_jax.runs.task import EVALUATION_SEED as EVALUATION_SEED
from vae_jax.runs.task import Config as Config
from vae_jax.runs.task import Data as Data
from vae_jax.runs.task import Task as Task
