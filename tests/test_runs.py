"""Work goes on while its visitor is away for a moment, and ends when they have gone."""

import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from stylevid import VideoError
from tests.serving import wait_for
from webui import runs as module
from webui.painting import Job
from webui.runs import Run, Runs

DONE = Path("done.mp4")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("GRACE_S", 0.3), ("KEEP_S", 0.5), ("AGAIN_S", 0.1)):
        monkeypatch.setattr(module, name, seconds)


def run_of(*steps: object, pause_s: float = 0.05) -> tuple[Run, threading.Event]:
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

    return Run(work(), None, Job()), closed


def test_a_run_is_found_by_its_name_alone_and_its_outcome_is_kept_for_a_while() -> None:
    runs = Runs()
    run, closed = run_of(1, 2, DONE)
    name = runs.start(run)
    followers = run.follow()
    assert next(followers) == 1
    followers.close()  # the page is loaded anew
    assert runs.find(name) is run and runs.find("x") is runs.find(None) is runs.find([]) is None
    assert [*run.follow()][-1] == DONE and [*run.follow()] == [DONE] and not closed.is_set()
    assert closed.wait(5)
    wait_for(lambda: runs.find(name) is None, 5)


def test_work_ends_when_nobody_has_come_back() -> None:
    run, closed = run_of(*range(1000))
    Runs().start(run)
    assert next(run.follow()) == 0
    assert closed.wait(5)


def test_trouble_is_told_to_whoever_looks_and_one_works_at_a_time() -> None:
    runs = Runs()
    first, _ = run_of(1, VideoError("broken"), pause_s=0.2)
    second, _ = run_of(DONE)
    for run in (first, second):
        runs.start(run)
    began = time.monotonic()
    assert [*second.follow()] == [DONE] and time.monotonic() - began > 0.3
    for _ in range(2):
        with pytest.raises(VideoError, match="broken"):
            list(first.follow())


def test_only_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 1)
    monkeypatch.setattr(module, "KEEP_S", 600)
    runs = Runs()
    old, closed = run_of(DONE)
    runs.start(old)
    assert [*old.follow()] == [DONE]
    new, last = run_of(DONE)
    runs.start(new)
    assert closed.wait(5)
    new.dismiss()
    assert last.wait(5)
