"""Workers that may die, as processes here or as actors on a Ray, and how clips go round."""

import logging
import multiprocessing
import os
import pickle
import signal
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from ..errors import Cancelled, StylevidError
from .jobs import InPieces, Job, Join, Record
from .worker import Worker, WorkerConfig

TRIES = 3  # of a clip whose worker died, or whose store was out of reach
_TICK_S = 1.0


class WorkerDied:
    """A worker's last sign: its process, actor or node is gone."""


Outcome = Record | InPieces | StylevidError | WorkerDied | None
"""A clip's record or its pieces, why a worker cannot start, its end, or None: it is ready."""


class Crew(Protocol):
    """Workers by number, from 0 to `size` - 1."""

    size: int

    def start(self, worker: int) -> None:
        """Have a worker made, or made anew; its first outcome says that it is ready."""

    def give(self, worker: int, job: Job) -> None:
        """Give a clip to a worker that is ready."""

    def wait(self) -> list[tuple[int, Outcome]]:
        """Outcomes of what workers were given; none may come within a second."""
        ...

    def close(self) -> None:
        """Send all of them home, also from their work."""


def hand_out(jobs: Iterable[Job], crew: Crew) -> Iterator[Record]:
    """Have all clips painted, longest first, and yield the record of each.

    The clip of a worker that died goes to the next one that is free; one that failed is tried again
    after the others. Both are begun at most TRIES times.

    Raises:
        StylevidError: workers cannot be started.
    """
    queue = deque(sorted(jobs, key=lambda job: -job.size_bytes))
    left, begun = len(queue), Counter[Job]()
    in_pieces: dict[str, InPieces] = {}  # by the clip's target
    at_work: dict[int, Job] = {}
    idle: list[int] = []
    unborn, coming = deque(range(crew.size)), 0
    stillborn = 0  # workers, one after another, that died before they were ready
    while left:
        while unborn and len(queue) > len(idle) + coming:
            crew.start(unborn.popleft())
            coming += 1
        for worker, outcome in crew.wait():
            if isinstance(outcome, StylevidError):
                raise outcome
            job, died = at_work.pop(worker, None), isinstance(outcome, WorkerDied)
            stillborn = stillborn + 1 if died and job is None else 0
            if stillborn > TRIES * crew.size:
                raise StylevidError(f"{stillborn} workers died one after another as they started.")
            crew.start(worker) if died else idle.append(worker)
            coming += died - (job is None)
            if job is None:
                continue
            if isinstance(outcome, InPieces):
                in_pieces[job.target] = outcome
                queue.extendleft(reversed(outcome.jobs))
                continue
            record = outcome if isinstance(outcome, Record) else job.record(
                "failed", error="Each worker that painted it died; its memory may be too small."
            )  # fmt: skip
            if record.status == "failed" and begun[job] < TRIES:
                queue.appendleft(job) if died else queue.append(job)
                continue
            record = replace(record, tries=max(begun[job], record.tries))
            if job.clip is None:
                left -= 1
                yield record
            elif (clip := in_pieces.get(job.clip)) and (following := clip.add(record)):
                del in_pieces[job.clip]
                queue = deque(other for other in queue if other.clip != job.clip)
                queue.appendleft(following)
        while queue and idle:
            worker, job = idle.pop(), queue.popleft()
            begun[job] += 1
            at_work[worker] = job
            crew.give(worker, job)


class ProcessCrew:
    """Processes of this machine, begun by spawn: a fork would share torch's and OpenMP's locks."""

    def __init__(self, config: WorkerConfig, size: int) -> None:
        self.size = size
        # As bytes: torch would share tensors' memory with a process that may be killed.
        self._config = pickle.dumps(config)
        self._workers: dict[int, tuple[Any, Connection]] = {}
        self._busy: dict[Connection, int] = {}

    def start(self, worker: int) -> None:
        self._end(worker)
        spawn = multiprocessing.get_context("spawn")
        pipe, theirs = spawn.Pipe()
        process = spawn.Process(target=_serve, args=(theirs, self._config, worker), daemon=True)
        process.start()
        theirs.close()  # so that its end shows when the process is gone
        self._workers[worker] = process, pipe
        self._busy[pipe] = worker

    def _end(self, worker: int) -> None:
        if worker in self._workers:
            process, pipe = self._workers.pop(worker)
            pipe.close()
            process.kill()
            process.join()

    def give(self, worker: int, job: Job) -> None:
        _, pipe = self._workers[worker]
        self._busy[pipe] = worker
        with suppress(BrokenPipeError):  # it has died; the next wait says so
            pipe.send(job)

    def wait(self) -> list[tuple[int, Outcome]]:
        done = [pipe for pipe in wait(list(self._busy), _TICK_S) if isinstance(pipe, Connection)]
        return [(self._busy.pop(pipe), _receive(pipe)) for pipe in done]

    def close(self) -> None:
        for worker in range(self.size):
            self._end(worker)


