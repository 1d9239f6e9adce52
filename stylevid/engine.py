"""How a network runs on a device: YUV frames in, YUV frames out, converted on the device.

Here is what all engines have in common, and torch, which runs everywhere and is the reference;
`openvino_engine.py` is faster on CPUs. `plans.py` chooses.
"""

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from .errors import StylevidError
from .frames import size_of
from .network import StyleNet
from .tiles import MIN_TILE, paint_in_tiles
from .yuv import Yuv, image_to_planes, planes_to_image

log = logging.getLogger(__name__)

Pending = Callable[[], list[Yuv]]
"""Waits for frames that are being painted, and returns them in order."""


class Engine(ABC):
    """A network on a device, ready to paint.

    Attributes:
        name: what runs, such as "openvino-bfloat16".
        batch: frames that are best painted together.
        ahead: batches that are best submitted before the first one's result is taken.
    """

    name: str
    batch: int = 1
    ahead: int = 1

    @abstractmethod
    def submit(self, frames: Sequence[Yuv]) -> Pending:
        """Start painting frames of one size and matrix without waiting where the device allows it;
        they must not change until the result has been taken.

        Raises:
            StylevidError: there is not enough memory for frames of this size, said here or by
                what is returned.
        """

    def paint(self, frames: Iterable[Yuv]) -> Iterator[Yuv]:
        """The paintings of frames of one size and matrix, in order.

        While a result is used, the next frames are being painted; no more of them are taken than
        the engine keeps ahead, and one batch.

        Raises:
            StylevidError: there is not enough memory for frames of this size.
        """
        source = iter(frames)
        waiting: deque[Pending] = deque()
        while True:
            group = list(islice(source, self.batch))
            if group:
                waiting.append(self.submit(group))
            if len(waiting) > self.ahead or (waiting and not group):
                yield from waiting.popleft()()
            elif not group:
                return


class FrameNet(nn.Module):
    """The network between YUV frames, uint8 N,3*H/2,W."""

    def __init__(self, network: StyleNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor, matrix: str) -> Tensor:
        weight = next(self.network.parameters())
        image = planes_to_image(pixels, matrix)
        image = image.to(weight.dtype, memory_format=torch.channels_last)
        return image_to_planes(self.network(image), matrix)


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
    def submit(self, frames: Sequence[Yuv]) -> Pending:
        check_same_size(frames)
        on_gpu, matrix = self.device.type == "cuda", frames[0].matrix
        shape = (len(frames), *frames[0].pixels.shape)
        stacked = torch.empty(shape, dtype=torch.uint8, pin_memory=on_gpu)
        np.stack([frame.pixels for frame in frames], out=stacked.numpy())
        painted = self._paint(stacked.to(self.device, non_blocking=True), matrix)
        if not on_gpu:
            return lambda: [Yuv(pixels, matrix) for pixels in painted.numpy()]
        # Pinned memory is kept for reuse by torch, so these are two buffers in turn.
        home = torch.empty_like(painted, device="cpu", pin_memory=True)
        home.copy_(painted, non_blocking=True)
        done = torch.cuda.Event()
        done.record()

        def wait() -> list[Yuv]:
            done.synchronize()
            return [Yuv(pixels.copy(), matrix) for pixels in home.numpy()]

        return wait

    def _paint(self, frames: Tensor, matrix: str) -> Tensor:
        """N,3*H/2,W uint8, from the same, in as many pieces as memory asks for."""
        try:
            return self._run(frames, matrix)
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
            return torch.cat([self._paint(part, matrix) for part in frames.split(self.batch)])
        return self._paint_tiles(frames, matrix)

    def _run(self, frames: Tensor, matrix: str) -> Tensor:
        if self._fast is not None:
            try:
                # A CUDA graph overwrites its output when it runs again.
                return cast(Tensor, self._fast(frames, matrix)).clone()
            except Exception as error:  # whatever the compiler stumbles over
                if isinstance(error, RuntimeError) and is_out_of_memory(error):
                    raise
                log.warning("torch.compile does not work here (%s); going on without it",
                            str(error).splitlines()[0])  # fmt: skip
                self._fast = None
        return self._plain(frames, matrix)

    def _paint_tiles(self, frames: Tensor, matrix: str) -> Tensor:
        image = planes_to_image(frames, matrix).to(self.dtype)
        height, width = size_of(image)
        tile = 1024
        while tile >= MIN_TILE:
            log.warning("memory for %dx%d is short; painting in tiles of %d", width, height, tile)
            try:
                return image_to_planes(paint_in_tiles(self.network, image, tile), matrix)
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


def check_same_size(frames: Sequence[Yuv]) -> None:
    """
    Raises:
        ValueError: there is no frame, or their sizes or matrices differ.
    """
    if len({(frame.size, frame.matrix) for frame in frames}) != 1:
        raise ValueError(f"frames are of one size; got {[frame.size for frame in frames]}")
