"""The losses, pure functions of tensors, each a float32 scalar.

Content and style are divided by the target's own energy, so that one set of weights serves every
painting: 1 means "as far away as nothing at all".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from ..frames import luma

TILE = 8  # pixels
NOISE = 0.025  # deviation that is added to all colors': what is below it is not made into shapes
LATTICE = 4  # pixels: what the coarsest features of the network are apart


def gram_matrix(features: Tensor) -> Tensor:
    """G = F F^T / (C H W), N,C,C in float32, of features N,C,H,W; the sums are float32, too.

    Source: Gatys et al. 2015, eq. 3; normalized as in Johnson et al. 2016, section 3.2.
    """
    n, c, h, w = features.shape
    # Channels last, this is a view, and in bfloat16 a product that the CPU has instructions for.
    flat = features.permute(0, 2, 3, 1).reshape(n, h * w, c)
    if flat.dtype == torch.float16:
        flat = flat.float()  # whose range such sums leave
    with torch.autocast(features.device.type, enabled=False):
        return cast(Tensor, _SelfProducts.apply(flat)) / (c * h * w)


class _SelfProducts(torch.autograd.Function):
    """F^T F, N,C,C in float32, of F, N,P,C.

    The gradient F (D + D^T) is one product for autograd's two; and `bmm` would copy what it is
    given, where a CPU multiplies matrices in bfloat16.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        return torch.stack([(one.t() @ one).float() for one in features])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (features,), (gradient,) = ctx.saved_tensors, gradients
        both = (gradient + gradient.transpose(1, 2)).to(features.dtype)
        found = torch.empty_like(features)
        for place, products in enumerate(zip(features, both, strict=True)):
            torch.mm(*products, out=found[place])
        return found


def content_loss(stylized: Tensor, content: Tensor) -> Tensor:
    """||F(O) - F(I)||^2 / ||F(I)||^2 of relu3_3 features N,C,H,W, mean over the batch.

    Source: Johnson et al. 2016, section 3.2, made relative.
    """
    difference = (stylized.float() - content.float()).square().sum((1, 2, 3))
    energy = content.float().square().sum((1, 2, 3))
    return (difference / energy.clamp_min(1e-8)).mean()


def style_loss(stylized: Sequence[Tensor], style_grams: Sequence[Tensor]) -> Tensor:
    """Sum over layers of ||G(O) - G(S)||^2 / ||G(S)||^2, mean over the batch.

    Args:
        stylized: features N,C,H,W, one for each layer.
        style_grams: 1,C,C Gram matrices of the painting, in the same order.
    Source: Gatys et al. 2015, eq. 5, made relative.
    """
    total = style_grams[0].new_zeros(())
    for features, target in zip(stylized, style_grams, strict=True):
        difference = (gram_matrix(features) - target).square().sum((1, 2))
        total = total + (difference / target.square().sum()).mean()
    return total


@dataclass(frozen=True)
class PaintingTargets:
    """What the losses want of a painting.

    Attributes:
        grams: 1,C,C Gram matrices of its features, a layer each.
        palette: 1,4,3, its `palette`.
    """

    grams: list[Tensor]
    palette: Tensor

    @classmethod
    def of(cls, painting: Tensor, vgg: Callable[[Tensor], Sequence[Tensor]]) -> "PaintingTargets":
        """Of a painting 1,3,H,W in [0, 1]."""
        return cls([gram_matrix(features) for features in vgg(painting)], palette(painting))

    def pack(self) -> dict[str, Tensor]:
        """As `weights.save_network` takes it: of a symmetric matrix, one half is all."""
        packed = {"painting.palette": self.palette}
        for gram in self.grams:
            size = gram.shape[-1]
            rows, columns = torch.triu_indices(size, size)
            packed[f"painting.gram.{size}"] = gram[0, rows, columns]
        return packed

    @classmethod
    def unpack(cls, packed: Mapping[str, Tensor]) -> "PaintingTargets":
        """What was packed, from `weights.load_painting`."""
        grams: list[Tensor] = []
        for size in (64, 128, 256, 512):
            rows, columns = torch.triu_indices(size, size)
            gram = torch.zeros(1, size, size)
            gram[0, rows, columns] = gram[0, columns, rows] = packed[f"painting.gram.{size}"]
            grams.append(gram)
        return cls(grams, packed["painting.palette"])

    def to(self, device: torch.device) -> "PaintingTargets":
        return PaintingTargets([gram.to(device) for gram in self.grams], self.palette.to(device))

    def distance(self, other: "PaintingTargets") -> float:
        """How far another painting's manner is from this one's: the style loss between the two."""
        pairs = zip(self.grams, other.grams, strict=True)
        return sum(((g - o).square().sum() / g.square().sum()).item() for g, o in pairs)


