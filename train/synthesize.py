"""`python -m train.synthesize`: neighbouring frames made from photographs, written as a
FlyingThings3D tree, so that whatever reads the real dataset reads them unchanged."""

import argparse
import json
import math
import os
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from stylevid.errors import DataError, StylevidError
from stylevid.frames import resize, to_frame, to_image

from .data.flow_files import write_pfm
from .data.images import list_photos, read_picture
from .data.layers import Scene, draw_layers, owner_boundaries, render

_SCENES_A_LETTER = 10_000
_MOST_SCENES = 26 * _SCENES_A_LETTER
_RECORD = "synthesize.json"
_PARTIAL = ".partial"

Array = npt.NDArray[Any]  # uint8 for pictures, float32 for flow


@dataclass(frozen=True)
class Recipe:
    """What a tree is made of: with the photographs it decides every pixel."""

    seed: int = 0
    size: tuple[int, int] = (540, 960)  # (height, width): SceneFlow's (Mayer et al. 2016)
    cutouts: int = 3  # moving shapes before the background
    speed: float = 12.0  # standard deviation of a layer's motion, pixels a frame
    still: float = 0.0  # share of scenes whose background does not move
    motion_blur: float = 0.0  # of the final pass: how long the shutter is open, in frames
    exposure: float = 0.0  # of the final pass: standard deviation of log gain on the second frame
    hold_out: int = 40  # the last photographs by name are not used

    @property
    def has_final_pass(self) -> bool:
        return self.motion_blur > 0 or self.exposure > 0

    def check(self) -> None:
        """
        Raises:
            DataError: a value that no tree can be made with.
        """
        height, width = self.size
        if not all(16 <= side <= 4096 for side in self.size):
            raise DataError(f"--size is {height}x{width}; a side has 16 to 4096 pixels.")
        limits = {
            "seed": (self.seed, 2**63),
            "cutouts": (self.cutouts, 100),
            # A faster layer bends so much that it may fold over itself.
            "speed": (self.speed, min(self.size) / 10),
            "still": (self.still, 1),
            "motion-blur": (self.motion_blur, 1),
            "exposure": (self.exposure, 1),
            "hold-out": (self.hold_out, math.inf),
        }
        for name, (value, most) in limits.items():
            if not 0 <= value <= most:
                raise DataError(
                    f"--{name} is {value}; for frames of {height}x{width} pixels it lies between 0 "
                    f"and {most}."
                )


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        size = parse_size(options.size)
        names = ("seed", "cutouts", "speed", "still", "motion_blur", "exposure", "hold_out")
        recipe = Recipe(size=size, **{name: getattr(options, name) for name in names})
        synthesize(options.photos, options.out, options.pairs, recipe, options.device)
    except StylevidError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    default = Recipe()
    parser = argparse.ArgumentParser("python -m train.synthesize", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--out", type=Path, required=True, help="the tree; continued if it is ours")
    parser.add_argument("--pairs", type=int, required=True, help="how many; one scene each")
    parser.add_argument("--size", default="540x960", help="HEIGHTxWIDTH of the frames, pixels")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--cutouts", type=int, default=default.cutouts, help="moving shapes")
    parser.add_argument("--speed", type=float, default=default.speed, help="of a layer, standard "
                        "deviation, pixels a frame")  # fmt: skip
    parser.add_argument("--still", type=float, default=default.still, help="share of scenes before "
                        "a fixed camera, 0 to 1")  # fmt: skip
    parser.add_argument("--motion-blur", type=float, default=default.motion_blur, help="final "
                        "pass: how long the shutter is open, in frames; 0.5 is usual")  # fmt: skip
    parser.add_argument("--exposure", type=float, default=default.exposure, help="final pass: "
                        "standard deviation of the second frame's log gain")  # fmt: skip
    parser.add_argument("--hold-out", type=int, default=default.hold_out, help="leave out the last "
                        "photographs by name")  # fmt: skip
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args(arguments)


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
        DataError: a value is out of its range, or the root cannot be written or is not ours.
        StyleError: there are no photographs, or one cannot be read.
    """
    if not 1 <= pairs <= _MOST_SCENES:
        raise DataError(f"--pairs is {pairs}; a tree holds 1 to {_MOST_SCENES}.")
    recipe.check()
    place = _find_device(device)
    pictures = list_photos(photos, recipe.hold_out)
    try:
        claim(root, recipe, len(pictures))
        with tqdm(total=pairs, unit="pair") as bar:
            for number in range(pairs):
                write_scene(root, number, pictures, recipe, place)
                bar.update()
    except OSError as cause:
        raise DataError(f"{root} cannot be written: {cause.strerror or cause}.") from cause


def _find_device(name: str) -> torch.device:
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as cause:
        raise DataError(f'--device "{name}" is not to be had here; "cpu" always is.') from cause


def claim(root: Path, recipe: Recipe, photos: int) -> None:
    """Record in the root what its tree is made of, or find the same record there.

    Raises:
        DataError: the folder holds something else, which writing would spoil.
    """
    path = root / _RECORD
    record = {**asdict(recipe), "size": list(recipe.size), "photos": photos}
    root.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        if any(other.name != _RECORD + _PARTIAL for other in root.iterdir()):
            raise DataError(f"{root} holds files that are not from here; name a new folder.")
        text = json.dumps(record, indent=2) + "\n"
        _write(path, lambda partial: partial.write_text(text, "utf-8"))
        return
    try:
        found = dict(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError) as cause:
        raise DataError(f"{path} cannot be read as a JSON object: {cause}.") from cause
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
    paths = {key: root / name for key, name in file_names(number, recipe).items()}
    if all(path.exists() for path in paths.values()):
        return
    arrays = make_arrays(number, photos, recipe, device)
    for key, path in paths.items():
        write_array(path, arrays[key])


def file_names(number: int, recipe: Recipe) -> dict[str, str]:
    """Where the files of a scene lie below the root, by what they hold: FlyingThings3D's layout
    (Mayer et al. 2016). The frames of every scene are 0006 and 0007, the first that it has too."""
    letter = chr(ord("A") + number // _SCENES_A_LETTER)
    scene = f"TRAIN/{letter}/{number % _SCENES_A_LETTER:04d}"
    names: dict[str, str] = {}
    for view, frame, way in (("prev", "0006", "Future"), ("cur", "0007", "Past")):
        into = f"{scene}/into_{way.lower()}/left"
        names[f"{view} clean"] = f"frames_cleanpass/{scene}/left/{frame}.png"
        if recipe.has_final_pass:
            names[f"{view} final"] = f"frames_finalpass/{scene}/left/{frame}.png"
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
    pictures = torch.cat([random_part(photos[i], size, rng) for i in chosen]).to(device)
    generator = torch.Generator(device).manual_seed(int(rng.integers(2**63)))
    layers = draw_layers(pictures, recipe.size, generator, recipe.speed, recipe.still)
    scene = render(layers)
    frames = {"prev clean": scene.prev.image, "cur clean": scene.cur.image}
    if recipe.has_final_pass:
        gain = math.exp(recipe.exposure * rng.standard_normal())
        frames["prev final"], frames["cur final"] = final_pass(scene, recipe.motion_blur, gain)
    masks = {
        "prev boundaries": owner_boundaries(scene.prev.owner),
        "cur boundaries": owner_boundaries(scene.cur.owner),
        "prev occluded": 1 - scene.visible_in_cur,
        "cur occluded": 1 - scene.visible_in_prev,
    }
    flows = {"prev flow": scene.flow_prev_to_cur, "cur flow": scene.flow_cur_to_prev}
    return {
        **{key: to_frame(image) for key, image in frames.items()},
        **{key: (255 * mask[0, 0]).byte().cpu().numpy() for key, mask in masks.items()},
        **{key: flow[0].permute(1, 2, 0).cpu().numpy() for key, flow in flows.items()},
    }


def final_pass(scene: Scene, motion_blur: float, gain: float) -> tuple[Tensor, Tensor]:
    """Both frames, 1,3,H,W in [0, 1], with motion blur and with `gain` on the second."""
    prev, cur = scene.blurred(motion_blur)
    return prev, (cur * gain).clamp(0, 1)


def random_part(photo: Path, size: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """A part of the photograph, 1,3,H,W of `size` (height, width): random place, scale and mirror.

    The photograph is scaled to cover between 1 and 1.5 times `size`.

    Raises:
        StyleError: the file is no picture.
    """
    frame = read_picture(photo)
    height, width = size
    cover = max(height / frame.shape[0], width / frame.shape[1]) * rng.uniform(1.0, 1.5)
    tall, wide = (round(side * cover) for side in frame.shape[:2])
    image = resize(to_image(frame), (max(tall, height), max(wide, width)))
    top = int(rng.integers(image.shape[-2] - height + 1))
    left = int(rng.integers(image.shape[-1] - width + 1))
    part = image[..., top : top + height, left : left + width]
    return part.flip(-1) if rng.random() < 0.5 else part


def write_array(path: Path, array: Array) -> None:
    """Write a .pfm, .png or .pgm file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if array.dtype == np.float32:
        _write(path, lambda partial: write_pfm(partial, array))
    else:
        kind = "PNG" if path.suffix == ".png" else "PPM"  # Pillow's name for PGM as well
        _write(path, lambda partial: Image.fromarray(array).save(partial, kind))


def _write(path: Path, write: Callable[[Path], object]) -> None:
    partial = path.with_name(path.name + _PARTIAL)
    write(partial)
    os.replace(partial, path)


if __name__ == "__main__":
    sys.exit(main())
