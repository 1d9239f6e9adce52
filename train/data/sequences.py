"""Short videos with flow, as the sequence stage learns from them: generated from photographs as
moving layers with exact flow, or made of pairs that were read."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stylevid.frames import size_of
from stylevid.learn.sequences import LEARNED

from .layers import Layer, Motion, View, draw_layers, paint, pick, visible_along
from .pairs import Pairs

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
        points = [_move(layer, *_to_first(layer, number)) for layer in self.layers]
        return paint(self.layers, points)

    def flow(self, cur: int, prev: int) -> tuple[Tensor, Tensor]:
        """`flow_cur_to_prev` 1,2,H,W in pixels, and 1,1,H,W, 1 where the pixel is also seen in
        prev; both on cur's grid."""
        return self._flow(cur, prev, self.view(cur).owner, self.view(prev).owner)

    def _flow(
        self, cur: int, prev: int, owner: Tensor, other_owner: Tensor
    ) -> tuple[Tensor, Tensor]:
        fields: list[Tensor] = []
        for layer in self.layers:
            (turn, shift), (prev_turn, prev_shift) = _to_first(layer, cur), _to_first(layer, prev)
            back = prev_turn.inverse()
            fields.append(_move(layer, back @ turn, back @ (shift - prev_shift)) - layer.grid)
        flow_cur_to_prev = pick(fields, owner)
        return flow_cur_to_prev, visible_along(flow_cur_to_prev, owner, other_owner)

    def truth(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """The first frames count,1,3,H,W, and flow and visibility of the last ones of them, as in
        `Sequences`."""
        views = [self.view(number) for number in range(count)]
        steps = [
            self._flow(t, t - 1, views[t].owner, views[t - 1].owner)
            for t in range(max(1, count - LEARNED), count)
        ]
        frames = torch.stack([view.image for view in views])
        none = frames.new_zeros((0, 1, 3, *size_of(frames)))
        flows = torch.stack([flow for flow, _ in steps]) if steps else none[:, :, :2]
        visible = torch.stack([seen for _, seen in steps]) if steps else none[:, :, :1]
        return frames, flows, visible

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
    still: float = 0.0,
) -> Sequence:
    """A clip of the layers that `draw_layers` makes of the same arguments, without their bend.

    Args:
        still: probability that the background does not move.
    """
    layers: list[Layer] = []
    for layer in draw_layers(pictures, size, generator, speed, still):
        moved = layer.motion
        motion = Motion(size, moved.shift, moved.angle * _TURN, moved.zoom * _TURN)
        layers.append(replace(layer, motion=motion))
    return Sequence(layers)


def of_pairs(pairs: Pairs) -> tuple[Tensor, Tensor, Tensor]:
    """Frames, flow and visibility of pairs, as `Sequence.truth` has them."""
    frames = torch.stack((pairs.prev, pairs.cur))
    return frames, pairs.flow_cur_to_prev[None], pairs.visible[None]


def _to_first(layer: Layer, number: int) -> tuple[Tensor, Tensor]:
    """Turn 2,2 and shift 2,1: turn @ p + shift is where in frame 0 the point p of frame `number`
    is; the motion of one frame, so many times."""
    motion, (height, width) = layer.motion, layer.motion.size
    angle, scale = motion.angle * number, math.exp(motion.zoom * number)
    sine, cosine = scale * math.sin(angle), scale * math.cos(angle)
    turn = layer.picture.new_tensor(((cosine, -sine), (sine, cosine)))
    middle = turn.new_tensor(((width - 1) / 2, (height - 1) / 2)).view(2, 1)
    return turn, middle - turn @ middle + motion.shift.view(2, 1) * number


def _move(layer: Layer, turn: Tensor, shift: Tensor) -> Tensor:
    """turn @ p + shift of every pixel, 1,2,H,W."""
    return (turn @ layer.grid.flatten(2) + shift).view_as(layer.grid)
