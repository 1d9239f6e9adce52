"""The page's own code, called as plain functions; the browser has its own file."""

import copy
import math
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
import numpy as np
import pytest
from gradio.data_classes import ImageData
from PIL import Image

from app import Painted, Settings, _options, build_app, stills
from stylevid import Cancelled, Options, Progress, Result, VideoError, get_style
from stylevid import hub as hub_module
from stylevid.comparison import compare_video
from stylevid.example import EXAMPLE
from stylevid.hub import Download, HubName, HubStyles
from stylevid.learn.painting import read_painting
from stylevid.metrics import NOTHING_MEASURED, Flicker, Pair
from stylevid.styles import Style, list_styles
from stylevid.video import WHOLE, probe, read_picture
from stylevid.weights import load_painting
from tests.clips import encode, run_ffmpeg, textured_frames, tone
from webui import hub_box
from webui.gallery import choices, pictures
from webui.layout import EXPORTS, HELLO
from webui.learning import Course, Sketch
from webui.looking import Turns
from webui.operator import Operator, Use
from webui.painting import GPU_SECONDS, Job, lend_gpu, work
from webui.report import OWN, flicker_html, flicker_table, progress_html

FIRST = list_styles()[0].slug
Visit = Callable[..., Any]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of the example, small."""
    path = tmp_path_factory.mktemp("example") / "example.mp4"
    run_ffmpeg("-i", EXAMPLE, "-t", 0.5, "-vf", "scale=160:96", path)
    return path


@pytest.fixture
def start(example: Path, tmp_path: Path) -> Callable[..., Iterator[Any]]:
    """Starts a visitor's work on the example, or on another video."""

    def start(job: Job | None = None, video: Path = example, work=work, **options: Any):
        style, target = get_style("starry-night"), tmp_path / "x.mp4"
        return work(video, target, style, Options(**options), "cpu", job=job or Job())

    return start


def test_the_page_is_built_without_styles_and_asks_nothing_of_the_internet(tmp_path: Path) -> None:
    page = build_app(Settings(weights=tmp_path))
    assert HELLO in str(page.get_config_file()) and page.analytics_enabled is False
    names = {
        dependency["api_name"]
        for dependency in page.get_config_file()["dependencies"]
        if dependency["api_visibility"] == "public"
    }
    assert names == {"stylize", "list_styles"}, "programs see two clean endpoints"


def test_each_visitor_has_a_stop_of_their_own() -> None:
    first = Job()
    second = copy.deepcopy(first)
    first.stop()
    assert first.is_stopped() and not second.is_stopped()
    first.start()
    assert not first.is_stopped()


def test_work_ends_when_the_visitor_stops_it_or_has_gone(start, tmp_path: Path) -> None:
    job = Job()
    job.stop()
    with pytest.raises(Cancelled):
        list(start(job))
    gone = Job()
    steps = start(gone, work=lend_gpu())
    next(steps)
    steps.close()
    assert not gone.is_stopped(), "the flag is taken away with the work"
    assert not [thread for thread in threading.enumerate() if thread.name == "painter"]
    assert list(tmp_path.iterdir()) == []


