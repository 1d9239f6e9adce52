"""The example clip's pictures: a village by a lake at sunset, drawn by code.

Every part is painted once per size into a layer, with its texture; a frame only moves the layers,
sub-pixel, and draws the water that mirrors them. Lengths and places are in picture heights unless
a name says otherwise: u to the right of the picture's middle at 0 s, v down from its top.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .frames import Frame

Array = npt.NDArray[Any]  # float32, any shape
Color = tuple[int, int, int]

HORIZON = 0.5
SUN = (0.52, 0.27)
PAN, PAN_PERIOD_S = 0.8, 12.0  # the camera's path to the right, and the time there and back
WAVELENGTHS = (0.05, 0.09, 0.17, 0.35, 0.8, 2.0)  # of the ripples at the picture's lower edge


@dataclass(frozen=True)
class Layer:
    """Premultiplied RGBA, rows,columns,4, whose pixel (`left`, `top`) is the picture's at 0 s.

    `speed` is the share of the camera's path that it moves by: 0 far away, 1 at the near shore.
    Alpha 0 with color is light added to what is behind.
    """

    pixels: npt.NDArray[np.uint8]
    left: int
    top: int
    speed: float


@dataclass(frozen=True)
class Canvas:
    """Room to paint a layer that covers the picture's width wherever the camera is."""

    scale: int  # pixels in one picture height
    u: Array  # 1,columns
    v: Array  # rows,1
    speed: float

    def noise(self, cell: float, seed: int, stretch: float = 1.0, octaves: int = 9) -> Array:
        """Fractal noise rows,columns, mean 0, deviation 1; its largest spots are `cell` high."""
        total = np.zeros((self.v.size, self.u.size), np.float32)
        for octave in range(octaves):
            size = max(cell * self.scale / 2**octave, 1.0)
            if size < 1.8 and octave:
                break
            rows, columns = int(self.v.size / size) + 3, int(self.u.size / size / stretch) + 3
            lattice = np.random.default_rng((seed, octave)).random((rows, columns), np.float32)
            shape = (round(columns * size * stretch), round(rows * size))
            drawn = cv2.resize(lattice, shape, interpolation=cv2.INTER_CUBIC)
            total += drawn[: self.v.size, : self.u.size] * 0.55**octave
        return (total - total.mean()) / total.std()

    def layer(self, color: Array, alpha: Array) -> Layer:
        """The layer of a color rows,columns,3 in 0..255 under an alpha rows,columns in 0..1."""
        rgba = np.dstack([color * alpha[..., None], alpha * 255]).clip(0, 255)
        return self.wrap(np.rint(rgba).astype(np.uint8))

    def wrap(self, pixels: npt.NDArray[np.uint8]) -> Layer:
        left, top = round(self.u[0, 0] * self.scale), round(self.v[0, 0] * self.scale)
        return Layer(pixels, left, top, self.speed)


def _canvas(height: int, width: int, top: float, bottom: float, speed: float) -> Canvas:
    half = width / height / 2 + 0.06
    columns = np.arange(-half * height, (half + PAN * speed) * height, dtype=np.float32)
    rows = np.arange(round(top * height), round(bottom * height), dtype=np.float32)
    return Canvas(height, columns[None] / height, rows[:, None] / height, speed)


def _step(low: float, high: float, x: Array) -> Array:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _mix(a: Array | Color, b: Array | Color, t: Array) -> Array:
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    return a + (b - a) * t[..., None]


def _light(relief: Array, scale: int, strength: float) -> Array:
    """Light in 0..1 on a relief rows,columns from a low sun at the upper right."""
    soft = cv2.GaussianBlur(relief, (0, 0), scale * 0.0022)
    down, right = np.gradient(soft, 1 / scale)
    return 0.5 + 0.5 * np.tanh((down * 0.6 - right) * strength)


def _sky(height: int, width: int) -> Layer:
    c = _canvas(height, width, -0.05, HORIZON + 0.05, 0.02)
    stops = [-0.05, 0.12, 0.26, 0.38, 0.5]
    colors = np.array(
        [(38, 84, 158), (78, 134, 188), (150, 178, 190), (238, 196, 146), (255, 164, 96)]
    )
    v = c.v + 0.012 * c.noise(0.12, 1, stretch=5)
    color = np.stack([np.interp(v, stops, channel) for channel in colors.T], -1)
    distance = np.hypot(c.u - SUN[0], c.v - SUN[1])
    color = _mix(color, (255, 206, 120), 0.8 * np.exp(-distance / 0.16))
    color = _mix(color, (255, 250, 222), _step(0.052, 0.044, distance))
    return c.layer(color, np.ones_like(distance))


