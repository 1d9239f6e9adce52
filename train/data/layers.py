"""Moving scenes made from photographs: two frames, with exact flow and visibility both ways.

A moving background and moving cut-outs, each a photograph with a motion known in closed form:
FlyingChairs' idea (Dosovitskiy et al. 2015, section 4), with smooth deformation added. Everything
is drawn on the pictures' device in float32, from one generator.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from stylevid.warp import inside, pixel_grid, sample

_INVERSE_TOLERANCE = 1e-3  # pixels between two iterations, ten times below what we promise
_INVERSE_ITERATIONS = 100
_MOST_SUBFRAMES = 16  # a blur of 16 pixels without gaps; far faster motion shows faint steps


@dataclass(frozen=True)
class Motion:
    """How a surface moves: a similarity about the middle, a shift and a smooth bend.

    Attributes:
        size: (height, width) of the frames.
        shift: 1,2,1,1, pixels from cur to prev.
        angle: radians.
        zoom: logarithm of the scale.
        bend: 1,2,4,4 control points of a bicubic surface over the frame, pixels; None for none.
    """

    size: tuple[int, int]
    shift: Tensor
    angle: float = 0.0
    zoom: float = 0.0
    bend: Tensor | None = None

    def flow_cur_to_prev(self, points: Tensor) -> Tensor:
        """The flow at any `points` 1,2,h,w of cur, (dx, dy) in pixels."""
        height, width = self.size
        about = points - _middle(height, width, points)
        flow = _rotate(about, self.angle) * math.exp(self.zoom) - about + self.shift
        if self.bend is None:
            return flow
        scale = points.new_tensor((4 / width, 4 / height)).view(1, 2, 1, 1)
        return flow + sample(self.bend, (points + 0.5) * scale - 0.5, "bicubic")

    def flow_prev_to_cur(self, points: Tensor) -> Tensor:
        """The flow at any `points` 1,2,h,w of prev: the inverse motion, to 0.01 pixel or better.

        What is at p in prev is at p + flow in cur, and the flow from there leads back to p. That
        is a fixed point, which is reached because a bend is much longer than it is high.

        Raises:
            ValueError: the bend is so strong for the size that the surface folds over itself.
        """
        flow = -self.flow_cur_to_prev(points)
        for _ in range(_INVERSE_ITERATIONS):
            closer = -self.flow_cur_to_prev(points + flow)
            change = (closer - flow).abs().max()
            flow = closer
            if change < _INVERSE_TOLERANCE:
                return flow
        raise ValueError(
            f"a surface folds over itself: too strong a bend for frames of {self.size}"
        )


@dataclass(frozen=True)
class Layer:
    """A moving surface: a photograph, laid on prev by a turn and a scale about the middle.

    Attributes:
        picture: 1,3,H,W in [0, 1].
        motion: of the surface, from one frame to the other.
        turn: radians; scale: picture pixels for a frame pixel.
        shape: 1,1,H,W on the picture's grid, > 0 within the cut-out; None covers everything.
    """

    picture: Tensor
    motion: Motion
    turn: float = 0.0
    scale: float = 1.0
    shape: Tensor | None = None

    @cached_property
    def grid(self) -> Tensor:
        """The pixel centres of a frame, 1,2,H,W."""
        return pixel_grid(*self.motion.size, self.picture.device)

    @cached_property
    def flow_cur_to_prev(self) -> Tensor:
        """1,2,H,W on cur's grid, as if the layer covered all of it."""
        return self.motion.flow_cur_to_prev(self.grid)

    @cached_property
    def flow_prev_to_cur(self) -> Tensor:
        """1,2,H,W on prev's grid, as if the layer covered all of it."""
        return self.motion.flow_prev_to_cur(self.grid)

    def place(self, points: Tensor) -> Tensor:
        """Where the picture is read for `points` 1,2,h,w of prev."""
        height, width = self.picture.shape[-2:]
        about = points - _middle(*self.motion.size, points)
        placed = _rotate(about, self.turn) * self.scale + _middle(height, width, points)
        return _mirror(placed, width, height)


