"""Optical flow behind one function: OpenCV's estimators on pictures in [0, 1]."""

from typing import Literal, cast

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .frames import luma, pad, unpad

Array = npt.NDArray[np.float32]
Method = Literal["dis", "farneback"]

# DIS works on blocks of 8 pixels over several octaves and refuses smaller pictures.
_MINIMUM = 32


def estimate_flow(image_a: Tensor, image_b: Tensor, method: Method = "dis") -> Tensor:
    """`flow_a_to_b`: 1,2,H,W float32, (dx, dy) in pixels, on the images' device.

    Args:
        image_a, image_b: 1,3,H,W in [0, 1], of the same size; any size from one pixel up.
        method: "farneback" (Farneback 2003) to judge what was steadied with `FlowEstimator`, which
            is DIS: no estimator marks its own work. "dis" (Kroeger et al. 2016, preset medium) to
            judge what was not.
    Raises:
        ValueError: the sizes differ.
    """
    if image_a.shape != image_b.shape:
        raise ValueError(f"{tuple(image_a.shape)} and {tuple(image_b.shape)} differ in size")
    height, width = image_a.shape[-2:]
    gray_a, gray_b = _gray(image_a), _gray(image_b)
    start = np.zeros((*gray_a.shape, 2), np.float32)
    if method == "dis":
        estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        flow = estimator.calc(gray_a, gray_b, start)
    else:
        flow = cv2.calcOpticalFlowFarneback(gray_a, gray_b, start, 0.5, 4, 21, 4, 7, 1.5, 0)
    tensor = torch.from_numpy(flow).permute(2, 0, 1).unsqueeze(0)  # 1,2,H,W
    return unpad(tensor, height, width).to(image_a.device)


class FlowEstimator:
    """Flow between gray frames for the stabilizer: DIS (Kroeger et al. 2016) down to the pictures'
    own scale.

    The presets stop at a half or a quarter of it. On clips with exact flow, for the same CPU time,
    all scales of 224 pixels are nearer the truth than the half scale of 384: the median error is
    0.120 pixels of 640 instead of 0.145.
    """

    def __init__(self) -> None:
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._dis.setFinestScale(0)
        self._dis.setGradientDescentIterations(12)
        self._dis.setPatchStride(5)
        self._dis.setVariationalRefinementIterations(2)

    def __call__(self, gray_a: Array, gray_b: Array) -> Array:
        """`flow_a_to_b`, H,W,2 float32 (dx, dy) in pixels, of pictures H,W, 0 to 255."""
        height, width = gray_a.shape
        down, right = max(_MINIMUM - height, -height % 8), max(_MINIMUM - width, -width % 8)
        a, b = (
            cv2.copyMakeBorder(gray.astype(np.uint8), 0, down, 0, right, cv2.BORDER_REPLICATE)
            for gray in (gray_a, gray_b)
        )
        flow = self._dis.calc(a, b, np.zeros((*a.shape, 2), np.float32))
        return cast(Array, np.ascontiguousarray(flow[:height, :width]))


def _gray(image: Tensor) -> np.ndarray:
    light = luma(pad(image.float(), multiple=8, minimum=_MINIMUM))
    return light[0, 0].mul(255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
