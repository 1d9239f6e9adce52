"""Measure what training and the switch do for steadiness, for the table of `docs/temporal.md`:

    python docs/measure_temporal.py --styles wheat-field --before RUNS --clips VIDEO... \\
        --paintings PAINTINGS --vgg VGG16 --photos PHOTOS --json numbers.json

RUNS holds a folder of each style's first run, whose `perceptual.safetensors` is the network before
the temporal stage. On clips made of the last photographs the flow is exact; there it is shown as
well what the judges of real clips make of paintings that are carried along exactly. Needs
scikit-image.
"""

import argparse
import json
import math
import statistics
import sys
import tomllib
from collections import defaultdict
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import avg_pool2d

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from stylevid import Painter, get_style  # noqa: E402
from stylevid.errors import StylevidError  # noqa: E402
from stylevid.flow import estimate_flow  # noqa: E402
from stylevid.frames import Frame, fit, luma, to_image  # noqa: E402
from stylevid.metrics import (  # noqa: E402
    CUT_BELOW,
    FlickerMeter,
    likeness,
    trusted,
    warping_error,
)
from stylevid.stabilize import TemporalStabilizer  # noqa: E402
from stylevid.video import probe, read_yuv  # noqa: E402
from stylevid.warp import warp  # noqa: E402
from stylevid.yuv import image_to_yuv, yuv_to_image  # noqa: E402
from train.checkpoint import load_network_from  # noqa: E402
from train.images import list_photos, read_painting, read_picture  # noqa: E402
from train.measure import Judge  # noqa: E402
from train.sequences import draw_sequence  # noqa: E402
from train.vgg import load_vgg  # noqa: E402

FRAMES, LONGEST, EVERY, HELD_OUT = 48, 640, 16, 40
FIXED = 0.4  # share of textured pixels that never move from which on a camera counts as fixed
FLICKERS = 1e-4  # E_warp that can be seen
TEXTURED, UNMOVED = 0.01, 0.2  # mean absolute high-pass; pixels
GENERATED, GENERATED_FRAMES, NOISE, SPEEDS = (360, 640), 18, 0.008, (1.0, 3.0, 5.0)
UNCHANGED = 0.06  # largest change of a pixel's surroundings that is noise


class StillMeter:
    """The standard deviation over time of the pixels that do not move or change in the input."""

    def __init__(self) -> None:
        self._first: Tensor | None = None
        self._still = self._textured = torch.zeros(0, dtype=torch.bool)
        self._sums: dict[str, tuple[Tensor, Tensor]] = {}
        self._count = 0

    def update(self, image: Tensor, versions: dict[str, Tensor]) -> None:
        """The next frame and its paintings, 1,3,H,W each."""
        around = avg_pool2d(image, 5, 1, 2, count_include_pad=False)
        if self._first is None:
            self._first = around
            self._textured = avg_pool2d((image - around).abs(), 9, 1, 4).mean(1, True) > TEXTURED
            self._still = torch.ones_like(self._textured)
        if self._count % EVERY == EVERY - 1:
            moved = estimate_flow(around, self._first, "farneback").norm(dim=1, keepdim=True)
            same = ((around - self._first).abs() < UNCHANGED).all(1, keepdim=True)
            self._still &= same & (moved < UNMOVED)
        self._count += 1
        for name, picture in {"input": image, **versions}.items():
            zero = torch.zeros_like(picture, dtype=torch.float64)
            total, squares = self._sums.get(name, (zero, zero))
            self._sums[name] = total + picture, squares + picture.double().square()

    def result(self) -> dict[str, float] | None:
        """By version, in levels of 255; None where the camera moves, or shows nothing to tell."""
        textured = self._textured.float().mean()
        if textured < 0.01 or self._still[self._textured].float().mean() < FIXED:
            return None
        found: dict[str, float] = {}
        for name, (total, squares) in self._sums.items():
            variance = (squares - total.square() / self._count) / self._count
            found[name] = 255 * variance.mean(1, keepdim=True)[self._still].mean().sqrt().item()
        return found


