"""Real frames with true flow: where the pair is visible, warping explains the second frame.

The files are as their makers released them and read by `read_pair`: Middlebury, KITTI,
FlyingChairs, and a stereo pair of FlyingThings3D whose disparity is a flow from left to right.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from stylevid.warp import occlusion_mask, warp
from tests.train.flow_truth import assert_true, write_flow
from train.data.flow_files import read_flow, read_pfm
from train.data.pair_files import PairFiles, collision_mask, read_pair


@pytest.fixture(scope="module")
def flow_data(shared_data: Path) -> Path:
    return shared_data / "flow"


def rubber_whale(data: Path) -> PairFiles:
    folder = data / "middlebury"
    cur, prev = (folder / f"RubberWhale_frame{number}.png" for number in (10, 11))
    return PairFiles(cur, prev, folder / "RubberWhale_flow10.flo", None, None, None)


def chairs(data: Path, number: int) -> PairFiles:
    names = (f"{number:07d}-{name}" for name in ("img0.ppm", "img1.ppm", "gt.flo"))
    return PairFiles(*(data / "flyingchairs" / name for name in names), None, None, None)


def kitti(data: Path, folder: Path) -> PairFiles:
    """Laser flow has holes: they become nan, and a black picture says that they are no edges."""
    # Blue is 1 where the flow is known; OpenCV gives B, G, R.
    path = data / "kitti" / "flow_occ_000010_10.png"
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float32)
    flow = (stored[:, :, :0:-1] - 2**15) / 64
    flow[stored[:, :, 0] == 0] = np.nan
    write_flow(folder / "kitti.flo", np.ascontiguousarray(flow))
    height, width, _ = flow.shape
    Image.new("L", (width, height)).save(folder / "edges.pgm")
    cur, prev = (data / "kitti" / f"000010_{number}.png" for number in (10, 11))
    return PairFiles(cur, prev, folder / "kitti.flo", None, None, folder / "edges.pgm")


def things(data: Path, folder: Path) -> PairFiles:
    """A point of the left camera's picture is further left in the right one's, by its disparity."""
    source, name = data / "sceneflow_things3d", "A-0032-0006"
    for side, sign in (("left", -1), ("right", 1)):
        dx = sign * read_pfm(source / "disparity" / side / f"{name}.pfm")
        write_flow(folder / f"{side}.pfm", np.concatenate((dx, np.zeros_like(dx)), axis=2))
    cur, prev = (source / "RGB_cleanpass" / side / f"{name}.png" for side in ("left", "right"))
    occlusion = source / "occlusion" / "left" / f"{name}.png"
    return PairFiles(cur, prev, folder / "left.pfm", folder / "right.pfm", occlusion, None)


def test_middlebury(flow_data: Path) -> None:
    files = rubber_whale(flow_data)
    pairs = read_pair(files)
    assert_true(pairs, 0.3)
    unknown = (read_flow(files.flow).abs() > 1e9).any(1, keepdim=True)
    assert unknown.any()
    assert pairs.visible[unknown].eq(0).all()


def test_flying_chairs_and_kitti(flow_data: Path, tmp_path: Path) -> None:
    for number in (0, 3):
        pairs = read_pair(chairs(flow_data, number))
        assert_true(pairs, 0.4)
        assert pairs.visible.mean() > 0.75
    assert_true(read_pair(kitti(flow_data, tmp_path)), 0.5)


@pytest.mark.parametrize("missing", [[], ["occlusion"], ["occlusion", "reverse_flow"]])
def test_flying_things_whatever_tells_the_occlusion(
    flow_data: Path, tmp_path: Path, missing: list[str]
) -> None:
    files = PairFiles(**{**vars(things(flow_data, tmp_path)), **dict.fromkeys(missing)})
    pairs = read_pair(files)
    assert_true(pairs, 0.08)
    assert pairs.visible.mean() > 0.7


def test_masks_from_the_flow_agree_with_the_file(flow_data: Path, tmp_path: Path) -> None:
    files = things(flow_data, tmp_path)
    assert files.reverse_flow is not None and files.occlusion is not None
    flow = read_flow(files.flow)
    with Image.open(files.occlusion) as picture:
        truth = torch.from_numpy(np.array(picture.convert("L")) > 0)
    occluded = occlusion_mask(flow, read_flow(files.reverse_flow))[0, 0] > 0
    assert (occluded & truth).sum() > 0.92 * (occluded | truth).sum()
    collided = collision_mask(flow)[0, 0] > 0
    truth &= warp(flow, flow)[1][0, 0] > 0
    assert (collided & truth).sum() > 0.9 * truth.sum()
    assert collided.float().mean() < 2 * truth.float().mean()
