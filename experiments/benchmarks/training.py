"""One epoch of the VAE 784-400-20 with dynamic binarization, against PyTorch, pythae and the bare matmuls.

    python -m experiments.benchmarks.training

Random 8-bit images of the shape of MNIST, batch 128, Adam. Ours is the compiled call of many steps that
`experiments.mnist` makes; besides the update it averages the parameters and looks for values that are not finite.
pythae gets images that are binary already, because its trainer has no place to draw them: it does less.
"""

from __future__ import annotations

import dataclasses
import logging
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import numpy as np
import optax
import tyro

from experiments.benchmarks import peers
from experiments.benchmarks.timing import Side, Table, interleaved, report
from vae_jax import VAE, elbo, init_state, make_vae, per_example
from vae_jax.data import NextBatch
from vae_jax.data.batches import shuffled_batches
from vae_jax.data.transforms import binarize
from vae_jax.distributions import MAX_LOG_SCALE
from vae_jax.networks import MLPDecoder, MLPEncoder
from vae_jax.objectives import Loss
from vae_jax.training import scan_steps, train_step


@dataclasses.dataclass(frozen=True)
class Config:
    """An epoch of the fully connected VAE."""

    num_images: int = 12_800
    """Of one turn; MNIST has 60,000, at the same cost a step."""
    event: int = 784
    hidden: int = 400
    latent_size: int = 20
    batch_size: int = 128
    repeats: int = 7
    compile: bool = True
    """Measure torch.compile too, which takes half a minute to compile."""


def main(config: Config = Config()) -> dict[str, Table]:
    """Prints the table and returns it by its title."""
    num_steps = config.num_images // config.batch_size
    sides: dict[str, Side] = {
        "vae_jax": partial(_ours, config),
        "the matmuls alone": partial(peers.matmuls, products(config), num_steps),
        "PyTorch": partial(_torch_epoch, config),
    }
    if config.compile:
        sides["torch.compile"] = partial(_compiled, config)
    sides["pythae"] = partial(_pythae_epoch, config)
    seconds = interleaved(sides, repeats=config.repeats)
    sizes = f"{config.event}-{config.hidden}-{config.latent_size}"
    title = f"MLP VAE {sizes}, {num_steps} steps of {config.batch_size}, dynamic binarization"
    return {title: report(title, seconds, of="vae_jax")}


def model(config: Config) -> VAE:
    """The VAE, as `experiments.mnist` builds it."""
    return make_vae(MLPEncoder(config.latent_size, (config.hidden,)), MLPDecoder((config.event,), (config.hidden,)))


def _ours(config: Config) -> Callable[[], None]:
    vae = model(config)
    next_batch = shuffled_batches(config.batch_size, binarize)
    return steps(
        per_example(elbo, vae), next_batch, vae.init, _images(config), config.num_images // config.batch_size
    )


def _images(config: Config) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (config.num_images, config.event)).astype(np.uint8)


def products(config: Config) -> list[tuple[int, int, int]]:
    """The shapes of the matrix products of one forward pass."""
    sizes = (config.event, config.hidden, 2 * config.latent_size), (config.latent_size, config.hidden, config.event)
    return [(config.batch_size, k, n) for chain in sizes for k, n in pairwise(chain)]


def steps(objective: Loss, next_batch: NextBatch, init: Callable, data: Any, num_steps: int) -> Callable[[], None]:
    """`num_steps` of our training in one call, which goes on where the last one ended."""
    optimizer = optax.adam(1e-3)
    step = partial(train_step, objective=objective, optimizer=optimizer)
    run = scan_steps(step, next_batch, num_steps)
    states = [init_state(init, optimizer, jax.random.key(0))]
    on_device = jax.device_put(data)

    def call() -> None:
        states[0], metrics = run(states[0], on_device)
        jax.block_until_ready(metrics)

    return call


def torch_loss(params: Any, x: Any, eps: Any) -> Any:
    """The mean loss of a batch in PyTorch with the parameters of our networks. x: [batch, event]."""
    return torch_negative_elbo(*torch_forward(params, x, eps), x)


def torch_forward(params: Any, x: Any, eps: Any) -> tuple[Any, Any, Any]:
    """Location, log-scale and what the decoder emits, [batch, event], in PyTorch; one hidden layer each."""
    from torch.nn import functional as F

    def dense(name: str, layer: int, h: Any) -> Any:
        p = params[name]["params"][f"Dense_{layer}"]
        return h @ p["kernel"] + p["bias"]

    heads = dense("encoder", 1, F.relu(dense("encoder", 0, x)))
    mu, log_scale = torch_heads(heads)
    return mu, log_scale, dense("decoder", 1, F.relu(dense("decoder", 0, mu + eps * log_scale.exp())))


