"""`python -m train.evaluate`: how steady a style is on real clips, off and on, against the clips'
own level; a table, and JSON for the style's record."""

import argparse
import json
import math
import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

from stylevid.errors import StylevidError
from stylevid.frames import fit, to_image
from stylevid.metrics import Flicker, FlickerMeter
from stylevid.pipeline import Painter
from stylevid.stabilize import TemporalStabilizer
from stylevid.video import probe, read_frames


@dataclass(frozen=True)
class ClipScore:
    """One clip, one style: E_warp at 1 and 10 frames."""

    clip: str
    short: Flicker
    long: Flicker


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m train.evaluate", description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="a .safetensors file")
    parser.add_argument("--clips", type=Path, nargs="+", required=True, help="video files")
    parser.add_argument("--frames", type=int, default=48, help="of each clip, from its start")
    parser.add_argument("--size", type=int, default=640, help="longest side, pixels")
    parser.add_argument("--device")
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    options = parser.parse_args(arguments)
    try:
        painter = Painter(options.weights, options.device)
        scores = [score(clip, painter, options.frames, options.size) for clip in options.clips]
    except StylevidError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    print(table(scores))  # noqa: T201
    if options.json:
        options.json.write_text(json.dumps(as_metrics(scores, options), indent=2) + "\n", "utf-8")
    return 0


@torch.inference_mode()
def score(clip: Path, painter: Painter, frames: int, size: int) -> ClipScore:
    """E_warp and sharpness of the first `frames` frames of a clip at `size` pixels."""
    info = probe(clip)
    fitted = fit(info.height, info.width, min(size, max(info.height, info.width)))
    stabilizer = TemporalStabilizer()
    meters = [FlickerMeter(interval, longest=None) for interval in (1, 10)]
    for timed in islice(read_frames(info, fitted), frames):
        image = to_image(timed.frame, painter.device)
        stylized = painter(image)
        versions = {"off": stylized, "on": stabilizer.step(image, stylized)}
        for meter in meters:
            meter.update(image, versions)
    return ClipScore(clip.name, *(meter.result() for meter in meters))


def table(scores: list[ClipScore]) -> str:
    """The scores as text: warping errors times 1000, sharpness on as a share of off."""
    lines = [f"{'clip':32} {'floor':>6} {'off':>6} {'on':>6} {'floor10':>7} {'off10':>6} "
             f"{'on10':>6} {'sharp':>6}"]  # fmt: skip
    for s in scores:
        short, long = (_thousandths(flicker) for flicker in (s.short, s.long))
        lines.append(
            f"{s.clip:32} {short[0]:6.2f} {short[1]:6.2f} {short[2]:6.2f} "
            f"{long[0]:7.2f} {long[1]:6.2f} {long[2]:6.2f} {_sharpness(s):6.1%}"
        )
    return "\n".join(lines)


def _thousandths(flicker: Flicker) -> tuple[float, float, float]:
    """Floor, off and on, times 1000; nan where the clip was too short for a pair."""
    if not flicker.pairs:
        return math.nan, math.nan, math.nan
    return 1000 * flicker.floor, 1000 * flicker.errors["off"], 1000 * flicker.errors["on"]


def _sharpness(score: ClipScore) -> float:
    values = score.short.sharpness
    return values["on"] / values["off"] if values.get("off") else math.nan


def as_metrics(scores: list[ClipScore], options: argparse.Namespace) -> dict[str, object]:
    """The scores as a style's record holds them."""
    return {
        "how": f"E_warp (Lai et al. 2018), flow by Farneback on the input, first {options.frames} "
        f"frames, longest side {options.size} px; sharpness is gradient energy, on / off",
        "clips": {
            s.clip: {
                "floor": round(s.short.floor, 6),
                **{f"{k}": round(v, 6) for k, v in s.short.errors.items()},
                "floor_10": round(s.long.floor, 6),
                **{f"{k}_10": round(v, 6) for k, v in s.long.errors.items()},
                "sharpness": round(_sharpness(s), 4),
            }
            for s in scores
        },
    }


if __name__ == "__main__":
    sys.exit(main())
