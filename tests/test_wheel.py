"""`pip install .` brings the commands, the code and the styles."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_holds_code_styles_and_commands(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"  # setuptools builds within the folder
    checkout.mkdir()
    for name in ("stylevid", "webui", "weights"):
        shutil.copytree(ROOT / name, checkout / name)
    for name in ("app.py", "pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", tmp_path, checkout]
    subprocess.run(command, check=True, timeout=300)
    (wheel,) = tmp_path.glob("stylevid-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (commands,) = (n for n in names if n.endswith("entry_points.txt"))
        (metadata,) = (n for n in names if n.endswith("METADATA"))
        said, about = archive.read(commands).decode(), archive.read(metadata).decode()
    code = [*ROOT.glob("stylevid/**/*.py"), *ROOT.glob("webui/**/*.py"), ROOT / "app.py"]
    code += ROOT.glob("stylevid/*.mp4")
    assert {str(path.relative_to(ROOT)) for path in code} <= names
    styles = [path for path in (ROOT / "weights").iterdir() if path.suffix != ".md"]
    assert {f"stylevid/bundled/{path.name}" for path in styles} <= names
    assert "stylevid = stylevid.__main__:main" in said
    assert "stylevid-page = app:main" in said
    assert about.count("Requires-Dist: torch>=") == 1
