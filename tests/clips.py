"""Clips made by code, and what is in them by another reader than ours."""

import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from stylevid.frames import to_frame


def run_ffmpeg(*arguments: object, stdin: bytes = b"") -> None:
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, input=stdin, check=True, timeout=60)


def generated(lavfi: str) -> tuple[str, ...]:
    """A picture or sound of ffmpeg's own making, as its input."""
    return ("-f", "lavfi", "-i", lavfi)


def tone(seconds: float = 0.4) -> tuple[str, ...]:
    return generated(f"sine=duration={seconds}")


def encode(
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
    run_ffmpeg(
        "-f", "rawvideo", "-pix_fmt", pixels, "-s", f"{width}x{height}", "-r", rate,
        "-i", "pipe:0", *sound, "-c:v", "libx264", "-preset", "ultrafast", "-crf", "4",
        *(("-pix_fmt", "yuv420p") if pixels == "rgb24" else ()), *options, path,
        stdin=b"".join(frame.tobytes() for frame in frames),
    )  # fmt: skip
    return path


def decode(path: Path) -> list[tuple[Fraction, np.ndarray]]:
    """The time in seconds and the RGB frame of every picture, by PyAV."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        return [
            (Fraction(frame.pts) * frame.time_base, frame.to_ndarray(format="rgb24"))
            for frame in container.decode(video=0)
        ]


def sound_packets(path: Path) -> list[tuple[float, bytes]]:
    """The time in seconds and the bytes of every packet of sound."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.pts is not None]
        return [(float(p.pts * p.time_base), bytes(p)) for p in packets]


def textured_frames(
    count: int = 10, height: int = 32, width: int = 48, seed: int = 0
) -> list[np.ndarray]:
    """A smooth random texture of muted colors that moves right by a pixel a frame."""
    coarse = torch.rand(1, 3, 8, 20, generator=torch.Generator().manual_seed(seed))
    coarse = 0.8 * coarse[:, :1] + 0.2 * coarse
    texture = torch.nn.functional.interpolate(coarse, (height, width + count), mode="bicubic")
    pixels = to_frame(texture)
    return [np.ascontiguousarray(pixels[:, count - i :][:, :width]) for i in range(count)]


def noisy_frames(count: int, height: int = 64, width: int = 96) -> list[np.ndarray]:
    """A still texture under noise."""
    still, chance = textured_frames(1, height, width)[0], np.random.default_rng(0)
    noise = (chance.normal(0, 6, still.shape) for _ in range(count))
    return [(still + grain).clip(0, 255).astype(np.uint8) for grain in noise]
