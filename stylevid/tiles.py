"""Painting a picture in parts, for devices whose memory the whole does not fit: no seam can be
seen, because every part is painted with the same statistics and more of its surroundings than the
network looks at."""

import math
from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn

from .frames import Size, fit, pad, resize, size_of, unpad
from .network import MINIMUM, MULTIPLE, Past, StyleNet


def paint_in_tiles(network: StyleNet, image: Tensor, tile: int, past: Past | None = None) -> Tensor:
    """The painting of an image 1,3,H,W in [0, 1], computed in squares of `tile` pixels, a multiple
    of 4.

    The statistics of the instance norms are those of the picture scaled to as many pixels as a
    tile is computed from, so the painting differs a little from the one of the whole at once.
    """
    height, width = size_of(image)
    halo = network.config.reach
    scale = min(1.0, (tile + 2 * halo) / math.sqrt(height * width))
    size = fit(height, width, round(scale * max(height, width)))
    fixed = fix_statistics(network, resize(image, size), past and _small(past, size))
    whole = pad(image, MULTIPLE, MINIMUM)
    if past is not None:
        past = Past(pad(past.painting, MULTIPLE, MINIMUM),
                    pad(past.trust, MULTIPLE // 2, MINIMUM // 2))  # fmt: skip
    painted = torch.empty_like(whole)
    for top in range(0, whole.shape[-2], tile):
        for left in range(0, whole.shape[-1], tile):
            above, before = min(halo, top), min(halo, left)
            place = (top - above, top + tile + halo, left - before, left + tile + halo)
            part = fixed(_part(whole, *place), None if past is None else Past(
                _part(past.painting, *place), _part(past.trust, *(side // 2 for side in place))
            ))  # fmt: skip
            inner = part[..., above : above + tile, before : before + tile]
            painted[..., top : top + inner.shape[-2], left : left + inner.shape[-1]] = inner
    return unpad(painted, height, width)


def _part(plane: Tensor, top: int, bottom: int, left: int, right: int) -> Tensor:
    return plane[..., top:bottom, left:right]


def _small(past: Past, size: Size) -> Past:
    height, width = size
    return Past(resize(past.painting, size), resize(past.trust, (-(-height // 2), -(-width // 2))))


@torch.inference_mode()
def fix_statistics(network: StyleNet, image: Tensor, past: Past | None = None) -> StyleNet:
    """A copy of the network that normalizes with the statistics it has on `image`, 1,3,H,W."""
    seen: dict[str, tuple[Tensor, ...]] = {}  # variance and mean

    def watch(name: str) -> torch.utils.hooks.RemovableHandle:
        def note(_: nn.Module, inputs: tuple[Tensor]) -> None:
            found = torch.var_mean(inputs[0].float(), (2, 3), correction=0)
            seen[name] = tuple(part.to(inputs[0].dtype) for part in found)

        return norms[name].register_forward_pre_hook(note)

    norms = {n: m for n, m in network.named_modules() if isinstance(m, nn.InstanceNorm2d)}
    handles = [watch(name) for name in norms]
    try:
        network(image, past)
    finally:
        for handle in handles:
            handle.remove()
    fixed = deepcopy(network)
    for name, statistics in seen.items():
        norm = cast(nn.InstanceNorm2d, fixed.get_submodule(name))
        norm.track_running_stats = True  # an instance norm that has any uses them when it paints
        norm.running_var, norm.running_mean = (part.flatten() for part in statistics)
    return fixed.eval()
