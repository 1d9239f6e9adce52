"""What a training run is: one frozen configuration, each default with its source."""

import math
from dataclasses import dataclass, fields

from stylevid.errors import StyleError
from stylevid.learn.objective import LossWeights
from stylevid.network import StyleNetConfig

PRECISIONS = ("bfloat16", "float16", "float32")
_LEAST = {"batch": 1, "temporal_batch": 1, "frames": 2, "style_size": 64} | dict.fromkeys(
    ("steps", "temporal_steps", "hold_out", "seed"), 0
)


@dataclass(frozen=True)
class TrainConfig:
    """Sizes in pixels, batches over all processes, learning rates for Adam, losses as in
    `losses.py`."""

    # Network
    width: int = 48
    blocks: int = 5
    dilation: int = 4  # ours: strokes longer than those of plain blocks, docs/network.md

    # Perceptual stage
    steps: int = 500
    batch: int = 1
    crop: int = 480  # ours: paint is learned at the size at which it is seen
    learning_rate: float = 2e-3  # ours: one-cycle; ReCoNet's 1e-3 is slower at equal steps
    style_size: int = 640  # longest side of the painting: ours, strokes that read at 640 px
    content_weight: float = 1.0
    style_weight: float = 12.0
    color_weight: float = 5.0  # ours: hue and light follow the picture, in the painting's colors
    tv_weight: float = 0.1  # ours: removes single-pixel noise, leaves strokes
    lattice_weight: float = 3000.0  # ours: no mesh of the network's own grid

    # Temporal stage, on sequences of frames
    temporal_steps: int = 150
    temporal_batch: int = 1
    frames: int = 24  # of the longest sequences: ours, a past that decays is seen decaying
    temporal_crop: int = 448
    temporal_learning_rate: float = 1e-3
    temporal_content_weight: float = 1.0
    temporal_style_weight: float = 14.0  # ours: steadiness takes paint away, this gives it back
    output_temporal_weight: float = 200.0  # ours; ReCoNet's 2e5 belongs to unscaled losses
    speed: float = 3.0  # standard deviation of a generated layer's motion, pixels a frame
    noise: float = 0.02  # of frames and pictures as they are given (Wang et al. 2020)
    compressed: float = 0.5  # ours: share of those that come compressed until blocks are seen
    stray: float = 1.0  # ours: pixels by which the estimated flow is led astray, at most
    exposure: float = 0.02  # standard deviation of each frame's log exposure

    # Run
    precision: str = "bfloat16"  # of the network and VGG; losses are float32 always
    seed: int = 0
    hold_out: int = 40  # the last photographs by name are never trained on

    def __post_init__(self) -> None:
        """
        Raises:
            StyleError: a setting is outside its limits.
        """
        if self.precision not in PRECISIONS:
            words = ", ".join(PRECISIONS)
            raise StyleError(f"precision is one of {words}; got {self.precision!r}.")
        try:
            _ = self.network
        except ValueError as cause:
            raise StyleError(f"{cause}.") from cause
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, float) and not 0 <= value < math.inf:
                raise StyleError(f"{field.name} is a number from 0 up; got {value}.")
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
