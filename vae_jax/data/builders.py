"""MNIST and Fashion-MNIST through tensorflow-datasets, with builders that need no TensorFlow.

The stock builders of tensorflow-datasets decode and extract with TensorFlow. These read the same four files
(`gzip`, then the IDX format), store one example a record (`array_record`) and read back with
`as_data_source`. The first call downloads and prepares; later calls read what was prepared, without network.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from vae_jax.data.idx import FASHION_MNIST, MNIST, IdxDataset, read_idx, verified_content
from vae_jax.data.prepared import VERSION, check_splits, damage_reported, open_prepared, source_paths
from vae_jax.errors import InputError

DATA_SETS = {"mnist": MNIST, "fashion_mnist": FASHION_MNIST}


def load(
    dataset: IdxDataset | str,
    split: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> tuple[UInt8[np.ndarray, "N H W C"], Int[np.ndarray, " N"]]:
    """Images and labels of a split, in the order of the original files.

    Args:
      dataset: one of the names in `DATA_SETS`, or an `IdxDataset` of your own.
      split: "train", "test", or a part of them as tensorflow-datasets writes it: "train[:50000]".
      data_dir: where the prepared data are kept; by default that of tensorflow-datasets, TFDS_DATA_DIR in the
        environment or `~/tensorflow_datasets`.
      manual_dir: a folder that has the four files, compressed or not, used in place of a download if the data
        are not prepared yet.

    Returns:
      images: uint8 [N, H, W, C], and labels: int32 [N].

    Raises:
      InputError: a file is missing, cannot be downloaded, is damaged or is not the original; the prepared
        data cannot be read; there is no such split.
    """
    if isinstance(dataset, str):
        if dataset not in DATA_SETS:
            raise InputError(f"unknown data set {dataset!r}: expected one of {', '.join(DATA_SETS)}")
        dataset = DATA_SETS[dataset]
    by_hand = f"put {dataset.files[0].name}.gz and the three others into a folder"
    with open_prepared(
        dataset.name,
        lambda tfds: _define(tfds, dataset, manual_dir),
        data_dir=data_dir,
        url=dataset.url,
        by_hand=by_hand,
    ) as builder:
        return _read(builder, split, dataset)


def _define(tfds: Any, dataset: IdxDataset, manual_dir: Any) -> Any:
    # Not registered, because the name is for the folder, not for tfds.load.
    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[misc, call-arg, unused-ignore]
        name = dataset.name
        VERSION = tfds.core.Version(VERSION)

        def _info(self) -> Any:
            image = tfds.features.Tensor(shape=dataset.image_shape, dtype=np.uint8, encoding="zlib")
            label = tfds.features.ClassLabel(names=dataset.classes)
            return tfds.core.DatasetInfo(
                builder=self,
                homepage=dataset.homepage,
                features=tfds.features.FeaturesDict({"image": image, "label": label}),
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            names = [(f"{file.name}.gz", file.name) for file in dataset.files]
            paths, remedy = source_paths(dl_manager, dataset.url, names, manual_dir)
            # All four are verified before the first example is written.
            arrays = [
                read_idx(verified_content(path, file, remedy), str(path))
                for path, file in zip(paths, dataset.files, strict=True)
            ]
            return {
                "train": self._generate_examples(*arrays[:2]),
                "test": self._generate_examples(*arrays[2:]),
            }

        def _generate_examples(self, images: np.ndarray, labels: np.ndarray) -> Iterator[tuple[int, Any]]:
            images = images.reshape(-1, *dataset.image_shape)
            for i, (image, label) in enumerate(zip(images, labels, strict=True)):
                yield i, {"image": image, "label": int(label)}

    return Builder


def _read(
    builder: Any, split: str, dataset: IdxDataset
) -> tuple[UInt8[np.ndarray, "N H W C"], Int[np.ndarray, " N"]]:
    known = check_splits(builder, ("test", "train"))
    try:
        num_examples = known[split].num_examples
    except (KeyError, ValueError) as error:
        raise InputError(
            f"split={split!r} of {dataset.name} does not exist: expected 'train', 'test', "
            "or a part such as 'train[:1000]'"
        ) from error
    if num_examples == 0:
        raise InputError(f"split={split!r} of {dataset.name} is empty: choose a larger part")
    with damage_reported(builder):
        examples = builder.as_data_source(split).__getitems__(range(num_examples))
        images = np.stack([example["image"] for example in examples])
        labels = np.array([example["label"] for example in examples], np.int32)
    return images, labels
