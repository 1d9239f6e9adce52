"""The flicker of a clip over time, drawn as a small SVG.

Every position is a percentage of the plot's own box, and the text is text of the page: so it is
as readable on a phone as on a desktop. The colors come from the page's style sheet.
"""

import math
from html import escape

from stylevid.metrics import Flicker

# Names of versions, None for the video itself; class in the style sheet; words.
LINES = (
    ("off", "off", "painted, each frame alone"),
    ("on", "on", "painted, temporal consistency on"),
    (None, "own", "the video itself"),
)
SECONDS = 5  # at most so many steps of seconds
Points = list[tuple[float, float]]  # seconds, 1000 E_warp


def plot_flicker(flicker: Flicker) -> str:
    """The plot with its legend as HTML; nothing when there are less than two points."""
    drawn = [
        (kind, words, points)
        for name, kind, words in LINES
        if len(points := points_of(flicker, name)) > 1
    ]
    if not drawn:
        return ""
    times = [time_s for *_, points in drawn for time_s, _ in points]
    start_s, end_s = _floor(min(times), max(times)), max(times)
    step = nice_step(max(error for *_, points in drawn for _, error in points), 3)
    top = step * max(1, math.ceil(max(e for *_, points in drawn for _, e in points) / step - 1e-9))
    lines = "".join(_line(kind, points, (start_s, end_s), top) for kind, _, points in drawn)
    legend = "".join(
        f"<span><svg width='28' height='10' aria-hidden='true'>"
        f"<line class='line {kind}' x1='2' x2='26' y1='5' y2='5'/></svg>{words}</span>"
        for kind, words, _ in drawn
    )
    label = escape(f"Flicker over time, in seconds. {flicker.in_words()}", quote=True)
    return (
        "<figure class='flicker-plot'><div class='box'>"
        f"<svg xmlns='http://www.w3.org/2000/svg' role='img' aria-label='{label}'"
        " width='100%' height='130'>"
        f"{_levels(step, top)}{_seconds(start_s, end_s)}"
        "<svg width='100%' height='100%' viewBox='0 0 100 100' preserveAspectRatio='none'"
        f" overflow='visible'>{lines}</svg></svg></div>"
        f"<figcaption>{legend}</figcaption></figure>"
    )


def points_of(flicker: Flicker, name: str | None) -> Points:
    """Times and errors of a version, or of the video itself, as far as they are numbers."""
    points = [
        (pair.time_s, 1000 * (pair.floor if name is None else pair.errors.get(name, math.nan)))
        for pair in flicker.series
    ]
    return [point for point in points if all(map(math.isfinite, point))]


def nice_step(top: float, count: int) -> float:
    """The smallest of 1, 2 or 5 times a power of ten of which at most `count` reach `top`; 1 when
    there is nothing to reach."""
    if not top > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(top / count))
    return next(n * power for n in (1, 2, 5, 10) if n * power * count >= top * (1 - 1e-9))


def _floor(start_s: float, end_s: float) -> float:
    """The step of seconds at or before the start."""
    step = nice_step(end_s - start_s, SECONDS)
    return step * math.floor(start_s / step)


def _line(kind: str, points: Points, span: tuple[float, float], top: float) -> str:
    start_s, end_s = span
    seconds = max(end_s - start_s, 1e-9)
    shown = " ".join(
        f"{100 * (time_s - start_s) / seconds:.2f},{100 - 100 * error / top:.2f}"
        for time_s, error in points
    )
    return f"<polyline class='line {kind}' points='{shown}'/>"


def _levels(step: float, top: float) -> str:
    """Lines across, with their 1000 E_warp on the left."""
    parts = []
    for index in range(round(top / step) + 1):
        y = f"{100 - 100 * index * step / top:.2f}%"
        parts.append(f"<line class='grid' x1='0' x2='100%' y1='{y}' y2='{y}'/>")
        parts.append(f"<text x='-8' y='{y}' dy='.35em' text-anchor='end'>{index * step:g}</text>")
    return "".join(parts)


def _seconds(start_s: float, end_s: float) -> str:
    """Whole steps of seconds below."""
    if not end_s > start_s:
        return ""
    step = nice_step(end_s - start_s, SECONDS)
    first, last = math.ceil(start_s / step - 1e-9), math.floor(end_s / step + 1e-9)
    return "".join(
        f"<text x='{100 * (index * step - start_s) / (end_s - start_s):.2f}%' y='100%' dy='1.5em'"
        f" text-anchor='middle'>{index * step:g} s</text>"
        for index in range(first, last + 1)
    )
