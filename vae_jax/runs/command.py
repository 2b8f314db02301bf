"""From a command line to an experiment."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import tyro

from vae_jax.runs.processes import join
from vae_jax.runs.starting import Start, prepare
from vae_jax import InputError


def command_line(
    main: Callable[[Any], Any],
    config_type: type,
    description: str | None,
    arguments: Sequence[str] | None = None,
    default: Any = None,
) -> None:
    """Runs an experiment from the command line: bad input is one line on stderr and exit code 2.

    `default`: a config that stands in for the defaults of its type, a preset.
    """
    both = tuple(Annotated[part, tyro.conf.arg(name="")] for part in (config_type, Start))
    preset = {} if default is None else {"default": (default, Start())}
    parsed: Any = tyro.cli(tuple[both], description=description, args=arguments, **preset)  # type: ignore
    config, how = parsed
    prepare(how)
    # What goes wrong is printed in one line; Orbax and its event loop would add pages of their own.
    sys.unraisablehook = lambda unraisable: None
    for name in ("absl", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        join(getattr(getattr(config, "run", None), "distributed", False))
        main(config)
    except (InputError, OSError) as error:
        sys.exit(_fail(error))
    except KeyboardInterrupt:
        print("\nstopped; go on with --resume", file=sys.stderr)
        sys.exit(130)


def _fail(error: Exception) -> int:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return 2
