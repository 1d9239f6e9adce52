"""The least time that the network's arithmetic can take: how many multiply-adds a runtime does in a
second at its best, in a large matrix product or in the network's own main convolution."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .arithmetic import ConvShape, chain
from .race import Contender, Timing, Work, stopwatch


@dataclass(frozen=True)
class Kernel:
    """A bare calculation, run to learn a runtime's best rate.

    Attributes:
        runtime: its runtime and precision, such as "openvino-bfloat16".
        job: "GEMM" or "conv".
        macs: multiply-adds of a call.
        contender: times it.
    """

    runtime: str
    job: str
    macs: int
    contender: Contender


def kernels(
    runtimes: Sequence[str], shape: ConvShape, device: torch.device, side: int
) -> list[Kernel]:
    """A matrix product of side x side and a chain of convolutions in each runtime, such as
    "torch-float32"."""
    found: list[Kernel] = []
    convs = chain(shape)
    for name in runtimes:
        runtime, precision = name.split("-")
        in_openvino = runtime == "openvino"
        gemm = (
            partial(_openvino_gemm, precision, side)
            if in_openvino
            else partial(_torch_gemm, precision, side, device)
        )
        conv = (
            partial(_openvino_convs, precision, convs)
            if in_openvino
            else partial(_torch_convs, precision, convs, device)
        )
        found.append(_kernel(name, "GEMM", side**3, gemm))
        found.append(_kernel(name, "conv", sum(c.macs for c in convs), conv))
    return found


def _kernel(runtime: str, job: str, macs: int, make: Callable[[], Work]) -> Kernel:
    return Kernel(runtime, job, macs, Contender(f"{job} {runtime}", "kernel", make))


def _torch_gemm(precision: str, side: int, device: torch.device) -> Work:
    dtype: torch.dtype = getattr(torch, precision)
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return _timed_torch(lambda: left @ right, device)


def _torch_convs(precision: str, convs: Sequence[ConvShape], device: torch.device) -> Work:
    dtype: torch.dtype = getattr(torch, precision)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, device=device).to(dtype, memory_format=torch.channels_last)

    first = convs[0]
    image = random(1, first.inputs, first.height, first.width)
    weights = [random(c.outputs, c.inputs // c.groups, *c.kernel) for c in convs]
    weights = [weight / weight[0].numel() ** 0.5 for weight in weights]

    def run() -> Tensor:
        features = image
        for conv, weight in zip(convs, weights, strict=True):
            edges = (conv.kernel[0] // 2, conv.kernel[1] // 2)
            features = F.conv2d(features, weight, padding=edges, groups=conv.groups)
        return features

    return _timed_torch(run, device)


def _timed_torch(work: Callable[[], Tensor], device: torch.device) -> Work:
    @torch.inference_mode()
    def run() -> None:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return stopwatch(run)


def _openvino_gemm(precision: str, side: int) -> Work:
    from .openvino_models import compile_model, gemm_model

    run = compile_model(gemm_model(side), precision)
    inputs = np.random.default_rng(0).standard_normal((side, side), np.float32)
    return stopwatch(lambda: run(inputs))


def _openvino_convs(precision: str, convs: list[ConvShape]) -> Work:
    from .openvino_models import compile_model, conv_model

    run = compile_model(conv_model(convs), precision)
    shape = (1, convs[0].inputs, convs[0].height, convs[0].width)
    inputs = np.random.default_rng(0).standard_normal(shape, np.float32)
    return stopwatch(lambda: run(inputs))


@dataclass(frozen=True)
class Limit:
    """What a runtime could do at best, and what it does.

    Attributes:
        runtime: such as "openvino-bfloat16".
        gemm_gflops, conv_gflops: best rates, 1e9 multiplications and additions a second; None
            where it did not work.
        limit_ms: the network's arithmetic at the best rate that any runtime showed in this
            precision.
        reached_ms: the best time of our network in this runtime; None when we have no such engine.
    """

    runtime: str
    gemm_gflops: float | None
    conv_gflops: float | None
    limit_ms: float | None
    reached_ms: float | None

    @property
    def share(self) -> float | None:
        """Of the limit's rate that is reached, 0 to 1."""
        if self.limit_ms is None or self.reached_ms is None:
            return None
        return self.limit_ms / self.reached_ms


def limits(macs: int, found: Sequence[Kernel], timings: Sequence[Timing]) -> list[Limit]:
    """The limit of each runtime for a network of `macs`, from the timings of one race.

    Best times are compared with best times: a limit is a limit.
    """
    by_name = {timing.name: timing for timing in timings}
    rates: dict[str, dict[str, float]] = {kernel.runtime: {} for kernel in found}
    best: dict[str, float] = {}  # by precision
    for kernel in found:
        timing = by_name[kernel.contender.name]
        if timing.seconds:
            rate = 2 * kernel.macs / timing.best_s / 1e9
            rates[kernel.runtime][kernel.job] = rate
            precision = _precision(kernel.runtime)
            best[precision] = max(rate, best.get(precision, 0.0))
    return [
        Limit(
            runtime=runtime,
            gemm_gflops=rate.get("GEMM"),
            conv_gflops=rate.get("conv"),
            limit_ms=2 * macs / best[_precision(runtime)] / 1e6 if rate else None,
            reached_ms=_reached_ms(runtime, timings),
        )
        for runtime, rate in rates.items()
    ]


def _precision(runtime: str) -> str:
    return runtime.split("-")[1]


def _reached_ms(runtime: str, timings: Sequence[Timing]) -> float | None:
    """The best of our engines in a runtime, whatever their batches."""
    ours = [t for t in timings if t.kind == "ours" and runtime in t.name.split()]
    return min((1000 * t.best_s for t in ours if t.seconds), default=None)
