"""`python -m tests.soak CLIPS JOBS`: ten visitors at a time upload, cancel, leave and attack; then
nothing may be left. Prints what happened as JSON."""

import argparse
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from gradio_client import Client, handle_file

from stylevid.errors import StylevidError
from stylevid.video import probe, read_frames
from tests.fuzz import spoil_video
from tests.material import tiny_style
from tests.serving import serve
from webui.scratch import PREFIX

VISITORS = 10
SECRETS = ("/etc/passwd", "app.py", "../../etc/passwd", "weights/wave.safetensors")


@dataclass(frozen=True)
class Page:
    """Where it is, its process, its folder for all temporary files, and what it says."""

    url: str
    pid: int
    temporary: Path
    log: Path

    def now(self) -> dict[str, float]:
        """What it holds at this moment."""
        lines = httpx.get(f"{self.url}/metrics", timeout=60).text.splitlines()
        told = {name: float(value) for name, value in
                (line.rsplit(" ", 1) for line in lines if line[0] != "#")}  # fmt: skip
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        ours = list(self.temporary.glob(f"{PREFIX}*/stylevid*"))
        return {
            "minutes": round(time.monotonic() / 60, 1),
            "memory_mb": round(told["stylevid_memory_bytes"] / 1e6),
            "threads": told["stylevid_threads"], "open_files": told["stylevid_open_files"],
            "processes": len(children), "work_files": len(ours),
        }  # fmt: skip


class Visitors:
    """What they do, and how it ended."""

    def __init__(self, page: Page, clips: list[Path], folder: Path) -> None:
        self.page, self.clips, self.folder = page, clips, folder
        self.ended, self.wrong = Counter[str](), []
        self.last: dict[str, str] = {}  # a path on the server that belongs to somebody else

    def visit(self, number: int) -> None:
        chance = random.Random(number)
        kind = chance.choices(["paints", "cancels", "leaves", "attacks"], [85, 5, 5, 5])[0]
        try:
            self.ended[f"{kind}: {getattr(self, f'_{kind}')(number, chance)}"] += 1
        except Exception as error:
            self.ended[f"{kind}: broken"] += 1
            self.wrong.append(f"{number} {kind}: {type(error).__name__}: {str(error)[:300]}")

    def _client(self, number: int) -> Client:
        return Client(self.page.url, verbose=False, download_files=self.folder / f"got-{number}",
                      httpx_kwargs={"timeout": 600})  # fmt: skip

    def _ask(self, clip: Path) -> tuple[Any, ...]:
        # Strength 0 shows the visitor's own video, which tells whose it is.
        return (handle_file(str(clip)), "wave", True, 0.0, False, "360 px", "fine", 0, 0.3,
                None, 0.5)  # fmt: skip

    def _paints(self, number: int, chance: random.Random) -> str:
        clip = chance.choice(self.clips)
        try:
            mine = next(read_frames(probe(clip), (36, 48))).frame
        except StylevidError as error:
            mine = error
        try:
            got = self._client(number).predict(*self._ask(clip), api_name="/stylize")
        except Exception as error:
            return self._sentence(str(error), isinstance(mine, StylevidError), clip)
        path = Path(got["video"] if isinstance(got, dict) else got)
        first = next(read_frames(probe(path), (36, 48))).frame
        path.unlink()
        assert not isinstance(mine, StylevidError), f"{clip.name} was painted"
        apart = float(np.abs(first.astype(int) - mine).mean())
        assert apart < 12, f"{clip.name}: {apart:.0f} levels from the visitor's own"
        return "a right video"

    def _sentence(self, said: str, expected: bool, clip: Path) -> str:
        assert expected or "queue" in said.lower(), f"{clip.name}: {said}"
        assert said.rstrip().endswith(".") and "Traceback" not in said, said
        return "one sentence"

    def _cancels(self, number: int, chance: random.Random) -> str:
        job = self._client(number).submit(
            *self._ask(chance.choice(self.clips)), api_name="/stylize"
        )
        time.sleep(chance.random() * 5)
        return "cancelled" if job.cancel() else "was done"

    def _leaves(self, number: int, chance: random.Random) -> str:
        """Without a word, in the midst of an upload or of painting."""
        clip = chance.choice(self.clips)
        with httpx.Client(base_url=f"{self.page.url}/gradio_api", timeout=120) as client:
            if chance.random() < 0.3:
                client.timeout = httpx.Timeout(120, read=0.01)
                with suppress(httpx.TimeoutException):
                    client.post("/upload", files={"files": (clip.name, clip.read_bytes())})
                return "amid an upload"
            upload = client.post("/upload", files={"files": (clip.name, clip.read_bytes())})
            self.last["path"] = upload.json()[0]
            event = self._begin(client, self.last["path"])
            with client.stream("GET", f"/call/stylize/{event.json()['event_id']}") as answer:
                for _ in answer.iter_lines():
                    break
        return "amid painting"

    def _begin(self, client: httpx.Client, path: str) -> httpx.Response:
        """The answer to one who asks for what lies there to be painted."""
        video = {"path": path, "meta": {"_type": "gradio.FileData"}}
        return client.post("/call/stylize", json={"data": [video, *self._ask(self.clips[0])[1:]]})

    def _attacks(self, number: int, chance: random.Random) -> str:
        if chance.random() < 0.5:
            clip = chance.choice(self.clips)
            bad = self.folder / f"bad-{number}{clip.suffix}"
            bad.write_bytes(spoil_video(clip.read_bytes()[:2_000_000], clip.suffix, chance))
            try:
                self._client(number).predict(*self._ask(bad), api_name="/stylize")
                return "spoiled, painted"
            except Exception as error:
                self._sentence(str(error), True, clip)
                return "spoiled, one sentence"
            finally:
                bad.unlink()
        secret = chance.choice(SECRETS)
        with httpx.Client(base_url=f"{self.page.url}/gradio_api", timeout=120) as client:
            folder = str(next(self.page.temporary.glob(f"{PREFIX}*/gradio")))
            nameless = str(Path(folder) / Path(self.last.get("path", "x/clip.mp4")).name)
            for name in (secret, str(Path(secret).resolve()), folder, f"{folder}/", nameless,
                         str(self.page.log)):  # fmt: skip
                assert client.get(f"/file={name}").status_code in (403, 404), name
            event = self._begin(client, str(Path(secret).resolve()))
            if event.status_code == 200:
                answer = client.get(f"/call/stylize/{event.json()['event_id']}").text
                assert "event: error" in answer and "root:" not in answer, answer[:300]
        return "refused a file that is not theirs"


