"""`python -m train.evaluate`: how steady and how true styles are, as tables and as JSON for their
records. What is measured is what is delivered: each clip is painted to a file, with temporal
consistency off and on, and the files are decoded again."""

import argparse
import json
import math
import shlex
import sys
from pathlib import Path
from typing import Any

from stylevid.errors import StyleError, exit_status
from stylevid.files import written_whole
from stylevid.frames import to_frame
from stylevid.learn.painting import read_painting
from stylevid.learn.vgg import VGG16Features, load_vgg
from stylevid.painter import Painter
from stylevid.styles import read_style

from .config import TrainConfig
from .data.images import list_photos
from .learning.checkpoint import load_network_from
from .measure import LOSS_EVERY, PAIR_EVERY, Judge, score_clip, score_photos

_COLUMNS = ("floor", "off", "on", "floor_10", "off_10", "on_10", "sharpness", "style", "style_on",
            "content", "content_on")  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m train.evaluate", description=__doc__)
    parser.add_argument("--weights", type=Path, nargs="+", required=True,
                        help="weights files, checkpoints or folders of runs; named by their stem "
                        "or folder")  # fmt: skip
    parser.add_argument("--clips", type=Path, nargs="+", default=[], help="video files")
    parser.add_argument("--frames", type=int, default=48, help="of each clip, from its start")
    parser.add_argument("--size", type=int, default=640, help="longest side of clips, pixels")
    parser.add_argument("--style", type=Path, help="the painting, for style and content loss")
    parser.add_argument("--style-size", type=int, default=TrainConfig().style_size,
                        help="its longest side, pixels: as in the training")  # fmt: skip
    parser.add_argument("--paintings", type=Path, help="in place of both: a folder with the "
                        "paintings that the styles' records name")  # fmt: skip
    parser.add_argument("--photos", type=Path, help="photographs: the held-out ones are used")
    parser.add_argument(
        "--hold-out", type=int, default=40, help="how many, the last by name; 0: all"
    )
    parser.add_argument("--photo-size", type=int, default=640, help="longest side, pixels")
    parser.add_argument("--device")
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    parser.add_argument("--record", action="store_true",
                        help="put the numbers into the records beside the weights")  # fmt: skip
    options = parser.parse_args(arguments)
    return exit_status(lambda: report(options))


def report(options: argparse.Namespace) -> None:
    """Evaluate, print, and write what was asked for.

    Raises:
        StylevidError: as `evaluate`.
    """
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)  # known before all is measured
    metrics = evaluate(options)
    for name, numbers in metrics.items():
        print(f"{name}\n{table(numbers)}\n")  # noqa: T201
    if options.json:
        whole = metrics if len(metrics) > 1 else next(iter(metrics.values()))
        options.json.write_text(json.dumps(whole, indent=2) + "\n", "utf-8")
    if options.record:
        for path in options.weights:
            put_in_record(path.with_suffix(".json"), metrics[name_of(path)])


