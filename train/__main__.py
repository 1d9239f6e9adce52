"""`python -m train`: teach the network one painting. `torchrun -m train` does it on several GPUs
or machines."""

import argparse
import json
import logging
import shlex
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import fields
from itertools import takewhile
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from stylevid.errors import StyleError, exit_status
from stylevid.files import written_whole
from stylevid.learn.allocation import keep_memory
from stylevid.learn.painting import read_painting
from stylevid.learn.vgg import load_vgg
from stylevid.network import StyleNet

from .config import PRECISIONS, TrainConfig
from .data.clips import Clips
from .data.images import list_photos
from .data.loader import TrainingData
from .data.sceneflow import PASSES, SceneFlow
from .export import read_json
from .learning.checkpoint import load_checkpoint, load_network_from
from .learning.curves import Reporter
from .learning.distributed import join
from .learning.loop import check_settings, fit, make_trainer


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m train", description=__doc__)
    parser.add_argument("--style", type=Path, required=True, help="the painting, a picture file")
    parser.add_argument("--content", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--sceneflow", type=Path, help="SceneFlow, any part of it; without it "
                        "pairs of frames are generated from the photographs")  # fmt: skip
    parser.add_argument("--clips", type=Path, nargs="+", default=[], help="videos to learn motion "
                        "from as well; they cannot serve as a test any more")  # fmt: skip
    parser.add_argument("--render", choices=(*PASSES, "both"), default="both",
                        help="SceneFlow's pass")  # fmt: skip
    parser.add_argument("--name", required=True, help="the style's slug; the run's folder")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs are kept")
    parser.add_argument("--warm-start", type=Path, nargs="+", default=[], help="a style's "
                        "weights, a checkpoint or a run's folder to start from; of several, the "
                        "mean (as in Reptile, Nichol et al. 2018)")  # fmt: skip
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=2, help="processes that load "
                        "batches; 0 loads in the training process")  # fmt: skip
    parser.add_argument(
        "--checkpoint-every", type=int, default=100, help="steps between checkpoints"
    )
    parser.add_argument("--sample-every", type=int, default=100, help="steps between samples")
    settings = parser.add_argument_group("settings")
    for field in fields(TrainConfig):  # one option for each
        kind, what = type(field.default), f"{field.metadata['help']} (%(default)s)"
        settings.add_argument("--" + field.name.replace("_", "-"), type=kind, help=what,
                              default=field.default, choices=PRECISIONS if kind is str else None,
                              metavar=None if kind is str else "X")  # fmt: skip
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return exit_status(lambda: train(options))


def train(options: argparse.Namespace) -> None:
    """Run the training that the options describe, or continue it, among the other processes.

    Raises:
        StylevidError: an option or a file cannot be used.
    """
    with join(options.device) as (processes, device):
        keep_memory()
        torch.set_flush_denormal(True)
        config = TrainConfig(**{f.name: getattr(options, f.name) for f in fields(TrainConfig)})
        torch.manual_seed(config.seed)
        photos = list_photos(options.content, config.hold_out)
        passes = tuple(PASSES) if options.render == "both" else (options.render,)
        sceneflow = SceneFlow(options.sceneflow, passes) if options.sceneflow else None
        clips = Clips(options.clips, config.frames) if options.clips else None
        network = start_network(options.warm_start, config)
        vgg = load_vgg(device, getattr(torch, config.precision))
        painting = read_painting(options.style, config.style_size)
        trainer = make_trainer(config, network, vgg, painting, device, processes)
        data = TrainingData(config, photos, sceneflow, processes.rank, processes.count,
                            max(0, options.workers), clips)  # fmt: skip

        folder: Path = options.runs / options.name
        every = max(1, options.checkpoint_every)
        if not processes.is_first:
            fit(trainer, data, folder, lambda *_: None, every)
            return
        folder.mkdir(parents=True, exist_ok=True)
        with _alone_in(folder):
            write_run(folder, options, config, len(photos), processes.count)
            samples = list_photos(options.content)[-6:]
            started = time.perf_counter()
            with Reporter(folder, samples, config.total_steps, options.sample_every) as report:
                fit(trainer, data, folder, report, every)
        seconds = time.perf_counter() - started
        logging.info("%.0f s, of which %.1f %% were waited for data", seconds,
                     100 * data.waited_s / max(seconds, 1e-9))  # fmt: skip
        if sceneflow is not None:
            logging.info(sceneflow.summary())


