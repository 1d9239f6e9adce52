"""Clips of moving layers with exact flow between any two frames: ground truth to judge steadiness
by, over more than a pair."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .layers import Layer, Motion, View, draw_layers, paint, pick, visible_along

_TURN = 0.1  # of what a pair turns and zooms: a clip goes on for longer


@dataclass(frozen=True)
class Sequence:
    """Layers that move evenly, seen at the frames 0, 1, 2 and so on.

    Attributes:
        layers: back to front; their motion is that of one frame, as a similarity.
    """

    layers: list[Layer]

    def view(self, number: int) -> View:
        """What frame `number` shows."""
        return paint(self.layers, [in_first(layer, number) for layer in self.layers])

    def flow(self, cur: int, prev: int) -> tuple[Tensor, Tensor]:
        """`flow_cur_to_prev` 1,2,H,W in pixels, and 1,1,H,W, 1 where the pixel is also seen in
        prev; both on cur's grid."""
        owner, other_owner = self.view(cur).owner, self.view(prev).owner
        fields: list[Tensor] = []
        for layer in self.layers:
            points = in_first(layer, cur)
            there = points + after(layer.motion, prev).flow_prev_to_cur(points)
            fields.append(there - layer.grid)
        flow_cur_to_prev = pick(fields, owner)
        return flow_cur_to_prev, visible_along(flow_cur_to_prev, owner, other_owner)

    def frames(self, count: int, noise: float, generator: torch.Generator) -> Iterator[Tensor]:
        """The images 1,3,H,W in [0, 1], in steps of 1/255, with a sensor's noise of this standard
        deviation."""
        for number in range(count):
            image = self.view(number).image
            grain = torch.randn(image.shape, generator=generator, device=image.device)
            yield ((image + noise * grain).clamp(0, 1) * 255).round() / 255


def draw_sequence(
    pictures: Tensor,
    size: tuple[int, int],
    generator: torch.Generator,
    speed: float,
    still: bool = False,
) -> Sequence:
    """A clip of the layers that `draw_layers` makes of the same arguments, without their bend.

    Args:
        still: the background does not move.
    """
    layers: list[Layer] = []
    for layer in draw_layers(pictures, size, generator, speed, float(still)):
        moved = layer.motion
        motion = Motion(size, moved.shift, moved.angle * _TURN, moved.zoom * _TURN)
        layers.append(replace(layer, motion=motion))
    return Sequence(layers)


def after(motion: Motion, frames: int) -> Motion:
    """The motion of so many frames, from frame 0 (`prev`) to the last of them (`cur`)."""
    return replace(motion, shift=motion.shift * frames, angle=motion.angle * frames,
                   zoom=motion.zoom * frames)  # fmt: skip


def in_first(layer: Layer, number: int) -> Tensor:
    """Where in frame 0 the pixels of frame `number` are, 1,2,H,W, as if the layer covered all."""
    return layer.grid + after(layer.motion, number).flow_cur_to_prev(layer.grid)
