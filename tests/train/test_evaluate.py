"""The evaluation's numbers on clips, pictures and ground truth made here."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from stylevid.errors import StyleError
from stylevid.frames import to_frame, to_image
from stylevid.learn.vgg import VGG16Features
from stylevid.metrics import FlickerMeter
from stylevid.network import StyleNet
from stylevid.painter import Painter
from stylevid.pipeline import Options, stylize_image, stylize_video
from stylevid.video import probe, read_yuv
from stylevid.yuv import yuv_to_image
from tests.clips import encode, noisy_frames
from train.evaluate import main, name_of, put_in_record, trained_on
from train.measure import Judge, paintings, score_clip, score_photos


@pytest.fixture(scope="module")
def noisy_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """18 frames of 32x48: a still texture under noise."""
    return encode(tmp_path_factory.mktemp("noisy") / "noisy.mp4", noisy_frames(18, 32, 48))


def random_image(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def images(path: Path) -> list[Tensor]:
    return [yuv_to_image(timed.frame) for timed in read_yuv(probe(path))]


class Judged(Judge):
    """Plain numbers in place of VGG's: style is the painting's mean, content the picture's."""

    def __init__(self) -> None:
        pass

    def content(self, image: Tensor) -> Tensor:
        return image

    def compare(self, painted: Tensor, content: Tensor) -> tuple[float, float]:
        return painted.mean().item(), content.mean().item()


def test_what_is_measured_is_the_files_that_the_pipeline_makes(
    noisy_clip: Path, painter: Painter, tmp_path: Path
) -> None:
    versions: dict[str, list[Tensor]] = {}
    for kind in ("off", "on"):
        target = tmp_path / f"{kind}.mp4"
        stylize_video(noisy_clip, target, painter, Options(kind == "on", measure=False))
        versions[kind] = images(target)
    meter = FlickerMeter(1, every=3, longest=None)
    pictures = images(noisy_clip)
    for number, image in enumerate(pictures):
        meter.update(image, {kind: frames[number] for kind, frames in versions.items()})
    expected = meter.result()
    found = score_clip(noisy_clip, {"tiny": painter}, {"tiny": Judged()}, 99, 640)["tiny"]
    assert found["floor"] == expected.floor > 0
    for kind, suffix in (("off", ""), ("on", "_on")):
        assert found[kind] == pytest.approx(expected.errors[kind], rel=1e-6)
        style, content = (frames[15].mean().item() for frames in (versions[kind], pictures))
        assert found[f"style{suffix}"] == pytest.approx(style, rel=1e-5)
        assert found[f"content{suffix}"] == pytest.approx(content, rel=1e-5)
    assert 0 < found["on"] < found["off"]
    assert len(list(paintings(noisy_clip, {}, 5, 640))) == 5
    assert {"floor_10", "off_10", "on_10", "sharpness", "gradient_energy"} <= found.keys()


def test_several_styles_measured_at_once_are_as_each_alone(
    noisy_clip: Path, painter: Painter, tiny_network: StyleNet
) -> None:
    torch.manual_seed(5)
    painters = {"one": painter, "two on": Painter(StyleNet(tiny_network.config), "cpu")}
    both = score_clip(noisy_clip, painters, {}, 12, 48)
    for name, alone in painters.items():
        assert both[name] == score_clip(noisy_clip, {name: alone}, {}, 12, 48)[name]
    assert both["one"]["off"] != both["two on"]["off"]


def test_losses_of_photographs_are_means(painter: Painter) -> None:
    photos = [to_frame(random_image(1, 3, 16, 24, seed=i)) for i in range(3)]
    found = score_photos(photos, {"tiny": painter}, {"tiny": Judged()})["tiny"]
    painted = [to_image(stylize_image(photo, painter)).mean().item() for photo in photos]
    assert found["count"] == 3 and found["style"] == pytest.approx(sum(painted) / 3)
    assert found["content"] == pytest.approx(sum(p.mean() / 255 for p in photos) / 3)


