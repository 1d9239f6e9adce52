"""Which engine suits this machine: the candidates are timed once, and the result is kept."""

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch

from .engine import Engine, TorchEngine, is_out_of_memory
from .errors import StylevidError
from .network import StyleNet
from .yuv import Yuv

log = logging.getLogger(__name__)

_TRIAL = (540, 640)  # rows and columns of the YUV frames that are timed, of 640x360 pixels
_TRIALS = 3


@dataclass(frozen=True)
class Plan:
    """A way to run the network.

    Attributes:
        runtime: "openvino" (CPU only), "torch", or "torch-compiled", which is never chosen by
            itself: compiling takes half a minute for each size of frames.
        precision: "float32", "bfloat16" or "float16".
        batch: frames painted at once.
    """

    runtime: str
    precision: str
    batch: int = 1

    @property
    def name(self) -> str:
        runtime, _, how = self.runtime.partition("-")
        return f"{runtime}-{self.precision}{f'-{how}' if how else ''}"

    def build(self, network: StyleNet, device: torch.device) -> Engine:
        """The engine for a network, which is taken over."""
        if self.runtime == "openvino":
            from .openvino_engine import OpenVinoEngine

            return OpenVinoEngine(network, self.precision)  # type: ignore[arg-type]
        dtype: torch.dtype = getattr(torch, self.precision)
        return TorchEngine(network, device, dtype, self.batch, self.runtime == "torch-compiled")


def make_engine(network: StyleNet, device: torch.device, name: str | None = None) -> Engine:
    """The network on a device.

    Args:
        network: taken over, not copied.
        name: of the engine; None takes the one that was the fastest here.
    Raises:
        StylevidError: there is no such engine here.
    """
    able = candidates(device)
    if name is None:
        return fastest(device).build(network, device)
    for plan in [*able, *(Plan("torch-compiled", p.precision) for p in able)]:
        if plan.name == name:
            return plan.build(network, device)
    names = ", ".join(sorted({plan.name for plan in able}))
    raise StylevidError(f"There is no engine {name!r} on {device} here. Choose one of {names}.")


def candidates(device: torch.device) -> list[Plan]:
    """What can run on the device, the likely best first."""
    if device.type == "cuda":
        # As fast as bfloat16 and truer: at most 5 of 255 levels from float32, not 39.
        return [Plan("torch", "float16", n) for n in (4, 1, 8)]
    precisions = ["bfloat16", "float32"] if _has_bfloat16() else ["float32"]
    runtimes = ["openvino", "torch"] if _version("openvino") else ["torch"]
    return [Plan(runtime, precision) for runtime in runtimes for precision in precisions]


def _has_bfloat16() -> bool:
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


@cache
def fastest(device: torch.device) -> Plan:
    """The fastest candidate: as noted in the cache, else measured now and noted.

    The note holds for this device, these versions and this number of threads.
    """
    able = candidates(device)
    path = cache_folder() / f"engine-{_fingerprint(device)}.json"
    noted = _read(path)
    for plan in able:
        if noted == [plan.name, plan.batch]:
            return plan
    times = {plan: _time(plan, device) for plan in able}
    best = min(able, key=lambda plan: times[plan])
    for plan, seconds in times.items():
        log.info("%s, %d at once: %.1f ms a frame", plan.name, plan.batch, 1000 * seconds)
    _write(path, json.dumps([best.name, best.batch]))
    return best


def _time(plan: Plan, device: torch.device) -> float:
    """Seconds a frame takes in a video; endless where the plan does not work."""
    try:
        engine = plan.build(StyleNet(), device)
        frames = [Yuv(np.full(_TRIAL, 128, np.uint8))] * frames_for(engine)
        trials = [_stopwatch(lambda: list(engine.paint(frames))) for _ in range(_TRIALS)]
        return min(trials) / len(frames)
    except (StylevidError, ImportError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not is_out_of_memory(error):
            log.warning("%s does not work here: %s", plan.name, str(error).splitlines()[0])
        return float("inf")


def frames_for(engine: Engine) -> int:
    """How many frames to time an engine on: it has them side by side most of the time."""
    return 4 * engine.ahead * engine.batch


def _stopwatch(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def cache_folder() -> Path:
    """`$STYLEVID_CACHE`, else the user's cache."""
    if named := os.environ.get("STYLEVID_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stylevid"


def _fingerprint(device: torch.device) -> str:
    cuda = device.type == "cuda"
    machine = torch.cuda.get_device_name(device) if cuda else _cpu_name()
    parts = [machine, torch.get_num_threads(), torch.__version__, _version("openvino")]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _cpu_name() -> str:
    return f"{platform.machine()} {torch.cpu.get_capabilities()}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None  # never measured, or damaged: it is measured again


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        partial.write_text(text, "utf-8")
        partial.replace(path)
    except OSError as error:
        log.warning("the choice of engine cannot be kept in %s: %s", path.parent, error.strerror)
