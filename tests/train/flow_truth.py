"""Proof that flow, mask and direction are right: frames warped along the flow explain each other,
and along no mistaken flow."""

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from stylevid.warp import warp
from train.data.pair_files import Pairs


def masked_error(pairs: Pairs, flow: Tensor | None = None) -> float:
    """Mean absolute difference of cur and prev warped along the flow, over visible pixels."""
    warped, _ = warp(pairs.prev, pairs.flow_cur_to_prev if flow is None else flow)
    difference = (warped - pairs.cur).abs().mean(1, keepdim=True)
    return ((pairs.visible * difference).sum() / pairs.visible.sum()).item()


def assert_true(pairs: Pairs, ratio: float = 0.2, mistaken: float = 0.5) -> None:
    """The flow's error is below `ratio` times that of no flow, and well below every mistake's."""
    flow, visible = pairs.flow_cur_to_prev, pairs.visible
    assert torch.isfinite(flow).all() and visible.mean() > 0.05
    error = masked_error(pairs)
    assert error < ratio * masked_error(pairs, torch.zeros_like(flow)), "the frame itself"
    assert error < mistaken * masked_error(pairs, -flow), "the sign"
    assert error < mistaken * masked_error(pairs, flow.flip(1)), "dx and dy"
    assert error < mistaken * masked_error(Pairs(pairs.cur, pairs.prev, flow, visible)), "direction"
    if visible.min() == 0:
        assert error < masked_error(Pairs(pairs.prev, pairs.cur, flow, 1 - visible)), "the mask"


def assert_equal(a: Pairs, b: Pairs) -> None:
    for (name, part), other in zip(vars(a).items(), vars(b).values(), strict=True):
        assert torch.equal(part, other), name


def write_flow(path: Path, flow: np.ndarray) -> None:
    """Write flow H,W,2, (dx, dy) in pixels, as .flo, or else as little-endian PFM with the third,
    zero channel that SceneFlow's files have."""
    if path.suffix == ".flo":
        assert cv2.writeOpticalFlow(str(path), flow)
        return
    height, width, _ = flow.shape
    samples = np.concatenate((flow, np.zeros_like(flow[:, :, :1])), axis=2)[::-1]
    header = f"PF\n{width} {height}\n-1.0\n".encode("ascii")
    path.write_bytes(header + samples.astype("<f4").tobytes())
