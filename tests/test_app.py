"""The page's own code, called as plain functions; the browser has its own file."""

import copy
from pathlib import Path

import pytest

from app import HELLO, Job, Settings, _options, _progress_html, build_app, work
from stylevid import Cancelled, Options, Progress, Result, StylevidError, VideoError, get_style
from stylevid.example import render_example


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("example")
    return render_example(folder / "example.mp4", duration_s=0.5, height=96, width=160)


def test_the_page_is_built_without_styles_and_without_an_example(tmp_path: Path) -> None:
    page = build_app(Settings(weights=tmp_path))
    assert HELLO in str(page.get_config_file())


def test_the_page_asks_nothing_of_the_internet() -> None:
    assert build_app(Settings()).analytics_enabled is False


def test_programs_see_two_clean_endpoints() -> None:
    names = {
        dependency["api_name"]
        for dependency in build_app(Settings()).get_config_file()["dependencies"]
        if dependency["api_visibility"] == "public"
    }
    assert names == {"stylize", "list_styles"}


def test_each_visitor_has_a_stop_of_their_own() -> None:
    first = Job()
    second = copy.deepcopy(first)
    first.stop.set()
    assert not second.stop.is_set()


def test_work_tells_its_progress_and_then_its_result(example: Path, tmp_path: Path) -> None:
    target = tmp_path / "painted.mp4"
    steps = list(work(example, target, get_style("starry-night"), Options(), "cpu", Job()))
    assert all(isinstance(step, Progress) for step in steps[:-1])
    assert isinstance(steps[-1], Result) and steps[-1].frames == 12
    assert target.is_file()


def test_work_ends_when_the_visitor_stops_it(example: Path, tmp_path: Path) -> None:
    job = Job()
    job.stop.set()
    with pytest.raises(Cancelled):
        list(work(example, tmp_path / "x.mp4", get_style("starry-night"), Options(), "cpu", job))
    assert list(tmp_path.iterdir()) == []


def test_work_ends_when_the_visitor_has_gone(example: Path, tmp_path: Path) -> None:
    job = Job()
    steps = work(example, tmp_path / "x.mp4", get_style("starry-night"), Options(), "cpu", job)
    next(steps)
    steps.close()
    assert job.stop.is_set()


def test_trouble_in_the_painting_thread_reaches_the_page(tmp_path: Path) -> None:
    missing = tmp_path / "none.mp4"
    with pytest.raises(VideoError, match="does not exist"):
        list(work(missing, tmp_path / "x.mp4", get_style("great-wave"), Options(), "cpu", Job()))


def test_a_clip_over_the_limit_is_refused_before_the_work(example: Path, tmp_path: Path) -> None:
    options = _options(Settings(max_seconds=0.1), True, 1.0, False, 640)
    with pytest.raises(StylevidError, match="the limit is 0 s"):
        list(work(example, tmp_path / "x.mp4", get_style("great-wave"), options, "cpu", Job()))


def test_the_operator_limits_the_size() -> None:
    assert _options(Settings(max_side=640), True, 1.0, False, 1280).size == 640
    assert _options(Settings(max_side=640), True, 1.0, False, None).size == 640


def test_progress_says_frames_and_time_left(example: Path) -> None:
    text = _progress_html(Progress(7, 0.5, 3.5, 2.0, latest=None))
    assert "7 frames done" in text and "about 2 s left" in text
