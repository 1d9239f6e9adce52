"""Learning a clip on the spot: it helps, it stops when it is asked to, and odd clips end well."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylevid.errors import StyleError, VideoError, WeightsError
from stylevid.learn.clip import Lesson, learn_clip
from stylevid.learn.losses import PaintingTargets
from stylevid.learn.painting import nearest, read_picture, study
from stylevid.network import StyleNet
from stylevid.pipeline import Options
from stylevid.styles import list_styles
from stylevid.weights import load_network, load_painting, save_network
from tests.accidents import refused
from tests.clips import encode, textured_frames

Learn = Callable[..., StyleNet]


@pytest.fixture(scope="module")
def painting(tmp_path_factory: pytest.TempPathFactory) -> PaintingTargets:
    path = tmp_path_factory.mktemp("paintings") / "stripes.png"
    coarse = np.random.default_rng(0).integers(0, 256, (10, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((80, 100)).save(path)
    return study(path)


@pytest.fixture
def learn(tiny_network: StyleNet, painting: PaintingTargets) -> Learn:
    return partial(learn_clip, tiny_network, painting)


@pytest.fixture
def moving_clip(tmp_path: Path) -> Path:
    return encode(tmp_path / "moving.mp4", textured_frames(12, 48, 64))


def test_what_is_learned_lowers_the_losses_and_leaves_the_start_alone(
    moving_clip: Path, learn: Learn, tiny_network: StyleNet
) -> None:
    before = {name: tensor.clone() for name, tensor in tiny_network.state_dict().items()}
    lessons: list[Lesson] = []
    learned = learn(moving_clip, Options(), 600.0, lessons.append, lambda: len(lessons) == 40)
    first, last = ([sum(x.losses.values()) for x in part] for part in (lessons[:10], lessons[-10:]))
    assert sum(last) < 0.9 * sum(first)
    assert all(torch.equal(before[n], t) for n, t in tiny_network.state_dict().items())
    assert not any(p.requires_grad for p in learned.parameters())
    assert [lesson.steps for lesson in lessons] == list(range(1, 41))
    assert lessons[-1].preview().shape == (48, 64, 3)
    assert 0 < lessons[0].fraction < lessons[-1].fraction < 1 and lessons[-1].left_s < 600


@pytest.mark.parametrize("count", [1, 2, 30])
def test_it_ends_when_its_time_is_over_whatever_the_clip(
    count: int, learn: Learn, tmp_path: Path
) -> None:
    still = textured_frames(1, 40, 56)[0]
    clip = encode(tmp_path / "still.mp4", [still] * count)
    lessons: list[Lesson] = []
    learn(clip, Options(), 0.5, lessons.append)
    assert lessons and np.isfinite(sum(lessons[-1].losses.values()))


def test_a_part_of_a_large_clip_is_learned_from(learn: Learn, tmp_path: Path) -> None:
    clip = encode(tmp_path / "large.mp4", textured_frames(130, 48, 64))
    seen: list[tuple[int, int]] = []
    options = Options(size=1200, brush=1, start_s=1.0, end_s=4.0)
    learn(clip, options, 600.0,
               lambda lesson: seen.append(lesson.frame.size), lambda: bool(seen))  # fmt: skip
    assert seen == [(900, 1200)]


@pytest.mark.parametrize("span", [(2.0, 2.2), (3.99, 4.1), (4.9, None)])
def test_a_short_part_of_a_long_clip_is_learned_from(span, learn: Learn, tmp_path: Path) -> None:
    clip = encode(tmp_path / "long.mp4", textured_frames(130, 48, 64))
    lessons: list[Lesson] = []
    options = Options(start_s=span[0], end_s=span[1])
    learn(clip, options, 600.0, lessons.append, lambda: len(lessons) == 9)
    assert len(lessons) == 9


def test_what_is_more_than_allowed_is_not_learned_first(learn: Learn, moving_clip: Path) -> None:
    with pytest.raises(VideoError, match=r"0 s long; the limit is 0 s"):
        learn(moving_clip, Options(max_seconds=0.1), 600.0)
    with pytest.raises(VideoError, match=r"12 frames of 640x480, 3,686,400 pixels in all"):
        learn(moving_clip, Options(size=640, max_pixels=1_000_000), 600.0)


def test_a_clip_that_is_too_small_is_one_sentence(learn: Learn, tmp_path: Path) -> None:
    clip = encode(tmp_path / "small.mp4", textured_frames(3, 16, 24))
    with pytest.raises(VideoError, match=r"small\.mp4 is painted at 24x16, and 32 pixels"):
        learn(clip, Options(), 5.0)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_no_time_to_learn_is_one_sentence(seconds: float, learn: Learn, moving_clip: Path) -> None:
    with pytest.raises(ValueError, match="the time to learn is some seconds, more than 0; got"):
        learn(moving_clip, Options(), seconds)


def test_a_kept_style_can_go_on_learning(
    painting: PaintingTargets, tiny_network: StyleNet, tmp_path: Path
) -> None:
    save_network(tiny_network, tmp_path / "kept.safetensors", painting.pack())
    again = PaintingTargets.unpack(load_painting(tmp_path / "kept.safetensors"))
    assert painting.distance(again) < 1e-4
    assert torch.allclose(again.palette, painting.palette, atol=3e-3)
    assert load_network(tmp_path / "kept.safetensors").config == tiny_network.config
    part = painting.pack()
    del part["painting.gram.64"]
    save_network(tiny_network, tmp_path / "part.safetensors", part)
    with pytest.raises(WeightsError, match=r"does not fit its network: 'painting\.gram\.64'"):
        load_painting(tmp_path / "part.safetensors")
    old = {**painting.pack(), "painting.tones": torch.zeros(1, 1, 9, 12)}
    del old["painting.palette"]
    save_network(tiny_network, tmp_path / "old.safetensors", old)
    assert load_painting(tmp_path / "old.safetensors") == {}, "it can only paint"
    save_network(tiny_network, tmp_path / "plain.safetensors")
    assert load_painting(tmp_path / "plain.safetensors") == {}


def test_the_nearest_style_is_the_paintings_own(
    painting: PaintingTargets, tiny_network: StyleNet, tmp_path: Path, record: dict[str, object]
) -> None:
    other = PaintingTargets([gram * 1.7 for gram in painting.grams], painting.palette)
    for slug, held in (("far", other), ("near", painting), ("old", None)):
        path = tmp_path / f"{slug}.safetensors"
        sha256 = save_network(tiny_network, path, held and held.pack())
        about = json.dumps({**record, "slug": slug, "sha256": sha256})
        path.with_suffix(".json").write_text(about)
        path.with_suffix(".jpg").write_bytes(b"")
    styles = list_styles(tmp_path)
    assert nearest(painting, styles).slug == "near"
    with pytest.raises(StyleError, match="can go on learning"):
        nearest(painting, [style for style in styles if style.slug == "old"])


@pytest.mark.parametrize(
    ("mode", "size", "color", "words"),
    [
        ("RGB", (300, 20), None, "its shorter side needs 64"),
        ("RGB", (80, 90), "white", "is blank"),
        ("RGBA", (80, 90), (0, 0, 0, 0), "is blank"),
        ("L", (80, 90), None, None),
        ("RGBA", (80, 90), None, None),
        ("P", (80, 90), None, None),
    ],
)
def test_pictures_of_all_kinds_are_studied_or_refused(
    tmp_path: Path, mode: str, size: tuple[int, int], color, words: str | None
) -> None:
    path = tmp_path / "picture.png"
    width, height = size
    if color is None:
        noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(noise).convert(mode).save(path)
    else:
        Image.new(mode, size, color).save(path)
    if words is None:
        assert all(gram.isfinite().all() for gram in study(path).grams)
        return
    with refused(StyleError, words):
        study(path)


def test_16_bits_of_gray_are_8_with_more_steps(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (90, 80), dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    read = read_picture(tmp_path / "deep.png")
    assert np.array_equal(read, np.repeat((deep // 257)[..., None], 3, axis=2))


def test_numbers_of_an_unknown_range_are_refused(tmp_path: Path) -> None:
    Image.new("F", (80, 90), 0.5).save(tmp_path / "float.tif")
    with refused(StyleError, "without a known range"):
        study(tmp_path / "float.tif")


def test_large_pictures_are_scaled_before_they_are_laid_on_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (400, 300), (255, 0, 0, 0))
    clear.paste((0, 0, 255, 255), (0, 0, 200, 300))
    clear.save(tmp_path / "half.png")
    read = read_picture(tmp_path / "half.png", 40)
    assert read.shape == (30, 40, 3)
    assert read[15, 5].tolist() == [0, 0, 255] and read[15, 35].tolist() == [255, 255, 255]
