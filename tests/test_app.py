"""The page's own code, called as plain functions; the browser has its own file."""

import copy
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app import Settings, _options, build_app
from stylevid import Cancelled, Options, Progress, Result, StylevidError, VideoError, get_style
from stylevid import hub as hub_module
from stylevid.comparison import compare_video
from stylevid.example import EXAMPLE
from stylevid.hub import Download, HubName, HubStyles
from stylevid.styles import Style, list_styles
from webui import hub_box
from webui.gallery import choices, pictures
from webui.layout import HELLO
from webui.painting import Job, lend_gpu, work
from webui.report import lines_html, progress_html

FIRST = list_styles()[0].slug


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory, run_ffmpeg) -> Path:
    """Half a second of the example, small."""
    path = tmp_path_factory.mktemp("example") / "example.mp4"
    run_ffmpeg("-i", EXAMPLE, "-t", 0.5, "-vf", "scale=160:96", path)
    return path


def test_the_page_is_built_without_styles_and_without_an_example(tmp_path: Path) -> None:
    page = build_app(Settings(weights=tmp_path))
    assert HELLO in str(page.get_config_file())


def test_the_page_asks_nothing_of_the_internet() -> None:
    assert build_app(Settings()).analytics_enabled is False


def test_programs_see_two_clean_endpoints() -> None:
    names = {
        dependency["api_name"]
        for dependency in build_app(Settings()).get_config_file()["dependencies"]
        if dependency["api_visibility"] == "public"
    }
    assert names == {"stylize", "list_styles"}


def test_each_visitor_has_a_stop_of_their_own() -> None:
    first = Job()
    second = copy.deepcopy(first)
    first.stop()
    assert first.is_stopped() and not second.is_stopped()
    first.start()
    assert not first.is_stopped()


def test_work_tells_its_progress_and_then_its_result(example: Path, tmp_path: Path) -> None:
    target = tmp_path / "painted.mp4"
    steps = list(work(example, target, get_style("starry-night"), Options(), "cpu", Job()))
    assert all(isinstance(step, Progress) for step in steps[:-1])
    assert isinstance(steps[-1], Result) and steps[-1].frames == 12
    assert target.is_file()


def test_work_ends_when_the_visitor_stops_it(example: Path, tmp_path: Path) -> None:
    job = Job()
    job.stop()
    with pytest.raises(Cancelled):
        list(work(example, tmp_path / "x.mp4", get_style("starry-night"), Options(), "cpu", job))
    assert list(tmp_path.iterdir()) == []


def test_work_ends_when_the_visitor_has_gone(example: Path, tmp_path: Path) -> None:
    job = Job()
    steps = work(example, tmp_path / "x.mp4", get_style("starry-night"), Options(), "cpu", job)
    next(steps)
    steps.close()
    assert not job.is_stopped(), "the flag is taken away with the work"
    assert not [thread for thread in threading.enumerate() if thread.name == "painter"]


class ZeroGpu:
    """What `spaces` does on ZeroGPU, as far as a caller sees it: the generator runs in a process
    of its own, and what goes in and out of it is pickled."""

    def __init__(self) -> None:
        self.processes: list[multiprocessing.Process] = []

    def GPU(self, duration: int):  # noqa: N802
        assert 0 < duration <= 600

        def decorate(function):
            def run(*arguments):
                context = multiprocessing.get_context("spawn")
                answers = context.Queue()
                process = context.Process(target=_answer, args=(answers, function, arguments))
                self.processes.append(process)
                process.start()
                while (item := answers.get(timeout=60)) is not None:
                    if isinstance(item, BaseException):
                        raise item
                    yield item

            return run

        return decorate


def _answer(answers, function, arguments) -> None:
    try:
        for item in function(*arguments):
            answers.put(item)
        answers.put(None)
    except BaseException as error:
        answers.put(error)
        time.sleep(0.5)
        answers.cancel_join_thread()  # nobody may be listening any more


