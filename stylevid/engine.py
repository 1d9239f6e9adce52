"""How a network runs on a device: uint8 frames in, uint8 frames out, converted on the device.

Here is what all engines have in common, and torch, which runs everywhere and is the reference;
`openvino_engine.py` is faster on CPUs. `plans.py` chooses.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from .errors import StylevidError
from .frames import Frame
from .network import StyleNet
from .tiles import MIN_TILE, paint_in_tiles

log = logging.getLogger(__name__)

Pending = Callable[[], list[Frame]]
"""Waits for frames that are being painted, and returns them in order."""


class Engine(ABC):
    """A network on a device, ready to paint.

    Attributes:
        name: what runs, such as "openvino-bfloat16".
        device: where floating-point images come from and go to.
        batch: frames that are best painted together.
    """

    name: str
    device: torch.device
    batch: int = 1

    @abstractmethod
    def submit(self, frames: Sequence[Frame]) -> Pending:
        """Start painting frames of one size, uint8 H,W,3 RGB, without waiting where the device
        allows it; they must not change until the result has been taken.

        Raises:
            StylevidError: there is not enough memory for frames of this size, said here or by
                what is returned.
        """

    @abstractmethod
    def __call__(self, image: Tensor) -> Tensor:
        """The painting, N,3,H,W float32 in [0, 1], of an image N,3,H,W in [0, 1]."""


class FrameNet(nn.Module):
    """The network between uint8 frames N,H,W,3: scaled, painted and rounded on the device."""

    def __init__(self, network: StyleNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> Tensor:
        weight = next(self.network.parameters())
        image = frames.permute(0, 3, 1, 2).to(weight.dtype).div(255)  # N,3,H,W, channels last
        return _rounded(self.network(image))


class TorchEngine(Engine):
    """The network in torch, on any device.

    When memory runs out, fewer frames go in at once, then parts of a frame.
    """

    def __init__(
        self, network: StyleNet, device: torch.device, dtype: torch.dtype,
        batch: int = 1, compiled: bool = False,
    ) -> None:  # fmt: skip
        """
        Args:
            network: taken over, not copied.
            compiled: through torch.compile, which takes half a minute for each new size and is
                given up for plain torch where it does not work.
        """
        precision = str(dtype).removeprefix("torch.")
        self.name = f"torch-{precision}{'-compiled' if compiled else ''}"
        self.device, self.dtype, self.batch = device, dtype, batch
        network = network.eval().requires_grad_(False).to(device, dtype)
        self.network = network.to(memory_format=torch.channels_last)  # pyright: ignore
        self._plain = FrameNet(self.network)
        mode = "reduce-overhead" if device.type == "cuda" else None  # with CUDA graphs
        self._fast = torch.compile(self._plain, dynamic=False, mode=mode) if compiled else None

    @torch.inference_mode()
    def submit(self, frames: Sequence[Frame]) -> Pending:
        height, width = check_same_size(frames)
        on_gpu = self.device.type == "cuda"
        stacked = torch.empty((len(frames), height, width, 3), dtype=torch.uint8, pin_memory=on_gpu)
        np.stack(frames, out=stacked.numpy())
        painted = self._paint(stacked.to(self.device, non_blocking=True))
        if not on_gpu:
            return lambda: list(painted.numpy())
        # Pinned memory is kept for reuse by torch, so these are two buffers in turn.
        home = torch.empty_like(painted, device="cpu", pin_memory=True)
        home.copy_(painted, non_blocking=True)
        done = torch.cuda.Event()
        done.record()

        def wait() -> list[Frame]:
            done.synchronize()
            return [frame.copy() for frame in home.numpy()]

        return wait

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> Tensor:
        image = image.to(self.device, self.dtype, memory_format=torch.channels_last)
        return self.network(image).float()

    def _paint(self, frames: Tensor) -> Tensor:
        """N,H,W,3 uint8, from the same, in as many pieces as memory asks for."""
        try:
            return self._run(frames)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        # Only here has the failed attempt let go of its memory.
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if len(frames) > 1:
            self.batch = max(1, len(frames) // 2)
            log.warning("memory for %d frames at once is short; going on with %d",
                        len(frames), self.batch)  # fmt: skip
            return torch.cat([self._paint(part) for part in frames.split(self.batch)])
        return self._paint_tiles(frames)

    def _run(self, frames: Tensor) -> Tensor:
        if self._fast is not None:
            try:
                # A CUDA graph overwrites its output when it runs again.
                return cast(Tensor, self._fast(frames)).clone()
            except Exception as error:  # whatever the compiler stumbles over
                if isinstance(error, RuntimeError) and is_out_of_memory(error):
                    raise
                log.warning("torch.compile does not work here (%s); going on without it",
                            str(error).splitlines()[0])  # fmt: skip
                self._fast = None
        return self._plain(frames)

    def _paint_tiles(self, frames: Tensor) -> Tensor:
        height, width = frames.shape[1:3]
        tile = 1024
        while tile >= MIN_TILE:
            log.warning("memory for %dx%d is short; painting in tiles of %d", width, height, tile)
            try:
                image = frames.permute(0, 3, 1, 2).to(self.dtype).div(255)
                return _rounded(paint_in_tiles(self.network, image, tile))
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            tile //= 2
        raise out_of_memory(height, width, self.device)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether this is how torch or OpenVINO says that memory ran out."""
    text = str(error).lower()
    words = ("not enough memory", "can't allocate memory", "bad_alloc", "out of memory")
    return isinstance(error, torch.OutOfMemoryError) or any(word in text for word in words)


def out_of_memory(height: int, width: int, device: torch.device) -> StylevidError:
    """What the user is told."""
    return StylevidError(
        f"There is not enough memory on {device} for frames of {width}x{height}. "
        "Choose a smaller size."
    )


def _rounded(image: Tensor) -> Tensor:
    """uint8 N,H,W,3, of an image N,3,H,W: clamped and rounded, as `frames.to_frame` does it."""
    return image.float().clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1)


def check_same_size(frames: Sequence[Frame]) -> tuple[int, int]:
    """(height, width) of the frames.

    Raises:
        ValueError: there is none, one is not uint8 H,W,3, or their sizes differ.
    """
    sizes = {frame.shape for frame in frames if frame.dtype == np.uint8 and frame.ndim == 3}
    if len(sizes) != 1 or next(iter(sizes))[2] != 3:
        raise ValueError(f"frames are uint8 H,W,3 of one size; got {[f.shape for f in frames]}")
    height, width, _ = sizes.pop()
    return height, width
