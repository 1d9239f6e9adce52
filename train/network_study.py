"""`python -m train.network_study`: train other shapes of the network on the same pictures with the
same seed and steps, and say what each costs and gives. `docs/network.md` holds a table of it.

A shape that was trained before is not trained again. Times are taken in one interleaved run.
"""

import argparse
import json
import logging
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm import tqdm

from stylevid.bench.classic import ClassicNet
from stylevid.errors import StylevidError
from stylevid.frames import fit, resize, size_of, to_frame, to_image
from stylevid.metrics import FlickerMeter
from stylevid.network import StyleNet
from stylevid.video import probe, read_frames

from .config import TrainConfig
from .data import TrainingData
from .images import list_photos, read_painting, read_picture
from .loop import make_trainer, train_step
from .measure import Judge
from .variants import Shape, VariantNet
from .vgg import load_vgg

log = logging.getLogger(__name__)

_NARROW = Shape(width=48, half=24)
SHAPES: dict[str, Shape] = {
    "64": Shape(),
    "48": _NARROW,
    "48/16": Shape(width=48, half=16),
    "32": Shape(width=32, half=16),
    "48 sub-pixel": replace(_NARROW, enlarge="sub-pixel"),
    "48/16 sub-pixel": Shape(width=48, half=16, enlarge="sub-pixel"),
    "48 nearest": replace(_NARROW, enlarge="nearest"),
    "48 batch norm": replace(_NARROW, norm="batch"),
    "48 zeros": replace(_NARROW, padding="zeros"),
    "48 replicate": replace(_NARROW, padding="replicate"),
    "48 three blocks": replace(_NARROW, dilations=(1,) * 3),
    "48 seven blocks": replace(_NARROW, dilations=(1,) * 7),
    "48 dilated": replace(_NARROW, dilations=(1, 2, 4, 2, 1)),
    "48 depthwise": replace(_NARROW, depthwise=True),
    "48 branches": replace(_NARROW, branches=True),
    "48 blur": replace(_NARROW, blur=True),
    "48/16 eighth 64": Shape(width=48, half=16, eighth=64, enlarge="sub-pixel"),
    "32/16 eighth 96": Shape(width=32, half=16, eighth=96, enlarge="sub-pixel"),
    "unshuffle 4, 64": Shape(half=24, unshuffle=4, enlarge="sub-pixel"),
}


CLASSIC = "classic"  # Johnson et al. 2016, to be compared with


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_flush_denormal(True)
    try:
        study(options)
    except StylevidError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m train.network_study", description=__doc__)
    parser.add_argument("--style", type=Path, required=True, help="the painting, a picture file")
    parser.add_argument("--content", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--vgg", type=Path, help="VGG-16 as safetensors; else torchvision's")
    parser.add_argument("--shapes", nargs="+", choices=[*SHAPES, CLASSIC], default=[*SHAPES])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--style-weight", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hold-out", type=int, default=40, help="photographs not trained on")
    parser.add_argument("--photos", type=int, default=24, help="held-out photographs")
    parser.add_argument("--clips", type=Path, nargs="*", default=[], help="to measure E_warp on")
    parser.add_argument("--runs", type=Path, default=Path("runs/study"))
    return parser.parse_args(arguments)


def study(options: argparse.Namespace) -> None:
    """Train and score each shape; writes NAME.safetensors, NAME.json and NAME.jpg in the folder."""
    options.runs.mkdir(parents=True, exist_ok=True)
    for name in options.shapes:
        stem = f"{name.replace('/', '-').replace(' ', '-')}-seed{options.seed}"
        path = options.runs / f"{stem}.safetensors"
        if not path.exists():
            trained = train_shape(name, options).state_dict()
            save_file({key: tensor.contiguous() for key, tensor in trained.items()}, path)
        network = make_network(name)
        network.load_state_dict(load_file(path))
        scores = score(network.eval(), options, options.runs / f"{stem}.jpg")
        about = {"shape": name, "seed": options.seed, "steps": options.steps, **scores}
        (options.runs / f"{stem}.json").write_text(json.dumps(about, indent=2) + "\n", "utf-8")
        log.info("%s: %s", name, scores)


def make_network(name: str) -> nn.Module:
    return ClassicNet() if name == CLASSIC else VariantNet(SHAPES[name])


def train_shape(name: str, options: argparse.Namespace) -> nn.Module:
    """The perceptual stage, on what every other shape sees as well."""
    config = TrainConfig(
        steps=options.steps,
        temporal_steps=0,
        crop=options.crop,
        style_weight=options.style_weight,
        seed=options.seed,
        hold_out=options.hold_out,
    )
    torch.manual_seed(config.seed)
    network = make_network(name)
    painting = read_painting(options.style, config.style_size)
    # They have all of StyleNet's methods that the perceptual objective calls.
    trainer = make_trainer(config, cast(StyleNet, network), load_vgg(options.vgg, "cpu"),
                           painting, "cpu")  # fmt: skip
    data = TrainingData(config, list_photos(options.content, config.hold_out), workers=1)
    batches = data.batches(0, config.steps)
    for step, batch in enumerate(tqdm(batches, total=config.steps, unit="step")):
        train_step(trainer, batch, step)
    return network


@torch.inference_mode()
def score(network: nn.Module, options: argparse.Namespace, sheet: Path) -> dict[str, Any]:
    """Style and content loss on held-out photographs, parameters; and a sheet of three."""
    judge = Judge(load_vgg(options.vgg, "cpu"), read_painting(options.style, 512))
    losses: list[tuple[float, float]] = []
    tiles: list[np.ndarray] = []
    for number, path in enumerate(list_photos(options.content)[-options.photos :]):
        image = to_image(read_picture(path))
        height, width = fit(*size_of(image), 512)
        image = resize(image, (height // 8 * 8, width // 8 * 8))
        stylized = network(image).clamp(0, 1)
        losses.append(judge(stylized, image))
        if number % max(1, options.photos // 3) == 0:
            tiles.append(np.asarray(Image.fromarray(to_frame(stylized)).resize((512, 384))))
    Image.fromarray(np.concatenate(tiles, axis=1)).save(sheet, quality=92)
    style, content = np.mean(losses, axis=0)
    parameters = sum(p.numel() for p in network.parameters())
    scores = {"style": float(style), "content": float(content), "parameters": parameters}
    if options.clips:
        scores["excess_warping_error"] = float(
            np.mean([unsteadiness(network, clip) for clip in options.clips])
        )
    return scores


def unsteadiness(network: nn.Module, clip: Path) -> float:
    """E_warp of the painted clip minus that of the clip, first 16 frames, 512 pixels, flow by
    DIS."""
    info = probe(clip)
    height, width = fit(info.height, info.width, 512)
    meter = FlickerMeter(longest=None, judge="dis")
    for timed in islice(read_frames(info, (height // 8 * 8, width // 8 * 8)), 16):
        image = to_image(timed.frame)
        meter.update(image, {"painted": network(image)})
    flicker = meter.result()
    return flicker.errors["painted"] - flicker.floor


if __name__ == "__main__":
    sys.exit(main())
