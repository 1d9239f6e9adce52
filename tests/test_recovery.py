"""What goes wrong in a clip leaves little more behind in its painting than to forget it all."""

from collections.abc import Callable
from contextlib import closing
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from stylevid import Painter, get_style, pipeline
from stylevid.example import example_picture
from stylevid.flow import FlowEstimator
from stylevid.frames import to_image
from stylevid.memory import Follower
from stylevid.pipeline import Options, paint_frames
from stylevid.video import Timed
from stylevid.yuv import image_to_yuv, yuv_to_image

FRAMES, WRONG, LATER, STEP = 14, 6, 5, 4  # LATER: frames after the wrong one; STEP: pixels a frame
Clip = list[Tensor]


@pytest.fixture(scope="module")
def painter() -> Painter:
    return Painter(get_style("starry-night"), "cpu")


@pytest.fixture(scope="module")
def clip() -> Clip:
    """A slow pan over a real picture."""
    picture = to_image(example_picture(288))[..., 60:204, :]
    return [picture[..., STEP * number :][..., :232] for number in range(FRAMES)]


def paint(painter: Painter, clip: Clip, temporal: bool = True) -> Clip:
    source = (Timed(image_to_yuv(image.clamp(0, 1)), Fraction(number), Fraction(1))
              for number, image in enumerate(clip))  # fmt: skip
    with closing(paint_frames(source, painter, Options(temporal))) as paintings:
        return [yuv_to_image(painted.shown) for painted in paintings]


@pytest.fixture(scope="module")
def clean(painter: Painter, clip: Clip) -> Clip:
    return paint(painter, clip)


@pytest.fixture(scope="module")
def anew(painter: Painter, clip: Clip, clean: Clip) -> list[float]:
    """How far who starts at frame WRONG is from who started at 0, frame by frame from there on."""
    return [*map(difference, paint(painter, clip[WRONG:]), clean[WRONG:])]


def difference(painting: Tensor, other: Tensor) -> float:
    return (painting - other).abs().mean().item()


def lit(clip: Clip, first: int, *gains: float) -> Clip:
    """The clip with other exposures of some frames from `first` on."""
    changed = [image * gain for image, gain in zip(clip[first:], gains, strict=False)]
    return [*clip[:first], *changed, *clip[first + len(gains) :]]


@pytest.mark.parametrize(
    ("most", "change"),
    [
        (1.2, lambda clip: lit(clip, WRONG, 1.8)),
        (1.2, lambda clip: lit(clip, WRONG, 0.0)),
        (1.7, lambda clip: lit(clip, WRONG - 4, 0.75, 0.5, 0.25, 0.5, 0.75)),
        (1.2, lambda clip: [*clip[: WRONG - 1], clip[WRONG - 2], *clip[WRONG:]]),
        (1.2, lambda clip: [*clip[:WRONG], torch.rand(clip[0].shape), *clip[WRONG + 1 :]]),
    ],
    ids=["flash", "black", "fade", "doubled frame", "another picture"],
)
def test_a_few_frames_later_it_is_forgotten(
    painter: Painter, clip: Clip, clean: Clip, anew: list[float],
    most: float, change: Callable[[Clip], Clip],
) -> None:  # fmt: skip
    torch.manual_seed(0)
    painted = paint(painter, change(clip))
    left = difference(painted[WRONG + LATER], clean[WRONG + LATER])
    # Not nothing: stars may stand elsewhere, as they do for who starts anew.
    assert left < most * anew[LATER - 1] and left < 1.1 * anew[0]


def test_a_dropped_frame_is_hardly_seen(painter: Painter, clip: Clip, clean: Clip, anew) -> None:
    painted = paint(painter, [*clip[:WRONG], *clip[WRONG + 1 :]])
    assert difference(painted[WRONG], clean[WRONG + 1]) < 0.7 * anew[0]


def test_light_that_has_changed_is_painted(painter: Painter, clip: Clip, anew: list[float]) -> None:
    dark = [0.6 * image for image in clip]
    painted, wanted = paint(painter, clip[:WRONG] + dark[WRONG:]), paint(painter, dark)
    assert difference(painted[WRONG + LATER], wanted[WRONG + LATER]) < 1.5 * anew[LATER - 1]


def test_wrong_flow_is_not_trusted(
    painter: Painter, clip: Clip, clean: Clip, anew: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    estimate, calls = FlowEstimator(), iter(range(FRAMES + 9))

    def estimator(cur, prev):
        return estimate(cur, prev) + (12 if next(calls) == WRONG - 1 else 0)

    monkeypatch.setattr(pipeline, "Follower", lambda: Follower(estimator=estimator))
    painted = paint(painter, clip)
    assert difference(painted[WRONG], clean[WRONG]) > 0.5 * anew[0], "it did not go wrong"
    at = WRONG + LATER
    assert difference(painted[at], clean[at]) < 1.2 * anew[LATER]


def test_what_was_hidden_gets_new_paint_within_two_frames(
    painter: Painter, clip: Clip, clean: Clip, anew: list[float]
) -> None:
    covered = [image.clone() for image in clip]
    for number, image in enumerate(covered):  # moves on, over what moves to the left
        image[..., 50:100, 20 + 8 * number :][..., :60] = torch.ones(3, 1, 1)
    painted = paint(painter, covered)

    def strip(number: int) -> float:
        """At what frame WRONG uncovers, two frames later."""
        left = 20 + 8 * (WRONG - 1) - STEP * (number - WRONG)
        part = (..., slice(52, 98), slice(left, left + 8))
        return difference(painted[number][part], clean[number][part])

    assert strip(WRONG + 1) < 1.5 * anew[1] and strip(WRONG + 1) < 0.6 * strip(WRONG - 1)


def test_flicker_of_the_source_is_not_amplified(painter: Painter, clip: Clip) -> None:
    still = lit([clip[0]] * FRAMES, 0, *[1.04, 0.96] * (FRAMES // 2))

    def flicker(frames: Clip) -> float:
        return sum(map(difference, frames[WRONG:], frames[WRONG - 1 :])) / (FRAMES - WRONG)

    on, off = (flicker(paint(painter, still, temporal)) for temporal in (True, False))
    assert on < off < flicker(still)


def test_black_stays_as_it_is_painted_and_what_fades_in_is_seen(
    painter: Painter, clip: Clip
) -> None:
    grain = [
        0.02 * torch.rand(clip[0].shape, generator=torch.Generator().manual_seed(n)) for n in (0, 1)
    ]
    black = [torch.zeros_like(clip[0]), grain[0], grain[1], grain[0]]
    painted = paint(painter, [*black, *lit(clip[:4], 0, 0.1, 0.4, 0.7, 1.0)])
    assert difference(painted[2], painted[3]) == difference(painted[1], painted[2]) == 0
    assert difference(painted[-1], paint(painter, clip[:4])[-1]) < 0.06
