"""Work that goes on while its visitor's page is loaded anew. Each run has a secret name, which only
the browser that asked for it is told, and by which it finds its run again. Runs wait in lines."""

import contextvars
import logging
import math
import secrets
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from time import monotonic
from typing import Any

from stylevid.errors import Cancelled, StylevidError

from .painting import Job, Outcome

log = logging.getLogger(__name__)

GRACE_S = 30.0  # for a visitor to come back while it works
KEEP_S = 600.0  # a result that nobody looks at
MOST = 20  # runs that wait in a line; and all together, before the outcomes of old ones are let go
AGAIN_S = 2.0  # after so long without news, the last are told again


@dataclass(frozen=True)
class Waiting:
    """What is told in a line.

    Attributes:
        ahead: runs that come first, the one that works included.
        about_s: seconds that they take; nan where nobody can tell.
    """

    ahead: int
    about_s: float


class Line:
    """Those that wait for one another; the first one works."""

    def __init__(self) -> None:
        self._those: list[object] = []
        self._moved = threading.Condition()

    @contextmanager
    def place(self, who: object) -> Generator[None]:
        """At the end of the line, and gone from it afterwards.

        Raises:
            StylevidError: the line is too long.
        """
        with self._moved:
            if len(self._those) > MOST:
                raise StylevidError(f"{MOST} videos wait here already, and no more are taken. "
                                    "Try again in a few minutes.")  # fmt: skip
            self._those.append(who)
        try:
            yield
        finally:
            with self._moved:
                self._those.remove(who)
                self._moved.notify_all()

    def wait(self, who: object) -> Generator[Waiting]:
        """What is ahead of somebody who has a place, every now and then, until nothing is."""
        while ahead := self._ahead(who):
            yield Waiting(len(ahead), sum(getattr(one, "left_s", math.nan) for one in ahead))
            with self._moved:
                self._moved.wait_for(lambda: not self._ahead(who), AGAIN_S)

    def _ahead(self, who: object) -> list[object]:
        with self._moved:
            return self._those[: self._those.index(who)]


@dataclass(eq=False)
class Run:
    """One visitor's work, and the newest of what it told.

    Attributes:
        steps: the work's progress, then its outcome; what it holds is let go of when it is closed.
        asked: what the page needs in order to show it.
        needs_s: seconds that it takes, as far as they are known before.
    """

    steps: Generator[Any]
    asked: Any
    job: Job
    needs_s: float = math.nan
    _told: threading.Condition = field(default_factory=threading.Condition)
    _news: tuple[int, Any] = 0, None  # how many there were, and the newest
    _over: bool = False
    _seen_s: float = field(default_factory=monotonic)
    _dismissed: threading.Event = field(default_factory=threading.Event)

    def follow(self) -> Generator[Any]:
        """The newest that was told, and what comes then, to the end. Whoever goes on asking is a
        visitor who is there.

        Raises:
            whatever ended the work.
        """
        known = 0
        while True:
            self._seen_s = monotonic()
            with self._told:
                self._told.wait_for(partial(self._has_more, known), AGAIN_S)
                (count, item), is_over = self._news, self._over
            if isinstance(item, Exception):
                raise item
            if count > known or (count and not is_over):
                yield item
            if is_over:
                return
            known = count

    def _has_more(self, known: int) -> bool:
        return self._news[0] > known or self._over

    @property
    def left_s(self) -> float:
        """Seconds until it is done, as far as is known."""
        left_s = getattr(self._news[1], "left_s", self.needs_s)
        return math.nan if left_s is None else left_s

    @property
    def is_over(self) -> bool:
        return self._over

    def work(self, line: Line) -> None:
        """All of it, when it is its turn, as long as a visitor is there; then keep the outcome."""
        try:
            with line.place(self), closing(line.wait(self)) as waiting:
                steps: Iterator[Any] = chain(waiting, self.steps)
                for step in steps:
                    self._tell(step)
                    if isinstance(step, Outcome):
                        break
                    if self._is_left(GRACE_S):
                        self.steps.close()  # before it is the next one's turn
                        raise Cancelled("The page was left, so it was stopped; nothing is kept.")
                    if isinstance(step, Waiting) and self.job.is_stopped():
                        self.job.start()
                        raise Cancelled("Stopped while it waited; nothing was painted.")
        except Exception as error:  # raised where it is followed
            if not isinstance(error, StylevidError | ValueError):
                log.exception("a run failed")
            # Kept as long as the run, and with it all that its traceback holds.
            error.__cause__ = error.__context__ = None
            self._tell(error.with_traceback(None))
        with self._told:
            self._over = True
            self._told.notify_all()
        while not self._is_left(KEEP_S):
            self._dismissed.wait(1)
        self.steps.close()

    def dismiss(self) -> None:
        self._dismissed.set()

    def _tell(self, item: object) -> None:
        with self._told:
            self._news = self._news[0] + 1, item
            self._told.notify_all()

    def _is_left(self, patience_s: float) -> bool:
        gone = monotonic() - self._seen_s > patience_s or self._dismissed.is_set()
        return gone or not threading.main_thread().is_alive()


class Runs:
    """The runs of all visitors, by their secret names.

    Attributes:
        painting, learning: their lines. Learning takes minutes, so nobody who only paints waits
            for it: one of each works at a time.
    """

    def __init__(self) -> None:
        self.painting, self.learning = Line(), Line()
        self._runs: dict[str, Run] = {}

    def start(self, run: Run, line: Line) -> str:
        """Begin it, in the caller's context, at the end of a line; its name."""
        name = secrets.token_urlsafe(16)
        self._runs[name] = run
        kept = list(self._runs.items())  # whose own threads take them out meanwhile
        outcomes = [known for known, old in kept if old.is_over]
        for known in outcomes[: max(0, len(kept) - MOST)]:
            if old := self._runs.pop(known, None):
                old.dismiss()
        context = contextvars.copy_context()  # ZeroGPU finds there whose request it is
        threading.Thread(target=context.run, args=(self._work, name, run, line), name="run").start()
        return name

    def _work(self, name: str, run: Run, line: Line) -> None:
        run.work(line)
        self._runs.pop(name, None)

    def find(self, name: object) -> Run | None:
        return self._runs.get(name) if isinstance(name, str) else None
