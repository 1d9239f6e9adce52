"""How steady and how sharp a stylized clip is: the one place where these numbers are computed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from .flow import Method, estimate_flow
from .frames import fit, resize
from .warp import motion_boundary_mask, occlusion_mask, warp


def warping_error(cur: Tensor, prev: Tensor, flow_cur_to_prev: Tensor, visible: Tensor) -> float:
    """E_warp of one pair: sum M (V_t - W V_{t-1})^2 / sum M, mean over RGB.

    Args:
        cur, prev: N,3,H,W in [0, 1].
        flow_cur_to_prev: N,2,H,W in pixels, of the *input* clip.
        visible: M, N,1,H,W, 1 where the flow can be trusted.
    Returns:
        0 for perfect steadiness; 0 as well when nothing is visible.
    Source: Lai et al. 2018 (Learning Blind Video Temporal Consistency), eq. 7 and 8.
    """
    warped, inside = warp(prev, flow_cur_to_prev)
    mask = visible * inside
    total = mask.sum().item() * cur.shape[1]
    return (mask * (cur.float() - warped).square()).sum().item() / total if total else 0.0


def trusted(flow_cur_to_prev: Tensor, flow_prev_to_cur: Tensor) -> Tensor:
    """N,1,H,W on cur's grid, 1 where neither an occlusion nor a motion boundary is near
    (Ruder et al. 2016, section 5; Lai et al. 2018, section 4.2)."""
    occluded = occlusion_mask(flow_cur_to_prev, flow_prev_to_cur)
    boundary = motion_boundary_mask(flow_cur_to_prev)
    return (1 - occluded) * (1 - boundary)


def gradient_energy(image: Tensor) -> float:
    """Mean squared difference of neighbouring pixels of an image N,C,H,W: its sharpness."""
    image = image.float()
    across = (image[..., :, 1:] - image[..., :, :-1]).square().mean().item()
    down = (image[..., 1:, :] - image[..., :-1, :]).square().mean().item()
    return across + down


@dataclass(frozen=True)
class Flicker:
    """E_warp and sharpness of one clip.

    Attributes:
        floor: E_warp of the input clip itself, which no stylization can be asked to beat.
        errors: E_warp of each stylized version, by name.
        sharpness: mean gradient energy of each version, by name.
        pairs: number of frame pairs measured.
    """

    floor: float
    errors: dict[str, float]
    sharpness: dict[str, float]
    pairs: int


@dataclass
class FlickerMeter:
    """Measures E_warp while frames go by, keeping only the last few of them.

    Attributes:
        interval: frames between the two of a pair: 1 for short-term, 10 for long-term.
        every: measure one pair in so many.
        longest: frames are scaled to this longest side first; None keeps their size.
        judge: estimator of the flow; one that nothing measured was steadied with.
    """

    interval: int = 1
    every: int = 1
    longest: int | None = 384
    judge: Method = "farneback"
    _seen: int = 0
    _waiting: dict[int, tuple[Tensor, dict[str, Tensor]]] = field(default_factory=dict)
    _floor: list[float] = field(default_factory=list)
    _errors: dict[str, list[float]] = field(default_factory=dict)
    _sharpness: dict[str, list[float]] = field(default_factory=dict)

    @property
    def wants_next(self) -> bool:
        """Whether the next frame is part of a pair that is measured; if not, `skip` will do."""
        starts_pair = self._seen % self.every == 0
        return starts_pair or self._seen - self.interval in self._waiting

    def skip(self) -> None:
        """Let the next frame go by."""
        self._seen += 1

    def update(self, image: Tensor, versions: Mapping[str, Tensor]) -> None:
        """Take the next input image 1,3,H,W and its stylized versions, each 1,3,H,W."""
        if not self.wants_next:
            return self.skip()
        number = self._seen
        self._seen += 1
        starts_pair = number % self.every == 0
        size = self._size(image)
        image = resize(image, size)
        small = {name: resize(version.float(), size) for name, version in versions.items()}
        if past := self._waiting.pop(number - self.interval, None):
            self._measure(past, image, small)
        if starts_pair:
            self._waiting[number] = (image, small)

    def _size(self, image: Tensor) -> tuple[int, int]:
        height, width = image.shape[-2:]
        longest = self.longest if max(height, width) > (self.longest or 0) else None
        return fit(height, width, longest)

    def result(self) -> Flicker:
        """The means over all pairs so far; zeros when there were none."""
        return Flicker(
            floor=_mean(self._floor),
            errors={name: _mean(values) for name, values in self._errors.items()},
            sharpness={name: _mean(values) for name, values in self._sharpness.items()},
            pairs=len(self._floor),
        )

    def _measure(
        self, past: tuple[Tensor, dict[str, Tensor]], image: Tensor, versions: dict[str, Tensor]
    ) -> None:
        prev_image, prev_versions = past
        flow_cur_to_prev = estimate_flow(image, prev_image, self.judge)
        visible = trusted(flow_cur_to_prev, estimate_flow(prev_image, image, self.judge))
        self._floor.append(warping_error(image, prev_image, flow_cur_to_prev, visible))
        for name, version in versions.items():
            error = warping_error(version, prev_versions[name], flow_cur_to_prev, visible)
            self._errors.setdefault(name, []).append(error)
            self._sharpness.setdefault(name, []).append(gradient_energy(version))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
