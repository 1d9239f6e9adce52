"""What is to be proven on a GPU, each part on the CPU as well where there is one to compare with.
`make gpu` runs this file; it needs torch, safetensors, numpy, OpenCV and pytest, and what needs
more is skipped by name."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import gpu
from stylevid.canvas import on_canvas
from stylevid.engine import TorchEngine
from stylevid.learn.sequences import observe
from stylevid.learn.vgg import VGG16Features
from stylevid.memory import Remembered
from stylevid.network import StyleNet, StyleNetConfig
from stylevid.painter import Painter, engine_names
from stylevid.pipeline import stylize_video
from stylevid.yuv import Yuv
from tests.material import coarse_frames, paint_exactly, remembering, single_frames
from train.config import TrainConfig
from train.learning.loop import make_trainer, train_step

pytestmark = pytest.mark.gpu
ROOT = Path(__file__).parents[1]
GPUS = torch.cuda.device_count()
on_a_gpu = pytest.mark.skipif(GPUS < 1, reason="there is no CUDA device")
on_two_gpus = pytest.mark.skipif(GPUS < 2, reason="there are no two CUDA devices")
CPU, CUDA = pytest.param("cpu"), pytest.param("cuda", marks=on_a_gpu)
SECOND = pytest.param("cuda:1", marks=on_two_gpus)
TRAIN = TrainConfig(width=8, blocks=1, steps=8, crop=64, temporal_steps=2, temporal_crop=64,
                    batch=2, temporal_batch=2, learning_rate=1e-2, precision="float32",
                    hold_out=0)  # fmt: skip


@pytest.fixture(scope="module")
def network() -> StyleNet:
    return remembering(16, 2)


def wanted(network: StyleNet, frame: Yuv) -> np.ndarray:
    return paint_exactly(network, on_canvas(frame)).pixels.astype(int)


def apart(painted: list[Yuv], others: list[np.ndarray]) -> float:
    """The mean distance of the worst frame, in levels."""
    return max(float(np.abs(p.pixels - o).mean()) for p, o in zip(painted, others, strict=True))


def limit(engine: str) -> float:
    return {"float32": 0.2, "float16": 1.0}.get(engine.rpartition("-")[2], 3.0)


@pytest.mark.parametrize("device", [CPU, CUDA, SECOND])
def test_every_engine_paints_what_the_cpu_paints_in_order(network: StyleNet, device: str) -> None:
    frames = coarse_frames(23, 90, 160)
    others = [wanted(network, frame) for frame in frames]
    past = Remembered(Yuv(others[1].astype(np.uint8)), np.full((45, 80), 200, np.uint8))
    for name in engine_names(torch.device(device)):
        painter = Painter(network, device, name)
        assert apart(list(painter.paint(frames)), others) < limit(name), name
        with_past = painter.paint_next(frames[0], past)
        exact = Painter(network, "cpu", "torch-float32").paint_next(frames[0], past)
        assert apart([with_past], [exact.pixels.astype(int)]) < limit(name), name
        assert apart([with_past], others[:1]) > limit(name), "the past was left out"


@pytest.mark.parametrize("device", [CUDA, SECOND])
def test_a_painting_is_whole_on_whatever_stream_it_is_made(network: StyleNet, device: str) -> None:
    frames = coarse_frames(40, 360, 640)
    others = [wanted(network, frame) for frame in frames[:4]]
    painter = Painter(network, device)
    with torch.cuda.stream(torch.cuda.Stream(torch.device(device))):
        painted = list(painter.paint(frames))
    assert apart(painted[:4], others) < limit(painter.engine.name)
    again = [frame.pixels.astype(int) for frame in painter.paint(frames)]
    assert apart(painted, again) == 0


@pytest.mark.parametrize("device", [CPU, CUDA])
@pytest.mark.parametrize("level", [0, 255, None])
def test_norms_over_a_large_frame_stay_true(network: StyleNet, device: str, level) -> None:
    """Sums over two million pixels leave float16's range if they are made in it."""
    frame = coarse_frames(1, 1080, 1920)[0] if level is None else None
    frame = frame or Yuv(np.full((1620, 1920), level, np.uint8))
    painter = Painter(network, device)
    worst = limit(painter.engine.name)
    if level is not None:
        worst *= 3  # on flats a norm makes much of little, of rounding, too
    assert apart([painter.paint_next(frame, None)], [wanted(network, frame)]) < worst


@on_a_gpu
def test_a_frame_for_which_memory_is_short_is_painted_in_tiles() -> None:
    torch.manual_seed(0)
    network = StyleNet(StyleNetConfig(width=64, blocks=5)).eval().requires_grad_(False)
    frame = coarse_frames(1, 2160, 3840)[0]
    engine = TorchEngine(network, torch.device("cuda"), torch.float16)
    (whole,) = engine.submit([frame])()
    torch.cuda.empty_cache()
    held = torch.cuda.memory_allocated()
    total = torch.cuda.get_device_properties(0).total_memory
    try:
        torch.cuda.set_per_process_memory_fraction((held + (512 << 20)) / total)
        (tiled,) = engine.submit([frame])()
        _, tile = next(iter(engine._worked.values()))
        assert tile, "it was painted at once"
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    exact = TorchEngine(network, torch.device("cpu"), torch.float32)
    pixels = torch.from_numpy(frame.pixels)[None]
    with torch.inference_mode():
        in_tiles, at_once = (exact._run(pixels, frame.matrix, t, None).numpy().astype(int)
                             for t in (tile, None))  # fmt: skip
    assert apart([tiled], [*in_tiles]) < limit("float16")
    assert apart([whole], [*at_once]) < limit("float16")


