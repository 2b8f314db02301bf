"""`load_run` without its imports: the kit of a run and the command line are loaded when it is called."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vae_jax.runs import Finished


def load_run(folder: str | os.PathLike[str], config_type: Any = None) -> Finished:
    """A run from its folder alone, at its last checkpoint; its training data need not be there.

    config_type: the class of its config, by default that of `vae-jax train`, `vae_jax.cli.TrainConfig`.
    Returns its `model`, `params` (their moving average), `config`, the `transform` that makes an example of the
    model from a stored one, `facts` of the data and the `summary` of its final evaluation. Raises InputError for a
    folder that holds no run, one of another kind, or a damaged one.
    """
    # Here: `import vae_jax` needs neither tyro nor rich.
    from vae_jax.runs import load_run as load

    if config_type is None:
        from vae_jax.cli.train import TrainConfig

        config_type = TrainConfig
    return load(folder, config_type)
