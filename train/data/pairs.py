"""Pairs of neighbouring frames with flow and visibility, and their making from photographs. Those
that are read from files come from `sceneflow`."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .layers import draw_layers, render

CUTOUTS = 2  # moving shapes before the background of a generated pair


@dataclass(frozen=True)
class Pairs:
    """A batch of neighbouring frames.

    Attributes:
        prev, cur: N,3,H,W in [0, 1].
        flow_cur_to_prev: N,2,H,W, (dx, dy) in pixels, exact.
        visible: N,1,H,W on cur's grid, 1 where the pixel is also seen in prev.
    """

    prev: Tensor
    cur: Tensor
    flow_cur_to_prev: Tensor
    visible: Tensor


def generate_pairs(
    pictures: Tensor,
    size: int,
    generator: torch.Generator,
    cutouts: int = CUTOUTS,
    speed: float = 6.0,
    still: float = 0.0,
) -> Pairs:
    """One pair for every 1 + `cutouts` pictures.

    Args:
        pictures: N*(1+cutouts),3,H,W in [0, 1], at least `size` * 1.25 pixels square.
        size: height and width of the frames.
        generator: of the pictures' device; the only source of chance.
        cutouts: moving shapes before the background.
        speed: standard deviation of a layer's motion, pixels a frame.
        still: share of the pairs whose background does not move, as before a fixed camera.
    """
    group = 1 + cutouts
    if len(pictures) % group:
        raise ValueError(f"{len(pictures)} pictures do not make groups of {group}")
    scenes = [
        render(draw_layers(pictures[i : i + group], (size, size), generator, speed, still))
        for i in range(0, len(pictures), group)
    ]
    return Pairs(
        prev=torch.cat([scene.prev.image for scene in scenes]),
        cur=torch.cat([scene.cur.image for scene in scenes]),
        flow_cur_to_prev=torch.cat([scene.flow_cur_to_prev for scene in scenes]),
        visible=torch.cat([scene.visible_in_prev for scene in scenes]),
    )
