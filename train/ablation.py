"""`python -m train.ablation`: what each temporal term does. The same network, data, seed and steps
with the terms off, one by one and together; a table in Markdown, and JSON.

A run that was finished before is not trained again, one that was stopped is continued.
"""

import argparse
import json
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from stylevid.errors import StyleError, StylevidError
from stylevid.frames import fit, resize, size_of, to_image
from stylevid.painter import Painter

from .checkpoint import load_network_from
from .config import TrainConfig
from .images import list_photos, read_painting, read_picture
from .measure import ClipScore, Judge, score_clip, score_pictures
from .vgg import load_vgg

_CHOSEN = TrainConfig()
_OUTPUT = {"output_temporal_weight": _CHOSEN.output_temporal_weight}
_FEATURE = {"feature_temporal_weight": _CHOSEN.feature_temporal_weight or 2.0}
_ROBUST = {"noise": _CHOSEN.noise, "exposure": _CHOSEN.exposure}
_NOTHING = {name: 0.0 for name in (*_OUTPUT, *_FEATURE, *_ROBUST)} | {
    "temporal_content_weight": _CHOSEN.content_weight
}
ARMS: dict[str, dict[str, float]] = {
    "off": _NOTHING,
    "output": _NOTHING | _OUTPUT,
    "feature": _NOTHING | _FEATURE,
    "both": _NOTHING | _OUTPUT | _FEATURE,
    "robust": _NOTHING | _OUTPUT | _FEATURE | _ROBUST,
    "chosen": {name: getattr(_CHOSEN, name) for name in _NOTHING},
}


@dataclass(frozen=True)
class ArmScore:
    """Means over clips (warping errors in thousandths, longest side as given) and photographs.

    Attributes:
        floor, floor_10: E_warp of the clips themselves, at 1 and 10 frames.
        warping, warping_10: E_warp of the painted clips, switch off.
        gradient_energy: in thousandths.
    """

    floor: float
    warping: float
    floor_10: float
    warping_10: float
    gradient_energy: float
    style: float
    content: float

    @property
    def excess(self) -> float:
        return self.warping - self.floor


def main(arguments: list[str] | None = None) -> int:
    options, settings = parse(arguments)
    try:
        train_all(options, settings)
        scores = {name: measure(name, painting, options) for name, painting in options.style}
    except StylevidError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    print(markdown(scores))  # noqa: T201
    if options.json:
        numbers = {s: {a: asdict(v) for a, v in arms.items()} for s, arms in scores.items()}
        options.json.write_text(json.dumps(numbers, indent=2) + "\n", "utf-8")
    return 0


