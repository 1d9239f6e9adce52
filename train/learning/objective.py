"""What training lowers: the weighted losses of one batch, as a module that DistributedDataParallel
can wrap."""

import torch
from torch import Tensor, nn

from stylevid.learn import losses
from stylevid.learn.vgg import VGG16Features
from stylevid.network import Past, StyleNet
from stylevid.warp import warp

from ..config import TrainConfig
from ..data.sequences import Sequences

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
_LEARNS = 2  # the last frames of a sequence, through which gradients flow; time before is replayed


class Objective(nn.Module):
    """The losses of the network for one painting: perceptual on pictures, and temporal as well on
    sequences."""

    def __init__(
        self, config: TrainConfig, network: StyleNet, vgg: VGG16Features, painting: Tensor
    ) -> None:
        """
        Args:
            vgg: on the device where training happens, in the dtype that it is to compute in; it is
                left out of `parameters()`.
            painting: 1,3,H,W in [0, 1].
        """
        super().__init__()
        self.config = config
        self.network = network
        self._frozen = (vgg,)  # in a tuple, so that it is no submodule: nothing of it is trained
        with torch.no_grad():
            self.painting = losses.PaintingTargets.of(painting, vgg)

    def forward(self, batch: Tensor | Sequences) -> dict[str, Tensor]:
        """The weighted losses by name, float32 scalars, of pictures N,3,H,W or of sequences."""
        if isinstance(batch, Tensor):
            return self.perceptual_terms(batch)
        return self.sequence_terms(batch)

    def perceptual_terms(self, content: Tensor) -> dict[str, Tensor]:
        """Content, style, tone and total-variation losses of pictures N,3,H,W."""
        config = self.config
        return self._perceptual(
            self._paint(content, None), content, config.content_weight, config.style_weight
        )

    def sequence_terms(self, batch: Sequences) -> dict[str, Tensor]:
        """The perceptual losses of the last frame, and the temporal ones of the last two.

        The network paints as it will: frame after frame, given its last painting along the flow
        that is estimated then, while the loss is computed along the true one. Gradients flow
        through the last two frames; those before make the past that they start from, so that
        errors which build up are seen.
        """
        config, count = self.config, len(batch.seen)
        prev: Tensor | None = None
        painted = self._first(batch, learns=count <= _LEARNS)
        temporal = painted.new_zeros(())
        for t in range(1, count):
            prev = painted
            with torch.set_grad_enabled(t >= count - _LEARNS):
                carried, _ = warp(prev, batch.followed[t - 1], "bicubic")
                painted = self._paint(batch.seen[t], Past(carried, batch.trust[t - 1]))
                if t >= count - _LEARNS:
                    temporal = temporal + self._output_temporal(painted, prev, batch, t)
        terms = self._perceptual(
            painted, batch.frames[-1], config.temporal_content_weight, config.temporal_style_weight
        )
        return terms | {"output_temporal": config.output_temporal_weight * temporal}

    def _first(self, batch: Sequences, learns: bool) -> Tensor:
        with torch.set_grad_enabled(learns):
            return self._paint(batch.seen[0], None)

    def _paint(self, image: Tensor, past: Past | None) -> Tensor:
        if past is None:  # nothing is known, and every parameter has its gradient
            past = Past(torch.zeros_like(image), torch.zeros_like(image[:, :1, ::2, ::2]))
        with self._autocast(image):
            return self.network(_channels_last(image), past).float()

    def _output_temporal(
        self, painted: Tensor, prev_painted: Tensor, batch: Sequences, t: int
    ) -> Tensor:
        # Differs from ReCoNet: bicubic, since a bilinear warp blurs the target, and a painting
        # that is blurred as well would be rewarded for it.
        flow_cur_to_prev = batch.flow_cur_to_prev[t - 1]
        warped_painted, _ = warp(prev_painted, flow_cur_to_prev, "bicubic")
        warped_image, _ = warp(batch.frames[t - 1], flow_cur_to_prev, "bicubic")
        return losses.output_temporal_loss(
            painted, warped_painted, batch.frames[t], warped_image, batch.visible[t - 1]
        )

    def _perceptual(
        self, painted: Tensor, content: Tensor, content_weight: float, style_weight: float
    ) -> dict[str, Tensor]:
        (vgg,) = self._frozen
        with torch.no_grad():
            wanted = vgg.content(content)
        features = vgg(painted)
        config = self.config
        tone = losses.tone_loss(painted, content, self.painting.tones)
        return {
            "content": content_weight * losses.content_loss(features.relu3_3, wanted),
            "style": style_weight * losses.style_loss(features, self.painting.grams),
            "tv": config.tv_weight * losses.total_variation(painted),
            "tone": config.tone_weight * tone,
        }

    def _autocast(self, beside: Tensor) -> torch.autocast:
        dtype = DTYPES[self.config.precision]
        return torch.autocast(beside.device.type, dtype, enabled=dtype != torch.float32)


def _channels_last(image: Tensor) -> Tensor:
    return image.contiguous(memory_format=torch.channels_last)
