"""How a network runs on a device: YUV frames in, YUV frames out, converted on the device.

Here is what all engines have in common, and torch, which runs everywhere and is the reference;
`openvino_engine.py` is faster on CPUs. `painter.py` chooses.
"""

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from .errors import StylevidError
from .frames import Size
from .memory import Remembered
from .network import Past, StyleNet
from .tiles import paint_in_tiles
from .yuv import Yuv, image_to_planes, planes_to_image

log = logging.getLogger(__name__)

_TILES = (1024, 512, 256, 128)  # pixels, the sides that are tried where memory is short

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
    def submit(self, frames: Sequence[Yuv], past: Remembered | None = None) -> Pending:
        """Start painting frames of one size and matrix without waiting where the device allows it;
        they must not change until the result has been taken.

        Args:
            past: what is remembered for a single frame; None paints each frame by itself.
        Raises:
            StylevidError: there is not enough memory for frames of this size, said here or by
                what is returned.
        """

    def paint(self, frames: Iterable[Yuv]) -> Iterator[Yuv]:
        """The paintings of frames of one size and matrix, in order.

        While a result is used, the next frames are being painted; no more of them are taken than
        the engine keeps ahead, and one batch. Lack of memory is raised as by `submit`.
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


class TorchEngine(Engine):
    """The network in torch, on any device.

    When memory runs out, fewer frames go in at once, then parts of a frame; what worked for a size
    is tried first the next time.
    """

    def __init__(
        self, network: StyleNet, device: torch.device, dtype: torch.dtype, batch: int = 1
    ) -> None:
        """The network is taken over, not copied."""
        self.name = f"torch-{str(dtype).removeprefix('torch.')}"
        self.device, self.dtype, self.batch = device, dtype, batch
        network = network.eval().requires_grad_(False).to(device, dtype)
        self.network = network.to(memory_format=torch.channels_last)  # pyright: ignore
        self._worked: dict[Size, tuple[int, int | None]] = {}

    @torch.inference_mode()
    def submit(self, frames: Sequence[Yuv], past: Remembered | None = None) -> Pending:
        check_same_size(frames)
        size, matrix = frames[0].size, frames[0].matrix
        on_gpu = self.device.type == "cuda"
        with telling_lack_of_memory(size, self.device):
            shape = (len(frames), *frames[0].pixels.shape)
            stacked = torch.empty(shape, dtype=torch.uint8, pin_memory=on_gpu)
            np.stack([frame.pixels for frame in frames], out=stacked.numpy())
            painted = self._paint(stacked.to(self.device, non_blocking=True), size, matrix,
                                  self._past(past))  # fmt: skip
            take = bring_home(painted, self.device) if on_gpu else painted.cpu().numpy

        def wait() -> list[Yuv]:
            with telling_lack_of_memory(size, self.device):
                return [Yuv(pixels, matrix) for pixels in take()]

        return wait

    def _past(self, past: Remembered | None) -> Past | None:
        if past is None:
            return None
        pixels = torch.from_numpy(past.painting.pixels[None]).to(self.device)
        trust = torch.from_numpy(past.trust[None, None]).to(self.device, self.dtype) / 255
        return Past(planes_to_image(pixels, past.painting.matrix).to(self.dtype), trust)

    def _paint(self, frames: Tensor, size: Size, matrix: str, past: Past | None) -> Tensor:
        """N,3*H/2,W uint8, from the same, in as many pieces as memory asks for."""
        ways = _ways(self.batch, size)
        for way in ways[ways.index(self._worked.get(size, ways[0])) :]:
            count, tile = way
            try:
                parts = [self._run(part, matrix, tile, past) for part in frames.split(count)]
                painted = torch.cat(parts)
                self._worked[size] = way
                return painted
            except RuntimeError as error:
                if not is_out_of_memory(error) or way == ways[-1]:
                    raise
            # Only here has the failed attempt let go of its memory.
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            log.warning("memory for %d frames of %dx%d %s is short; trying less", count,
                        size[1], size[0], f"in tiles of {tile}" if tile else "at once")  # fmt: skip
        raise AssertionError("the last way returns or raises")

    def _run(self, frames: Tensor, matrix: str, tile: int | None, past: Past | None) -> Tensor:
        image = planes_to_image(frames, matrix)
        image = image.to(self.dtype, memory_format=torch.channels_last)
        if tile:
            painted = paint_in_tiles(self.network, image, tile, past)
        else:
            painted = self.network(image, past)
        return image_to_planes(painted, matrix)


def _ways(batch: int, size: Size) -> list[tuple[int, int | None]]:
    """Frames at once and the side of a tile, None for whole frames: each way takes less memory."""
    tiles = [(1, tile) for tile in _TILES if tile < max(size)]
    return [*((batch >> halved, None) for halved in range(batch.bit_length())), *tiles]


def bring_home(painted: Tensor, device: torch.device) -> Callable[[], np.ndarray]:
    """Start to copy off a GPU, behind the work on its stream; what is returned waits for it."""
    # Pinned memory is kept for reuse by torch, so these are two buffers in turn.
    home = torch.empty_like(painted, device="cpu", pin_memory=True)
    home.copy_(painted, non_blocking=True)
    done = torch.cuda.Event()
    done.record(torch.cuda.current_stream(device))  # the current device may be another one

    def take() -> np.ndarray:
        done.synchronize()
        return home.numpy().copy()

    return take


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is how torch, numpy or OpenVINO says that memory ran out."""
    text = str(error).lower()
    words = ("not enough memory", "can't allocate memory", "bad_alloc", "out of memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(w in text for w in words)


@contextmanager
def telling_lack_of_memory(size: Size, device: torch.device) -> Generator[None]:
    """Raise one StylevidError for whatever says that memory for frames of `size` ran out."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        height, width = size
        raise StylevidError(f"There is not enough memory on {device} for frames of "
                            f"{width}x{height}. Choose a smaller size.") from error  # fmt: skip


def check_same_size(frames: Sequence[Yuv]) -> None:
    """Raise a ValueError where there is no frame, or their sizes or matrices differ."""
    if len({(frame.size, frame.matrix) for frame in frames}) != 1:
        raise ValueError(f"frames are of one size; got {[frame.size for frame in frames]}")
