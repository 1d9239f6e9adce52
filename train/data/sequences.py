"""Short videos with flow, as the temporal stage learns from them: moving layers made from
photographs."""

from dataclasses import replace

import torch
from torch import Tensor

from stylevid.frames import size_of
from stylevid.learn.sequences import LEARNED

from .layers import Layer, Motion, draw_layers, paint, true_flow

_TURN = 0.1  # of what a pair turns and zooms: a clip goes on for longer


def draw_sequence(
    pictures: Tensor,
    size: tuple[int, int],
    generator: torch.Generator,
    speed: float,
    still: float = 0.0,
) -> list[Layer]:
    """The layers that `draw_layers` makes of the same arguments, moving so that many frames can be
    seen: without a bend, and turning less."""
    layers: list[Layer] = []
    for layer in draw_layers(pictures, size, generator, speed, still):
        moved = layer.motion
        motion = Motion(size, moved.shift, moved.angle * _TURN, moved.zoom * _TURN)
        layers.append(replace(layer, motion=motion))
    return layers


def show(layers: list[Layer], count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The first frames of the layers, count,1,3,H,W, and flow and visibility of the last ones of
    them, as in `Sequences`."""
    views = [paint(layers, time) for time in range(count)]
    steps = [
        true_flow(layers, views[t], views[t - 1]) for t in range(max(1, count - LEARNED), count)
    ]
    frames = torch.stack([view.image for view in views])
    none = frames.new_zeros((0, 1, 3, *size_of(frames)))
    flows = torch.stack([flow for flow, _ in steps]) if steps else none[:, :, :2]
    visible = torch.stack([seen for _, seen in steps]) if steps else none[:, :, :1]
    return frames, flows, visible
