"""What a painted video says of itself, and what is read of files that may come from anybody."""

import json
from pathlib import Path

import pytest

from stylevid.export import export_vertical
from stylevid.painter import Painter
from stylevid.pipeline import Options, stylize_video
from stylevid.recipe import MAX_BYTES, Recipe, read_recipe
from stylevid.styles import Mix
from stylevid.version import __version__
from tests.clips import run_ffmpeg

OURS = Recipe(("tiny", "tiny"), 0.25, False, 0.5, True, 32, 1.5)


@pytest.fixture
def commented(clip: Path, tmp_path: Path):
    """The clip with a comment."""

    def make(comment: str) -> Path:
        told = tmp_path / "told.mp4"
        run_ffmpeg("-i", clip, "-c", "copy", "-metadata", f"comment={comment}", told)
        return told

    return make


def test_a_result_says_how_it_was_painted(clip: Path, tmp_path: Path, tiny_weights: Path) -> None:
    painter = Painter(Mix(tiny_weights, tiny_weights, 0.25), "cpu")
    options = Options(temporal=False, size=32, strength=0.5, keep_colors=True, brush=1.5)
    result = stylize_video(clip, tmp_path / "out.mp4", painter, options).path
    assert read_recipe(result) == OURS
    assert read_recipe(export_vertical(result, tmp_path / "tall.mp4")) == OURS
    assert json.loads(OURS.as_json())["stylevid"] == __version__
    assert read_recipe(clip) is None and read_recipe(tmp_path / "none.mp4") is None


def test_what_we_write_we_read(commented) -> None:
    assert read_recipe(commented(OURS.as_json())) == OURS


@pytest.mark.parametrize(
    "changes",
    [{"styles": ["<img src=x onerror=alert(1)>"]}, {"styles": ["a"] * 99}, {"styles": [1]},
     {"styles": None}, {"mix": 2}, {"mix": "0.4"}, {"temporal": 1}, {"strength": None},
     {"strength": -1}, {"strength": True}, {"size": 10**9}, {"size": 32.5}, {"brush": [1]},
     {"keep_colors": "yes"}, {"more": 1}, {"stylevid": None, "styles": "x/../y"}],
)  # fmt: skip
def test_what_is_amiss_is_ignored(commented, changes: dict[str, object]) -> None:
    said = json.dumps({**json.loads(OURS.as_json()), **changes})
    assert read_recipe(commented(said)) is None


@pytest.mark.parametrize(
    "comment", ["[1]", "{}", "Dear reader", '{"stylevid":' * 2000, "[" * 5000, "7" * 5000,
                '{"stylevid":NaN}', OURS.as_json() + " " * MAX_BYTES],
)  # fmt: skip
def test_other_comments_are_ignored(commented, comment: str) -> None:
    assert read_recipe(commented(comment)) is None