def evaluate(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The numbers that the options ask for as records hold them, by the names of the weights.

    Raises:
        StylevidError: nothing to measure is given, or a file cannot be used.
    """
    if not (options.clips or options.photos):
        raise StyleError("There is nothing to measure on. Give --clips or --photos.")
    if options.photos and not (options.style or options.paintings):
        raise StyleError("Style loss needs the painting. Give --style PICTURE.")
    for name, least in (("frames", 1), ("size", 16), ("photo_size", 16), ("style_size", 64)):
        if (value := getattr(options, name)) < least:
            flag = name.replace("_", "-")
            raise StyleError(f"--{flag} is at least {least}; got {value}.")
    if len({name_of(path) for path in options.weights}) < len(options.weights):
        names = ", ".join(map(name_of, options.weights))
        raise StyleError(f"Two of the weights have one name: {names}. Measure them one by one.")
    if len({clip.name for clip in options.clips}) < len(options.clips):
        names = ", ".join(clip.name for clip in options.clips)
        raise StyleError(f"Two of the clips have one name: {names}. Rename one.")
    painters = {name_of(p): Painter(load_network_from(p), options.device) for p in options.weights}
    judges: dict[str, Judge] = {}
    if options.style or options.paintings:
        vgg = load_vgg(next(iter(painters.values())).device)
        judges = {name_of(path): _judge(path, options, vgg) for path in options.weights}
    how = (
        f"E_warp (Lai et al. 2018) and gradient energy (sharpness: on / off) of files painted with "
        f"temporal consistency off and on and decoded again; flow by Farneback on the input; first "
        f"{options.frames} frames, every {PAIR_EVERY}rd pair, longest side {options.size} px; "
        f"losses of every {LOSS_EVERY}th frame, off and on, with the painting as trained with"
    )
    metrics: dict[str, dict[str, Any]] = {name: {"how": how, "clips": {}} for name in painters}
    for clip in options.clips:
        scores = score_clip(clip, painters, judges, options.frames, options.size)
        for name, numbers in scores.items():
            metrics[name]["clips"][clip.name] = _rounded(numbers)
    if options.photos:
        held_out = list_photos(options.photos)[-options.hold_out :]
        photos = (to_frame(read_painting(path, options.photo_size)) for path in held_out)
        for name, numbers in score_photos(photos, painters, judges).items():
            metrics[name]["photos"] = _rounded(numbers) | {"size": options.photo_size}
    return metrics


def name_of(path: Path) -> str:
    """`great-wave` of weights/great-wave.safetensors, of a run's folder and of its checkpoint."""
    if path.stem in ("checkpoint", "perceptual"):
        return path.parent.name
    return path.name if path.is_dir() else path.stem


def _judge(weights: Path, options: argparse.Namespace, vgg: VGG16Features) -> Judge:
    if options.style:
        return Judge(vgg, read_painting(options.style, options.style_size))
    picture, longest = trained_on(weights.with_suffix(".json"))
    return Judge(vgg, read_painting(options.paintings / picture, longest))


def trained_on(record: Path) -> tuple[str, int]:
    """The file name of the painting that a style was trained with, and its longest side, pixels.

    Raises:
        StyleError: the record cannot be read, or does not say.
    """
    training = read_style(record).training
    try:
        words = shlex.split(training["command"])
        return Path(words[words.index("--style") + 1]).name, int(training["config"]["style_size"])
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as cause:
        raise StyleError(f"{record} does not say which painting it was trained with, in which "
                         "size. Give --style and --style-size.") from cause  # fmt: skip


def _rounded(numbers: dict[str, float]) -> dict[str, float]:
    return {key: round(value, 6) for key, value in numbers.items()}


def table(metrics: dict[str, Any]) -> str:
    """The numbers as text, a line for each clip: warping errors times 1000."""
    lines: list[str] = []
    if metrics["clips"]:
        lines.append(f"{'clip':32}" + "".join(f"{column:>11}" for column in _COLUMNS))
    for clip, numbers in metrics["clips"].items():
        cells = [
            numbers.get(column, math.nan) * (1000 if column.startswith(("floor", "o")) else 1)
            for column in _COLUMNS
        ]
        lines.append(f"{clip:32}" + "".join(f"{value:11.3f}" for value in cells))
    if photos := metrics.get("photos"):
        lines.append(f"{photos['count']} photographs: style loss {photos['style']:.4f}, "
                     f"content loss {photos['content']:.4f}")  # fmt: skip
    return "\n".join(lines)


def put_in_record(path: Path, metrics: dict[str, Any]) -> None:
    """Put metrics into a style's record in place of those it had.

    Raises:
        StyleError: there is no such record.
    """
    read_style(path)
    record = json.loads(path.read_text("utf-8")) | {"metrics": metrics}
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    with written_whole(path) as partial:
        partial.write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
