"""What training lowers: the weighted losses of one batch, as a module that DistributedDataParallel
can wrap."""

from dataclasses import fields

import torch
from torch import Tensor, nn

from stylevid.network import StyleNet
from stylevid.warp import warp

from ..config import TrainConfig
from ..data.pairs import CUTOUTS, Pairs, generate_pairs
from . import losses
from .vgg import VGG16Features

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


class Objective(nn.Module):
    """The losses of the network for one painting: perceptual on pictures, and temporal on pairs."""

    def __init__(
        self, config: TrainConfig, network: StyleNet, vgg: VGG16Features, painting: Tensor
    ) -> None:
        """
        Args:
            vgg: on the device where training happens; it is left out of `parameters()`.
            painting: 1,3,H,W in [0, 1].
        """
        super().__init__()
        self.config = config
        self.network = network
        self._frozen = (vgg,)  # in a tuple, so that it is no submodule: nothing of it is trained
        with torch.no_grad():
            self.painting = losses.PaintingTargets.of(painting, vgg)

    def forward(self, batch: Tensor | Pairs, step: int, first: int = 0) -> dict[str, Tensor]:
        """The weighted losses by name, float32 scalars.

        Args:
            batch: pictures N,3,H,W; in the temporal stage pairs of frames, or the pictures that
                pairs are generated from.
            step: of the run: it tells the stage, and chance follows from it.
            first: place of the batch's first pair among all processes' pairs of this step.
        """
        if step < self.config.steps:
            assert isinstance(batch, Tensor)
            return self.perceptual_terms(batch)
        if isinstance(batch, Tensor):
            batch = self._generate(batch, step, first)
        return self.temporal_terms(batch, step, first)

    def perceptual_terms(self, content: Tensor) -> dict[str, Tensor]:
        """Content, style, tone and total-variation losses of pictures N,3,H,W."""
        with self._autocast(content):
            stylized = self.network(_channels_last(content))
        config = self.config
        return self._perceptual(stylized, content, config.content_weight, config.style_weight)

    def temporal_terms(self, pairs: Pairs, step: int, first: int = 0) -> dict[str, Tensor]:
        """The perceptual losses of both frames, and the temporal losses between them."""
        cur, noisy = self._perturb(pairs.cur, step, first)
        with self._autocast(cur):
            stylized = self.network(_channels_last(torch.cat((pairs.prev, noisy)))).float()
        config = self.config
        terms = self._perceptual(
            stylized,
            torch.cat((pairs.prev, cur)),
            config.temporal_content_weight,
            config.temporal_style_weight,
        )
        if self.config.output_temporal_weight:
            terms["output_temporal"] = self._output_temporal(stylized, cur, pairs)
        return terms

    def _generate(self, pictures: Tensor, step: int, first: int) -> Pairs:
        config, group = self.config, 1 + CUTOUTS
        return concatenate(
            [
                generate_pairs(
                    layers, config.temporal_crop, self._generator(layers, step, first + i), CUTOUTS,
                    config.speed,
                )
                for i, layers in enumerate(pictures.split(group))
            ]
        )  # fmt: skip

    def _perturb(self, cur: Tensor, step: int, first: int) -> tuple[Tensor, Tensor]:
        """Every frame with its own chance, whatever share of the batch this process has."""
        both = [
            losses.perturb(
                frame, self.config.noise, self.config.exposure,
                self._generator(frame, step, -1 - first - i),
            )
            for i, frame in enumerate(cur.split(1))
        ]  # fmt: skip
        exposed, noisy = zip(*both, strict=True)
        return torch.cat(exposed), torch.cat(noisy)

    def _generator(self, beside: Tensor, step: int, place: int) -> torch.Generator:
        seed = (self.config.seed * 1_000_003 + step) * 4_099 + place
        return torch.Generator(beside.device).manual_seed(seed)

    def _output_temporal(self, stylized: Tensor, cur: Tensor, pairs: Pairs) -> Tensor:
        prev_stylized, cur_stylized = stylized.chunk(2)
        # Differs from ReCoNet: bicubic, since a bilinear warp blurs the target, and a painting
        # that is blurred as well would be rewarded for it.
        warped_stylized, _ = warp(prev_stylized, pairs.flow_cur_to_prev, "bicubic")
        warped_image, _ = warp(pairs.prev, pairs.flow_cur_to_prev, "bicubic")
        return self.config.output_temporal_weight * losses.output_temporal_loss(
            cur_stylized, warped_stylized, cur, warped_image, pairs.visible
        )

    def _perceptual(
        self, stylized: Tensor, content: Tensor, content_weight: float, style_weight: float
    ) -> dict[str, Tensor]:
        (vgg,) = self._frozen
        with self._autocast(content):
            with torch.no_grad():
                wanted = vgg(_channels_last(content)).relu3_3
            features = vgg(_channels_last(stylized))
        config = self.config
        terms = {
            "content": content_weight * losses.content_loss(features.relu3_3, wanted),
            "style": style_weight * losses.style_loss(features, self.painting.grams),
            "tv": config.tv_weight * losses.total_variation(stylized),
        }
        if config.tone_weight:
            tone = losses.tone_loss(stylized, content, self.painting.tones)
            terms["tone"] = config.tone_weight * tone
        return terms

    def _autocast(self, beside: Tensor) -> torch.autocast:
        dtype = DTYPES[self.config.precision]
        return torch.autocast(beside.device.type, dtype, enabled=dtype != torch.float32)


def concatenate(pairs: list[Pairs]) -> Pairs:
    """One batch of several."""
    return Pairs(*(torch.cat([getattr(p, f.name) for p in pairs]) for f in fields(Pairs)))


def _channels_last(image: Tensor) -> Tensor:
    return image.contiguous(memory_format=torch.channels_last)
