"""What learning lowers: the weighted losses of one batch, as a module that DistributedDataParallel
can wrap."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..frames import size_of
from ..network import Past, StyleNet
from ..warp import warp
from . import losses
from .sequences import LEARNED, Sequences
from .vgg import VGG16Features

_POOLED = 8  # pixels that the deepest of VGG's features are apart


@dataclass(frozen=True)
class LossWeights:
    """Of the terms of `losses`; as they are, for learning on the spot."""

    content: float = 2.3
    style: float = 24.0
    color: float = 15.0
    tv: float = 0.1
    lattice: float = 3000.0
    output_temporal: float = 500.0


class Objective(nn.Module):
    """The losses of the network for one painting: perceptual ones of the last frame of sequences,
    which may be all there is, and temporal ones of the last two."""

    def __init__(
        self, network: StyleNet, vgg: VGG16Features, painting: losses.PaintingTargets
    ) -> None:
        """
        Args:
            vgg: on the device where learning happens; the network computes in its dtype, too. It
                is left out of `parameters()`.
            painting: as `vgg` sees it.
        """
        super().__init__()
        self.network = network
        self.painting = painting
        self._frozen = (vgg,)  # in a tuple, so that it is no submodule: nothing of it is trained

    def forward(self, batch: Sequences, weights: LossWeights, step: int = 0) -> dict[str, Tensor]:
        """The weighted losses by name, float32 scalars.

        VGG pools on a lattice, and the network paints on one: from step to step they are moved
        against each other, so that no pattern that fits both is rewarded.
        """
        painted, temporal = self._paint_sequence(batch, weights)
        image = batch.frames[-1]
        return self.perceptual_terms(_moved(painted, step), _moved(image, step), weights) | temporal

    @torch.no_grad()
    def content(self, image: Tensor) -> Tensor:
        """What paintings of an image N,3,H,W are to have in common with it: relu3_3."""
        return self._frozen[0].content(image)

    def perceptual_terms(
        self, painted: Tensor, image: Tensor, weights: LossWeights, content: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Content, style, color, total-variation and lattice losses of paintings of an image, both
        N,3,H,W; `content` is that of the image, if it is known."""
        content = self.content(image) if content is None else content
        features = self._frozen[0](painted)
        color = losses.color_loss(painted, image, self.painting.palette)
        return {
            "content": weights.content * losses.content_loss(features.relu3_3, content),
            "style": weights.style * losses.style_loss(features, self.painting.grams),
            "color": weights.color * color,
            "tv": weights.tv * losses.total_variation(painted),
            "lattice": weights.lattice * losses.lattice_loss(painted),
        }

    def _paint_sequence(
        self, batch: Sequences, weights: LossWeights
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The painting of the last frame, and the temporal loss of the last two.

        The network paints as it will: frame after frame, given its last painting along the flow
        that is estimated then, while the loss is computed along the true one. Gradients flow
        through the last two frames; those before make the past that they start from, so that
        errors which build up are seen.
        """
        paint = self._painter()
        first_learned = max(0, len(batch.seen) - LEARNED)
        with torch.set_grad_enabled(first_learned == 0):
            painted = paint(batch.seen[0], None)
        temporal = painted.new_zeros(())
        for t in range(1, len(batch.seen)):
            prev = painted
            with torch.set_grad_enabled(t >= first_learned):
                carried, _ = warp(prev, batch.followed[t - 1], "bicubic")
                painted = paint(batch.seen[t], Past(carried, batch.trust[t - 1]))
                if t >= first_learned:
                    temporal = temporal + self._output_temporal(painted, prev, batch, t)
        return painted, {"output_temporal": weights.output_temporal * temporal}

    def _painter(self) -> Callable[[Tensor, Past | None], Tensor]:
        """The network as it is, in VGG's dtype, without what autocast would copy."""
        dtype = self._frozen[0].dtype
        weights = {name: weight.to(dtype) for name, weight in self.network.named_parameters()}

        def paint(image: Tensor, past: Past | None) -> Tensor:
            if past is None:  # nothing is known, and every parameter has its gradient
                past = Past(torch.zeros_like(image), torch.zeros_like(image[:, :1, ::2, ::2]))
            given = _as_computed(image, dtype), Past(*(_as_computed(p, dtype) for p in past))
            return functional_call(self.network, weights, given).float()

        return paint

    def _output_temporal(
        self, painted: Tensor, prev_painted: Tensor, batch: Sequences, t: int
    ) -> Tensor:
        # Differs from ReCoNet: bicubic, since a bilinear warp blurs the target, and a painting
        # that is blurred as well would be rewarded for it.
        last = t - len(batch.seen)  # -1 for the last frame
        flow_cur_to_prev = batch.flow_cur_to_prev[last]
        warped_painted, _ = warp(prev_painted, flow_cur_to_prev, "bicubic")
        warped_image, _ = warp(batch.frames[t - 1], flow_cur_to_prev, "bicubic")
        return losses.output_temporal_loss(
            painted, warped_painted, batch.frames[t], warped_image, batch.visible[last]
        )


def descend(
    terms: dict[str, Tensor],
    network: StyleNet,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler | None = None,
) -> Tensor:
    """One step down the sum of the losses, float32 scalars by name, the gradient's norm at most 10;
    their values before it, float32, in the same order.

    Args:
        scaler: keeps float16 gradients from vanishing; None where there are none.
    """
    scaler = scaler or torch.amp.GradScaler(enabled=False)
    loss = torch.stack(list(terms.values()))
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(loss.sum()).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(network.parameters(), 10.0)
    scaler.step(optimizer)
    scaler.update()
    network.level_sub_pixels()
    return loss.detach()


def _moved(image: Tensor, step: int) -> Tensor:
    """A part of an image N,3,H,W that begins elsewhere from step to step, always of one size."""
    top, left = step % _POOLED, step // _POOLED % _POOLED
    height, width = (side - _POOLED for side in size_of(image))
    return image[..., top : top + height, left : left + width]


def _as_computed(image: Tensor, dtype: torch.dtype) -> Tensor:
    return image.to(dtype).contiguous(memory_format=torch.channels_last)
