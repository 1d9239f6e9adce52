"""What a training run is: one frozen configuration, each setting with what it is for."""

import math
from dataclasses import dataclass, field, fields
from typing import Any

from stylevid.errors import StyleError
from stylevid.learn.objective import LossWeights
from stylevid.network import StyleNetConfig

PRECISIONS = ("bfloat16", "float16", "float32")
_LEAST = {"batch": 1, "temporal_batch": 1, "frames": 2, "style_size": 64} | dict.fromkeys(
    ("steps", "temporal_steps", "hold_out", "seed"), 0
)
_KINDS: dict[Any, str] = {int: "a whole number", float: "a number", str: "a word"}


def _is(default: float | str, what: str) -> Any:
    """A setting, and what `python -m train --help` says of it."""
    return field(default=default, metadata={"help": what})


@dataclass(frozen=True)
class TrainConfig:
    """Sizes in pixels, batches over all processes, learning rates for Adam, losses as in
    `losses.py`. What a default is taken from, where it is not ours, is said with it."""

    # Network
    width: int = _is(48, "channels at a quarter of the resolution")
    blocks: int = _is(5, "residual blocks")
    dilation: int = _is(4, "of the middle block: strokes longer than those of plain blocks")

    # Perceptual stage
    steps: int = _is(500, "of the perceptual stage, on photographs")
    batch: int = _is(1, "photographs a step, over all processes")
    crop: int = _is(480, "side of the squares, pixels: paint is learned as large as it is seen")
    learning_rate: float = _is(2e-3, "Adam's peak; ReCoNet's 1e-3 is slower at equal steps")
    style_size: int = _is(640, "longest side of the painting, pixels: strokes grow with it")
    content_weight: float = _is(1.0, "of relu3_3 (Johnson et al. 2016)")
    style_weight: float = _is(12.0, "of the Gram matrices of relu1_2 to relu4_3")
    color_weight: float = _is(5.0, "hue and light follow the picture, in the painting's colors")
    tv_weight: float = _is(0.1, "total variation: removes single-pixel noise, leaves strokes")
    lattice_weight: float = _is(3000.0, "no mesh of the network's own grid")

    # Temporal stage
    temporal_steps: int = _is(150, "of the temporal stage, on sequences of frames")
    temporal_batch: int = _is(1, "sequences a step, over all processes")
    frames: int = _is(24, "of the longest sequences: a past that decays is seen decaying")
    temporal_crop: int = _is(448, "side of the squares, pixels")
    temporal_learning_rate: float = _is(1e-3, "Adam's peak (ReCoNet, Gao et al. 2018)")
    temporal_content_weight: float = _is(1.0, "as --content-weight, in this stage")
    temporal_style_weight: float = _is(14.0, "steadiness takes paint away, this gives it back")
    output_temporal_weight: float = _is(200.0, "of the stylized frames' warped difference; "
                                        "ReCoNet's 2e5 is for unscaled losses")  # fmt: skip
    speed: float = _is(3.0, "standard deviation of a generated layer's motion, pixels a frame")
    noise: float = _is(0.02, "of frames and pictures as they are given (Wang et al. 2020)")
    compressed: float = _is(0.5, "share of them that come compressed until blocks are seen")
    stray: float = _is(1.0, "pixels by which the estimated flow is led astray, at most")
    exposure: float = _is(0.02, "standard deviation of each frame's log exposure")

    # Run
    precision: str = _is("bfloat16", "of the network and VGG; losses are float32 always")
    seed: int = _is(0, "of all chance")
    hold_out: int = _is(40, "photographs, the last by name, that are never trained on")

    def __post_init__(self) -> None:
        """
        Raises:
            StyleError: a setting is outside its limits.
        """
        for setting in fields(self):
            value, kind = getattr(self, setting.name), type(setting.default)
            if not isinstance(value, (int, float) if kind is float else kind):
                raise StyleError(f"{setting.name} is {_KINDS[kind]}; got {value!r}.")
            if kind is float and not 0 <= value < math.inf:
                raise StyleError(f"{setting.name} is a number from 0 up; got {value}.")
        if self.precision not in PRECISIONS:
            words = ", ".join(PRECISIONS)
            raise StyleError(f"precision is one of {words}; got {self.precision!r}.")
        try:
            _ = self.network
        except ValueError as cause:
            raise StyleError(f"{cause}.") from cause
        for name, least in _LEAST.items():
            if (value := getattr(self, name)) < least:
                raise StyleError(f"{name} is at least {least}; got {value}.")
        for name in ("crop", "temporal_crop"):
            if (value := getattr(self, name)) < 16 or value % 4:
                raise StyleError(f"{name} is a multiple of 4 from 16 up; got {value}.")

    @property
    def network(self) -> StyleNetConfig:
        return StyleNetConfig(self.width, self.blocks, self.dilation)

    def weights(self, step: int) -> LossWeights:
        """Of the losses, at a step."""
        if step < self.steps:
            content, style = self.content_weight, self.style_weight
        else:
            content, style = self.temporal_content_weight, self.temporal_style_weight
        return LossWeights(
            content,
            style,
            self.color_weight,
            self.tv_weight,
            self.lattice_weight,
            self.output_temporal_weight,
        )

    @property
    def total_steps(self) -> int:
        return self.steps + self.temporal_steps
