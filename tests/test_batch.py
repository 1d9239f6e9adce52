"""Many clips: what is asked for, what is done already, workers that die, results that are whole."""

import io
import json
import logging
import multiprocessing
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.registry import _registry

from stylevid.batch import worker as worker_module
from stylevid.batch.__main__ import main
from stylevid.batch.clips import Wish, read_wishes
from stylevid.batch.crew import Outcome, WorkerDied, _receive, hand_out
from stylevid.batch.jobs import Job, Ledger, Record
from stylevid.batch.places import deliver, fetch, in_a_line
from stylevid.batch.worker import Worker, WorkerConfig
from stylevid.errors import StylevidError
from stylevid.network import StyleNet
from stylevid.pipeline import Options
from stylevid.video import probe
from tests.clips import run_ffmpeg
from tests.serving import ROOT, wait_for


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def records(out: Path) -> dict[str, dict[str, object]]:
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert len({line["target"] for line in lines}) == len(lines), "a line for each result"
    return {line["target"]: line for line in lines}


def leftovers(out: Path) -> list[Path]:
    return [path for path in out.rglob("*") if "partial" in path.name and path.suffix != ".lock"]


# --- what is asked for


def wishes(place: object, out: str = "/out") -> dict[str, Wish | StylevidError]:
    return dict(read_wishes(str(place), out, Options()))


def names(place: object, out: object = "/out") -> list[str]:
    return [wish.name for wish in wishes(place, str(out)).values() if isinstance(wish, Wish)]


def test_files_folders_and_patterns_are_found(tmp_path: Path) -> None:
    names = ("a.mp4", "b/c.MKV", "b/[1] é.mp4", "notes.txt", ".hidden.mp4", ".trash/d.mp4",
             "out/a-wave.mp4")  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")

    def found(place: Path) -> list[str]:
        asked = wishes(place, out=f"{tmp_path}/out").values()
        return sorted(wish.name for wish in asked if isinstance(wish, Wish))

    assert found(tmp_path) == ["a", "b/[1] é", "b/c.MKV"]
    assert found(tmp_path / "b" / "..") == ["a", "b/[1] é", "b/c.MKV"]
    assert found(tmp_path / "*" / "*.mp4") == ["b/[1] é"]
    assert found(tmp_path / "b" / "[1] é.mp4") == ["[1] é"]
    for nothing in ("missing.mp4", "*.webm"):
        with pytest.raises(StylevidError, match=r"missing\.mp4|\*\.webm"):
            found(tmp_path / nothing)
    with pytest.raises(StylevidError, match="nonsense"):
        found(Path("nonsense://a"))


