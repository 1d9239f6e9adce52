"""Work goes on while its visitor is away for a moment, and ends when they have gone."""

import gc
import math
import threading
import time
import weakref
from collections.abc import Generator
from pathlib import Path

import pytest

from stylevid import VideoError
from stylevid.errors import Cancelled, StylevidError
from tests.serving import wait_for
from webui import runs as module
from webui.painting import Job
from webui.runs import Run, Runs, Waiting

DONE = Path("done.mp4")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("GRACE_S", 0.3), ("KEEP_S", 0.5), ("AGAIN_S", 0.1)):
        monkeypatch.setattr(module, name, seconds)


def run_of(
    *steps: object, pause_s: float = 0.05, needs_s: float = math.nan
) -> tuple[Run, threading.Event]:
    """A run that tells these, and whether it was let go of."""
    closed = threading.Event()

    def work() -> Generator[object]:
        try:
            for step in steps:
                time.sleep(pause_s)
                if isinstance(step, Exception):
                    raise step
                yield step
        finally:
            closed.set()

    return Run(work(), None, Job(), needs_s), closed


def test_a_run_is_found_by_its_name_alone_and_its_outcome_is_kept_for_a_while() -> None:
    runs = Runs()
    run, closed = run_of(1, 2, DONE)
    name = runs.start(run, runs.painting)
    followers = run.follow()
    assert next(followers) == 1
    followers.close()  # the page is loaded anew
    assert runs.find(name) is run and runs.find("x") is runs.find(None) is runs.find([]) is None
    assert [*run.follow()][-1] == DONE and [*run.follow()] == [DONE] and not closed.is_set()
    assert closed.wait(5)
    wait_for(lambda: runs.find(name) is None, 5)


def test_work_ends_when_nobody_has_come_back() -> None:
    run, closed = run_of(*range(1000))
    other, _ = run_of(DONE)
    runs = Runs()
    runs.start(run, runs.painting)
    runs.start(other, runs.painting)
    assert next(run.follow()) == 0
    assert [*other.follow()][-1] == DONE and closed.is_set(), "two worked at a time"
    with pytest.raises(Cancelled, match="The page was left"):
        list(run.follow())


def test_trouble_is_told_to_whoever_looks_and_one_works_at_a_time() -> None:
    runs = Runs()
    first, _ = run_of(1, VideoError("broken"), pause_s=0.2)
    second, _ = run_of(DONE)
    for run in (first, second):
        runs.start(run, runs.painting)
    began = time.monotonic()
    *waited, done = second.follow()
    assert waited and all(isinstance(step, Waiting) for step in waited)
    assert done == DONE and time.monotonic() - began > 0.3
    for _ in range(2):
        with pytest.raises(VideoError, match="broken"):
            list(first.follow())


def test_trouble_that_is_kept_holds_nothing_of_the_work() -> None:
    class Painter:
        pass

    def work() -> Generator[object]:
        painter = Painter()
        held.append(weakref.ref(painter))
        try:
            raise KeyError("unknown")
        except KeyError as error:
            raise VideoError("broken") from error
        yield

    held: list[weakref.ref[Painter]] = []
    run, runs = Run(work(), None, Job()), Runs()
    runs.start(run, runs.painting)
    with pytest.raises(VideoError, match="broken"):
        list(run.follow())
    gc.collect()
    assert run.is_over and held and held[0]() is None


def test_only_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 1)
    monkeypatch.setattr(module, "KEEP_S", 600)
    runs = Runs()
    old, closed = run_of(DONE)
    runs.start(old, runs.painting)
    assert [*old.follow()] == [DONE]
    new, last = run_of(DONE)
    runs.start(new, runs.painting)
    assert closed.wait(5)
    new.dismiss()
    assert last.wait(5)


def test_who_waits_is_told_how_many_are_ahead_and_about_how_long() -> None:
    runs = Runs()
    learner, _ = run_of(*range(1000), needs_s=60)
    second, _ = run_of(*range(1000), needs_s=120)
    third, _ = run_of(DONE, needs_s=30)
    *_, name = (runs.start(run, runs.learning) for run in (learner, second, third))
    assert next(third.follow()) == Waiting(2, 180)
    quick, _ = run_of(DONE)
    runs.start(quick, runs.painting)
    assert [*quick.follow()] == [DONE], "who only paints waited for one who learns"
    third.job.stop()
    with pytest.raises(Cancelled, match="while it waited"):
        list(third.follow())
    assert not third.job.is_stopped()
    for run in (learner, second, third):
        run.dismiss()
    wait_for(lambda: runs.find(name) is None, 5)


def test_a_line_is_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 1)
    runs = Runs()
    several = [run_of(*range(1000))[0] for _ in range(3)]
    for run in several:
        runs.start(run, runs.painting)
    with pytest.raises(StylevidError, match="1 videos wait here already"):
        list(several[2].follow())
    for run in several:
        run.dismiss()