class PairJudge:
    """E_warp of some of a clip's pairs of frames, `interval` apart, by an accurate and slow flow:
    TV-L1 (Zach, Pock, Bischof 2007)."""

    def __init__(self, interval: int, every: int) -> None:
        self.interval, self.every = interval, every
        self._seen = 0
        self._past: dict[int, tuple[Tensor, dict[str, Tensor]]] = {}
        self._errors: list[list[float]] = []

    def update(self, image: Tensor, versions: dict[str, Tensor]) -> None:
        """The next frame and its paintings, 1,3,H,W each."""
        number, self._seen = self._seen, self._seen + 1
        if past := self._past.pop(number - self.interval, None):
            prev_image, prev_versions = past
            flow_cur_to_prev = tv_l1(image, prev_image)
            warped, _ = warp(prev_image, flow_cur_to_prev)
            if likeness(image, warped) < CUT_BELOW:
                return
            visible = trusted(flow_cur_to_prev, tv_l1(prev_image, image))
            pairs = [(image, prev_image), *((v, prev_versions[n]) for n, v in versions.items())]
            self._errors.append([warping_error(*pair, flow_cur_to_prev, visible) for pair in pairs])
        if number % self.every == self.every // 2:
            self._past[number] = image, versions

    def result(self) -> list[float] | None:
        """Means: the clip's own, then the versions' in their order; None without a pair."""
        columns = zip(*self._errors, strict=True)
        return [statistics.mean(column) for column in columns] if self._errors else None


def tv_l1(image_a: Tensor, image_b: Tensor) -> Tensor:
    """`flow_a_to_b`, 1,2,H,W."""
    from skimage.registration import optical_flow_tvl1  # type: ignore[import-not-found]

    gray_a, gray_b = (luma(image)[0, 0].numpy() for image in (image_a, image_b))
    rows, columns = optical_flow_tvl1(
        gray_a, gray_b, attachment=30, num_warp=6, num_iter=20, dtype=np.float32
    )
    return torch.from_numpy(np.stack([columns, rows]))[None]


def farneback(image_a: Tensor, image_b: Tensor) -> Tensor:
    """`flow_a_to_b`, 1,2,H,W."""
    return estimate_flow(image_a, image_b, "farneback")


JUDGES = {"tv-l1": tv_l1, "farneback": farneback}


@torch.inference_mode()
def measure(clip: Path, painters: dict[str, Painter], judges: dict[str, Judge]) -> dict[str, dict]:
    """Everything of a clip, by style. `painters` are named "before STYLE" and "off STYLE"."""
    info = probe(clip)
    size = fit(info.height, info.width, min(LONGEST, max(info.height, info.width)))
    meters = {n: FlickerMeter(n, every=3, longest=None, cut_below=CUT_BELOW) for n in (1, 10)}
    exact = {1: PairJudge(1, 12), 10: PairJudge(10, 18)}
    stabilizers = {style: TemporalStabilizer() for style in judges}
    still, losses = StillMeter(), defaultdict(list)
    versions: dict[str, Tensor] = {}
    for number, timed in enumerate(islice(read_yuv(info, size), FRAMES)):
        image = yuv_to_image(timed.frame)
        painted = {name: next(p.paint([timed.frame])) for name, p in painters.items()}
        versions = {name: yuv_to_image(picture) for name, picture in painted.items()}
        for style, stabilizer in stabilizers.items():
            steadied = stabilizer.step(timed.frame, painted[f"off {style}"])
            versions[f"on {style}"] = yuv_to_image(steadied)
            if number % EVERY == EVERY - 1:  # not the first, which is the same
                for kind in ("off", "on"):
                    loss, _ = judges[style](versions[f"{kind} {style}"], image)
                    losses[f"{kind} {style}"].append(loss)
        still.update(image, versions)
        for meter in (*meters.values(), *exact.values()):
            meter.update(image, versions)
    flickers = {n: meter.result() for n, meter in meters.items()}
    deviations = still.result()
    found: dict[str, dict] = {}
    for style in judges:
        kinds = [f"{kind} {style}" for kind in ("before", "off", "on")]
        numbers: dict = {f"farneback {n}": [f.floor, *(f.errors[kind] for kind in kinds)]
                   for n, f in flickers.items() if f.pairs}  # fmt: skip
        names = list(versions)
        for n, judge in exact.items():
            if errors := judge.result():
                numbers[f"tv-l1 {n}"] = [errors[0], *(errors[1 + names.index(k)] for k in kinds)]
        sharp = flickers[1].sharpness
        numbers["sharpness"] = sharp[kinds[2]] / sharp[kinds[1]] if sharp else math.nan
        style_on, style_off = (sum(losses[kind]) for kind in (kinds[2], kinds[1]))
        numbers["style"] = style_on / style_off if style_off else math.nan
        if deviations:
            numbers["still"] = [deviations["input"], *(deviations[kind] for kind in kinds)]
        found[style] = numbers
    return found


