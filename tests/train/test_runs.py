"""Whole runs as a researcher starts them: killed and continued, and shared by two processes."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stylevid.network import StyleNet, StyleNetConfig
from stylevid.weights import save_network
from train.__main__ import main, start_network
from train.config import TrainConfig
from train.learning.checkpoint import load_network_from
from train.learning.curves import Reporter

ROOT = Path(__file__).parents[2]
TINY = {
    "width": 4, "blocks": 1, "crop": 32, "batch": 2, "steps": 6, "temporal-crop": 32,
    "temporal-batch": 2, "temporal-steps": 6, "hold-out": 0, "style-size": 64,
    "precision": "float32",
    "sample-every": 1000, "checkpoint-every": 1, "workers": 0, "device": "cpu",
}  # fmt: skip


def command(material: Path, runs: Path, **settings: object) -> list[str]:
    given = TINY | {
        "style": material / "painting.png",
        "content": material / "photos",
        "runs": runs,
        "name": "tiny",
    }
    given |= {name.replace("_", "-"): value for name, value in settings.items()}
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    return ["-m", "train", *words]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment(), capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def whole(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted run."""
    runs = tmp_path_factory.mktemp("whole")
    finished = run(command(material, runs))
    assert finished.returncode == 0, finished.stderr
    return runs / "tiny"


def logged(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "log.jsonl").open()]


def test_a_run_leaves_its_log_its_record_and_a_sheet(whole: Path) -> None:
    assert [line["step"] for line in logged(whole)] == list(range(1, 13))
    assert json.loads((whole / "run.json").read_text())["processes"] == 1
    with Image.open(whole / "sample_00012.jpg") as sheet:
        assert sheet.size == (3 * 480, 360)
    assert not [*whole.glob("*partial*")]
    events = EventAccumulator(str(whole)).Reload()
    for name in logged(whole)[-1].keys() - {"step", "seconds"}:
        scalars = events.Scalars(f"loss/{name}")
        expected = {x["step"]: x[name] for x in logged(whole) if name in x}
        assert {s.step: s.value for s in scalars} == pytest.approx(expected, rel=1e-6)
    assert [image.step for image in events.Images("samples")] == [12]


