"""`python -m train.evaluate`: how steady and how true a style is, as a table and as JSON for its
record; `--against` another record prints the ratios."""

import argparse
import json
import math
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stylevid.errors import StyleError, StylevidError
from stylevid.frames import fit, resize, size_of, to_image
from stylevid.painter import Painter

from .checkpoint import load_network_from
from .config import TrainConfig
from .ground_truth import ground_truth_pairs
from .images import list_photos, read_painting, read_picture
from .measure import ClipScore, Fidelity, Judge, score_clip, score_pictures, stability_error
from .vgg import load_vgg


@dataclass
class StyleScore:
    """Everything measured of one style.

    Attributes:
        clips: E_warp, sharpness and fidelity, clip by clip.
        photos: style and content loss on held-out photographs.
        stability: e_stab by dataset: {"floor": ..., "off": ..., "pairs": ...}.
    """

    clips: list[ClipScore] = field(default_factory=list)
    photos: Fidelity | None = None
    stability: dict[str, dict[str, float]] = field(default_factory=dict)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        scores = evaluate(options)
        metrics = {name: as_metrics(score, options) for name, score in scores.items()}
        for name, score in scores.items():
            print(f"{name}\n{table(score)}\n")  # noqa: T201
        if options.against:
            for name, numbers in metrics.items():
                print(f"{name} against {options.against}")  # noqa: T201
                print(ratios(numbers, read_metrics(options.against)))  # noqa: T201
        if options.json:
            whole = metrics if len(metrics) > 1 else next(iter(metrics.values()))
            options.json.write_text(json.dumps(whole, indent=2) + "\n", "utf-8")
    except StylevidError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m train.evaluate", description=__doc__)
    parser.add_argument("--weights", type=Path, nargs="+", required=True,
                        help="weights files, checkpoints or folders of runs; named by their stem "
                        "or folder")  # fmt: skip
    parser.add_argument("--clips", type=Path, nargs="+", default=[], help="video files")
    parser.add_argument("--frames", type=int, default=48, help="of each clip, from its start")
    parser.add_argument("--size", type=int, default=640, help="longest side of clips, pixels")
    parser.add_argument("--no-switch", action="store_true", help="measure the network alone")
    parser.add_argument("--style", type=Path, help="the painting, for style and content loss")
    parser.add_argument("--style-size", type=int, default=TrainConfig().style_size,
                        help="its longest side, pixels: as in the training")  # fmt: skip
    parser.add_argument("--photos", type=Path, help="photographs: the held-out ones are used")
    parser.add_argument("--hold-out", type=int, default=40, help="how many, the last by name")
    parser.add_argument("--photo-size", type=int, default=384, help="longest side, pixels")
    parser.add_argument("--vgg", type=Path, help="VGG-16 as safetensors; else torchvision's")
    parser.add_argument("--ground-truth", type=Path, nargs="+", default=[],
                        help="folders of MPI Sintel or SceneFlow, for e_stab")  # fmt: skip
    parser.add_argument("--render", choices=("clean", "final"), default="clean")
    parser.add_argument("--pairs", type=int, default=100, help="of each such folder, at most")
    parser.add_argument("--device")
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    parser.add_argument("--against", type=Path, help="a style's record, or an earlier --json")
    return parser.parse_args(arguments)


def evaluate(options: argparse.Namespace) -> dict[str, StyleScore]:
    """The scores that the options ask for, by the names of the weights.

    Raises:
        StylevidError: nothing to measure is given, or a file cannot be used.
    """
    if not (options.clips or options.photos or options.ground_truth):
        raise StyleError("There is nothing to measure on. Give --clips, --photos or "
                         "--ground-truth.")  # fmt: skip
    if options.photos and not options.style:
        raise StyleError("Style loss needs the painting. Give --style PICTURE.")
    painters = {
        name_of(path): Painter(load_network_from(path), options.device) for path in options.weights
    }
    judge = _make_judge(options, next(iter(painters.values())).device)
    scores = {name: StyleScore() for name in painters}
    for clip in options.clips:
        switch = not options.no_switch
        found = score_clip(clip, painters, options.frames, options.size, switch, judge)
        for name, score in found.items():
            scores[name].clips.append(score)
    for name, painter in painters.items():
        if options.photos and judge:
            scores[name].photos = score_pictures(painter, _pictures(options), judge)
        for root in options.ground_truth:
            scores[name].stability[root.name] = _stability(root, painter, options)
    return scores


def name_of(path: Path) -> str:
    """`great-wave` of weights/great-wave.safetensors, of a run's folder and of its checkpoint."""
    return path.parent.name if path.stem in ("checkpoint", "perceptual") else path.stem


def _make_judge(options: argparse.Namespace, device: torch.device) -> Judge | None:
    if not options.style:
        return None
    painting = read_painting(options.style, options.style_size)
    return Judge(load_vgg(options.vgg, device), painting)


def _pictures(options: argparse.Namespace) -> Iterator[Tensor]:
    for path in list_photos(options.photos)[-options.hold_out :]:
        image = to_image(read_picture(path))
        yield resize(image, fit(*size_of(image), options.photo_size))


def _stability(root: Path, painter: Painter, options: argparse.Namespace) -> dict[str, float]:
    floor, pairs = stability_error(None, ground_truth_pairs(root, options.render, options.pairs))
    off, _ = stability_error(painter, ground_truth_pairs(root, options.render, options.pairs))
    return {"floor": round(floor, 5), "off": round(off, 5), "pairs": pairs}


