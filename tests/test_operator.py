"""What an operator decides and sees."""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio import processing_utils
from gradio.utils import get_upload_folder

from app import Settings, build_app
from stylevid.errors import Cancelled, StylevidError
from tests.serving import serve
from webui import operator as module
from webui.operator import Limits, Operator, Use, name_visitor, read_auth
from webui.painting import in_time
from webui.scratch import scratch

ROOT = Path(__file__).parents[1]
USER = ("ann", "a:b")
LARGE = bytes(module.MAX_BYTES + 1)


def test_a_job_within_its_time_goes_on_and_then_ends_in_a_sentence() -> None:
    assert in_time(60)() is False and in_time(60, lambda: True)() is True
    with pytest.raises(StylevidError, match=r"longer than 0 s, the limit here"):
        in_time(0)()


@pytest.mark.parametrize(
    ("limits", "use", "said"),
    [
        (Limits(jobs=2), Use("a", jobs=2), "2 jobs of this page in an hour; the limit is 2"),
        (Limits(seconds=9), Use("a", seconds=9.4), "9 seconds of this page .* the limit is 9"),
        (Limits(megabytes=1), Use("a", megabytes=1.2), "1 megabytes .* Come back in about 60 min"),
    ],
)
def test_a_visitor_has_so_much_in_an_hour(
    limits: Limits, use: Use, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = Operator(limits)
    operator.check("a")
    operator.use(replace(use, when_s=time.monotonic()))  # it was made when tests were collected
    operator.check("another")
    with pytest.raises(StylevidError, match=said):
        operator.check("a")
    later = time.monotonic() + module.HOUR_S
    monkeypatch.setattr(module.time, "monotonic", lambda: later)
    operator.check("a")


def test_the_wait_is_for_the_oldest_use_that_counts() -> None:
    operator, now = Operator(Limits(jobs=1)), time.monotonic()
    operator.use(Use("a", megabytes=1, when_s=now - 3590))
    operator.use(Use("a", jobs=1, when_s=now - 10))
    with pytest.raises(StylevidError, match=r"Come back in about 60 min\."):
        operator.check("a")
    with pytest.raises(StylevidError, match=r"the limit is 0\. Come back in about 60 min\."):
        Operator(Limits(jobs=0)).admit()


def test_what_runs_counts_and_what_was_asked_for_at_once_is_asked_again_when_it_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    operator = Operator(Limits(seconds=0.2))
    work = operator.watch(lambda _: iter("ab"))
    first, second, third = (operator.admit() for _ in range(3))
    first.when_s -= 2 * module.HOUR_S  # in the line
    steps = work(first, Path("a.mp4"))
    next(steps)
    time.sleep(0.3)
    next(steps)
    said = r"seconds .* the limit is 0\.2\. Come back in about 60 min"
    with pytest.raises(StylevidError, match=said):
        next(work(second, Path("b.mp4")))
    with pytest.raises(StylevidError, match=said):
        operator.admit()
    assert list(steps) == []
    later = time.monotonic() + module.HOUR_S
    monkeypatch.setattr(module.time, "monotonic", lambda: later)
    assert list(work(third, Path("c.mp4"))) == ["a", "b"]


def test_what_waits_counts_and_what_was_uploaded_can_be_painted() -> None:
    operator = Operator(Limits(jobs=2, megabytes=1))
    operator.use(Use("somebody", megabytes=2))
    operator.admit()
    operator.admit()  # neither has begun
    with pytest.raises(StylevidError, match="2 jobs of this page in an hour; the limit is 2"):
        operator.admit()


@pytest.mark.parametrize(
    ("error", "ended"),
    [(None, "done"), (Cancelled("No."), "stopped"), (StylevidError("No."), "refused"),
     (OSError("No."), "failed"), ("close", "left")],
)  # fmt: skip
def test_every_job_is_counted_and_has_a_line(error: Any, ended: str, caplog) -> None:
    operator = Operator()

    def work(video: Path) -> Iterator[int]:
        yield 1
        if isinstance(error, Exception):
            raise error
        yield 2

    caplog.set_level("INFO")
    steps = operator.watch(work)(operator.admit(), Path("a\nb.mp4"))
    assert next(steps) == 1
    try:
        steps.close() if error == "close" else list(steps)
    except Exception as raised:
        assert raised is error
    assert operator.counts[f'jobs_total{{outcome="{ended}"}}'] == 1
    (line,) = caplog.messages
    assert r"job of somebody: 'a\nb.mp4'" in line and ended in line


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("203.0.113.9",) * 2,
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        (None, "somebody"),
    ],
)
def test_visitors_are_told_apart_by_their_address(host: str | None, name: str) -> None:
    assert name_visitor(host) == name


