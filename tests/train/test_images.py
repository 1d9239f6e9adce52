"""Known answers for reading pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylevid.errors import StyleError
from stylevid.learn.painting import read_picture
from train.data.images import draw_crop, list_photos, photo_batch


def write_picture(path: Path, height: int = 16, width: int = 24, seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    return [write_picture(tmp_path / f"{name}.png", seed=ord(name)) for name in "abcd"]


def test_hold_out_leaves_out_the_last_by_name(tmp_path: Path, photos: list[Path]) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    for hold_out in (0, 1, 3):
        assert list_photos(tmp_path, hold_out) == photos[: 4 - hold_out]
    for hold_out in (4, 7):
        with pytest.raises(StyleError, match="4 pictures"):
            list_photos(tmp_path, hold_out)
    with pytest.raises(StyleError, match="nowhere holds 0 pictures"):
        list_photos(tmp_path / "nowhere")


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_kind_of_picture_comes_as_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("picture.jpg" if mode == "CMYK" else "picture.png")
    Image.new(mode, (24, 16)).save(path)
    assert read_picture(path).shape == (16, 24, 3)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_large_picture_comes_as_large_as_is_asked_for(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"large.{suffix}"
    Image.new("RGB", (900, 300), (200, 30, 30)).save(path)
    assert read_picture(path, 150).shape == (50, 150, 3)
    assert read_picture(path, 1200).shape == (300, 900, 3)


def test_rotated_picture_comes_upright(tmp_path: Path) -> None:
    # Orientation 6: the stored left edge is the top of the scene.
    stored = Image.new("RGB", (24, 16), (0, 0, 255))
    stored.paste((255, 0, 0), (0, 0, 12, 16))
    exif = Image.Exif()
    exif[0x0112] = 6
    stored.save(tmp_path / "phone.png", exif=exif)
    frame = read_picture(tmp_path / "phone.png")
    assert frame.shape == (24, 16, 3)
    assert (frame[:12] == (255, 0, 0)).all()
    assert (frame[12:] == (0, 0, 255)).all()


def test_missing_or_unreadable_picture_is_named(tmp_path: Path) -> None:
    jpg = write_picture(tmp_path / "whole.jpg", 64, 64).read_bytes()
    png = write_picture(tmp_path / "whole.png").read_bytes()
    contents = {
        "text.jpg": b"no picture",
        "empty.jpg": b"",
        "half.jpg": jpg[: len(jpg) // 2],
        "chunk.png": png[:8] + bytes(4) + png[12:],  # which Pillow calls a SyntaxError
        "later.png": png[:33] + b"\0\0\0\x10" + png[37:],
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in (*contents, "missing.jpg"):
        with pytest.raises(StyleError, match=name):
            read_picture(tmp_path / name)


@pytest.mark.parametrize("has", [(64, 20), (5, 90), (1, 1)])
def test_crop_has_its_size_whatever_the_photo(has: tuple[int, int]) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*has, 3), np.uint8)
    for seed in range(5):
        crop = draw_crop(photo.shape, 16, np.random.default_rng(seed))(photo)
        assert crop.shape == (1, 3, 16, 16)
        assert crop.min() >= 0 and crop.max() <= 1


def test_crop_is_no_small_part_of_the_photo_and_is_mirrored_at_times() -> None:
    """Of a ramp from black to white a crop of the whole height shows 1 / scale, at either side."""
    rows, columns = np.indices((120, 240)).astype(np.uint8)[..., None].repeat(3, axis=-1)
    draws = [draw_crop(rows.shape, 60, np.random.default_rng(seed)) for seed in range(40)]
    down, across = ([crop(ramp) for crop in draws] for ramp in (2 * rows, columns))
    shares = [(part.amax() - part.amin()).item() * 255 / 238 for part in down]
    assert min(shares) == pytest.approx(1 / 1.3, abs=0.05) and max(shares) > 0.9
    assert {(part[..., -1] > part[..., 0]).all().item() for part in across} == {True, False}


def test_batch_is_a_function_of_seed_and_step_alone(photos: list[Path]) -> None:
    torch.manual_seed(99)
    batch = photo_batch(photos, 4, 16, seed=5, step=7)
    assert batch.shape == (4, 3, 16, 16)
    torch.manual_seed(1)
    assert torch.equal(batch, photo_batch(photos, 4, 16, seed=5, step=7))
    assert not torch.equal(batch, photo_batch(photos, 4, 16, seed=5, step=8))
    assert not torch.equal(batch, photo_batch(photos, 4, 16, seed=6, step=7))
    assert torch.equal(photo_batch(photos, 2, 16, seed=5, step=7, first=2), batch[2:])