def table(score: StyleScore) -> str:
    """The scores as text: warping errors times 1000, sharpness on as a share of off."""
    lines: list[str] = []
    if score.clips:
        kinds = list(score.clips[0].short.errors)
        heads = ["floor", *kinds, "floor10", *(f"{kind}10" for kind in kinds)]
        lines.append(
            f"{'clip':32}" + "".join(f"{h:>8}" for h in (*heads, "sharp", "style", "cont"))
        )
        for clip in score.clips:
            values = [*_thousandths(clip.short, kinds), *_thousandths(clip.long, kinds)]
            style, content = _style_content(clip.fidelity)
            lines.append(
                f"{clip.clip:32}"
                + "".join(f"{value:8.2f}" for value in values)
                + f"{sharpness(clip):8.1%}{style:8.3f}{content:8.3f}"
            )
    if score.photos:
        lines.append(f"{score.photos.count} photographs: style loss {score.photos.style:.4f}, "
                     f"content loss {score.photos.content:.4f}")  # fmt: skip
    for name, values in score.stability.items():
        lines.append(f"e_stab on {values['pairs']} pairs of {name}: frames themselves "
                     f"{values['floor']:.4f}, painted {values['off']:.4f}")  # fmt: skip
    return "\n".join(lines)


def _thousandths(flicker: Any, kinds: list[str]) -> list[float]:
    """Floor and each version, times 1000; nan where the clip was too short for a pair."""
    if not flicker.pairs:
        return [math.nan] * (1 + len(kinds))
    return [1000 * value for value in (flicker.floor, *(flicker.errors[k] for k in kinds))]


def _style_content(fidelity: Fidelity | None) -> tuple[float, float]:
    return (fidelity.style, fidelity.content) if fidelity else (math.nan, math.nan)


def sharpness(clip: ClipScore) -> float:
    """Gradient energy on as a share of off; nan where there is no such version."""
    values = clip.short.sharpness
    return values["on"] / values["off"] if values.get("off") and "on" in values else math.nan


def as_metrics(score: StyleScore, options: argparse.Namespace) -> dict[str, Any]:
    """The scores as a style's record holds them."""
    judge = "DIS" if options.no_switch else "Farneback"
    metrics: dict[str, Any] = {
        "how": f"E_warp (Lai et al. 2018), flow by {judge} on the input, first {options.frames} "
        f"frames, longest side {options.size} px; sharpness is gradient energy, on / off",
        "clips": {clip.clip: _clip_metrics(clip) for clip in score.clips},
    }
    if score.photos:
        metrics["photos"] = {
            "style": round(score.photos.style, 5),
            "content": round(score.photos.content, 5),
            "count": score.photos.count,
            "size": options.photo_size,
        }
    if score.stability:
        metrics["e_stab"] = score.stability
    return metrics


def _clip_metrics(clip: ClipScore) -> dict[str, float]:
    numbers = {"floor": clip.short.floor, **clip.short.errors, "floor_10": clip.long.floor}
    numbers |= {f"{kind}_10": value for kind, value in clip.long.errors.items()}
    numbers |= {"gradient_energy": clip.short.sharpness.get("off", math.nan)}
    numbers |= {"sharpness": sharpness(clip)}
    numbers |= dict(zip(("style", "content"), _style_content(clip.fidelity), strict=True))
    return {key: round(value, 6) for key, value in numbers.items() if not math.isnan(value)}


def read_metrics(path: Path) -> dict[str, Any]:
    """The metrics of a style's record, or of a file that `--json` wrote.

    Raises:
        StyleError: the file is neither.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        metrics = content.get("metrics", content)
        if not isinstance(metrics.get("clips"), dict):
            raise ValueError("it holds no clips")
    except (OSError, ValueError, AttributeError) as cause:
        raise StyleError(f"{path} holds no metrics of a style: {cause}.") from cause
    return metrics


def ratios(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """Median over the clips that both measured of ours / theirs: excess warping error (stylized
    minus the clip's own), gradient energy, style and content loss."""
    common = [name for name in ours["clips"] if name in theirs["clips"]]
    pairs = [(ours["clips"][name], theirs["clips"][name]) for name in common]
    lines = [f"medians over {len(common)} clips that both measured, first / second"]
    wanted = {f"excess E_warp, {k}, {n} frame(s)": (k + s, "floor" + s)
              for n, s in ((1, ""), (10, "_10")) for k in ("off", "on")}  # fmt: skip
    wanted |= {key: (key, "") for key in ("gradient_energy", "sharpness", "style", "content")}
    for label, (key, floor) in wanted.items():
        values = [_minus(a, key, floor) / _minus(b, key, floor) for a, b in pairs
                  if key in a and key in b and _minus(b, key, floor) > 0]  # fmt: skip
        if values:
            lines.append(f"{label:32} {statistics.median(values):.3f}")
    for key in ("style", "content"):
        if "photos" in ours and "photos" in theirs:
            lines.append(f"{key + ' on photographs':32} "
                         f"{ours['photos'][key] / theirs['photos'][key]:.3f}")  # fmt: skip
    return "\n".join(lines)


def _minus(numbers: dict[str, float], key: str, floor: str) -> float:
    return numbers[key] - numbers.get(floor, 0.0)


if __name__ == "__main__":
    sys.exit(main())