@dataclass(frozen=True)
class View:
    """What one instant shows.

    Attributes:
        image: 1,3,H,W in [0, 1].
        owner: 1,1,H,W, the number of the layer that each pixel shows, 0 the background.
    """

    image: Tensor
    owner: Tensor


@dataclass(frozen=True)
class Scene:
    """Two neighbouring frames of moving layers, and all that is known of them.

    What is not asked for is not computed. Flow is (dx, dy) in pixels; `visible` is 1 where all
    the pixels that a bilinear warp reads belong to the pixel's own layer.
    """

    layers: Sequence[Layer]  # back to front
    prev: View
    cur: View

    @cached_property
    def flow_cur_to_prev(self) -> Tensor:
        """1,2,H,W on cur's grid."""
        return pick([layer.flow_cur_to_prev for layer in self.layers], self.cur.owner)

    @cached_property
    def flow_prev_to_cur(self) -> Tensor:
        """1,2,H,W on prev's grid."""
        return pick([layer.flow_prev_to_cur for layer in self.layers], self.prev.owner)

    @property
    def visible_in_prev(self) -> Tensor:
        """1,1,H,W on cur's grid, 1 where the pixel is also seen in prev."""
        return visible_along(self.flow_cur_to_prev, self.cur.owner, self.prev.owner)

    @property
    def visible_in_cur(self) -> Tensor:
        """1,1,H,W on prev's grid, 1 where the pixel is also seen in cur."""
        return visible_along(self.flow_prev_to_cur, self.prev.owner, self.cur.owner)

    def blurred(self, shutter: float) -> tuple[Tensor, Tensor]:
        """prev and cur, 1,3,H,W, as a camera sees them whose shutter is open for `shutter` of a
        frame, half before the frame's instant and half after: nothing is shifted."""
        flows = torch.stack((self.flow_prev_to_cur, self.flow_cur_to_prev))
        longest = float(flows.square().sum(2).max().sqrt())
        count = min(max(math.ceil(shutter * longest), 1), _MOST_SUBFRAMES)
        prev = cur = torch.zeros_like(self.prev.image)
        for i in range(count):
            late = ((i + 0.5) / count - 0.5) * shutter  # frames after the instant
            prev = (
                prev
                + paint(
                    self.layers, [x.grid - late * x.flow_prev_to_cur for x in self.layers]
                ).image
            )
            cur = (
                cur
                + paint(
                    self.layers, [x.grid + (1 + late) * x.flow_cur_to_prev for x in self.layers]
                ).image
            )
        return prev / count, cur / count


def render(layers: Sequence[Layer]) -> Scene:
    """The two frames that the layers make, back to front."""
    prev = paint(layers, [layer.grid for layer in layers])
    cur = paint(layers, [layer.grid + layer.flow_cur_to_prev for layer in layers])
    return Scene(layers, prev, cur)


def paint(layers: Sequence[Layer], points: Sequence[Tensor]) -> View:
    """The view in which each layer is seen at its own `points` 1,2,H,W, in pixels of prev."""
    image = torch.zeros_like(points[0][:, :1]).repeat(1, 3, 1, 1)
    owner = torch.zeros_like(image[:, :1])
    for number, (layer, at) in enumerate(zip(layers, points, strict=True)):
        places = layer.place(at)
        # One resampling for either frame, so that neither is the softer one.
        if layer.shape is None:
            image = sample(layer.picture, places, "bicubic")
            owner = torch.full_like(owner, number)
        else:
            covers = (sample(layer.shape, places) > 0)[0, 0]
            covered = places[:, :, covers].unsqueeze(2)  # 1,2,1,P: a tenth of the frame or so
            image[:, :, covers] = sample(layer.picture, covered, "bicubic").squeeze(2)
            owner[:, :, covers] = number
    return View(image.clamp(0, 1), owner)


def owner_boundaries(owner: Tensor) -> Tensor:
    """1,1,H,W: 1 on both sides of every border between two layers, from `View.owner`."""
    across = F.pad((owner[..., :, 1:] != owner[..., :, :-1]).float(), (1, 1, 0, 0))
    down = F.pad((owner[..., 1:, :] != owner[..., :-1, :]).float(), (0, 0, 1, 1))
    beside = across[..., :, 1:] + across[..., :, :-1] + down[..., 1:, :] + down[..., :-1, :]
    return (beside > 0).float()


