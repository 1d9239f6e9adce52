"""Known answers for reading pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylevid.errors import StyleError
from train.data.images import list_photos, photo_batch, random_crop, read_painting, read_picture


def write_picture(path: Path, height: int = 16, width: int = 24, seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    return [write_picture(tmp_path / f"{name}.png", seed=ord(name)) for name in "abcd"]


def test_photos_come_sorted_by_name(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "c.WEBP", "d.jpeg"):
        write_picture(tmp_path / name)
    (tmp_path / "manifest.json").write_text("{}")
    assert [p.name for p in list_photos(tmp_path)] == ["a.jpg", "b.png", "c.WEBP", "d.jpeg"]


def test_hold_out_leaves_out_the_last_by_name(tmp_path: Path, photos: list[Path]) -> None:
    assert list_photos(tmp_path, hold_out=1) == photos[:3]
    assert list_photos(tmp_path, hold_out=3) == photos[:1]
    assert list_photos(tmp_path, hold_out=0) == photos


def test_holding_out_every_photo_is_refused(tmp_path: Path, photos: list[Path]) -> None:
    with pytest.raises(StyleError, match="4 pictures"):
        list_photos(tmp_path, hold_out=4)


@pytest.mark.parametrize("hold_out", [5, 7])
def test_holding_out_more_than_there_are_is_refused(
    tmp_path: Path, photos: list[Path], hold_out: int
) -> None:
    with pytest.raises(StyleError, match="4 pictures"):
        list_photos(tmp_path, hold_out)


def test_empty_or_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StyleError, match="0 pictures"):
        list_photos(tmp_path)
    with pytest.raises(StyleError, match="nowhere"):
        list_photos(tmp_path / "nowhere")


def test_red_picture_stays_red(tmp_path: Path) -> None:
    Image.new("RGB", (24, 16), (255, 0, 0)).save(tmp_path / "red.png")
    frame = read_picture(tmp_path / "red.png")
    assert frame.shape == (16, 24, 3)
    assert frame.dtype == np.uint8
    assert (frame == (255, 0, 0)).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_kind_of_picture_comes_as_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("picture.jpg" if mode == "CMYK" else "picture.png")
    Image.new(mode, (24, 16)).save(path)
    assert read_picture(path).shape == (16, 24, 3)


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
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.jpg").touch()
    whole = write_picture(tmp_path / "whole.jpg", 64, 64).read_bytes()
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 2])
    for name in ("text.jpg", "empty.jpg", "half.jpg", "missing.jpg"):
        with pytest.raises(StyleError, match=name):
            read_picture(tmp_path / name)


@pytest.mark.parametrize(("place", "damage"), [(8, b"\x00\x00\x00\x00"), (33, b"\x00\x00\x00\x10")])
def test_png_with_a_broken_chunk_is_named(tmp_path: Path, place: int, damage: bytes) -> None:
    path = write_picture(tmp_path / "broken.png")
    whole = path.read_bytes()
    path.write_bytes(whole[:place] + damage + whole[place + len(damage) :])
    with pytest.raises(StyleError, match=r"broken\.png"):
        read_picture(path)


def test_painting_is_scaled_to_its_longest_side(tmp_path: Path) -> None:
    write_picture(tmp_path / "painting.png", 40, 20)
    painting = read_painting(tmp_path / "painting.png", 30)
    assert painting.shape == (1, 3, 30, 15)
    assert painting.min() >= 0 and painting.max() <= 1


@pytest.mark.parametrize("size", [(16, 24), (64, 20), (5, 90), (1, 1)])
def test_crop_is_square_whatever_the_photo(tmp_path: Path, size: tuple[int, int]) -> None:
    photo = write_picture(tmp_path / "photo.png", *size)
    for seed in range(5):
        crop = random_crop(photo, (16, 16), np.random.default_rng(seed))
        assert crop.shape == (1, 3, 16, 16)
        assert crop.min() >= 0 and crop.max() <= 1


def test_batch_is_a_function_of_seed_and_step(photos: list[Path]) -> None:
    batch = photo_batch(photos, 3, 16, seed=5, step=7)
    assert batch.shape == (3, 3, 16, 16)
    assert torch.equal(batch, photo_batch(photos, 3, 16, seed=5, step=7))
    assert not torch.equal(batch, photo_batch(photos, 3, 16, seed=5, step=8))
    assert not torch.equal(batch, photo_batch(photos, 3, 16, seed=6, step=7))


def test_a_share_of_a_batch_is_that_part_of_it(photos: list[Path]) -> None:
    whole = photo_batch(photos, 4, 16, seed=5, step=7)
    assert torch.equal(photo_batch(photos, 2, 16, seed=5, step=7, first=2), whole[2:])


def test_batch_does_not_follow_global_chance(photos: list[Path]) -> None:
    before = photo_batch(photos, 2, 16, seed=0, step=0)
    torch.manual_seed(99)
    torch.rand(5)
    assert torch.equal(photo_batch(photos, 2, 16, seed=0, step=0), before)


def test_batch_draws_every_photo_in_time(tmp_path: Path) -> None:
    photos = [tmp_path / f"{gray}.png" for gray in (0, 100, 200)]
    for photo in photos:
        Image.new("L", (24, 16), int(photo.stem)).save(photo)
    seen = {
        round(crop.mean().item() * 255)
        for step in range(8)
        for crop in photo_batch(photos, 4, 8, seed=0, step=step)
    }
    assert seen == {0, 100, 200}
