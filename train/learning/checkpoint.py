"""Save and resume a run: network, optimizer moments, step and configuration in one
safetensors file, written beside its name and moved into place when whole."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from stylevid.errors import WeightsError
from stylevid.files import written_whole
from stylevid.network import StyleNet, StyleNetConfig
from stylevid.weights import load_network

from ..config import TrainConfig

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True)
class Checkpoint:
    """What `load_checkpoint` found: tensors by name, the steps done, the run's configuration."""

    path: Path
    tensors: dict[str, Tensor]
    step: int
    config: dict[str, Any]
    scaler: dict[str, Any]

    def restore(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler | None = None,
    ) -> None:
        """Put the state back; chance needs nothing, it follows from (seed, step).

        Raises:
            WeightsError: the checkpoint is damaged.
        """
        self.fill(network)
        moments = _part(self.tensors, "optimizer.")
        groups = optimizer.state_dict()["param_groups"]
        try:
            state = {
                number: {moment: moments[f"{number}.{moment}"] for moment in _MOMENTS}
                for number, _ in enumerate(network.parameters())
                if f"{number}.step" in moments  # there are none until float16's scale fits
            }
            optimizer.load_state_dict({"state": state, "param_groups": groups})
            if scaler:
                scaler.load_state_dict(self.scaler)
        except (KeyError, ValueError, RuntimeError) as cause:
            raise WeightsError(f"{self.path} is damaged: its optimizer's state does not fit. Give "
                               "another --name to start anew.") from cause  # fmt: skip

    def fill(self, network: nn.Module) -> None:
        """Put the network's weights back.

        Raises:
            WeightsError: they are of another network, or not finite.
        """
        weights = _part(self.tensors, "network.")
        try:
            network.load_state_dict(weights)
        except RuntimeError as cause:
            raise WeightsError(f"{self.path} is damaged: its weights do not fit its settings. "
                               "Train again.") from cause  # fmt: skip
        if not all(tensor.isfinite().all() for tensor in weights.values()):
            raise WeightsError(f"{self.path} holds weights that are not finite. Train again, with "
                               "a lower --learning-rate.")  # fmt: skip


def save_checkpoint(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    config: TrainConfig,
    scaler: torch.amp.GradScaler | None = None,
) -> None:
    """Write the run's state after `step` steps, atomically."""
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for number, moments in optimizer.state_dict()["state"].items():
        for moment in _MOMENTS:
            tensors[f"optimizer.{number}.{moment}"] = moments[moment]
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {
        "step": str(step),
        "config": json.dumps(vars(config)),
        "scaler": json.dumps(scaler.state_dict() if scaler else {}),
    }
    with written_whole(path) as partial:
        # Not by safetensors, whose error on a full disk is no OSError.
        partial.write_bytes(save(whole, metadata))


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint at `path`.

    Raises:
        WeightsError: the file is no checkpoint of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        # Checkpoints from before there was a scaler have none.
        scaler = json.loads(metadata.get("scaler", "{}"))
        step, config = int(metadata["step"]), json.loads(metadata["config"])
        if step < 0 or not isinstance(config, dict):
            raise ValueError("its step or its settings are none")
        return Checkpoint(path, tensors, step, config, scaler)
    except Exception as cause:  # safetensors, JSON and key errors alike mean one thing here
        raise WeightsError(f"{path} is not a training checkpoint: {cause}.") from cause


def load_network_from(path: Path) -> StyleNet:
    """The network of a style's weights file, of a checkpoint or of a run's folder, in float32.

    Raises:
        WeightsError: the path is none of these, or damaged.
    """
    path = path / "checkpoint.safetensors" if path.is_dir() else path
    try:
        checkpoint = load_checkpoint(path)
    except WeightsError:
        if not path.exists():
            raise
        return load_network(path)
    try:
        shape = {key: checkpoint.config[key] for key in StyleNetConfig().as_dict()}
        network = StyleNet(StyleNetConfig.from_dict(shape))
    except (KeyError, TypeError, ValueError) as cause:
        raise WeightsError(f"{path} describes no network of ours: {cause}.") from cause
    checkpoint.fill(network)
    return network


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
