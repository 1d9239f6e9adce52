"""`python -m stylevid.batch clips/ --style starry-night --out painted/`: paint many clips."""

import argparse
import io
import logging
import math
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch import Tensor
from tqdm import tqdm

from ..__main__ import add_painting_options, painting_options
from ..errors import StyleError, StylevidError
from ..hub import get_style, repo_names
from ..network import StyleNet
from ..styles import slug_of
from ..weights import file_sha256, find_weights, load_network, load_painting
from .clips import is_list, read_wishes
from .crew import Crew, ProcessCrew, RayCrew, connect, hand_out
from .jobs import NAME, PIECES, Job, Ledger, Record
from .places import full_name, hide_queries, open_place, remove, scratch_of
from .worker import WorkerConfig

_SHOWN_ERRORS = 20


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 all painted, 1 not all, 2 wrong arguments."""
    options = build_parser().parse_args(arguments)
    logging.basicConfig(format="stylevid: %(message)s")
    try:
        return _run(options)
    except (StylevidError, ValueError) as error:
        print(f"stylevid: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except OSError as error:  # of the folder for the results itself
        print(f"stylevid: {options.out} cannot be written: {error.strerror}.", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        print("stylevid: stopped; the same command goes on from here.", file=sys.stderr)  # noqa: T201
        return 130


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        "stylevid.batch", description="Paint many clips; run again, it goes on where it was."
    )
    add = parser.add_argument
    add("inputs", nargs="+", help="videos, folders, patterns, lists (.csv, .jsonl) or URLs of them")
    add("--style", action="append", default=[], help="as stylevid takes it, any number of times")
    add("--out", required=True, help="the folder or URL for the results")
    add("--workers", type=int, help="at once (default: one a GPU, or for every two cores)")
    add("--ray", metavar="ADDRESS", help="a Ray cluster's address, 'auto' on one of its nodes, or "
        "'local' to begin one here")  # fmt: skip
    add("--retry-failed", action="store_true", help="try what was refused or failed before, too")
    add("--overwrite", action="store_true", help="paint everything, also what is done")
    add("--fine", action="store_true", help="learn a clip before it is painted: richer, steadier")
    add("--learn-seconds", type=float, default=120.0, metavar="N", help="for so long (120)")
    add("--split", type=float, default=60.0, metavar="SECONDS", help="paint clips that are more "
        "than twice as long in pieces of so long, side by side (60; 0 never)")  # fmt: skip
    add_painting_options(parser)
    return parser


def _run(options: argparse.Namespace) -> int:
    if options.workers is not None and options.workers < 1:
        raise ValueError(f"--workers is 1 or more; got {options.workers}")
    if not 0 < options.learn_seconds < math.inf:
        raise ValueError(f"--learn-seconds is more than 0; got {options.learn_seconds:g}")
    if not (options.split == 0 or 1 <= options.split < math.inf):
        raise ValueError(f"--split is 1 second or more, or 0; got {options.split:g}")
    out = full_name(*open_place(options.out)).rstrip("/")
    scratch = scratch_of(out)
    scratch.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(f"{scratch}.lock", timeout=0):
            shutil.rmtree(scratch, ignore_errors=True)  # what a killed batch has left
            try:
                return _paint(options, out)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    except Timeout as cause:
        raise StylevidError(f"Another batch is at work on {out}. Wait for it.") from cause


def _paint(options: argparse.Namespace, out: str) -> int:
    shelf = Shelf(options.weights, repo_names(options.hub_repo), options.fine)
    ledger, table, jobs = Ledger(out), Table(), list[Job]()
    for asked in _ask(options, out, shelf):
        if isinstance(asked, Record):
            table.add(asked)
            ledger.add(asked)
        elif (known := ledger.known(asked)) and not (
            options.overwrite or (options.retry_failed and known.status != "painted")
        ):
            table.old[known.status] += 1
        else:
            jobs.append(asked)
    if jobs:
        crew = _crew(options, out, shelf, len(jobs))
        bar = tqdm(total=len(jobs), unit="clip", disable=None)
        try:
            for record in hand_out(jobs, crew):
                ledger.add(record)
                table.add(record)
                bar.set_postfix_str(table.speed, refresh=False)
                bar.update()
        finally:
            bar.close()
            crew.close()
            ledger.save()
        remove(f"{out}/{PIECES}")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names need not be UTF-8
    print(table)  # noqa: T201
    return 0 if table.whole else 1


def _ask(options: argparse.Namespace, out: str, shelf: "Shelf") -> Iterator[Job | Record]:
    """What is to be painted, each target once, and what cannot be."""
    settings, learn_s = painting_options(options), options.learn_seconds * options.fine
    if not options.style and not all(map(is_list, options.inputs)):
        raise StylevidError("Name a --style.")
    for style in options.style:
        shelf.find(style)
    asked: dict[str, Job] = {}
    for place in options.inputs:
        for name, wish in read_wishes(place, out, settings):
            try:
                if isinstance(wish, StylevidError):
                    raise wish
                styles = [wish.style] if wish.style else options.style
                if not styles:
                    raise StylevidError("it names no style, and there is no --style.")
                for style in styles:
                    job = Job.of(wish, *shelf.find(style), learn_s, options.split)
                    other = asked.setdefault(job.target, job)
                    if other is job:
                        yield job
                    elif other != job:
                        raise StylevidError(
                            f"its result would be {job.target}, as that of "
                            f"{hide_queries(other.source)} is. Name another output in a list."
                        )
            except StylevidError as error:
                yield Record(name, hide_queries(place), "", "", "refused", error=str(error))


class Shelf:
    """The styles of a batch, each loaded and checked once: `networks` and, where clips are to be
    learned, `paintings` by sha256."""

    def __init__(self, folder: Path | None, repos: list[str], fine: bool) -> None:
        self._folder, self._repos, self._fine = folder, repos, fine
        self._known: dict[str, tuple[str, str]] = {}
        self.networks: dict[str, StyleNet] = {}
        self.paintings: dict[str, dict[str, Tensor]] = {}

    def find(self, name: str) -> tuple[str, str]:
        """A style's slug, or its file's stem, and the sha256 of its weights.

        Raises:
            StylevidError: there is no such style, or its weights cannot be used.
        """
        if name not in self._known:
            is_file = name.endswith(".safetensors")
            style = Path(name) if is_file else get_style(name, self._folder, self._repos)
            network, painting = load_network(style), load_painting(style) if self._fine else {}
            if self._fine and not painting:
                raise StyleError(f"{name} does not hold what is to be learned of its painting. "
                                 "Leave --fine out.")  # fmt: skip
            sha256 = file_sha256(find_weights(style))
            self._known[name] = slug_of(style), sha256
            self.networks[sha256], self.paintings[sha256] = network, painting
        return self._known[name]


def _crew(options: argparse.Namespace, out: str, shelf: Shelf, jobs: int) -> Crew:
    """Workers on Ray or on this machine, no more than can be at work."""
    cpus, gpus = torch.get_num_threads(), torch.cuda.device_count()
    ray = connect(options.ray) if options.ray else None
    if ray:
        resources = ray.cluster_resources()
        cpus, gpus = int(resources.get("CPU", 1)), int(resources.get("GPU", 0))
    gpus = 0 if options.device == "cpu" else gpus
    size = options.workers or gpus or max(1, cpus // 2)
    size = size if options.split else min(jobs, size)
    config = WorkerConfig(out, shelf.networks, shelf.paintings, max(1, cpus // size),
                          options.device, options.engine)  # fmt: skip
    return RayCrew(ray, config, size, min(1, gpus / size)) if ray else ProcessCrew(config, size)


class Table:
    """What came of a batch, to be printed."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._new, self.old = Counter[str](), Counter[str]()  # what was done now, and before
        self._frames = 0
        self._errors: list[str] = []

    def add(self, record: Record) -> None:
        """Count what was done now."""
        self._new[record.status] += 1
        self._frames += record.frames
        if record.error:
            self._errors.append(f"{record.target}: {record.error}")

    @property
    def whole(self) -> bool:
        """Whether everything is painted."""
        return self._new.keys() | self.old.keys() <= {"painted"}

    @property
    def speed(self) -> str:
        """Frames so far, and a second."""
        return f"{self._frames} frames, {self._frames / self._seconds:.1f} frames/s"

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._started_s

    def __str__(self) -> str:
        lines = self._errors[:_SHOWN_ERRORS]
        if more := len(self._errors) - len(lines):
            lines.append(f"and {more} more: see {NAME}")
        before = self.old["refused"] + self.old["failed"]
        lines.append(f"painted  {self._new['painted']:6}  {self.speed}, {self._seconds:.0f} s")
        lines.append(f"skipped  {self.old['painted']:6}  done before and unchanged")
        lines.append(f"refused  {self._new['refused']:6}")
        lines.append(f"failed   {self._new['failed']:6}")
        if before:
            lines.append(f"left out {before:6}  refused or failed before; see --retry-failed")
        return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
