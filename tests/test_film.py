"""Long clips: cut at their scenes, painted in pieces, joined as if painted in one."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from stylevid.batch import worker as worker_module
from stylevid.batch.clips import Wish
from stylevid.batch.crew import Outcome, hand_out
from stylevid.batch.film import WARM_UP, cut_film
from stylevid.batch.jobs import Job
from stylevid.batch.worker import Worker, WorkerConfig
from stylevid.learn import clip as learning
from stylevid.learn.losses import PaintingTargets
from stylevid.learn.vgg import load_vgg
from stylevid.network import StyleNet
from stylevid.painter import Painter
from stylevid.pipeline import Options, paint_frames, paint_piece, stylize_video
from stylevid.recipe import read_recipe
from stylevid.video import probe, read_yuv
from tests.clips import decode, encode, sound_packets, textured_frames, tone

CUT, SEAM, END = 28, 60, 90  # frames: a scene ends in time, the next one does not


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes at 25 frames/s whose pictures begin after their sound."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    frames = [*textured_frames(CUT, seed=1), *textured_frames(END - CUT, seed=2)]
    return encode(path, frames, "-c:a", "aac", "-output_ts_offset", "1", sound=tone(3.6))


class Here:
    """A crew of one worker, in this process."""

    size = 1

    def __init__(self, config: WorkerConfig) -> None:
        self.worker, self.outcomes = Worker(0), list[tuple[int, Outcome]]()
        self.worker.get_ready(config)

    def start(self, worker: int) -> None:
        self.outcomes.append((worker, None))

    def give(self, worker: int, job: Job) -> None:
        self.outcomes.append((worker, self.worker.paint(job)))

    def wait(self) -> list[tuple[int, Outcome]]:
        return [self.outcomes.pop(0)]

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def painting() -> dict[str, torch.Tensor]:
    return PaintingTargets.of(torch.rand(1, 3, 32, 40), load_vgg()).pack()


@pytest.fixture
def crew(tmp_path: Path, tiny_network: StyleNet, painting: dict[str, torch.Tensor]) -> Here:
    config = WorkerConfig(str(tmp_path), {"0": tiny_network}, {"0": painting}, 1, "cpu")
    return Here(config)


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is painted, by name."""
    names = list[str]()

    def spy(source: object, target: Path, *rest: object, **options: object) -> object:
        names.append(target.name)
        return stylize_video(source, target, *rest, **options)  # type: ignore

    monkeypatch.setattr(worker_module, "stylize_video", spy)
    return names


def job(film: Path, piece_s: float, learn_s: float = 0, **options: float) -> Job:
    wish = Wish(str(film), f"film{piece_s}", 1, "state", Options(**options))  # type: ignore
    return Job.of(wish, "tiny", "0", learn_s, piece_s)


def test_it_is_cut_at_scenes_and_within_those_that_do_not_end(film: Path) -> None:
    cut = cut_film(probe(film), Options(), 1, lambda: False)
    assert [(len(p.ticks) - 1, p.warm_up, p.fade) for p in cut] == [
        (CUT, 0, 0), (SEAM - CUT, 0, WARM_UP), (END - SEAM, WARM_UP, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("options", [{}, {"start_s": 0.3, "end_s": 3.1, "temporal": False}])
def test_joined_pieces_are_the_whole(
    film: Path, crew: Here, tmp_path: Path, options: dict[str, float]
) -> None:
    longest = replace(job(film, 1, **options), target="j" * 251 + ".mp4")  # that a disk takes
    whole, joined = hand_out([job(film, 0, **options), longest], crew)
    assert whole.frames == joined.frames and joined.status == "painted", joined.error
    assert whole.flicker and joined.flicker and whole.flicker.keys() == joined.flicker.keys()
    assert joined.size_bytes == (tmp_path / joined.target).stat().st_size
    one, other = (decode(tmp_path / record.target) for record in (whole, joined))
    assert [time for time, _ in one] == [time for time, _ in other]
    heard, also = (sound_packets(tmp_path / record.target) for record in (whole, joined))
    assert [packet for _, packet in heard] == [packet for _, packet in also]
    assert [time for time, _ in heard] == pytest.approx([time for time, _ in also], abs=1e-4)
    assert not list((tmp_path / ".pieces").iterdir())
    recipes = {read_recipe(tmp_path / record.target) for record in (whole, joined)}
    assert len(recipes) == 1 and (recipe := recipes.pop()), recipes
    assert recipe.styles == (whole.style,) and recipe.temporal is options.get("temporal", True)


def test_one_piece_goes_over_into_the_next(film: Path, painter: Painter) -> None:
    info, options = probe(film), Options()
    whole = [p.shown.pixels for p in paint_frames(read_yuv(info), painter, options)]
    pieces, joined = cut_film(info, options, 1, lambda: False), list[np.ndarray]()
    for piece in pieces:
        source = read_yuv(info, span=piece.span)
        joined += [p.shown.pixels for p in paint_piece(source, painter, options, piece)]
    exact = [(a == b).all() for a, b in zip(whole, joined, strict=True)]
    assert all(exact[: SEAM - WARM_UP]) and not exact[SEAM - 1]
    source = read_yuv(info, span=pieces[-1].span)
    *_, last = [p.shown.pixels for p in islice(paint_frames(source, painter, options), WARM_UP)]
    wanted = (whole[SEAM - 1] + WARM_UP * last.astype(float)) / (WARM_UP + 1)
    assert np.abs(joined[SEAM - 1] - wanted).max() <= 1


def test_pieces_that_are_there_are_not_painted_again(
    film: Path, crew: Here, tmp_path: Path, painted: list[str]
) -> None:
    first, *_ = crew.worker.paint(job(film, 1)).jobs  # type: ignore
    crew.worker.paint(first)
    (record,) = hand_out([job(film, 1)], crew)
    assert record.frames == END and len(painted) == len(set(painted)) == 3


def test_where_pieces_do_not_fit_it_is_painted_in_one(
    film: Path, crew: Here, painted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_wrong(*arguments: object) -> object:
        first, second, third = cut_film(*arguments)  # type: ignore
        return [first, replace(second, ticks=second.ticks[:-1]), third]

    monkeypatch.setattr(worker_module, "cut_film", cut_wrong)
    (record,) = hand_out([job(film, 1)], crew)
    assert (record.status, record.frames) == ("painted", END)
    assert len(painted) == 3 and painted[-1] == "film1-tiny.mp4"


@pytest.mark.parametrize("piece_s", [0, 1])
def test_a_clip_is_learned_once(
    film: Path, crew: Here, tmp_path: Path, piece_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned = list[Path]()

    def spy(network: StyleNet, painting: object, source: Path, *rest: object, **more: object):
        learned.append(source)
        network = learning_clip(network, painting, source, *rest, **more)
        for parameter in network.parameters():  # so little time does not show by itself
            parameter.mul_(-1)
        return network

    learning_clip: Callable[..., StyleNet] = learning.learn_clip
    monkeypatch.setattr(learning, "learn_clip", spy)
    plain, fine = hand_out(
        [job(film, 0), replace(job(film, piece_s, 0.5), target="fine.mp4")], crew
    )
    assert (fine.status, fine.frames, learned) == ("painted", END, [film]), fine.error
    assert plain.fingerprint != fine.fingerprint
    one, other = (decode(tmp_path / record.target) for record in (plain, fine))
    apart = [np.abs(a.astype(int) - b).mean() for (_, a), (_, b) in zip(one, other, strict=True)]
    assert min(apart) > 5, "each piece has what was learned"
