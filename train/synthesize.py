"""`python -m train.synthesize`: neighbouring frames made from photographs, written as a
FlyingThings3D tree, so that whatever reads the real dataset reads them unchanged."""

import argparse
import json
import math
import re
import sys
from dataclasses import asdict, dataclass, field, fields
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

_SCENES_A_LETTER = 10_000
_MOST_SCENES = 26 * _SCENES_A_LETTER
_RECORD = "synthesize.json"

Array = npt.NDArray[Any]  # uint8 for pictures, float32 for flow


def _option(default: Any, most: float, words: str) -> Any:
    return field(default=default, metadata={"most": most, "help": words})


@dataclass(frozen=True)
class Recipe:
    """What a tree is made of: with the photographs it decides every pixel."""

    size: tuple[int, int] = (540, 960)  # (height, width): SceneFlow's (Mayer et al. 2016)
    seed: int = _option(0, 2**63, "of chance")
    cutouts: int = _option(3, 100, "moving shapes before the background")
    speed: float = _option(12.0, math.inf, "of a layer, standard deviation, pixels a frame")
    still: float = _option(0.0, 1, "share of scenes before a fixed camera, 0 to 1")
    hold_out: int = _option(40, math.inf, "leave out the last photographs by name")

    def __post_init__(self) -> None:
        """
        Raises:
            DataError: a value that no tree can be made with.
        """
        height, width = self.size
        if not all(16 <= side <= 4096 for side in self.size):
            raise DataError(f"--size is {height}x{width}; a side has 16 to 4096 pixels.")
        for option in fields(self)[1:]:
            value, most = getattr(self, option.name), option.metadata["most"]
            if option.name == "speed":  # a faster layer bends so much that it may fold over itself
                most = min(self.size) / 10
            if not 0 <= value <= most:
                raise DataError(
                    f"{_flag(option.name)} is {value}; for frames of {height}x{width} pixels it "
                    f"lies between 0 and {most}."
                )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m train.synthesize", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--out", type=Path, required=True, help="the tree; continued if it is ours")
    parser.add_argument("--pairs", type=int, required=True, help="how many; one scene each")
    parser.add_argument("--size", default="540x960", help="HEIGHTxWIDTH of the frames, pixels")
    for option in fields(Recipe)[1:]:
        parser.add_argument(_flag(option.name), type=type(option.default), default=option.default,
                            help=option.metadata["help"])  # fmt: skip
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)

    def work() -> None:
        options.size = parse_size(options.size)
        recipe = Recipe(**{option.name: getattr(options, option.name) for option in fields(Recipe)})
        synthesize(options.photos, options.out, options.pairs, recipe, options.device)

    return exit_status(work)


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) from "540x960".

    Raises:
        DataError: it is something else.
    """
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if found is None:
        raise DataError(f'--size is "{text}"; it is written HEIGHTxWIDTH, such as 540x960.')
    return int(found[1]), int(found[2])


def synthesize(photos: Path, root: Path, pairs: int, recipe: Recipe, device: str) -> None:
    """Write the scenes 0 to `pairs` - 1, those that are not there yet.

    On one kind of device the tree is a function of the photographs and the recipe, byte for byte.
    It may be cut off at any moment: the same call completes it.

    Args:
        photos: a folder of pictures.
        root: the tree's folder: new, empty, or written with the same recipe.
        device: where the scenes are drawn, in torch's words.
    Raises:
        DataError: there are too few or too many pairs, no such device, or the root cannot be
            written or is not ours.
        StyleError: there are no photographs, or one cannot be read.
    """
    if not 1 <= pairs <= _MOST_SCENES:
        raise DataError(f"--pairs is {pairs}; a tree holds 1 to {_MOST_SCENES}.")
    try:
        place = torch.zeros(1, device=device).device
    except (RuntimeError, AssertionError) as cause:
        raise DataError(f'--device "{device}" is not to be had here; "cpu" always is.') from cause
    pictures = list_photos(photos, recipe.hold_out)
    try:
        claim(root, recipe, len(pictures))
        with tqdm(total=pairs, unit="pair") as bar:
            for number in range(pairs):
                write_scene(root, number, pictures, recipe, place)
                bar.update()
    except OSError as cause:
        raise DataError(f"{root} cannot be written: {cause.strerror or cause}.") from cause


def claim(root: Path, recipe: Recipe, photos: int) -> None:
    """Record in the root what its tree is made of, or find the same record there.

    Raises:
        DataError: the folder holds something else, which writing would spoil.
        StyleError: its record cannot be read.
    """
    path = root / _RECORD
    record = {**asdict(recipe), "size": list(recipe.size), "photos": photos}
    root.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        if any(not other.name.startswith(".partial-") for other in root.iterdir()):
            raise DataError(f"{root} holds files that are not from here; name a new folder.")
        with written_whole(path) as partial:
            partial.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
        return
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
        write_array(path, arrays[key])


def file_names(number: int) -> dict[str, str]:
    """Where the files of a scene lie below the root, by what they hold: FlyingThings3D's layout
    (Mayer et al. 2016). The frames of every scene are 0006 and 0007, the first that it has too."""
    letter = chr(ord("A") + number // _SCENES_A_LETTER)
    scene = f"TRAIN/{letter}/{number % _SCENES_A_LETTER:04d}"
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
    count = 1 + recipe.cutouts
    chosen = rng.choice(len(photos), count, replace=len(photos) < count)
    # A margin for the motion: a quarter more than the frame.
    size = recipe.size[0] * 5 // 4, recipe.size[1] * 5 // 4
    pictures = torch.cat([random_crop(photos[i], size, rng, 1.5) for i in chosen]).to(device)
    generator = torch.Generator(device).manual_seed(int(rng.integers(2**63)))
    layers = draw_layers(pictures, recipe.size, generator, recipe.speed, recipe.still)
    prev, cur = paint(layers, 0), paint(layers, 1)
    there, seen_in_cur = true_flow(layers, prev, cur)
    back, seen_in_prev = true_flow(layers, cur, prev)
    frames = {"prev clean": prev.image, "cur clean": cur.image}
    masks = {
        "prev boundaries": owner_boundaries(prev.owner),
        "cur boundaries": owner_boundaries(cur.owner),
        "prev occluded": 1 - seen_in_cur,
        "cur occluded": 1 - seen_in_prev,
    }
    flows = {"prev flow": there, "cur flow": back}
    return {
        **{key: to_frame(image) for key, image in frames.items()},
        **{key: (255 * mask[0, 0]).byte().cpu().numpy() for key, mask in masks.items()},
        **{key: flow[0].permute(1, 2, 0).cpu().numpy() for key, flow in flows.items()},
    }


def write_array(path: Path, array: Array) -> None:
    """Write a .pfm, .png or .pgm file, whole or not at all."""
    with written_whole(path) as partial:
        if array.dtype == np.float32:
            write_pfm(partial, array)
        else:  # Pillow calls PGM a PPM as well
            Image.fromarray(array).save(partial, "PNG" if path.suffix == ".png" else "PPM")


if __name__ == "__main__":
    sys.exit(main())
