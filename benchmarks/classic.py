"""The classic style transfer network, to compare with, in torch and in OpenVINO: Johnson, Alahi,
Fei-Fei 2016 with the instance norm of Ulyanov et al. 2017, as in PyTorch's own example
`fast_neural_style`."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylevid.frames import Frame


class ClassicConv(nn.Sequential):
    """Reflection pad, convolution, affine instance norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.ReflectionPad2d(kernel // 2),
            nn.Conv2d(inputs, outputs, kernel, stride),
            nn.InstanceNorm2d(outputs, affine=True),
        )


class ClassicBlock(nn.Module):
    """x + F(x), two 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ClassicConv(channels, channels, 3)
        self.second = ClassicConv(channels, channels, 3)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.second(F.relu(self.first(features)))


class ClassicNet(nn.Sequential):
    """N,3,H,W in, N,3,H,W out, H and W in fours; 1.68 million parameters, and 40 GMAC at 512x512,
    over a third of them at full and half size."""

    def __init__(self, width: int = 32, blocks: int = 5) -> None:
        super().__init__(
            ClassicConv(3, width, 9),
            nn.ReLU(),
            ClassicConv(width, 2 * width, 3, stride=2),
            nn.ReLU(),
            ClassicConv(2 * width, 4 * width, 3, stride=2),
            nn.ReLU(),
            *(ClassicBlock(4 * width) for _ in range(blocks)),
            nn.Upsample(scale_factor=2, mode="nearest"),
            ClassicConv(4 * width, 2 * width, 3),
            nn.ReLU(),
            nn.Upsample(scale_factor=2, mode="nearest"),
            ClassicConv(2 * width, width, 3),
            nn.ReLU(),
            nn.ReflectionPad2d(4),
            nn.Conv2d(width, 3, 9),
        )


def in_torch(
    network: ClassicNet, device: torch.device, dtype: torch.dtype
) -> Callable[[Frame], Frame]:
    """The network, which is taken over, in eager torch, as people run it."""
    network = network.eval().requires_grad_(False).to(device, dtype)

    @torch.inference_mode()
    def run(frame: Frame) -> Frame:
        pixels = torch.from_numpy(frame).to(device)[None].permute(0, 3, 1, 2)
        painted = network(pixels.to(dtype).div(255)).clamp(0, 1).mul(255).round()
        return painted.to(torch.uint8)[0].permute(1, 2, 0).contiguous().cpu().numpy()

    return run


def in_openvino(
    network: ClassicNet, height: int, width: int, precision: str
) -> Callable[[Frame], Frame]:
    """The network on the CPU, built layer by layer and set as our own engine is: as good a graph
    as ours, and nothing of OpenVINO's converter, which likes to report home."""
    import openvino as ov
    from openvino import opset13 as op

    def numbers(parameter: Tensor | None) -> np.ndarray:
        assert parameter is not None
        return parameter.detach().float().numpy()

    def layers(features: ov.Node, modules: nn.Sequential) -> ov.Node:
        for module in modules:
            features = layer(features, module)
        return features

    def layer(features: ov.Node, module: nn.Module) -> ov.Node:
        match module:
            case nn.Sequential():
                return layers(features, module)
            case ClassicBlock():
                inner = op.relu(layers(features, module.first))
                return op.add(features, layers(inner, module.second))
            case nn.ReflectionPad2d():
                edges = np.array([0, 0, module.padding[0], module.padding[0]])
                return op.pad(features, edges, edges, "reflect")
            case nn.Conv2d():
                weight, strides = numbers(module.weight), list(module.stride)
                convolved = op.convolution(features, weight, strides, [0, 0], [0, 0], [1, 1])
                return op.add(convolved, numbers(module.bias).reshape(1, -1, 1, 1))
            case nn.InstanceNorm2d():
                normal = op.mvn(features, np.array([2, 3]), True, module.eps, "inside_sqrt")
                scaled = op.multiply(normal, numbers(module.weight).reshape(1, -1, 1, 1))
                return op.add(scaled, numbers(module.bias).reshape(1, -1, 1, 1))
            case nn.ReLU():
                return op.relu(features)
            case nn.Upsample():
                factors, axes = np.array([2, 2], np.float32), np.array([2, 3])
                return op.interpolate(
                    features, factors, "nearest", "scales", axes=axes,
                    coordinate_transformation_mode="asymmetric", nearest_mode="floor",
                )  # fmt: skip
            case _:
                raise TypeError(f"the classic network has no {type(module).__name__}")

    inputs = op.parameter([1, height, width, 3], ov.Type.u8)
    scaled = op.multiply(op.convert(inputs, ov.Type.f32), np.float32(1 / 255))
    painted = op.clamp(layers(op.transpose(scaled, [0, 3, 1, 2]), network), 0, 1)
    levels = op.floor(op.add(op.multiply(painted, np.float32(255)), np.float32(0.5)))
    result = op.convert(op.transpose(levels, [0, 2, 3, 1]), ov.Type.u8)
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": {"bfloat16": ov.Type.bf16}.get(precision, ov.Type.f32),
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    model = ov.Model([result], [inputs], "classic")  # pyright: ignore
    request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()

    def run(frame: Frame) -> Frame:
        request.set_input_tensor(ov.Tensor(frame[None], shared_memory=True))
        request.infer()
        return np.array(request.get_output_tensor().data)[0]

    return run
