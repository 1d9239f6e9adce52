"""Contenders timed in turns, so that whatever else the machine does falls on all of them alike."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Work = Callable[[], float]
"""Does its work once; returns the seconds that it took for a frame."""

Kind = Literal["ours", "classic", "peer", "kernel", "video"]

PAUSE_S = 0.03  # until the idle threads of the contender before have stopped spinning


@dataclass(frozen=True)
class Contender:
    """One way to do a job.

    Attributes:
        name: unique within a race.
        kind: whose it is.
        make: gets it ready and returns its work; raises where it cannot run here.
    """

    name: str
    kind: Kind
    make: Callable[[], Work]


@dataclass(frozen=True)
class Timing:
    """How long a contender took.

    Attributes:
        name, kind: the contender's.
        seconds: a frame, of each timed call in order; empty when it is not available.
        why: it is not available, in one line; None when it is.
    """

    name: str
    kind: Kind
    seconds: tuple[float, ...] = ()
    why: str | None = None

    @property
    def median_s(self) -> float:
        return statistics.median(self.seconds)

    @property
    def best_s(self) -> float:
        return min(self.seconds)


def stopwatch(
    work: Callable[[], object], frames: int = 1, clock: Callable[[], float] = time.perf_counter
) -> Work:
    """The same work, which paints so many frames, timed."""

    def timed() -> float:
        started = clock()
        work()
        return (clock() - started) / frames

    return timed


def race(
    contenders: Sequence[Contender],
    rounds: int,
    calls: int = 2,
    untimed: int = 1,
    pause_s: float = PAUSE_S,
) -> list[Timing]:
    """Time contenders one after another, over and over.

    Args:
        rounds: turns of each contender.
        calls: timed in each turn.
        untimed: calls that open each turn, and get a contender ready before the first round:
            they bring its code and data back into the caches, as in a video.
        pause_s: seconds before each turn.
    """
    ready: dict[str, Work] = {}
    why: dict[str, str] = {}
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for contender in contenders:
        try:
            work = contender.make()
            for _ in range(untimed):
                work()
            ready[contender.name] = work
        except Exception as error:  # whatever a runtime, a package or a device stumbles over
            why[contender.name] = reason(error)
    for _ in range(rounds):
        for contender in contenders:
            if contender.name not in ready:
                continue
            time.sleep(pause_s)
            try:
                turn = [ready[contender.name]() for _ in range(untimed + calls)]
                seconds[contender.name] += turn[untimed:]
            except Exception as error:  # the same, later
                why[contender.name] = reason(error)
                del ready[contender.name]
    return [
        Timing(c.name, c.kind, () if c.name in why else tuple(seconds[c.name]), why.get(c.name))
        for c in contenders
    ]


def fastest_of_ours(timings: Sequence[Timing]) -> Timing | None:
    """Our contender with the smallest median, which the others are compared with."""
    able = [timing for timing in timings if timing.kind == "ours" and timing.seconds]
    return min(able, key=lambda timing: timing.median_s, default=None)


def reason(error: Exception) -> str:
    """What went wrong, in one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
