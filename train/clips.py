"""Neighbouring frames with exact flow and visibility, made on the fly from photographs.

A moving background and moving cut-outs, each a photograph with a motion known in closed form:
FlyingChairs' idea (Dosovitskiy et al. 2015, section 4), with smooth deformation added. Everything
is drawn on the device in float32 from (seed, step) alone.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from stylevid.warp import inside, pixel_grid, sample


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
class _Layer:
    """One moving surface: what covers a point p of prev or cur is read at `texture(p)`."""

    picture: Tensor  # 1,3,H,W
    prev_points: Tensor  # 1,2,h,w: where prev's pixels read the picture
    cur_points: Tensor
    flow_cur_to_prev: Tensor  # 1,2,h,w
    shape: Tensor | None  # 1,1,H,W on the picture's grid, > 0 inside; None covers everything


def generate_pairs(
    pictures: Tensor, size: int, generator: torch.Generator, cutouts: int = 2, speed: float = 6.0
) -> Pairs:
    """One pair for every 1 + `cutouts` pictures.

    Args:
        pictures: N*(1+cutouts),3,H,W in [0, 1], at least `size` * 1.25 pixels square.
        size: height and width of the frames.
        generator: of the pictures' device; the only source of chance.
        cutouts: moving shapes before the background.
        speed: standard deviation of a layer's motion, pixels a frame.
    """
    group = 1 + cutouts
    if len(pictures) % group:
        raise ValueError(f"{len(pictures)} pictures do not make groups of {group}")
    pairs = [
        _render(pictures[i : i + group], size, generator, speed)
        for i in range(0, len(pictures), group)
    ]
    return Pairs(
        prev=torch.cat([p.prev for p in pairs]),
        cur=torch.cat([p.cur for p in pairs]),
        flow_cur_to_prev=torch.cat([p.flow_cur_to_prev for p in pairs]),
        visible=torch.cat([p.visible for p in pairs]),
    )


def _render(pictures: Tensor, size: int, generator: torch.Generator, speed: float) -> Pairs:
    """Paint the layers back to front; the last one that covers a pixel decides everything."""
    layers = [
        _make_layer(pictures[i : i + 1], size, generator, speed, is_cutout=i > 0)
        for i in range(len(pictures))
    ]
    shape = (1, 1, size, size)
    grid = pixel_grid(size, size, pictures.device)
    prev = cur = grid.new_zeros(1, 3, size, size)
    flow = grid.new_zeros(1, 2, size, size)
    prev_owner, cur_owner = grid.new_zeros(shape), grid.new_zeros(shape)
    for number, layer in enumerate(layers):
        covers_prev = _cover(layer, layer.prev_points)
        covers_cur = _cover(layer, layer.cur_points)
        # One resampling for either frame, so that neither is the softer one.
        prev = torch.where(covers_prev, sample(layer.picture, layer.prev_points, "bicubic"), prev)
        cur = torch.where(covers_cur, sample(layer.picture, layer.cur_points, "bicubic"), cur)
        flow = torch.where(covers_cur, layer.flow_cur_to_prev, flow)
        prev_owner = torch.where(covers_prev, float(number), prev_owner)
        cur_owner = torch.where(covers_cur, float(number), cur_owner)
    visible = _visible(prev_owner, cur_owner, grid + flow)
    return Pairs(prev.clamp(0, 1), cur.clamp(0, 1), flow, visible)


def _visible(prev_owner: Tensor, cur_owner: Tensor, points: Tensor) -> Tensor:
    """1 where all four pixels that a bilinear warp reads in prev belong to cur's own layer."""
    height, width = prev_owner.shape[-2:]
    corner = points.floor()
    visible = inside(points, height, width)
    for dx in (0.0, 1.0):
        for dy in (0.0, 1.0):
            step = corner.new_tensor((dx, dy)).view(1, 2, 1, 1)
            visible = visible * (sample(prev_owner, corner + step, "nearest") == cur_owner)
    return visible


def _cover(layer: _Layer, points: Tensor) -> Tensor:
    if layer.shape is None:
        return torch.ones_like(points[:, :1], dtype=torch.bool)
    return sample(layer.shape, points) > 0


def _make_layer(
    picture: Tensor, size: int, generator: torch.Generator, speed: float, is_cutout: bool
) -> _Layer:
    height, width = picture.shape[-2:]
    device = picture.device
    centre = (size - 1) / 2

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    # Motion from cur to prev: a similarity about the middle plus a smooth deformation.
    shift = normal(1, 2, 1, 1) * speed
    angle, zoom = normal(2).mul(0.02).tolist()
    about = pixel_grid(size, size, device) - centre
    turned = _rotate(about, angle) * math.exp(zoom)
    bend = F.interpolate(normal(1, 2, 4, 4) * speed / 6, (size, size), mode="bicubic")
    flow = turned - about + shift + bend

    # Placement of prev in the picture: any similarity will do, since it cancels in the flow.
    placed = math.exp(float(normal(1)) * 0.1)
    turn = float(normal(1)) * 0.1
    picture_centre = about.new_tensor(((width - 1) / 2, (height - 1) / 2)).view(1, 2, 1, 1)

    def place(points: Tensor) -> Tensor:
        return _mirror(_rotate(points - centre, turn) * placed + picture_centre, width, height)

    grid = pixel_grid(size, size, device)
    shape = _blob(height, width, normal) if is_cutout else None
    return _Layer(picture, place(grid), place(grid + flow), flow, shape)


def _rotate(points: Tensor, angle: float) -> Tensor:
    x, y = points[:, :1], points[:, 1:]
    sine, cosine = math.sin(angle), math.cos(angle)
    return torch.cat((cosine * x - sine * y, sine * x + cosine * y), dim=1)


def _mirror(points: Tensor, width: int, height: int) -> Tensor:
    """Fold points that leave the picture back into it, so that edges are never smeared."""
    limit = points.new_tensor((width - 1, height - 1)).view(1, 2, 1, 1)
    folded = points.abs() % (2 * limit)
    return torch.where(folded > limit, 2 * limit - folded, folded)


def _blob(height: int, width: int, normal: Callable[..., Tensor]) -> Tensor:
    """A random smooth outline on the picture's grid, 1,1,H,W, positive within."""
    y = torch.linspace(-1, 1, height).view(1, 1, height, 1)
    x = torch.linspace(-1, 1, width).view(1, 1, 1, width)
    noise = F.interpolate(normal(1, 1, 5, 5), (height, width), mode="bicubic")
    place = normal(2).mul(0.35).tolist()
    radius = 0.35 + 0.1 * float(normal(1).abs())
    distance = ((x - place[0]).square() + (y - place[1]).square()).sqrt().to(noise.device)
    return radius - distance + 0.12 * noise
