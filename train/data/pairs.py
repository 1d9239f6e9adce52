"""Pairs of neighbouring frames with flow and visibility."""

from dataclasses import dataclass

from torch import Tensor


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
