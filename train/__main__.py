"""`python -m train`: teach the network one painting."""

import argparse
import json
import logging
import sys
import time
from dataclasses import fields
from pathlib import Path

import torch
from tqdm import tqdm

from stylevid.errors import StylevidError
from stylevid.frames import Frame, fit, resize, size_of, to_frame, to_image
from stylevid.network import StyleNet

from .checkpoint import network_tensors
from .config import TrainConfig
from .images import list_photos, read_painting, read_picture
from .loop import fit as run_training
from .loop import make_trainer
from .vgg import load_vgg


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        train(options)
    except StylevidError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line: what to train from, and one option for each field of TrainConfig."""
    parser = argparse.ArgumentParser("python -m train", description=__doc__)
    parser.add_argument("--style", type=Path, required=True, help="the painting, a picture file")
    parser.add_argument("--content", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--name", required=True, help="the style's slug; the run's folder")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs are kept")
    parser.add_argument("--vgg", type=Path, help="VGG-16 as safetensors; else torchvision's")
    parser.add_argument("--warm-start", type=Path, help="a checkpoint to start from")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--sample-every", type=int, default=100, help="steps between samples")
    for field in fields(TrainConfig):
        flag = "--" + field.name.replace("_", "-")
        parser.add_argument(flag, type=type(field.default), default=field.default)
    return parser.parse_args(arguments)


def train(options: argparse.Namespace) -> None:
    """Run the training that the options describe, or continue it."""
    torch.set_flush_denormal(True)
    config = TrainConfig(**{f.name: getattr(options, f.name) for f in fields(TrainConfig)})
    torch.manual_seed(config.seed)
    photos = list_photos(options.content, config.hold_out)
    network = StyleNet(config.network)
    if options.warm_start is not None:
        network.load_state_dict(network_tensors(options.warm_start))
    vgg = load_vgg(options.vgg, options.device)
    painting = read_painting(options.style, config.style_size)
    trainer = make_trainer(config, network, vgg, painting, options.device)

    folder: Path = options.runs / options.name
    folder.mkdir(parents=True, exist_ok=True)
    write_run(folder / "run.json", options, len(photos))
    samples = list_photos(options.content)[-6:]
    total = config.steps + config.temporal_steps
    started = time.time()
    with tqdm(total=total, unit="step") as bar, (folder / "log.jsonl").open("a") as log:

        def report(step: int, values: dict[str, float], network: StyleNet) -> None:
            bar.update(step - bar.n)
            bar.set_postfix({name: f"{value:.3f}" for name, value in values.items()})
            record = {"step": step, "seconds": round(time.time() - started, 1), **values}
            log.write(json.dumps(record) + "\n")
            log.flush()
            if step % options.sample_every == 0 or step == total:
                write_samples(network, samples, folder / f"sample_{step:05d}.jpg")

        run_training(trainer, photos, folder, report)


def write_run(path: Path, options: argparse.Namespace, photos: int) -> None:
    """What the record will say of this run: command, data, device. Folders by their names only."""
    command = ["python -m train"]
    for field in ("style", "content", "vgg", "warm_start"):
        if (value := getattr(options, field)) is not None:
            shown = value if field == "warm_start" else value.name
            command.append(f"--{field.replace('_', '-')} {shown}")
    command.append(f"--name {options.name}")
    for field in fields(TrainConfig):
        if (value := getattr(options, field.name)) != field.default:
            command.append(f"--{field.name.replace('_', '-')} {value}")
    about = {
        "command": " ".join(command),
        "data": f"{photos} photographs; the temporal stage on pairs generated from them",
        "device": options.device
        if options.device != "cpu"
        else f"CPU, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
    }
    path.write_text(json.dumps(about, indent=2) + "\n", "utf-8")


@torch.no_grad()
def write_samples(network: StyleNet, photos: list[Path], path: Path) -> None:
    """A sheet of the photographs as the network paints them now, each 480 x 360."""
    import numpy as np
    from PIL import Image

    device = next(network.parameters()).device
    tiles: list[Frame] = []
    for photo in photos:
        image = to_image(read_picture(photo), device)
        image = resize(image, fit(*size_of(image), 640))
        with torch.autocast(device.type, torch.bfloat16):
            stylized = network(image)
        tiles.append(np.asarray(Image.fromarray(to_frame(stylized)).resize((480, 360))))
    rows = [np.concatenate(tiles[i : i + 3], axis=1) for i in range(0, len(tiles), 3)]
    Image.fromarray(np.concatenate(rows)).save(path, quality=92)


if __name__ == "__main__":
    sys.exit(main())
