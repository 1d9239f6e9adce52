"""Clips made here come back as they were, through our reader and our writer."""

import gc
import os
import signal
import subprocess
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stylevid import video
from stylevid.errors import Cancelled, VideoError
from stylevid.frames import to_frame
from stylevid.video import (
    WHOLE,
    Span,
    Timed,
    VideoWriter,
    even,
    probe,
    read_frames,
    read_picture,
    read_yuv,
)
from stylevid.yuv import yuv_to_image
from tests.accidents import refused
from tests.clips import decode, encode, generated, run_ffmpeg, sound_packets, textured_frames, tone


def copy_video(source: Path, target: Path, span: Span = WHOLE) -> Path:
    info = probe(source)
    with VideoWriter(target, info, (even(info.height), even(info.width)), span) as writer:
        for timed in read_yuv(info, span=span):
            writer.write(timed)
    return target


def encode_at(path: Path, frames: list[np.ndarray], ticks: list[int]) -> Path:
    """A clip whose pictures show at these times, in ticks of 1/90000 s."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 90_000)
        for pixels, pts in zip(frames, ticks, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels)
            frame.pts, frame.time_base = pts, Fraction(1, 90_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def flat_yuv(color: tuple[int, int, int], height: int, width: int) -> np.ndarray:
    """One picture of one color as yuv420p bytes: Y, then U and V at a quarter of the size."""
    quarter = height * width // 4
    return np.repeat(np.array(color, np.uint8), [height * width, quarter, quarter])


def mean_yuv(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        picture = next(container.decode(video=0))
        assert picture.format.name == "yuv420p"
        pixels = picture.to_ndarray().ravel()
        luma = picture.height * picture.width
    return [float(part.mean()) for part in np.split(pixels, (luma, luma * 5 // 4))]


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


def record_processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Every process started from now on."""
    processes: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def started(*arguments, **settings):
        processes.append(start(*arguments, **settings))
        return processes[-1]

    monkeypatch.setattr(subprocess, "Popen", started)
    return processes


# What probe tells


def test_probe_of_clips_made_here(clip: Path, tmp_path: Path) -> None:
    info = probe(clip)
    assert (info.path, info.height, info.width, info.fps, info.frames) == (clip, 32, 48, 25, 10)
    assert info.duration_s == pytest.approx(0.4, abs=0.03)
    assert info.audio == ("aac",) and info.has_audio and not info.interlaced
    silent = probe(encode(tmp_path / "silent.mp4", textured_frames(2)))
    assert silent.audio == () and not silent.has_audio


@pytest.mark.parametrize(
    "title",
    ["config in time_base: 1/0, frame_rate: 25/1", "Duration: 1:2:3.4.5",
     "Stream #0:7: Audio: pcm", "color_space:bt709 n:0 pts:9"],
)  # fmt: skip
def test_what_a_title_says_is_not_believed(tmp_path: Path, clip: Path, title: str) -> None:
    named = tmp_path / "named.mp4"
    run_ffmpeg("-i", clip, "-c", "copy", "-metadata", f"title=x\n  {title}", named)
    assert replace(probe(named), path=clip) == probe(clip)
    assert [t.time_s for t in read_frames(probe(named))] == [Fraction(n, 25) for n in range(10)]


# What read_frames gives


def test_frames_and_timestamps_are_exact(clip: Path) -> None:
    timed = list(read_frames(probe(clip)))
    assert [t.time_s for t in timed] == [Fraction(i, 25) for i in range(10)]
    assert all(t.duration_s == Fraction(1, 25) for t in timed)
    for t, expected in zip(timed, textured_frames(), strict=True):
        assert t.frame.dtype == np.uint8 and difference(t.frame, expected) < 6
    small = [t.frame for t in read_frames(probe(clip), (16, 24))]
    halved = textured_frames()[0].reshape(16, 2, 24, 2, 3).mean(axis=(1, 3))
    assert {frame.shape for frame in small} == {(16, 24, 3)} and difference(small[0], halved) < 6


