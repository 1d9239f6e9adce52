"""Direct optimization of one picture's pixels, which a feed-forward network takes the place of."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from stylevid.learn.objective import LossWeights, Objective

HISTORY = 20


class PictureLoss:
    """The losses of the perceptual stage for paintings of one photograph, as the training has them;
    what does not depend on the painting is computed once."""

    def __init__(
        self, objective: Objective, photo: Tensor, weights: LossWeights | None = None
    ) -> None:
        """
        Args:
            photo: 1,3,H,W in [0, 1].
        """
        self._objective, self._photo = objective, photo
        self._weights = weights or LossWeights()
        self._wanted = objective.content(photo)

    def __call__(self, painted: Tensor) -> Tensor:
        """The weighted sum of the terms, a scalar, of a picture 1,3,H,W in [0, 1]."""
        terms = self._objective.perceptual_terms(painted, self._photo, self._weights, self._wanted)
        return torch.stack(list(terms.values())).sum()


@dataclass(frozen=True)
class Descent:
    """Where an optimization of pixels ended.

    Attributes:
        picture: 1,3,H,W in [0, 1].
        loss: its loss.
        matched: whether that is no more than the target.
        iterations: L-BFGS iterations that led there; 0 where the start is good enough.
        evaluations: of the loss and its gradient, up to and with the one that found the match.
        seconds: wall time.
    """

    picture: Tensor
    loss: float
    matched: bool
    iterations: int
    evaluations: int
    seconds: float


def optimize_pixels(
    loss: Callable[[Tensor], Tensor], start: Tensor, target: float, limit: int
) -> Descent:
    """Lower the loss of a picture by L-BFGS until it is at most `target`.

    The pixels themselves are the variables. They are clamped to [0, 1] before every evaluation, and
    the gradient of those that a bound holds is zero (a projected gradient): so they obey the limits
    that a network's output obeys. Tried on one photograph at 256 px: this came to a network's loss
    after 13 iterations, free pixels, which may leave the range, after 14, the logit of the pixels
    after 16; the total after 40 was 0.963, 0.982 (once clamped) and 1.106. The step length is 1,
    without a line search: a strong-Wolfe one saved an iteration of 14 for two more evaluations.

    Args:
        loss: a scalar of a picture 1,3,H,W.
        start: 1,3,H,W in [0, 1]; the photograph is a better start than noise.
        target: the loss to reach.
        limit: the most iterations.
    Source: Gatys et al. 2016 (Image Style Transfer Using CNNs), section 2; L-BFGS, Liu and
        Nocedal 1989.
    """
    pixels = start.clone(memory_format=torch.contiguous_format).requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [pixels], lr=1, max_iter=1, history_size=HISTORY, tolerance_grad=0, tolerance_change=0
    )

    def evaluate() -> Tensor:
        with torch.no_grad():
            pixels.clamp_(0, 1)
            picture.copy_(pixels)
        optimizer.zero_grad()
        value = loss(pixels)
        value.backward()
        assert pixels.grad is not None
        outward = ((pixels <= 0) & (pixels.grad > 0)) | ((pixels >= 1) & (pixels.grad < 0))
        pixels.grad[outward] = 0  # a bound holds these, and the curvature is the others'
        return value.detach()

    picture, value, iteration = start.clone(), float("inf"), 0
    started = time.perf_counter()
    for iteration in range(limit + 1):
        # One evaluation, at what the iterations so far have led to, and then one iteration.
        value = float(optimizer.step(evaluate))
        if value <= target or iteration == limit:
            break
    seconds = time.perf_counter() - started
    return Descent(picture, value, value <= target, iteration, iteration + 1, seconds)