def test_on_zero_gpu_the_work_has_a_process_of_its_own(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zero_gpu = ZeroGpu()
    monkeypatch.setitem(sys.modules, "spaces", zero_gpu)
    arguments = (example, tmp_path / "x.mp4", get_style("starry-night"), Options(), "cpu")
    work_lent_gpu = lend_gpu()
    *steps, result = work_lent_gpu(*arguments, job=Job())
    assert isinstance(result, Result) and result.frames == 12 and result.path.is_file()
    assert steps and all(isinstance(step, Progress) for step in steps)
    result.path.unlink()
    gone = work_lent_gpu(*arguments, job=Job())
    next(gone)
    gone.close()
    zero_gpu.processes[-1].join(30)
    assert zero_gpu.processes[-1].exitcode == 0, "the work went on without a visitor"
    assert list(tmp_path.iterdir()) == []
    stopped = Job()
    stopped.stop()
    with pytest.raises(Cancelled):
        list(work_lent_gpu(*arguments, job=stopped))


def test_on_zero_gpu_both_ways_are_painted_in_that_process_too(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spaces", ZeroGpu())
    target = tmp_path / "both.mp4"
    *_, path = lend_gpu()(
        example, target, get_style("starry-night"), Options(), "cpu", job=Job(),
        paint=partial(compare_video, share=0.5),
    )  # fmt: skip
    assert path == target and target.is_file()


def test_trouble_in_the_painting_thread_reaches_the_page(tmp_path: Path) -> None:
    missing = tmp_path / "none.mp4"
    with pytest.raises(VideoError, match="does not exist"):
        list(work(missing, tmp_path / "x.mp4", get_style("great-wave"), Options(), "cpu", Job()))


def test_a_clip_over_the_limit_is_refused_before_the_work(example: Path, tmp_path: Path) -> None:
    options = _options(Settings(max_seconds=0.1), True, 1.0, False, "640 px", "fine")
    with pytest.raises(StylevidError, match="the limit is 0 s"):
        list(work(example, tmp_path / "x.mp4", get_style("great-wave"), options, "cpu", Job()))


def test_the_operator_limits_the_size() -> None:
    assert _options(Settings(max_side=640), True, 1.0, False, "1280 px", "fine").size == 640
    assert _options(Settings(max_side=640), True, 1.0, False, "the video's own", "fine").size == 640


def test_progress_says_frames_and_time_left(example: Path) -> None:
    text = progress_html(Progress(7, 0.5, 3.5, 2.0, picture=None))
    assert "7 frames done" in text and "about 2 s left" in text


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """What the box shows a visitor, by the component's kind, after it was given a repo or a file;
    the Hub holds one style in each repo."""
    page = build_app(Settings())
    handlers = {function.name: function.fn for function in page.fns.values()}

    def follow(name: str, **_: object) -> Iterator[Download | HubStyles]:
        yield Download(f"Asking <b> for {name}")
        yield Download(f"Loading {name}", 50, 100, 50)
        style = replace(list_styles()[0], origin=name, metrics={"large": 1})
        yield HubStyles(HubName.parse(name), "0" * 40, [style], ["x: <i>is</i> broken."] * 5)

    monkeypatch.setattr(hub_module, "follow_load", follow)

    def run(handler: str, given: str, brought: list[Style]) -> list[dict[str, Any]]:
        steps = handlers[handler](given, brought)
        steps = [steps] if isinstance(steps, dict) else list(steps)
        return [{type(part).__name__: value for part, value in step.items()} for step in steps]

    return run


def test_a_visitor_brings_a_repos_styles(visit: Callable[..., Any]) -> None:
    *progress, last = visit("load_repo", "alice/styles", [])
    assert "Asking &lt;b&gt; for alice/styles…" in progress[0]["HTML"]
    assert "value='0.5000'" in progress[1]["HTML"]
    assert [style.full_name for style in last["State"]] == [f"alice/styles/{FIRST}"]
    assert last["State"][0].metrics == {}  # a visitor's memory is small
    assert "1 style of alice/styles" in last["HTML"]
    assert "x: &lt;i&gt;is&lt;/i&gt; broken." in last["HTML"] and "2 more" in last["HTML"]
    assert last["Dropdown"].value == f"alice/styles/{FIRST}"
    assert len(last["Gallery"].value) == len(list_styles()) + 1
    again = visit("load_repo", "alice/styles", last["State"])[-1]
    assert len(again["State"]) == 1


def test_what_visitors_bring_is_bounded(
    visit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    brought: list[Style] = []
    for number in range(hub_box.GUEST_REPOS):
        brought = visit("load_repo", f"alice/styles{number}", brought)[-1]["State"]
    (refusal,) = visit("load_repo", "alice/more", brought)
    assert "You have styles of 4 repos" in refusal["HTML"] and "State" not in refusal
    assert "State" in visit("load_repo", "alice/styles0", brought)[-1]
    monkeypatch.setattr(hub_box, "GUESTS_BYTES", 100)
    (refusal,) = visit("load_repo", "alice/styles", [])
    assert "as much from the Hub as it may" in refusal["HTML"]


def test_a_wrong_repo_is_one_sentence(visit: Callable[..., Any]) -> None:
    (refusal,) = visit("load_repo", "<script>alert(1)</script>", [])
    assert refusal["HTML"].startswith("<p>&#x27;&lt;script&gt;alert(1)&lt;/script&gt;&#x27; is no")


def test_a_visitor_brings_files(
    visit: Callable[..., Any], tiny_weights: Path, tmp_path: Path
) -> None:
    def upload(name: str, content: bytes | None = None) -> Path:
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(tiny_weights.read_bytes() if content is None else content)
        return path

    (shown,) = visit("add_file", str(upload("My Quilt")), [])
    assert shown["State"][0].full_name == "file/my-quilt" and shown["File"] is None
    assert shown["Dropdown"].value == "my-quilt"
    (again,) = visit("add_file", str(upload("My Quilt")), shown["State"])
    assert len(again["State"]) == 1
    broken = upload("broken", b"no tensors")
    (refusal,) = visit("add_file", str(broken), [])
    assert "broken.safetensors is damaged" in refusal["HTML"] and not broken.exists()
    large = upload("large", bytes(hub_box.GUEST_LIMITS.weights_bytes + 1))
    (refusal,) = visit("add_file", str(large), [])
    assert "larger than 8 MB" in refusal["HTML"] and not large.exists()
    many = [replace(shown["State"][0], slug=f"s{n}") for n in range(hub_box.GUEST_FILES)]
    more = upload("one more")
    (refusal,) = visit("add_file", str(more), many)
    assert "You have brought 4 files" in refusal["HTML"]
    assert more.exists()  # it may be another visitor's, too


def test_an_operator_may_leave_the_box_out() -> None:
    def page(hub_box: bool) -> str:
        return str(build_app(Settings(hub_box=hub_box)).get_config_file())

    assert "Load styles" in page(True)
    assert "Load styles" not in page(False) and "load_repo" not in page(False)


def test_styles_are_told_apart_by_their_origin() -> None:
    bundled = list_styles()
    assert [caption for _, caption in pictures(bundled)] == [style.title for style in bundled]
    both = [
        *bundled,
        replace(bundled[0], origin="alice/styles"),
        replace(bundled[0], origin="file"),
    ]
    captions = [caption for _, caption in pictures(both)]
    assert captions[0].endswith("\nbundled") and captions[-2].endswith("\nalice/styles")
    assert captions[-1].endswith("\nyour file")
    labels = dict((name, label) for label, name in choices(both))
    assert labels[f"alice/styles/{FIRST}"].endswith(", alice/styles")
    assert labels[FIRST].endswith(", bundled")


def test_a_style_without_a_preview_is_shown_by_what_it_paints(tiny_weights: Path) -> None:
    style = hub_module.open_file(tiny_weights)
    (picture, caption), *_ = pictures([style])
    assert picture.size == (256, 256) and caption == "tiny\nyour file"


def test_sentences_are_escaped() -> None:
    assert lines_html(["<b>", "a & b"]) == "<p>&lt;b&gt;</p><p>a &amp; b</p>"


def test_programs_are_told_each_styles_name_and_origin() -> None:
    styles = [*list_styles(), replace(list_styles()[0], origin="alice/styles")]
    page = build_app(Settings(), styles=styles)
    (names,) = (f.fn() for f in page.fns.values() if f.api_name == "list_styles")
    expected = [*(style.slug for style in list_styles()), f"alice/styles/{FIRST}"]
    assert [entry["name"] for entry in names] == expected
    assert names[0]["origin"] == "bundled" and names[-1]["slug"] == FIRST
    assert isinstance(page, gr.Blocks)