def parse(arguments: list[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """Our options, and those that `python -m train` is given in every run."""
    parser = argparse.ArgumentParser("python -m train.ablation", description=__doc__)
    parser.add_argument("--style", nargs=2, action="append", required=True,
                        metavar=("NAME", "PAINTING"), help="one or more times")  # fmt: skip
    parser.add_argument("--warm-start", type=Path, required=True,
                        help="a folder of runs or weights: NAME or NAME.safetensors is where "
                        "NAME's runs start")  # fmt: skip
    parser.add_argument("--content", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--clips", type=Path, nargs="+", required=True, help="to measure on")
    parser.add_argument("--vgg", type=Path, help="VGG-16 as safetensors; else torchvision's")
    parser.add_argument("--runs", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=[*ARMS])
    parser.add_argument("--jobs", type=int, default=1, help="runs that go on at once")
    parser.add_argument("--frames", type=int, default=48, help="of each clip")
    parser.add_argument("--size", type=int, default=640, help="longest side of clips, pixels")
    parser.add_argument("--photos", type=int, default=40, help="held-out photographs")
    parser.add_argument("--json", type=Path)
    return parser.parse_known_args(arguments)


def train_all(options: argparse.Namespace, settings: list[str]) -> None:
    """Train every style in every arm.

    Raises:
        StyleError: a run failed; its own words are passed on.
    """
    commands = [
        [sys.executable, "-m", "train", "--style", painting, "--content", str(options.content),
         "--runs", str(options.runs), "--name", f"{name}-{arm}",
         "--warm-start", str(start_of(options.warm_start, name)),
         *(["--vgg", str(options.vgg)] if options.vgg else []),
         *settings, *(f"--{k.replace('_', '-')}={v}" for k, v in ARMS[arm].items())]
        for name, painting in options.style
        for arm in options.arms
    ]  # fmt: skip

    def run(command: list[str]) -> None:
        finished = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if finished.returncode:
            raise StyleError(finished.stderr.strip().splitlines()[-1])

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(run, commands))


def start_of(folder: Path, name: str) -> Path:
    """Where NAME's runs start: the end of its perceptual stage, or its weights."""
    choices = (folder / name / "perceptual.safetensors", folder / f"{name}.safetensors")
    for path in choices:
        if path.exists():
            return path
    raise StyleError(f"There is neither {choices[0]} nor {choices[1]} to start from.")


@torch.inference_mode()
def measure(name: str, painting: str, options: argparse.Namespace) -> dict[str, ArmScore]:
    """The scores of one style's arms."""
    painters = {
        arm: Painter(load_network_from(options.runs / f"{name}-{arm}")) for arm in options.arms
    }
    device = next(iter(painters.values())).device
    judge = Judge(load_vgg(options.vgg, device), read_painting(Path(painting), 512))
    clips: dict[str, list[ClipScore]] = {arm: [] for arm in painters}
    for clip in options.clips:
        scores = score_clip(clip, painters, options.frames, options.size, switch=False)
        for arm, score in scores.items():
            clips[arm].append(score)
    images = (to_image(read_picture(p)) for p in list_photos(options.content)[-options.photos :])
    pictures = [resize(image, fit(*size_of(image), 512)) for image in images]
    result: dict[str, ArmScore] = {}
    for arm, painter in painters.items():
        fidelity = score_pictures(painter, pictures, judge)
        result[arm] = summarize(clips[arm], fidelity.style, fidelity.content)
    return result


def summarize(clips: list[ClipScore], style: float, content: float) -> ArmScore:
    """The means over clips; those too short for a pair ten frames apart count at one frame only."""
    short = [clip.short for clip in clips if clip.short.pairs]
    long = [clip.long for clip in clips if clip.long.pairs]

    def mean(values: list[float]) -> float:
        return 1000 * sum(values) / len(values) if values else math.nan

    return ArmScore(
        floor=mean([f.floor for f in short]),
        warping=mean([f.errors["off"] for f in short]),
        floor_10=mean([f.floor for f in long]),
        warping_10=mean([f.errors["off"] for f in long]),
        gradient_energy=mean([f.sharpness["off"] for f in short]),
        style=style,
        content=content,
    )


def markdown(scores: dict[str, dict[str, ArmScore]]) -> str:
    """A row for each style and arm; shares are of the same style's `off`."""
    lines = [
        "| style | temporal terms | E_warp (floor) | excess, share of off | at 10 frames (floor) "
        "| style loss | share | content loss | gradient energy |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for style, arms in scores.items():
        for arm, score in arms.items():
            lines.append(f"| {style} | {arm} | " + " | ".join(_cells(score, arms.get("off"))))
    return "\n".join(lines)


def _cells(score: ArmScore, off: ArmScore | None) -> list[str]:
    def share(ours: float, theirs: float | None) -> str:
        return f"{ours / theirs:.2f}" if theirs else ""

    return [
        f"{score.warping:.2f} ({score.floor:.2f})",
        share(score.excess, off.excess if off else None),
        f"{score.warping_10:.2f} ({score.floor_10:.2f})",
        f"{score.style:.3f}",
        share(score.style, off.style if off else None),
        f"{score.content:.3f}",
        f"{score.gradient_energy:.2f} |",
    ]


if __name__ == "__main__":
    sys.exit(main())
