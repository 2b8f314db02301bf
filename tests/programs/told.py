"""One of two processes that train together; a signal comes to the second. Prints at which step it stopped, and what
it says of data that cannot train, as JSON.

python -m tests.programs.told ADDRESS PROCESS
"""

import contextlib
import functools
import json
import os
import signal
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vae_jax import NonFiniteLossError, fit, init_state
from vae_jax.runs.processes import any_process
from vae_jax.runs.stopping import sigterm_noted
from vae_jax.training.sharding import make_mesh, replicate, shard_batches, state_sharding


class StoppedError(Exception):
    """What ends the training here, where a run would save its state and exit."""


def squared_error(params, key, batch, step):
    return jnp.mean((params["w"] - batch) ** 2), {}


def infinite(params, key, batch, step):
    return jnp.inf * (1.0 + jnp.mean(params["w"])), {}


def main(address: str, process: int) -> None:
    jax.distributed.initialize(address, num_processes=2, process_id=process)
    mesh, optimizer = make_mesh(), optax.sgd(0.1)
    place = functools.partial(state_sharding, mesh)
    fresh = functools.partial(
        init_state, lambda key: {"w": jnp.zeros(2)}, optimizer, jax.random.key(0), sharding=place
    )
    steps = []
    with sigterm_noted() as stop:

        def after_call(state, metrics):
            steps.append(int(state.step))
            if process == 1 and steps[-1] == 6:
                os.kill(os.getpid(), signal.SIGTERM)
            if any_process(bool(stop)):
                raise StoppedError

        next_batch = shard_batches(mesh, lambda data, key, step: data)
        data = replicate(mesh, np.full((4, 2), 7.0, np.float32))
        with contextlib.suppress(StoppedError):
            fit(
                squared_error,
                optimizer,
                next_batch,
                fresh(),
                data,
                num_steps=20,
                steps_per_call=3,
                after_call=after_call,
            )
    try:
        fit(infinite, optimizer, next_batch, fresh(), data, num_steps=1)
    except NonFiniteLossError as error:
        print(json.dumps({"steps": steps, "told": len(stop), "cause": str(error)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
