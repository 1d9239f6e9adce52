"""Imports point downwards only: read from the source, nothing is run."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]

LAYERS = {
    "errors": 0,
    "version": 0,
    "files": 0,
    "frames": 0,
    "warp": 0,
    "yuv": 0,
    "brush": 1,
    "network": 1,
    "matroska": 0,
    "flow": 1,
    "video": 1,
    "styles": 1,
    "weights": 2,
    "tiles": 2,
    "engine": 3,
    "openvino_engine": 4,
    "painter": 6,
    "metrics": 2,
    "memory": 2,
    "learn.__init__": 0,
    "learn.allocation": 0,
    "learn.losses": 1,
    "learn.vgg": 1,
    "learn.sequences": 3,
    "learn.objective": 4,
    "learn.clip": 8,
    "learn.painting": 4,
    "hub": 4,
    "hub_errors": 1,
    "live": 7,
    "recipe": 2,
    "pipeline": 7,
    "comparison": 8,
    "__init__": 8,
    "__main__": 9,
    "batch.__init__": 0,
    "batch.places": 1,
    "batch.clips": 8,
    "batch.film": 8,
    "batch.jobs": 9,
    "batch.worker": 10,
    "batch.crew": 11,
    "batch.__main__": 12,
    "example": 2,
    "export": 2,
}


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
        assert module in LAYERS, f"add {module} to LAYERS in {Path(__file__).name}"
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


def imported_from_train(names: set[str]) -> set[str]:
    """The modules of train, by name below it, that `names` come from."""
    known = set(modules("train"))
    found: set[str] = set()
    for name in names:
        top, *rest = name.split(".")
        parts = (".".join(rest[:count]) for count in range(len(rest), 0, -1))
        found |= {next((part for part in parts if part in known), "__init__")} & (
            known if top == "train" else set()
        )
    return found - {"__init__"}


def train_upward(module: str, names: set[str]) -> set[str]:
    """The modules among `names` that lie in a room above `module`'s."""
    room = TRAIN_ROOMS.get(module.split(".")[0], 3)
    return {m for m in imported_from_train(names) if TRAIN_ROOMS.get(m.split(".")[0], 3) > room}


def test_train_imports_downwards_only() -> None:
    waiting = {module: imported_by(path) for module, path in modules("train").items()}
    for module, names in waiting.items():
        assert not train_upward(module, names), f"train/{module} imports {names}"
    edges = {module: imported_from_train(names) for module, names in waiting.items()}
    while leaves := {module for module, below in edges.items() if not below & set(edges)}:
        edges = {module: below for module, below in edges.items() if module not in leaves}
    assert not edges, f"these modules of train import each other in a circle: {sorted(edges)}"


def test_what_is_upward_sideways_or_forbidden_is_found() -> None:
    names = {"stylevid.weights", "stylevid.flow", "stylevid.errors.VideoError", "torch"}
    assert upward("video", names) == {"weights", "flow"}
    assert upward("pipeline", names) == set()
    assert upward("pipeline", {"stylevid.stylize_image"}) == {"__init__"}
    names = {"train.learning.loop.fit", "train.config.TrainConfig", "torch"}
    assert train_upward("data.clips", names) == {"learning.loop"}
    assert train_upward("evaluate", names) == set()
    assert train_upward("learning.loop", {"train.export.read_json"}) == {"export"}
    names = {"gradio.Blocks", "train.loop", "training", "app"}
    assert forbidden(names, {"train", "gradio", "app"}) == {"gradio.Blocks", "train.loop", "app"}
