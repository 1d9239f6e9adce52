"""RAFT behind the stabilizer's flow: torchvision's network, from safetensors only."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models.optical_flow import raft_small

from stylevid.errors import WeightsError
from stylevid.network import StyleNet, StyleNetConfig
from stylevid.painter import Painter
from stylevid.pipeline import Options, stylize_video
from stylevid.raft import RaftEstimator
from stylevid.stabilize import TemporalStabilizer
from stylevid.yuv import image_to_yuv


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an untrained RAFT, whose answers are wrong but are its own."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("raft") / "raft.safetensors"
    save_file(raft_small().state_dict(), path)
    return path


def test_flow_is_torchvisions(weights: Path) -> None:
    torch.manual_seed(0)
    network = raft_small().eval()
    a, b = np.random.default_rng(0).uniform(0, 255, (2, 136, 160)).astype(np.float32)
    images = (torch.from_numpy(x)[None, None].expand(-1, 3, -1, -1) / 127.5 - 1 for x in (a, b))
    with torch.inference_mode():
        wanted = network(*images, num_flow_updates=12)[-1][0].permute(1, 2, 0).numpy()
    flow = RaftEstimator(weights)(a, b)
    assert flow.shape == (136, 160, 2) and flow.dtype == np.float32
    assert np.abs(wanted).max() > 0.1
    assert np.allclose(flow, wanted, atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (50, 90), (131, 217)])
def test_any_size_is_taken(weights: Path, size: tuple[int, int]) -> None:
    gray = np.random.default_rng(0).uniform(0, 255, size).astype(np.float32)
    flow = RaftEstimator(weights)(gray, gray)
    assert flow.shape == (*size, 2) and np.isfinite(flow).all()


def test_the_stabilizer_follows_the_flow_it_is_given() -> None:
    """A picture that moves two pixels a frame, and an estimator that knows."""
    torch.manual_seed(0)
    wide = torch.nn.functional.interpolate(torch.rand(1, 3, 10, 24), (64, 160), mode="bicubic")
    wide = wide.clamp(0, 1)
    asked = []

    def known(gray_a: np.ndarray, gray_b: np.ndarray) -> np.ndarray:
        asked.append(gray_a.shape)
        return np.broadcast_to(np.float32([2, 0]), (*gray_a.shape, 2)).copy()

    stabilizer = TemporalStabilizer(estimator=known)
    for i in range(6):
        frame = image_to_yuv(wide[..., 2 * i : 2 * i + 96])
        paint = frame if i == 0 else image_to_yuv(torch.full((1, 3, 64, 96), 0.5))
        output = stabilizer.step_frame(frame, paint)
    # Nine tenths of the last output each time: the first painting, moved along, is still there.
    gray = np.full((64, 96), 126.0)
    inner = np.s_[8:-8, 8:-24]
    seen, left = frame.luma[inner] - gray[inner], output.luma[inner] - gray[inner]
    assert np.corrcoef(seen.ravel(), left.ravel())[0, 1] > 0.9
    assert asked == [(64, 96)] * 5


def test_a_video_is_painted_with_it(tmp_path: Path, weights: Path, encode, textured_frames) -> None:
    torch.manual_seed(0)
    painter = Painter(StyleNet(StyleNetConfig(width=8, blocks=1)).eval(), "cpu")
    clip = encode(tmp_path / "clip.mp4", textured_frames(4))
    options = Options(flow_weights=weights, measure=False)
    assert stylize_video(clip, tmp_path / "out.mp4", painter, options).frames == 4


def test_other_files_are_refused_before_anything_is_written(tmp_path: Path, encode,
                                                            textured_frames) -> None:  # fmt: skip
    painter = Painter(StyleNet(StyleNetConfig(width=8, blocks=1)).eval(), "cpu")
    clip = encode(tmp_path / "clip.mp4", textured_frames(2))
    other, broken = tmp_path / "other.safetensors", tmp_path / "broken.safetensors"
    save_file({"x": torch.zeros(3)}, other)
    broken.write_bytes(b"no tensors")
    for path, words in (
        (other, "lacks .* of RAFT"), (broken, "not a readable"), (tmp_path / "none", "not a read"),
    ):  # fmt: skip
        with pytest.raises(WeightsError, match=words):
            stylize_video(clip, tmp_path / "out.mp4", painter, Options(flow_weights=path))
    assert not (tmp_path / "out.mp4").exists()
