"""What the benchmark runs in OpenVINO beside our own network: the classic network, a large matrix
product and a chain of convolutions. Import it only where OpenVINO may be missing without harm."""

from collections.abc import Callable

import numpy as np
import openvino as ov
import torch
from openvino import opset13 as op
from torch import nn

from .arithmetic import ConvShape
from .classic import ClassicBlock, ClassicNet

_TYPES = {"bfloat16": ov.Type.bf16, "float32": ov.Type.f32}


def compile_model(model: ov.Model, precision: str) -> Callable[[np.ndarray], np.ndarray]:
    """The model on the CPU, set as our own engine sets it: one input, one output, a new array."""
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": _TYPES[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()

    def run(inputs: np.ndarray) -> np.ndarray:
        request.set_input_tensor(ov.Tensor(inputs, shared_memory=True))
        request.infer()
        return np.array(request.get_output_tensor().data)

    return run


def classic_model(network: ClassicNet, height: int, width: int) -> ov.Model:
    """The classic network between uint8 frames 1,H,W,3, built layer by layer: as good a graph as
    ours, and nothing of OpenVINO's converter, which likes to report home."""
    inputs = op.parameter([1, height, width, 3], ov.Type.u8)
    scaled = op.multiply(op.convert(inputs, ov.Type.f32), np.float32(1 / 255))
    painted = op.clamp(_layers(op.transpose(scaled, [0, 3, 1, 2]), network), 0, 1)
    levels = op.floor(op.add(op.multiply(painted, np.float32(255)), np.float32(0.5)))
    return _model(op.convert(op.transpose(levels, [0, 2, 3, 1]), ov.Type.u8), inputs)


def _layers(features: ov.Node, layers: nn.Sequential) -> ov.Node:
    for layer in layers:
        features = _layer(features, layer)
    return features


def _layer(features: ov.Node, layer: nn.Module) -> ov.Node:
    match layer:
        case nn.Sequential():
            return _layers(features, layer)
        case ClassicBlock():
            inner = op.relu(_layers(features, layer.first))
            return op.add(features, _layers(inner, layer.second))
        case nn.ReflectionPad2d():
            edges = np.array([0, 0, layer.padding[0], layer.padding[0]])
            return op.pad(features, edges, edges, "reflect")
        case nn.Conv2d():
            assert layer.bias is not None
            convolved = _conv(features, _numbers(layer.weight), layer.stride[0], padding=0)
            return op.add(convolved, _numbers(layer.bias).reshape(1, -1, 1, 1))
        case nn.InstanceNorm2d():
            normal = op.mvn(features, np.array([2, 3]), True, layer.eps, "inside_sqrt")
            scaled = op.multiply(normal, _numbers(layer.weight).reshape(1, -1, 1, 1))
            return op.add(scaled, _numbers(layer.bias).reshape(1, -1, 1, 1))
        case nn.ReLU():
            return op.relu(features)
        case nn.Upsample():
            factors, axes = np.array([2, 2], np.float32), np.array([2, 3])
            return op.interpolate(
                features, factors, "nearest", "scales", axes=axes,
                coordinate_transformation_mode="asymmetric", nearest_mode="floor",
            )  # fmt: skip
        case _:
            raise TypeError(f"the classic network has no {type(layer).__name__}")


def gemm_model(side: int) -> ov.Model:
    """A matrix, side,side, times a constant one."""
    inputs = op.parameter([side, side], ov.Type.f32)
    return _model(op.matmul(inputs, _random(side, side), False, False), inputs)


def conv_model(shapes: list[ConvShape]) -> ov.Model:
    """Convolutions in a row, zero-padded, each fed by the one before."""
    first = shapes[0]
    inputs = op.parameter([1, first.inputs, first.height, first.width], ov.Type.f32)
    features: ov.Node = inputs
    for shape in shapes:
        weight = _random(shape.outputs, shape.inputs // shape.groups, *shape.kernel)
        features = _conv(features, weight, 1, shape.kernel[0] // 2, shape.groups)
    return _model(features, inputs)


def _conv(
    features: ov.Node, weight: np.ndarray, stride: int, padding: int, groups: int = 1
) -> ov.Node:
    edges = [padding, padding]
    if groups == 1:
        return op.convolution(features, weight, [stride, stride], edges, edges, [1, 1])
    outputs, inputs, height, width = weight.shape
    grouped = weight.reshape(groups, outputs // groups, inputs, height, width)
    return op.group_convolution(features, grouped, [stride, stride], edges, edges, [1, 1])


def _random(*shape: int) -> np.ndarray:
    """Weights that keep the size of what they are applied to."""
    fan_in = shape[0] if len(shape) == 2 else int(np.prod(shape[1:]))
    return np.random.default_rng(0).standard_normal(shape, np.float32) / np.float32(fan_in**0.5)


def _numbers(parameter: torch.Tensor) -> np.ndarray:
    return parameter.detach().float().cpu().numpy()


def _model(result: ov.Node, inputs: ov.Node) -> ov.Model:
    # OpenVINO's type hints name another class.
    return ov.Model([result], [inputs], "bench")  # pyright: ignore
