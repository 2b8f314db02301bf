"""How likely are the data under a finished run: bounds on log p(x) from both sides, with their cost.

    python -m experiments.likelihood runs/mnist

The same as `vae-jax likelihood runs/mnist`.
"""

from __future__ import annotations

import sys

from vae_jax.cli import main

if __name__ == "__main__":
    main(["likelihood", *sys.argv[1:]])