class ZeroGpu:
    """What `spaces` does on ZeroGPU, as far as a caller sees it: the generator runs in a process
    of its own, and what goes in and out of it is pickled."""

    def __init__(self) -> None:
        self.processes: list[multiprocessing.Process] = []
        self.asked_s: list[int] = []

    def GPU(self, duration):  # noqa: N802
        def decorate(function):
            def run(*arguments):
                self.asked_s.append(duration(*arguments))
                context = multiprocessing.get_context("spawn")
                answers = context.Queue()
                process = context.Process(
                    target=_answer, args=(answers, function, arguments), daemon=True
                )
                self.processes.append(process)
                process.start()
                while (item := answers.get(timeout=120)) is not None:
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
    start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zero_gpu = ZeroGpu()
    monkeypatch.setitem(sys.modules, "spaces", zero_gpu)
    work_lent_gpu = lend_gpu()
    *steps, result = start(work=work_lent_gpu)
    assert zero_gpu.asked_s == [GPU_SECONDS]
    assert isinstance(result, Result) and result.frames == 12 and result.path.is_file()
    assert steps and all(isinstance(step, Progress) for step in steps)
    both = partial(work_lent_gpu, paint=partial(compare_video, share=0.5))
    *_, path = start(work=both)
    assert path == result.path and probe(path).width == 320
    path.unlink()
    course = Course(2.0, get_style("starry-night"), None, [], Job())
    *steps, result = start(work=partial(work_lent_gpu, paint=course))
    assert zero_gpu.asked_s[-1] == GPU_SECONDS + 2 and isinstance(steps[0], Sketch)
    for kept in (result.path, result.path.with_suffix(".safetensors")):
        kept.unlink()
    gone = start(work=work_lent_gpu)
    next(gone)
    gone.close()
    zero_gpu.processes[-1].join(30)
    assert zero_gpu.processes[-1].exitcode == 0, "the work went on without a visitor"
    assert list(tmp_path.iterdir()) == []
    stopped = Job()
    stopped.stop()
    with pytest.raises(Cancelled):
        list(start(stopped, work=work_lent_gpu))


def test_trouble_in_the_painting_thread_reaches_the_page(start, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="does not exist"):
        list(start(video=tmp_path / "none.mp4"))
    with pytest.raises(VideoError, match="the limit is 0 s"):
        list(start(max_seconds=0.1))
    assert len(list(start(max_seconds=0.3, start_s=0.1, end_s=0.3))) > 1  # a part may be short


def test_a_painting_is_learned_from_as_it_is(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 30), (9, 9, 9, 0)).save(tmp_path / "ink.png")
    page = build_app(Settings())
    (box,) = (block for block in page.blocks.values() if block.elem_id == "picture")
    given = box.preprocess(ImageData(path=str(tmp_path / "ink.png"), orig_name="ink.png"))
    assert read_painting(Path(given)).min() > 0.99, "what is transparent is paper, not ink"


@pytest.fixture(scope="module")
def page() -> gr.Blocks:
    return build_app(Settings(max_side=640, max_seconds=20))


def handler(page: gr.Blocks, name: str) -> Callable[..., Any]:
    return next(function.fn for function in page.fns.values() if function.name == name)


def test_the_operator_limits_size_and_length() -> None:
    settings = Settings(max_side=640, max_seconds=9)
    for size in ("1280 px", "the video's own"):
        options = _options(settings, True, 1.0, False, size, "fine", None, None)
        assert (options.size, options.max_seconds, options.span) == (640, 9, WHOLE)
        assert options.enlarge == (size == "1280 px"), "its own size may shrink, never grow"


def paint_on(
    page: gr.Blocks, video: Path, start_s: float | None, end_s: float | None, *learn: object,
    second: str | None = None,
) -> dict:  # fmt: skip
    """What the page shows at the end, by the component's id or kind."""
    asked = (str(video), "starry-night", True, 1.0, False, "360 px", "fine", start_s, end_s)
    asked += (second, 0.5, *(learn or ("Quick", 60, None)))
    shown = {}
    for step in handler(page, "run")(*asked, [], Turns()):
        for part, value in step.items():
            shown[part.elem_id or type(value).__name__] = value
    return shown


def test_a_run_whose_result_is_shown_works_no_longer(example: Path) -> None:
    operator = Operator()
    page = build_app(Settings(), operator=operator)
    assert paint_on(page, example, None, None)["result"]
    assert operator.counts['jobs_total{outcome="done"}'] == 1 and not operator._running


