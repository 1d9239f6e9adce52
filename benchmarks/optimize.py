"""Direct optimization of one picture's pixels, which a feed-forward network takes the place of."""

from collections.abc import Callable

import torch
from torch import Tensor

from stylevid.learn.objective import LossWeights, Objective

Loss = Callable[[Tensor], Tensor]
"""A scalar of a picture 1,3,H,W in [0, 1]."""

HISTORY = 20


def picture_loss(objective: Objective, photo: Tensor, weights: LossWeights) -> Loss:
    """The weighted sum of the losses of the perceptual stage for paintings of one photograph
    1,3,H,W, as the training has them; what does not depend on the painting is computed once."""
    wanted = objective.content(photo)

    def loss(painted: Tensor) -> Tensor:
        terms = objective.perceptual_terms(painted, photo, weights, wanted)
        return torch.stack(list(terms.values())).sum()

    return loss


def optimize_pixels(loss: Loss, start: Tensor, iterations: int) -> Tensor:
    """The picture 1,3,H,W in [0, 1] that L-BFGS comes to from `start`, another one.

    The pixels themselves are the variables. They are clamped to [0, 1] before every evaluation, and
    the gradient of those that a bound holds is zero (a projected gradient): so they obey the limits
    that a network's output obeys. Tried on one photograph at 256 px: this came to a network's loss
    after 13 iterations, free pixels, which may leave the range, after 14, the logit of the pixels
    after 16. The step length is 1, without a line search: a strong-Wolfe one saved an iteration of
    14 for two more evaluations.

    Source: Gatys et al. 2016 (Image Style Transfer Using CNNs), section 2; L-BFGS, Liu and
        Nocedal 1989.
    """
    pixels = start.clone(memory_format=torch.contiguous_format).requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [pixels], lr=1, max_iter=iterations, max_eval=2 * iterations, history_size=HISTORY,
        tolerance_grad=0, tolerance_change=0,
    )  # fmt: skip

    def evaluate() -> Tensor:
        with torch.no_grad():
            pixels.clamp_(0, 1)
        optimizer.zero_grad()
        value = loss(pixels)
        value.backward()
        assert pixels.grad is not None
        outward = ((pixels <= 0) & (pixels.grad > 0)) | ((pixels >= 1) & (pixels.grad < 0))
        pixels.grad[outward] = 0  # a bound holds these, and the curvature is the others'
        return value.detach()

    optimizer.step(evaluate)  # pyright: ignore
    return pixels.detach().clamp(0, 1)