def test_judge_finds_no_style_loss_in_the_painting_and_no_content_loss_in_the_picture() -> None:
    torch.manual_seed(0)
    painting, picture = random_image(1, 3, 48, 48), random_image(1, 3, 48, 48, seed=1)
    judge = Judge(VGG16Features(), painting)
    style, content = judge.compare(painting, judge.content(picture))
    assert style < 1e-4 and content > 1e-3
    style_of_copy, content = judge.compare(picture, judge.content(picture))
    assert style_of_copy > 10 * style and content == 0


@pytest.fixture
def folder(tmp_path: Path, tiny_weights: Path, record: dict[str, object]) -> Path:
    """A style with its record, and photographs of which one is the painting."""
    (tmp_path / "photos").mkdir()
    for i in range(3):
        picture = (random_image(24, 32, 3, seed=i) * 255).byte().numpy()
        Image.fromarray(picture).save(tmp_path / "photos" / f"{i}.png")
    shutil.copy(tiny_weights, tmp_path / "tiny.safetensors")
    training = {
        "command": "python -m train --style 0.png --name tiny",
        "config": {"style_size": 64},
    }
    (tmp_path / "tiny.json").write_text(json.dumps(record | {"training": training}))
    return tmp_path


def test_command_prints_a_table_and_writes_json_and_record(
    folder: Path, noisy_clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = f"""--weights {folder / "tiny.safetensors"} --frames 12 --device cpu --hold-out 2
        --photos {folder / "photos"}""".split()
    arguments = f"""--clips {noisy_clip} --style {folder / "photos" / "0.png"} --style-size 64
        --json {folder / "made" / "m.json"}""".split()
    assert main([*shared, *arguments]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[1].split()[:4] == ["clip", "floor", "off", "on"]
    written = json.loads((folder / "made" / "m.json").read_text())
    assert f"{1000 * written['clips']['noisy.mp4']['off']:.3f}" in printed
    assert written["photos"]["count"] == 2 and written["photos"]["style"] > 0
    assert written["photos"]["size"] == 640
    # The painting and its size from the record, and the numbers into it.
    assert main([*shared, "--paintings", str(folder / "photos"), "--record"]) == 0
    kept = json.loads((folder / "tiny.json").read_text())
    assert kept["metrics"]["photos"] == written["photos"] and kept["title"] == "A Square"


def test_a_record_without_its_painting_is_refused(folder: Path, record: dict[str, object]) -> None:
    assert trained_on(folder / "tiny.json") == ("0.png", 64)
    for training in ({}, {"command": "python -m train"}, {"command": 3, "config": []}):
        (folder / "tiny.json").write_text(json.dumps(record | {"training": training}))
        with pytest.raises(StyleError, match="does not say which painting"):
            trained_on(folder / "tiny.json")
    with pytest.raises(StyleError, match="not a readable style record"):
        put_in_record(folder / "none.json", {})
    assert not (folder / "none.json").exists()


def test_weights_of_one_name_are_not_measured_as_one(folder: Path, capsys) -> None:
    weights = str(next(folder.glob("*.safetensors")))
    assert main(["--weights", weights, weights, "--clips", "x.mp4"]) == 1
    assert capsys.readouterr().err.startswith("Two of the weights have one name: ")
    assert [name_of(folder / name) for name in ("a.b.safetensors", "lr0.1/checkpoint")] == [
        "a.b", "lr0.1",
    ]  # fmt: skip
    (folder / "lr0.1").mkdir()
    assert name_of(folder / "lr0.1") == "lr0.1"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("--clips none.mp4", "none.mp4 does not exist."),
        ("", "There is nothing to measure on."),
        ("--clips a/x.mp4 b/x.mp4", "Two of the clips have one name: x.mp4, x.mp4."),
        ("--clips x.mp4 --size 5", "--size is at least 16; got 5."),
        ("--clips x.mp4 --photo-size 0", "--photo-size is at least 16; got 0."),
        ("--clips x.mp4 --style-size 8", "--style-size is at least 64; got 8."),
        ("--clips x.mp4 --json /dev/null/m.json", "[Errno 17] File exists: '/dev/null'"),
    ],
)
def test_trouble_is_one_line(
    tiny_weights: Path, capsys: pytest.CaptureFixture[str], given: str, words: str
) -> None:
    assert main(["--weights", str(tiny_weights), *given.split()]) == 1
    said = capsys.readouterr().err
    assert said.startswith(words) and said.count("\n") == 1