@torch.inference_mode()
def measure_generated(
    photos: list[Path], painters: dict[str, Painter], seed: int
) -> dict[str, dict[str, list[float]]]:
    """[floor, before, off, on, carried] of a clip with exact flow, by style and judge; "carried"
    is the painting alone against the frame before, carried along exactly."""
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.cat([to_image(read_square(photo)) for photo in photos])
    clip = draw_sequence(pictures, GENERATED, generator, SPEEDS[seed % len(SPEEDS)], seed % 4 == 3)
    styles = [name.removeprefix("off ") for name in painters if name.startswith("off ")]
    stabilizers = {style: TemporalStabilizer() for style in styles}
    past: dict[str, Tensor] = {}
    sums: dict[str, list[list[float]]] = defaultdict(list)
    for number, image in enumerate(clip.frames(GENERATED_FRAMES, NOISE, generator)):
        frame = image_to_yuv(image)
        painted = {name: next(p.paint([frame])) for name, p in painters.items()}
        for style, stabilizer in stabilizers.items():
            painted[f"on {style}"] = stabilizer.step(frame, painted[f"off {style}"])
        now = {"floor": image} | {name: yuv_to_image(p) for name, p in painted.items()}
        if number % 6 == 5:
            exact, seen = clip.flow(number, number - 1)
            ways = {"exact": (exact, seen)}
            for judge, follow in JUDGES.items():
                flow = follow(image, past["floor"])
                ways[judge] = flow, trusted(flow, follow(past["floor"], image)) * seen
            for style in styles:
                carried, _ = warp(past[f"off {style}"], exact, "bicubic")
                pairs = [(now[n], past[n]) for n in ("floor", f"before {style}", f"off {style}",
                         f"on {style}")] + [(carried, past[f"off {style}"])]  # fmt: skip
                for judge, (flow, mask) in ways.items():
                    sums[f"{style} {judge}"].append(
                        [warping_error(a, b, flow, mask) for a, b in pairs]
                    )
        past = now
    return {
        style: {
            judge: [statistics.mean(v) for v in zip(*sums[f"{style} {judge}"], strict=True)]
            for judge in ("exact", *JUDGES)
        }
        for style in styles
    }


def read_square(photo: Path) -> Frame:
    """The middle of a photograph, in the size that clips are made of."""
    height, width = (round(side * 1.3) for side in GENERATED)
    picture = Image.fromarray(read_picture(photo))
    return np.asarray(ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS))


def generated_table(numbers: list[dict[str, dict[str, list[float]]]]) -> str:
    """Medians over clips and styles of what is left of the flicker before training."""
    lines = ["| generated clips, judged by | off | on | on, worst | carried exactly |",
             "| --- | --- | --- | --- | --- |"]  # fmt: skip
    for judge in ("exact", *JUDGES):
        shares = [[(v - floor) / (before - floor) for v in rest]
                  for clip in numbers for values in clip.values()
                  for floor, before, *rest in [values[judge]]]  # fmt: skip
        off, on, carried = (statistics.median(column) for column in zip(*shares, strict=True))
        worst = max(share[1] for share in shares)
        lines.append(f"| {judge} | {off:.2f} | {on:.2f} | {worst:.2f} | {carried:.2f} |")
    return "\n".join(lines)


