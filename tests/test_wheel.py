"""`pip install .` brings the commands, the code, the styles, and what a style is learned with."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USED = """
import numpy as np
import stylevid
from stylevid.example import example_picture
from stylevid.learn.vgg import load_vgg

assert stylevid.__file__.startswith({site!r}), stylevid.__file__
painter = stylevid.Painter(stylevid.get_style("starry-night"), "cpu")
painted = stylevid.stylize_image(example_picture(), painter)
assert painted.std() > 20 and not np.array_equal(painted, example_picture())
load_vgg()
"""


@pytest.mark.slow
def test_what_the_wheel_holds_paints(tmp_path: Path) -> None:
    checkout, site = tmp_path / "checkout", tmp_path / "site"
    checkout.mkdir()  # setuptools builds within the folder
    for name in ("stylevid", "webui", "weights"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("app.py", "pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", tmp_path, checkout]
    subprocess.run(command, check=True, timeout=300)
    (wheel,) = tmp_path.glob("stylevid-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    whole = [p for name in ("stylevid", "webui") for p in (ROOT / name).rglob("*") if p.is_file()]
    wanted = [p.relative_to(ROOT) for p in [*whole, ROOT / "app.py"] if p.suffix != ".pyc"]
    styles = [path for path in (ROOT / "weights").iterdir() if path.suffix != ".md"]
    wanted += [Path("stylevid/bundled") / path.name for path in styles]
    assert [path for path in wanted if not (site / path).is_file()] == []
    (about,) = site.glob("*.dist-info")
    commands = (about / "entry_points.txt").read_text()
    assert "stylevid = stylevid.__main__:main" in commands
    assert "stylevid-page = app:main" in commands
    assert (about / "METADATA").read_text().count("Requires-Dist: torch>=") == 1
    alone = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(site)!r})\n"
             + USED.format(site=str(site))]  # fmt: skip
    subprocess.run(alone, check=True, cwd=tmp_path)