@pytest.mark.parametrize("device", [CPU, CUDA])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_learning_steps_lower_the_loss(device: str, precision: str) -> None:
    if (device, precision) == ("cpu", "float16"):
        pytest.skip("float16 is not learned in on a CPU")
    torch.manual_seed(0)
    config = replace(TRAIN, precision=precision)
    vgg = VGG16Features().to(device, getattr(torch, precision)).requires_grad_(False)
    trainer = make_trainer(config, StyleNet(config.network), vgg, torch.rand(1, 3, 64, 80), device)
    pictures = single_frames(torch.rand(2, 3, 64, 64, device=device))

    def loss() -> float:
        with torch.no_grad():
            return sum(v.item() for v in trainer.objective(pictures, config.weights(0)).values())

    before = loss()
    for step in range(config.steps):
        train_step(trainer, pictures, step)
    assert loss() < before
    still, visible = torch.zeros(2, 1, 2, 64, 64), torch.ones(2, 1, 1, 64, 64)
    images, chance = torch.rand(1, 1, 3, 64, 64).repeat(3, 1, 1, 1, 1), torch.Generator()
    sequence = observe(images, still, visible, noise=0.01, exposure=0.0, generator=chance)
    values = train_step(trainer, sequence.to(trainer.device), config.steps)
    assert all(np.isfinite(value) for value in values.values())


STEP = """
import sys, torch
from dataclasses import replace
from stylevid.learn.vgg import VGG16Features
from stylevid.network import StyleNet
from tests.test_gpu import TRAIN, single_frames
from train.learning.distributed import join
from train.learning.loop import make_trainer, train_step
with join(sys.argv[1]) as (processes, device):
    torch.manual_seed(0)
    vgg = VGG16Features().to(device).requires_grad_(False)
    trainer = make_trainer(TRAIN, StyleNet(TRAIN.network), vgg, torch.rand(1, 3, 64, 80), device,
                           processes)
    pictures = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    share = single_frames(pictures[processes.rank :: processes.count])
    for step in range(2):
        train_step(trainer, share, step)
    learned = {k: v.cpu() for k, v in trainer.network.state_dict().items()}
    torch.save(learned, f"{sys.argv[2]}-{processes.rank}.pt")
"""


@pytest.mark.parametrize("device", [CPU, pytest.param("cuda", marks=on_two_gpus)])
def test_two_processes_learn_the_same_from_what_each_sees(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    script = tmp_path / "step.py"
    script.write_text(STEP)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node",
               "2", str(script), device, str(tmp_path / "rank")]  # fmt: skip
    subprocess.run(command, check=True, timeout=240, cwd=ROOT)
    first, second = (torch.load(tmp_path / f"rank-{n}.pt", weights_only=True) for n in (0, 1))
    torch.manual_seed(0)
    _ = VGG16Features()
    begun = StyleNet(TRAIN.network).state_dict()
    assert all(torch.allclose(second[name], first[name], atol=1e-6) for name in first)
    assert not torch.equal(first["enter.1.weight"], begun["enter.1.weight"])


@on_a_gpu
def test_submitting_does_not_wait_for_the_painting() -> None:
    """So that the next frames are fetched while the GPU paints."""
    network = StyleNet(StyleNetConfig(width=64, blocks=5)).eval().requires_grad_(False)
    painter = Painter(network, "cuda")
    frames = coarse_frames(4, 2160, 3840)
    painter.engine.submit(frames)()
    pending = painter.engine.submit(frames)
    assert not torch.cuda.current_stream().query(), "submitting waited for the painting"
    assert len(pending()) == 4


@pytest.mark.parametrize("device", [CPU, CUDA])
def test_a_file_is_painted(device: str, network: StyleNet, clip: Path, tmp_path: Path) -> None:
    """With ffmpeg, where it is there."""
    result = stylize_video(clip, tmp_path / "out.mp4", Painter(network, device))
    assert result.frames == 10 and result.has_audio and (tmp_path / "out.mp4").is_file()


@pytest.mark.parametrize("device", [CPU, CUDA])
def test_the_benchmark_times_every_piece(device: str, network: StyleNet) -> None:
    place = torch.device(device)
    clock, size = gpu.Clock(place, 60), (96, 128)
    engine = Painter(network, device).engine
    pieces = dict(gpu.inference(engine, network, size, place, clock))
    pieces |= gpu.training(network, size, place, clock)
    assert len(pieces) == 12 and all(piece["ms"] >= 0 for piece in pieces.values()), pieces
    assert gpu.Clock(place, 0).ms(lambda: None) == {"left out": "there was no time left"}
