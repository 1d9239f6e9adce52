"""What several test files share: clips made by code, a tiny network, the real clips' folder."""

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from stylevid.network import StyleNet, StyleNetConfig
from stylevid.painter import Painter
from stylevid.weights import file_sha256, save_network

if TYPE_CHECKING:
    from tests.hub_server import HubServer

SHARED_DATA = Path(__file__).parents[1].parent / "shared" / "data"

Encode = Callable[..., Path]
Decode = Callable[[Path], list[tuple[Fraction, np.ndarray]]]


def _ffmpeg(*arguments: object, stdin: bytes = b"") -> None:
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, input=stdin, check=True, timeout=60)


def _encode(
    path: Path,
    frames: Sequence[np.ndarray],
    *options: str,
    rate: str = "25",
    pixels: str = "rgb24",
    size: tuple[int, int] | None = None,
    sound: Sequence[str] = (),
) -> Path:
    """A clip of uint8 frames H,W,3 (or raw `pixels` of `size`), nearly lossless in H.264; `sound`
    is another input."""
    height, width = size or frames[0].shape[:2]
    _ffmpeg(
        "-f", "rawvideo", "-pix_fmt", pixels, "-s", f"{width}x{height}", "-r", rate,
        "-i", "pipe:0", *sound, "-c:v", "libx264", "-preset", "ultrafast", "-crf", "4",
        *(("-pix_fmt", "yuv420p") if pixels == "rgb24" else ()), *options, path,
        stdin=b"".join(frame.tobytes() for frame in frames),
    )  # fmt: skip
    return path


def _decode(path: Path) -> list[tuple[Fraction, np.ndarray]]:
    """The time in seconds and the RGB frame of every picture, by PyAV."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        return [
            (Fraction(frame.pts) * frame.time_base, frame.to_ndarray(format="rgb24"))
            for frame in container.decode(video=0)
        ]


def _textured_frames(
    count: int = 10, height: int = 32, width: int = 48, speed: int = 1, seed: int = 0
) -> list[np.ndarray]:
    """A smooth random texture of muted colors that moves right by `speed` pixels a frame."""
    coarse = torch.rand(1, 3, 8, 20, generator=torch.Generator().manual_seed(seed))
    coarse = 0.8 * coarse[:, :1] + 0.2 * coarse
    wide = (height, width + speed * count)
    texture = torch.nn.functional.interpolate(coarse, wide, mode="bicubic").clamp(0, 1)
    pixels = (texture[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    starts = [speed * (count - i) for i in range(count)]
    return [np.ascontiguousarray(pixels[:, s : s + width]) for s in starts]


@pytest.fixture(scope="session")
def run_ffmpeg() -> Callable[..., None]:
    return _ffmpeg


@pytest.fixture(scope="session")
def encode() -> Encode:
    return _encode


@pytest.fixture(scope="session")
def decode() -> Decode:
    return _decode


@pytest.fixture(scope="session")
def textured_frames() -> Callable[..., list[np.ndarray]]:
    return _textured_frames


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10 frames of 48x32 at 25 frames/s with 0.4 s of AAC sound."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    tone = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100:duration=0.4"]
    return _encode(path, _textured_frames(), "-c:a", "aac", sound=tone)


@pytest.fixture(scope="session")
def tiny_network() -> StyleNet:
    torch.manual_seed(0)
    return StyleNet(StyleNetConfig(width=4, blocks=1)).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory, tiny_network: StyleNet) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_network(tiny_network, path)
    return path


@pytest.fixture(scope="session")
def painter(tiny_weights: Path) -> Painter:
    return Painter(tiny_weights, "cpu")


@pytest.fixture(scope="session")
def record() -> dict[str, object]:
    """A style's record, without the sha256 that its weights file would have."""
    return {
        "title": "A Square",
        "artist": "Nobody",
        "year": "2026",
        "medium": "code",
        "licence": "CC0",
        "source": "made by the tests",
        "sha256": "0" * 64,
        "network": {"width": 4, "blocks": 1, "dilation": 4},
    }


@pytest.fixture(scope="session")
def style_files(
    tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path, record: dict[str, object]
) -> Callable[..., dict[str, bytes]]:
    """The three files of a style, by their names in a repo."""
    picture = tmp_path_factory.mktemp("preview") / "picture.jpg"
    Image.new("RGB", (64, 48), "teal").save(picture)

    def make(slug: str, /, **changes: object) -> dict[str, bytes]:
        text = json.dumps({**record, "sha256": file_sha256(tiny_weights), **changes})
        return {
            f"{slug}.json": text.encode(),
            f"{slug}.safetensors": tiny_weights.read_bytes(),
            f"{slug}.jpg": picture.read_bytes(),
        }

    return make


@pytest.fixture
def server() -> Iterator["HubServer"]:
    """An empty Hub; its client says nothing of its own, as in the programs."""
    from huggingface_hub.utils import logging as hub_logging

    from tests.hub_server import HubServer

    hub_logging.set_verbosity_error()
    with HubServer() as server:
        yield server


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clips and pictures, which is beside the project and not within it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"{SHARED_DATA} is not there")
    return SHARED_DATA
