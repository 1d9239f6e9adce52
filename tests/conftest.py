"""What several test files share: a clip, a tiny network, a style, a Hub, the real clips' folder."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from PIL import Image

from stylevid.network import StyleNet, StyleNetConfig
from stylevid.painter import Painter
from stylevid.weights import file_sha256, save_network
from tests.clips import encode, textured_frames, tone

if TYPE_CHECKING:
    from tests.hub_server import HubServer

SHARED_DATA = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10 frames of 48x32 at 25 frames/s with 0.4 s of AAC sound."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return encode(path, textured_frames(), "-c:a", "aac", sound=tone())


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
