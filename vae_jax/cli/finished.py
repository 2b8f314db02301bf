"""The options of `vae-jax evaluate` and `vae-jax likelihood` that only image data have."""

from __future__ import annotations

import dataclasses

from vae_jax.runs.bounds import LikelihoodConfig
from vae_jax.runs.scored import EvaluateConfig


@dataclasses.dataclass(frozen=True)
class ImageFolders:
    """Where the images of a finished run are on this machine: fields of `TrainConfig`, given anew."""

    data_dir: str | None = None
    """Where prepared data are kept; by default ~/tensorflow_datasets."""
    manual_dir: str | None = None
    """Folder that holds the original files, where there is no network."""


@dataclasses.dataclass(frozen=True)
class EvaluateImages(ImageFolders, EvaluateConfig):
    """`EvaluateConfig` of a run on images."""

    __doc__ = EvaluateConfig.__doc__  # the help


@dataclasses.dataclass(frozen=True)
class LikelihoodOfImages(ImageFolders, LikelihoodConfig):
    """`LikelihoodConfig` of a run on images."""

    __doc__ = LikelihoodConfig.__doc__  # the help
