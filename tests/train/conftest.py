"""What training tests share: a VGG of random weights and a few pictures, as files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from stylevid.learn.vgg import VGG16Features


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with vgg.safetensors, three photographs in photos/, and painting.png."""
    folder = tmp_path_factory.mktemp("material")
    torch.manual_seed(0)
    save_file(VGG16Features().half().state_dict(), folder / "vgg.safetensors")
    (folder / "photos").mkdir()
    for i in range(4):
        coarse = np.random.default_rng(i).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((48, 40))
        picture.save(folder / "painting.png" if i == 3 else folder / "photos" / f"{i}.png")
    return folder
