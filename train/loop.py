"""The training loop: a perceptual stage on photographs, then a temporal stage on pairs of frames.

Readable top to bottom: `fit` repeats `train_step`, which adds up the losses of one batch.
"""

import logging
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylevid.errors import WeightsError
from stylevid.network import StyleNet
from stylevid.warp import resize_flow, warp

from . import losses
from .checkpoint import load_checkpoint, save_checkpoint
from .clips import generate_pairs
from .config import TrainConfig
from .images import photo_batch
from .vgg import VGG16Features

log = logging.getLogger(__name__)

CUTOUTS = 2
Report = Callable[[int, dict[str, float], StyleNet], None]


@dataclass(frozen=True)
class Trainer:
    """Everything that a step needs and that stays the same during a run."""

    config: TrainConfig
    network: StyleNet
    vgg: VGG16Features
    style_grams: list[Tensor]
    optimizer: torch.optim.Optimizer
    device: torch.device
    dtype: torch.dtype


def make_trainer(
    config: TrainConfig, network: StyleNet, vgg: VGG16Features, painting: Tensor, device: str
) -> Trainer:
    """A trainer for the painting 1,3,H,W, with Adam on the network's parameters."""
    place = torch.device(device)
    network.to(place).to(memory_format=torch.channels_last)  # pyright: ignore
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, betas=(0.9, 0.99))
    with torch.no_grad():
        grams = [losses.gram_matrix(f) for f in vgg(painting.to(place))]
    return Trainer(config, network, vgg, grams, optimizer, place, torch.bfloat16)


def fit(trainer: Trainer, photos: list[Path], folder: Path, report: Report) -> None:
    """Train to the end of both stages, from the folder's checkpoint if there is one.

    Args:
        photos: content pictures.
        folder: where `checkpoint.safetensors` is kept, and `perceptual.safetensors` when the
            first stage is done.
        report: called after each step with the steps done, the losses and the network.
    """
    config = trainer.config
    total = config.steps + config.temporal_steps
    latest = folder / "checkpoint.safetensors"
    step = 0
    if latest.exists():
        checkpoint = load_checkpoint(latest)
        _check_same_run(latest, checkpoint.config, config)
        checkpoint.restore(trainer.network, trainer.optimizer)
        step = checkpoint.step
        log.info("continuing at step %d of %d", step, total)
    with ThreadPoolExecutor(1) as loader:
        batch = loader.submit(load_batch, config, photos, step)
        while step < total:
            pictures = batch.result().to(trainer.device)
            if step + 1 < total:
                batch = loader.submit(load_batch, config, photos, step + 1)
            values = train_step(trainer, pictures, step)
            step += 1
            if step == config.steps:
                save_checkpoint(folder / "perceptual.safetensors", trainer.network,
                                trainer.optimizer, step, config)  # fmt: skip
            if step % 100 == 0 or step in (config.steps, total):
                save_checkpoint(latest, trainer.network, trainer.optimizer, step, config)
            report(step, values, trainer.network)


def _check_same_run(path: Path, saved: dict[str, object], config: TrainConfig) -> None:
    wanted = config.as_dict()
    for key, value in wanted.items():
        if saved.get(key) != value:
            raise WeightsError(
                f"{path} was trained with {key} {saved.get(key)}, not {value}. Give the same "
                "options to continue it, or another --name to start anew."
            )


