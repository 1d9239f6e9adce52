"""What a training run is: one frozen configuration, each default with its source."""

from dataclasses import asdict, dataclass
from typing import Any

from stylevid.network import StyleNetConfig


@dataclass(frozen=True)
class TrainConfig:
    """Sizes in pixels, learning rates for Adam, losses as in `losses.py`."""

    # Network
    width: int = 64
    blocks: int = 5

    # Perceptual stage
    steps: int = 1200
    batch: int = 4
    crop: int = 192  # ours: the largest that trains in minutes on two CPU cores
    learning_rate: float = 2e-3  # ours: one-cycle; ReCoNet's 1e-3 is slower at equal steps
    style_size: int = 448  # longest side of the painting: ours, strokes that read at 640 px
    content_weight: float = 1.0
    style_weight: float = 1.0
    tv_weight: float = 0.3  # ours: removes single-pixel noise, leaves strokes

    # Temporal stage, on pairs of frames
    temporal_steps: int = 450
    temporal_batch: int = 2
    temporal_learning_rate: float = 5e-4
    output_temporal_weight: float = 60.0  # ours; ReCoNet's 2e5 belongs to unscaled losses
    feature_temporal_weight: float = 0.0
    speed: float = 6.0  # standard deviation of a layer's motion, pixels a frame
    noise: float = 0.02  # of the second frame's input only (Wang et al. 2020)
    exposure: float = 0.05  # standard deviation of log exposure between the two frames

    # Run
    seed: int = 0
    hold_out: int = 40  # the last photographs by name are never trained on

    @property
    def network(self) -> StyleNetConfig:
        return StyleNetConfig(width=self.width, blocks=self.blocks)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
