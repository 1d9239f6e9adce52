"""The network as an OpenVINO graph: some two to four times as fast on a CPU as torch.

The graph is built from the network's weights, layer by layer as in `network.py`; it is compiled
for each size of frames, which takes a tenth of a second.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import cast

import numpy as np
import openvino as ov
import torch
from openvino import opset13 as op
from torch import Tensor, nn

from .engine import Engine, Pending, check_same_size, telling_lack_of_memory
from .frames import Size
from .memory import Remembered
from .network import MINIMUM, MULTIPLE, ConvNorm, ResidualBlock, StyleNet
from .yuv import ZERO, Bytes, Yuv, from_rgb_matrix, to_rgb_matrix

_TYPES = {"bfloat16": ov.Type.bf16, "float32": ov.Type.f32}
_CPU = torch.device("cpu")
_KEPT_SIZES = 4  # compiled for; a video has one
_STREAMS = 4  # frames that are painted side by side, at most; each takes memory


class OpenVinoEngine(Engine):
    """The network in OpenVINO, on the CPU, with as many threads as torch has."""

    def __init__(self, network: StyleNet, precision: str = "bfloat16") -> None:
        """`precision` is that of the convolutions: bfloat16, or float32 on CPUs without it."""
        self.name = f"openvino-{precision}"
        self.ahead = 2 * min(_STREAMS, torch.get_num_threads())  # none waits for the next frame
        self._compile = lru_cache(_KEPT_SIZES)(partial(_compile, network, precision))

    def submit(self, frames: Sequence[Yuv], past: Remembered | None = None) -> Pending:
        check_same_size(frames)
        with telling_lack_of_memory(frames[0].size, _CPU):
            jobs = [self._start(frame, past) for frame in frames]

        def wait() -> list[Yuv]:
            with telling_lack_of_memory(frames[0].size, _CPU):
                return [job.take() for job in jobs]

        return wait

    def _start(self, frame: Yuv, past: Remembered | None) -> "_Job":
        pixels = np.require(frame.pixels, requirements=["C", "W"])  # as OpenVINO wants them
        whole, painted = Yuv(pixels, frame.matrix), Yuv(np.empty_like(pixels), frame.matrix)
        compiled = self._compile(past is not None, frame.matrix, *frame.size)
        request = compiled.request()
        given = _planes(whole)
        if past is not None:
            given += [*_planes(past.painting), past.trust[None, None]]
        for number, part in enumerate(given):
            request.set_input_tensor(number, ov.Tensor(part, shared_memory=True))
        for number, part in enumerate(_planes(painted)):
            request.set_output_tensor(number, ov.Tensor(part, shared_memory=True))
        request.start_async()
        return _Job(request, compiled, given, painted)


@dataclass
class _Compiled:
    """A model for one size, and its requests that wait for work."""

    model: ov.CompiledModel
    idle: deque[ov.InferRequest] = field(default_factory=deque)

    def request(self) -> ov.InferRequest:
        try:
            return self.idle.pop()
        except IndexError:
            return self.model.create_infer_request()


def _compile(
    network: StyleNet, precision: str, remembers: bool, matrix: str, height: int, width: int
) -> _Compiled:
    model = build_model(network, (height, width), matrix, remembers)
    threads = torch.get_num_threads()
    settings = {
        "INFERENCE_PRECISION_HINT": _TYPES[precision],
        "INFERENCE_NUM_THREADS": threads,
        # Side by side, none waits for another's threads; but with a past, it is one by one.
        "NUM_STREAMS": 1 if remembers else min(_STREAMS, threads),
        "ENABLE_CPU_PINNING": False,  # decoder, stabilizer and encoder want the cores, too
    }
    return _Compiled(_core().compile_model(model, "CPU", settings))


@lru_cache(1)
def _core() -> ov.Core:
    """The process's only one, which stays. Each sets its thread's alternate signal stack, and two
    leave one behind that is gone: then the next signal, such as Ctrl-C, ends the process with a
    segmentation fault (seen with OpenVINO 2026.4)."""
    return ov.Core()


@dataclass
class _Job:
    """A request at work; OpenVINO reads what it is given where it lies, and writes into the
    painting.

    The request comes first, and so is let go of first: that waits until it is done with the others.
    """

    request: ov.InferRequest
    compiled: _Compiled
    given: list[Bytes]
    painted: Yuv

    def take(self) -> Yuv:
        """Wait for the painting, which may be asked for once."""
        self.request.wait()
        self.compiled.idle.append(self.request)
        return self.painted


def _planes(picture: Yuv) -> list[Bytes]:
    return [picture.luma[None, None], picture.chroma[None]]


def build_model(network: StyleNet, size: Size, matrix: str, remembers: bool = False) -> ov.Model:
    """The network's graph for YUV pictures of `size` (height, width) and a matrix: uint8 1,1,H,W
    and 1,2,H/2,W/2, in and out; if it remembers, those of the last painting and 1,1,H/2,W/2 of
    trust come in as well."""
    height, width = size
    given = _parameters(height, width)
    grains = _grains(given, height, width)
    enter = _from_yuv(_conv2d(network.enter), matrix)
    past: tuple[ov.Node, ov.Node] | None = None
    if remembers:
        painting, trust = _parameters(height, width), _plane(1, height // 2, width // 2)
        given += [*painting, trust]
        known = _pad(op.convert(trust, ov.Type.f32), height // 2, width // 2, 2)
        known = op.multiply(known, np.float32(1 / 255))
        past = _grains(painting, height, width), known
    light, color = _network(network, grains, enter, past, matrix)
    light = _crop(op.depth_to_space(light, "depth_first", 2), height, width)
    color = _crop(color, height // 2, width // 2)
    # OpenVINO's type hints name another class.
    return ov.Model([_levels(light), _levels(color)], given, "stylenet")  # pyright: ignore


def _plane(channels: int, height: int, width: int) -> ov.Node:
    return op.parameter([1, channels, height, width], ov.Type.u8)


def _parameters(height: int, width: int) -> list[ov.Node]:
    return [_plane(1, height, width), _plane(2, height // 2, width // 2)]


def _grains(picture: list[ov.Node], height: int, width: int) -> ov.Node:
    """Levels less 128, padded, of 2 x 2 Y and one Cb and Cr: six channels."""
    luma, chroma = picture
    gray = np.float32(128)
    light = _pad(op.subtract(op.convert(luma, ov.Type.f32), gray), height, width)
    color = _pad(op.subtract(op.convert(chroma, ov.Type.f32), gray), height // 2, width // 2, 2)
    return op.concat([op.space_to_depth(light, "depth_first", 2), color], 1)


def _network(
    network: StyleNet,
    grains: ov.Node,
    enter: nn.Conv2d,
    past: tuple[ov.Node, ov.Node] | None,
    matrix: str,
) -> tuple[ov.Node, ov.Node]:
    """`StyleNet.forward`, from squares of 2 x 2 pixels as channels, to levels of Y, 4 channels, and
    of Cb and Cr, 2 channels.

    Args:
        enter: the first convolution, for what `grains` are.
        past: the last painting's grains, and trust.
    """
    entered = _conv(grains, enter)
    if past is not None:
        seen = op.concat([op.multiply(*past), past[1]], 1)
        entered = op.add(entered, _conv(seen, _from_yuv(_conv2d(network.recall), matrix)))
    features = op.relu(_norm(entered, network.enter))
    features = op.relu(_conv_norm(features, network.down))
    for block in cast(Iterable[ResidualBlock], network.blocks):
        inner = op.relu(_conv_norm(features, block.first))
        features = op.add(features, _conv_norm(inner, block.second))
    features = op.relu(_conv_norm(_twice(features), network.up))
    light, color = _to_yuv(op.sigmoid(_conv(features, _conv2d(network.leave))), matrix)
    if past is None:
        return light, color
    # The share is the same for 2 x 2 pixels and all colors, so it may as well be taken in YUV.
    share = op.multiply(op.sigmoid(_conv(features, _conv2d(network.keep))), past[1])
    kept = op.add(past[0], np.float32(128))
    return _mix(light, _channels(kept, 0, 4), share), _mix(color, _channels(kept, 4, 6), share)


def _channels(image: ov.Node, start: int, end: int) -> ov.Node:
    one = np.array([1])  # as the step, and as the axis
    return op.slice(image, np.array([start]), np.array([end]), one, one)


def _mix(painted: ov.Node, kept: ov.Node, share: ov.Node) -> ov.Node:
    return op.add(painted, op.multiply(share, op.subtract(kept, painted)))


def _conv2d(layers: nn.Module) -> nn.Conv2d:
    """The convolution that follows on a padding."""
    return cast(nn.Conv2d, cast(nn.Sequential, layers)[1])


@torch.no_grad()
def _from_yuv(conv: nn.Conv2d, matrix: str) -> nn.Conv2d:
    """The convolution of centered RGB, 12 channels (color, then place), for levels less 128 of four
    Y and one Cb and Cr, 6 channels: what comes out is the same.

    Of a 13th channel, trust, which has multiplied the others, it makes the seventh.
    """
    to_rgb, offset = (torch.from_numpy(part) for part in to_rgb_matrix(matrix))
    weight = conv.weight.float().cpu()
    colors = weight[:, :12].unflatten(1, (3, 4))  # out, color, place, 3, 3
    light = torch.einsum("c,ocpij->opij", to_rgb[:, 0], colors)
    color = torch.einsum("ck,ocpij->okij", to_rgb[:, 1:], colors)
    middle = to_rgb.sum(1) * 128 + offset - 0.5  # what levels of 128 are to the network
    known = weight[:, 12:] + torch.einsum("c,ocpij->oij", middle, colors).unsqueeze(1)
    same = nn.Conv2d(6, len(weight), 3)
    if conv.bias is None:
        same.weight, same.bias = nn.Parameter(torch.cat([light, color, known], dim=1)), None
        return same
    same.weight.copy_(torch.cat([light, color], dim=1))
    same.bias = nn.Parameter(conv.bias.float().cpu() + torch.einsum("c,ocpij->o", middle, colors))
    return same


def _to_yuv(painted: ov.Node, matrix: str) -> tuple[ov.Node, ov.Node]:
    """Levels of Y, 4 channels, and of Cb and Cr, 2 channels, of RGB in 12 channels."""
    factors = from_rgb_matrix(matrix)
    colors = [_channels(painted, start, start + 4) for start in (0, 4, 8)]
    means = [op.reduce_mean(color, np.array([1]), True) for color in colors]

    def mix(parts: list[ov.Node], row: int) -> ov.Node:
        terms = [op.multiply(part, f) for part, f in zip(parts, factors[row], strict=True)]
        return op.add(op.add(op.add(terms[0], terms[1]), terms[2]), ZERO[row])

    return mix(colors, 0), op.concat([mix(means, 1), mix(means, 2)], 1)


def _levels(values: ov.Node) -> ov.Node:
    """Rounded to uint8."""
    return op.convert(op.floor(op.add(values, np.float32(0.5))), ov.Type.u8)


def _pad(image: ov.Node, height: int, width: int, times: int = 1) -> ov.Node:
    """`frames.pad` to what the network takes, of a plane with a value for `times` pixels a way."""
    multiple, minimum = MULTIPLE // times, MINIMUM // times
    down = max(-(-height // multiple) * multiple, minimum) - height
    right = max(-(-width // multiple) * multiple, minimum) - width
    if down == 0 and right == 0:
        return image
    return op.pad(image, np.array([0, 0, 0, 0]), np.array([0, 0, down, right]), "edge")


def _crop(image: ov.Node, height: int, width: int) -> ov.Node:
    """`frames.unpad`."""
    axes = np.array([2, 3])
    return op.slice(image, np.array([0, 0]), np.array([height, width]), np.array([1, 1]), axes)


def _twice(features: ov.Node) -> ov.Node:
    """Bilinear, pixel centers at halves."""
    factors = np.array([2, 2], np.float32)
    return op.interpolate(features, factors, "linear_onnx", "scales", axes=np.array([2, 3]))


def _conv_norm(features: ov.Node, layer: ConvNorm) -> ov.Node:
    return _norm(_conv(features, _conv2d(layer)), layer)


def _conv(features: ov.Node, conv: nn.Conv2d) -> ov.Node:
    """Reflection padding and the convolution."""
    step, reach = list(conv.stride), list(conv.dilation)
    edges = np.array([0, 0, *reach])
    padded = op.pad(features, edges, edges, "reflect")
    summed = op.convolution(padded, _numbers(conv.weight), step, [0, 0], [0, 0], reach)
    return summed if conv.bias is None else op.add(summed, _numbers(conv.bias, per_channel=True))


def _norm(features: ov.Node, layer: ConvNorm) -> ov.Node:
    norm = cast(nn.InstanceNorm2d, layer[2])
    normal = op.mvn(features, np.array([2, 3]), True, norm.eps, "inside_sqrt")
    scaled = op.multiply(normal, _numbers(norm.weight, per_channel=True))
    return op.add(scaled, _numbers(norm.bias, per_channel=True))


def _numbers(parameter: Tensor, per_channel: bool = False) -> np.ndarray:
    numbers = parameter.detach().float().cpu().numpy()
    return numbers.reshape(1, -1, 1, 1) if per_channel else numbers
