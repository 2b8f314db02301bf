"""Training on a folder of JPEGs: streamed from it against the same images in memory, and the time of decoding.

    python -m experiments.benchmarks.photos

4,000 JPEGs of 256x256, made in a temporary folder, become 64x64x3 and train the default convolutional VAE with
batches of 64. A first pass over a folder decodes it, streamed or not; later passes of a stream read back the pixels
that it kept. Both kinds of passes are reported, each with what was decoded before it or in it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import tyro

from experiments.benchmarks.timing import Side, Table, interleaved, report
from vae_jax import elbo, init_state, make_vae, per_example
from vae_jax.data import shuffled_batches
from vae_jax.data.photo_stream import AlbumImages
from vae_jax.data.photos import Album, decode_all, open_album
from vae_jax.data.streaming import gather, stream, streamed_batches
from vae_jax.likelihoods import DiscretizedLogistic
from vae_jax.networks import Conv
from vae_jax.training import call_lengths, run_calls, scan_steps, train_step


@dataclasses.dataclass(frozen=True)
class Config:
    """Passes over a folder of photos."""

    num_photos: int = 4_000
    photo_size: int = 256
    size: int = 64
    network: Conv = Conv()
    latent_size: int = 32
    batch_size: int = 64
    steps_per_call: int = 10
    repeats: int = 5


def main(config: Config = Config()) -> dict[str, Table]:
    """Prints the tables and returns them by title."""
    tables = {}
    with tempfile.TemporaryDirectory(prefix="vae_jax_bench_") as folder:
        write_photos(config, Path(folder))
        of = (
            f"{config.num_photos:,} JPEGs of {config.photo_size}x{config.photo_size} as {config.size}x{config.size}"
        )
        later: dict[str, Side] = {
            "vae_jax": partial(streamed_pass, config, folder),
            "all in memory": partial(memory_pass, config, folder),
        }
        first: dict[str, Side] = {
            "vae_jax": partial(first_streamed_pass, config, folder),
            "decoded first, then in memory": partial(first_memory_pass, config, folder),
            "decoded, not trained": partial(decoding, config, folder),
        }
        for name, sides in (("a later pass of a stream", later), ("the first pass of a stream", first)):
            seconds = interleaved(sides, repeats=config.repeats)
            title = f"{of}, {name}"
            tables[title] = report(title, seconds, of="vae_jax")
    per_photo = float(np.median(seconds["decoded, not trained"])) / config.num_photos
    print(f"\n20,000 such photos are decoded in {20_000 * per_photo:.0f} s, by what {config.num_photos:,} took")
    return tables


def write_photos(config: Config, folder: Path) -> None:
    """Smooth pictures with noise, which take about the bytes and the time of photographs, as JPEGs."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(config.num_photos):
        coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3)).astype(np.uint8))
        smooth = np.asarray(coarse.resize((config.photo_size,) * 2, Image.Resampling.BICUBIC), np.float32)
        noisy = np.clip(smooth + rng.normal(0, 8, smooth.shape[:2])[..., None], 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{i}.jpg", quality=90)


def _album(config: Config, folder: str) -> Album:
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        return open_album(Path(folder), config.size)


def _source(album: Album) -> AlbumImages:
    return AlbumImages(album, np.arange(len(album.headers)))


class _Forgetful:
    """The photos of an album as a `Source` that can be made to decode all of them again."""

    def __init__(self, album: Album):
        self.album = album
        self.forget()

    def forget(self) -> None:
        self.images = _source(self.album)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int, /) -> Any:
        return self.images[index]

    def __getitems__(self, index: list[int], /) -> list[Any]:
        return list(self.images.__getitems__(index))


class _Training:
    """A pass over the data at each call, from where the last one ended; compiled once."""

    def __init__(self, config: Config, next_batch: Any):
        networks = config.network.networks(config.latent_size, (config.size, config.size, 3))
        vae = make_vae(*networks, likelihood=DiscretizedLogistic())
        optimizer = optax.adam(1e-3)
        step = partial(train_step, objective=per_example(elbo, vae), optimizer=optimizer)
        programs = {}

        def run(length: int) -> Any:
            if length not in programs:
                programs[length] = scan_steps(step, next_batch, length)
            return programs[length]

        self.run, self.config = run, config
        self.state = init_state(vae.init, optimizer, jax.random.key(0))

    def __call__(self, data: Any) -> Any:
        """data: arrays, or a stream. Returns the parameters."""
        per_call, begin = self.config.steps_per_call, int(self.state.step)
        # Whole calls, so that a stream reads nothing twice.
        num_calls = max(1, self.config.num_photos // self.config.batch_size // per_call)
        lengths = call_lengths(begin, begin + num_calls * per_call, per_call)
        with contextlib.ExitStack() as stack:
            chunks: Iterator[Any] = itertools.repeat(data)
            if callable(data):
                data_key, _ = jax.random.split(self.state.key)
                chunks = stack.enter_context(data(data_key, begin, per_call))
            self.state = run_calls(self.run, self.state, chunks, lengths)
        return self.state.params


def streamed_pass(config: Config, folder: str) -> Callable[[], object]:
    """A pass over a stream whose photos are decoded already."""
    source, train = _source(_album(config, folder)), _Training(config, streamed_batches())
    gather(source, np.arange(len(source)))
    # One stream for all passes, as a run has it, for each compiles the order of its batches.
    data = stream(source, config.batch_size)
    return lambda: train(data)


def memory_pass(config: Config, folder: str) -> Callable[[], object]:
    """A pass over the same images in memory."""
    images = jax.device_put(decode_all(Path(folder), _album(config, folder)))
    train = _Training(config, shuffled_batches(config.batch_size))
    return lambda: train(images)


def first_streamed_pass(config: Config, folder: str) -> Callable[[], object]:
    """A pass over a stream of which nothing is decoded yet."""
    source, train = _Forgetful(_album(config, folder)), _Training(config, streamed_batches())
    data = stream(source, config.batch_size)

    def run() -> object:
        source.forget()
        return train(data)

    return run


def first_memory_pass(config: Config, folder: str) -> Callable[[], object]:
    """All photos decoded, then a pass over them in memory."""
    album, train = _album(config, folder), _Training(config, shuffled_batches(config.batch_size))
    return lambda: train(jax.device_put(decode_all(Path(folder), album)))


def decoding(config: Config, folder: str) -> Callable[[], object]:
    """All photos decoded by as many threads as there are processors."""
    album = _album(config, folder)
    return lambda: decode_all(Path(folder), album)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
