"""What an operator decides and sees: what one visitor may have in an hour, whether the page is
well, numbers for Prometheus, and a line in the log for each job."""

import argparse
import logging
import math
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import processing_utils
from gradio.context import LocalContext
from gradio.route_utils import API_PREFIX
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stylevid.errors import Cancelled, StylevidError
from stylevid.pipeline import Result

log = logging.getLogger("stylevid.operator")

HOUR_S = 3600.0
SILENT_S = 300.0  # a job that says nothing for so long is stuck where nobody can stop it
MAX_BYTES = 1 << 20  # of a post that is no upload; an event of the page has some KB
MAX_WAITING = 50  # events of one visitor, of the app.WAITING that there is room for
HERE = {"127.0.0.1", "::"}  # no visitor's name: --share or a proxy, with whoever comes through it


@dataclass(frozen=True)
class Limits:
    """What one visitor may have in an hour: jobs, seconds of work, megabytes uploaded."""

    jobs: float = math.inf
    seconds: float = math.inf
    megabytes: float = math.inf


@dataclass
class Use:
    """Something a visitor had, and when."""

    visitor: str
    jobs: float = 0.0
    seconds: float = 0.0
    megabytes: float = 0.0
    when_s: float = field(default_factory=time.monotonic)


class Operator:
    """Keeps count of what visitors have, and refuses them more than their limits."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.counts: Counter[str] = Counter()  # by the metric's name and labels
        self._uses: list[Use] = []
        self._running: dict[int, float] = {}  # when each job last said something
        self._lock = threading.RLock()
        self.routes = [Route("/health", self._health), Route("/metrics", self._metrics)]
        self.middleware = [Middleware(_LimitPosts, operator=self)]

    def admit(self) -> Use:
        """A job that a visitor asks for; it counts before it is its turn.

        Raises:
            StylevidError: the visitor has had as much as one may.
        """
        visitor = _visitor()
        with self._lock:
            self.check(visitor, "jobs", "seconds")
            return self.use(Use(visitor, jobs=1))

    def watch(self, work: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """The same work, of a job that was admitted, counted and logged."""

        def run(use: Use, video: Path, *arguments: Any, **named: Any) -> Iterator[Any]:
            ended, spent = "left", Use(use.visitor)  # from now on, however long it waited
            self._running[id(use)] = spent.when_s
            try:
                self.check(use.visitor, "seconds")  # again: those asked for with it may have run
                self.use(spent)
                for step in work(video, *arguments, **named):
                    self._running[id(use)] = now = time.monotonic()
                    spent.seconds = now - spent.when_s
                    if isinstance(step, Result):
                        self.counts["frames_total"] += step.frames
                    ended = "left"
                    yield step
                ended = "done"
            except Cancelled:
                ended = "stopped"
                raise
            except (StylevidError, ValueError) as error:
                ended = f"refused: {error}"
                raise
            except Exception:
                ended = "failed"
                raise
            finally:
                del self._running[id(use)]
                spent.seconds = time.monotonic() - spent.when_s
                self.counts[f'jobs_total{{outcome="{ended.partition(":")[0]}"}}'] += 1
                self.counts["work_seconds_total"] += spent.seconds  # pyright: ignore
                log.info("job of %s: %a, %.1f s, %s", use.visitor, video.name, spent.seconds, ended)

        return run

    def use(self, use: Use) -> Use:
        """Note it; what is changed in it later counts as well."""
        with self._lock:
            self._uses.append(use)
        return use

    def check(self, visitor: str, *names: str) -> None:
        """Raise a StylevidError where the visitor has had as much as one may in an hour, of what is
        named or of anything."""
        now = time.monotonic()
        with self._lock:
            self._uses = [use for use in self._uses if now - use.when_s < HOUR_S]
            mine = [use for use in self._uses if use.visitor == visitor]
        for name in names or vars(self.limits):
            limit = getattr(self.limits, name)
            used = sum(getattr(use, name) for use in mine)
            if used >= limit:
                oldest_s = min((use.when_s for use in mine if getattr(use, name)), default=now)
                wait = math.ceil((HOUR_S - now + oldest_s) / 60)
                self.counts[f'limited_total{{limit="{name}"}}'] += 1
                raise StylevidError(
                    f"You have had {used:.0f} {name} of this page in an hour; the limit is "
                    f"{limit:g}. Come back in about {wait} min."
                )

    def _health(self, _: Request) -> Response:
        silent_s = time.monotonic() - min(self._running.values(), default=time.monotonic())
        if silent_s > SILENT_S:
            return PlainTextResponse(f"A job has been silent for {silent_s:.0f} s.\n", 503)
        return PlainTextResponse("ok\n")

    def _metrics(self, _: Request) -> Response:
        numbers = {**self.counts, "jobs_running": len(self._running), **_of_this_process()}
        kinds: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in sorted(numbers.items()):
            kinds[name.partition("{")[0]].append(f"stylevid_{name} {value:g}\n")
        text = "".join(
            f"# TYPE stylevid_{kind} {'counter' if kind.endswith('_total') else 'gauge'}\n"
            + "".join(lines) for kind, lines in kinds.items()
        )  # fmt: skip
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


class _LimitPosts:
    """Refuses uploads of visitors who have had their share, before anything is written, and other
    posts that are too large or too many."""

    def __init__(self, app: ASGIApp, operator: Operator) -> None:
        self.app, self.operator = app, operator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self.app(scope, receive, send)
        visitor = name_visitor(scope["client"][0] if scope.get("client") else None)
        if not scope["path"].endswith(f"{API_PREFIX}/upload"):
            return await self.app(scope, _limited(scope, receive, visitor), send)
        try:
            self.operator.check(visitor)
        except StylevidError as error:
            return await PlainTextResponse(str(error), 429)(scope, receive, send)
        use = self.operator.use(Use(visitor))

        async def counted() -> Message:
            message = await receive()
            size = len(message.get("body", b""))
            use.megabytes += size / 1e6
            self.operator.counts["upload_bytes_total"] += size
            return message

        await self.app(scope, counted, send)


def _limited(scope: Scope, receive: Receive, visitor: str) -> Receive:
    """`receive` of a post that is no upload; it raises the HTTPException that the visitor sees."""
    received = 0
    asks = visitor not in HERE and ("/queue/join" in scope["path"] or "/call/" in scope["path"])

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BYTES:
            raise HTTPException(413, f"A request has at most {MAX_BYTES >> 20} MB here. "
                                     "Upload what is larger.")  # fmt: skip
        # Asked when all of it is here, or many that are sent at a time would all find room.
        if asks and message["type"] == "http.request" and not message.get("more_body"):
            waiting = _count_waiting(scope["app"].get_blocks(), visitor)
            if waiting >= MAX_WAITING:
                raise HTTPException(429, f"{waiting} of your requests wait here; the limit is "
                                         f"{MAX_WAITING}. Try again in a minute.")  # fmt: skip
        return message

    return limited


def _count_waiting(blocks: gr.Blocks, visitor: str) -> int:
    queue = blocks._queue  # pyright: ignore  (gradio tells it nowhere else)
    lines = queue.event_queue_per_concurrency_id.values()
    hosts = [event.request.client for line in lines for event in line.queue]
    return sum(name_visitor(host and host.host) == visitor for host in hosts)


def fetch_nothing() -> None:
    """Gradio refuses addresses that are given for files, which it would fetch whole, uncounted."""

    async def refuse(url: str) -> None:
        raise gr.Error("This page fetches nothing from an address. Upload the file instead.",
                       print_exception=False)  # fmt: skip

    processing_utils.async_ssrf_protected_get = refuse  # through which all that it fetches goes


def name_visitor(host: str | None) -> str:
    """An address, of IPv6 the half that a household has."""
    try:
        address = ip_address(host or "")
    except ValueError:
        return "somebody"
    address = getattr(address, "ipv4_mapped", None) or address  # how sockets of both show version 4
    return str(address) if address.version == 4 else str(IPv6Address(int(address) >> 64 << 64))


def _visitor() -> str:
    request = LocalContext.request.get(None)
    client = getattr(request, "client", None)
    return name_visitor(client.host if client else None)


def _of_this_process() -> dict[str, float]:
    """Memory, threads and open files, where the system tells."""
    status = Path("/proc/self/status")
    if not status.exists():
        return {}
    told = dict(line.split(":", 1) for line in status.read_text("utf-8").splitlines())
    return {
        "memory_bytes": int(told["VmRSS"].split()[0]) * 1024,
        "threads": int(told["Threads"]),
        "open_files": len(os.listdir("/proc/self/fd")),
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    """What the command line says of the page in public."""
    add = parser.add_argument
    add("--auth", type=read_auth, metavar="USER:PASSWORD", default=os.environ.get("STYLEVID_AUTH"),
        help="let in who says so; @FILE reads a line for each user (default: $STYLEVID_AUTH)",
    )  # fmt: skip
    add("--root-path", metavar="/PATH", help="where a proxy shows the page")
    add("--max-job-seconds", type=float, default=3600, help="that one may work")
    add("--max-gigapixels", type=float, default=60, help="a video's frames may have together")
    for name in vars(Limits()):
        add(f"--visitor-{name}", type=float, default=math.inf, metavar="N",
            help=f"{name} that one visitor may have in an hour")  # fmt: skip


def read_auth(text: str) -> list[tuple[str, str]]:
    """Users and their passwords.

    Raises:
        argparse.ArgumentTypeError: a line is not USER:PASSWORD; the sentence does not repeat it.
    """
    try:
        lines = Path(text[1:]).read_text("utf-8").split("\n") if text.startswith("@") else [text]
    except (OSError, UnicodeError) as cause:
        raise argparse.ArgumentTypeError(f"{text[1:]} cannot be read: {cause}") from cause
    users = [tuple(line.strip().split(":", 1)) for line in lines if line.strip()]
    if not users or any(len(user) != 2 or not all(user) for user in users):
        raise argparse.ArgumentTypeError("users are given as USER:PASSWORD, one a line in a file")
    return users  # pyright: ignore