def load_batch(config: TrainConfig, photos: list[Path], step: int) -> Tensor:
    """The pictures of one step: crops, or the layers that pairs are made from."""
    if step < config.steps:
        return photo_batch(photos, config.batch, config.crop, config.seed, step)
    count = config.temporal_batch * (1 + CUTOUTS)
    return photo_batch(photos, count, config.crop * 5 // 4, config.seed, step)


def train_step(trainer: Trainer, pictures: Tensor, step: int) -> dict[str, float]:
    """One update of the network; returns the losses, by name, as plain numbers."""
    config = trainer.config
    temporal = step >= config.steps
    for group in trainer.optimizer.param_groups:
        group["lr"] = learning_rate(config, step)
    terms = (temporal_terms if temporal else perceptual_terms)(trainer, pictures, step)
    loss = torch.stack(list(terms.values())).sum()
    trainer.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(trainer.network.parameters(), 10.0)
    trainer.optimizer.step()
    return {name: value.item() for name, value in terms.items()}


def learning_rate(config: TrainConfig, step: int) -> float:
    """One cycle for each stage: a rise over its first tenth, then a cosine to a hundredth."""
    if step < config.steps:
        peak, at = config.learning_rate, (step + 1) / config.steps
    else:
        peak = config.temporal_learning_rate
        at = (step + 1 - config.steps) / config.temporal_steps
    if at < 0.1:
        return peak * max(at / 0.1, 0.04)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (at - 0.1) / 0.9)))


def perceptual_terms(trainer: Trainer, content: Tensor, step: int) -> dict[str, Tensor]:
    """Weighted content, style and total-variation losses of a batch N,3,H,W."""
    with _autocast(trainer):
        stylized = trainer.network(_channels_last(content))
    return _perceptual(trainer, stylized, content)


def temporal_terms(trainer: Trainer, pictures: Tensor, step: int) -> dict[str, Tensor]:
    """The perceptual losses of both frames of generated pairs, and the temporal losses between.

    The second frame's *input* carries sensor noise that its temporal target does not (compound
    regularization, Wang et al. 2020), so that noise does not flicker.
    """
    config = trainer.config
    generator = torch.Generator(trainer.device).manual_seed(config.seed * 1_000_003 + step)
    pairs = generate_pairs(pictures, config.crop, generator, CUTOUTS, config.speed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=trainer.device)

    exposure = (normal(len(pairs.cur), 1, 1, 1) * config.exposure).exp()
    cur = (pairs.cur * exposure).clamp(0, 1)
    level = torch.rand(len(cur), 1, 1, 1, generator=generator, device=trainer.device)
    noisy = (cur + normal(*cur.shape) * level * config.noise).clamp(0, 1)

    with _autocast(trainer):
        features = trainer.network.encode(_channels_last(torch.cat((pairs.prev, noisy))))
        stylized = trainer.network.decode(features).float()
    terms = _perceptual(trainer, stylized, torch.cat((pairs.prev, cur)))

    prev_stylized, cur_stylized = stylized.chunk(2)
    warped_stylized, _ = warp(prev_stylized, pairs.flow_cur_to_prev)
    warped_image, _ = warp(pairs.prev, pairs.flow_cur_to_prev)
    terms["output_temporal"] = config.output_temporal_weight * losses.output_temporal_loss(
        cur_stylized, warped_stylized, cur, warped_image, pairs.visible
    )
    if config.feature_temporal_weight:
        prev_features, cur_features = features.float().chunk(2)
        size = (cur_features.shape[-2], cur_features.shape[-1])
        warped_features, _ = warp(prev_features, resize_flow(pairs.flow_cur_to_prev, size))
        visible = F.interpolate(pairs.visible, size, mode="area")
        terms["feature_temporal"] = config.feature_temporal_weight * losses.feature_temporal_loss(
            cur_features, warped_features, visible
        )
    return terms


def _perceptual(trainer: Trainer, stylized: Tensor, content: Tensor) -> dict[str, Tensor]:
    config = trainer.config
    with _autocast(trainer):
        with torch.no_grad():
            wanted = trainer.vgg(_channels_last(content)).relu3_3
        features = trainer.vgg(_channels_last(stylized))
    return {
        "content": config.content_weight * losses.content_loss(features.relu3_3, wanted),
        "style": config.style_weight * losses.style_loss(features, trainer.style_grams),
        "tv": config.tv_weight * losses.total_variation(stylized),
    }


def _autocast(trainer: Trainer) -> torch.autocast:
    return torch.autocast(trainer.device.type, trainer.dtype)


def _channels_last(image: Tensor) -> Tensor:
    return image.contiguous(memory_format=torch.channels_last)
