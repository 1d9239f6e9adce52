"""The command line, called as a function."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from stylevid.__main__ import main
from stylevid.recipe import Recipe, read_recipe
from stylevid.styles import BUNDLED
from stylevid.video import probe
from tests.clips import encode, textured_frames
from tests.material import tiny_style

OTHER = BUNDLED / "starry-night.safetensors"


@pytest.fixture
def styles(tmp_path: Path) -> Path:
    """A folder of two styles."""
    folder = tmp_path / "styles"
    folder.mkdir()
    for slug in ("wave", "acorn"):
        tiny_style(folder, slug, title=f"The {slug}")
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that is to end with `status`; what it said, which is a single line of trouble
    unless all is well."""

    def run(*arguments: object, status: int = 0) -> str:
        assert main([str(argument) for argument in arguments]) == status
        said = capsys.readouterr()
        if status:
            assert said.out == "" and re.fullmatch("stylevid: .*\n", said.err)
        return said.err if status else said.out

    return run


@pytest.fixture
def paint(run, clip: Path, tiny_weights: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs a painting of the clip to out.mp4."""
    output = tmp_path / "out.mp4"

    def paint(*options: object, status: int = 0) -> str:
        return run(clip, "--style", tiny_weights, "-o", output, *options, status=status)

    return paint


def test_video_is_painted(tmp_path: Path, run, clip: Path, styles: Path) -> None:
    output = tmp_path / "out.mp4"
    said = run(clip, "--style", "wave", "--weights", styles, "-o", output)
    info = probe(output)
    assert (info.height, info.width, info.frames, info.audio) == (32, 48, 10, ("aac",))
    assert "10 frames of 48x32" in said
    assert re.search(r"\nFlicker: [\d.]+ → [\d.]+; the video's own is [\d.]+\. .*x 1000", said)


def test_each_option_reaches_the_work(tmp_path: Path, paint) -> None:
    options = ("--no-temporal", "--size", 24, "--strength", 0.5, "--keep-colors", "--from", 0.12)
    said = paint(*options, "--to", 0.32, "--device", "cpu", "--engine", "torch-float32")
    info = probe(tmp_path / "out.mp4")
    assert (info.height, info.width, info.frames) == (16, 24, 5) and "5 frames of" in said
    assert "→" not in said and "Temporal consistency was off." in said and "on CPU" in said


def test_better_quality_is_a_larger_file(tmp_path: Path, paint) -> None:
    sizes = []
    for options in (("--quality", "draft"), (), ("--quality", "best")):
        paint(*options)
        sizes.append((tmp_path / "out.mp4").stat().st_size)
    assert sizes == sorted(set(sizes))


def test_both_ways_and_other_forms_are_written(tmp_path: Path, paint) -> None:
    loop, upright = tmp_path / "loop.gif", tmp_path / "upright.mp4"
    said = paint("--side-by-side", "--loop", loop, "--vertical", upright)
    assert len(said.splitlines()) == 3 and "without | with" in said
    both, tall = probe(tmp_path / "out.mp4"), probe(upright)
    assert (both.height, both.width, both.frames, both.audio) == (32, 96, 10, ("aac",))
    assert (tall.height, tall.width, tall.frames, tall.audio) == (32, 18, 10, ("aac",))
    with Image.open(loop) as gif:
        assert gif.size == (96, 32) and gif.n_frames > 2


def test_the_video_and_its_painting_are_not_written_over(paint, clip: Path, tmp_path: Path) -> None:
    before = clip.read_bytes()
    assert "clip.mp4 would be written over" in paint("--vertical", clip, status=1)
    assert "out.mp4 would be" in paint("--vertical", tmp_path / "out.mp4", status=1)
    assert clip.read_bytes() == before


def test_styles_are_mixed_or_take_turns(tmp_path: Path, run, clip: Path, styles: Path) -> None:
    def recipe(*options: object) -> Recipe | None:
        run(film, "--weights", styles, "-o", tmp_path / "out.mp4", *options)
        return read_recipe(tmp_path / "out.mp4")

    film = encode(tmp_path / "film.mp4", [*textured_frames(3), *textured_frames(3, seed=1)])
    mixed = recipe("--style", "wave", "--style", "acorn", "--mix", 0.4, "--brush", 2)
    assert mixed == Recipe(("wave", "acorn"), 0.4, True, 1.0, False, None, 2.0)
    turns = recipe("--style", "wave,acorn", "--per-shot", "--no-temporal")
    assert turns == Recipe(("wave", "acorn"), None, False, 1.0, False, None, None)


def test_output_is_named_after_video_and_style(
    tmp_path: Path, run, clip: Path, styles: Path
) -> None:
    video = tmp_path / "holiday.mov"
    video.write_bytes(clip.read_bytes())
    run(video, "--style", "wave", "--weights", styles)
    assert probe(tmp_path / "holiday-wave.mp4").frames == 10


def test_styles_are_listed_without_a_hub(
    run, styles: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lines = run("--list-styles", "--weights", styles).splitlines()
    assert [line.split()[0] for line in lines] == ["acorn", "wave"]
    assert lines[1].endswith("The wave, Nobody, 2026 (styles)")
    monkeypatch.setenv("STYLEVID_HUB_REPO", "no name")
    assert run("--list-styles", "--weights", styles).splitlines() == lines
    assert "'no name' is no name of a repo" in caplog.text
    run("--list-styles", "--weights", styles, "--hub-repo", "x,y", "--hub-repo", "z")
    assert len(caplog.messages) == 1 + 3


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (("--size", 3), "size is from 16"),
        (("--strength", 7), "strength is a number from 0 to 1"),
        (("--from", -1), "the start is at 0 s or later; got -1"),
        (("--from", 2, "--to", 1), "the end comes after the start, 2 s; got 1"),
        (("--from", 9), "clip.mp4 has no picture from 9 s on; it is 0.4"),
        (("--loop", "x.mp4"), "x.mp4 must end in .gif"),
        (("--vertical", "no/x.mp4"), "The folder no does not exist"),
        (("-o", "out.avi"), "out.avi must end in .mp4"),
        (("--keep", "x.safetensors"), "give --fine or --painting, too"),
        (("--fine", "--keep", "x.pt"), "x.pt must end in .safetensors"),
        (("--fine",), "does not hold what is to be learned of its painting"),
        (("--fine", "--device", "gpu"), "There is no device 'gpu' here"),
        (("--fine", "-o", "out.mov"), "out.mov must end in .mp4"),
        (("--painting", "no.jpg"), "no.jpg cannot be read as a picture"),
        (("-o", "missing/out.mp4"), "does not exist"),
        (("--device", "gpu"), "gpu"),
        (("--engine", "steam"), "no engine 'steam'"),
        (("--style", "wave"), "what are 2 styles for? Give --mix SHARE or --per-shot"),
        (("--mix", 0.5), "--mix takes two styles: --style a --style b; got 1"),
        (("--style", "wave", "--mix", 2), "a mix is a number from 0 to 1; got 2.0"),
        (("--style", "wave", "--mix", 0.5, "--fine"), "one style is learned from; got 2"),
        (("--style", "starry", "--mix", 0.5), "There is no style 'starry'"),
        (("--per-shot",), "--per-shot takes two styles or more"),
        (("--style", OTHER, "--mix", 0.5), "tiny and starry-night cannot be mixed"),
        (("--style", "candy", "--per-shot"), "no style 'candy'. Known styles: acorn, wave."),
        (("--style", "al--ice/styles/wave", "--per-shot"), "'al--ice/styles' is no name of a repo"),
        (("--style", __file__ + ".safetensors", "--per-shot"), "does not exist"),
    ],
)
def test_trouble_is_one_line(tmp_path: Path, paint, styles: Path, options, match: str) -> None:
    assert match in paint("--weights", styles, *options, status=1)
    assert [path.name for path in tmp_path.iterdir()] == ["styles"]


@pytest.mark.parametrize("arguments", [(), ("clip.mp4",), ("--style", "wave"), ("--nonsense",)])
def test_wrong_arguments_end_with_status_2(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    assert caught.value.code == 2


def test_control_c_leaves_nothing(tmp_path: Path, paint, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("stylevid.pipeline.how_far", interrupt)
    assert "stopped; nothing was written" in paint(status=130)
    assert list(tmp_path.iterdir()) == []
