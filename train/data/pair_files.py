"""One pair of neighbouring frames from its files: two frames, the flow between them, and where it
can be trusted. Whole, or a window of it; and what augmentation does to flow and masks."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylevid.errors import DataError, StyleError
from stylevid.frames import Frame, resize, size_of, to_image
from stylevid.learn.painting import read_picture
from stylevid.warp import (
    inside,
    motion_boundary_mask,
    occlusion_mask,
    pixel_grid,
    resize_flow,
    sample,
)

from .flow_files import read_flow

_LARGEST_FLOW = 1e4  # pixels; what is more is no motion but a broken value
_CROWDED = 1.25  # pixels on one place: two surfaces have more, one that shrinks by 5% less
_LARGEST_SCALE = 2.25  # frame pixels in one pixel of a crop


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


@dataclass(frozen=True)
class PairFiles:
    """The files of one pair; None for what is not there.

    Attributes:
        flow: lives on cur's grid and points to prev.
        reverse_flow: lives on prev's grid and points to cur.
        occlusion: a picture, nonzero where cur's pixel is hidden in prev.
        boundary: a picture, nonzero at cur's motion boundaries.
    """

    cur: Path
    prev: Path
    flow: Path
    reverse_flow: Path | None
    occlusion: Path | None
    boundary: Path | None


Window = tuple[slice, slice]
"""Rows and columns of a frame."""
Place = Callable[[int, int], Window]
"""Which window of a frame of this height and width."""


def read_pair(files: PairFiles, place: Place | None = None) -> Pairs:
    """One pair, 1,3,H,W at the size it has on disk: whole, or the window of it that
    `place(height, width)` gives.

    Not visible is a pixel that is occluded in prev, whose partner lies outside the window, that is
    at a motion boundary, or whose flow is not finite or absurdly long; there the flow is 0.
    Occlusion is read from its file, else found by the forward-backward check with the reverse
    flow, else guessed from the one flow by `collision_mask`.

    Raises:
        DataError: a file is broken, its size differs from the flow's, or no flow is finite.
    """
    whole = read_flow(files.flow)
    size = size_of(whole)
    window = place(*size) if place else (slice(size[0]), slice(size[1]))
    usable = _is_usable(whole)
    if not usable.any():
        raise DataError(f"{files.flow} holds no flow that is finite and real.", "no finite flow")
    whole = whole.where(usable, 0.0)
    flow, trusted = whole[..., *window], usable[..., *window].float()
    prev, cur = (
        to_image(np.ascontiguousarray(_read(path, files.flow, size)[window]))
        for path in (files.prev, files.cur)
    )

    def mask(path: Path) -> Tensor:
        return torch.from_numpy(_read(path, files.flow, size)[window].max(2) > 0)[
            None, None
        ].float()

    hidden = mask(files.boundary) if files.boundary else motion_boundary_mask(flow)
    if files.occlusion:
        occluded = mask(files.occlusion)
    elif files.reverse_flow:
        reverse = read_flow(files.reverse_flow)
        _check_size(files.reverse_flow, size_of(reverse), files.flow, size)
        # The check reads the reverse flow at partners alone, so the same window is enough: exact
        # where the partner is in it. An unknown flow back agrees with nothing, not even where a
        # trace of it is mixed in.
        back = reverse.where(_is_usable(reverse), 100 * _LARGEST_FLOW)
        occluded = occlusion_mask(flow, back[..., *window])
    else:  # what lands in the window may come from anywhere in the frame
        occluded = collision_mask(whole)[..., *window]
    points = pixel_grid(*size_of(flow)) + flow
    visible = trusted * (1 - hidden) * (1 - occluded) * inside(points, *size_of(flow))
    return Pairs(prev, cur, flow, visible)


def read_prev(files: PairFiles, place: Place | None = None) -> Tensor:
    """The pair's earlier frame alone, 1,3,H,W, whole or the window of it.

    Raises:
        DataError: it is broken.
    """
    frame = _picture(files.prev)
    window = place(*frame.shape[:2]) if place else ...
    return to_image(np.ascontiguousarray(frame[window]))


def collision_mask(flow: Tensor) -> Tensor:
    """Where several pixels land on the same place: N,1,H,W on the flow's own grid, 1 = they do.

    Ones are splatted forward along the flow, bilinearly; a place that collects more than 1.25 is
    reached by two surfaces. All of them are masked, since flow alone does not say which is in
    front: conservative, but blind to a surface that is covered by one not seen in this frame.

    Args:
        flow: N,2,H,W in pixels, finite.
    Source: uniqueness of the mapping, Unger et al. 2012 (Joint Motion Estimation and Segmentation
        of Complex Scenes with Label Costs and Occlusion Modeling).
    """
    n, _, height, width = flow.shape
    points = pixel_grid(height, width, flow.device) + flow.float()
    corner = points.floor()
    right, down = (points - corner).flatten(2).unbind(1)
    # What leaves the picture lands in a margin of two pixels.
    x, y = (corner[:, 0].clamp(-2, width) + 2).long(), (corner[:, 1].clamp(-2, height) + 2).long()
    stride = width + 4
    place = (y * stride + x).flatten(1)
    landed = points.new_zeros(n, (height + 4) * stride)
    landed.scatter_add_(1, place, (1 - right) * (1 - down))
    landed.scatter_add_(1, place + 1, right * (1 - down))
    landed.scatter_add_(1, place + stride, (1 - right) * down)
    landed.scatter_add_(1, place + stride + 1, right * down)
    crowd = sample(landed.view(n, 1, height + 4, stride)[..., 2:-2, 2:-2], points)
    return (crowd > _CROWDED).float()


def _is_usable(flow: Tensor) -> Tensor:
    # A comparison with nan is false.
    return (flow.abs() <= _LARGEST_FLOW).all(1, keepdim=True)


def _read(path: Path, flow: Path, size: tuple[int, int]) -> Frame:
    """A frame, or a mask, of the flow's size."""
    frame = _picture(path)
    height, width, _ = frame.shape
    _check_size(path, (height, width), flow, size)
    return frame


