"""The network in each of our engines, the classic network and a peer, frame by frame."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice

import numpy as np
import torch

from ..frames import Frame, to_frame
from ..network import StyleNet
from ..painter import engine_names, make_engine
from ..yuv import Yuv, yuv_to_image
from .arithmetic import ConvShape, conv_shapes, count_macs, main_shape
from .classic import ClassicNet, TorchClassic
from .kernels import Limit, kernels, limits
from .peer import Peer, peer_contenders
from .race import Contender, Timing, Work, race, stopwatch


@dataclass(frozen=True)
class NetworkTimes:
    """One race between networks.

    Attributes:
        height, width: of the frames.
        macs, classic_macs: multiply-adds a frame, of ours and of the classic network.
        main_conv: where most of ours are spent.
        timings: of the contenders, without the kernels.
        limits: of the runtimes.
    """

    height: int
    width: int
    macs: int
    classic_macs: int
    main_conv: ConvShape
    timings: list[Timing]
    limits: list[Limit]


def time_networks(
    network: StyleNet,
    frames: Sequence[Yuv],
    device: torch.device,
    rounds: int,
    peer: Peer | None = None,
    gemm_side: int = 1024,
    calls: int = 2,
) -> NetworkTimes:
    """Race all networks, and bare arithmetic with them.

    Args:
        network: ours; copied.
        frames: some, of one size.
        peer: to race against, too.
        gemm_side: of the matrices whose product is timed.
    """
    height, width = frames[0].size
    names = engine_names(device)
    runtimes = list(dict.fromkeys([*names, "torch-float32"]))
    shapes = conv_shapes(network, height, width)
    bare = kernels(runtimes, main_shape(shapes), device, gemm_side)
    contenders = [our_contender(network, name, frames, device) for name in names]
    contenders += classic_contenders(names, to_frame(yuv_to_image(frames[0])), device)
    if peer is not None:
        contenders += peer_contenders(peer, height, width, device)
    macs = sum(shape.macs for shape in shapes)
    timings = race([*contenders, *(kernel.contender for kernel in bare)], rounds, calls)
    return NetworkTimes(
        height=height,
        width=width,
        macs=macs,
        classic_macs=count_macs(ClassicNet(), _in_fours(height), _in_fours(width)),
        main_conv=main_shape(shapes),
        timings=timings[: len(contenders)],
        limits=limits(macs, bare, timings),
    )


def our_contender(
    network: StyleNet, name: str, frames: Sequence[Yuv], device: torch.device
) -> Contender:
    """Our network in one engine, from and to YUV frames, some of them side by side as in a
    video."""

    def make() -> Work:
        engine = make_engine(deepcopy(network), device, name)
        clip = list(islice(cycle(frames), 4 * engine.ahead * engine.batch))
        return stopwatch(lambda: list(engine.paint(clip)), len(clip))

    return Contender(f"ours {name}", "ours", make)


def classic_contenders(names: Sequence[str], frame: Frame, device: torch.device) -> list[Contender]:
    """The classic network as people run it, tuned, and in our own runtime and precision."""
    height, width, _ = frame.shape
    down, right = _in_fours(height) - height, _in_fours(width) - width
    frame = np.pad(frame, ((0, down), (0, right), (0, 0)), mode="edge")

    def in_torch(dtype: torch.dtype, channels_last: bool) -> Work:
        run = TorchClassic(ClassicNet(), device, dtype, channels_last)
        return stopwatch(lambda: run(frame))

    def in_openvino(precision: str) -> Work:
        from .openvino_models import classic_model, compile_model

        run = compile_model(classic_model(ClassicNet(), *frame.shape[:2]), precision)
        return stopwatch(lambda: run(frame[None]))

    as_people = partial(in_torch, torch.float32, False)
    found = [Contender("classic torch-float32, as people run it", "classic", as_people)]
    for precision in ("bfloat16", "float16"):
        if any(name.endswith(f"-{precision}") for name in names):
            make = partial(in_torch, getattr(torch, precision), True)
            name = f"classic torch-{precision}, channels last"
            found.append(Contender(name, "classic", make))
    graphs = [name for name in names if name.startswith("openvino-")]
    for name in graphs[:1]:
        make = partial(in_openvino, name.removeprefix("openvino-"))
        found.append(Contender(f"classic {name}", "classic", make))
    return found


def _in_fours(side: int) -> int:
    return -(-side // 4) * 4
