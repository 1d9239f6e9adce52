"""What a training run is: one frozen configuration, each default with its source."""

from dataclasses import asdict, dataclass
from typing import Any

from stylevid.errors import StyleError
from stylevid.network import StyleNetConfig

# The allowed words of the settings that are words.
CHOICES = {
    "schedule": ("one-cycle", "cosine"),
    "precision": ("bfloat16", "float16", "float32"),
}


@dataclass(frozen=True)
class TrainConfig:
    """Sizes in pixels, batches over all processes, learning rates for Adam, losses as in
    `losses.py`."""

    # Network
    width: int = 48
    blocks: int = 5

    # Perceptual stage
    steps: int = 1200
    batch: int = 4
    crop: int = 192  # ours: the largest that trains in minutes on two CPU cores
    learning_rate: float = 2e-3  # ours: one-cycle; ReCoNet's 1e-3 is slower at equal steps
    style_size: int = 448  # longest side of the painting: ours, strokes that read at 640 px
    content_weight: float = 1.0
    style_weight: float = 4.0
    tone_weight: float = 1.0  # ours: bright stays bright, or night paintings darken everything
    tv_weight: float = 0.3  # ours: removes single-pixel noise, leaves strokes

    # Temporal stage, on pairs of frames
    temporal_steps: int = 450
    temporal_batch: int = 2
    temporal_learning_rate: float = 1e-3
    # The temporal terms hold on to the content by themselves: less is asked for, so that the style
    # does not pay for them.
    temporal_content_weight: float = 0.05
    output_temporal_weight: float = 30.0  # ours; ReCoNet's 2e5 belongs to unscaled losses
    feature_temporal_weight: float = 0.0
    speed: float = 3.0  # standard deviation of a generated layer's motion, pixels a frame
    noise: float = 0.02  # of the second frame's input only (Wang et al. 2020)
    exposure: float = 0.03  # standard deviation of log exposure between the two frames

    # Run
    schedule: str = "one-cycle"  # of either stage; or "cosine", which starts at the peak
    precision: str = "bfloat16"  # of the network and VGG; losses are float32 always
    average_decay: float = 0.0  # of a moving average of the weights; 0 keeps none
    seed: int = 0
    hold_out: int = 40  # the last photographs by name are never trained on

    def __post_init__(self) -> None:
        """
        Raises:
            StyleError: a setting is outside its limits.
        """
        for name, words in CHOICES.items():
            if (value := getattr(self, name)) not in words:
                raise StyleError(f"{name} is one of {', '.join(words)}; got {value!r}.")
        for name in ("batch", "temporal_batch"):
            if (value := getattr(self, name)) < 1:
                raise StyleError(f"{name} is at least 1; got {value}.")
        for name in ("steps", "temporal_steps", "hold_out", "average_decay", "noise", "exposure"):
            if (value := getattr(self, name)) < 0:
                raise StyleError(f"{name} is at least 0; got {value}.")
        if self.crop < 16 or self.crop % 4:
            raise StyleError(f"crop is a multiple of 4 from 16 up; got {self.crop}.")
        if self.average_decay >= 1:
            raise StyleError(f"average_decay is below 1; got {self.average_decay}.")

    @property
    def network(self) -> StyleNetConfig:
        return StyleNetConfig(width=self.width, blocks=self.blocks)

    @property
    def total_steps(self) -> int:
        return self.steps + self.temporal_steps

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
