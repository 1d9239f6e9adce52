"""The training loop: a perceptual stage on photographs, then a temporal stage on sequences.

Readable top to bottom: `fit` repeats `train_step`, which lowers the objective on one batch.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from stylevid.errors import StyleError, WeightsError
from stylevid.learn.losses import PaintingTargets
from stylevid.learn.objective import Objective, descend
from stylevid.learn.sequences import Sequences
from stylevid.learn.vgg import VGG16Features
from stylevid.network import StyleNet

from ..config import TrainConfig
from ..data.loader import TrainingData
from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .distributed import Processes

log = logging.getLogger(__name__)

Report = Callable[[int, dict[str, float], StyleNet], None]


@dataclass(frozen=True)
class Trainer:
    """Everything that a step needs.

    Attributes:
        objective: the losses; `wrapped` is the same, shared by all processes.
        scaler: keeps float16 gradients from vanishing; does nothing in other precisions.
    """

    config: TrainConfig
    objective: Objective
    wrapped: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    device: torch.device
    processes: Processes

    @property
    def network(self) -> StyleNet:
        return self.objective.network


def make_trainer(
    config: TrainConfig,
    network: StyleNet,
    vgg: VGG16Features,
    painting: Tensor,
    device: str,
    processes: Processes | None = None,
) -> Trainer:
    """A trainer for the painting 1,3,H,W, with Adam on the network's parameters.

    Raises:
        WeightsError: a batch cannot be shared evenly by the processes.
    """
    processes = processes or Processes()
    for name in ("batch", "temporal_batch"):
        if (value := getattr(config, name)) % processes.count:
            raise WeightsError(f"{name} is {value}, which {processes.count} processes cannot "
                               "share evenly. Give a multiple.")  # fmt: skip
    place = torch.device(device)
    network.to(place).to(memory_format=torch.channels_last)  # pyright: ignore
    with torch.no_grad():
        objective = Objective(network, vgg, PaintingTargets.of(painting.to(place), vgg))
    return Trainer(
        config=config,
        objective=objective,
        wrapped=processes.wrap(objective),
        optimizer=torch.optim.Adam(
            network.parameters(), lr=config.learning_rate, betas=(0.9, 0.99)
        ),
        scaler=torch.amp.GradScaler(place.type, enabled=config.precision == "float16"),
        device=place,
        processes=processes,
    )


def fit(
    trainer: Trainer, data: TrainingData, folder: Path, report: Report, checkpoint_every: int = 100
) -> None:
    """Train to the end of both stages, from the folder's checkpoint if there is one.

    Args:
        folder: where rank 0 keeps `checkpoint.safetensors`.
        report: called after each step with the steps done, the losses and the network.
        checkpoint_every: steps between two checkpoints; each stage ends with one as well.
    Raises:
        WeightsError: the folder's checkpoint is of another run.
        StyleError: a loss is not finite any more; the last checkpoint is from before.
    """
    config = trainer.config
    step = resume(trainer, folder / "checkpoint.safetensors")
    for batch in data.batches(step, config.total_steps):
        values = train_step(trainer, batch, step)
        step += 1
        _check_losses(trainer, values, step)
        # Told first: a run that is killed in between tells this step again, and none is missing.
        report(step, values, trainer.network)
        due = step % checkpoint_every == 0 or step in (config.steps, config.total_steps)
        if trainer.processes.is_first and due:
            save_checkpoint(
                folder / "checkpoint.safetensors",
                trainer.network, trainer.optimizer, step, config, trainer.scaler,
            )  # fmt: skip


def resume(trainer: Trainer, latest: Path) -> int:
    """Put rank 0's checkpoint into every process's trainer; the number of steps already done."""
    first = trainer.processes.is_first
    checkpoint = load_checkpoint(latest) if first and latest.exists() else None
    checkpoint = trainer.processes.share(checkpoint)
    if checkpoint is None:
        return 0
    check_settings(checkpoint, trainer.config)
    checkpoint.restore(trainer.network, trainer.optimizer, trainer.scaler)
    log.info("continuing at step %d of %d", checkpoint.step, trainer.config.total_steps)
    return checkpoint.step


def check_settings(checkpoint: Checkpoint, config: TrainConfig) -> None:
    """
    Raises:
        WeightsError: the checkpoint is of another configuration.
    """
    for key, value in vars(config).items():
        if (saved := checkpoint.config.get(key)) != value:
            raise WeightsError(
                f"{checkpoint.path} was trained with {key} {saved}, not {value}. Give the same "
                "options to continue it, or another --name to start anew."
            )


def _check_losses(trainer: Trainer, values: dict[str, float], step: int) -> None:
    odd = next((name for name, value in values.items() if not math.isfinite(value)), None)
    if odd and not trainer.scaler.is_enabled():  # which leaves such a step out
        rate = "learning-rate" if step <= trainer.config.steps else "temporal-learning-rate"
        raise StyleError(f"The {odd} loss is {values[odd]} in step {step}: the network has come "
                         f"apart. Start anew with a lower --{rate}.")  # fmt: skip


def train_step(trainer: Trainer, batch: Sequences, step: int) -> dict[str, float]:
    """One update of the network on this process's share of a batch; returns the losses, by name,
    as plain numbers."""
    for group in trainer.optimizer.param_groups:
        group["lr"] = learning_rate(trainer.config, step)
    weights = trainer.config.weights(step)
    terms: dict[str, Tensor] = trainer.wrapped(batch.to(trainer.device), weights, step)
    loss = descend(terms, trainer.network, trainer.optimizer, trainer.scaler)
    return dict(zip(terms, trainer.processes.mean(loss).tolist(), strict=True))


def learning_rate(config: TrainConfig, step: int) -> float:
    """One cycle: up to the peak over a tenth of the stage, and a cosine down to a hundredth of it
    (Smith and Topin 2018)."""
    if step < config.steps:
        peak, at = config.learning_rate, (step + 1) / config.steps
    else:
        peak = config.temporal_learning_rate
        at = (step + 1 - config.steps) / config.temporal_steps
    rise = 0.1
    if at < rise:
        return peak * max(at / rise, 0.04)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (at - rise) / (1 - rise))))
