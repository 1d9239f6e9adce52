"""Save and resume a run: network, optimizer moments, step and configuration in one safetensors
file, written beside its name and moved into place when whole."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from stylevid.errors import WeightsError

from .config import TrainConfig

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True)
class Checkpoint:
    """What `load_checkpoint` found: tensors by name, the steps done, the run's configuration."""

    tensors: dict[str, Tensor]
    step: int
    config: dict[str, object]

    def restore(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Put the tensors back; chance needs nothing, it follows from (seed, step)."""
        network.load_state_dict(_part(self.tensors, "network."))
        moments = _part(self.tensors, "optimizer.")
        state = {
            number: {moment: moments[f"{number}.{moment}"] for moment in _MOMENTS}
            for number, _ in enumerate(network.parameters())
        }
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})


def save_checkpoint(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, step: int, config: TrainConfig
) -> None:
    """Write the run's state after `step` steps, atomically."""
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for number, moments in optimizer.state_dict()["state"].items():
        for moment in _MOMENTS:
            tensors[f"optimizer.{number}.{moment}"] = moments[moment]
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"step": str(step), "config": json.dumps(config.as_dict())}
    partial = path.with_name(path.name + ".partial")
    try:
        save_file(whole, partial, metadata)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint at `path`.

    Raises:
        WeightsError: the file is no checkpoint of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return Checkpoint(tensors, int(metadata["step"]), json.loads(metadata["config"]))
    except Exception as cause:  # safetensors, JSON and key errors alike mean one thing here
        raise WeightsError(f"{path} is not a training checkpoint: {cause}.") from cause


def network_tensors(path: Path) -> dict[str, Tensor]:
    """Only the network's tensors of a checkpoint, for export or a warm start."""
    return _part(load_checkpoint(path).tensors, "network.")


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