def watch(page: Page, told: list[dict[str, float]], over: threading.Event) -> None:
    while not over.wait(20):
        with suppress(httpx.HTTPError):
            told.append(page.now())


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.soak", description=__doc__)
    parser.add_argument("clips", type=Path, help="a folder of clips, searched through")
    parser.add_argument("jobs", type=int)
    parser.add_argument("--minutes", type=float, default=600, help="begin no visit after them")
    options = parser.parse_args()
    kinds = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".gif", ".3gp", ".m2v")
    clips = sorted(path for path in options.clips.rglob("*") if path.suffix in kinds)
    began, told, over = time.monotonic(), [], threading.Event()
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder, weights, temporary = (Path(name, part) for part in ("", "weights", "temporary"))
        weights.mkdir()
        temporary.mkdir()
        tiny_style(weights)
        log = folder / "log"
        environment = {"TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}
        arguments = ("--weights", str(weights), "--device", "cpu", "--no-hub-box")
        with serve(log, environment, *arguments) as (url, process):
            page = Page(url, process.pid, temporary, log)
            visitors = Visitors(page, clips, folder)
            told.append(page.now())
            threading.Thread(target=watch, args=(page, told, over), daemon=True).start()

            def visit(number: int) -> None:
                if time.monotonic() - began < 60 * options.minutes:
                    visitors.visit(number)

            with ThreadPoolExecutor(VISITORS) as crowd:
                list(crowd.map(visit, range(1, options.jobs + 1)))
            over.set()
            time.sleep(30)
            told.append(page.now())
            process.terminate()
            status = process.wait(60)
            shutil.copy(log, Path(tempfile.gettempdir()) / "soak.log")
            report = {
                "jobs": visitors.ended.total(), "ended": visitors.ended, "wrong": visitors.wrong,
                "minutes": round((time.monotonic() - began) / 60),
                "over time": told[:: len(told) // 12 + 1], "at the end": told[-1],
                "exit status": status, "tracebacks": log.read_text().count("Traceback"),
                "left": [str(p.relative_to(temporary)) for p in temporary.rglob("*.*")][:9],
            }  # fmt: skip
            print(json.dumps(report, indent=1))  # noqa: T201
    return bool(visitors.wrong)


if __name__ == "__main__":
    sys.exit(main())
