"""The plot of the flicker, read back from its SVG."""

import math
import re
import xml.etree.ElementTree as ET

import pytest

from stylevid.metrics import NOTHING_MEASURED, Flicker, Pair
from webui.flicker_plot import nice_step, plot_flicker, points_of
from webui.report import flicker_html


def flicker(*pairs: tuple[float, float, float, float | None], cuts: int = 0) -> Flicker:
    """Of (seconds, floor, off, on) in 1000 E_warp."""
    series = tuple(
        Pair(t, floor / 1000, {"off": off / 1000} | ({} if on is None else {"on": on / 1000}), {})
        for t, floor, off, on in pairs
    )
    errors = series[-1].errors if series else {}
    return Flicker(0.0004, errors, {}, len(series), series, cuts)


def curves(html: str) -> dict[str, list[tuple[float, float]]]:
    """The points of each line in percent of the plot, x from the left and y from the bottom."""
    lines = ET.fromstring(html).iter("{http://www.w3.org/2000/svg}polyline")
    return {
        str(line.get("class")).split()[1]: [
            (float(x), 100 - float(y)) for x, y in re.findall(r"([-\d.]+),([-\d.]+)",
                                                             str(line.get("points")))
        ]
        for line in lines
    }  # fmt: skip


def labels(html: str) -> list[str]:
    return [str(text.text) for text in ET.fromstring(html).iter("{http://www.w3.org/2000/svg}text")]


def test_three_lines_to_scale() -> None:
    html = plot_flicker(flicker((0, 0.4, 6, 2), (1, 0.4, 3, 1), (4, 0.4, 6, 2)))
    drawn = curves(html)
    assert set(drawn) == {"off", "on", "own"}
    assert [x for x, _ in drawn["off"]] == [0, 25, 100]
    heights = {name: [y for _, y in points] for name, points in drawn.items()}
    assert heights["off"] == [100, 50, 100]  # of 6
    assert heights["on"] == pytest.approx([33.33, 16.67, 33.33])
    assert heights["own"] == pytest.approx([6.67] * 3)
    assert labels(html) == ["0", "2", "4", "6", "0 s", "1 s", "2 s", "3 s", "4 s"]


def test_without_the_switch_there_are_two_lines() -> None:
    html = plot_flicker(flicker((0, 0.4, 5, None), (1, 0.4, 5, None)))
    assert set(curves(html)) == {"off", "own"}
    assert "consistency on" not in html.split("<figcaption>")[1]


def test_the_plot_says_what_it_shows() -> None:
    shown = flicker((0, 0.4, 5, 2), (1, 0.4, 5, 2))
    svg = ET.fromstring(plot_flicker(shown)).find(".//{http://www.w3.org/2000/svg}svg[@role='img']")
    assert svg is not None and shown.in_words() in str(svg.get("aria-label"))


def test_a_late_start_is_where_the_plot_begins() -> None:
    html = plot_flicker(flicker((100.1, 0.4, 5, 2), (103, 0.4, 5, 2)))
    assert "100 s" in labels(html) and "0 s" not in labels(html)
    assert all(0 <= x <= 100 for points in curves(html).values() for x, _ in points)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_not_drawn(value: float) -> None:
    hostile = flicker((0, 0.4, 5, 2), (1, 0.4, value, 2), (value, 0.4, 5, 2), (3, 0.4, 5, 2))
    assert [time_s for time_s, _ in points_of(hostile, "off")] == [0, 3]
    html = plot_flicker(hostile)
    assert "nan" not in html and "inf" not in html
    assert len(curves(html)["off"]) == 2
    assert plot_flicker(flicker((0, value, value, value), (1, value, value, value))) == ""


def test_hostile_sizes_are_drawn() -> None:
    for top in (0.0, 1e-300, 5e-324, 1e-9, 1e9, 1e300):
        html = plot_flicker(flicker((0, 0, top, 0), (0, 0, top, 0), (1e-9, 0, 0, 0)))
        for points in curves(html).values():
            assert all(-0.01 <= x <= 100.01 and -0.01 <= y <= 100.01 for x, y in points)
        assert len(labels(html)) < 20


def test_one_moment_is_no_plot() -> None:
    assert plot_flicker(flicker()) == plot_flicker(flicker((0, 0.4, 5, 2))) == ""
    same = plot_flicker(flicker((2, 0.4, 5, 2), (2, 0.4, 5, 2)))  # a clip without times
    assert len(curves(same)) == 3


@pytest.mark.parametrize(
    ("top", "count", "step"), [(6, 3, 2), (6.1, 3, 5), (1, 3, 0.5), (0.03, 3, 0.01), (0, 3, 1),
                               (29, 3, 10), (31, 3, 20)]
)  # fmt: skip
def test_steps_are_round_numbers(top: float, count: int, step: float) -> None:
    assert nice_step(top, count) == pytest.approx(step)


def test_the_small_print_names_the_number() -> None:
    html = flicker_html(flicker((0, 0.4, 5, 2), (1, 0.4, 5, 2), cuts=3))
    assert "warping error &times; 1000, the mean of 2 pairs" in html
    assert "3 more, across scene cuts" in html
    assert "scene cuts" not in flicker_html(flicker((0, 0.4, 5, 2), (1, 0.4, 5, 2)))


def test_a_single_frame_has_no_flicker() -> None:
    for nothing in (None, flicker()):
        assert flicker_html(nothing) == f"<p id='flicker'>{NOTHING_MEASURED}</p>"