def excess(values: list[float]) -> tuple[float, float]:
    """Of [floor, before, off, on]: off and on ÷ before, without the floor; nan where the painting
    flickered no more than the clip to begin with."""
    floor, before, off, on = values
    if before - floor < max(FLICKERS, floor / 5):
        return math.nan, math.nan
    return (off - floor) / (before - floor), (on - floor) / (before - floor)


def table(numbers: dict[str, dict[str, dict]], judge: str) -> str:
    lines = ["| | off | on | on, 10 frames | sharpness | style loss | still pixels |",
             "| --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    rows: list[tuple[float, ...]] = []
    for clip, styles in numbers.items():
        each = [row(value, judge) for value in styles.values()]
        rows += each
        lines.append(f"| {Path(clip).stem} | {cells(middle(each))} |")
    lines.append(f"| **median** | {cells(middle(rows))} |")
    worst = [max, max, max, min, max, max]
    ends = [pick(finite) if (finite := known(column)) else math.nan
            for pick, column in zip(worst, zip(*rows, strict=True), strict=True)]  # fmt: skip
    lines.append(f"| **worst** | {cells(ends)} |")
    return "\n".join(lines)


def row(numbers: dict, judge: str) -> tuple[float, ...]:
    nothing = (math.nan, math.nan)
    off, on = excess(numbers[f"{judge} 1"]) if f"{judge} 1" in numbers else nothing
    _, far = excess(numbers[f"{judge} 10"]) if f"{judge} 10" in numbers else nothing
    still = numbers["still"][3] / numbers["still"][0] if "still" in numbers else math.nan
    return off, on, far, numbers["sharpness"], numbers["style"], still


def known(values: tuple[float, ...] | list[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def middle(rows: list[tuple[float, ...]]) -> list[float]:
    """Column by column, the median of what is known."""
    columns = [known(column) for column in zip(*rows, strict=True)]
    return [statistics.median(column) if column else math.nan for column in columns]


def cells(values: list[float]) -> str:
    forms = ("{:.2f}", "{:.2f}", "{:.2f}", "{:.0%}", "{:.0%}", "{:.1f}")
    return " | ".join("-" if math.isnan(v) else f.format(v)
                      for f, v in zip(forms, values, strict=True))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--styles", nargs="+", required=True)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--clips", type=Path, nargs="+", required=True)
    parser.add_argument("--paintings", type=Path, required=True)
    parser.add_argument("--vgg", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    listed = tomllib.loads((ROOT / "train/catalog.toml").read_text("utf-8"))["styles"]
    vgg = load_vgg(options.vgg, torch.device("cpu"))
    painters, judges = {}, {}
    for style in options.styles:
        before = load_network_from(options.before / style / "perceptual.safetensors")
        painters[f"before {style}"] = Painter(before)
        painters[f"off {style}"] = Painter(get_style(style))
        painting = read_painting(options.paintings / listed[style]["painting"], 512)
        judges[style] = Judge(vgg, painting)
    photos = list_photos(options.photos)[-HELD_OUT:]
    generated = [
        measure_generated(photos[3 * n : 3 * n + 3], painters, n) for n in range(len(photos) // 6)
    ]
    print(generated_table(generated), flush=True)  # noqa: T201
    numbers: dict[str, dict[str, dict]] = {}
    for clip in options.clips:
        try:
            numbers[clip.name] = measure(clip, painters, judges)
        except StylevidError as error:
            print(error, file=sys.stderr)  # noqa: T201
            continue
        both = {"clips": numbers, "generated": generated}
        options.json.write_text(json.dumps(both, indent=1) + "\n", "utf-8")
        print(clip.name, flush=True)  # noqa: T201
    for judge in JUDGES:
        print(f"{judge}\n{table(numbers, judge)}")  # noqa: T201


if __name__ == "__main__":
    main()
