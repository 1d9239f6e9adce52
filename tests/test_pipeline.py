"""A whole video through a tiny network: sizes, times, sound, stopping and trouble on the way."""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from copy import deepcopy
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from stylevid import pipeline
from stylevid.errors import Cancelled, StylevidError, VideoError
from stylevid.frames import to_frame, to_image
from stylevid.network import StyleNet
from stylevid.painter import Painter
from stylevid.pipeline import Options, Progress, Result, paint_frames, stylize_image, stylize_video
from stylevid.video import Timed, VideoWriter, probe, read_frames, read_yuv
from stylevid.yuv import image_to_yuv, yuv_to_image
from tests.accidents import refused
from tests.clips import decode, encode, noisy_frames, textured_frames
from tests.serving import wait_for

PLAIN = Options(temporal=False, measure=False)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = np.square(one.astype(float) - other.astype(float)).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


Paint = Callable[..., Result]


@pytest.fixture
def paint(tmp_path: Path, painter: Painter) -> Paint:
    """Paints a clip to out.mp4."""

    def paint(clip: Path, options: Options = PLAIN, *calls: Callable[..., object]) -> Result:
        return stylize_video(clip, tmp_path / "out.mp4", painter, options, *calls)

    return paint


def within_seconds(seconds: float, work: Callable[[], object]) -> BaseException | None:
    """The exception that `work` ends with; fails when it does not end."""
    outcome = Future[object]()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome.exception(seconds)


def assert_no_threads_left() -> None:
    ours = {"decoder", "encoder", "frame-log"}
    wait_for(lambda: not ours & {thread.name for thread in threading.enumerate()}, 5)


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames of 16x24 at 30 frames/s."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    return encode(path, textured_frames(60, 16, 24), rate="30")


@pytest.mark.parametrize("temporal", [False, True])
def test_video_is_painted_frame_by_frame(
    tmp_path: Path, clip: Path, paint: Paint, temporal: bool
) -> None:
    result = paint(clip, Options(temporal=temporal))
    assert result.path == tmp_path / "out.mp4"
    assert (result.frames, result.height, result.width) == (10, 32, 48)
    assert result.has_audio and result.device == "CPU"
    assert result.seconds > 0 and result.fps == pytest.approx(10 / result.seconds)
    shown = decode(result.path)
    assert [time_s for time_s, _ in shown] == [time_s for time_s, _ in decode(clip)]
    assert all(frame.shape == (32, 48, 3) for _, frame in shown)
    assert probe(result.path).audio == ("aac",)
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
    assert_no_threads_left()


def test_each_frame_is_the_networks_painting(clip: Path, paint: Paint, painter: Painter) -> None:
    shown = decode(paint(clip).path)
    for timed, (_, frame) in zip(read_frames(probe(clip)), shown, strict=True):
        expected = stylize_image(timed.frame, painter)
        assert psnr(frame, expected) > 28
        assert psnr(frame, expected) > psnr(frame, timed.frame) + 5


def test_strength_0_gives_the_video_back(clip: Path, paint: Paint) -> None:
    result = paint(clip, Options(strength=0, measure=False))
    for (_, before), (_, after) in zip(decode(clip), decode(result.path), strict=True):
        assert psnr(before, after) > 28


def test_strength_mixes(painter: Painter) -> None:
    frame = textured_frames(1)[0]
    painted = stylize_image(frame, painter).astype(int)
    plain = stylize_image(frame, painter, Options(strength=0)).astype(int)
    assert np.array_equal(plain, to_frame(yuv_to_image(image_to_yuv(to_image(frame)))))
    half = stylize_image(frame, painter, Options(strength=0.5)).astype(int)
    mixed = (painted + plain) / 2
    assert np.abs(half - mixed).max() <= 6 and np.abs(half - mixed).mean() < 1  # of whole levels


