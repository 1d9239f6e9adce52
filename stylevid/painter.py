"""A style that is ready to paint: its network in the engine that suits the device."""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from pathlib import Path

import torch

from .canvas import on_canvas
from .engine import Engine, TorchEngine
from .errors import StylevidError, WeightsError
from .memory import Motion, Remembered, carry
from .network import StyleNet, mix_networks
from .styles import Mix, Style, slug_of
from .weights import load_network
from .yuv import Yuv

_BATCH = {"cuda": 4}  # frames that a GPU paints together


class Painter:
    """A style's network on a device, in the engine that suits it.

    Attributes:
        styles: the slugs of what it paints with, none of a lone network.
        mix: the share of the second, if two are mixed.
    """

    def __init__(
        self,
        style: Style | Mix | Path | str | StyleNet,
        device: str | None = None,
        engine: str | None = None,
    ) -> None:
        """
        Args:
            style: a style, a mix of two, the path of a weights file, or a network, which is copied.
            device: "cpu", "cuda" or "cuda:N"; None takes the GPU when there is one.
            engine: one of `engine_names`; None takes the first of them.
        Raises:
            WeightsError: the weights cannot be used, or not be mixed.
            StylevidError: the device or the engine is not there.
        """
        self.device = find_device(device)
        self.styles: tuple[str, ...] = ()
        self.mix: float | None = None
        if isinstance(style, StyleNet):
            network = deepcopy(style)
        elif isinstance(style, Mix):
            self.styles, self.mix = (slug_of(style.one), slug_of(style.other)), style.share
            network = _mixed(style)
        else:
            self.styles, network = (slug_of(style),), load_network(style)
        self.engine: Engine = make_engine(network, self.device, engine)

    def paint(self, frames: Iterable[Yuv]) -> Iterator[Yuv]:
        """The paintings of frames on a canvas, each by itself, in order; see `Engine.paint`."""
        return self.engine.paint(map(on_canvas, frames))

    def paint_next(self, frame: Yuv, past: Remembered | None) -> Yuv:
        """The painting of a frame on a canvas, given what is remembered of the one before.

        Raises:
            StylevidError: there is not enough memory for frames of this size.
        """
        return self.engine.submit([on_canvas(frame)], past)()[0]

    def paint_after(self, last: Yuv, frame: Yuv, motion: Motion) -> Yuv:
        """The painting of a frame after the `last` painting, along the motion between the two.

        Raises:
            StylevidError: there is not enough memory for frames of this size.
        """
        return last if motion.resting else self.paint_next(frame, carry(last, motion))


def _mixed(mix: Mix) -> StyleNet:
    try:
        return mix_networks(load_network(mix.one), load_network(mix.other), mix.share)
    except ValueError as cause:
        raise WeightsError(f"{slug_of(mix.one)} and {slug_of(mix.other)} cannot be mixed: {cause}. "
                           "Choose two bundled styles.") from cause  # fmt: skip


def engine_names(device: torch.device) -> list[str]:
    """The engines that run on a device, the one that suits it best first.

    OpenVINO is the fastest on every CPU that was measured, and bfloat16 wins where the CPU computes
    in it. On GPUs float16 is as fast as bfloat16 and truer: at most 5 of 255 levels from float32,
    not 39.
    """
    if device.type == "cuda":
        return ["torch-float16", "torch-float32"]
    if device.type != "cpu":
        return ["torch-float32"]
    precisions = ["bfloat16", "float32"] if computes_bfloat16(device) else ["float32"]
    runtimes = ["openvino", "torch"] if _has_openvino() else ["torch"]
    return [f"{runtime}-{precision}" for runtime in runtimes for precision in precisions]


def computes_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16: without them it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def make_engine(network: StyleNet, device: torch.device, name: str | None = None) -> Engine:
    """The network, which is taken over, on a device.

    Raises:
        StylevidError: `name` is none of `engine_names`.
    """
    names = engine_names(device)
    runtime, _, precision = (name or names[0]).partition("-")
    if name is not None and name not in names:
        raise StylevidError(
            f"There is no engine {name!r} on {device} here. Choose one of {', '.join(names)}."
        )
    if runtime == "openvino":
        from .openvino_engine import OpenVinoEngine

        return OpenVinoEngine(network, precision)
    return TorchEngine(network, device, getattr(torch, precision), _BATCH.get(device.type, 1))


def _has_openvino() -> bool:
    try:
        import openvino as _  # noqa: F401
    except ImportError:
        return False
    return True


def find_device(name: str | None) -> torch.device:
    """The device of that name; without one a GPU if there is one, else the CPU.

    Raises:
        StylevidError: there is none.
    """
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    # torch says "no such device" in a different way for every kind of device
    except (RuntimeError, AssertionError, NotImplementedError) as cause:
        raise StylevidError(f"There is no device {name!r} here. Use --device cpu.") from cause
    return device