def test_signs_of_patterns_are_signs_only_where_no_such_path_is(tmp_path: Path) -> None:
    for name in ("a.mp4", "bb.mp4", "[2020] trip/c.mp4", "[2020] trip/d?.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert names(tmp_path / "?.mp4") == names(tmp_path / "[ax].mp4") == ["a"]
    assert names(tmp_path / "[2020] trip") == ["c", "d?"]
    assert names(tmp_path / "[2020] trip" / "d?.mp4") == ["d?"]


def test_hidden_clips_are_found_only_by_name(tmp_path: Path) -> None:
    (tmp_path / ".secret.mp4").write_bytes(b"x")
    for place in (tmp_path, tmp_path / "*.mp4"):
        with pytest.raises(StylevidError, match="holds no clip"):
            wishes(place)
    assert names(tmp_path / ".secret.mp4") == [".secret"]


def test_links_to_clips_are_followed(tmp_path: Path) -> None:
    (tmp_path / "data" / "clips" / "painted").mkdir(parents=True)
    (tmp_path / "data" / "clips" / "painted" / "a-wave.mp4").write_bytes(b"x")
    (tmp_path / "data" / "a.mp4").write_bytes(b"four")
    (tmp_path / "short").symlink_to(tmp_path / "data")
    clips = tmp_path / "data" / "clips"
    (clips / "link.mp4").symlink_to("../a.mp4")
    (clips / "broken.mp4").symlink_to("nothing.mp4")
    (clips / "round").symlink_to(clips)
    out = tmp_path / "short" / "clips" / "painted"
    assert names(clips, out) == names(clips / "*.mp4", out) == ["link"]
    (link,) = wishes(clips, str(out)).values()
    assert isinstance(link, Wish) and link.size_bytes == 4
    assert link.state == str((tmp_path / "data" / "a.mp4").stat().st_mtime)


def test_clips_are_found_at_urls() -> None:
    store = fsspec.filesystem("memory")
    store.pipe_file("/films/day 1/beach.mp4", b"abc")
    store.pipe_file("/films/list.jsonl", b'{"source": "day 1/beach.mp4"}')
    (beach,) = wishes("memory://films").values()
    (listed,) = wishes("memory://films/list.jsonl").values()
    assert isinstance(beach, Wish) and isinstance(listed, Wish)
    assert (beach.name, beach.size_bytes, listed.name) == ("day 1/beach", 3, "beach")
    assert beach.source == listed.source == "memory:///films/day 1/beach.mp4"


class Web(fsspec.AbstractFileSystem):
    """https:// without a network: whatever is asked for is a clip."""

    protocol = "https"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path

    def info(self, path: str, **_: object) -> dict[str, object]:
        return {"name": path, "size": 3, "type": "file", "ETag": "x"}

    def get_file(self, rpath: str, lpath: Any, *_: object, **__: object) -> None:
        Path(lpath).write_text(rpath)


@pytest.mark.parametrize("folder", ["day 1", "x" * 300])
def test_the_query_of_a_web_address_is_told_nowhere(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_registry, "https", Web)
    address = f"https://host/{folder}/{'y' * 200}.mp4"
    first, second = (f"{address}?Key={number}/SECRET" + "z" * 300 for number in range(2))
    (tmp_path / "list.jsonl").write_text(json.dumps({"source": second}))
    ((told, wish),) = read_wishes(first, "/out", Options())
    (listed,) = wishes(tmp_path / "list.jsonl").values()
    assert isinstance(wish, Wish) and isinstance(listed, Wish) and told == address
    assert (wish.source, listed.source) == (first, second), "which it is fetched by"
    record, again = (Job.of(w, "wave", "0").record("refused") for w in (wish, listed))
    assert record == again and record.source == address and "SECRET" not in record.target
    copy = fetch(first, tmp_path)
    assert copy.read_text() == first and copy.name == "y" * 56 + ".mp4"
    assert in_a_line(OSError(f"403, url='{first}'")) == f"OSError: 403, url='{address}"[:209]
    with pytest.raises(StylevidError) as trouble:
        wishes(f"nonsense+{first}")
    assert "SECRET" not in str(trouble.value)


def test_what_opens_no_web_address_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(_registry, "https", raising=False)
    monkeypatch.delitem(sys.modules, "fsspec.implementations.http", raising=False)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(
        StylevidError, match=r'requires "requests" and "aiohttp" to be installed\.$'
    ):
        wishes("https://host/a.mp4")


HOSTILE = [
    ("{", "no JSON"),
    ("[" * 5000, "no JSON"),
    ('["clip.mp4"]', "no JSON object"),
    ('{"source": "clip.mp4", "source": "clip.mp4"}', "twice"),
    ('{"style": "wave"}', "names no source"),
    ('{"source": 7}', "texts"),
    ('{"source": "clip.mp4\\u0000"}', "texts"),
    ('{"source": "\\u001b[2Jclip.mp4"}', "texts"),
    ('{"source": "missing.mp4"}', "missing.mp4 does not exist"),
    ('{"source": "clip.mp4", "sise": 64}', "'sise' is none of source, style"),
    ('{"source": "clip.mp4", "size": 1}', "size is from 16"),
    ('{"source": "clip.mp4", "size": 64.5}', "'size' is a whole number"),
    ('{"source": "clip.mp4", "size": 1e999}', "'size' is a whole number"),
    ('{"source": "clip.mp4", "strength": NaN}', "NaN"),
    ('{"source": "clip.mp4", "strength": [[]]}', "'strength' is a number"),
    ('{"source": "clip.mp4", "temporal": "perhaps"}', "'temporal' is true or false"),
    ('{"source": "clip.mp4", "output": "../../etc/cron"}', "no name below"),
    ('{"source": "clip.mp4", "output": "/etc/cron"}', "no name below"),
    ('{"source": "clip.mp4", "output": ".partial/a"}', "no name below"),
    ('{"source": "clip.mp4", "output": "a/.pieces"}', "no name below"),
    ('{"source": "nonsense://clip.mp4"}', "cannot be opened"),
    ('{"source": "ftp://127.0.0.1:1/a.mp4"}', "ftp://127.0.0.1:1/a.mp4 cannot be opened"),
]


def test_hostile_lines_are_refused_by_number(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"x")
    good = '{"source": "clip.mp4", "size": 64, "keep_colors": true, "output": "a/b.mp4"}'
    lines = [*(line for line, _ in HOSTILE), good]
    (tmp_path / "list.jsonl").write_bytes("\n".join(lines).encode() + b"\n\xff\xfe\x00\n")
    asked = wishes(tmp_path / "list.jsonl")
    for number, (line, match) in enumerate(HOSTILE, 1):
        assert match in str(asked[f"list.jsonl, line {number}"]), line
    wish = asked[f"list.jsonl, line {len(lines)}"]
    assert isinstance(wish, Wish) and wish.output == "a/b"
    assert wish.options == Options(size=64, keep_colors=True)
    assert isinstance(asked[f"list.jsonl, line {len(lines) + 1}"], StylevidError)


def test_a_csv_is_a_list_too(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"x")
    text = "\ufeffsource,style,temporal,brush\nclip.mp4,wave,no,2\nclip.mp4,,,\nclip.mp4,a,b,c,d\n"
    (tmp_path / "list.csv").write_text(text + 'clip.mp4,"torn')
    first, second, *bad = wishes(tmp_path / "list.csv").values()
    assert isinstance(first, Wish) and isinstance(second, Wish)
    assert (first.style, first.options) == ("wave", Options(temporal=False, brush=2.0))
    assert (second.style, second.options) == (None, Options())
    assert len(bad) == 2 and all(isinstance(wish, StylevidError) for wish in bad)


# --- what is done already


def job(name: str = "a", size_bytes: int = 1, size: int | None = None) -> Job:
    wish = Wish(f"/clips/{name}.mp4", name, size_bytes, "state", Options(size=size))
    return Job.of(wish, "wave", "0" * 64)


def test_what_has_changed_is_not_known(tmp_path: Path) -> None:
    done = job()
    (tmp_path / done.target).write_bytes(b"12345")
    Ledger(str(tmp_path)).add(done.record("painted", size_bytes=5))
    ledger = Ledger(str(tmp_path))
    assert ledger.known(done) == done.record("painted", size_bytes=5)
    assert not ledger.known(job(size_bytes=2)) and not ledger.known(job(size=64))
    assert not ledger.known(Job.of(Wish("", "a", 1, "another", Options()), "wave", "0" * 64))
    assert not ledger.known(Job.of(Wish("", "a", 1, "state", Options()), "wave", "1" * 64))
    (tmp_path / done.target).write_bytes(b"cut")
    assert not Ledger(str(tmp_path)).known(done), "the result is not the one that was written"
    (tmp_path / done.target).unlink()
    assert not Ledger(str(tmp_path)).known(done)


def test_names_that_no_disk_takes_are_refused() -> None:
    assert job("é" * 123).target == "é" * 123 + "-wave.mp4"
    with pytest.raises(StylevidError, match="has 257 bytes; the limit is 255"):
        job("day 1/" + "é" * 124)


def test_torn_and_strange_lines_count_as_never_written(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    ledger.add(job("a").record("refused", error="cut short"))
    ledger.add(job("b").record("refused", error="cut short"))
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(path.read_bytes()[:-40] + b'\n[]\n{"target": []}\n\xff\n' + b"[" * 9999)
    again = Ledger(str(tmp_path))
    assert again.known(job("a")) and not again.known(job("b"))
    assert list(records(tmp_path)) == [job("a").target], "written anew without them"


def test_a_result_appears_at_a_url_only_when_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = fsspec.filesystem("memory")
    (tmp_path / "a.mp4").write_bytes(b"painted")
    seen: list[list[str]] = []
    move = type(store).mv

    def spy(self: object, source: str, target: str) -> None:
        seen.append([name for name in store.find("/results") if not name.endswith(".partial")])
        move(self, source, target)

    monkeypatch.setattr(type(store), "mv", spy)
    deliver(tmp_path / "a.mp4", "memory://results/day 1/a.mp4")
    assert seen == [[]] and store.find("/results") == ["/results/day 1/a.mp4"]
    assert fetch("memory://results/day 1/a.mp4", tmp_path / "..").read_bytes() == b"painted"

    def fail(*_: object) -> None:
        raise ConnectionResetError("the store went away")

    monkeypatch.setattr(type(store), "mv", fail)
    with pytest.raises(ConnectionResetError):
        deliver(tmp_path / "a.mp4", "memory://results/b.mp4")
    assert store.find("/results") == ["/results/day 1/a.mp4"]


# --- workers that die


class Script:
    """A crew whose outcomes are written down: for each clip, what becomes of it at each try."""

    def __init__(self, size: int, story: dict[str, list[str]], births: str = "") -> None:
        self.size, self.story, self.births = size, story, births
        self.given: list[tuple[int, str]] = []
        self.outcomes: list[tuple[int, Outcome]] = []

    def start(self, worker: int) -> None:
        dies, self.births = self.births[:1] == "x", self.births[1:]
        self.outcomes.append((worker, WorkerDied() if dies else None))

    def give(self, worker: int, job: Job) -> None:
        self.given.append((worker, job.target[0]))
        tries = self.story.get(job.target[0], [])
        status = tries.pop(0) if tries else "painted"
        died = status == "died"
        self.outcomes.append((worker, WorkerDied() if died else job.record(status)))  # type: ignore

    def wait(self) -> list[tuple[int, Outcome]]:
        return [self.outcomes.pop(0)]

    def close(self) -> None: ...


JOBS = [job("a", 10), job("b", 30), job("c", 20)]


def outcome(crew: Script) -> dict[str, tuple[str, int]]:
    return {r.target[0]: (r.status, r.tries) for r in hand_out(JOBS, crew)}


def test_the_longest_goes_first_and_what_died_elsewhere() -> None:
    crew = Script(2, {"b": ["died"], "a": ["failed"]})
    assert outcome(crew) == {"a": ("painted", 2), "b": ("painted", 2), "c": ("painted", 1)}
    assert [name for _, name in crew.given] == ["b", "c", "b", "a", "a"]
    first, second = (worker for worker, name in crew.given if name == "b")
    assert first != second


def test_tries_have_an_end_and_refusals_none() -> None:
    crew = Script(1, {"a": ["died"] * 9, "b": ["failed"] * 9, "c": ["refused"] * 9})
    assert outcome(crew) == {"a": ("failed", 3), "b": ("failed", 3), "c": ("refused", 1)}


def test_workers_that_cannot_start_end_the_batch() -> None:
    assert outcome(Script(2, {}, births="xxxoxxo"))["a"] == ("painted", 1)
    with pytest.raises(StylevidError, match="7 workers died"):
        outcome(Script(2, {}, births="x" * 99))


def test_a_message_cut_in_the_middle_is_a_death() -> None:
    ours, theirs = multiprocessing.Pipe()
    os.write(theirs.fileno(), struct.pack("!i", 99) + b"half of it")
    theirs.close()
    assert isinstance(_receive(ours), WorkerDied)


def test_known_trouble_outside_is_told_without_a_traceback(
    tmp_path: Path, tiny_network: StyleNet, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(worker_module, "_PAUSE_S", 0.0)
    worker = Worker(0)
    worker.get_ready(WorkerConfig(str(tmp_path), {"0": tiny_network}, {}, 1, "cpu"))
    source = "ftp://127.0.0.1:1/a.mp4"
    record = worker.paint(Job.of(Wish(source, "a", 1, "", Options()), "wave", "0"))
    assert isinstance(record, Record) and record.status == "failed"
    assert f"{source} cannot be opened" in str(record.error)
    monkeypatch.setattr(worker_module, "fetch", lambda *_: 1 / 0)
    worker.paint(Job.of(Wish("b.mp4", "b", 1, "", Options()), "wave", "0"))
    known, unknown = caplog.records
    assert (known.levelno, known.exc_info) == (logging.WARNING, None) and unknown.exc_info


# --- the command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, clip: Path, tiny_weights: Path) -> Path:
    """A finished batch of good, damaged and odd clips in one style, painted by two processes."""
    folder = tmp_path_factory.mktemp("batch")
    (folder / "clips" / "day 1").mkdir(parents=True)
    for name in ("a.mp4", "day 1/-b'; é.mp4", "c.mkv"):
        shutil.copy(clip, folder / "clips" / name)
    (folder / "clips" / "cut.mp4").write_bytes(clip.read_bytes()[:900])
    (folder / "clips" / "empty.mp4").touch()
    small = '{"source": "clips/a.mp4", "output": "small", "size": 16}'
    lines = [small, '{"source": "clips/z.mp4"}', small.replace("16", "24"), small]
    (folder / "list.jsonl").write_text("\n".join(lines))
    assert command(folder, "--workers", 2, "--device", "cpu") == 1
    return folder


def command(folder: Path, *options: object) -> int:
    weights = next(folder.parent.glob("weights*/tiny.safetensors"))
    return run(folder / "clips", folder / "list.jsonl", "--style", weights, "--out",
               folder / "out", *options)  # fmt: skip


PAINTED = {"a-tiny.mp4", "day 1/-b'; é-tiny.mp4", "c.mkv-tiny.mp4", "small.mp4"}


def test_all_are_painted_or_refused_by_name(folder: Path) -> None:
    found = records(folder / "out")
    assert {name for name, line in found.items() if line["status"] == "painted"} == PAINTED
    for name in PAINTED:
        assert found[name]["size_bytes"] == (folder / "out" / name).stat().st_size
        info = probe(folder / "out" / name)
        assert (info.frames, found[name]["frames"], info.audio) == (10, 10, ("aac",))
        assert info.width == (16 if name == "small.mp4" else 48)
        assert set(found[name]["flicker"]) == {"floor", "off", "on"}  # type: ignore
    assert "cut.mp4 cannot be read" in str(found["cut-tiny.mp4"]["error"])
    assert "empty.mp4 is empty" in str(found["empty-tiny.mp4"]["error"])
    assert "z.mp4 does not exist" in str(found["list.jsonl, line 2"]["error"])
    other = "its result would be small.mp4, as that of"
    assert other in str(found["list.jsonl, line 3"]["error"]) and len(found) == 8
    assert leftovers(folder / "out") == []


def test_run_again_it_skips_what_is_done(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: (folder / "out" / name).stat().st_mtime_ns for name in PAINTED}
    assert command(folder) == 1
    said = capsys.readouterr().out
    assert "painted       0" in said and "skipped       4" in said and "refused       2" in said
    assert "left out      2  refused or failed before" in said
    assert {name: (folder / "out" / name).stat().st_mtime_ns for name in PAINTED} == before


def test_names_need_not_be_utf_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Path(os.fsdecode(bytes(tmp_path) + b"/bad\xff.jsonl"))
    bad.write_text("{")
    shown = io.TextIOWrapper(io.BytesIO(), "utf-8", "strict")
    monkeypatch.setattr(sys, "stdout", shown)
    assert run(bad, "--out", tmp_path / "out") == 1
    shown.seek(0)
    assert "bad\\udcff.jsonl, line 1: it is no JSON" in shown.read()


def test_what_is_asked_for_again_is_painted_again(
    folder: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    shutil.copy(next(folder.parent.glob("weights*/tiny.safetensors")), again)
    style = ("--style", again / "tiny.safetensors", "--out", again / "out", "--device", "cpu")
    shutil.copy(clip, again / "clips" / "cut.mp4")  # mended
    clips = [again / "clips" / name for name in ("cut.mp4", "a.mp4", "empty.mp4")]
    assert run(*clips, *style, "--overwrite") == 1
    said = capsys.readouterr().out
    assert "painted       2  20 frames" in said and "refused       1" in said
    assert records(again / "out")["cut-tiny.mp4"]["status"] == "painted"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("clips", "--style", "nonesuch"), "no style 'nonesuch'"),
        (("clips",), "Name a --style"),
        (("nothing", "--style", "starry-night"), "nothing does not exist"),
        (("clips", "--style", "starry-night", "--workers", "0"), "--workers is 1 or more"),
        (("clips", "--style", "starry-night", "--size", "3"), "size is from 16"),
        (("clips", "--style", "starry-night", "--split", "0.5"), "--split is 1 second or more"),
        (("clips", "--style", "starry-night", "--learn-seconds", "0"), "--learn-seconds is more"),
        (("clips", "--style", "tiny.safetensors", "--fine"), "does not hold what is to be learned"),
        (("clips", "--style", "starry-night", "--ray", "auto"), "pip install 'stylevid[batch]'"),
        (("clips", "--style", "starry-night", "--device", "gpu"), "gpu"),
    ],
)
def test_trouble_is_one_line(
    tmp_path: Path, clip: Path, tiny_weights: Path, arguments: tuple[str, ...], match: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "clips").mkdir()
    shutil.copy(clip, tmp_path / "clips")
    shutil.copy(tiny_weights, tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    monkeypatch.chdir(tmp_path)
    assert run(*arguments, "--out", "out") == 1
    said = capsys.readouterr().err
    assert said.startswith("stylevid: ") and match in said and said.count("\n") == 1


# --- killed


def children(pid: int) -> list[int]:
    """Workers of the process, by the kernel."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    pids = [int(child) for task in tasks for child in task.read_text().split()]
    return [p for p in pids if b"spawn_main" in Path(f"/proc/{p}/cmdline").read_bytes()]


LongBatch = tuple[Path, Callable[..., subprocess.Popen[str]]]


@pytest.fixture
def long_batch(tmp_path: Path, clip: Path, tiny_weights: Path) -> Iterator[LongBatch]:
    """A folder of clips, one of which takes seconds, and how to begin painting them into out/."""
    (tmp_path / "clips").mkdir()
    run_ffmpeg("-stream_loop", 59, "-i", clip, "-an", "-c", "copy", tmp_path / "clips/long.mp4")
    shutil.copy(clip, tmp_path / "clips/short.mp4")
    arguments = [tmp_path / "clips", "--style", tiny_weights, "--out", tmp_path / "out",
                 "--workers", 1, "--device", "cpu", "--engine", "torch-float32"]  # fmt: skip
    begun: list[subprocess.Popen[str]] = []

    def begin(*more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "stylevid.batch", *map(str, arguments), *more]
        begun.append(subprocess.Popen(command, cwd=ROOT, stdout=-1, stderr=-1, text=True,
                                      env=os.environ | {"OMP_NUM_THREADS": "1"}))  # fmt: skip
        return begun[-1]

    yield tmp_path / "out", begin
    for process in begun:
        process.kill()
        process.communicate()


def test_killed_workers_and_drivers_lose_nothing(
    long_batch: LongBatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, begin = long_batch
    at_work = lambda: list(out.glob(".partial/*/*/painted/.*"))  # noqa: E731
    batch = begin()
    wait_for(at_work)
    (worker,) = children(batch.pid)
    assert run("clips", "--style", "x", "--out", out) == 1
    assert "Another batch is at work" in capsys.readouterr().err
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: [child for child in children(batch.pid) if child != worker])
    (heir,) = (child for child in children(batch.pid) if child != worker)
    wait_for(at_work)
    batch.kill()
    wait_for(lambda: not Path(f"/proc/{heir}").exists())  # it notices, and leaves
    assert not (out / "long-tiny.mp4").exists()
    again = begin()
    said, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    assert "painted" in said and leftovers(out) == []
    assert {name: line["frames"] for name, line in records(out).items()} == {
        "long-tiny.mp4": 600, "short-tiny.mp4": 10,
    }  # fmt: skip


# --- an object store


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[int], Any]]:
    """An S3 of our own with the bucket "films", and for each upload of b that it is to break off
    half-way something in a list."""
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.moto_server.werkzeug_app")
    serving = pytest.importorskip("werkzeug.serving")
    breaks: list[int] = []

    class Handler(moto.MotoRequestHandler):
        def run_wsgi(self) -> None:
            if breaks and self.command == "PUT" and self.path.startswith("/films/out/b"):
                breaks.pop()
                self.rfile.read(int(self.headers["Content-Length"]) // 2)
                self.connection.shutdown(socket.SHUT_RDWR)
            else:
                super().run_wsgi()

    app = moto.DomainDispatcherApplication(moto.create_backend_app)
    server = serving.make_server("127.0.0.1", 0, app, True, request_handler=Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    s3 = fsspec.filesystem("s3", skip_instance_cache=True)
    s3.mkdir("films")
    yield breaks, s3
    server.shutdown()


@pytest.mark.slow
def test_from_store_to_store_with_uploads_that_break_off(
    tmp_path: Path, clip: Path, tiny_weights: Path, store: tuple[list[int], Any],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    breaks, s3 = store
    s3.pipe({f"films/in/{name}.mp4": clip.read_bytes() for name in ("a", "b")})
    s3.pipe("films/in/cut.mp4", clip.read_bytes()[:900])
    arguments = ("s3://films/in", "--style", tiny_weights, "--out", "s3://films/out",
                 "--workers", 1, "--device", "cpu", "--engine", "torch-float32")  # fmt: skip
    breaks += range(12)  # s3fs tries five times by itself
    assert run(*arguments) == 1
    assert len(breaks) < 12 and "painted       2  20 frames" in capsys.readouterr().out
    s3.invalidate_cache()
    names = {"a-tiny.mp4", "b-tiny.mp4", "manifest.jsonl"}
    assert {name.removeprefix("films/out/") for name in s3.find("films/out")} == names
    for name in ("a-tiny.mp4", "b-tiny.mp4"):
        s3.get_file(f"films/out/{name}", str(tmp_path / name))
        assert probe(tmp_path / name).frames == 10
    lines = [json.loads(line) for line in s3.cat_file("films/out/manifest.jsonl").splitlines()]
    assert {line["status"] for line in lines} == {"painted", "refused"} and len(lines) == 3
    assert run(*arguments) == 1
    assert "skipped       2" in capsys.readouterr().out


# --- Ray


@pytest.mark.slow
def test_actors_of_a_ray_that_are_killed_lose_nothing(long_batch: LongBatch, clip: Path) -> None:
    pytest.importorskip("ray")
    out, begin = long_batch
    (out.parent / "clips/cut.mp4").write_bytes(clip.read_bytes()[:900])
    batch = begin("--ray", "local", "--workers", "2", "--split", "8")
    pieces = lambda: list(out.glob(".partial/*/*/painted/.*/*-8-*"))  # noqa: E731
    wait_for(pieces, 300)
    at_work, *_ = pieces()
    os.kill(writer_of(at_work), signal.SIGKILL)
    said, errors = batch.communicate(timeout=300)
    assert batch.returncode == 1, errors
    assert "painted       2  610 frames" in said and "refused       1" in said
    assert records(out)["long-tiny.mp4"]["tries"] == 2 and leftovers(out) == []


def writer_of(path: Path) -> int:
    """The process whose ffmpeg writes the file."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if str(path).encode() in (status.parent / "cmdline").read_bytes():
                return int(status.read_text().rpartition(")")[2].split()[1])
    raise AssertionError(f"nobody writes {path}")
