"""What training tests share: a few pictures, as files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three photographs in photos/, and painting.png."""
    folder = tmp_path_factory.mktemp("material")
    (folder / "photos").mkdir()
    for i in range(4):
        coarse = np.random.default_rng(i).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((48, 40))
        picture.save(folder / "painting.png" if i == 3 else folder / "photos" / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def photos(material: Path) -> list[Path]:
    return sorted((material / "photos").iterdir())