def palette(image: Tensor) -> Tensor:
    """How the colors of an image's large shapes, means of tiles of TILE pixels, are distributed:
    their mean, and below it their covariance, N,4,3, of an image N,3,H,W."""
    tiles = F.avg_pool2d(image.float(), TILE).flatten(2)
    mean = tiles.mean(2, keepdim=True)
    covariance = (tiles - mean) @ (tiles - mean).transpose(1, 2) / tiles.shape[2]
    noise = NOISE**2 * torch.eye(3, device=image.device)
    return torch.cat((mean.transpose(1, 2), covariance + noise), dim=1)


def color_loss(stylized: Tensor, content: Tensor, painting: Tensor) -> Tensor:
    """mean ||C(O) - T(C(I))||^2 / tr cov C(S): what differs in light or hue is painted to differ,
    in the painting's colors. 1 means "as far away as one color everywhere".

    C are the colors of large shapes. T is the linear map that makes of the content's mean and
    covariance those of the painting's and moves colors least, so that hues stay where they can.

    Args:
        stylized, content: O and I, N,3,H,W in [0, 1].
        painting: of S, 1,4,3, its `palette`.
    Source: the Monge-Kantorovitch transfer of Pitie and Kokaram 2007 (The Linear Monge-Kantorovitch
        Linear Colour Mapping for Example-Based Colour Transfer); as a loss it is ours.
    """
    own = palette(content)
    root, inverse = _power(own[:, 1:], 0.5), _power(own[:, 1:], -0.5)
    transport = inverse @ _power(root @ painting[:, 1:] @ root, 0.5) @ inverse
    shape = F.avg_pool2d(content.float(), TILE)
    moved = transport @ (shape.flatten(2) - own[:, :1].transpose(1, 2))
    wanted = (moved + painting[:, :1].transpose(1, 2)).view_as(shape)
    difference = (F.avg_pool2d(stylized.float(), TILE) - wanted).square().sum(1).mean()
    return difference / painting[0, 1:].trace()


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """Of symmetric positive matrices N,3,3."""
    values, vectors = torch.linalg.eigh(matrix)
    powers = values.clamp_min(NOISE**4).pow(exponent)  # which rounding may go below
    return vectors * powers.unsqueeze(1) @ vectors.transpose(1, 2)


def total_variation(image: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels of an image N,C,H,W, across plus down.

    Source: Johnson et al. 2016, section 3.2; anisotropic form.
    """
    image = image.float()
    across = (image[..., :, 1:] - image[..., :, :-1]).abs().mean()
    down = (image[..., 1:, :] - image[..., :-1, :]).abs().mean()
    return across + down


def lattice_loss(painted: Tensor) -> Tensor:
    """How far details of a painting N,C,H,W repeat every LATTICE pixels: the variance, over the
    places on that lattice, of their means in squares of 32 pixels.

    Ours. A network's coarsest features lie on a lattice, and it is cheaper to draw fine texture as
    a mesh of that lattice than to draw it freely.
    """
    painted = painted.float()
    details = painted - F.avg_pool2d(painted, 5, 1, 2, count_include_pad=False)
    height, width = (side // LATTICE * LATTICE for side in details.shape[-2:])
    places = F.pixel_unshuffle(details[..., :height, :width], LATTICE)
    window = [min(32 // LATTICE, side) for side in places.shape[-2:]]
    means = F.avg_pool2d(places, window).unflatten(1, (-1, LATTICE**2))
    return means.var(2, unbiased=False).mean()


def output_temporal_loss(
    stylized: Tensor,
    warped_prev_stylized: Tensor,
    image: Tensor,
    warped_prev_image: Tensor,
    visible: Tensor,
) -> Tensor:
    """sum_c mean M ||(O_t - W O_{t-1})_c - (I_t - W I_{t-1})_Y||^2.

    The luminance term lets the painting follow the light of the scene instead of fighting it.

    Args:
        stylized, warped_prev_stylized: O_t and W O_{t-1}, N,3,H,W in [0, 1]; gradients flow into
            both.
        image, warped_prev_image: I_t and W I_{t-1}, N,3,H,W in [0, 1].
        visible: M, N,1,H,W, 1 where the pixel was visible in the previous frame.
    Source: ReCoNet, Gao et al. 2018, eq. 4.
    """
    change = stylized.float() - warped_prev_stylized.float()
    light = luma(image.float() - warped_prev_image.float())
    return (visible * (change - light).square()).sum(1).mean()
