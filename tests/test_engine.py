"""Engines: each paints what float32 torch paints, in order, and survives a lack of memory."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stylevid.engine import Engine, Pending, TorchEngine, check_same_size, is_out_of_memory
from stylevid.errors import StylevidError
from stylevid.frames import luma, to_frame, to_image
from stylevid.network import StyleNet, StyleNetConfig
from stylevid.openvino_engine import OpenVinoEngine
from stylevid.painter import Painter
from stylevid.plans import candidates
from stylevid.yuv import MATRICES, Yuv, image_to_yuv, planes_to_image, yuv_to_image

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> StyleNet:
    torch.manual_seed(0)
    return StyleNet(StyleNetConfig(width=8, blocks=2)).eval().requires_grad_(False)


def make_frames(count: int, height: int = 40, width: int = 56) -> list[Yuv]:
    rng = np.random.default_rng(0)
    rows = height * 3 // 2
    coarse = rng.integers(0, 256, (count, rows // 8 + 1, width // 8 + 1), np.uint8)
    return [Yuv(c.repeat(8, 0).repeat(8, 1)[:rows, :width].copy()) for c in coarse]


def expected(network: StyleNet, frames: Sequence[Yuv]) -> list[Yuv]:
    images = [planes_to_image(torch.from_numpy(f.pixels)[None], f.matrix) for f in frames]
    return [image_to_yuv(network(i), f.matrix) for i, f in zip(images, frames, strict=True)]


def apart(one: Yuv, other: Yuv) -> np.ndarray:
    assert (one.size, one.matrix) == (other.size, other.matrix)
    return np.abs(one.pixels.astype(int) - other.pixels)


def distance(painted: Sequence[Yuv], wanted: Sequence[Yuv]) -> float:
    return max(float(apart(p, w).max()) for p, w in zip(painted, wanted, strict=True))


def every_engine() -> list[str]:
    return [plan.name for plan in candidates(CPU)]


def test_this_machine_has_both_runtimes() -> None:
    assert {"openvino-float32", "torch-float32"} <= set(every_engine())


@pytest.mark.parametrize("size", [(40, 56), (42, 58), (8, 8), (4, 2), (2, 2), (10, 130)])
@pytest.mark.parametrize("name", every_engine())
def test_every_engine_paints_what_the_network_paints(
    network: StyleNet, name: str, size: tuple[int, int]
) -> None:
    frames = make_frames(2, *size)
    painter = Painter(network, "cpu", name)
    wanted = expected(network, frames)
    limit = 1 if name.endswith("float32") else 12
    assert painter.engine.name == name
    assert distance(list(painter.paint(frames)), wanted) <= limit


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("name", every_engine())
def test_colors_and_places_are_kept(network: StyleNet, name: str, matrix: str) -> None:
    """A channel, an axis or a matrix mixed up would show at once."""
    frame = np.zeros((16, 24, 3), np.uint8)
    frame[:6, :8] = (250, 20, 90)
    engine = Painter(network, "cpu", name).engine
    (painted,) = engine.submit([image_to_yuv(to_image(frame), matrix)])()
    shown = to_frame(yuv_to_image(painted)).astype(int)
    wanted = to_frame(halved(network(halved(to_image(frame)))))
    assert painted.matrix == matrix
    assert np.abs(shown - wanted).mean() < 1.5
    for wrong in (wanted[::-1], wanted[:, ::-1], wanted[..., ::-1]):
        assert np.abs(shown - wrong).mean() > 3


def halved(image: Tensor) -> Tensor:
    """The image with its colors at half the size, as 4:2:0 has them."""
    light = luma(image)
    color = torch.nn.functional.avg_pool2d(image - light, 2)
    return light + torch.nn.functional.interpolate(color, scale_factor=2, mode="nearest")


@pytest.mark.parametrize("name", every_engine())
def test_a_batch_is_painted_like_its_frames(network: StyleNet, name: str) -> None:
    frames = make_frames(5)
    engine = Painter(network, "cpu", name).engine
    alone = [engine.submit([frame])()[0] for frame in frames]
    assert distance(engine.submit(frames)(), alone) <= 1


@pytest.mark.parametrize("name", every_engine())
def test_results_stay_when_more_is_painted(network: StyleNet, name: str) -> None:
    frames = make_frames(6)
    engine = Painter(network, "cpu", name).engine
    pending = [engine.submit([frame]) for frame in frames]
    painted = [wait()[0] for wait in pending]
    kept = [Yuv(frame.pixels.copy()) for frame in painted]
    engine.submit(frames[::-1])()
    assert distance(painted, kept) == 0
    assert distance(painted, [engine.submit([frame])()[0] for frame in frames]) == 0


@pytest.mark.parametrize("name", every_engine())
def test_many_sizes_and_threads_share_an_engine(network: StyleNet, name: str) -> None:
    engine = Painter(network, "cpu", name).engine
    sizes = [(16 + 4 * i, 24) for i in range(7)]
    trouble: list[BaseException] = []

    def paint(size: tuple[int, int]) -> None:
        try:
            frames = make_frames(1, *size)
            for _ in range(3):
                assert distance(engine.submit(frames)(), expected(network, frames)) <= 12
        except BaseException as error:
            trouble.append(error)

    threads = [threading.Thread(target=paint, args=(size,)) for size in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not trouble


def test_frames_of_two_sizes_are_refused(network: StyleNet) -> None:
    for name in every_engine():
        with pytest.raises(ValueError, match="one size"):
            Painter(network, "cpu", name).engine.submit([*make_frames(1), *make_frames(1, 16, 16)])
    with pytest.raises(ValueError, match="one size"):
        check_same_size([])
    (frame,) = make_frames(1)
    with pytest.raises(ValueError, match="one size"):
        check_same_size([frame, Yuv(frame.pixels, "bt709")])
    check_same_size(make_frames(3))


class Scripted(Engine):
    """Notes what is asked of it, and paints frames white when they are waited for."""

    def __init__(self, batch: int, ahead: int = 1) -> None:
        self.name, self.batch, self.ahead = "scripted", batch, ahead
        self.log: list[str] = []

    def submit(self, frames: Sequence[Yuv]) -> Pending:
        first = int(frames[0].pixels[0, 0])
        self.log.append(f"start {first}x{len(frames)}")

        def wait() -> list[Yuv]:
            self.log.append(f"take {first}")
            return [Yuv(255 - frame.pixels) for frame in frames]

        return wait


def test_the_next_batch_is_started_before_a_result_is_waited_for(
    network: StyleNet,
) -> None:
    painter = Painter(network, "cpu", "torch-float32")
    painter.engine = engine = Scripted(2)
    frames = [Yuv(np.full((3, 2), value, np.uint8)) for value in range(5)]
    painted = [int(frame.pixels[0, 0]) for frame in painter.paint(frames)]
    assert painted == [255, 254, 253, 252, 251]
    assert engine.log == ["start 0x2", "start 2x2", "take 0", "start 4x1", "take 2", "take 4"]


@pytest.mark.parametrize(("ahead", "most"), [(1, 6), (3, 12)])
def test_no_more_frames_are_taken_than_are_kept_ahead(
    network: StyleNet, ahead: int, most: int
) -> None:
    painter = Painter(network, "cpu", "torch-float32")
    painter.engine = Scripted(3, ahead)
    taken = 0

    def source():
        nonlocal taken
        for value in range(100):
            taken += 1
            yield Yuv(np.full((3, 2), value, np.uint8))

    painted = painter.paint(source())
    next(painted)
    assert taken == most
    assert list(painter.paint([])) == []


# --- lack of memory -------------------------------------------------------------------------


def short_of_memory(monkeypatch: pytest.MonkeyPatch, most_pixels: int) -> list[tuple[int, ...]]:
    """Let the network fail as torch does when it is given more pixels than that."""
    seen: list[tuple[int, ...]] = []
    forward = StyleNet.forward

    def limited(self: StyleNet, image: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(image.shape))
        if image.shape[0] * image.shape[2] * image.shape[3] > most_pixels:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return forward(self, image)

    monkeypatch.setattr(StyleNet, "forward", limited)
    return seen


def test_a_batch_too_large_is_halved_and_stays_so(
    monkeypatch: pytest.MonkeyPatch, network: StyleNet
) -> None:
    frames = make_frames(8)
    wanted = expected(network, frames)
    engine = TorchEngine(network, CPU, torch.float32, batch=8)
    short_of_memory(monkeypatch, 2 * 40 * 56)
    assert distance(engine.submit(frames)(), wanted) <= 1
    assert engine.batch == 2


def test_a_frame_too_large_is_painted_in_tiles(
    monkeypatch: pytest.MonkeyPatch, network: StyleNet
) -> None:
    (frame,) = make_frames(1, 300, 460)
    engine = TorchEngine(network, CPU, torch.float32)
    seen = short_of_memory(monkeypatch, (256 + 2 * network.config.reach) ** 2)
    (painted,) = engine.submit([frame])()
    (wanted,) = expected_without_limit(monkeypatch, network, [frame])
    assert apart(painted, wanted).mean() < 8
    assert len(seen) > 3


def expected_without_limit(
    monkeypatch: pytest.MonkeyPatch, network: StyleNet, frames: Sequence[Yuv]
) -> list[Yuv]:
    monkeypatch.undo()
    return expected(network, frames)


def test_too_little_memory_for_anything_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, network: StyleNet
) -> None:
    engine = TorchEngine(network, CPU, torch.float32)
    short_of_memory(monkeypatch, 10)
    with pytest.raises(
        StylevidError, match=r"not enough memory on cpu for frames of 56x40\. Choose"
    ):
        engine.submit(make_frames(1))


def test_openvinos_lack_of_memory_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, network: StyleNet
) -> None:
    engine = OpenVinoEngine(network)

    def fail(*_: object) -> None:
        raise RuntimeError("Exception from src/inference: std::bad_alloc")

    monkeypatch.setattr(engine, "_compile", fail)
    with pytest.raises(StylevidError, match="56x40"):
        engine.submit(make_frames(1))


def test_other_trouble_is_not_taken_for_a_lack_of_memory(
    monkeypatch: pytest.MonkeyPatch, network: StyleNet
) -> None:
    engine = TorchEngine(network, CPU, torch.float32)

    def fail(*_: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(engine, "_plain", fail)
    with pytest.raises(RuntimeError, match="mat1"):
        engine.submit(make_frames(1))
    assert is_out_of_memory(
        RuntimeError("[enforce fail at alloc_cpu] DefaultCPUAllocator: can't allocate memory")
    )


def test_a_real_lack_of_memory_is_recognized() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert is_out_of_memory(caught.value)


# --- on real pictures -----------------------------------------------------------------------


@pytest.mark.parametrize("name", every_engine())
def test_real_frames_stay_within_the_limits(shared_data: Path, name: str) -> None:
    """Mean within 2/255 and largest within 12/255 of float32; torch's bfloat16, which nothing
    chooses where OpenVINO is, may differ by more in a few pixels."""
    from stylevid import list_styles
    from stylevid.video import probe, read_yuv

    info = probe(shared_data / "videos" / "moviepy_example2.mp4")
    frames = [timed.frame for timed, _ in zip(read_yuv(info, (360, 640)), range(3), strict=False)]
    for style in list_styles():
        reference = Painter(style, "cpu", "torch-float32")
        painted = Painter(style, "cpu", name).paint(frames[::2])
        for ours, theirs in zip(painted, reference.paint(frames[::2]), strict=True):
            difference = apart(ours, theirs)
            assert difference.mean() < 2
            assert difference.max() <= (64 if name == "torch-bfloat16" else 12)
