"""What several test files share: a clip, a tiny network, a style, a Hub, the real clips' folder."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stylevid.network import StyleNet
from stylevid.painter import Painter
from stylevid.weights import save_network
from tests import material
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
    return material.tiny_network()


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
    return material.RECORD


@pytest.fixture(scope="session")
def style_files(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, bytes]]:
    """The three files of a style, by their names in a repo."""
    return partial(material.tiny_style, tmp_path_factory.mktemp("styles"))


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
