"""How far our engines' paintings are apart."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch

from ..engine import Engine, TorchEngine
from ..network import StyleNet
from ..painter import engine_names, make_engine
from ..yuv import Yuv, yuv_to_image
from .race import reason


@dataclass(frozen=True)
class Difference:
    """How far an engine's paintings are from those of float32 torch on the CPU, in levels of 255.

    Attributes:
        engine: its name.
        mean, largest: over all values of all frames; None when it is not available.
        why: it is not available.
    """

    engine: str
    mean: float | None = None
    largest: int | None = None
    why: str | None = None


def differences(network: StyleNet, frames: Sequence[Yuv], device: torch.device) -> list[Difference]:
    """Compare the engines' paintings, in RGB, of frames of one size."""
    cpu = torch.device("cpu")
    reference = _paint_all(TorchEngine(deepcopy(network), cpu, torch.float32), frames)
    found: list[Difference] = []
    for name in engine_names(device):
        try:
            painted = _paint_all(make_engine(deepcopy(network), device, name), frames)
        except Exception as error:  # as in `race`
            found.append(Difference(name, why=reason(error)))
            continue
        apart = np.abs(painted - reference)
        found.append(Difference(name, float(apart.mean()), int(apart.max())))
    return found


def _paint_all(engine: Engine, frames: Sequence[Yuv]) -> np.ndarray:
    pictures = [yuv_to_image(engine.submit([frame])()[0]) for frame in frames]
    return torch.cat(pictures).mul(255).round().numpy().astype(np.int16)
