"""The network as an OpenVINO graph: some two to four times as fast on a CPU as torch.

The graph is built from the network's weights, layer by layer as in `network.py`; it is compiled
for each size of frames, which takes a tenth of a second.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import cv2
import numpy as np
import openvino as ov
import torch
from openvino import opset13 as op
from torch import Tensor, nn

from .engine import Engine, Pending, check_same_size, is_out_of_memory, out_of_memory
from .frames import Frame, pad, size_of, unpad
from .network import MINIMUM, MULTIPLE, ConvNorm, ResidualBlock, StyleNet

Precision = Literal["bfloat16", "float32"]
_TYPES = {"bfloat16": ov.Type.bf16, "float32": ov.Type.f32}
_KEPT_SIZES = 4  # compiled for; a video has one


class OpenVinoEngine(Engine):
    """The network in OpenVINO, on the CPU, with as many threads as torch has."""

    device = torch.device("cpu")

    def __init__(self, network: StyleNet, precision: Precision = "bfloat16") -> None:
        """
        Args:
            network: not kept.
            precision: of the convolutions; CPUs without bfloat16 compute in float32 anyway.
        """
        self.name = f"openvino-{precision}"
        self._precision = precision
        self._frames_model = build_model(network, frames=True)
        self._image_model = build_model(network, frames=False)
        self._compiled: dict[tuple[bool, int, int, int], _Compiled] = {}

    def submit(self, frames: Sequence[Frame]) -> Pending:
        height, width = check_same_size(frames)
        padded = [_pad(frame) for frame in frames]
        inputs = np.stack(padded) if len(padded) > 1 else padded[0][None]  # no copy of a single one
        job = self._start(True, np.ascontiguousarray(inputs))
        return lambda: [frame[:height, :width] for frame in job.take()]

    def __call__(self, image: Tensor) -> Tensor:
        padded = pad(image.detach().float().cpu(), MULTIPLE, MINIMUM)
        painted = self._start(False, padded.contiguous().numpy()).take()
        return unpad(torch.from_numpy(painted), *size_of(image))

    def _start(self, frames: bool, inputs: np.ndarray) -> "_Job":
        """Start the graph on inputs N,H,W,3 uint8 or N,3,H,W float32."""
        height, width = inputs.shape[1:3] if frames else inputs.shape[2:]
        try:
            compiled = self._compile(frames, len(inputs), height, width)
            request = compiled.request()
            request.set_input_tensor(ov.Tensor(inputs, shared_memory=True))
            request.start_async()
        except RuntimeError as error:
            raise _told(error, height, width) from error
        return _Job(compiled, request, inputs)

    def _compile(self, frames: bool, count: int, height: int, width: int) -> "_Compiled":
        key = (frames, count, height, width)
        if key not in self._compiled:
            while len(self._compiled) >= _KEPT_SIZES:
                self._compiled.pop(next(iter(self._compiled)))
            model = (self._frames_model if frames else self._image_model).clone()
            model.reshape([count, height, width, 3] if frames else [count, 3, height, width])
            settings = {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": _TYPES[self._precision],
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            }
            self._compiled[key] = _Compiled(ov.Core().compile_model(model, "CPU", settings))
        return self._compiled[key]


@dataclass
class _Compiled:
    """A model for one size, and its requests that wait for work."""

    model: ov.CompiledModel
    idle: deque[ov.InferRequest] = field(default_factory=deque)

    def request(self) -> ov.InferRequest:
        return self.idle.pop() if self.idle else self.model.create_infer_request()


@dataclass
class _Job:
    """A request at work, and its inputs, which OpenVINO reads where they lie."""

    compiled: _Compiled
    request: ov.InferRequest
    inputs: np.ndarray

    def take(self) -> np.ndarray:
        """Wait for the result, which may be asked for once."""
        try:
            self.request.wait()
        except RuntimeError as error:
            height, width = sorted(self.inputs.shape)[-2:]
            raise _told(error, height, width) from error
        result = np.array(self.request.get_output_tensor().data)
        self.compiled.idle.append(self.request)
        return result


def _told(error: RuntimeError, height: int, width: int) -> Exception:
    if is_out_of_memory(error):
        return out_of_memory(height, width, OpenVinoEngine.device)
    return error


def _pad(frame: Frame) -> Frame:
    """`frames.pad` for a frame."""
    height, width, _ = frame.shape
    down = max(-(-height // MULTIPLE) * MULTIPLE, MINIMUM) - height
    right = max(-(-width // MULTIPLE) * MULTIPLE, MINIMUM) - width
    if down == 0 and right == 0:
        return frame
    return cast(Frame, cv2.copyMakeBorder(frame, 0, down, 0, right, cv2.BORDER_REPLICATE))


def build_model(network: StyleNet, frames: bool) -> ov.Model:
    """The network's graph, of any size.

    Args:
        frames: from and to uint8 N,H,W,3; else float32 N,3,H,W in [0, 1].
    """
    if frames:
        inputs = op.parameter([-1, -1, -1, 3], ov.Type.u8)
        scaled = op.multiply(op.convert(inputs, ov.Type.f32), np.float32(1 / 255))
        painted = _network(network, op.transpose(scaled, [0, 3, 1, 2]))
        levels = op.floor(op.add(op.multiply(painted, np.float32(255)), np.float32(0.5)))
        result = op.convert(op.transpose(levels, [0, 2, 3, 1]), ov.Type.u8)
    else:
        inputs = op.parameter([-1, 3, -1, -1], ov.Type.f32)
        result = _network(network, inputs)
    # OpenVINO's type hints name another class.
    return ov.Model([result], [inputs], "stylenet")  # pyright: ignore[reportGeneralTypeIssues]


def _network(network: StyleNet, image: ov.Node) -> ov.Node:
    """`StyleNet.forward`, for sides that are multiples of four."""
    centered = op.subtract(image, np.float32(0.5))
    features = op.relu(_conv_norm(op.space_to_depth(centered, "depth_first", 2), network.enter))
    features = op.relu(_conv_norm(features, network.down))
    for block in cast(Iterable[ResidualBlock], network.blocks):
        inner = op.relu(_conv_norm(features, block.first))
        features = op.add(features, _conv_norm(inner, block.second))
    features = op.relu(_conv_norm(_twice(features), network.up))
    features = _conv(features, cast(nn.Conv2d, network.leave[1]))
    return op.sigmoid(op.depth_to_space(features, "depth_first", 2))


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