def test_users_are_read_and_no_password_is_repeated(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("ann:a:b\n\n bob:c \n")
    assert read_auth("ann:a:b") == [USER]
    assert read_auth(f"@{tmp_path}/users") == [USER, ("bob", "c")]
    for wrong in ("secret", ":secret", "secret:", f"@{tmp_path}/none"):
        with pytest.raises(argparse.ArgumentTypeError) as caught:
            read_auth(wrong)
        assert "secret" not in str(caught.value)


def test_the_page_in_public(tmp_path: Path) -> None:
    """As an operator starts it: behind a login, under a path, with limits."""
    (tmp_path / "users").write_text(":".join(USER))
    options = ("--auth", f"@{tmp_path}/users", "--root-path", "/paint", "--visitor-megabytes", "1")
    brought = tmp_path / "brought"
    environment = {"GRADIO_TEMP_DIR": str(brought)}
    with (
        serve(tmp_path / "log", environment, *options) as (url, process),
        httpx.Client(base_url=url) as client,
    ):
        assert client.get("/health").text == "ok\n"
        assert client.get("/config").status_code == 401
        assert client.post("/login", data={"username": "ann", "password": "x"}).status_code == 400
        login = client.post("/login", data=dict(zip(("username", "password"), USER, strict=True)))
        assert login.status_code == 200
        assert client.get("/config").json()["root"].endswith("/paint")
        upload = {"files": ("a.mp4", bytes(1_100_000))}
        assert client.post("/gradio_api/upload", files=upload).status_code == 200
        refused = client.post("/gradio_api/upload", files=upload)
        assert refused.status_code == 429 and "the limit is 1. Come back" in refused.text
        told = dict(line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines())
        assert float(told["stylevid_upload_bytes_total"]) > 1_100_000
        assert told['stylevid_limited_total{limit="megabytes"}'] == "1"
        assert told["# TYPE stylevid_memory_bytes"] == "gauge"
        assert [path.name for path in brought.rglob("*.mp4")] == ["a.mp4"]
    assert process.returncode == 0
    assert not list(brought.rglob("*.mp4")), "a stranger's file was left"


@pytest.fixture
def page() -> gr.Blocks:
    return build_app(Settings())


@pytest.fixture
def visitor(page: gr.Blocks) -> Iterator[httpx.Client]:
    """One of the page's visitors; another has another X-Forwarded-For."""
    how = {"middleware": Operator().middleware}
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, app_kwargs=how)
    try:
        with httpx.Client(base_url=f"{url}gradio_api", timeout=30) as client:
            yield client
    finally:
        page.close()


def test_only_uploads_are_large(visitor: httpx.Client) -> None:
    for path in ("queue/join", "call/stylize", "call/upload", "run/predict"):
        for body in (LARGE, iter([LARGE[:9], LARGE[9:]])):  # its length told, and not told
            refused = visitor.post(path, content=body, headers={"Content-Type": "application/json"})
            assert refused.status_code == 413 and "at most 1 MB here. Upload" in refused.text
    assert visitor.post("component_server", content=LARGE).status_code == 400  # gradio's own word
    assert visitor.post("queue/join", content=LARGE[:-1]).status_code == 422
    assert visitor.post("upload", files={"files": ("a.mp4", LARGE)}).status_code == 200


def test_one_visitor_leaves_room_in_the_queue(
    visitor: httpx.Client, page: gr.Blocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    tried = next(event for event in page.fns.values() if event.name == "try_all")
    go_on = threading.Event()
    tried.fn = lambda *_: go_on.wait(60) and None

    def ask(host: str) -> httpx.Response:
        event = {"fn_index": tried._id, "session_hash": host, "data": [None, 50, None]}
        return visitor.post("queue/join", json=event, headers={"X-Forwarded-For": host})

    answers = [ask("203.0.113.8") for _ in range(10)]
    assert 3 <= sum(answer.is_success for answer in answers) <= 5  # two of which work
    assert answers[-1].status_code == 429
    said = "3 of your requests wait here; the limit is 3. Try again in a minute."
    assert answers[-1].json() == {"detail": said}
    assert ask("203.0.113.9").is_success and all(ask("127.0.0.1").is_success for _ in range(9))
    go_on.set()


def test_nothing_is_fetched_from_an_address(
    visitor: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Host(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    monkeypatch.setattr(processing_utils, "PUBLIC_HOSTNAME_WHITELIST", ["127.0.0.1"])  # as if it is
    with HTTPServer(("127.0.0.1", 0), Host) as host:
        threading.Thread(target=host.serve_forever, daemon=True).start()
        for name in (f"127.0.0.1:{host.server_port}", "example.invalid"):
            file = {"path": f"http://{name}/x.mp4", "meta": {"_type": "gradio.FileData"}}
            asks = [file, "wave", True, 1, False, "960 px", "fine", 0, None, None, 0.5]
            call = visitor.post("call/stylize", json={"data": asks}).json()["event_id"]
            told = visitor.get(f"call/stylize/{call}").text
            assert not asked
            assert told.startswith("event: error") and "fetches nothing from an address" in told
        host.shutdown()


def test_what_a_killed_page_left_goes_when_the_next_begins(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)  # this and the variables are put back
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    lives = """from webui.scratch import scratch
with scratch() as folder:
    print(folder, flush=True)
    input()"""
    pages = [
        subprocess.Popen([sys.executable, "-c", lives], stdin=-1, stdout=-1, text=True, cwd=ROOT)
        for _ in range(2)
    ]
    killed, alive = (Path(page.stdout.readline().strip()) for page in pages if page.stdout)
    for folder in (killed, alive):
        (folder / "gradio").mkdir()
        (folder / "gradio" / "clip.mp4").touch()
    pages[0].kill()
    pages[0].wait()
    assert (killed / "gradio" / "clip.mp4").exists()
    with scratch() as own:
        assert Path(tempfile.gettempdir()) == own == Path(get_upload_folder()).parent
        assert not killed.exists() and (alive / "gradio" / "clip.mp4").exists()
    pages[1].communicate("\n")
    assert not list(tmp_path.iterdir())