def torch_heads(heads: Any) -> tuple[Any, Any]:
    """Location and log-scale in PyTorch, bounded as ours is. heads: [batch, 2 latent_size]."""
    mu, raw = heads.chunk(2, dim=1)
    return mu, MAX_LOG_SCALE * (raw / MAX_LOG_SCALE).tanh()


def torch_negative_elbo(mu: Any, log_scale: Any, logits: Any, x: Any) -> Any:
    """Distortion plus rate, the mean over the batch, in PyTorch."""
    from torch.nn import functional as F

    distortion = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    return (distortion + torch_rate(mu, log_scale)) / x.shape[0]


def torch_rate(mu: Any, log_scale: Any) -> Any:
    """The KL divergence to the standard normal, summed over the batch, in PyTorch."""
    return (0.5 * (mu**2 + (2 * log_scale).exp() - 1) - log_scale).sum()


def _torch_epoch(config: Config, loss_of: Callable = torch_loss) -> Callable[[], None] | None:
    torch = peers.torch()
    if torch is None:
        return None
    params = peers.tensors(model(config).init(jax.random.key(0)))
    optimizer = torch.optim.Adam(jax.tree.leaves(params), 1e-3)
    images = torch.tensor(_images(config))

    def epoch() -> None:
        order = torch.randperm(len(images))[: len(images) // config.batch_size * config.batch_size]
        for i in order.split(config.batch_size):
            x = torch.bernoulli(images[i].float() / 255)
            loss = loss_of(params, x, torch.randn(config.batch_size, config.latent_size))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


def _compiled(config: Config) -> Callable[[], None] | None:
    """The epoch with the loss and its gradient through torch.compile; None, which is printed, where it fails."""
    torch = peers.torch()
    epoch = None if torch is None else _torch_epoch(config, torch.compile(torch_loss))
    if epoch is None:
        return None
    begin = time.perf_counter()
    try:
        epoch()
    except Exception as error:  # it needs a C++ compiler, and says so with an exception of its own
        print(f"torch.compile fails here ({str(error).splitlines()[0]}): measured without it")
        return None
    print(f"torch.compile took {time.perf_counter() - begin:.0f} s for its first epoch")
    return epoch


def pythae_model(config: Config, params: Any = None) -> Any:
    """pythae's VAE with the same layers, and with the values of our parameters where they are given."""
    torch = peers.torch()
    from pythae.models import VAE as PythaeVAE
    from pythae.models import VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    event, hidden, latent = config.event, config.hidden, config.latent_size

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(event, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, 2 * latent)
            )

        def forward(self, x: Any) -> Any:
            mu, raw = self.layers(x).chunk(2, dim=1)
            # Its head is a log-variance; ours is a log-scale, bounded.
            log_covariance = 2 * MAX_LOG_SCALE * torch.tanh(raw / MAX_LOG_SCALE)
            return ModelOutput(embedding=mu, log_covariance=log_covariance)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(latent, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, event), torch.nn.Sigmoid()
            )

        def forward(self, z: Any) -> Any:
            return ModelOutput(reconstruction=self.layers(z))

    settings = VAEConfig(input_dim=(event,), latent_dim=latent, reconstruction_loss="bce")
    its = PythaeVAE(settings, Encoder(), Decoder())
    if params is not None:
        for name in ("encoder", "decoder"):
            for layer, place in ((0, 0), (1, 2)):
                p = params[name]["params"][f"Dense_{layer}"]
                linear = getattr(its, name).layers[place]
                linear.weight.data = torch.tensor(np.asarray(p["kernel"]).T.copy())
                linear.bias.data = torch.tensor(np.asarray(p["bias"]))
    return its


def _pythae_epoch(config: Config) -> Callable[[], None] | None:
    torch = peers.torch()
    if torch is None or peers.pythae() is None:
        return None
    logging.getLogger("pythae").setLevel(logging.WARNING)
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    binary = torch.bernoulli(torch.tensor(_images(config)).float() / 255)
    settings = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(prefix="vae_jax_bench_"),
        num_epochs=1,
        per_device_train_batch_size=config.batch_size,
        learning_rate=1e-3,
        no_cuda=True,
    )
    trainer = BaseTrainer(pythae_model(config), BaseDataset(binary, torch.ones(len(binary))), None, settings)
    trainer.prepare_training()
    # Its bar would print a line a batch.
    trainer.callback_handler.callbacks = []
    return lambda: trainer.train_step(1)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
