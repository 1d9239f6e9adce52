"""Pictures, motion, networks and styles of known make."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stylevid.learn.sequences import Sequences
from stylevid.network import Past, StyleNet, StyleNetConfig
from stylevid.weights import save_network
from stylevid.yuv import Yuv, image_to_yuv, planes_to_image

# A style's, without the sha256 that its weights file would have.
RECORD: dict[str, object] = {
    "title": "A Square",
    "artist": "Nobody",
    "year": "2026",
    "medium": "code",
    "licence": "CC0",
    "source": "made by the tests",
    "sha256": "0" * 64,
    "network": {"width": 4, "blocks": 1, "dilation": 4},
}


def random_image(height: int = 16, width: int = 24, *, n: int = 1, seed: int = 0) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(seed))


def texture(height: int = 48, width: int = 64, *, cell: int = 6, seed: int = 0) -> Tensor:
    """A random picture 1,3,H,W, smooth over so many pixels."""
    coarse = random_image(max(1, height // cell), max(1, width // cell), seed=seed)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return smooth.clamp(0, 1)


def constant_flow(dx: float, dy: float, height: int = 16, width: int = 24) -> Tensor:
    flow = torch.tensor((dx, dy), dtype=torch.float32).view(1, 2, 1, 1)
    return flow.expand(1, 2, height, width).clone()


def single_frames(images: Tensor) -> Sequences:
    """N,3,H,W as N sequences of one frame each."""
    frames, none = images[None], images.new_zeros(0, len(images), 1, 1, 1)
    return Sequences(frames, frames, none, none, none, none)


def jpeg(width: int = 48, height: int = 32, kind: str = "JPEG") -> bytes:
    content = BytesIO()
    Image.effect_noise((width, height), 90).convert("RGB").save(content, kind)
    return content.getvalue()


def coarse_frames(count: int, height: int = 40, width: int = 56) -> list[Yuv]:
    """Random blocks of 8x8."""
    rows = height * 3 // 2
    shape = count, rows // 8 + 1, width // 8 + 1
    coarse = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return [Yuv(c.repeat(8, 0).repeat(8, 1)[:rows, :width].copy()) for c in coarse]


def tiny_network() -> StyleNet:
    torch.manual_seed(0)
    return StyleNet(StyleNetConfig(width=4, blocks=1)).eval().requires_grad_(False)


def tiny_style(folder: Path, slug: str = "wave", /, **changes: object) -> dict[str, bytes]:
    """The three files of a style of a tiny network, there and by their names."""
    sha256 = save_network(tiny_network(), folder / f"{slug}.safetensors")
    (folder / f"{slug}.json").write_text(json.dumps({**RECORD, "sha256": sha256, **changes}))
    Image.new("RGB", (64, 48), "teal").save(folder / f"{slug}.jpg")
    return {path.name: path.read_bytes() for path in folder.glob(f"{slug}.*")}


def remembering(width: int, blocks: int) -> StyleNet:
    """A network as if it had learned of its past."""
    torch.manual_seed(0)
    network = StyleNet(StyleNetConfig(width, blocks)).eval().requires_grad_(False)
    for name in ("recall.1.weight", "keep.1.weight"):
        torch.nn.init.normal_(network.get_parameter(name), std=0.2)
    return network


def image_of(picture: Yuv) -> Tensor:
    """The image 1,3,H,W, not rounded."""
    return planes_to_image(torch.from_numpy(picture.pixels)[None], picture.matrix)


def paint_exactly(network: StyleNet, frame: Yuv, past: Past | None = None) -> Yuv:
    """What the network paints on the CPU in float32."""
    return image_to_yuv(network(image_of(frame), past), frame.matrix)