def test_work_that_is_left_ends_before_its_folder_goes(page: gr.Blocks, example: Path) -> None:
    inner, ended_in = handler(page, "run").__self__, []

    def work(_: Use, __: Path, target: Path, *___: object, **____: object) -> Iterator[int]:
        try:
            yield 1
        finally:
            ended_in.append(target.parent.is_dir())

    kept, inner._work = inner._work, work
    try:
        use, style = inner.operator.admit(), get_style("starry-night")
        steps = inner._paint(use, example, style, Options(), Job())
        assert next(steps) == 1
        steps.close()
    finally:
        inner._work = kept
    assert ended_in == [True]


def test_a_part_is_shown_beside_the_same_moment_of_the_video(page, example: Path) -> None:
    shown = paint_on(page, example, 0.2, 0.4)
    assert "360x216, 5 frames" in shown["status"] and "with its sound" in shown["status"]
    before, after = shown["compare"]
    middle_s = 7 / 24 - 0.01  # of 5 to 9
    wanted = read_picture(probe(example), middle_s, (216, 360))
    assert before.shape == after.shape and np.array_equal(before, wanted)
    assert shown["Painted"].start_s == pytest.approx(5 / 24, abs=1e-4)
    assert "the end comes after the start" in paint_on(page, example, 2, 1)["status"]


@pytest.mark.parametrize(("frames", "rate", "sound_s"), [(10, "25", 4), (1, "1", 0), (3, "0.2", 0)])
def test_a_painting_is_shown_whatever_its_sound_and_rate(
    page, tmp_path: Path, frames: int, rate: str, sound_s: int
) -> None:
    sound = tone(sound_s) if sound_s else ()
    video = encode(tmp_path / "odd.mp4", textured_frames(frames), rate=rate, sound=sound)
    shown = paint_on(page, video, None, None)
    assert f"{frames} frames" in shown["status"] and shown["compare"] is not None
    assert ("with its sound" in shown["status"]) == bool(sound_s)
    assert (NOTHING_MEASURED in shown["status"]) == (frames == 1)
    assert stills(None, 50) is None
    painted = shown["Painted"]
    assert painted.length_s == pytest.approx(frames / float(rate))
    assert stills(replace(painted, video=tmp_path / "gone"), 50) is None
    if sound_s:
        both = list(handler(page, "play_both")("In motion", 50, painted, Job()))[-1]
        assert any(isinstance(value, gr.Video) for value in both.values())


def test_nothing_is_exported_before_there_is_a_result(page) -> None:
    assert not list(handler(page, "export")(next(iter(EXPORTS)), None))


def test_names_are_cut_where_a_file_system_would(page, tmp_path: Path, example: Path) -> None:
    video = tmp_path / f"{60 * 'あ'}.mp4"
    video.write_bytes(example.read_bytes())
    result = paint_on(page, video, None, 0.2)["Painted"].result
    assert not result.parent.name.startswith("stylevid-"), "the run's own folder goes"
    name = result.name
    assert name == f"{30 * 'あ'}-starry-night.mp4"


def test_a_program_is_told_something_while_it_waits(page, example: Path) -> None:
    asked = (str(example), FIRST, True, 1.0, False, "360 px", "fine", None, 0.2)
    *waited, path = handler(page, "stylize")(*asked)
    assert waited == len(waited) * [gr.skip()] and waited and str(path).endswith(".mp4")


