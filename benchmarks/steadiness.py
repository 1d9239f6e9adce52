"""`python -m benchmarks.steadiness`: how much of the flicker that painting adds is left, clip by
clip, with temporal consistency off and on: the table of docs/temporal.md.

Shares are of what the same style added before the temporal stage of its training. As in
`train.evaluate`, files are painted and decoded again; the flow to judge by is TV-L1's (Zach, Pock,
Bischof 2007), which is accurate and slow, and which nothing here is steadied with. It needs
scikit-image."""

import argparse
import json
import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from stylevid.errors import StylevidError
from stylevid.flow import estimate_flow
from stylevid.frames import luma
from stylevid.metrics import CUT_BELOW, gradient_energy, likeness, trusted, warping_error
from stylevid.painter import Painter
from stylevid.styles import get_style
from stylevid.warp import warp
from train.learning.checkpoint import load_network_from
from train.measure import paintings

FRAMES, LONGEST = 48, 640
EVERY = {1: 12, 10: 18}  # frames between the pairs that are so many frames apart
FLICKERS = 1e-4  # E_warp that can be seen
FIXED = 0.4  # share of textured pixels that never move from which on a camera counts as fixed
TEXTURED, UNMOVED, UNCHANGED = 0.01, 0.2, 0.06  # mean high-pass; pixels; change that is noise
HEAD = ("off", "on", "on, 10 frames", "sharpness", "still pixels")

Versions = dict[str, Tensor]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.steadiness", description=__doc__)
    parser.add_argument("--styles", nargs="+", required=True, help="names of bundled styles")
    parser.add_argument("--before", type=Path, required=True, help="a folder with a run of each "
                        "style: its perceptual.safetensors is from before the stage")  # fmt: skip
    parser.add_argument("--clips", type=Path, nargs="+", required=True)
    parser.add_argument("--json", type=Path, help="write the numbers here, after each clip")
    options = parser.parse_args(arguments)
    rows: dict[str, list[tuple[float, ...]]] = {}
    for clip in options.clips:
        try:
            rows[clip.stem] = [measure(clip, style, options.before) for style in options.styles]
        except StylevidError as error:
            print(error, file=sys.stderr)  # noqa: T201
            continue
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    print(table(rows))  # noqa: T201
    return 0 if rows else 1


@torch.inference_mode()
def measure(clip: Path, style: str, before: Path) -> tuple[float, ...]:
    """A row of the table: a clip, in a style."""
    untrained = load_network_from(before / style / "perceptual.safetensors")
    painters = {"before": Painter(untrained), "after": Painter(get_style(style))}
    frames = [(image, {"off": v["off after"], "on": v["on after"], "before": v["off before"]})
              for image, v in paintings(clip, painters, FRAMES, LONGEST)]  # fmt: skip
    shares = {n: share(errors(frames, n, every)) for n, every in EVERY.items()}
    sharp = [gradient_energy(v["on"]) / max(gradient_energy(v["off"]), 1e-9) for _, v in frames]
    return (*shares[1], shares[10][1], statistics.mean(sharp), still(frames))


def errors(
    frames: Sequence[tuple[Tensor, Versions]], interval: int, every: int
) -> list[dict[str, float]]:
    """E_warp of pairs of frames so far apart: of the clip, "floor", and of its paintings."""
    found: list[dict[str, float]] = []
    for number in range(every // 2, len(frames) - interval, every):
        (prev, prev_versions), (cur, versions) = frames[number], frames[number + interval]
        flow = tv_l1(cur, prev)
        if likeness(cur, warp(prev, flow)[0]) < CUT_BELOW:
            continue
        visible = trusted(flow, tv_l1(prev, cur))
        found.append(
            {"floor": warping_error(cur, prev, flow, visible)}
            | {n: warping_error(v, prev_versions[n], flow, visible) for n, v in versions.items()}
        )
    return found


def share(pairs: Sequence[dict[str, float]]) -> tuple[float, float]:
    """Off and on, less the clip's own, as shares of before; nan where there was nothing to take
    away: the painting flickered no more than the clip to begin with."""
    if not pairs:
        return math.nan, math.nan
    floor, before, off, on = (
        statistics.mean(pair[key] for pair in pairs) for key in ("floor", "before", "off", "on")
    )
    if before - floor < max(FLICKERS, floor / 5):
        return math.nan, math.nan
    return (off - floor) / (before - floor), (on - floor) / (before - floor)


def still(frames: Sequence[tuple[Tensor, Versions]]) -> float:
    """The standard deviation over time of the pixels that neither move nor change in the clip, on
    over the clip's own; nan where the camera moves, or shows nothing to tell by."""
    images = torch.cat([image for image, _ in frames])
    around = avg_pool2d(images, 5, 1, 2, count_include_pad=False)
    textured = avg_pool2d((images[:1] - around[:1]).abs(), 9, 1, 4).mean(1, True) > TEXTURED
    unmoved = torch.ones_like(textured)
    for late in around[15::16].split(1):
        moved = estimate_flow(late, around[:1], "farneback").norm(dim=1, keepdim=True)
        unmoved &= ((late - around[:1]).abs() < UNCHANGED).all(1, True) & (moved < UNMOVED)
    if textured.float().mean() < 0.01 or unmoved[textured].float().mean() < FIXED:
        return math.nan
    painted = torch.cat([versions["on"] for _, versions in frames])

    def deviation(pictures: Tensor) -> float:
        variance = pictures.var(0, correction=0, keepdim=True).mean(1, True)
        return variance[unmoved].mean().sqrt().item()

    return deviation(painted) / max(deviation(images), 1e-6)


def tv_l1(image_a: Tensor, image_b: Tensor) -> Tensor:
    """`flow_a_to_b`, 1,2,H,W."""
    from skimage.registration import optical_flow_tvl1  # type: ignore[import-not-found]

    gray_a, gray_b = (luma(image)[0, 0].numpy() for image in (image_a, image_b))
    rows, columns = optical_flow_tvl1(
        gray_a, gray_b, attachment=30, num_warp=6, num_iter=20, dtype=np.float32
    )
    return torch.from_numpy(np.stack([columns, rows]))[None]


def table(rows: dict[str, list[tuple[float, ...]]]) -> str:
    """Medians of the styles, clip by clip; then median and worst of all pairs of a clip and a
    style."""
    lines = ["| | " + " | ".join(HEAD) + " |", "| --- " + "| ---: " * len(HEAD) + "|"]
    for clip, each in rows.items():
        lines.append(f"| {clip} | {_cells(map(_median, zip(*each, strict=True)))} |")
    columns = list(zip(*(row for each in rows.values() for row in each), strict=True))
    lines.append(f"| **median** | {_cells(map(_median, columns))} |")
    worst = [(min if name == "sharpness" else max)(_known(column) or [math.nan])
             for name, column in zip(HEAD, columns, strict=False)]  # fmt: skip
    lines.append(f"| **worst** | {_cells(worst)} |")
    return "\n".join(lines)


def _known(column: Sequence[float]) -> list[float]:
    return [value for value in column if not math.isnan(value)]


def _median(column: Sequence[float]) -> float:
    return statistics.median(known) if (known := _known(column)) else math.nan


def _cells(values: Sequence[float] | Iterator[float]) -> str:
    forms = ("{:.2f}", "{:.2f}", "{:.2f}", "{:.0%}", "{:.1f}")
    return " | ".join("-" if math.isnan(v) else f.format(v)
                      for f, v in zip(forms, values, strict=False))  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
