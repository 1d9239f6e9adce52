"""The work for one visitor, in a thread or on a GPU that is lent for it; it can be stopped."""

import math
import queue
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stylevid.errors import StylevidError
from stylevid.painter import Painter
from stylevid.pipeline import Options, Result, stylize_video
from stylevid.styles import Mix, Style

Outcome = Result | Path  # of stylize_video, of compare_video
GPU_SECONDS = 120  # asked of ZeroGPU to paint one video


class Job:
    """One visitor's switches: to stop what runs for them, and that they have gone.

    They are files, because on ZeroGPU the work has a process of its own.
    """

    def __init__(self) -> None:
        folder, name = Path(tempfile.gettempdir()), secrets.token_hex(8)
        self._stopped = folder / f"stylevid-stop-{name}"
        self._gone = folder / f"stylevid-gone-{name}"

    def start(self) -> None:
        self.go_on()
        self._gone.unlink(missing_ok=True)

    def go_on(self) -> None:
        """With what comes after the part that was stopped; not for a visitor who has gone."""
        self._stopped.unlink(missing_ok=True)

    def stop(self) -> None:
        self._stopped.touch()

    def leave(self) -> None:
        self._gone.touch()

    def is_stopped(self) -> bool:
        return self._stopped.exists() or self._gone.exists()

    # gradio copies a State's first value for each visitor.
    def __deepcopy__(self, _: dict[int, object]) -> "Job":
        return Job()


def in_time(seconds: float, should_stop: Callable[[], bool] = lambda: False) -> Callable[[], bool]:
    """`should_stop`, which raises a StylevidError when so many seconds have passed."""
    end_s = time.monotonic() + seconds

    def ask() -> bool:
        if time.monotonic() > end_s:
            raise StylevidError(f"It took longer than {seconds:g} s, the limit here, and was "
                                "stopped. Choose a shorter part or a smaller size.")  # fmt: skip
        return should_stop()

    return ask


def work(
    video: Path,
    target: Path,
    style: Style | Mix,
    options: Options,
    device: str | None,
    job: Job,
    paint: Callable[..., Outcome] = stylize_video,
    most_s: float = math.inf,
) -> Iterator[Any]:
    """The progress of a painting about twice a second, then its result.

    Args:
        paint: stylize_video, or another that is called like it; it can be pickled.
        most_s: seconds that it may take.
    Raises:
        StylevidError: whatever `paint` raises; Cancelled when `job` was stopped.
    """
    news: queue.Queue[Any] = queue.Queue()  # progress of whatever kind, the outcome or an error
    told = 0.0

    def tell(progress: object) -> None:
        nonlocal told
        if time.monotonic() - told > 0.5:
            told = time.monotonic()
            news.put(progress)

    def run() -> None:
        try:
            painter = Painter(style, device)
            should_stop = in_time(most_s, job.is_stopped)
            news.put(paint(video, target, painter, options, tell, should_stop))
        except BaseException as error:  # handed to the page's own thread
            news.put(error)

    thread = threading.Thread(target=run, name="painter")
    thread.start()
    try:
        while True:
            item = news.get()
            if isinstance(item, BaseException):
                raise item
            yield item
            if isinstance(item, Outcome):
                return
    finally:  # also when the visitor has gone
        job.leave()
        thread.join()
        job.start()  # which leaves no file behind


def _needed_s(*arguments: object) -> int:
    """The seconds to ask of ZeroGPU for `work` with these arguments, learning included."""
    *_, paint, _ = arguments
    return GPU_SECONDS + math.ceil(getattr(paint, "seconds", 0))


def lend_gpu(most_s: float = math.inf) -> Callable[..., Iterator[Any]]:
    """`work`, within so many seconds; on Hugging Face's ZeroGPU in a process that is lent a GPU.

    ZeroGPU wants to know before the page is launched what will need a GPU.
    """
    steps: Callable[..., Iterator[Any]] = work
    zero_gpu = sys.modules.get("spaces")  # imported by the Space's entry, before torch
    if zero_gpu:
        steps = zero_gpu.GPU(duration=_needed_s)(work)

    def run(
        *arguments: object, job: Job, paint: Callable[..., object] = stylize_video
    ) -> Iterator[Any]:
        try:
            yield from steps(*arguments, job, paint, most_s)
        except GeneratorExit:
            if zero_gpu:  # another process does not notice that the visitor has gone
                job.leave()
            raise

    return run
