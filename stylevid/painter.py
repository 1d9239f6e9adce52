"""A style that is ready to paint: its network in the fastest engine of the device."""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from pathlib import Path

import torch

from .engine import Engine
from .errors import StylevidError
from .network import StyleNet
from .plans import make_engine
from .styles import Style
from .weights import load_network
from .yuv import Yuv


class Painter:
    """A style's network on a device, in the fastest engine there."""

    def __init__(
        self,
        style: Style | Path | str | StyleNet,
        device: str | None = None,
        engine: str | None = None,
    ) -> None:
        """
        Args:
            style: a style, the path of a weights file, or a network, which is copied.
            device: "cpu", "cuda" or "cuda:N"; None takes the GPU when there is one.
            engine: such as "openvino-bfloat16", "torch-float32" or "torch-float16-compiled"; None
                takes the fastest, which is measured once on every machine.
        Raises:
            WeightsError: the weights cannot be used.
            StylevidError: the device or the engine is not there.
        """
        self.device = _find_device(device)
        network = deepcopy(style) if isinstance(style, StyleNet) else load_network(style)
        self.engine: Engine = make_engine(network, self.device, engine)

    def paint(self, frames: Iterable[Yuv]) -> Iterator[Yuv]:
        """The paintings of frames of one size and matrix, in order; see `Engine.paint`."""
        yield from self.engine.paint(frames)


def _find_device(name: str | None) -> torch.device:
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    # torch says "no such device" in a different way for every kind of device
    except (RuntimeError, AssertionError, NotImplementedError) as cause:
        raise StylevidError(f"There is no device {name!r} here. Use --device cpu.") from cause
    return device
