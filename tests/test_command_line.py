"""The command line, called as a function."""

import json
import re
from pathlib import Path

import pytest

from stylevid.__main__ import main
from stylevid.network import StyleNet
from stylevid.video import probe
from stylevid.weights import save_network


@pytest.fixture
def styles(tmp_path: Path, tiny_network: StyleNet, record: dict[str, object]) -> Path:
    """A folder of two styles."""
    folder = tmp_path / "styles"
    folder.mkdir()
    for slug in ("wave", "acorn"):
        sha256 = save_network(tiny_network, folder / f"{slug}.safetensors")
        text = json.dumps({**record, "title": f"The {slug}", "sha256": sha256})
        (folder / f"{slug}.json").write_text(text)
    return folder


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def assert_one_line(text: str, match: str) -> None:
    assert text.startswith("stylevid: ") and match in text
    assert text.count("\n") == 1 and text.endswith("\n")


def test_video_is_painted(
    tmp_path: Path, clip: Path, styles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.mp4"
    assert run(clip, "--style", "wave", "--weights", styles, "-o", output) == 0
    info = probe(output)
    assert (info.height, info.width, info.frames, info.audio) == (32, 48, 10, ("aac",))
    said = capsys.readouterr().out
    assert "10 frames of 48x32" in said
    assert re.search(r"\nFlicker: [\d.]+ → [\d.]+; the video's own is [\d.]+\. .*x 1000", said)


def test_each_option_reaches_the_work(
    tmp_path: Path, clip: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.mp4"
    options = ("--no-temporal", "--size", 24, "--strength", 0.5, "--keep-colors")
    assert run(clip, "--style", tiny_weights, "-o", output, *options, "--device", "cpu") == 0
    assert (probe(output).height, probe(output).width) == (16, 24)
    said = capsys.readouterr().out
    assert "→" not in said and "Temporal consistency was off." in said and "on CPU" in said


def test_output_is_named_after_video_and_style(tmp_path: Path, clip: Path, styles: Path) -> None:
    video = tmp_path / "holiday.mov"
    video.write_bytes(clip.read_bytes())
    assert run(video, "--style", "wave", "--weights", styles) == 0
    assert probe(tmp_path / "holiday-wave.mp4").frames == 10


def test_styles_are_listed(styles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--list-styles", "--weights", styles) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["acorn", "wave"]
    assert lines[1].endswith("The wave, Nobody, 2026 (styles)")


def test_a_hub_that_cannot_be_reached_leaves_the_other_styles(
    styles: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("STYLEVID_HUB_REPO", "no name")
    assert run("--list-styles", "--weights", styles) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert "'no name' is no name of a repo" in caplog.text
    assert run("--list-styles", "--weights", styles, "--hub-repo", "x,y", "--hub-repo", "z") == 0
    assert len(caplog.messages) == 1 + 3


def test_a_style_on_the_hub_is_named_in_full(
    clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(clip, "--style", "al--ice/styles/wave") == 1
    assert_one_line(capsys.readouterr().err, "'al--ice/styles' is no name of a repo")


def test_unknown_style_is_one_line(
    tmp_path: Path, clip: Path, styles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.mp4"
    assert run(clip, "--style", "candy", "--weights", styles, "-o", output) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert_one_line(said.err, "There is no style 'candy'. Known styles: acorn, wave.")
    assert not output.exists()


def test_missing_video_is_one_line(
    tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "missing.mp4", "--style", tiny_weights) == 1
    assert_one_line(capsys.readouterr().err, "missing.mp4 does not exist.")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (("--size", 3), "size is from 16"),
        (("--strength", 7), "strength is a number from 0 to 1"),
        (("-o", "out.avi"), "out.avi must end in .mp4"),
        (("-o", "missing/out.mp4"), "does not exist"),
    ],
)
def test_trouble_is_one_line(
    clip: Path, tiny_weights: Path, options, match: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(clip, "--style", tiny_weights, *options) == 1
    assert_one_line(capsys.readouterr().err, match)


def test_weights_of_another_kind_are_one_line(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"text\n" * 50)
    assert run(clip, "--style", tmp_path / "bad.safetensors", "-o", tmp_path / "o.mp4") == 1
    assert_one_line(capsys.readouterr().err, "bad.safetensors is damaged")


def test_unknown_device_is_one_line(
    tmp_path: Path, clip: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "o.mp4"
    assert run(clip, "--style", tiny_weights, "-o", output, "--device", "gpu") == 1
    assert_one_line(capsys.readouterr().err, "gpu")


@pytest.mark.parametrize("arguments", [(), ("clip.mp4",), ("--style", "wave"), ("--nonsense",)])
def test_wrong_arguments_end_with_status_2(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    assert caught.value.code == 2


def test_control_c_leaves_nothing(
    tmp_path: Path,
    clip: Path,
    tiny_weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("stylevid.pipeline._progress", interrupt)
    assert run(clip, "--style", tiny_weights, "-o", tmp_path / "out.mp4") == 130
    assert_one_line(capsys.readouterr().err, "stopped; nothing was written")
    assert list(tmp_path.iterdir()) == []


def test_the_engine_can_be_chosen(
    tmp_path: Path, clip: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (clip, "--style", tiny_weights, "-o", tmp_path / "out.mp4")
    assert run(*arguments, "--engine", "torch-float32") == 0
    assert run(*arguments, "--engine", "steam") == 1
    assert_one_line(capsys.readouterr().err, "no engine 'steam'")
