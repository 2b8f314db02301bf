"""From a command line to what it does: bad input is one line, and nothing outlives it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

from vae_jax.errors import InputError
from vae_jax.runs.arguments import parse
from vae_jax.runs.processes import join
from vae_jax.runs.starting import prepare


def run_command(
    main: Callable[[Any], Any],
    config_type: type,
    description: str | None = None,
    arguments: Sequence[str] | None = None,
    default: Any = None,
    positional: Sequence[str] = (),
    prog: str | None = None,
) -> None:
    """Calls `main(config)` with what the arguments ask for: bad input is one line on stderr and exit code 2.

    The rest as `vae_jax.runs.arguments.parse`; arguments: by default those of this process.
    """
    try:
        given = sys.argv[1:] if arguments is None else arguments
        config, how = parse(
            config_type, given, default=default, positional=positional, description=description, prog=prog
        )
        prepare(how)
        # What goes wrong is printed in one line; Orbax and its event loop would add pages of their own.
        sys.unraisablehook = lambda unraisable: None
        for name in ("absl", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
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