@pytest.mark.parametrize(
    ("size", "pixels", "yuv", "rgb"),
    [
        ((64, 96), "yuv420p", (81, 90, 240), (255, 0, 0)),  # BT.601, limited range
        ((64, 96), "yuv420p", (41, 240, 110), (0, 0, 255)),
        ((720, 1280), "yuv420p", (63, 102, 240), (255, 0, 0)),  # BT.709, limited range
        ((720, 1280), "yuv420p", (32, 240, 118), (0, 0, 255)),
        ((64, 96), "yuvj420p", (76, 85, 255), (255, 0, 0)),  # BT.601, full range
        ((64, 96), "yuvj420p", (29, 255, 107), (0, 0, 255)),
        ((64, 96), "yuvj420p", (235, 128, 128), (235, 235, 235)),
        ((64, 96), "yuv420p", (235, 128, 128), (255, 255, 255)),
    ],
)
def test_colors_are_read_and_written_as_they_are(
    tmp_path: Path, size, pixels: str, yuv, rgb
) -> None:
    path = encode(tmp_path / "flat.mp4", [flat_yuv(yuv, *size)] * 2, pixels=pixels, size=size)
    for timed in read_frames(probe(path)):
        assert np.abs(timed.frame.astype(int) - rgb).max() <= 4
    output = copy_video(path, tmp_path / "output.mp4")
    again = next(read_frames(probe(output)))
    assert np.abs(again.frame.astype(int) - rgb).max() <= 6
    if pixels == "yuv420p":  # the very numbers, whatever the reader makes of them
        assert mean_yuv(output) == pytest.approx(yuv, abs=3)


def test_tagged_matrix_is_believed_and_carried(tmp_path: Path) -> None:
    red_709 = flat_yuv((63, 102, 240), 64, 96)
    tags = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
    path = encode(tmp_path / "tagged.mp4", [red_709], *tags, pixels="yuv420p", size=(64, 96))
    info = probe(path)
    assert info.matrix == info.color_primaries == info.color_trc == "bt709"
    assert np.abs(next(read_frames(info)).frame.astype(int) - (255, 0, 0)).max() <= 4
    output = probe(copy_video(path, tmp_path / "output.mp4"))
    assert (output.color_space, output.color_primaries, output.color_trc) == ("bt709",) * 3


@pytest.mark.parametrize(("rotation", "quarter_turns"), [(90, 1), (180, 2), (270, 3), (-90, 3)])
def test_rotated_clip_is_read_upright(tmp_path: Path, rotation: int, quarter_turns: int) -> None:
    frame = np.full((32, 48, 3), 90, np.uint8)
    frame[:12, :12] = (250, 30, 30)
    level = encode(tmp_path / "level.mp4", [frame] * 3)
    turned = tmp_path / "turned.mp4"
    run_ffmpeg("-display_rotation", rotation, "-i", level, "-c", "copy", turned)
    upright = np.rot90(frame, quarter_turns)
    info = probe(turned)
    assert (info.height, info.width) == upright.shape[:2]
    assert difference(next(read_frames(info)).frame, upright) < 5
    output = copy_video(turned, tmp_path / "output.mp4")
    assert difference(decode(output)[0][1], upright) < 5
    with av.open(str(output)) as container:
        assert next(container.decode(video=0)).rotation == 0