def test_keep_colors_keeps_chroma(painter: Painter) -> None:
    frame = (textured_frames(1)[0] // 8 + 112).astype(np.uint8)  # no value is clamped
    painted = stylize_image(frame, painter, Options(keep_colors=True)).astype(int)
    light = painted - stylize_image(frame, painter, Options(strength=0))
    assert np.abs(light).max() > 5
    assert np.abs(light - light[..., :1]).max() <= 1  # the same for red, green and blue


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Options(size=96), (64, 96)),
        (Options(size=24), (16, 24)),
        (Options(size=96, enlarge=False), (32, 48)),
        (Options(size=24, enlarge=False), (16, 24)),
        (Options(size=48), (32, 48)),
    ],
)
def test_longest_side_is_as_asked(clip: Path, paint: Paint, options: Options, expected) -> None:
    result = paint(clip, replace(options, measure=False))
    assert (result.height, result.width) == expected
    shown = decode(result.path)
    assert len(shown) == 10
    assert all(frame.shape[:2] == expected for _, frame in shown)


def test_flicker_is_measured_off_and_on(tmp_path: Path, paint: Paint) -> None:
    source = encode(tmp_path / "noisy.mp4", noisy_frames(8))
    flicker = paint(source, Options()).flicker
    assert flicker is not None and flicker.pairs == 7
    assert 0 < flicker.errors["on"] < 0.8 * flicker.errors["off"]
    off = paint(source, Options(temporal=False)).flicker
    assert off is not None and off.errors == {"off": pytest.approx(flicker.errors["off"])}
    assert paint(source, PLAIN).flicker is None


def test_progress_rises_to_the_end(clip: Path, paint: Paint) -> None:
    seen: list[Progress] = []
    paint(clip, PLAIN, seen.append)
    assert [p.frames for p in seen] == list(range(1, 11))
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0 and 0.85 <= fractions[-1] <= 1
    assert seen[0].left_s is None
    assert all(p.left_s is not None and p.left_s >= 0 for p in seen[1:])
    assert all(p.fps > 0 and p.latest.shape == (32, 48, 3) for p in seen)


def test_stopping_half_way_leaves_what_was_there(tmp_path: Path, clip: Path, paint: Paint) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"old")
    seen: list[Progress] = []
    with pytest.raises(Cancelled, match="Stopped after 5 frames"):
        paint(clip, PLAIN, seen.append, lambda: len(seen) == 5)
    assert [*tmp_path.iterdir()] == [target] and target.read_bytes() == b"old"
    assert_no_threads_left()


def test_an_exception_of_the_caller_comes_through(tmp_path: Path, clip: Path, paint: Paint) -> None:
    def show(_: Progress) -> None:
        raise KeyError("the page went away")

    with pytest.raises(KeyError, match="the page went away"):
        paint(clip, PLAIN, show)
    assert list(tmp_path.iterdir()) == []
    assert_no_threads_left()


@pytest.mark.parametrize("told", [True, False])
def test_too_long_video_is_refused_even_if_it_hides_its_length(
    tmp_path: Path, long_clip: Path, paint: Paint, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    if not told:
        monkeypatch.setattr(pipeline, "probe", lambda path: replace(probe(path), duration_s=0.0))
    with refused(
        VideoError, r"long\.mp4 is 2 s long; the limit is 1 s" if told else "the limit is 1 s"
    ):
        paint(long_clip, replace(PLAIN, max_seconds=1))
    assert list(tmp_path.iterdir()) == []
    assert paint(long_clip, replace(PLAIN, max_seconds=3)).frames == 60


@pytest.fixture
def call_at_frames(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], None]], None]:
    """Has this called with "decoder" when a frame was read, with "encoder" when one was written."""
    write = VideoWriter.write

    def install(call: Callable[[str], None]) -> None:
        def read(*arguments, **options):
            for timed in read_yuv(*arguments, **options):
                call("decoder")
                yield timed

        def written(self, timed) -> None:
            write(self, timed)
            call("encoder")

        monkeypatch.setattr(pipeline, "read_yuv", read)
        monkeypatch.setattr(VideoWriter, "write", written)

    return install