def _receive(pipe: Connection) -> Outcome:
    try:
        return pipe.recv()
    except (EOFError, OSError):  # also in the middle of a message
        return WorkerDied()


def _serve(pipe: Connection, config: bytes, number: int) -> None:
    """A process's life: clips in, records out, until nobody is there to send any."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    logging.basicConfig(format="stylevid: %(message)s")
    parent = multiprocessing.parent_process()
    worker = Worker(number, lambda: not (parent and parent.is_alive()))
    with suppress(EOFError, OSError, Cancelled):
        try:
            pipe.send(worker.get_ready(pickle.loads(config)))
        except StylevidError as error:
            pipe.send(error)
        while True:
            pipe.send(worker.paint(pipe.recv()))


def connect(address: str) -> Any:
    """Ray, connected to the cluster at `address`, or to one that is begun here for "local".

    Raises:
        StylevidError: Ray is not installed, or there is no such cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as cause:
        raise StylevidError(
            "Ray is not installed. Leave --ray out, or: pip install 'stylevid[batch]'."
        ) from cause
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as cause:
        raise StylevidError(f"There is no Ray cluster at {address}: {cause}") from cause
    return ray


class RayCrew:
    """Actors, each with its share of the cluster's cores and GPUs; Ray starts those that died
    anew, on another node if need be."""

    def __init__(self, ray: Any, config: WorkerConfig, size: int, gpus: float) -> None:
        """What `connect` gave; an actor asks for the config's threads as cores, and for `gpus`."""
        self.size, self._ray, self._config = size, ray, ray.put(config)
        self._actor = ray.remote(num_cpus=config.threads, num_gpus=gpus, max_restarts=-1)(_Actor)
        self._actors: dict[int, Any] = {}
        self._busy: dict[Any, int] = {}

    def start(self, worker: int) -> None:
        if worker not in self._actors:
            self._actors[worker] = self._actor.remote(worker)
        # Waits for the actor's restart, and for a node that has room for it.
        ready = self._actors[worker].get_ready.options(max_task_retries=-1)
        self._busy[ready.remote(self._config)] = worker

    def give(self, worker: int, job: Job) -> None:
        # Not tried again by Ray: another actor may be free at once.
        paint = self._actors[worker].paint.options(max_task_retries=0)
        self._busy[paint.remote(job)] = worker

    def wait(self) -> list[tuple[int, Outcome]]:
        done, _ = self._ray.wait(list(self._busy), num_returns=1, timeout=_TICK_S)
        return [(self._busy.pop(task), self._outcome(task)) for task in done]

    def _outcome(self, task: Any) -> Outcome:
        try:
            return self._ray.get(task)
        except StylevidError as error:
            return StylevidError(str(getattr(error, "cause", error)))
        except self._ray.exceptions.RayTaskError:
            raise
        except self._ray.exceptions.RayError:
            return WorkerDied()

    def close(self) -> None:
        self._ray.shutdown()


class _Actor(Worker):
    """A worker that shows on Ray's dashboard what it does."""

    def get_ready(self, config: WorkerConfig) -> None:
        from ray.util.metrics import Counter

        super().get_ready(config)
        self._clips = Counter("stylevid_clips", "Clips done.", ("status",))
        self._frames = Counter("stylevid_frames", "Frames painted.")

    def paint(self, job: Job) -> Record | InPieces:
        outcome = super().paint(job)
        if isinstance(outcome, Record):
            if job.clip is None:
                self._clips.inc(1, {"status": outcome.status})
            if outcome.frames and not isinstance(job.part, Join):
                self._frames.inc(outcome.frames)
        return outcome
