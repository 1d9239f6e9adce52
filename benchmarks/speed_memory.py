"""Paint a clip in this process and print the most memory it had, MiB, and the seconds it took:
what `benchmarks.speed --memory` starts. ffmpeg's own processes are not counted."""

import argparse
import tempfile
from pathlib import Path

from stylevid.painter import Painter
from stylevid.pipeline import Options, stylize_video
from stylevid.styles import get_style


def peak_rss_mib() -> float:
    """From VmHWM on Linux, where getrusage's ru_maxrss starts at the peak of the process that
    started this one, however small this one is (seen on Linux 6.18: exec keeps it)."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text("utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.speed_memory", description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("style")
    parser.add_argument("--device")
    options = parser.parse_args()
    path = Path(options.style)
    painter = Painter(path if path.suffix else get_style(options.style), options.device)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "out.mp4"
        result = stylize_video(options.clip, target, painter, Options(measure=False))
    print(f"{peak_rss_mib():.0f} {result.seconds:.0f}")  # noqa: T201


if __name__ == "__main__":
    main()