@pytest.mark.parametrize("slow", ["encoder", "painter"])
def test_few_frames_wait_between_reader_and_writer(
    long_clip: Path, paint: Paint, painter: Painter, call_at_frames, slow: str
) -> None:
    done, waiting = Counter[str](), list[int]()

    def count(part: str) -> None:
        time.sleep(0.01 if slow == part else 0)
        done[part] += 1
        waiting.append(done["decoder"] - done["encoder"])

    def pause(_: Progress) -> None:
        time.sleep(0.01 if slow == "painter" else 0)

    call_at_frames(count)
    paint(long_clip, PLAIN, pause)
    assert done == {"decoder": 60, "encoder": 60}
    # Two full queues, the frames ahead, and one in each of the hands of reader, painter and writer.
    assert max(waiting) <= 2 * pipeline.QUEUE_FRAMES + 4 + painter.engine.ahead


@pytest.mark.parametrize(
    ("part", "failing"), [("encoder", 1), ("encoder", 5), ("encoder", 60), ("decoder", 20)]
)
def test_error_in_the_background_comes_through(
    tmp_path: Path, long_clip: Path, paint: Paint, call_at_frames, part: str, failing: int
) -> None:
    done = Counter[str]()

    def fail(this: str) -> None:
        done[this] += 1
        if this == part and done[this] == failing:
            raise VideoError("The disk is full.")

    call_at_frames(fail)
    error = within_seconds(20, lambda: paint(long_clip))
    assert isinstance(error, VideoError) and str(error) == "The disk is full."
    assert list(tmp_path.iterdir()) == []
    assert_no_threads_left()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 13), (64, 33)])
def test_picture_of_any_size_is_painted(painter: Painter, size: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    before = frame.copy()
    painted = stylize_image(frame, painter)
    assert painted.shape == (*size, 3) and painted.dtype == np.uint8
    assert np.array_equal(frame, before)


@pytest.mark.parametrize(
    ("name", "values"),
    [("strength", (-0.1, 1.1, math.nan)), ("size", (15, 8193, 0)), ("brush", (0.5, 9, math.nan)),
     ("quality", ("finest",))],
)  # fmt: skip
def test_options_out_of_range_are_refused(name: str, values: tuple[float | str, ...]) -> None:
    for value in values:
        with pytest.raises(ValueError, match=name):
            Options(**{name: value})


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "mps:99"])
def test_missing_device_is_refused(tiny_weights: Path, device: str) -> None:
    with pytest.raises(StylevidError, match="Use --device cpu"):
        Painter(tiny_weights, device)


@pytest.mark.parametrize(("cores", "threads"), [(2, 1), (64, 2)])
def test_opencv_steps_aside_where_cores_are_few_until_the_last_video_is_done(
    cores: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.os, "cpu_count", lambda: cores)
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    first, second = (pipeline._opencv_aside(torch.device("cpu")) for _ in range(2))
    try:
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert cv2.getNumThreads() == threads
        second.__exit__(None, None, None)
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize("temporal", [True, False])
def test_each_shot_has_a_style_of_its_own(
    painter: Painter, tiny_network: StyleNet, temporal: bool
) -> None:
    light = deepcopy(tiny_network)
    light.get_parameter("leave.1.bias").add_(1.0)
    painters = [painter, Painter(light, "cpu")]
    shown = [frame for seed in range(3) for frame in textured_frames(2, seed=seed)]
    frames = [image_to_yuv(to_image(frame)) for frame in shown]
    timed = [Timed(frame, Fraction(i), Fraction(1)) for i, frame in enumerate(frames)]
    options = Options(temporal=temporal)
    paintings = list(paint_frames(timed, painters, options))
    for first in (0, 2, 4):  # each shot as if there were no other
        wanted = paint_frames(timed[first : first + 2], painters[first // 2 % 2], options)
        for painted, alike in zip(paintings[first:], wanted, strict=False):
            assert np.array_equal(painted.shown.pixels, alike.shown.pixels)
            assert np.array_equal(painted.alone.pixels, alike.alone.pixels)
