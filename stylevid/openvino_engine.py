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
from .network import MINIMUM, MULTIPLE, ConvNorm, ResidualBlock, StyleNet
from .yuv import ZERO, Yuv, from_rgb_matrix, to_rgb_matrix

_TYPES = {"bfloat16": ov.Type.bf16, "float32": ov.Type.f32}
_CPU = torch.device("cpu")
_KEPT_SIZES = 4  # compiled for; a video has one
_STREAMS = 4  # frames that are painted side by side, at most; each takes memory


class OpenVinoEngine(Engine):
    """The network in OpenVINO, on the CPU, with as many threads as torch has."""

    def __init__(self, network: StyleNet, precision: str = "bfloat16") -> None:
        """
        Args:
            precision: of the convolutions: "bfloat16", or float32 as on CPUs without bfloat16.
        """
        self.name = f"openvino-{precision}"
        streams = min(_STREAMS, torch.get_num_threads())
        self.ahead = 2 * streams  # so that none waits for the next frame
        self._compile = lru_cache(_KEPT_SIZES)(partial(_compile, network, precision, streams))

    def submit(self, frames: Sequence[Yuv]) -> Pending:
        check_same_size(frames)
        with telling_lack_of_memory(frames[0].size, _CPU):
            jobs = [self._start(frame) for frame in frames]

        def wait() -> list[Yuv]:
            with telling_lack_of_memory(frames[0].size, _CPU):
                return [job.take() for job in jobs]

        return wait

    def _start(self, frame: Yuv) -> "_Job":
        pixels = np.require(frame.pixels, requirements=["C", "W"])  # as OpenVINO wants them
        whole, painted = Yuv(pixels, frame.matrix), Yuv(np.empty_like(pixels), frame.matrix)
        compiled = self._compile(frame.matrix, *frame.size)
        request = compiled.request()
        for number, part in enumerate((whole.luma[None, None], whole.chroma[None])):
            request.set_input_tensor(number, ov.Tensor(part, shared_memory=True))
        for number, part in enumerate((painted.luma[None, None], painted.chroma[None])):
            request.set_output_tensor(number, ov.Tensor(part, shared_memory=True))
        request.start_async()
        return _Job(request, compiled, whole, painted)


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
    network: StyleNet, precision: str, streams: int, matrix: str, height: int, width: int
) -> _Compiled:
    model = build_model(network, (height, width), matrix)
    settings = {
        "INFERENCE_PRECISION_HINT": _TYPES[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": streams,  # none waits for another's threads
        "ENABLE_CPU_PINNING": False,  # decoder, stabilizer and encoder want the cores, too
    }
    return _Compiled(ov.Core().compile_model(model, "CPU", settings))


@dataclass
class _Job:
    """A request at work; OpenVINO reads the frame where it lies, and writes into the painting.

    The request comes first, and so is let go of first: that waits until it is done with the others.
    """

    request: ov.InferRequest
    compiled: _Compiled
    frame: Yuv
    painted: Yuv

    def take(self) -> Yuv:
        """Wait for the painting, which may be asked for once."""
        self.request.wait()
        self.compiled.idle.append(self.request)
        return self.painted


def build_model(network: StyleNet, size: tuple[int, int], matrix: str) -> ov.Model:
    """The network's graph for YUV pictures of `size` (height, width) and a matrix: uint8 1,1,H,W
    and 1,2,H/2,W/2, in and out."""
    height, width = size
    luma = op.parameter([1, 1, height, width], ov.Type.u8)
    chroma = op.parameter([1, 2, height // 2, width // 2], ov.Type.u8)
    gray = np.float32(128)
    light = _pad(op.subtract(op.convert(luma, ov.Type.f32), gray), height, width)
    color = _pad(op.subtract(op.convert(chroma, ov.Type.f32), gray), height // 2, width // 2, 2)
    grains = op.concat([op.space_to_depth(light, "depth_first", 2), color], 1)
    painted = _network(network, grains, _from_yuv(cast(nn.Conv2d, network.enter[1]), matrix))
    light, color = _to_yuv(painted, matrix)
    light = _crop(op.depth_to_space(light, "depth_first", 2), height, width)
    color = _crop(color, height // 2, width // 2)
    # OpenVINO's type hints name another class.
    return ov.Model([_levels(light), _levels(color)], [luma, chroma], "stylenet")  # pyright: ignore


def _network(network: StyleNet, grains: ov.Node, enter: nn.Conv2d) -> ov.Node:
    """`StyleNet.forward`, from and to squares of 2 x 2 pixels as channels.

    Args:
        enter: the first convolution, for what `grains` are.
    """
    norm = cast(nn.InstanceNorm2d, network.enter[2])
    features = op.relu(_norm(_conv(grains, enter), norm))
    features = op.relu(_conv_norm(features, network.down))
    for block in cast(Iterable[ResidualBlock], network.blocks):
        inner = op.relu(_conv_norm(features, block.first))
        features = op.add(features, _conv_norm(inner, block.second))
    features = op.relu(_conv_norm(_twice(features), network.up))
    return op.sigmoid(_conv(features, cast(nn.Conv2d, network.leave[1])))


@torch.no_grad()
def _from_yuv(enter: nn.Conv2d, matrix: str) -> nn.Conv2d:
    """The convolution of centered RGB, 12 channels (color, then place), for levels less 128 of four
    Y and one Cb and Cr, 6 channels: what comes out is the same."""
    to_rgb, offset = (torch.from_numpy(part) for part in to_rgb_matrix(matrix))
    weight = enter.weight.float().cpu().unflatten(1, (3, 4))  # out, color, place, 3, 3
    light = torch.einsum("c,ocpij->opij", to_rgb[:, 0], weight)
    color = torch.einsum("ck,ocpij->okij", to_rgb[:, 1:], weight)
    middle = to_rgb.sum(1) * 128 + offset - 0.5  # what levels of 128 are to the network
    assert enter.bias is not None
    conv = nn.Conv2d(6, len(weight), weight.shape[-1], stride=cast(tuple[int, int], enter.stride))
    conv.weight.copy_(torch.cat([light, color], dim=1))
    conv.bias = nn.Parameter(enter.bias.float().cpu() + torch.einsum("c,ocpij->o", middle, weight))
    return conv


def _to_yuv(painted: ov.Node, matrix: str) -> tuple[ov.Node, ov.Node]:
    """Levels of Y, 4 channels, and of Cb and Cr, 2 channels, of RGB in 12 channels."""
    factors = from_rgb_matrix(matrix)
    one, axis = np.array([1]), np.array([1])
    colors = [op.slice(painted, np.array([i]), np.array([i + 4]), one, axis) for i in (0, 4, 8)]
    means = [op.reduce_mean(color, axis, True) for color in colors]

    def mix(parts: list[ov.Node], row: int) -> ov.Node:
        terms = [op.multiply(part, f) for part, f in zip(parts, factors[row], strict=True)]
        return op.add(op.add(op.add(terms[0], terms[1]), terms[2]), ZERO[row])

    return mix(colors, 0), op.concat([mix(means, 1), mix(means, 2)], 1)


def _levels(values: ov.Node) -> ov.Node:
    """Rounded to uint8."""
    return op.convert(op.floor(op.add(values, np.float32(0.5))), ov.Type.u8)


def _pad(image: ov.Node, height: int, width: int, times: int = 1) -> ov.Node:
    """`frames.pad` to what the network takes, of a plane that has one value for `times` pixels each
    way."""
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
    conv = _conv(features, cast(nn.Conv2d, layer[1]))
    return _norm(conv, cast(nn.InstanceNorm2d, layer[2]))


def _conv(features: ov.Node, conv: nn.Conv2d) -> ov.Node:
    """Reflection padding and the convolution."""
    assert conv.bias is not None
    edges = np.array([0, 0, 1, 1])
    padded = op.pad(features, edges, edges, "reflect")
    step = list(conv.stride)
    summed = op.convolution(padded, _numbers(conv.weight), step, [0, 0], [0, 0], [1, 1])
    return op.add(summed, _numbers(conv.bias, per_channel=True))


def _norm(features: ov.Node, norm: nn.InstanceNorm2d) -> ov.Node:
    normal = op.mvn(features, np.array([2, 3]), True, norm.eps, "inside_sqrt")
    scaled = op.multiply(normal, _numbers(norm.weight, per_channel=True))
    return op.add(scaled, _numbers(norm.bias, per_channel=True))


def _numbers(parameter: Tensor, per_channel: bool = False) -> np.ndarray:
    numbers = parameter.detach().float().cpu().numpy()
    return numbers.reshape(1, -1, 1, 1) if per_channel else numbers
