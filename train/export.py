"""`python -m train.export`: a run's checkpoint becomes a style in `weights/`: safetensors in
float16, its record, and a preview."""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from stylevid.canvas import image_on_canvas
from stylevid.errors import StyleError, WeightsError, exit_status
from stylevid.frames import Frame, resize, size_of, to_frame
from stylevid.learn.losses import PaintingTargets
from stylevid.learn.painting import read_painting, read_picture
from stylevid.learn.vgg import load_vgg
from stylevid.network import StyleNet
from stylevid.styles import read_style
from stylevid.weights import load_network, save_network

from .learning.checkpoint import load_checkpoint, load_network_from
from .learning.curves import read_log

_PREVIEW = 384  # pixels, square
_THUMBNAIL = 160  # pixels, the longest side


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m train.export", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="the run's folder")
    parser.add_argument("--slug", required=True, help="the style's short name")
    parser.add_argument("--painting", type=Path, required=True, help="JSON: title, artist, year, "
                        "medium, licence, source")  # fmt: skip
    parser.add_argument("--style", type=Path, help="the painting's picture: with it, the style can "
                        "go on learning")  # fmt: skip
    parser.add_argument("--preview", type=Path, required=True, help="the picture to paint")
    parser.add_argument("--metrics", type=Path, help="JSON of measured numbers")
    parser.add_argument("--weights", type=Path, default=Path("weights"), help="where styles are")
    options = parser.parse_args(arguments)
    return exit_status(lambda: export(options))


def export(options: argparse.Namespace) -> None:
    """Write the files of a style: all of them, or none.

    Raises:
        WeightsError: the network's output is not finite, or the same everywhere, or what was
            written cannot be loaded.
        StyleError: the slug or the record is not one that `styles.py` reads.
    """
    checkpoint = load_checkpoint(options.run / "checkpoint.safetensors")
    network = load_network_from(options.run)
    record = {
        **read_json(options.painting),
        "slug": options.slug,
        "network": network.config.as_dict(),
        "training": {
            **read_json(options.run / "run.json"),
            "steps_done": checkpoint.step,
            **_seconds(options.run / "log.jsonl"),
            "config": checkpoint.config,
        },
        "metrics": read_json(options.metrics) if options.metrics else {},
    }
    preview = paint_preview(network, options.preview)
    painting = None
    if options.style:
        image = read_painting(options.style, int(str(checkpoint.config["style_size"])))
        with torch.no_grad():
            painting = PaintingTargets.of(image, load_vgg()).pack()
    folder: Path = options.weights
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        whole = Path(name)
        # Only the last part of a slug can name a file here; read_style refuses all others.
        slug = Path(options.slug).name or "none"
        record["sha256"] = save_network(network, whole / f"{slug}.safetensors", painting)
        Image.fromarray(preview).save(whole / f"{slug}.jpg", quality=88)
        if options.style:
            save_thumbnail(options.style, whole / f"{slug}.painting.jpg")
        text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        (whole / f"{slug}.json").write_text(text, "utf-8")
        load_network(read_style(whole / f"{slug}.json"))
        if not options.style:  # one that is there shows what this style may not have learned
            (folder / f"{slug}.painting.jpg").unlink(missing_ok=True)
        for path in sorted(whole.iterdir(), key=lambda path: path.suffix == ".json"):
            path.replace(folder / path.name)  # the record last: it makes the style appear


def _seconds(log: Path) -> dict[str, float]:
    """How long the run took on the clock, other work on the machine included, if it has a log."""
    logged = read_log(log)
    return {"seconds": logged[-1]["seconds"]} if logged else {}


def read_json(path: Path) -> dict[str, Any]:
    """
    Raises:
        StyleError: the file is no JSON object.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as cause:
        raise StyleError(f"{path} cannot be read as JSON: {cause}.") from cause
    if not isinstance(content, dict):
        raise StyleError(f"{path} holds no JSON object.")
    return content


def paint_preview(network: StyleNet, picture: Path) -> Frame:
    """The middle square of the painted picture, uint8.

    Raises:
        StyleError: the picture cannot be read.
        WeightsError: it is painted in one color.
    """
    square = paint_square(network, read_painting(picture))
    return to_frame(resize(square, (_PREVIEW, _PREVIEW)))


def save_thumbnail(picture: Path, target: Path) -> None:
    """A picture's small copy, a JPEG.

    Raises:
        StyleError: it is not there, or is no picture.
    """
    small = Image.fromarray(read_picture(picture))
    small.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
    small.save(target, quality=85)


@torch.inference_mode()
def paint_square(network: StyleNet, image: Tensor) -> Tensor:
    """The middle square of the painting of an image 1,3,H,W.

    Raises:
        WeightsError: it is not finite, or the same everywhere: nobody can want such a network.
    """
    painted = network.eval()(image_on_canvas(image))
    if not torch.isfinite(painted).all() or painted.std(dim=(-2, -1)).max() < 0.01:
        raise WeightsError("The network paints in one color or not at all. Train it again.")
    side = min(size_of(painted))
    top, left = ((whole - side) // 2 for whole in size_of(painted))
    return painted[..., top : top + side, left : left + side]


if __name__ == "__main__":
    sys.exit(main())