def _clouds(height: int, width: int, seed: int, cell: float, cover: float, speed: float) -> Layer:
    c = _canvas(height, width, -0.05, HORIZON, speed)
    spots = c.noise(cell, seed, stretch=2.6)
    rows, columns = spots.shape
    # Rows crowd together towards the horizon, as a flat cloud ceiling's do.
    ceiling = rows * (0.95 - 0.42 * np.log(1 / (0.18 + (HORIZON - c.v) * 1.49)))
    grid = np.meshgrid(np.arange(columns, dtype=np.float32), ceiling.astype(np.float32)[:, 0])
    spots = cv2.remap(spots, grid[0], grid[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    density = _step(cover, cover + 1.7, spots)
    near_sun = np.exp(-np.hypot(c.u - SUN[0], (c.v - SUN[1]) * 1.5) / 0.35)
    lit = _light(density, c.scale, -0.09) * (1 - 0.45 * density) + 0.55 * near_sun
    color = _mix((112, 96, 140), (255, 196, 150), _step(0.1, 0.5, lit))
    color = _mix(color, (255, 242, 214), _step(0.45, 0.95, lit))
    return c.layer(color, 0.94 * np.sqrt(density) * _step(HORIZON, HORIZON - 0.1, c.v))


def _mountains(
    height: int, width: int, seed: int, base: float, rise: float, speed: float, haze: float
) -> Layer:
    """One range with a fractal ridge, gullies lit from the right, woods below and mist at its foot.

    `haze` in 0..1 is how much air lies before it; the far ranges (most haze) have snow.
    """
    c = _canvas(height, width, base - 2.4 * rise, HORIZON + 0.03, speed)
    ridge = base - rise * (1 - np.abs(c.noise(rise * 3.5, seed, 2.2)[:1]))
    depth = c.v - ridge
    spurs = -np.abs(c.noise(rise * 1.8, seed + 1)) + 0.5 * (ridge - base) / rise * -1
    lit = _light(spurs.astype(np.float32), c.scale, 0.05)
    rough = c.noise(0.03, seed + 3)
    woods = _step(-0.25, 0.25, depth / rise - 0.45 + 0.16 * rough)
    color = _mix((92, 80, 98), (226, 168, 124), lit)
    snow = _step(0.0, 0.12, 0.34 - depth / rise + 0.12 * rough) * _step(0.3, 0.5, np.full(1, haze))
    color = _mix(color, _mix((140, 140, 186), (255, 232, 206), lit), snow)
    trees = _mix((22, 50, 48), (150, 140, 58), np.clip(lit * 0.75 + 0.13 * rough, 0, 1))
    color = _mix(color, trees, woods)
    air = _mix((112, 122, 168), (250, 176, 124), np.exp(-np.abs(c.u - SUN[0]) / 0.5) + 0 * c.v)
    color = _mix(color, air, np.clip(haze + 0.5 * _step(0.12, 0, HORIZON - c.v), 0, 1) + 0 * depth)
    return c.layer(color, np.clip(depth * c.scale + 0.5, 0, 1))


def _glow(height: int, width: int) -> Layer:
    """The sun's light in the air before everything far away; alpha 0."""
    c = _canvas(height, width, -0.05, HORIZON + 0.05, 0.02)
    distance = np.hypot(c.u - SUN[0], (c.v - SUN[1]) * 1.1)
    light = np.exp(-distance / 0.2)[..., None] * np.array([120, 74, 26])
    return c.wrap(np.dstack([light, 0 * distance]).astype(np.uint8))


class Painter:
    """Draws textured shapes with smooth edges on a canvas; `pixels` is the premultiplied result."""

    def __init__(self, canvas: Canvas, seed: int) -> None:
        self.canvas = canvas
        self.random = np.random.default_rng(seed)
        self.pixels = np.zeros((canvas.v.size, canvas.u.size, 4), np.uint8)
        self.grain = 1 + 0.09 * canvas.noise(0.03, seed)
        tiles = np.sin(canvas.v * 760) * 0.09 + np.sin(canvas.u * 640) * 0.05
        self.tiles = self.grain + tiles

    def at(self, points: Sequence[tuple[float, float]]) -> npt.NDArray[np.int32]:
        """Points (u, v) in 1/16 pixels of the layer."""
        corner = np.array([self.canvas.u[0, 0], self.canvas.v[0, 0]])
        return np.rint((np.array(points) - corner) * self.canvas.scale * 16).astype(np.int32)

    def fill(
        self,
        points: Sequence[tuple[float, float]],
        color: Color,
        texture: Array | None = None,
        opacity: float = 1.0,
    ) -> None:
        """A polygon whose color is multiplied by the texture, rows,columns, or by the grain."""
        corners = self.at(points)
        x, y = np.maximum(corners.min(0) // 16 - 1, 0)
        right, down = corners.max(0) // 16 + 2
        area = self.pixels[y:down, x:right]
        if not area.size:
            return
        mask = np.zeros(area.shape[:2], np.uint8)
        cv2.fillPoly(mask, [corners - [x * 16, y * 16]], 255, cv2.LINE_AA, 4)
        texture = self.grain if texture is None else texture
        paint = np.clip(texture[y:down, x:right, None] * np.array(color), 0, 255)
        paint = np.dstack([paint, np.full(mask.shape, 255)])
        area[:] = np.rint(area + (paint - area) * (mask[..., None] * (opacity / 255)))

    def dot(self, u: float, v: float, radius: float, color: npt.ArrayLike) -> None:
        center = self.at([(u, v)])[0].tolist()
        tint = (*np.clip(color, 0, 255).tolist(), 255)
        size = round(radius * self.canvas.scale * 16)
        cv2.circle(self.pixels, center, size, tint, -1, cv2.LINE_AA, 4)

    def line(self, points: Sequence[tuple[float, float]], color: npt.ArrayLike, w: float) -> None:
        tint = (*np.clip(color, 0, 255).tolist(), 255)
        thick = max(1, round(w * self.canvas.scale))
        cv2.polylines(self.pixels, [self.at(points)], False, tint, thick, cv2.LINE_AA, 4)


def _ground(u: Array | float) -> Array:
    """The v of the near land's upper edge at u: a hill on the left that falls to a headland."""
    hill = 0.66 + 0.05 * np.sin(np.asarray(u) * 4 + 1.2) + 0.16 * _step(-0.9, 0.35, np.asarray(u))
    return hill + 0.5 * _step(0.72, 0.98, np.asarray(u))


def _land(c: Canvas) -> npt.NDArray[np.uint8]:
    rough = c.noise(0.09, 51, 1.8)
    fine = c.noise(0.02, 52)
    depth = c.v - _ground(c.u) - 0.004 * c.noise(0.08, 53)[:1]
    lit = _light(rough + 0.25 * fine, c.scale, 0.03)
    color = _mix((52, 74, 34), (196, 178, 76), np.clip(lit * 0.8 + 0.1 * fine, 0, 1))
    rock = _step(0.5, 0.62, c.u + 0.03 * rough) * _step(0.012, 0.03, depth + 0.008 * rough)
    color = _mix(color, _mix((66, 54, 58), (222, 170, 124), lit), rock)
    path = _step(0.016, 0.008, np.abs(depth - 0.1 - 0.02 * np.sin(c.u * 9) + 0.002 * fine))
    color = _mix(color, _mix((150, 112, 84), (240, 204, 150), lit), path * (1 - rock))
    return c.layer(color, np.clip(depth * c.scale + 0.5, 0, 1)).pixels


WALLS = ((236, 196, 128), (214, 108, 82), (242, 226, 196), (226, 150, 96), (120, 158, 172))
ROOFS = ((172, 74, 50), (150, 60, 48), (188, 94, 60))
SHUTTERS = ((42, 96, 108), (58, 98, 62), (120, 46, 44))


def _house(p: Painter, u: float, base: float, width: float, high: float) -> None:
    """A house whose front's lower left corner is (u, base): front in half shade, right side lit."""
    wall = WALLS[p.random.integers(len(WALLS))]
    roof = ROOFS[p.random.integers(len(ROOFS))]
    shutter = SHUTTERS[p.random.integers(len(SHUTTERS))]
    side, top, right = width * 0.38, base - high, u + width
    eave = width * 0.05
    peak = top - width * 0.34
    shadow = [
        (u, base),
        (u - high * 0.9, base + 0.025),
        (u - high * 0.5, base + 0.035),
        (right, base),
    ]
    p.fill(shadow, (30, 26, 52), opacity=0.5)
    front = [(u, base + 0.02), (u, top), (right, top), (right, base + 0.02)]
    p.fill(front, _times(wall, (0.74, 0.66, 0.72)))
    lit = [(right, base + 0.02), (right, top), (right + side / 2, peak), (right + side, top)]
    p.fill([*lit, (right + side, base + 0.012)], _times(wall, (1.1, 1.03, 0.92)))
    p.fill(
        [(u, top), (right, top), (right, top + 0.012), (u, top + 0.009)], (40, 28, 44), opacity=0.5
    )
    ridge = (right + side / 2 + eave * 0.4, peak - 0.004)
    slope = [
        (u - eave, top + 0.007),
        (u + side / 2 - eave, peak - 0.004),
        ridge,
        (right + eave * 0.3, top + 0.007),
    ]
    p.fill(slope, _times(roof, (0.95, 0.86, 0.9)), p.tiles)
    gable = [ridge, (right + side + eave, top + 0.006), (right + side + eave * 0.4, top + 0.011)]
    p.fill([*gable, (right + side / 2, peak + 0.006)], _times(roof, (1.35, 1.2, 1.05)), p.tiles)
    chimney = u + width * p.random.uniform(0.35, 0.7)
    p.fill(_box(chimney, peak - 0.022, 0.011, 0.034), (136, 84, 70))
    p.fill(_box(chimney + 0.011, peak - 0.022, 0.006, 0.032), (236, 170, 120))
    _windows(p, u, top, width, high, shutter)
    p.fill(_box(right + side * 0.36, top + high * 0.3, side * 0.26, high * 0.22), (70, 66, 84))


def _windows(p: Painter, u: float, top: float, width: float, high: float, shutter: Color) -> None:
    columns, rows = max(2, round(width / 0.05)), max(1, round(high / 0.068))
    step, tall, wide = width / columns, high / rows * 0.46, width / columns * 0.34
    for row in range(rows):
        for column in range(columns):
            x, y = u + (column + 0.5) * step - wide / 2, top + high * (row + 0.26) / rows
            if row == rows - 1 and column == columns // 2:
                p.fill(
                    _box(x - 0.003, y - 0.004, wide + 0.006, high + top - y + 0.02), (226, 196, 160)
                )
                p.fill(_box(x, y, wide, high + top - y + 0.02), _times(shutter, (0.9, 0.9, 0.9)))
                continue
            glows = p.random.random() < 0.3
            p.fill(_box(x - 0.003, y - 0.003, wide + 0.006, tall + 0.008), (232, 206, 170))
            p.fill(_box(x, y, wide, tall), (255, 206, 110) if glows else (46, 52, 78))
            p.fill(_box(x + wide * 0.45, y, wide * 0.12, tall), (220, 196, 166))
            for leaf in (x - wide * 0.5 - 0.002, x + wide + 0.002):
                p.fill(_box(leaf, y - 0.002, wide * 0.5, tall + 0.004), shutter, p.tiles)


def _times(color: Color, factors: tuple[float, float, float]) -> Color:
    r, g, b = (min(255, round(c * f)) for c, f in zip(color, factors, strict=True))
    return r, g, b


def _box(u: float, v: float, width: float, high: float) -> list[tuple[float, float]]:
    return [(u, v), (u + width, v), (u + width, v + high), (u, v + high)]


def _tower(
    p: Painter, u: float, base: float, high: float, width: float, bands: Sequence[Color]
) -> None:
    """A round tower in colored bands that narrows upwards, lit from the right."""
    slices = 14
    for band, color in enumerate(bands):
        low, top = band / len(bands), (band + 1) / len(bands)
        for i in range(slices):
            a, b = (2 * i / slices - 1, 2 * (i + 1) / slices - 1 + 0.02)
            light = 0.5 + 0.62 * np.sin((b + 1) * 1.25) * (b + 1.15) / 2
            edges = [(a, low), (b, low), (b, top), (a, top)]
            sliver = [(u + e * width * (1 - 0.4 * t) / 2, base - high * t) for e, t in edges]
            p.fill(sliver, _times(color, (light * 1.06, light * 0.97, light * 0.95 + 0.04)))


def _lighthouse(p: Painter, u: float, base: float) -> None:
    p.fill(
        [(u, base), (u - 0.34, base + 0.05), (u - 0.33, base + 0.07), (u, base + 0.03)],
        (26, 24, 50),
        opacity=0.45,
    )
    high, white, red = 0.34, (244, 232, 214), (206, 58, 44)
    _tower(p, u, base + 0.01, high, 0.09, (white, red, white, red, white))
    top = base - high + 0.01
    _tower(p, u, top + 0.008, 0.012, 0.08, [(74, 60, 66)])
    _tower(p, u, top - 0.002, 0.042, 0.042, [(255, 226, 140)])
    for e in (-0.02, -0.007, 0.007, 0.019):
        p.line([(u + e, top), (u + e * 0.7, top - 0.042)], (66, 52, 58), 0.003)
    p.fill([(u - 0.026, top - 0.038), (u, top - 0.075), (u, top - 0.038)], (120, 38, 40))
    p.fill([(u, top - 0.038), (u, top - 0.075), (u + 0.026, top - 0.038)], (226, 92, 60))
    p.line([(u, top - 0.07), (u, top - 0.1)], (60, 48, 52), 0.003)


def _church(p: Painter, u: float, base: float) -> None:
    w, top = 0.055, base - 0.27
    p.fill(_box(u, top, w, 0.29), (190, 160, 146))
    p.fill(
        [(u + w, top), (u + w * 1.5, top + 0.006), (u + w * 1.5, base), (u + w, base + 0.02)],
        (255, 222, 174),
    )
    p.fill(
        [(u - 0.006, top + 0.003), (u + w * 0.7, top - 0.12), (u + w + 0.002, top + 0.004)],
        (92, 62, 72),
        p.tiles,
    )
    p.fill(
        [(u + w, top + 0.004), (u + w * 0.7, top - 0.12), (u + w * 1.5 + 0.006, top + 0.008)],
        (226, 128, 84),
        p.tiles,
    )
    for v in (top + 0.03, top + 0.12):
        p.fill(_box(u + w * 0.32, v, w * 0.36, 0.042), (44, 40, 62))
        p.fill(_box(u + w * 1.16, v + 0.004, w * 0.16, 0.038), (120, 84, 76))


def _tree(p: Painter, u: float, base: float, high: float, slim: float, tint: Color) -> None:
    """A crown of leaves, darker to the lower left and lit to the upper right, on a trunk."""
    p.fill(
        [(u, base), (u - high * 1.1, base + 0.02), (u - high * 0.5, base + 0.035)],
        (26, 28, 48),
        opacity=0.4,
    )
    p.line([(u, base + 0.005), (u + 0.003, base - high * 0.5)], (70, 46, 40), 0.012)
    middle, leaves = base - high * 0.6, 520
    radius, angle = np.sqrt(p.random.random(leaves)), p.random.random(leaves) * 2 * np.pi
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    light = 0.5 * x - 0.6 * y + 0.3 * np.sin(x * 7 + u * 40) * np.cos(y * 6 + u * 20)
    light += p.random.normal(0, 0.18, leaves)
    for i in np.argsort(light + p.random.normal(0, 0.25, leaves)).tolist():
        taper = 1 - 0.45 * max(-y[i], 0) if slim < 0.3 else 1
        shade = _mix((20, 38, 40), tint, np.clip(np.array(0.38 + 0.55 * light[i]), 0, 1.25))
        at = (float(u + x[i] * high * slim * taper), float(middle + y[i] * high * 0.46))
        p.dot(*at, p.random.uniform(0.005, 0.011), shade)


def _village(height: int, width: int) -> Layer:
    c = _canvas(height, width, 0.3, 1.08, 0.75)
    p = Painter(c, 61)
    p.pixels[:] = _land(c)
    for row, (drop, high) in enumerate(((0.03, 0.1), (0.1, 0.125), (0.19, 0.15))):
        u = -2.6 + 0.07 * row
        while u < (0.28, 0.36, 0.2)[row]:
            wide, tall = high * p.random.uniform(0.8, 1.25), high * p.random.uniform(0.8, 1.2)
            gap = p.random.random()
            base = float(_ground(u)) + drop
            if row == 1 and abs(u + 0.36) < 0.09:
                _church(p, u + 0.02, base)
            if gap < 0.28:
                _tree(p, u + 0.02, base + 0.02, 0.16, 0.36, (196, 176, 62))
                u += 0.12
            elif gap < 0.42:
                _tree(p, u + 0.02, base + 0.01, 0.2, 0.14, (128, 142, 60))
                u += 0.07
            else:
                _house(p, u, base, wide, tall)
                u += wide * 1.38 + p.random.uniform(0.01, 0.05)
    _lighthouse(p, 0.6, float(_ground(0.6)) + 0.03)
    _house(p, 0.43, float(_ground(0.43)) + 0.05, 0.1, 0.07)
    for u, drop in ((0.52, 0.06), (0.68, 0.05), (0.32, 0.16), (0.5, 0.17)):
        _tree(p, u, float(_ground(u)) + drop, 0.09, 0.5, (210, 172, 60))
    return c.wrap(p.pixels)


def _meadow(height: int, width: int) -> Layer:
    """The nearest bank: blades of grass and flowers, back to front."""
    c = _canvas(height, width, 0.8, 1.08, 1.1)
    p = Painter(c, 71)
    count = round(1500 * c.u.size / c.scale)
    us = p.random.uniform(c.u[0, 0], c.u[0, -1], count)
    feet = np.sort(p.random.uniform(0.0, 0.17, count))
    for u, foot in zip(us, feet, strict=True):
        v = 0.945 + 0.02 * np.sin(u * 5) + foot
        lean, high, light = (
            p.random.normal(0.006, 0.012),
            p.random.uniform(0.03, 0.075),
            p.random.random(),
        )
        tip = (u + lean * 1.8, v - high)
        green = _mix(
            (22, 44, 30), (176, 168, 62), np.array(light * 0.8 + 0.2 * (0.17 - foot) / 0.17)
        )
        p.line([(u, v + 0.03), (u + lean * 0.6, v - high * 0.5), tip], green, 0.005)
        if p.random.random() < 0.13:
            petals = ((214, 44, 36), (240, 190, 60), (150, 104, 190), (246, 236, 220))
            color = np.array(petals[int(2 + 2 * np.sin(u * 6 + foot * 9)) % 4])
            p.dot(*tip, 0.0085, color * 0.72)
            p.dot(tip[0] + 0.002, tip[1] - 0.002, 0.005, color * 1.08)
    return c.wrap(p.pixels)


@lru_cache(maxsize=4)
def _boat(height: int) -> npt.NDArray[np.uint8]:
    """A sailing boat heading left, premultiplied RGBA, 0.4 high; its water line at 0.33."""
    places = np.arange(round(0.4 * height), dtype=np.float32) / height
    p = Painter(Canvas(height, places[None] - 0.2, places[:, None] - 0.33, 0), 81)
    p.line([(0.0, 0.0), (0.0, -0.3)], (92, 58, 44), 0.006)
    sail = 1 + 0.05 * p.canvas.noise(0.1, 82) - 0.9 * (p.canvas.u - 0.05)
    p.fill([(0.006, -0.29), (0.05, -0.17), (0.115, -0.045), (0.006, -0.04)], (250, 232, 200), sail)
    p.fill([(-0.006, -0.27), (-0.06, -0.14), (-0.115, -0.04), (-0.006, -0.05)], (226, 96, 62), sail)
    p.fill([(-0.13, -0.03), (0.1, -0.028), (0.085, 0.012), (-0.09, 0.014)], (88, 44, 40))
    p.fill([(-0.13, -0.03), (0.1, -0.028), (0.098, -0.018), (-0.118, -0.019)], (250, 236, 214))
    p.dot(0.045, -0.045, 0.012, (60, 66, 110))
    p.dot(0.045, -0.062, 0.007, (214, 150, 116))
    return p.pixels


@dataclass(frozen=True)
class Water:
    """What the water's pixels, rows,columns, need: made once per size."""

    top: int  # first row
    texture: Array  # 512,512, ripples that repeat
    grids: list[tuple[Array, Array, Array]]  # per wave length: texture x, texture y, its weight
    x: Array
    y: Array  # rows and columns of the pixel that a flat lake mirrors
    near: Array  # rows,1: 0 at the horizon to 1 at the picture's lower edge


@lru_cache(maxsize=2)
def _water(height: int, width: int) -> Water:
    top = round(HORIZON * height)
    rows, columns = np.arange(height - top, dtype=np.float32), np.arange(width, dtype=np.float32)
    near = ((rows + 0.6) / rows.size)[:, None]
    across = (
        (columns - width / 2)[None] / height / near
    )  # on the lake, as wide as at the lower edge
    away = 0.5 / near + 0 * across
    grids = []
    for length in WAVELENGTHS:
        tall = length * height * near**2  # of one ripple on the picture, in pixels
        weight = _step(1.2, 3.5, tall) * (1 - 0.6 * _step(0.1, 0.5, tall / height))
        grids.append((across / length * 16, away / length * 16, weight))
    lattice = np.random.default_rng(91).normal(0, 1, (32, 32)).astype(np.float32)
    texture = cv2.resize(
        np.pad(lattice, 4, "wrap"), None, fx=16, fy=16, interpolation=cv2.INTER_CUBIC
    )
    x, y = np.meshgrid(columns, top - 1 - rows)
    return Water(top, texture[64:-64, 64:-64].copy(), grids, x, y, near)


def _ripples(water: Water, time_s: float, pan: float) -> tuple[Array, Array]:
    """The slope of the water's surface, rows,columns, mean 0; and that of its finest waves."""
    slope, fine = np.zeros_like(water.x), np.zeros_like(water.x)
    for i, ((x, y, weight), length) in enumerate(zip(water.grids, WAVELENGTHS, strict=True)):
        drift = 16 * time_s * 0.11 / length**0.5
        for turn in (-1, 1):
            right, towards = pan / length * 16 + turn * drift * 0.8, drift * (0.5 + 0.4 * turn)
            wave = cv2.remap(
                water.texture,
                x + np.float32(right + 170 * turn),
                y + np.float32(towards % 512 + 90 * i),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_WRAP,
            )
            slope += wave * weight * 0.5
            if i < 4:
                fine += wave * weight
    return slope, fine


def _draw_water(picture: Array, time_s: float, pan: float) -> None:
    """Mirror the upper part of the picture H,W,3 in its lower part, broken by ripples."""
    height, width, _ = picture.shape
    water = _water(height, width)
    slope, fine = _ripples(water, time_s, pan)
    reach = (0.01 + 0.09 * water.near) * height
    mirrored = cv2.remap(
        picture[: water.top],
        water.x + slope * reach * 0.15,
        water.y - np.abs(slope * reach) * 1.2,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    deep = _mix((54, 92, 112), (12, 54, 78), water.near + 0 * slope)
    color = _mix(deep, mirrored, np.clip(0.78 - 0.3 * water.near + 0.16 * slope, 0, 1))
    sun = width / 2 + (SUN[0] - 0.02 * pan) * height
    path = np.exp(-(((water.x - sun) / height / (0.06 + 0.2 * water.near)) ** 2))
    glitter = path * _step(0.2, 1.5, fine) + 0.35 * path
    picture[water.top :] = color + glitter[..., None] * np.array([235, 175, 92], np.float32)


def _cover(area: Array, pixels: Array) -> None:
    """Lay premultiplied RGBA rows,columns,4 over part of the picture, rows,columns,3, in place."""
    behind = np.float32(1) - pixels[..., 3] * np.float32(1 / 255)
    # cvtColor, as a broadcast over three channels takes numpy six times as long (2 ms, 640x360).
    area *= cv2.cvtColor(behind, cv2.COLOR_GRAY2RGB)
    area += cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB)


def _place(picture: Array, layer: Layer, pan: float, rise: float = 0.0) -> None:
    """Lay the layer over the picture, moved by its share of the camera's path."""
    height, width, _ = picture.shape
    top = max(layer.top, 0)
    rows = min(layer.top + len(layer.pixels), height) - top
    x = layer.left + width / 2 - pan * layer.speed * height
    y = layer.top - top + rise * layer.speed * height
    move = np.array([[1, 0, x], [0, 1, y]])
    moved = cv2.warpAffine(layer.pixels, move, (width, rows), flags=cv2.INTER_CUBIC)
    _cover(picture[top : top + rows], moved)


def _place_boat(picture: Array, time_s: float, u: float, v: float, size: float) -> None:
    """Lay the bobbing boat and its reflection over the picture, its water line at (u, v)."""
    height, width, _ = picture.shape
    sprite = _boat(height)
    v += 0.004 * size * np.sin(time_s * 2.1 + u)
    roll = 0.05 * np.sin(time_s * 1.5 + size * 9)
    for flip, opacity in ((-0.75, 0.5), (1, 1)):
        cos, sin = size * np.cos(roll), size * np.sin(roll)
        turn = np.array([[cos, -sin * flip], [sin, cos * flip]])
        foot = np.array([u * height + width / 2, v * height])
        reach = 0.45 * size * height  # no part of the boat is farther from its water line
        left, top = np.clip(np.floor(foot - reach), 0, (width, height)).astype(int).tolist()
        right, end = np.clip(np.ceil(foot + reach), 0, (width, height)).astype(int).tolist()
        if left == right or top == end:
            continue
        shift = foot - (left, top) - turn @ np.array([0.2 * height, 0.33 * height])
        move = np.hstack([turn, shift[:, None]])
        moved = cv2.warpAffine(sprite, move, (right - left, end - top), flags=cv2.INTER_LINEAR)
        if flip < 0:
            moved = _rippled(moved, time_s, 0.007 * size * height)
        _cover(picture[top:end, left:right], cv2.convertScaleAbs(moved, alpha=opacity))


def _rippled(pixels: Array, time_s: float, reach: float) -> Array:
    """A reflection, rows,columns,4, whose rows waves push aside by up to `reach` pixels."""
    rows, columns = pixels.shape[:2]
    x, y = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in (columns, rows)))
    phase = y / max(reach, 1)
    push = np.sin(phase * 0.9 - time_s * 4) + 0.7 * np.sin(phase * 0.43 - time_s * 2.7 + 1)
    return cv2.remap(pixels, (x + push * reach).astype(np.float32), y, cv2.INTER_LINEAR)


def _draw_birds(frame: Frame, time_s: float, pan: float) -> None:
    """Six gulls on the frame H,W,3, in place: two wings each, thin at the tips."""
    height, width, _ = frame.shape
    for i in range(6):
        u = -0.35 + 0.11 * i + 0.05 * time_s - 0.2 * pan + 0.05 * np.sin(i * 5)
        v = 0.19 + 0.05 * np.sin(i * 2.6) + 0.01 * np.sin(time_s * 1.3 + i)
        size, flap = 0.022 + 0.006 * np.sin(i * 3), np.sin(time_s * 7 + i * 1.9)
        bend, tip = -0.4 - 0.2 * flap, -0.1 - 0.4 * flap
        upper = [(-1, tip), (-0.45, bend), (0, -0.08), (0.45, bend), (1, tip)]
        lower = [(0.45, bend + 0.17), (0.08, 0.14), (-0.08, 0.14), (-0.45, bend + 0.17)]
        wings = np.array([*upper, *lower]) * size + (u + width / height / 2, v)
        corners = np.rint(wings * height * 16).astype(np.int32)
        cv2.fillPoly(frame, [corners], (62, 56, 78), cv2.LINE_AA, 4)


@lru_cache(maxsize=2)
def _layers(height: int, width: int) -> tuple[list[Layer], list[Layer]]:
    """The layers behind the water and those before it, back to front."""
    size = height, width
    behind = [
        _sky(*size),
        _clouds(*size, seed=17, cell=0.16, cover=0.35, speed=0.04),
        _clouds(*size, seed=11, cell=0.2, cover=0.2, speed=0.06),
        _mountains(*size, seed=21, base=0.41, rise=0.13, speed=0.1, haze=0.5),
        _mountains(*size, seed=31, base=0.465, rise=0.1, speed=0.2, haze=0.24),
        _mountains(*size, seed=41, base=0.5, rise=0.055, speed=0.33, haze=0.06),
        _glow(*size),
    ]
    return behind, [_village(*size), _meadow(*size)]


def render_frame(time_s: float, height: int = 360, width: int = 640) -> Frame:
    """The picture at `time_s` seconds, uint8 H,W,3, RGB; the same for the same arguments."""
    behind, before = _layers(height, width)
    pan = PAN * (1 - np.cos(2 * np.pi * time_s / PAN_PERIOD_S)) / 2
    rise = 0.012 * np.sin(2 * np.pi * time_s / 7)
    picture = np.zeros((height, width, 3), np.float32)
    for layer in behind:
        _place(picture, layer, pan)
    _draw_water(picture, time_s, pan)
    _place_boat(picture, time_s, 0.35 - 0.02 * time_s - 0.33 * pan, 0.545, 0.3)
    _place_boat(picture, time_s, 1.05 - 0.05 * time_s - 0.5 * pan, 0.66, 1.0)
    for layer in before:
        _place(picture, layer, pan, rise)
    frame = np.rint(np.clip(picture, 0, 255)).astype(np.uint8)
    _draw_birds(frame, time_s, pan)
    return frame
