"""The races as a picture: one bar for each contender, as long as a frame takes."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from .networks import NetworkTimes
from .race import Kind, Timing

COLORS: dict[Kind, str] = {"ours": "#1f77b4", "classic": "#c7762b", "peer": "#7a7a7a"}
SUFFIXES = (".png", ".jpg", ".webp")

_INK, _PAPER = "#202020", "#ffffff"
_ROW, _BAR, _EDGE = 26, 16, 16  # pixels
_LABELS, _LONGEST, _VALUES = 330, 520, 90
BARS_LEFT = _EDGE + _LABELS  # where bars begin


def draw_races(path: Path, races: Sequence[NetworkTimes]) -> None:
    """Write the picture. Lengths are medians and share one scale within each race; who is not
    available has no bar."""
    rows = sum(len(times.timings) + 2 for times in races)
    size = (_LABELS + _LONGEST + _VALUES + 2 * _EDGE, rows * _ROW + 2 * _EDGE)
    picture = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(14)
    top = _EDGE
    for times in races:
        title = f"{times.width}x{times.height}, ms a frame"
        draw.text((_EDGE, top + 4), title, _INK, ImageFont.load_default(17))
        longest = max((t.median_s for t in times.timings if t.seconds), default=1.0)
        for number, timing in enumerate(times.timings, start=1):
            _draw_row(draw, font, top + number * _ROW, timing, longest)
        top += (len(times.timings) + 2) * _ROW
    partial = path.with_name(f".partial-{path.name}")
    picture.save(partial)
    partial.replace(path)


def _draw_row(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    top: int,
    timing: Timing,
    longest: float,
) -> None:
    left, middle = BARS_LEFT, top + _ROW // 2
    draw.text((left - 8, middle), timing.name, _INK, font, anchor="rm")
    if not timing.seconds:
        draw.text((left, middle), "not available", _INK, font, anchor="lm")
        return
    right = left + max(1, round(_LONGEST * timing.median_s / longest)) - 1
    bar = (left, middle - _BAR // 2, right, middle + _BAR // 2)
    draw.rectangle(bar, COLORS.get(timing.kind, _INK))
    text = f"{1000 * timing.median_s:.1f}"
    draw.text((right + 8, middle), text, _INK, font, anchor="lm")
