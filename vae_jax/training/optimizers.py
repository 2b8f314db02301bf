"""One optimizer for a model some of whose parameters have one of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optax

from vae_jax.errors import InputError


def partitioned(
    main: optax.GradientTransformation, own: Mapping[str, optax.GradientTransformation], params: Any
) -> optax.GradientTransformation:
    """`main` for all parameters but those named in `own`, which have theirs: `main` itself where there are none.

    own: {name in params: optimizer}, as `Trained.optimizers` has it. params: a dict of trees, or of their shapes.
    Raises InputError for a name that is not among the parameters.
    """
    if not own:
        return main
    unknown = sorted(set(own) - set(params))
    if unknown:
        raise InputError(f"optimizer of {', '.join(unknown)}: expected some of {', '.join(sorted(params))}")
    # The label of the others is no name of a parameter: a parameter may be called main.
    labels = {name: name if name in own else "" for name in params}
    return optax.partition({"": main, **own}, labels)
