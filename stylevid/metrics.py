"""How steady and how sharp a stylized clip is: the one place where these numbers are computed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch.nn.functional as F
from torch import Tensor

from .flow import Method, estimate_flow
from .frames import fit, luma, resize, size_of
from .warp import motion_boundary_mask, occlusion_mask, warp

# Likeness of two frames along the flow under which a scene cut lies between them: of 210 pairs
# across real clips none is above 0.31, and of 150 within them none below 0.35.
CUT_BELOW = 0.33
JUDGE: Method = "farneback"  # of the flow: nothing that is measured was steadied with it


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


def likeness(image: Tensor, other: Tensor) -> float:
    """The correlation of the details of two images 1,3,H,W in [0, 1], -1 to 1, whatever their
    exposure.

    Across a scene cut, flow still matches the brightness of much of the picture, but not its
    details: `trusted` says 0.03 to 0.70 there, and down to 0.35 in fast motion.
    """
    details, other_details = _details(image), _details(other)
    noise = (2 / 255) ** 2  # as much as nothing: a blank frame is like another
    power, other_power = (d.square().mean().item() + noise for d in (details, other_details))
    return ((details * other_details).mean().item() + noise) / (power * other_power) ** 0.5


def _details(image: Tensor) -> Tensor:
    """The light of an image, less the mean of the 17 x 17 pixels around: N,1,H,W."""
    gray = luma(image.float())
    mean = gray
    for size, padding in (((17, 1), (8, 0)), ((1, 17), (0, 8))):
        mean = F.avg_pool2d(mean, size, 1, padding, count_include_pad=False)
    return gray - mean


@dataclass(frozen=True)
class Pair:
    """E_warp and sharpness of one pair of frames.

    Attributes:
        time_s: when the later frame shows, seconds.
        floor: E_warp of the input clip.
        errors, sharpness: E_warp and gradient energy of each stylized version, by name.
    """

    time_s: float
    floor: float
    errors: dict[str, float]
    sharpness: dict[str, float]


@dataclass(frozen=True)
class Flicker:
    """E_warp and sharpness of one clip.

    Attributes:
        floor: E_warp of the input clip itself, which no stylization can be asked to beat.
        errors, sharpness: E_warp and mean gradient energy of each stylized version, by name.
        series: the `pairs` pairs that these are the means of, in order.
        cuts: pairs left out because a scene cut lies between their frames.
    """

    floor: float
    errors: dict[str, float]
    sharpness: dict[str, float]
    pairs: int
    series: tuple[Pair, ...] = field(default=(), repr=False)
    cuts: int = 0

    def in_words(self) -> str:
        """A sentence or two for whoever painted the clip: the numbers are 1000 E_warp of the
        versions "off" and "on" of temporal consistency.

        What painting adds is `off - floor`; what is left of it `on - floor`.
        """
        off, on = self.errors.get("off", math.nan), self.errors.get("on")
        if not self.pairs or not all(map(math.isfinite, (self.floor, off, on or 0.0))):
            return NOTHING_MEASURED
        own = f"the video's own is {1000 * self.floor:.1f}"
        if on is None:
            return f"Flicker: {1000 * off:.1f}; {own}. Temporal consistency was off."
        verdict = _verdict(off - self.floor, on - self.floor)
        return f"Flicker: {1000 * off:.1f} → {1000 * on:.1f}; {own}. {verdict}"


NOTHING_MEASURED = "There was no flicker to measure: that takes two frames of the same scene."


def _verdict(added: float, left: float) -> str:
    """What temporal consistency did about the flicker that painting adds, both E_warp."""
    if left - added > 0.00005:
        return "On this video, temporal consistency makes the flicker worse."
    if added < 0.00005:  # less than is shown
        return "Painting adds no flicker to this video, so there is none to take away."
    gone = round(100 * (1 - left / added))
    if gone <= 0:
        return "On this video, temporal consistency makes no difference."
    share = "all" if gone >= 100 else f"{gone} %"
    return f"With temporal consistency on, {share} of the flicker that painting adds is gone."


Seen = tuple[Tensor, dict[str, Tensor]]
"""An input image and its stylized versions by name, 1,3,H,W each."""


@dataclass
class FlickerMeter:
    """Measures E_warp while frames go by, keeping only the last few of them.

    Attributes:
        interval: frames between the two of a pair: 1 for short-term, 10 for long-term.
        every: measure one pair in so many; doubled when there are more than `most`.
        most: pairs to keep, spread over the clip however long it gets; None keeps all.
        cut_below: likeness along the flow under which a scene cut lies between the two frames,
            and the pair says nothing of flicker; None measures every pair.
        longest: frames are scaled to this longest side first; None keeps their size.
    """

    interval: int = 1
    every: int = 1
    most: int | None = None
    cut_below: float | None = None
    longest: int | None = 384
    _seen: int = 0
    _cuts: int = 0
    _waiting: dict[int, Seen] = field(default_factory=dict)
    _pairs: dict[int, Pair] = field(default_factory=dict)  # by the number of the earlier frame

    @property
    def wants_next(self) -> bool:
        """Whether the next frame is part of a pair that is measured; if not, `skip` will do."""
        starts_pair = self._seen % self.every == 0
        return starts_pair or self._seen - self.interval in self._waiting

    def skip(self) -> None:
        """Let the next frame go by."""
        self._seen += 1

    def update(self, image: Tensor, versions: Mapping[str, Tensor], time_s: float = 0.0) -> None:
        """Take the next input image 1,3,H,W, its stylized versions, each 1,3,H,W, and the time
        at which they show, which only the series needs."""
        if not self.wants_next:
            return self.skip()
        number = self._seen
        starts_pair = number % self.every == 0  # as was said before this frame
        self._seen += 1
        size = fit(*size_of(image), self.longest, enlarge=False)
        small = {name: resize(version.float(), size) for name, version in versions.items()}
        seen = resize(image, size), small
        if past := self._waiting.pop(number - self.interval, None):
            self._measure(number - self.interval, past, seen, time_s)
        if starts_pair:
            self._waiting[number] = seen

    def _measure(self, start: int, prev: Seen, cur: Seen, time_s: float) -> None:
        """Keep the pair of two frames, unless a cut lies between them; `start` is the number of
        the earlier one."""
        (prev_image, prev_versions), (image, versions) = prev, cur
        flow_cur_to_prev = estimate_flow(image, prev_image, JUDGE)
        if self.cut_below is not None:
            warped, _ = warp(prev_image, flow_cur_to_prev)
            if likeness(image, warped) < self.cut_below:
                self._cuts += 1
                return
        visible = trusted(flow_cur_to_prev, estimate_flow(prev_image, image, JUDGE))
        floor = warping_error(image, prev_image, flow_cur_to_prev, visible)
        errors = {
            name: warping_error(version, prev_versions[name], flow_cur_to_prev, visible)
            for name, version in versions.items()
        }
        sharpness = {name: gradient_energy(version) for name, version in versions.items()}
        self._pairs[start] = Pair(time_s, floor, errors, sharpness)
        if self.most is not None and len(self._pairs) > self.most:  # every second is enough
            self.every *= 2
            self._pairs = {n: pair for n, pair in self._pairs.items() if n % self.every == 0}

    def result(self) -> Flicker:
        """The means over the pairs so far; zeros when there were none."""
        series = tuple(self._pairs.values())
        names = series[0].errors if series else ()
        return Flicker(
            floor=_mean([pair.floor for pair in series]),
            errors={name: _mean([pair.errors[name] for pair in series]) for name in names},
            sharpness={name: _mean([pair.sharpness[name] for pair in series]) for name in names},
            pairs=len(series),
            series=series,
            cuts=self._cuts,
        )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