def _picture(path: Path) -> Frame:
    try:
        return read_picture(path)
    except StyleError as cause:
        raise DataError(str(cause), "unreadable picture") from cause


def _check_size(path: Path, found: tuple[int, int], flow: Path, size: tuple[int, int]) -> None:
    if found != size:
        (height, width), (flow_height, flow_width) = found, size
        message = f"{path} has {width}x{height} pixels and {flow} {flow_width}x{flow_height}."
        raise DataError(message, "sizes differ")


def crop_window(
    height: int, width: int, size: int, scale: float, down: float, across: float
) -> Window:
    """A square of a frame `height` x `width`: of 1 to 2.25 times `size` pixels, less if the frame
    is smaller, as `scale` goes from 0 to 1; `down` and `across` from 0 to 1 place it."""
    largest = min(size * _LARGEST_SCALE, height, width)
    smallest = min(size, largest)
    side = round(smallest + scale * (largest - smallest))
    top, left = int(down * (height - side + 1)), int(across * (width - side + 1))
    return slice(top, top + side), slice(left, left + side)


def resize_pairs(pairs: Pairs, size: int) -> Pairs:
    """The pairs at `size` pixels square: flow rescaled, and visible only where every pixel that
    contributes is and the partner is within the crop."""
    to = (size, size)
    flow = resize_flow(pairs.flow_cur_to_prev, to)
    # With antialiasing a pixel gathers from as far as the image's main lobe and the flow reach.
    hidden = F.interpolate(1 - pairs.visible, to, mode="bilinear", antialias=True)
    visible = (hidden == 0).float() * inside(pixel_grid(*to) + flow, *to)
    return Pairs(resize(pairs.prev, to), resize(pairs.cur, to), flow, visible)


def mirror_pairs(pairs: Pairs) -> Pairs:
    """The pairs seen in a mirror: left is right, so dx changes its sign."""
    dx, dy = pairs.flow_cur_to_prev.flip(-1).split(1, dim=1)
    return Pairs(
        prev=pairs.prev.flip(-1),
        cur=pairs.cur.flip(-1),
        flow_cur_to_prev=torch.cat((-dx, dy), dim=1),
        visible=pairs.visible.flip(-1),
    )
