"""Geometry of optical flow: pure functions on tensors, in float32.

Flow is N,2,H,W, (dx, dy) in pixels; `flow_a_to_b` lives on a's grid, and the point p of a is at
p + flow(p) in b. Pixel centres are at integers, so the corners of the picture are the centres of
its corner pixels: the grid is scaled by W-1, H-1 and sampled with `align_corners=True`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def pixel_grid(height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """The coordinates (x, y) of every pixel centre, 1,2,H,W, in pixels."""
    y, x = torch.meshgrid(
        torch.arange(height, device=device, dtype=torch.float32),
        torch.arange(width, device=device, dtype=torch.float32),
        indexing="ij",
    )
    return torch.stack((x, y)).unsqueeze(0)


def sample(image: Tensor, points: Tensor, mode: str = "bilinear") -> Tensor:
    """The image N,C,H,W read at `points` N,2,H',W' (x, y in its pixels), as N,C,H',W'.

    Points outside take the nearest edge pixel. `mode` is bilinear, bicubic or nearest.
    """
    _, _, height, width = image.shape
    # A side of one pixel has a single column of centres: any x reads it, so divide by 1.
    x = 2.0 * points[:, 0] / max(width - 1, 1) - 1.0
    y = 2.0 * points[:, 1] / max(height - 1, 1) - 1.0
    grid = torch.stack((x, y), dim=-1)  # N,H',W',2
    return F.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=True)


def inside(points: Tensor, height: int, width: int) -> Tensor:
    """N,1,H',W': 1 where the points N,2,H',W' (x, y) lie within a picture of this size."""
    x, y = points[:, :1], points[:, 1:]
    # Half a thousandth of a pixel forgives float32 rounding at the very edge.
    slack = 5e-4
    within = (x >= -slack) & (x <= width - 1 + slack) & (y >= -slack) & (y <= height - 1 + slack)
    return within.float()


def warp(image: Tensor, flow: Tensor, mode: str = "bilinear") -> tuple[Tensor, Tensor]:
    """Draw `image` on the grid of the frame that `flow` starts from.

    Args:
        image: N,C,H,W, any range.
        flow: N,2,H,W, (dx, dy) in pixels, from the wanted grid to `image`.
        mode: bilinear, bicubic or nearest.
    Returns:
        The warped image, N,C,H,W, float32, and `inside`, N,1,H,W, 1 where the sample lay within
        the picture.
    Raises:
        ValueError: the sizes differ.
    Source: backward warping, Jaderberg et al. 2015 (Spatial Transformer Networks), section 3.3.
    """
    if image.shape[-2:] != flow.shape[-2:] or image.shape[0] != flow.shape[0]:
        raise ValueError(f"image {tuple(image.shape)} and flow {tuple(flow.shape)} differ in size")
    height, width = image.shape[-2:]
    points = pixel_grid(height, width, flow.device) + flow.float()
    return sample(image.float(), points, mode), inside(points, height, width)


def resize_flow(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """The flow N,2,H,W for the same motion at `size` (height, width).

    Resizing a flow also rescales it: dx by W'/W, dy by H'/H.
    """
    height, width = flow.shape[-2:]
    new_height, new_width = size
    if (height, width) == size:
        return flow
    resized = F.interpolate(flow.float(), size, mode="bilinear", align_corners=False)
    scale = resized.new_tensor((new_width / width, new_height / height))
    return resized * scale.view(1, 2, 1, 1)


def occlusion_mask(flow_a_to_b: Tensor, flow_b_to_a: Tensor) -> Tensor:
    """Where a's pixels have no partner in b: N,1,H,W on a's grid, 1 = occluded.

    Occluded if |f + b(f)|^2 > 0.01 (|f|^2 + |b(f)|^2) + 0.5, or if the point leaves the picture.

    Args:
        flow_a_to_b: N,2,H,W in pixels.
        flow_b_to_a: N,2,H,W in pixels; its own estimate, never minus the other one.
    Source: Sundaram et al. 2010 (Dense Point Trajectories), section 3; Ruder et al. 2016, eq. 5.
    """
    back, within = warp(flow_b_to_a, flow_a_to_b)
    there = flow_a_to_b.float()
    disagreement = (there + back).square().sum(1, keepdim=True)
    length = there.square().sum(1, keepdim=True) + back.square().sum(1, keepdim=True)
    return ((disagreement > 0.01 * length + 0.5) | (within == 0)).float()


def motion_boundary_mask(flow: Tensor) -> Tensor:
    """Where the flow N,2,H,W jumps: N,1,H,W, 1 = motion boundary.

    |grad u|^2 + |grad v|^2 > 0.01 |flow|^2 + 0.002, gradients by forward differences.

    Source: Ruder et al. 2016 (Artistic Style Transfer for Videos), eq. 6.
    """
    flow = flow.float()
    across = F.pad(flow[..., :, 1:] - flow[..., :, :-1], (0, 1, 0, 0))
    down = F.pad(flow[..., 1:, :] - flow[..., :-1, :], (0, 0, 0, 1))
    gradient = (across.square() + down.square()).sum(1, keepdim=True)
    return (gradient > 0.01 * flow.square().sum(1, keepdim=True) + 0.002).float()
