"""What every builder of tensorflow-datasets in this package shares: prepare once, read back, errors of one line."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vae_jax.data.files import is_file
from vae_jax.errors import InputError, one_line, printable
from vae_jax.paths import local_path

VERSION = "1.0.0"
_RETRIES = 4


@contextlib.contextmanager
def open_prepared(
    name: str,
    define: Callable[[Any], Any],
    *,
    data_dir: str | os.PathLike[str] | None,
    url: str,
    by_hand: str,
) -> Iterator[Any]:
    """The builder of the data set `name` once its data are prepared, which happens here unless it has before.

    Args:
      define: tensorflow-datasets -> the class of the builder.
      data_dir: where the prepared data are kept; None for the default of tensorflow-datasets.
      url: where it downloads from, for the message if that fails.
      by_hand: what to do instead, for the same message: "put the file into a folder".

    Raises: InputError if the data can be neither downloaded nor prepared, or are damaged.
    """
    with _quiet_tensorflow_datasets() as tfds:
        folder = _data_dir(data_dir or tfds.core.constants.DATA_DIR)

        def construct() -> Any:
            return _construct(define(tfds), folder, folder / name / VERSION)

        try:
            builder = construct()
            if not _is_prepared(builder):
                builder = _prepare(tfds, name, construct, url, by_hand)
        except OSError as error:
            raise InputError(
                f"{name} cannot be prepared in data_dir={printable(folder)!r} "
                f"({one_line(error)}): pass another folder (--data-dir)"
            ) from error
        yield builder


def manual_path(folder: Path, *names: str) -> Path:
    """The first of the files `names` that is in a folder which the user filled.

    Raises: InputError if there is no such folder or none of the files.
    """
    if not folder.is_dir():
        raise InputError(f"manual_dir={printable(folder)!r} is not a folder: pass the one with {names[0]}")
    for name in names:
        if is_file(folder / name):
            return folder / name
    raise InputError(
        f"{printable(folder / names[0])} is missing: put it there, or leave out --manual-dir to download it"
    )


def source_paths(
    dl_manager: Any, url: str, names: Sequence[Sequence[str]], manual_dir: Any
) -> tuple[list[Path], str]:
    """The files of a data set, downloaded or from `manual_dir`, and what to do if one is not the original.

    names: for each file, what it may be called; the first is what is downloaded from `url`, the folder.
    """
    if manual_dir is not None:
        folder = local_path(manual_dir)
        paths = [manual_path(folder, *called) for called in names]
        return paths, "replace it by the original, or leave out --manual-dir to download it"
    paths = [Path(path) for path in dl_manager.download([f"{url}{called[0]}" for called in names])]
    # The folder, because its .INFO files would hold the next download against this one.
    return paths, f"delete {paths[0].parent} and run again, or pass the originals by --manual-dir"


def check_splits(builder: Any, expected: Sequence[str]) -> Any:
    """The splits of prepared data. Raises: InputError if their names are not `expected`, which are sorted."""
    known = builder.info.splits
    if sorted(known) != list(expected):
        raise _damaged(builder.data_dir, "its dataset_info.json names no splits")
    return known


@contextlib.contextmanager
def damage_reported(builder: Any) -> Iterator[None]:
    """Turns whatever a damaged record provokes in the libraries below into one InputError that tells the folder."""
    try:
        yield
    except Exception as error:
        raise _damaged(builder.data_dir, error) from error


def _data_dir(folder: Any) -> Path:
    try:
        return local_path(folder)
    except InputError as error:
        raise InputError(f"data_dir: {error} (--data-dir)") from error


def _construct(builder_class: Any, data_dir: Path, prepared: Path) -> Any:
    try:
        return builder_class(data_dir=data_dir, file_format="array_record")
    except Exception as error:
        # The constructor reads the description of what an earlier call prepared.
        if prepared.is_dir():
            raise _damaged(prepared, error) from error
        raise


def _is_prepared(builder: Any) -> bool:
    # tensorflow-datasets prepares into a folder of another name and renames it when all is written.
    return Path(builder.data_dir).is_dir()


def _prepare(tfds: Any, name: str, construct: Callable[[], Any], url: str, by_hand: str) -> Any:
    import requests  # by way of tensorflow-datasets

    builder = construct()
    # Else it asks the network for prepared data even when the files are at hand.
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=config)
    except InputError:
        raise
    except Exception as error:
        # The rename fails if another process has prepared the same data meanwhile; theirs are as good.
        builder = construct()
        if _is_prepared(builder):
            return builder
        own = (tfds.download.DownloadError, tfds.core.download.download_manager.NonMatchingChecksumError)
        if isinstance(error, (requests.exceptions.RequestException, *own)):
            raise InputError(
                f"{name} cannot be downloaded from {url} ({one_line(error)}): check the "
                f"network, or {by_hand} and pass it as --manual-dir"
            ) from error
        raise
    return builder


def _damaged(folder: Any, reason: Exception | str) -> InputError:
    return InputError(
        f"the prepared data in {printable(folder)} cannot be read ({one_line(reason)}): delete this folder and run "
        "again"
    )


@contextlib.contextmanager
def _quiet_tensorflow_datasets() -> Iterator[Any]:
    """tensorflow-datasets without its bars, banners and warnings about retries; all restored on exit."""
    # Here, because importing tensorflow-datasets takes longer than importing this package.
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