def kill_at_random(material: Path, runs: Path, chance: random.Random) -> bool:
    """Start the run, and kill it a while after its first steps; whether it was still going."""
    log = runs / "tiny" / "log.jsonl"
    before = log.stat().st_mtime_ns if log.exists() else 0
    process = subprocess.Popen(
        [sys.executable, *command(material, runs)],
        cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None and not (log.exists() and log.stat().st_mtime_ns > before):
        time.sleep(0.01)
    time.sleep(chance.uniform(0, 0.3))
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def test_a_run_that_is_killed_ends_with_the_same_weights(
    material: Path, whole: Path, tmp_path: Path
) -> None:
    chance = random.Random(0)
    killed = [kill_at_random(material, tmp_path, chance) for _ in range(2)]
    assert killed[0]
    finished = run(command(material, tmp_path, workers=2))  # which load what the run itself would
    assert finished.returncode == 0, finished.stderr
    expected = load_file(whole / "checkpoint.safetensors")
    found = load_file(tmp_path / "tiny" / "checkpoint.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert [line["step"] for line in logged(tmp_path / "tiny")] == list(range(1, 13))


def test_a_run_that_goes_on_counts_the_time_before(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1, "seconds": 700}\n{"step": 2, "seconds": 9e9}')
    with Reporter(tmp_path, [], total=9, sample_every=9) as report:
        report(2, {"content": 1.0}, StyleNet(StyleNetConfig(4, 1)))
    assert [700 <= line["seconds"] < 800 for line in logged(tmp_path)] == [True, True]


def test_the_record_tells_what_it_started_from(material: Path, whole: Path, tmp_path: Path) -> None:
    first = json.loads((whole / "run.json").read_text())["command"]
    short = {"steps": 1, "temporal_steps": 0}
    done = run(command(material, tmp_path, name="second", warm_start=whole, **short))
    assert done.returncode == 0, done.stderr
    second = json.loads((tmp_path / "second" / "run.json").read_text())
    assert second["warm_started_from"] == [first]
    assert " --warm-start tiny " in second["command"], "no folders of this machine"
    checkpoint = tmp_path / "second" / "checkpoint.safetensors"
    done = run(command(material, tmp_path, name="third", warm_start=checkpoint, **short))
    assert done.returncode == 0, done.stderr
    third = json.loads((tmp_path / "third" / "run.json").read_text())
    assert third["warm_started_from"] == [first, second["command"]]
    assert " --warm-start second " in third["command"]


def test_the_mean_of_several_is_started_from(whole: Path, tmp_path: Path) -> None:
    one = load_network_from(whole)
    other = StyleNet(one.config)
    save_network(other, tmp_path / "other.safetensors")
    started = start_network(
        [whole, tmp_path / "other.safetensors"], TrainConfig(**one.config.as_dict())
    )
    for name, weights in started.named_parameters():
        mean = (one.state_dict()[name] + other.state_dict()[name]) / 2
        assert torch.allclose(weights, mean, atol=1e-3)  # one is of float16 now


def test_two_processes_train_as_one(material: Path, whole: Path, tmp_path: Path) -> None:
    launch = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1",
              "--master-port=0", "--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0"]  # fmt: skip
    finished = run([*launch, *command(material, tmp_path)])
    assert finished.returncode == 0, finished.stderr
    assert json.loads((tmp_path / "tiny" / "run.json").read_text())["processes"] == 2
    one, two = load_network_from(whole), load_network_from(tmp_path / "tiny")
    image = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(two(image), one(image), atol=2e-4)
        assert not torch.allclose(two(image), StyleNet(one.config)(image), atol=1e-2)
    for first, second in zip(logged(whole), logged(tmp_path / "tiny"), strict=True):
        for name in first.keys() - {"seconds"}:
            assert second[name] == pytest.approx(first[name], rel=2e-3)


def test_trouble_is_one_sentence(
    material: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(runs: Path, **settings: object) -> str:
        _, _, *arguments = command(material, runs, **settings)
        assert main(arguments) == 1
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 1
        return said

    (tmp_path / "nothing").mkdir()
    (tmp_path / "torn").mkdir()
    (tmp_path / "file").touch()
    shutil.copy(whole / "checkpoint.safetensors", tmp_path / "torn")
    (tmp_path / "torn" / "run.json").write_text('{"comm')
    for settings, words in (
        ({"sceneflow": tmp_path / "nothing"}, "holds no pairs of clean or final frames"),
        ({"crop": 30}, "crop is a multiple of 4 from 16 up; got 30."),
        ({"warm_start": whole, "width": 6}, "Give its --width and --blocks."),
        ({"width": 7}, "width is an even number from 2 to 512; got 7."),
        ({"device": "foo"}, "There is no device 'foo' here."),
        ({"name": "file"}, "File exists"),
        ({"name": 300 * "x"}, "File name too long"),
        ({"name": "torn"}, "run.json cannot be read as JSON"),
    ):
        assert words in refused(tmp_path, **settings)
    record = (whole / "run.json").read_text()
    for settings in ({"warm_start": whole}, {"tv_weight": 0.5}):
        assert "continue it, or another --name to start" in refused(whole.parent, **settings)
        assert (whole / "run.json").read_text() == record, "what is refused leaves no trace"


def test_one_training_at_a_time_is_at_work_in_a_folder(material: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    with FileLock(tmp_path / "tiny" / ".lock"):
        finished = run(command(material, tmp_path))
    assert finished.returncode == 1
    assert finished.stderr.startswith("Another training is at work in ")
    assert len(finished.stderr.splitlines()) == 1 and not (tmp_path / "tiny" / "run.json").exists()