@pytest.mark.parametrize(("aspect", "width"), [("2/1", 96), ("1/2", 24), ("4/3", 64)])
def test_pixels_become_square(tmp_path: Path, aspect: str, width: int) -> None:
    frame = np.zeros((32, 48, 3), np.uint8)
    frame[:, :24] = 200
    info = probe(encode(tmp_path / "wide.mp4", [frame] * 2, "-vf", f"setsar={aspect}"))
    assert (info.height, info.width) == (32, width)
    shown = next(read_frames(info)).frame
    assert shown[:, : width // 2 - 2].mean() > 190 and shown[:, width // 2 + 2 :].mean() < 10
    output = copy_video(info.path, tmp_path / "output.mp4")
    with av.open(str(output)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (width, 32)
        assert stream.sample_aspect_ratio in (None, 0, 1)


def test_interlaced_clip_keeps_its_number_of_frames(tmp_path: Path) -> None:
    fields = ("-vf", "setfield=tff", "-flags", "+ildct+ilme", "-x264-params", "tff=1")
    info = probe(encode(tmp_path / "fields.mp4", textured_frames(6, 64, 96), *fields))
    assert info.interlaced
    assert [t.time_s for t in read_frames(info)] == [Fraction(i, 25) for i in range(6)]


def test_abandoned_reading_leaves_no_process(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info, processes = probe(clip), record_processes(monkeypatch)
    frames = read_frames(info)
    next(frames)
    assert len(processes) == 1
    frames.close()
    assert processes[0].poll() is not None
    forgotten = read_frames(info)
    next(forgotten)
    del forgotten
    gc.collect()
    assert processes[1].poll() is not None


@pytest.mark.parametrize(
    "name", ["-dash.mp4", "concat:a.mp4", "http:x.mp4", "a b'c%03d.mp4", "grüße [1].mp4", "clip"]
)
def test_any_file_name_is_read(tmp_path: Path, clip: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(clip.read_bytes())
    assert len(list(read_frames(probe(path)))) == 10


# Parts of a video


@pytest.mark.parametrize(
    "span", [Span(0.2), Span(0.21), Span(0, 0.2), Span(0.1, 0.32), Span(0.12, 9), Span(0.2, 0.24)]
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_part_begins_and_ends_with_the_very_frame(
    tmp_path: Path, clip: Path, span: Span, suffix: str
) -> None:
    source = tmp_path / f"source{suffix}"
    run_ffmpeg("-i", clip, "-c", "copy", source)  # in .mkv the picture starts after the sound
    before = decode(source)
    start_s, end_s = Fraction(str(span.start_s)), Fraction(str(span.end_s or 9))
    wanted = [i for i, (time_s, _) in enumerate(before) if start_s <= time_s < end_s]
    part = decode(copy_video(source, tmp_path / "part.mp4", span))
    first_s = part[0][0]
    assert first_s == 0 if span.start_s else abs(first_s - before[0][0]) < 0.001
    assert [time_s - first_s for time_s, _ in part] == [Fraction(i, 25) for i in range(len(wanted))]
    for index, (_, frame) in zip(wanted, part, strict=True):
        errors = [difference(frame, other) for _, other in before]
        assert errors.index(min(errors)) == index


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts", "mpg"])
def test_a_part_begins_with_the_same_picture_in_every_container(
    tmp_path: Path, suffix: str
) -> None:
    """Of MPEG's two streams, whose clocks do not begin at zero, pictures came 1.5 s early."""
    grays = [np.full((32, 48, 3), 20 + 4 * number, np.uint8) for number in range(50)]
    mpeg = ("-c:v", "mpeg2video", "-q:v", "2") if suffix == "mpg" else ()
    path = encode(tmp_path / f"clip.{suffix}", grays, "-g", "1", *mpeg)
    frames = list(read_frames(probe(path), span=Span(0.8, 1.6)))
    levels = [round((float(timed.frame.mean()) - 20) / 4) for timed in frames]
    assert levels == list(range(20, 40))
    assert [float(timed.time_s) for timed in frames] == pytest.approx(
        [number / 25 for number in range(20)], abs=1e-3
    )


@pytest.mark.parametrize("transfer", ["gamma22", "gamma28", "bt709"])
def test_the_transfer_of_light_is_carried(tmp_path: Path, transfer: str) -> None:
    clip = encode(tmp_path / "old.mpg", textured_frames(3), "-c:v", "mpeg2video",
                  "-color_trc", transfer, "-color_primaries", "bt470bg")  # fmt: skip
    info = probe(clip)
    with VideoWriter(tmp_path / "out.mp4", info, (32, 48)) as writer:
        for timed in read_yuv(info):
            writer.write(timed)
    carried = probe(tmp_path / "out.mp4")
    assert (carried.color_trc, carried.color_primaries) == (info.color_trc, "bt470bg")


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
@pytest.mark.parametrize("span", [Span(0.6, 1.4), Span(0.59, 1.4), Span(0.6)])
def test_the_sound_of_a_part_is_cut_with_it(tmp_path: Path, codec: str, span: Span) -> None:
    """Silence with a click at 1 s, where frame 25 is."""
    click = "aevalsrc='if(between(t,1,1.01),0.8*sin(6000*t),0)':d=2"
    source = encode(
        tmp_path / "click.mov", textured_frames(50), "-c:a", codec, sound=generated(click)
    )
    part = copy_video(source, tmp_path / "part.mp4", span)
    with av.open(str(part)) as container:
        stream = container.streams.audio[0]
        heard = [(f.pts * f.time_base, f.to_ndarray()[0]) for f in container.decode(stream)]
    start = float(heard[0][0])
    samples = np.concatenate([levels for _, levels in heard])
    rate = 44_100
    at_s = start + np.flatnonzero(abs(samples) > 0.2)[0] / rate
    assert at_s == pytest.approx(1 - 0.6, abs=0.005)
    end_s = (span.end_s or 2) - 0.6
    assert start + len(samples) / rate == pytest.approx(end_s, abs=0.06)


@pytest.mark.parametrize(
    ("seconds", "match"),
    [((-1, None), "0 s or later; got -1"), ((float("nan"), 1), "got nan"),
     ((float("inf"), None), "got inf"), ((2, 2), "after the start, 2 s; got 2"),
     ((0, -1), "got -1"), ((1, float("nan")), "got nan")],
)  # fmt: skip
def test_a_part_that_is_none_is_refused(seconds, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Span(*seconds)


@pytest.mark.parametrize(
    ("span", "duration_s", "length_s"),
    [(WHOLE, 3, 3), (WHOLE, 0, 0), (Span(1), 3, 2), (Span(4), 3, 0), (Span(1, 2), 3, 1),
     (Span(1, 9), 3, 2), (Span(1, 9), 0, 8), (Span(1), 0, 0)],
)  # fmt: skip
def test_length_of_a_part(span: Span, duration_s: float, length_s: float) -> None:
    assert span.of(duration_s) == length_s


def test_the_picture_at_any_time(tmp_path: Path, clip: Path) -> None:
    def index_at(path: Path, time_s: float) -> int:
        picture = read_picture(probe(path), time_s)
        errors = [difference(picture, frame) for frame in textured_frames()]
        return errors.index(min(errors))

    assert [index_at(clip, time_s) for time_s in (0, 0.2, 0.21, 0.36, 0.5)] == [0, 5, 6, 9, 9]
    long_sound = encode(tmp_path / "4s.mp4", textured_frames(), "-c:a", "aac", sound=tone(4))
    assert probe(long_sound).duration_s > 3.9 and index_at(long_sound, 2) == 9
    one = encode(tmp_path / "one.mp4", textured_frames()[:1], rate="1")
    assert index_at(one, 0.45) == 0
    sparse = encode_at(tmp_path / "sparse.mp4", textured_frames(3), [0, 90_000, 900_000])
    assert read_picture(probe(sparse), 10.2).shape == (32, 48, 3)


# A decoder that fails


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Frames that fill a pipe: more than one never waits in it."""
    return encode(tmp_path / "large.mp4", textured_frames(30, 360, 640))


def test_a_decoder_that_dies_is_reported(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info, processes = probe(large), record_processes(monkeypatch)
    frames = read_frames(info)
    next(frames)
    processes[0].kill()
    with pytest.raises(VideoError, match=r"large\.mp4 could be read for \d+ frames only"):
        list(frames)


@pytest.mark.parametrize("stopped", [False, True])
def test_a_decoder_that_is_stuck_is_left(
    large: Path, monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    info, processes = probe(large), record_processes(monkeypatch)
    monkeypatch.setattr(video, "PATIENCE_S", 60 if stopped else 1)
    asked: list[float] = []
    frames = read_yuv(info, should_stop=lambda: asked.append(0) or (stopped and len(asked) > 1))
    next(frames)
    os.kill(processes[0].pid, signal.SIGSTOP)
    began = time.monotonic()
    error, match = (Cancelled, "Stopped") if stopped else (VideoError, "no picture within 1 s")
    with pytest.raises(error, match=match):
        list(frames)
    assert time.monotonic() - began < 10 and asked
    assert processes[0].poll() is not None


# What the writer makes of it


def test_output_is_what_browsers_play(tmp_path: Path, clip: Path) -> None:
    output = tmp_path / "output.mp4"
    output.write_bytes(b"old")  # is replaced
    copy_video(clip, output)
    with av.open(str(output)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
    content = output.read_bytes()
    assert content[4:8] == b"ftyp"
    assert content.index(b"moov") < content.index(b"mdat")  # faststart
    assert [p.name for p in tmp_path.iterdir()] == ["output.mp4"]
    for (before_s, before), (after_s, after) in zip(decode(clip), decode(output), strict=True):
        assert after_s == before_s and difference(before, after) < 6


def test_variable_timestamps_are_carried_exactly(tmp_path: Path) -> None:
    ticks = [0, 1501, 4503, 4600, 13_000, 13_777, 40_001, 90_000]
    source = encode_at(tmp_path / "vfr.mp4", textured_frames(8), ticks)
    times = [Fraction(pts, 90_000) for pts in ticks]
    assert [time_s for time_s, _ in decode(source)] == times
    assert [t.time_s for t in read_frames(probe(source))] == times
    output = copy_video(source, tmp_path / "output.mp4")
    assert [time_s for time_s, _ in decode(output)] == times


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".avi"])
@pytest.mark.parametrize("rate", ["30000/1001", "24000/1001", "25", "60"])
def test_frame_rate_is_kept_exactly(tmp_path: Path, suffix: str, rate: str) -> None:
    source = encode(tmp_path / f"source{suffix}", textured_frames(20), rate=rate)
    assert probe(source).fps == Fraction(rate)
    output = copy_video(source, tmp_path / "output.mp4")
    with av.open(str(output)) as container:
        assert container.streams.video[0].average_rate == Fraction(rate)
    assert [time_s for time_s, _ in decode(output)] == [i / Fraction(rate) for i in range(20)]


@pytest.mark.parametrize("size", [(31, 45), (32, 45), (31, 48), (1, 1), (3, 2)])
def test_odd_size_becomes_the_next_even_one(tmp_path: Path, size: tuple[int, int]) -> None:
    height, width = size
    colored = textured_frames(3, height, width)
    frames = [frame[..., 1:2].repeat(3, axis=2) for frame in colored]  # 4:2:0 would blur color
    source = encode(tmp_path / "odd.mp4", frames, "-pix_fmt", "yuv444p")
    assert (probe(source).height, probe(source).width) == size
    shown = decode(copy_video(source, tmp_path / "output.mp4"))
    assert len(shown) == 3
    for (_, after), (_, before) in zip(shown, decode(source), strict=True):
        assert after.shape == (height + height % 2, width + width % 2, 3)
        assert difference(after[:height, :width], before) < 8
        assert difference(after[-1], after[height - 1]) < 12  # the edge is repeated


@pytest.mark.parametrize(
    ("codecs", "suffix", "channels"),
    [(("aac",), ".mp4", 1), (("pcm_s16le",), ".mov", 1), (("pcm_s16le",), ".mov", 2),
     (("libopus",), ".mkv", 1), (("libopus",), ".mkv", 2), (("aac", "pcm_s16le"), ".mkv", 1)],
)  # fmt: skip
def test_every_sound_track_is_carried_as_aac(
    tmp_path: Path, codecs, suffix: str, channels: int
) -> None:
    tracks = [("-map", str(n + 1), f"-c:a:{n}", codec) for n, codec in enumerate(codecs)]
    options = ("-map", "0", *sum(tracks, ()), "-ac", str(channels))
    sound = tone() * len(codecs)
    source = encode(tmp_path / f"source{suffix}", textured_frames(), *options, sound=sound)
    output = copy_video(source, tmp_path / "output.mp4")
    with av.open(str(output)) as container:
        assert len(container.streams.audio) == len(codecs)
        for stream in container.streams.audio:
            assert (stream.codec_context.name, stream.channels) == ("aac", channels)
            assert stream.sample_rate in (44_100, 48_000)
            assert float(stream.duration * stream.time_base) == pytest.approx(0.4, abs=0.05)
    if codecs[0] == "aac":  # copied bit by bit
        copied, before = ([body for _, body in sound_packets(path)] for path in (output, source))
        assert copied == before


def test_a_sound_track_that_nobody_can_decode_is_left_out(tmp_path: Path) -> None:
    """As phones write spatial sound beside the ordinary."""
    options = ("-map", "0", "-map", "1", "-map", "2", "-c:a", "aac", "-b:a:1", "64k")
    source = encode(tmp_path / "phone.mp4", textured_frames(), *options, sound=tone() * 2)
    whole = source.read_bytes()
    for place in (whole.rindex(b"mp4a"), whole.index(b"mp4a")):
        track = b"apac" + whole[place + 4 :].replace(b"esds", b"free", 1)
        source.write_bytes(whole[:place] + track)
        assert sorted(probe(source).audio) == ["aac", "none"]
        output = copy_video(source, tmp_path / "output.mp4")
        assert probe(output).audio == ("aac",)
        assert len(sound_packets(output)) > 10


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_picture_that_starts_after_its_sound_keeps_the_offset(tmp_path: Path, suffix: str) -> None:
    delay = ("-vf", "setpts=PTS+0.48/TB", "-fps_mode", "passthrough", "-c:a", "aac")
    late = encode(tmp_path / f"late{suffix}", textured_frames(), *delay, sound=tone(1))
    expected = [float(time_s) for time_s, _ in decode(late)]
    assert expected[0] == 0.48 and len(expected) > 5
    output = copy_video(late, tmp_path / "output.mp4")
    with av.open(str(output)) as container:
        stream = container.streams.audio[0]
        sound_start = float(stream.start_time * stream.time_base)
    assert sound_start == pytest.approx(0, abs=0.03)
    times = [float(time_s) for time_s, _ in decode(output)]
    assert times == pytest.approx(expected, abs=0.03)


def test_faint_strokes_are_kept_and_better_quality_keeps_more(tmp_path: Path) -> None:
    """On smooth shapes, grain that changes by 4 of 255 levels from frame to frame: unless x264 is
    told otherwise, it takes it for noise."""
    info = probe(encode(tmp_path / "smooth.mp4", textured_frames(6, 96, 160)))
    rng = np.random.default_rng(0)
    painted = list(read_yuv(info))
    for timed in painted:
        timed.frame.luma[:] = np.clip(timed.frame.luma + rng.normal(0, 4, (96, 160)), 0, 255)
    sizes, errors = [], []
    for quality in ("draft", "good", "best"):
        output = tmp_path / f"{quality}.mp4"
        with VideoWriter(output, info, (96, 160), quality=quality) as writer:
            for timed in painted:
                writer.write(timed)
        there, kept = (np.float32([timed.frame.luma for timed in frames])
                       for frames in (painted, read_yuv(probe(output))))  # fmt: skip
        sizes.append(output.stat().st_size)
        errors.append(difference(there, kept))
        assert np.abs(np.diff(kept)).mean() > 0.98 * np.abs(np.diff(there)).mean()
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("written", [0, 3])
def test_exception_leaves_nothing_and_keeps_an_existing_target(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    info = probe(clip)
    timed = next(read_yuv(info))
    kept = tmp_path / "kept.mp4"
    kept.write_bytes(b"old")
    processes = record_processes(monkeypatch)
    for target in (kept, tmp_path / "new.mp4"):
        with pytest.raises(KeyError), VideoWriter(target, info, (32, 48)) as writer:
            for i in range(written):
                writer.write(Timed(timed.frame, Fraction(i, 25), Fraction(1, 25)))
            raise KeyError
    assert [p.name for p in tmp_path.iterdir()] == ["kept.mp4"]
    assert kept.read_bytes() == b"old"
    assert all(process.poll() is not None for process in processes)


@pytest.mark.parametrize(
    ("size", "error", "match"),
    [(None, VideoError, r"output\.mp4 could not be written: no frame came"),
     ((48, 32), ValueError, "the writer takes frames of")],
    ids=["no frame", "frame of another size"],
)  # fmt: skip
def test_what_is_no_video_makes_no_file(tmp_path: Path, clip: Path, size, error, match) -> None:
    info = probe(clip)
    with (
        pytest.raises(error, match=match),
        VideoWriter(tmp_path / "output.mp4", info, size or (32, 48)) as writer,
    ):
        if size:
            writer.write(next(read_yuv(info)))
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_dies_is_reported(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = probe(clip)
    timed = next(read_yuv(info))
    processes = record_processes(monkeypatch)
    with (
        refused(VideoError, "could not be written"),
        VideoWriter(tmp_path / "output.mp4", info, (32, 48)) as writer,
    ):
        writer.write(timed)
        processes[0].kill()
        processes[0].wait()
        for i in range(1, 100):
            writer.write(Timed(timed.frame, Fraction(i, 25), Fraction(1, 25)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "match"),
    [("out.avi", r"must end in \.mp4"), ("out", r"must end in \.mp4"),
     ("out.mp4.txt", r"must end in \.mp4"), ("missing/out.mp4", r"does not exist\. Make it first"),
     ("folder.mp4", "is a folder"), ("clip.mp4", "would overwrite itself"),
     ("link.mp4", "would overwrite itself"), ("folder.mp4/../clip.mp4", "would overwrite itself")],
)  # fmt: skip
@pytest.mark.parametrize("here", [True, False])
def test_target_that_cannot_be_written_is_refused(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch, name: str, match: str, here: bool
) -> None:
    source = tmp_path / "clip.mp4"
    source.write_bytes(clip.read_bytes())
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "link.mp4").symlink_to(source)
    monkeypatch.chdir(tmp_path)
    with refused(VideoError, match):
        VideoWriter(name if here else tmp_path / name, probe(source), (32, 48))


# What is refused


@pytest.mark.parametrize(
    ("content", "match"),
    [(None, "does not exist"), (b"", "is empty"),
     (b"This is a text file,\nnot a video.\n" * 40, "cannot be read as a video"),
     (bytes(range(256)) * 30, "cannot be read as a video"), ("cut", "cut short"),
     ("folder", "does not exist"), ("pipe", "does not exist"),
     ("sound", "holds sound but no picture")],
    ids=["missing", "empty", "text", "bytes", "cut", "folder", "pipe", "sound"],
)  # fmt: skip
def test_what_is_no_video_is_refused(
    tmp_path: Path, clip: Path, content: bytes | str | None, match: str
) -> None:
    path = tmp_path / "other.mp4"
    if content == "folder":
        path.mkdir()
    elif content == "pipe":
        os.mkfifo(path)
    elif content == "sound":
        run_ffmpeg(*tone(), "-c:a", "aac", path)
    elif content is not None:
        whole = clip.read_bytes()
        path.write_bytes(whole[: len(whole) * 6 // 10] if isinstance(content, str) else content)
    with refused(VideoError, rf"other\.mp4 .*{match}"):
        probe(path)


def test_truncated_file_with_its_index_in_front_gives_what_is_left(tmp_path: Path) -> None:
    whole = encode(tmp_path / "whole.mp4", textured_frames(), "-movflags", "+faststart")
    content = whole.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(content[: len(content) * 8 // 10])
    assert 1 <= len(list(read_frames(probe(cut)))) < 10


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.4,\n{path}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{path}'\n",
        "ffconcat version 1.0\nfile {name}\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        '<?xml version="1.0"?>\n<MPD><Period><BaseURL>{path}</BaseURL></Period></MPD>\n',
    ],
    ids=["m3u8", "concat, whole path", "concat, name", "sdp", "dash"],
)
def test_playlist_of_a_local_file_is_refused(tmp_path: Path, clip: Path, playlist: str) -> None:
    (tmp_path / "secret.mp4").write_bytes(clip.read_bytes())
    path = tmp_path / "playlist.mp4"
    path.write_text(playlist.format(path=tmp_path / "secret.mp4", name="secret.mp4"))
    with refused(VideoError, r"playlist\.mp4 cannot be read as a video"):
        probe(path)


def test_file_that_breaks_after_the_probe_is_reported(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip.read_bytes())
    info = probe(path)
    path.write_bytes(b"no longer a video")
    with pytest.raises(VideoError, match="cannot be read as a video"):
        next(read_frames(info))


@pytest.mark.parametrize("height", [64, 720])
def test_yuv_frames_are_the_very_levels_of_the_file(tmp_path: Path, height: int) -> None:
    rng = np.random.default_rng(0)
    rows = [rng.integers(16, 236, (height * 3 // 2, 96), np.uint8) for _ in range(3)]
    path = encode(tmp_path / "raw.mp4", rows, "-crf", "0", pixels="yuv420p", size=(height, 96))
    for timed, levels in zip(read_yuv(probe(path)), rows, strict=True):
        assert np.array_equal(timed.frame.pixels, levels)
        assert timed.frame.matrix == ("bt709" if height == 720 else "bt601")


def test_yuv_and_rgb_frames_show_the_same(clip: Path) -> None:
    info = probe(clip)
    for size, most in ((None, 2.5), ((20, 30), 5), ((64, 96), 5)):
        for as_yuv, as_rgb in zip(read_yuv(info, size), read_frames(info, size), strict=True):
            shown = to_frame(yuv_to_image(as_yuv.frame)).astype(int)
            assert np.abs(shown - as_rgb.frame).mean() < most
            assert (as_yuv.time_s, as_yuv.duration_s) == (as_rgb.time_s, as_rgb.duration_s)


@pytest.mark.parametrize("pixels", ["rgb24", "yuv444p", "yuvj420p", "gray", "yuv420p10le"])
def test_other_kinds_of_pixels_become_yuv(tmp_path: Path, pixels: str) -> None:
    frames = textured_frames(3)
    source = encode(tmp_path / "source.mp4", frames)
    path = tmp_path / "other.mkv"
    run_ffmpeg("-i", source, "-pix_fmt", pixels if pixels != "rgb24" else "bgr0", "-c:v", "ffv1",
               path)  # fmt: skip
    for timed, frame in zip(read_yuv(probe(path)), frames, strict=True):
        shown = to_frame(yuv_to_image(timed.frame)).astype(int)
        wanted = frame.astype(int)
        if pixels == "gray":
            shown, wanted = shown.mean(axis=2), wanted.mean(axis=2)
        assert np.abs(shown - wanted).mean() < 4
