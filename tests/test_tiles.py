"""Parts of a picture, painted one by one: no seam, no matter where the cuts are."""

import pytest
import torch

from stylevid.frames import fit, resize
from stylevid.network import Past, StyleNet
from stylevid.tiles import fix_statistics, paint_in_tiles
from tests.material import random_image, remembering


@pytest.fixture(scope="module")
def network() -> StyleNet:
    return remembering(8, 2)


def smooth_image(height: int, width: int) -> torch.Tensor:
    return resize(random_image(6, 8), (height, width))


def test_a_picture_with_its_own_statistics_is_painted_as_ever(network: StyleNet) -> None:
    image = smooth_image(36, 52)
    fixed = fix_statistics(network, image)
    assert torch.allclose(fixed(image), network(image), atol=1e-5)
    darker = image * 0.3
    assert (fixed(darker) - network(darker)).abs().max() > 0.01


@pytest.mark.parametrize(("height", "width"), [(128, 128), (130, 257), (61, 300), (300, 61)])
def test_tiles_are_the_whole_picture_cut(network: StyleNet, height: int, width: int) -> None:
    image = smooth_image(height, width)
    before = network(image)
    tile = 64
    side = tile + 2 * network.config.reach
    scale = min(1.0, side / (height * width) ** 0.5)
    small = resize(image, fit(height, width, round(scale * max(height, width))))
    whole = fix_statistics(network, small)(image)
    tiled = paint_in_tiles(network, image, tile)
    assert tiled.shape == image.shape
    none = Past(torch.rand_like(image), torch.zeros(1, 1, -(-height // 2), -(-width // 2)))
    assert torch.allclose(paint_in_tiles(network, image, tile, none), tiled, atol=1e-5)
    assert torch.allclose(tiled, whole, atol=1e-5)
    assert torch.equal(network(image), before)  # the network itself is left alone


def test_the_reach_is_as_far_as_a_pixel_is_seen(network: StyleNet) -> None:
    image = smooth_image(160, 160)
    fixed = fix_statistics(network, image)
    changed = image.clone()
    changed[..., 80, 80] = 1 - changed[..., 80, 80].round()
    seen = (fixed(changed) - fixed(image)).abs().amax((0, 1)) > 0
    rows = seen.any(1).nonzero().flatten()
    assert 80 - rows.min() <= network.config.reach and rows.max() - 80 <= network.config.reach
    assert rows.max() - rows.min() > network.config.reach  # it does look that far


def test_tiles_know_the_past_of_their_place(network: StyleNet) -> None:
    """Where all is as large as a tile, statistics are the whole's, and nothing else may differ."""
    image = smooth_image(96, 160)
    known = torch.linspace(0, 1, 48 * 80).view(1, 1, 48, 80)
    past = Past(smooth_image(96, 160).flip(-1), known)
    fixed = fix_statistics(network, image, past)
    assert torch.allclose(fixed(image, past), network(image, past), atol=1e-5)
    assert torch.allclose(paint_in_tiles(network, image, 64, past), fixed(image, past), atol=1e-4)
