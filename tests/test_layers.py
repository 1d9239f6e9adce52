"""Imports point downwards only: read from the source, nothing is run."""

import ast
from pathlib import Path

import stylevid

ROOT = Path(__file__).parents[1]

# Modules of stylevid, a line for each layer, from the bottom up.
ROWS = """
errors version files frames warp yuv matroska learn.__init__ learn.allocation batch.__init__
brush canvas network flow video styles learn.losses learn.vgg hub_errors batch.places
weights tiles metrics memory recipe example export
engine learn.sequences
openvino_engine learn.objective learn.painting hub
painter
live pipeline
learn.clip comparison __init__ batch.clips batch.film
__main__ batch.jobs
batch.worker
batch.crew
batch.__main__
"""
LAYERS = {name: layer for layer, row in enumerate(ROWS.splitlines()) for name in row.split()}


def imported(source: str, package: str) -> set[str]:
    """The absolute dotted names that a module of `package` imports, anywhere in its source."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(parents if node.level else []), *filter(None, [node.module])])
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names


def modules(package: str) -> dict[str, Path]:
    """The package's files by module name: `warp`, `__init__`, and `sub.part` below it."""
    folder = ROOT / package
    return {
        ".".join(path.relative_to(folder).with_suffix("").parts): path
        for path in sorted(folder.rglob("*.py"))
    }


def imported_by(path: Path) -> set[str]:
    return imported(path.read_text("utf-8"), ".".join(path.relative_to(ROOT).parts[:-1]))


def forbidden(names: set[str], packages: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] in packages}


def upward(module: str, names: set[str]) -> set[str]:
    """The stylevid modules among `names` that do not lie below `module`."""
    targets: set[str] = set()
    for name in names:
        top, *rest = name.split(".")
        if top == "stylevid":
            paths = (".".join(rest[:2]), *rest[:1])
            targets.add(next((path for path in paths if path in LAYERS), "__init__"))
    return {target for target in targets if LAYERS[target] >= LAYERS[module]}


def test_stylevid_imports_downwards_only() -> None:
    for module, path in modules("stylevid").items():
        assert module in LAYERS, f"add {module} to ROWS in {Path(__file__).name}"
        found = upward(module, imported_by(path))
        assert not found, f"stylevid/{module}.py (layer {LAYERS[module]}) imports {found}"


def test_stylevid_and_train_import_no_page_and_stylevid_no_training() -> None:
    for package in ("stylevid", "train"):
        above = {"gradio", "app", "webui", *(["train"] if package == "stylevid" else [])}
        for module, path in modules(package).items():
            found = forbidden(imported_by(path), above)
            assert not found, f"{package}/{module}.py imports {found}"


# Rooms of train from the bottom up; what is not named is a command or what commands share.
TRAIN_ROOMS = {"config": 0, "data": 1, "learning": 2}


def train_upward(module: str, names: set[str]) -> set[str]:
    """The names from train among `names` that lie in a room above `module`'s."""
    room = TRAIN_ROOMS.get(module.split(".")[0], 3)
    below = {name.removeprefix("train.") for name in names if name.startswith("train.")}
    return {name for name in below if TRAIN_ROOMS.get(name.split(".")[0], 3) > room}


def test_train_imports_downwards_only() -> None:
    for module, path in modules("train").items():
        found = train_upward(module, imported_by(path))
        assert not found, f"train/{module} imports {found}"


def test_what_is_upward_sideways_or_forbidden_is_found() -> None:
    names = {"stylevid.weights", "stylevid.flow", "stylevid.errors.VideoError", "torch"}
    assert upward("video", names) == {"weights", "flow"}
    assert upward("pipeline", names) == set()
    assert upward("pipeline", {"stylevid.stylize_image"}) == {"__init__"}
    names = {"train.learning.loop.fit", "train.config.TrainConfig", "torch"}
    assert train_upward("data.clips", names) == {"learning.loop.fit"}
    assert train_upward("evaluate", names) == set()
    assert train_upward("learning.loop", {"train.export.read_json"}) == {"export.read_json"}
    names = {"gradio.Blocks", "train.loop", "training", "app"}
    assert forbidden(names, {"train", "gradio", "app"}) == {"gradio.Blocks", "train.loop", "app"}


def test_what_the_package_names_is_there() -> None:
    for name in stylevid.__all__:
        assert getattr(stylevid, name)
