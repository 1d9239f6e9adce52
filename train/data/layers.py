"""Moving scenes made from photographs, with exact flow and visibility from any time to any other.

A scene is a list of layers, back to front: a moving background and moving cut-outs, each a
photograph with a motion known in closed form: FlyingChairs' idea (Dosovitskiy et al. 2015,
section 4). Time is counted in frames; at 0 the layers lie as they were drawn. All is done on the
pictures' device in float32, from one generator.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from stylevid.frames import size_of
from stylevid.learn.sequences import LEARNED
from stylevid.warp import inside, pixel_grid, sample

_TURN = 0.002  # standard deviation of a layer's turn, radians, and zoom in a frame


@dataclass(frozen=True)
class Motion:
    """How a surface moves in one frame: a similarity about the middle, and a shift.

    Attributes:
        size: (height, width) of the frames.
        shift: 1,2,1,1, pixels back to the frame before.
        angle: radians.
        zoom: logarithm of the scale.
    """

    size: tuple[int, int]
    shift: Tensor
    angle: float = 0.0
    zoom: float = 0.0

    def to_start(self, points: Tensor, time: float) -> Tensor:
        """The flow from any `points` 1,2,h,w at `time` to time 0, (dx, dy) in pixels."""
        about = points - _middle(*self.size, points)
        turned = _rotate(about, self.angle * time) * math.exp(self.zoom * time)
        return turned - about + self.shift * time

    def from_start(self, points: Tensor, time: float) -> Tensor:
        """The flow from any `points` 1,2,h,w at time 0 to `time`: what is at p then is at p + flow,
        and the flow from there leads back to p."""
        about = points - _middle(*self.size, points)
        turned = _rotate(about - self.shift * time, -self.angle * time)
        return turned * math.exp(-self.zoom * time) - about


@dataclass(frozen=True)
class Layer:
    """A moving surface: a photograph, laid on the frame at time 0 by a turn and a scale about the
    middle.

    Attributes:
        picture: 1,3,H,W in [0, 1].
        motion: of the surface.
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

    def flow(self, cur: float, prev: float) -> Tensor:
        """`flow_cur_to_prev`, 1,2,H,W, between two times, as if the layer covered everything."""
        to_start = self.motion.to_start(self.grid, cur)
        return to_start + self.motion.from_start(self.grid + to_start, prev)

    def place(self, points: Tensor) -> Tensor:
        """Where the picture is read for `points` 1,2,h,w at time 0."""
        height, width = self.picture.shape[-2:]
        about = points - _middle(*self.motion.size, points)
        placed = _rotate(about, self.turn) * self.scale + _middle(height, width, points)
        return _mirror(placed, width, height)


@dataclass(frozen=True)
class View:
    """What one instant shows.

    Attributes:
        time: in frames.
        image: 1,3,H,W in [0, 1].
        owner: 1,1,H,W, the number of the layer that each pixel shows, 0 the background.
    """

    time: float
    image: Tensor
    owner: Tensor


def paint(layers: Sequence[Layer], time: float) -> View:
    """The view of the layers, back to front, at a time."""
    image = torch.zeros_like(layers[0].grid[:, :1]).repeat(1, 3, 1, 1)
    owner = torch.zeros_like(image[:, :1])
    for number, layer in enumerate(layers):
        places = layer.place(layer.grid + layer.motion.to_start(layer.grid, time))
        # One resampling for every view, so that none is the softer one.
        if layer.shape is None:
            image = sample(layer.picture, places, "bicubic")
            owner = torch.full_like(owner, number)
        else:
            covers = (sample(layer.shape, places) > 0)[0, 0]
            covered = places[:, :, covers].unsqueeze(2)  # 1,2,1,P: a tenth of the frame or so
            image[:, :, covers] = sample(layer.picture, covered, "bicubic").squeeze(2)
            owner[:, :, covers] = number
    return View(time, image.clamp(0, 1), owner)


def true_flow(layers: Sequence[Layer], cur: View, prev: View) -> tuple[Tensor, Tensor]:
    """`flow_cur_to_prev`, 1,2,H,W in pixels, and `visible`, 1,1,H,W, 1 where all the pixels that a
    bicubic warp along it reads belong to the pixel's own layer; both on cur's grid."""
    flow = torch.zeros_like(layers[0].grid)
    for number, layer in enumerate(layers):
        flow = torch.where(cur.owner == number, layer.flow(cur.time, prev.time), flow)
    return flow, _visible_along(flow, cur.owner, prev.owner)


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
        shift, (angle, zoom) = normal(1, 2, 1, 1) * speed, normal(2).mul(_TURN).tolist()
        motion = Motion(size, shift, angle, zoom)
        # Any similarity will do to place prev in the picture, since it cancels in the flow.
        scale, turn = math.exp(float(normal(1)) * 0.1), float(normal(1)) * 0.1
        shape = _blob(picture, normal) if number else None
        layers.append(Layer(picture, motion, turn, scale, shape))
    if still and float(torch.rand(1, generator=generator, device=device)) < still:
        layers[0] = replace(layers[0], motion=Motion(size, pictures.new_zeros(1, 2, 1, 1)))
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


def _visible_along(flow: Tensor, owner: Tensor, other_owner: Tensor) -> Tensor:
    height, width = owner.shape[-2:]
    points = pixel_grid(height, width, flow.device) + flow
    visible = inside(points, height, width)
    slack = 5e-4  # as in `inside`: neighbours with no more weight than this are not read
    first, last = (points + slack).floor(), (points - slack).ceil()
    between = last - first  # 0 where a pixel alone is read: then its neighbours are not
    columns, rows = zip(
        *(p.split(1, dim=1) for p in (first - between, first, last, last + between)), strict=True
    )
    for x, y in product(columns, rows):
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
