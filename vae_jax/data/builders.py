"""MNIST and Fashion-MNIST through tensorflow-datasets, with builders that need no TensorFlow.

The stock builders of tensorflow-datasets decode and extract with TensorFlow. These read the same four files
(`gzip`, then the IDX format), store one example a record (`array_record`) and read back with
`as_data_source`. The first call downloads and prepares; later calls read what was prepared, without network.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vae_jax.data.idx import FASHION_MNIST, MNIST, IdxDataset, manual_path, read_idx, verified_content
from vae_jax.errors import InputError

_VERSION = "1.0.0"
_RETRIES = 4
DATA_SETS = {"mnist": MNIST, "fashion_mnist": FASHION_MNIST}


def load(
    dataset: IdxDataset | str,
    split: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
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
    with _quiet_tensorflow_datasets() as tfds:
        data_dir = Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()
        try:
            builder = _builder(tfds, dataset, data_dir, manual_dir)
            if not _is_prepared(builder):
                builder = _prepare(tfds, dataset, data_dir, manual_dir)
        except OSError as error:
            raise InputError(
                f"{dataset.name} cannot be prepared in data_dir={str(data_dir)!r} "
                f"({_one_line(error)}): pass another folder (--data-dir)"
            ) from error
        return _read(builder, split, dataset)


def _builder(tfds: Any, dataset: IdxDataset, data_dir: Path, manual_dir: Any) -> Any:
    # Inside a function, because importing tensorflow-datasets takes longer than importing this package;
    # not registered, because the name is for the folder, not for tfds.load.
    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
        name = dataset.name
        VERSION = tfds.core.Version(_VERSION)

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
            # All four are verified before the first example is written.
            if manual_dir is not None:
                folder = Path(manual_dir).expanduser()
                paths = [manual_path(folder, file) for file in dataset.files]
                remedy = "replace it by the original, or leave out --manual-dir to download it"
            else:
                urls = [f"{dataset.url}{file.name}.gz" for file in dataset.files]
                paths = [Path(path) for path in dl_manager.download(urls)]
                # The folder, because its .INFO files would hold the next download against this one.
                remedy = f"delete {paths[0].parent} and run again, or pass the originals by --manual-dir"
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

    prepared = data_dir / dataset.name / _VERSION
    try:
        return Builder(data_dir=data_dir, file_format="array_record")
    except Exception as error:
        # The constructor reads the description of what an earlier call prepared.
        if prepared.is_dir():
            raise _damaged(prepared, error) from error
        raise


def _is_prepared(builder: Any) -> bool:
    # tensorflow-datasets prepares into a folder of another name and renames it when all is written.
    return Path(builder.data_dir).is_dir()


def _prepare(tfds: Any, dataset: IdxDataset, data_dir: Path, manual_dir: Any) -> Any:
    import requests  # by way of tensorflow-datasets

    builder = _builder(tfds, dataset, data_dir, manual_dir)
    # Else it asks the network for prepared data even when the files are at hand.
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=config)
    except InputError:
        raise
    except Exception as error:
        # The rename fails if another process has prepared the same data meanwhile; theirs are as good.
        builder = _builder(tfds, dataset, data_dir, manual_dir)
        if _is_prepared(builder):
            return builder
        own = (tfds.download.DownloadError, tfds.core.download.download_manager.NonMatchingChecksumError)
        if isinstance(error, (requests.exceptions.RequestException, *own)):
            raise InputError(
                f"{dataset.name} cannot be downloaded from {dataset.url} ({_one_line(error)}): check the "
                f"network, or put {dataset.files[0].name}.gz and the three others into a folder and pass "
                "it as --manual-dir"
            ) from error
        raise
    return builder


def _read(builder: Any, split: str, dataset: IdxDataset) -> tuple[np.ndarray, np.ndarray]:
    known = builder.info.splits
    if sorted(known) != ["test", "train"]:
        raise _damaged(builder.data_dir, "its dataset_info.json names no splits")
    try:
        num_examples = known[split].num_examples
    except (KeyError, ValueError) as error:
        raise InputError(
            f"split={split!r} of {dataset.name} does not exist: expected 'train', 'test', "
            "or a part such as 'train[:1000]'"
        ) from error
    if num_examples == 0:
        raise InputError(f"split={split!r} of {dataset.name} is empty: choose a larger part")
    try:
        examples = builder.as_data_source(split).__getitems__(range(num_examples))
        images = np.stack([example["image"] for example in examples])
        labels = np.array([example["label"] for example in examples], np.int32)
    except Exception as error:  # whatever a damaged record provokes in the libraries below
        raise _damaged(builder.data_dir, error) from error
    return images, labels


def _damaged(folder: Any, reason: Exception | str) -> InputError:
    return InputError(
        f"the prepared data in {folder} cannot be read ({_one_line(reason)}): delete this folder and run again"
    )


def _one_line(error: Exception | str) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 160 else text[:160] + "..."


@contextlib.contextmanager
def _quiet_tensorflow_datasets() -> Iterator[Any]:
    """tensorflow-datasets without its bars, banners and warnings about retries; all restored on exit."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import downloader
    from tensorflow_datasets.core.utils import tqdm_utils

    loggers = [logging.getLogger(name) for name in ("absl", "urllib3.connectionpool")]
    before = [logger.level for logger in loggers]
    bars, retries = tqdm_utils._active, downloader.MAX_RETRIES
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        tqdm_utils._active = False
        # Its ten retries, each after twice the pause of the last, keep a machine without network for minutes.
        downloader.MAX_RETRIES = _RETRIES
        with contextlib.redirect_stdout(io.StringIO()):
            yield tfds
    finally:
        tqdm_utils._active, downloader.MAX_RETRIES = bars, retries
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
