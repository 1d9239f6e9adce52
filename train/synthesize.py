"""`python -m train.synthesize`: neighbouring frames made from photographs, written as a
FlyingThings3D tree, so that whatever reads the real dataset reads them unchanged."""

import argparse
import json
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from tqdm import tqdm

from stylevid.errors import DataError, exit_status
from stylevid.files import written_whole
from stylevid.frames import to_frame

from .data.flow_files import write_pfm
from .data.images import list_photos, random_crop
from .data.layers import draw_layers, owner_boundaries, paint, true_flow
from .export import read_json

_CUTOUTS = 3  # moving shapes before the background
_MOST_SCENES = 10_000
_RECORD = "synthesize.json"

Array = npt.NDArray[Any]  # uint8 for pictures, float32 for flow


@dataclass(frozen=True)
class Recipe:
    """What a tree is made of: with the photographs it decides every pixel.

    Attributes:
        height, width: of the frames, SceneFlow's unless told otherwise (Mayer et al. 2016).
        speed: of a layer, standard deviation, pixels a frame.
        hold_out: photographs that are left out, the last by name.
    """

    height: int = 540
    width: int = 960
    seed: int = 0
    speed: float = 12.0
    hold_out: int = 40

    def __post_init__(self) -> None:
        """
        Raises:
            DataError: a value that no tree can be made with.
        """
        fastest = min(self.height, self.width) / 10  # a faster layer may fold over itself
        for name, least, most in (
            ("height", 16, 4096), ("width", 16, 4096), ("speed", 0, fastest), ("seed", 0, 2**63),
        ):  # fmt: skip
            if not least <= (value := getattr(self, name)) <= most:
                raise DataError(f"{name} is {value}; for a tree of {self.height}x{self.width} "
                                f"pixels it lies between {least} and {most}.")  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m train.synthesize", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--out", type=Path, required=True, help="the tree; continued if it is ours")
    parser.add_argument("--pairs", type=int, required=True, help="how many; one scene each")
    parser.add_argument("--size", default="540x960", help="HEIGHTxWIDTH of the frames, pixels")
    parser.add_argument("--seed", type=int, default=Recipe.seed, help="of chance")
    parser.add_argument("--speed", type=float, default=Recipe.speed, help="of a layer, standard "
                        "deviation, pixels a frame")  # fmt: skip
    parser.add_argument("--hold-out", type=int, default=Recipe.hold_out,
                        help="leave out the last photographs by name")  # fmt: skip
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    return exit_status(lambda: synthesize(options))


def synthesize(options: argparse.Namespace) -> None:
    """Write the scenes 0 to `pairs` - 1, those that are not there yet.

    On one kind of device the tree is a function of the photographs and the recipe, byte for byte.
    It may be cut off at any moment: the same command completes it.

    Raises:
        DataError: an option cannot be used, or the folder cannot be written or is not ours.
        StyleError: there are no photographs, or one cannot be read.
    """
    size = re.fullmatch(r"(\d{1,5})x(\d{1,5})", options.size)
    if size is None:
        raise DataError(f"--size is {options.size!r}; it is written HEIGHTxWIDTH, such as 540x960.")
    recipe = Recipe(int(size[1]), int(size[2]), options.seed, options.speed, options.hold_out)
    if not 1 <= options.pairs <= _MOST_SCENES:
        raise DataError(f"--pairs is {options.pairs}; a tree holds 1 to {_MOST_SCENES}.")
    try:
        device = torch.zeros(1, device=options.device).device
    except (RuntimeError, AssertionError) as cause:
        raise DataError(f"There is no device {options.device!r} here. Use --device cpu.") from cause
    photos = list_photos(options.photos, recipe.hold_out)
    try:
        claim(options.out, {**asdict(recipe), "photos": len(photos)})
        for number in tqdm(range(options.pairs), unit="pair"):
            write_scene(options.out, number, photos, recipe, device)
    except OSError as cause:
        raise DataError(f"{options.out} cannot be written: {cause.strerror or cause}.") from cause