def test_a_painting_is_learned_and_kept_and_one_that_cannot_be_is_a_sentence(
    page, example: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.png"
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(own)
    shown = paint_on(page, example, 0.2, 0.4, "Quick", 1, str(own))
    assert "5 frames" in shown["status"] and shown["newest"].visible is False
    assert shown["keep"].visible and load_painting(Path(shown["keep"].value["path"]))
    Image.new("RGB", (90, 120)).save(own)
    refused = paint_on(page, example, 0.2, 0.4, "Quick", 1, str(own), second="udnie")
    assert "One style is learned from" in refused["status"]
    assert "own.png is blank" in paint_on(page, example, 0.2, 0.4, "Quick", 1, str(own))["status"]


def test_nothing_is_painted_for_a_visitor_who_left_while_it_learned(
    example: Path, tmp_path: Path
) -> None:
    job, style, target = Job(), get_style("starry-night"), tmp_path / "painted.mp4"
    course = Course(600.0, style, None, [], job)
    steps = work(example, target, style, Options(), None, job, course)
    assert isinstance(next(steps), Sketch)
    steps.close()
    assert not target.exists() and not job.is_stopped()
    job.stop()
    job.leave()
    job.go_on()
    assert job.is_stopped()
    job.start()
    assert not job.is_stopped()


@pytest.mark.parametrize("form", ["the whole video", "a loop (GIF)", "upright for a phone"])
def test_a_result_is_downloaded_in_three_forms(page, example: Path, form: str) -> None:
    painted = Painted(example, get_style("starry-night"), Options(), example)
    for button in handler(page, "export")(form, painted):
        path = button.value
        whole = path is None or Path(path if isinstance(path, str) else path["path"]).is_file()
        assert whole
    assert button.interactive


def test_the_flicker_is_plotted_as_far_as_it_is_a_number() -> None:
    def table(*moments: tuple[float, float, float]) -> list[list[Any]] | None:
        series = tuple(Pair(t, floor, {"off": off}, {}) for t, floor, off in moments)
        found = flicker_table(Flicker(0.0, {}, {}, len(series), series))
        return None if found is None else found.values.tolist()

    rows = [[0, 6, "off"], [0, 1, OWN], [2, 2, OWN]]
    assert table((0, 0.001, 0.006), (2, 0.002, math.nan), (math.inf, 1, 1)) == rows
    assert table() is table((0, 0.001, 0.006)) is flicker_table(None) is None
    assert "3 more, across" in flicker_html(Flicker(0, {"off": 1}, {}, 2, (), cuts=3))
    assert NOTHING_MEASURED in flicker_html(None)


def test_progress_says_frames_and_time_left() -> None:
    text = progress_html(Progress(7, 0.5, 3.5, 2.0, picture=None))
    assert "7 frames done" in text and "about 2 s left" in text


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Visit:
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


def test_a_visitor_brings_a_repos_styles(visit: Visit) -> None:
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


def test_what_visitors_bring_is_bounded(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    brought: list[Style] = []
    for number in range(hub_box.GUEST_REPOS):
        brought = visit("load_repo", f"alice/styles{number}", brought)[-1]["State"]
    (refusal,) = visit("load_repo", "alice/more", brought)
    assert "You have styles of 4 repos" in refusal["HTML"] and "State" not in refusal
    assert "State" in visit("load_repo", "alice/styles0", brought)[-1]
    monkeypatch.setattr(hub_box, "GUESTS_BYTES", 100)
    (refusal,) = visit("load_repo", "alice/styles", [])
    assert "as much from the Hub as it may" in refusal["HTML"]


def test_a_wrong_repo_is_one_sentence(visit: Visit) -> None:
    (refusal,) = visit("load_repo", "<script>alert(1)</script>", [])
    said = "&#x27;&lt;script&gt;alert(1)&lt;/script&gt;&#x27; is no"
    assert refusal["HTML"].startswith(f"<p><b>{said}")


def test_a_visitor_brings_files(visit: Visit, tiny_weights: Path, tmp_path: Path) -> None:
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
    both = [*bundled, *(replace(bundled[0], origin=origin) for origin in ("alice/styles", "file"))]
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


def test_programs_are_told_each_styles_name_and_origin() -> None:
    styles = [*list_styles(), replace(list_styles()[0], origin="alice/styles")]
    page = build_app(Settings(), styles=styles)
    (names,) = (f.fn() for f in page.fns.values() if f.api_name == "list_styles")
    expected = [*(style.slug for style in list_styles()), f"alice/styles/{FIRST}"]
    assert [entry["name"] for entry in names] == expected
    assert names[0]["origin"] == "bundled" and names[-1]["slug"] == FIRST
