"""Work that goes on while its visitor's page is loaded anew. Each run has a secret name, which only
the browser that asked for it is told, and by which it finds its run again."""

import contextvars
import secrets
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

from .painting import Job, Outcome

GRACE_S = 30.0  # for a visitor to come back while it works
KEEP_S = 600.0  # a result that nobody looks at
MOST = 20  # runs that are kept
AGAIN_S = 2.0  # after so long without news, the last are told again


@dataclass
class Run:
    """One visitor's work, and the newest of what it told.

    Attributes:
        steps: the work's progress, then its outcome; what it holds is let go of when it is closed.
        asked: what the page needs in order to show it.
    """

    steps: Generator[Any]
    asked: Any
    job: Job
    _told: threading.Condition = field(default_factory=threading.Condition)
    _news: tuple[int, Any] = 0, None  # how many there were, and the newest
    _over: bool = False
    _seen_s: float = field(default_factory=monotonic)
    _dismissed: threading.Event = field(default_factory=threading.Event)

    def follow(self) -> Iterator[Any]:
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

    def work(self, line: threading.Lock) -> None:
        """All of it, when it is its turn, as long as a visitor is there; then keep the outcome."""
        try:
            with line:
                for step in self.steps:
                    self._tell(step)
                    if isinstance(step, Outcome) or self._is_left(GRACE_S):
                        break
        except Exception as error:  # raised where it is followed
            self._tell(error)
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
    """The runs of all visitors, by their secret names; one works at a time."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self._line = threading.Lock()

    def start(self, run: Run) -> str:
        """Begin it, in the caller's context; its name."""
        name = secrets.token_urlsafe(16)
        self._runs[name] = run
        for old in list(self._runs)[:-MOST]:
            self._runs.pop(old).dismiss()
        context = contextvars.copy_context()  # ZeroGPU finds there whose request it is
        threading.Thread(target=context.run, args=(self._work, name, run), name="run").start()
        return name

    def _work(self, name: str, run: Run) -> None:
        run.work(self._line)
        self._runs.pop(name, None)

    def find(self, name: object) -> Run | None:
        return self._runs.get(name) if isinstance(name, str) else None