def claim(root: Path, record: dict[str, Any]) -> None:
    """Record in the root what its tree is made of, or find the same record there.

    Raises:
        DataError: the folder holds something else, which writing would spoil.
        StyleError: its record cannot be read.
    """
    path = root / _RECORD
    root.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        if any(not other.name.startswith(".partial-") for other in root.iterdir()):
            raise DataError(f"{root} holds files that are not from here; name a new folder.")
        with written_whole(path) as partial:
            partial.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    found = read_json(path)
    for key, value in record.items():
        if found.get(key) != value:
            raise DataError(
                f"{root} was made with {key} {found.get(key)}, not {value}. Give the same options "
                "and photographs to continue it, or name a new folder."
            )


def write_scene(
    root: Path, number: int, photos: list[Path], recipe: Recipe, device: torch.device
) -> None:
    """Write the files of a scene, unless all of them are there: each is whole if it is there."""
    paths = {key: root / name for key, name in file_names(number).items()}
    if all(path.exists() for path in paths.values()):
        return
    arrays = make_arrays(number, photos, recipe, device)
    for key, path in paths.items():
        with written_whole(path) as partial:
            if path.suffix == ".pfm":
                write_pfm(partial, arrays[key])
            else:  # Pillow calls PGM a PPM as well
                Image.fromarray(arrays[key]).save(
                    partial, "PNG" if path.suffix == ".png" else "PPM"
                )


def file_names(number: int) -> dict[str, str]:
    """Where the files of a scene lie below the root, by what they hold: FlyingThings3D's layout
    (Mayer et al. 2016). The frames of every scene are 0006 and 0007, the first that it has too."""
    scene = f"TRAIN/A/{number:04d}"
    names: dict[str, str] = {}
    for view, frame, way in (("prev", "0006", "Future"), ("cur", "0007", "Past")):
        into = f"{scene}/into_{way.lower()}/left"
        names[f"{view} clean"] = f"frames_cleanpass/{scene}/left/{frame}.png"
        names[f"{view} flow"] = f"optical_flow/{into}/OpticalFlowInto{way}_{frame}_L.pfm"
        names[f"{view} boundaries"] = f"motion_boundaries/{into}/{frame}.pgm"
        names[f"{view} occluded"] = f"flow_occlusions/{into}/{frame}.png"
    return names


@torch.inference_mode()
def make_arrays(
    number: int, photos: list[Path], recipe: Recipe, device: torch.device
) -> dict[str, Array]:
    """What the files of scene `number` hold: frames uint8 H,W,3; flow float32 H,W,2, (dx, dy) in
    pixels; masks uint8 H,W, 255 where occluded or at a motion boundary."""
    rng = np.random.default_rng((recipe.seed, number))
    count, size = 1 + _CUTOUTS, (recipe.height, recipe.width)
    chosen = rng.choice(len(photos), count, replace=len(photos) < count)
    # A margin for the motion: a quarter more than the frame.
    wide = size[0] * 5 // 4, size[1] * 5 // 4
    pictures = torch.cat([random_crop(photos[i], wide, rng, 1.5) for i in chosen]).to(device)
    generator = torch.Generator(device).manual_seed(int(rng.integers(2**63)))
    layers = draw_layers(pictures, size, generator, recipe.speed)
    prev, cur = paint(layers, 0), paint(layers, 1)
    there, seen_in_cur = true_flow(layers, prev, cur)
    back, seen_in_prev = true_flow(layers, cur, prev)
    frames = {"prev clean": prev.image, "cur clean": cur.image}
    flows = {"prev flow": there, "cur flow": back}
    masks = {
        "prev boundaries": owner_boundaries(prev.owner),
        "cur boundaries": owner_boundaries(cur.owner),
        "prev occluded": 1 - seen_in_cur,
        "cur occluded": 1 - seen_in_prev,
    }
    return (
        {key: to_frame(image) for key, image in frames.items()}
        | {key: (255 * mask[0, 0]).byte().cpu().numpy() for key, mask in masks.items()}
        | {key: flow[0].permute(1, 2, 0).cpu().numpy() for key, flow in flows.items()}
    )


if __name__ == "__main__":
    sys.exit(main())