@contextmanager
def _alone_in(folder: Path) -> Generator[None]:
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as cause:
        raise StyleError(f"Another training is at work in {folder}. Wait for it, or give another "
                         "--name.") from cause  # fmt: skip


def start_network(warm_start: list[Path], config: TrainConfig) -> StyleNet:
    """A new network, or one with the mean of others' weights.

    Raises:
        WeightsError: a path holds no network.
        StyleError: the network that it holds is of another shape.
    """
    network = StyleNet(config.network)
    states: list[dict[str, torch.Tensor]] = []
    for path in warm_start:
        first = load_network_from(path)
        try:
            network.load_state_dict(first.state_dict())  # whatever its dilation
        except RuntimeError as cause:
            raise StyleError(
                f"{path} holds a network of {first.config}, not of {config.network}. Give its "
                "--width and --blocks."
            ) from cause
        states.append(first.state_dict())
    if states:
        network.load_state_dict({k: sum(s[k] for s in states) / len(states) for k in states[0]})
    return network


def _name(start: Path) -> str:
    """What names a file of weights, or a run, without its folders."""
    start = start.absolute()  # not resolved: the Hub's cache holds links to files without a name
    return start.parent.name if start.name == "checkpoint.safetensors" else start.name


def _history(warm_start: list[Path]) -> dict[str, list[str]]:
    """The commands that made what a run started from, oldest first, as far as its run's record or
    its style's tells them."""
    if not warm_start:
        return {}
    if len(warm_start) > 1:
        return {"warm_started_from": [f"the mean of {', '.join(map(_name, warm_start))}"]}
    start = warm_start[0]
    folder = start if start.is_dir() else start.parent
    for path in (folder / "run.json", start.with_suffix(".json")):
        if path.is_file():
            record = read_json(path)
            told = record.get("training", record)
            commands = [*told.get("warm_started_from", []), told.get("command", "not recorded")]
            return {"warm_started_from": commands}
    return {}


def write_run(
    folder: Path, options: argparse.Namespace, config: TrainConfig, photos: int, processes: int
) -> None:
    """What the record will say of this run: command, data, device. Folders by their names only.

    Raises:
        StyleError: the folder holds a training of something else.
        WeightsError: it holds one with other settings.
    """
    command = ["python", "-m", "train"]
    for field in ("style", "content", "sceneflow"):
        if (value := getattr(options, field)) is not None:
            command += [f"--{field}", value.name]
    if options.warm_start:
        command += ["--warm-start", *map(_name, options.warm_start)]
    if options.sceneflow and options.render != "both":
        command += ["--render", options.render]
    command += ["--name", options.name]
    for field in fields(TrainConfig):
        if (value := getattr(options, field.name)) != field.default:
            command += [f"--{field.name.replace('_', '-')}", f"{value}"]
    if options.clips:
        command += ["--clips", *(clip.name for clip in options.clips)]
    pairs = f"of {options.sceneflow.name}" if options.sceneflow else "generated from them"
    if options.clips:
        pairs += f" and of {len(options.clips)} clips"
    device, threads = options.device, torch.get_num_threads()
    cpu = f"CPU, {threads} thread{'' if threads == 1 else 's'}"
    command_line = shlex.join(command)
    about = {
        "command": command_line,
        "data": f"{photos} photographs; the temporal stage on sequences {pairs}",
        "device": cpu if device == "cpu" else device,
        "processes": processes,
        "torch": torch.__version__,
        **_history(options.warm_start),
    }
    path = folder / "run.json"
    if (latest := folder / "checkpoint.safetensors").exists():
        before = str(read_json(path).get("command")) if path.exists() else command_line
        if what_is_learned(before) != what_is_learned(command_line):
            raise StyleError(f"{folder} holds what `{before}` has trained. Give the same options "
                             "to continue it, or another --name to start anew.")  # fmt: skip
        check_settings(load_checkpoint(latest), config)
    with written_whole(path) as partial:
        partial.write_text(json.dumps(about, indent=2) + "\n", "utf-8")


def what_is_learned(command: str) -> list[str]:
    """Of a training's command, the painting, the data and the start."""
    words = [_name(Path(word)) for word in shlex.split(command)]  # older runs tell folders, too
    clips = words[words.index("--clips") :] if "--clips" in words else []
    return [*takewhile("--name".__ne__, words), *clips]


if __name__ == "__main__":
    sys.exit(main())
