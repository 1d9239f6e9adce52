"""The evaluation's numbers on clips, pictures and ground truth made here."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from stylevid import metrics
from stylevid.errors import DataError
from stylevid.flow import estimate_flow
from stylevid.network import StyleNet
from stylevid.painter import Painter
from train.clips import Pairs
from train.evaluate import main, ratios, read_metrics
from train.flow_files import write_flo
from train.ground_truth import ground_truth_pairs
from train.measure import (
    ClipScore,
    Judge,
    mean_fidelity,
    paint_image,
    score_clip,
    score_pictures,
    stability_error,
)
from train.vgg import VGG16Features


@pytest.fixture(scope="module")
def noisy_clip(tmp_path_factory: pytest.TempPathFactory, encode, textured_frames) -> Path:
    """14 frames of 32x48: a still texture under noise."""
    still = textured_frames(1)[0].astype(int)
    chance = np.random.default_rng(0)
    noise = [chance.normal(0, 6, still.shape) for _ in range(14)]
    frames = [(still + grain).clip(0, 255).astype(np.uint8) for grain in noise]
    return encode(tmp_path_factory.mktemp("noisy") / "noisy.mp4", frames)


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("vgg") / "vgg.safetensors"
    save_file(VGG16Features().half().state_dict(), path)
    return path


def score(clip: Path, painter: Painter, frames: int, size: int) -> ClipScore:
    return score_clip(clip, {"tiny": painter}, frames, size)["tiny"]


def random_image(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_score_has_floor_off_and_on(noisy_clip: Path, painter: Painter) -> None:
    result = score(noisy_clip, painter, frames=13, size=48)
    assert result.clip == "noisy.mp4"
    assert (result.short.pairs, result.long.pairs) == (12, 3)
    for flicker in (result.short, result.long):
        assert flicker.floor > 0
        assert flicker.errors.keys() == flicker.sharpness.keys() == {"off", "on"}
        assert 0 < flicker.errors["on"] < flicker.errors["off"]


def test_score_stops_at_the_clips_end_and_fits_the_size(noisy_clip: Path, painter: Painter) -> None:
    assert score(noisy_clip, painter, frames=99, size=640).short.pairs == 13
    assert score(noisy_clip, painter, frames=3, size=24).short.pairs == 2


def test_several_styles_measured_at_once_are_as_each_alone(
    noisy_clip: Path, painter: Painter, tiny_network: StyleNet
) -> None:
    torch.manual_seed(5)
    other = Painter(StyleNet(tiny_network.config), "cpu")
    both = score_clip(noisy_clip, {"one": painter, "two on": other}, 12, 48)
    assert both["one"] == score(noisy_clip, painter, 12, 48)
    assert both["two on"] == score(noisy_clip, other, 12, 48)
    assert both["one"].short.errors != both["two on"].short.errors
    alone = score_clip(noisy_clip, {"one": painter}, 12, 48, switch=False)["one"]
    assert alone.short.errors.keys() == {"off"}
    assert alone.short.sharpness == {"off": both["one"].short.sharpness["off"]}


def test_dis_judges_where_nothing_was_steadied_with_it(
    noisy_clip: Path, painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def watch(a: Tensor, b: Tensor, method: str) -> Tensor:
        asked.append(method)
        return estimate_flow(a, b, method)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(metrics, "estimate_flow", watch)
    for switch, judge in ((True, "farneback"), (False, "dis")):
        asked.clear()
        score_clip(noisy_clip, {"one": painter}, 3, 48, switch)
        assert set(asked) == {judge}


def test_a_painter_copies_the_network_it_is_given(tiny_network: StyleNet) -> None:
    network = StyleNet(tiny_network.config)
    painter = Painter(network, "cpu")
    image = random_image(1, 3, 16, 24)
    before = paint_image(painter, image)
    with torch.no_grad():
        network.get_parameter("leave.1.weight").zero_()
    assert torch.equal(paint_image(painter, image), before)
    assert all(p.requires_grad for p in network.parameters())


class Judged(Judge):
    """Counts in place of VGG: style is the mean, content the first pixel."""

    def __init__(self) -> None:
        pass

    def __call__(self, stylized: Tensor, image: Tensor) -> tuple[float, float]:
        return stylized.mean().item(), image[0, 0, 0, 0].item()


def test_fidelity_is_a_mean_over_pictures(painter: Painter) -> None:
    pictures = [random_image(1, 3, 16, 24, seed=i) for i in range(3)]
    fidelity = score_pictures(painter, pictures, Judged())
    assert fidelity.count == 3
    style = sum(paint_image(painter, p).mean().item() for p in pictures) / 3
    assert fidelity.style == pytest.approx(style)
    assert fidelity.content == pytest.approx(sum(p[0, 0, 0, 0].item() for p in pictures) / 3)
    assert mean_fidelity([]).count == 0


def test_judge_finds_no_style_loss_in_the_painting_and_no_content_loss_in_the_picture() -> None:
    torch.manual_seed(0)
    painting, picture = random_image(1, 3, 48, 48), random_image(1, 3, 48, 48, seed=1)
    judge = Judge(VGG16Features(), painting)
    style, content = judge(painting, picture)
    assert style < 1e-4 and content > 1e-3
    style_of_copy, content = judge(picture, picture)
    assert style_of_copy > 10 * style and content == 0


def pair(dx: int = 4) -> Pairs:
    """A random picture of 16x24 that moves by `dx` whole pixels to the left."""
    wide = random_image(1, 3, 16, 24 + dx)
    visible = torch.zeros(1, 1, 16, 24)
    visible[..., : 24 - dx] = 1
    flow = torch.tensor((float(dx), 0.0)).view(1, 2, 1, 1).expand(1, 2, 16, 24)
    return Pairs(wide[..., :24], wide[..., dx:], flow, visible)


def test_stability_error_of_a_known_change() -> None:
    true = pair()
    floor, count = stability_error(None, [true])
    assert floor < 1e-6 and count == 1
    brighter = Pairs(true.prev, true.cur + 0.5, true.flow_cur_to_prev, true.visible)
    # Half a unit on the 20 of 24 columns that are visible, one of two pairs.
    error, count = stability_error(None, [true, brighter])
    assert error == pytest.approx((0.25 * 20 / 24 / 2) ** 0.5, rel=1e-4)
    assert count == 2


def write_sintel(root: Path, frames: int = 3) -> None:
    """Frames 48x32 that move by 2 pixels; the last two columns are occluded."""
    wide = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    for folder in ("clean", "flow", "occlusions"):
        (root / "training" / folder / "alley_1").mkdir(parents=True)
    for i in range(1, frames + 1):
        frame = Image.fromarray(np.ascontiguousarray(wide[:, 2 * i : 2 * i + 48]))
        frame.save(root / "training" / "clean" / "alley_1" / f"frame_{i:04d}.png")
        if i == frames:
            continue
        flow = np.zeros((32, 48, 2), np.float32)
        flow[..., 0] = -2
        write_flo(root / "training" / "flow" / "alley_1" / f"frame_{i:04d}.flo", flow)
        occluded = np.zeros((32, 48), np.uint8)
        occluded[:, :2] = 255
        Image.fromarray(occluded).save(
            root / "training" / "occlusions" / "alley_1" / f"frame_{i:04d}.png"
        )


def test_sintel_is_read_with_its_masks(tmp_path: Path) -> None:
    write_sintel(tmp_path)
    pairs = list(ground_truth_pairs(tmp_path, "clean"))
    assert len(pairs) == 2
    assert pairs[0].visible.mean() == pytest.approx(46 / 48)
    assert stability_error(None, pairs)[0] < 1e-6
    inverted = [Pairs(p.prev, p.cur, -p.flow_cur_to_prev, p.visible) for p in pairs]
    assert stability_error(None, inverted)[0] > 0.1
    assert len(list(ground_truth_pairs(tmp_path, "clean", limit=1))) == 1


def test_a_folder_without_ground_truth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no pairs"):
        list(ground_truth_pairs(tmp_path, "clean"))


def test_command_prints_a_table_and_writes_json(
    tmp_path: Path,
    noisy_clip: Path,
    tiny_weights: Path,
    vgg_file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    numbers = tmp_path / "metrics.json"
    (tmp_path / "photos").mkdir()
    for i in range(3):
        picture = (random_image(24, 32, 3, seed=i) * 255).byte().numpy()
        Image.fromarray(picture).save(tmp_path / "photos" / f"{i}.png")
    write_sintel(tmp_path / "sintel")
    arguments = f"""--weights {tiny_weights} --clips {noisy_clip} --frames 12 --device cpu
        --style {tmp_path / "photos" / "0.png"} --style-size 32 --photos {tmp_path / "photos"}
        --hold-out 2 --vgg {vgg_file} --ground-truth {tmp_path / "sintel"} --json {numbers}"""
    assert main(arguments.split()) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[1].split()[:4] == ["clip", "floor", "off", "on"]
    written = json.loads(numbers.read_text())
    clip = written["clips"]["noisy.mp4"]
    assert {"floor", "off", "on", "floor_10", "off_10", "on_10", "sharpness", "style"} <= set(clip)
    assert 0 < clip["on"] < clip["off"]
    assert f"{1000 * clip['off']:.2f}" in printed
    assert written["photos"]["count"] == 2 and written["photos"]["style"] > 0
    assert written["e_stab"]["sintel"]["pairs"] == 2
    assert main([*arguments.split(), "--against", str(numbers)]) == 0
    against = capsys.readouterr().out
    assert "gradient_energy                  1.000" in against
    assert "style on photographs             1.000" in against


def test_ratios_are_of_the_excess_over_the_floor() -> None:
    ours = {"clips": {"a": {"floor": 1.0, "off": 2.0}, "b": {"floor": 0.0, "off": 1.0}}}
    theirs = {"clips": {"a": {"floor": 1.0, "off": 5.0}, "c": {"floor": 0.0, "off": 1.0}}}
    text = ratios(ours, theirs)
    assert text.splitlines()[0].startswith("medians over 1 clips")
    assert "excess E_warp, off, 1 frame(s)   0.250" in text
    assert "10 frame(s)" not in text


def test_record_and_json_are_read_alike_and_others_refused(tmp_path: Path) -> None:
    metrics = {"clips": {"a": {"off": 1.0}}}
    for content in (metrics, {"slug": "x", "metrics": metrics}):
        (tmp_path / "m.json").write_text(json.dumps(content))
        assert read_metrics(tmp_path / "m.json") == metrics
    for text in ("[]", "{", '{"metrics": 3}', '{"clips": []}'):
        (tmp_path / "m.json").write_text(text)
        with pytest.raises(Exception, match=r"m\.json holds no metrics of a style"):
            read_metrics(tmp_path / "m.json")


def test_missing_clip_is_one_line(
    tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--weights", str(tiny_weights), "--clips", str(tmp_path / "missing.mp4")]
    assert main(arguments) == 1
    assert capsys.readouterr().err == "missing.mp4 does not exist.\n"


def test_nothing_to_measure_is_one_line(
    tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--weights", str(tiny_weights)]) == 1
    assert capsys.readouterr().err.startswith("There is nothing to measure on.")


def test_clip_of_ten_frames_has_a_line_too(
    clip: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--weights", str(tiny_weights), "--clips", str(clip), "--device", "cpu"]) == 0
    assert len(capsys.readouterr().out.strip().splitlines()) == 3