def draw_layers(
    pictures: Tensor,
    size: tuple[int, int],
    generator: torch.Generator,
    speed: float,
    still: float = 0.0,
) -> list[Layer]:
    """The layers of one scene, back to front: the first picture is the background.

    Args:
        pictures: 1+cutouts,3,H,W in [0, 1], at least 1.25 times `size`.
        size: (height, width) of the frames.
        generator: of the pictures' device; the only source of chance.
        speed: standard deviation of a layer's motion, pixels a frame.
        still: probability that the background does not move at all.
    """
    device = pictures.device

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    layers: list[Layer] = []
    for number, picture in enumerate(pictures.split(1)):
        shift, (angle, zoom) = normal(1, 2, 1, 1) * speed, normal(2).mul(0.02).tolist()
        motion = Motion(size, shift, angle, zoom, bend=normal(1, 2, 4, 4) * speed / 6)
        # Any similarity will do to place prev in the picture, since it cancels in the flow.
        scale, turn = math.exp(float(normal(1)) * 0.1), float(normal(1)) * 0.1
        shape = _blob(picture, normal) if number else None
        layers.append(Layer(picture, motion, turn, scale, shape))
    if still and float(torch.rand(1, generator=generator, device=device)) < still:
        layers[0] = replace(layers[0], motion=Motion(size, pictures.new_zeros(1, 2, 1, 1)))
    return layers


def pick(fields: Sequence[Tensor], owner: Tensor) -> Tensor:
    """Of the layers' fields 1,C,H,W, the owner's at every pixel."""
    picked = fields[0]
    for number, field in enumerate(fields):
        picked = torch.where(owner == number, field, picked)
    return picked


def visible_along(flow: Tensor, owner: Tensor, other_owner: Tensor) -> Tensor:
    """1 where all the pixels that a bilinear warp along `flow` reads belong to the same layer."""
    height, width = owner.shape[-2:]
    points = pixel_grid(height, width, flow.device) + flow
    visible = inside(points, height, width)
    slack = 5e-4  # as in `inside`: a neighbour with no more weight than this is not read
    left, top = (points + slack).floor().split(1, dim=1)
    right, bottom = (points - slack).ceil().split(1, dim=1)
    for x in (left, right):
        for y in (top, bottom):
            there = sample(other_owner, torch.cat((x, y), dim=1), "nearest")
            visible = visible * (there == owner)
    return visible


def _middle(height: int, width: int, like: Tensor) -> Tensor:
    return like.new_tensor(((width - 1) / 2, (height - 1) / 2)).view(1, 2, 1, 1)


def _rotate(points: Tensor, angle: float) -> Tensor:
    x, y = points[:, :1], points[:, 1:]
    sine, cosine = math.sin(angle), math.cos(angle)
    return torch.cat((cosine * x - sine * y, sine * x + cosine * y), dim=1)


def _mirror(points: Tensor, width: int, height: int) -> Tensor:
    """Fold points that leave the picture back into it, so that edges are never smeared."""
    limit = points.new_tensor((width - 1, height - 1)).view(1, 2, 1, 1)
    folded = points.abs() % (2 * limit)
    return torch.where(folded > limit, 2 * limit - folded, folded)


def _blob(picture: Tensor, normal: Callable[..., Tensor]) -> Tensor:
    """A random smooth outline on the picture's grid, 1,1,H,W, positive within."""
    height, width = picture.shape[-2:]
    y = torch.linspace(-1, 1, height).view(1, 1, height, 1)
    x = torch.linspace(-1, 1, width).view(1, 1, 1, width)
    noise = F.interpolate(normal(1, 1, 5, 5), (height, width), mode="bicubic")
    place = normal(2).mul(0.35).tolist()
    radius = 0.35 + 0.1 * float(normal(1).abs())
    distance = ((x - place[0]).square() + (y - place[1]).square()).sqrt().to(noise.device)
    return radius - distance + 0.12 * noise
