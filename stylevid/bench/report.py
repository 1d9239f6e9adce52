"""What was measured, as tables for reading and as a document for programs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from .difference import Difference
from .kernels import Limit
from .memory import MemoryUse, spread_mib
from .networks import NetworkTimes
from .race import Timing, fastest_of_ours
from .videos import VideoTimes


@dataclass
class Report:
    """All that was measured; parts that were not are empty.

    Attributes:
        machine: from `describe_machine`.
        settings: what was asked for.
    """

    machine: dict[str, object]
    settings: dict[str, object]
    networks: list[NetworkTimes] = field(default_factory=list)
    videos: VideoTimes | None = None
    differences: list[Difference] = field(default_factory=list)
    memory: list[MemoryUse] = field(default_factory=list)

    def as_document(self) -> dict[str, object]:
        """Everything in plain JSON types; times in milliseconds a frame."""
        return {
            "machine": self.machine,
            "settings": self.settings,
            "networks": [_network_document(times) for times in self.networks],
            "pipeline": _video_document(self.videos) if self.videos else None,
            "differences": [asdict(difference) for difference in self.differences],
            "memory": {
                "runs": [asdict(use) for use in self.memory],
                "spread_mib": spread_mib(self.memory),
            },
        }


def _network_document(times: NetworkTimes) -> dict[str, object]:
    conv = times.main_conv
    return {
        "height": times.height,
        "width": times.width,
        "macs": times.macs,
        "classic_macs": times.classic_macs,
        "main_conv": asdict(conv) | {"kernel": list(conv.kernel), "macs": conv.macs},
        "contenders": _timing_documents(times.timings, fastest_of_ours(times.timings)),
        "limits": [asdict(limit) | {"share": limit.share} for limit in times.limits],
    }


def _video_document(times: VideoTimes) -> dict[str, object]:
    return {
        "height": times.height,
        "width": times.width,
        "frames": times.frames,
        "engine": times.engine,
        "contenders": _timing_documents(times.timings, times.timings[0]),
        "off_to_network_alone": times.off_share,
        "on_to_off": times.on_share,
    }


def _timing_documents(timings: Sequence[Timing], base: Timing | None) -> list[dict[str, object]]:
    return [
        {
            "name": timing.name,
            "kind": timing.kind,
            "median_ms": 1000 * timing.median_s if timing.seconds else None,
            "best_ms": 1000 * timing.best_s if timing.seconds else None,
            "ratio": _ratio(timing, base),
            "best_ratio": _best_ratio(timing, base),
            "samples_ms": [1000 * seconds for seconds in timing.seconds],
            "why": timing.why,
        }
        for timing in timings
    ]


def _ratio(timing: Timing, base: Timing | None) -> float | None:
    """How many times as long as the base's its median is."""
    if base is None or not base.seconds or not timing.seconds:
        return None
    return timing.median_s / base.median_s


def _best_ratio(timing: Timing, base: Timing | None) -> float | None:
    """The same of the best times, which say more on a machine that is busy with other things."""
    if base is None or not base.seconds or not timing.seconds:
        return None
    return timing.best_s / base.best_s


def machine_text(machine: dict[str, object]) -> str:
    """The machine as a list, one fact a line."""
    lines = [f"- {name.replace('_', ' ')}: {value}" for name, value in machine.items()]
    return "## Machine\n\n" + "\n".join(lines) + "\n"


def network_text(times: NetworkTimes) -> str:
    """The race and the limits at one size."""
    size = f"{times.width}x{times.height}"
    base = fastest_of_ours(times.timings)
    rows = [
        [t.name, _ms(t.median_s), _ms(t.best_s), _number(_ratio(t, base), 2),
         _number(_best_ratio(t, base), 2)]
        if t.seconds
        else [t.name, f"not available: {t.why}", "", "", ""]
        for t in times.timings
    ]  # fmt: skip
    headers = [f"network, {size}, ms a frame", "median", "best", "median / ours", "best / ours"]
    head = (
        f"## Network at {size}\n\nOurs: {times.macs / 1e9:.2f} GMAC a frame, mostly in "
        f"{times.main_conv}; the classic network: {times.classic_macs / 1e9:.2f} GMAC.\n"
    )
    return f"{head}\n{table(headers, rows)}\n{_limit_text(times.limits, size)}"


def _limit_text(limits: Sequence[Limit], size: str) -> str:
    rows = [
        [
            limit.runtime,
            _number(limit.gemm_gflops, 0),
            _number(limit.conv_gflops, 0),
            _number(limit.limit_ms, 2),
            _number(limit.reached_ms, 2),
            "" if limit.share is None else f"{limit.share:.0%}",
        ]
        for limit in limits
    ]
    headers = [f"arithmetic limit, {size}", "GEMM GFLOP/s", "conv GFLOP/s", "limit ms",
               "our best ms", "share"]  # fmt: skip
    return table(headers, rows)


def video_text(times: VideoTimes) -> str:
    """The race over a clip."""
    base = times.timings[0]
    rows = [
        [t.name, f"{1 / t.median_s:.1f}", f"{1 / t.best_s:.1f}", _number(_ratio(t, base), 2)]
        if t.seconds
        else [t.name, f"not available: {t.why}", "", ""]
        for t in times.timings
    ]
    headers = ["from file to file, frames/s", "median", "best", "times the network's time"]
    return (
        f"## Pipeline, {times.frames} frames of {times.width}x{times.height}, {times.engine}\n\n"
        f"{table(headers, rows)}\n"
        f"Switch off reaches {_percent(times.off_share)} of the network alone; "
        f"on reaches {_percent(times.on_share)} of off.\n"
    )


def difference_text(differences: Sequence[Difference], seen: str) -> str:
    """The engines' differences over the frames that `seen` describes."""
    rows = [
        [d.engine, f"not available: {d.why}", ""]
        if d.why is not None
        else [d.engine, _number(d.mean, 3), _number(d.largest, 0)]
        for d in differences
    ]
    headers = ["to float32 torch on the CPU, levels of 255", "mean", "largest"]
    return f"## Difference, {seen}\n\n{table(headers, rows)}"


def memory_text(uses: Sequence[MemoryUse]) -> str:
    """Peak memory by number of frames."""
    rows = [
        [str(use.frames), f"not available: {use.why}", "", ""]
        if use.why is not None
        else [str(use.frames), _number(use.peak_mib, 0), _number(use.vram_mib, 0),
              _number(use.seconds, 0)]
        for use in uses
    ]  # fmt: skip
    spread = spread_mib(list(uses))
    said = "" if spread is None else f"\nSpread: {spread:.0f} MiB.\n"
    headers = ["frames painted, switch on", "peak MiB", "GPU MiB", "seconds"]
    return f"## Memory\n\n{table(headers, rows)}{said}"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned text that is a Markdown table as well; all columns but the first to the right."""
    cells = [[cell.replace("|", "/") for cell in row] for row in (headers, *rows)]
    widths = [max(3, *(len(cell) for cell in column)) for column in zip(*cells, strict=True)]

    def line(row: Sequence[str]) -> str:
        first, *rest = (
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return f"| {' | '.join([first, *rest])} |"

    rule = line(["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])])
    return "\n".join([line(cells[0]), rule, *map(line, cells[1:])]) + "\n"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f}"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _percent(share: float | None) -> str:
    return "an unknown part" if share is None else f"{share:.0%}"
