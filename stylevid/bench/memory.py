"""Memory over time: a process of its own paints a long video and says how much it needed at most.

`python -m stylevid.bench.memory CLIP WEIGHTS DEVICE` is that process. ffmpeg's own processes, which
decode and encode, are not counted.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from ..painter import Painter
from ..pipeline import Options, stylize_video

_MIB = 2**20


@dataclass(frozen=True)
class MemoryUse:
    """What painting a video took.

    Attributes:
        frames: that were asked for, or, from the process itself, that were painted.
        peak_mib: resident memory of the process at its highest, in MiB.
        vram_mib: the GPU's, by torch; None on a CPU.
        seconds: the painting took.
        why: it did not work.
    """

    frames: int
    peak_mib: float | None = None
    vram_mib: float | None = None
    seconds: float | None = None
    why: str | None = None


def measure_memory(clip: Path, frames: int, weights: Path, device: torch.device) -> MemoryUse:
    """Paint a whole clip of so many frames in a new process, with the switch on."""
    command = [sys.executable, "-m", __name__, str(clip), str(weights), str(device)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    last = lines[-1] if lines else f"it ended with status {done.returncode}"
    if done.returncode:
        return MemoryUse(frames, why=last)
    use = MemoryUse(**json.loads(last))
    return use if use.frames == frames else MemoryUse(frames, why=f"{use.frames} were painted")


def spread_mib(uses: list[MemoryUse]) -> float | None:
    """Highest minus lowest peak, in MiB."""
    peaks = [use.peak_mib for use in uses if use.peak_mib is not None]
    return max(peaks) - min(peaks) if len(peaks) > 1 else None


def peak_rss_mib() -> float:
    """The most memory that this process ever had resident, in MiB.

    From VmHWM on Linux, where getrusage's ru_maxrss starts at the peak of the process that started
    this one, however small this one is (seen on Linux 6.18: exec keeps it).
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text("utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MIB if sys.platform == "darwin" else peak / 1024


def paint_and_tell(clip: Path, weights: Path, device: str) -> MemoryUse:
    """Paint a clip in this process."""
    painter = Painter(weights, device)
    with tempfile.TemporaryDirectory(prefix="stylevid-bench-") as folder:
        target = Path(folder) / "out.mp4"
        result = stylize_video(clip, target, painter, Options(temporal=True, measure=False))
    on_gpu = painter.device.type == "cuda"
    vram = torch.cuda.max_memory_allocated(painter.device) / _MIB if on_gpu else None
    return MemoryUse(result.frames, peak_rss_mib(), vram, result.seconds)


if __name__ == "__main__":
    told = paint_and_tell(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    print(json.dumps(asdict(told)))  # noqa: T201
