"""`python -m train.export`: a run's checkpoint becomes a style in `weights/`: safetensors in
float16, its record, and a preview."""

import argparse
import json
import sys
from pathlib import Path

import torch
from PIL import Image

from stylevid.errors import StylevidError, WeightsError
from stylevid.frames import fit, resize, size_of, to_frame, to_image
from stylevid.network import StyleNet, StyleNetConfig
from stylevid.weights import save_network

from .checkpoint import load_checkpoint, network_tensors
from .images import read_picture

_PREVIEW = 384  # pixels, square


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m train.export", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="the run's folder")
    parser.add_argument("--slug", required=True, help="the style's short name")
    parser.add_argument("--painting", type=Path, required=True, help="JSON: title, artist, year, "
                        "medium, licence, source")  # fmt: skip
    parser.add_argument("--preview", type=Path, required=True, help="the picture to paint")
    parser.add_argument("--metrics", type=Path, help="JSON of measured numbers")
    parser.add_argument("--weights", type=Path, default=Path("weights"), help="where styles are")
    options = parser.parse_args(arguments)
    try:
        export(options)
    except StylevidError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


def export(options: argparse.Namespace) -> None:
    """Write the three files of a style.

    Raises:
        WeightsError: the network's output is not finite, or the same everywhere.
    """
    checkpoint = load_checkpoint(options.run / "checkpoint.safetensors")
    config = StyleNetConfig(
        width=int(str(checkpoint.config["width"])), blocks=int(str(checkpoint.config["blocks"]))
    )
    network = StyleNet(config)
    network.load_state_dict(network_tensors(options.run / "checkpoint.safetensors"))
    preview = paint_preview(network, options.preview)

    folder: Path = options.weights
    folder.mkdir(parents=True, exist_ok=True)
    sha256 = save_network(network, folder / f"{options.slug}.safetensors")
    Image.fromarray(preview).save(folder / f"{options.slug}.jpg", quality=88)
    run = json.loads((options.run / "run.json").read_text("utf-8"))
    record = {
        **json.loads(options.painting.read_text("utf-8")),
        "slug": options.slug,
        "sha256": sha256,
        "network": config.as_dict(),
        "training": {**run, "steps_done": checkpoint.step, "config": checkpoint.config},
        "metrics": json.loads(options.metrics.read_text("utf-8")) if options.metrics else {},
    }
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    (folder / f"{options.slug}.json").write_text(text, "utf-8")


@torch.inference_mode()
def paint_preview(network: StyleNet, picture: Path):
    """The middle square of the painted picture, uint8, and a check that it is a picture at all.

    Raises:
        WeightsError: the output is not finite, or the same everywhere.
    """
    image = to_image(read_picture(picture))
    image = resize(image, fit(*size_of(image), 640))
    stylized = network.eval()(image)
    if not torch.isfinite(stylized).all() or stylized.std() < 0.01:
        raise WeightsError(f"The network paints {picture.name} in one color or not at all.")
    side = min(stylized.shape[-2:])
    top, left = (stylized.shape[-2] - side) // 2, (stylized.shape[-1] - side) // 2
    square = stylized[..., top : top + side, left : left + side]
    return to_frame(resize(square, (_PREVIEW, _PREVIEW)))


if __name__ == "__main__":
    sys.exit(main())
