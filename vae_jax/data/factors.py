"""dSprites and 3D Shapes through tensorflow-datasets: images whose factors of variation are known.

As in `builders`, nothing here needs TensorFlow. The first call downloads one file and prepares it, a block of
images at a time, which takes minutes; later calls read what was prepared, without network, and only the examples
that they were asked for.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from vae_jax.data.factor_files import Content, read_dsprites, read_shapes3d
from vae_jax.data.files import readable
from vae_jax.data.prepared import VERSION, check_splits, damage_reported, open_prepared, source_paths
from vae_jax.errors import InputError, printable

_SHARD_BYTES = 2**26  # of images: what the preparation holds, for one shard is kept until it is counted
_READ_AT_ONCE = 4096


@dataclasses.dataclass(frozen=True)
class FactorsDataset:
    """A data set of one file that has every combination of its factors once."""

    name: str  # of the folder in data_dir; not "dsprites", which holds what the stock builder prepares
    file: str
    url: str  # of the folder that has the file
    homepage: str
    image_shape: tuple[int, int, int]
    factor_names: tuple[str, ...]
    factor_sizes: tuple[int, ...]
    read: Callable[[Path, tuple[int, ...]], Content]  # the file, [N, H, W, C] -> labels, blocks of images
    sha256: str | None = None  # of the file; where it is not known, md5 is verified; where neither is, nothing
    md5: str | None = None


# A trustworthy SHA-256 of the .npz was not at hand. The MD5 is the one that public loaders of the file agree on.
DSPRITES = FactorsDataset(
    name="vae_jax_dsprites",
    file="dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz",
    url="https://github.com/google-deepmind/dsprites-dataset/raw/master/",
    homepage="https://github.com/google-deepmind/dsprites-dataset",
    image_shape=(64, 64, 1),
    factor_names=("shape", "scale", "orientation", "position_x", "position_y"),
    factor_sizes=(3, 6, 40, 32, 32),
    read=read_dsprites,
    md5="7da33b31b13a06f4b04a70402ce90c2e",
)

# The hash is the one registered by tensorflow-datasets in its datasets/shapes3d/checksums.tsv.
SHAPES3D = FactorsDataset(
    name="vae_jax_shapes3d",
    file="3dshapes.h5",
    url="https://storage.googleapis.com/3d-shapes/",
    homepage="https://github.com/google-deepmind/3d-shapes",
    image_shape=(64, 64, 3),
    factor_names=("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation"),
    factor_sizes=(10, 10, 10, 8, 4, 15),
    read=read_shapes3d,
    sha256="0a0f6ed98baff276a50f3a081a7434d788da63cb135a98189b2a5b5769be1785",
)

FACTOR_DATA_SETS = {"dsprites": DSPRITES, "shapes3d": SHAPES3D}


def load_factors(
    dataset: FactorsDataset | str,
    *,
    num_examples: int | None = None,
    seed: int = 0,
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> tuple[UInt8[np.ndarray, "N H W C"], Int[np.ndarray, "N k"]]:
    """Images and the factors that made them, all in the order of the original file or some in a random order.

    Sources: dSprites, Matthey et al. 2017; 3D Shapes, Burgess and Kim 2018.

    Args:
      dataset: one of the names in `FACTOR_DATA_SETS`, or a `FactorsDataset` of your own.
      num_examples: how many to draw without repetition, the first of `np.random.default_rng(seed).permutation`, so
        that a smaller draw is the beginning of a larger one; None for all, in the order of the file. Only what is
        drawn is read: all of dSprites are 3.0 GB, all of 3D Shapes 5.9 GB.
      seed: of that draw.
      data_dir: where the prepared data are kept; by default that of tensorflow-datasets, TFDS_DATA_DIR in the
        environment or `~/tensorflow_datasets`.
      manual_dir: a folder that has the file, used in place of a download if the data are not prepared yet.

    Returns:
      images: uint8 [N, H, W, C] of 0..255, also where they are binary (0 and 255): `scale_to_unit` makes
        floats in [0, 1] of both data sets.
      factors: int32 [N, k], column j numbers the sorted values of factor j as 0 ... factor_sizes[j] - 1.

    Raises:
      InputError: the file is missing, cannot be downloaded, is damaged or is not the original; the prepared
        data cannot be read; num_examples is out of range; h5py is not installed (3D Shapes).
    """
    dataset = _known(dataset)
    total = math.prod(dataset.factor_sizes)
    if num_examples is not None and not 1 <= num_examples <= total:
        raise InputError(f"num_examples={num_examples} of {dataset.name}: expected 1 to {total}, or None for all")
    order = np.arange(total) if num_examples is None else np.random.default_rng(seed).permutation(total)
    with _opened(dataset, data_dir, manual_dir) as builder:
        return _read(builder, order[:num_examples], dataset)


class FactorImages:
    """The images of `load_factors`, uint8 [H, W, C], read when they are asked for: a `Source`.

    `rows`: which of them, in the order of the original file, int [n]; by default all. Arguments and errors as of
    `load_factors`.
    """

    def __init__(
        self,
        dataset: FactorsDataset | str,
        rows: Int[np.ndarray, " n"] | None = None,
        *,
        data_dir: str | os.PathLike[str] | None = None,
        manual_dir: str | os.PathLike[str] | None = None,
    ):
        self.dataset = _known(dataset)
        self.rows = np.arange(math.prod(self.dataset.factor_sizes)) if rows is None else rows
        with _opened(self.dataset, data_dir, manual_dir) as self._builder:
            self._source = self._builder.as_data_source("train")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int, /) -> UInt8[np.ndarray, "H W C"]:
        return self.__getitems__([index])[0]

    def __getitems__(self, index: list[int], /) -> list[UInt8[np.ndarray, "H W C"]]:
        with damage_reported(self._builder):
            return [example["image"] for example in self._source.__getitems__(self.rows[index].tolist())]

    def examples(self) -> tuple[UInt8[np.ndarray, "n H W C"], Int[np.ndarray, "n k"]]:
        """All images of these rows, and their factors, in memory."""
        return _read(self._builder, self.rows, self.dataset)


def _known(dataset: FactorsDataset | str) -> FactorsDataset:
    if not isinstance(dataset, str):
        return dataset
    if dataset not in FACTOR_DATA_SETS:
        raise InputError(f"unknown data set {dataset!r}: expected one of {', '.join(FACTOR_DATA_SETS)}")
    return FACTOR_DATA_SETS[dataset]


@contextlib.contextmanager
def _opened(dataset: FactorsDataset, data_dir: Any, manual_dir: Any) -> Iterator[Any]:
    with open_prepared(
        dataset.name,
        lambda tfds: _define(tfds, dataset, manual_dir),
        data_dir=data_dir,
        url=dataset.url,
        by_hand=f"put {dataset.file} into a folder",
    ) as builder:
        check_splits(builder, ("train",))
        yield builder


def _define(tfds: Any, dataset: FactorsDataset, manual_dir: Any) -> Any:
    # By shards, because the other kind of builder keeps up to 1 GB of records in memory and then needs TensorFlow.
    class Builder(tfds.core.ShardBasedBuilder, skip_registration=True):  # type: ignore[misc, call-arg, unused-ignore]
        name = dataset.name
        VERSION = tfds.core.Version(VERSION)

        def _info(self) -> Any:
            image = tfds.features.Tensor(shape=dataset.image_shape, dtype=np.uint8, encoding="zlib")
            factors = tfds.features.Tensor(shape=(len(dataset.factor_sizes),), dtype=np.int32)
            return tfds.core.DatasetInfo(
                builder=self,
                homepage=dataset.homepage,
                features=tfds.features.FeaturesDict({"image": image, "factors": factors}),
                disable_shuffling=True,
            )

        def _shard_iterators_per_split(self, dl_manager: Any) -> dict[str, Any]:
            (path,), remedy = source_paths(dl_manager, dataset.url, [(dataset.file,)], manual_dir)
            with readable(path, remedy):
                _verify(path, dataset, remedy)
            examples = _examples(path, dataset, remedy)
            per_shard = max(1, _SHARD_BYTES // math.prod(dataset.image_shape))
            num_shards = -(-math.prod(dataset.factor_sizes) // per_shard)
            # They are written one after another, so that one stream serves all.
            return {"train": [lambda: itertools.islice(examples, per_shard)] * num_shards}

    return Builder


def _examples(path: Path, dataset: FactorsDataset, remedy: str) -> Iterator[tuple[int, Any]]:
    shape = (math.prod(dataset.factor_sizes), *dataset.image_shape)
    with readable(path, remedy):
        labels, blocks = dataset.read(path, shape)
        images = itertools.chain.from_iterable(blocks)
        for i, (image, factors) in enumerate(zip(images, _numbered(labels, dataset), strict=True)):
            yield i, {"image": image, "factors": factors}


def _numbered(labels: np.ndarray, dataset: FactorsDataset) -> np.ndarray:
    """int32 [N, k]: each column of `labels`, [N, k], as numbers of its sorted values."""
    expected = (math.prod(dataset.factor_sizes), len(dataset.factor_sizes))
    if labels.shape != expected:
        raise ValueError(f"labels of shape {labels.shape}, expected {expected}")
    factors = np.empty(labels.shape, np.int32)
    for j, (name, size) in enumerate(zip(dataset.factor_names, dataset.factor_sizes, strict=True)):
        values, factors[:, j] = np.unique(labels[:, j], return_inverse=True)
        if len(values) != size:
            raise ValueError(f"factor {name} has {len(values)} values, expected {size}")
    return factors


def _verify(path: Path, dataset: FactorsDataset, remedy: str) -> None:
    algorithm, expected = ("sha256", dataset.sha256) if dataset.sha256 else ("md5", dataset.md5)
    if expected is None:
        return
    with path.open("rb") as file:
        got = hashlib.file_digest(file, algorithm).hexdigest()
    if got != expected:
        raise InputError(f"{printable(path)} has {algorithm} {got}, expected {expected} of the original: {remedy}")


def _read(
    builder: Any, order: np.ndarray, dataset: FactorsDataset
) -> tuple[UInt8[np.ndarray, "N H W C"], Int[np.ndarray, "N k"]]:
    images = np.empty((len(order), *dataset.image_shape), np.uint8)
    factors = np.empty((len(order), len(dataset.factor_sizes)), np.int32)
    with damage_reported(builder):
        source = builder.as_data_source("train")
        # In blocks, because the records of all would take as much memory again.
        for start in range(0, len(order), _READ_AT_ONCE):
            keys = order[start : start + _READ_AT_ONCE].tolist()
            for i, example in enumerate(source.__getitems__(keys), start):
                images[i], factors[i] = example["image"], example["factors"]
    return images, factors
