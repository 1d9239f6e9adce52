"""`python -m train.catalog`: train, measure and export every style that `catalog.toml` lists, and
paint a sheet of them all. It goes on where it was stopped."""

import argparse
import json
import shlex
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from PIL import Image

from stylevid.errors import StyleError, WeightsError, exit_status
from stylevid.styles import list_styles

from .config import TrainConfig
from .export import read_json
from .learning.checkpoint import load_checkpoint
from .model_card import contact_sheet

CATALOG = Path(__file__).with_name("catalog.toml")
LICENCE = "Weights: MIT. Painting: public domain by age (the author died more than 70 years ago)."

_ABOUT = ("title", "artist", "year", "medium", "source")


@dataclass(frozen=True)
class Entry:
    """One style of the catalog.

    Attributes:
        painting: the picture's file name.
        about: what the record says of it.
        settings: options of `python -m train` by their field names.
    """

    slug: str
    painting: str
    about: dict[str, str]
    settings: dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m train.catalog", description=__doc__)
    parser.add_argument("--catalog", type=Path, default=CATALOG)
    parser.add_argument("--paintings", type=Path, required=True, help="a folder of their pictures")
    parser.add_argument("--content", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--learn-from", type=Path, nargs="+", default=[],
                        help="clips to learn motion from")  # fmt: skip
    parser.add_argument("--clips", type=Path, nargs="+", default=[], help="other clips, to "
                        "measure flicker on")  # fmt: skip
    parser.add_argument("--preview", type=Path, required=True, help="the picture that all paint")
    parser.add_argument("--styles", nargs="+", help="only these (default: all)")
    parser.add_argument("--base", type=Path, help="weights that every style starts from; else they "
                        "are trained from nothing, as the catalog's [start] says")  # fmt: skip
    parser.add_argument("--runs", type=Path, default=Path("runs/catalog"))
    parser.add_argument("--weights", type=Path, default=Path("weights"))
    parser.add_argument("--sheet", type=Path, default=Path("runs/catalog.jpg"))
    parser.add_argument("--jobs", type=int, default=1, help="styles that are trained at once")
    options = parser.parse_args(arguments)
    return exit_status(lambda: make(*read_catalog(options.catalog), options))


def read_catalog(path: Path) -> tuple[Entry, list[Entry]]:
    """What all styles of a catalog start from, and the styles.

    Raises:
        StyleError: the file is no catalog, or a setting is unknown or outside its limits.
    """
    try:
        catalog = tomllib.loads(path.read_text("utf-8"))
        shared, start = catalog["settings"], dict(catalog["start"])
        model = start.pop("style")
        entries = {
            slug: Entry(
                slug=slug,
                painting=style["painting"],
                about={key: style[key] for key in _ABOUT} | {"licence": LICENCE},
                settings=shared | style.get("settings", {}),
            )
            for slug, style in catalog["styles"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as cause:
        raise StyleError(f"{path} is not a catalog of styles: {cause!r}.") from cause
    if model not in entries:
        raise StyleError(f"{path} starts from {model!r}, which it does not list.")
    first = replace(entries[model], slug="start", settings=entries[model].settings | start)
    known = {field.name for field in fields(TrainConfig)}
    for entry in (*entries.values(), first):
        if unknown := sorted(set(entry.settings) - known):
            raise StyleError(f"{path}: {entry.slug} has the unknown setting {unknown[0]!r}.")
        try:
            TrainConfig(**entry.settings)
        except StyleError as cause:
            raise StyleError(f"{path}: {entry.slug}: {cause}") from cause
    return first, list(entries.values())


def make(first: Entry, entries: list[Entry], options: argparse.Namespace) -> None:
    """Bring weights/ and the sheet up to date with the catalog.

    Raises:
        StyleError: there is no such style, or a command failed: its own words are passed on.
    """
    wanted = options.styles or [entry.slug for entry in entries]
    if missing := sorted(set(wanted) - {entry.slug for entry in entries}):
        raise StyleError(f"The catalog has no style {missing[0]!r}.")
    options.sheet.parent.mkdir(parents=True, exist_ok=True)  # known before all is trained
    start = options.base
    if not start:
        train(first, None, options)
        start = options.runs / first.slug
    with ThreadPoolExecutor(max(1, options.jobs)) as pool:
        chosen = [entry for entry in entries if entry.slug in wanted]
        list(pool.map(lambda entry: finish(entry, start, options), chosen))
    previews = [Image.open(style.preview) for style in list_styles(options.weights)]
    options.sheet.write_bytes(contact_sheet(previews))


def finish(entry: Entry, start: Path, options: argparse.Namespace) -> None:
    """Train, measure and export a style, as far as it has not been done."""
    train(entry, start, options)
    run = options.runs / entry.slug
    metrics = run / "metrics.json"
    trained = (run / "checkpoint.safetensors").stat().st_mtime
    if options.clips and not (metrics.exists() and metrics.stat().st_mtime > trained):
        size = entry.settings.get("style_size", TrainConfig().style_size)
        _command("train.evaluate", "--weights", run, "--clips", *options.clips, "--json", metrics,
                 "--style", options.paintings / entry.painting, "--photos", options.content,
                 "--style-size", size)  # fmt: skip
    about = run / "about.json"
    about.write_text(json.dumps(entry.about, ensure_ascii=False), "utf-8")
    measured = ["--metrics", metrics] if metrics.exists() else []
    _command("train.export", "--run", run, "--slug", entry.slug, "--painting", about,
             "--preview", options.preview, "--weights", options.weights,
             "--style", options.paintings / entry.painting, *measured)  # fmt: skip


def train(entry: Entry, start: Path | None, options: argparse.Namespace) -> None:
    """Train a style to its end, or continue it; nothing is done to one that is finished.

    Raises:
        StyleError: the training failed, or is of other settings than the catalog's now.
    """
    picture, run = options.paintings / entry.painting, options.runs / entry.slug
    with suppress(WeightsError):  # there is no checkpoint
        done = load_checkpoint(run / "checkpoint.safetensors")
        config = TrainConfig(**entry.settings)
        learned = shlex.split(read_json(run / "run.json").get("command", ""))
        finished = done.step == config.total_steps and done.config == vars(config)
        if finished and picture.name in learned:
            return
    settings = [f"--{k.replace('_', '-')}={v}" for k, v in entry.settings.items()]
    given: list[object] = ["--warm-start", start] if start else []
    motion: list[object] = ["--clips", *options.learn_from] if options.learn_from else []
    _command("train", "--style", picture, "--content", options.content, "--name", entry.slug,
             "--runs", options.runs, *given, *motion, *settings)  # fmt: skip


def _command(module: str, *arguments: object) -> None:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    finished = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if finished.returncode:
        last = finished.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise StyleError(f"python -m {module} failed: {last[0]}")


if __name__ == "__main__":
    sys.exit(main())
