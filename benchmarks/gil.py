"""How much of its speed a pure-Python thread keeps while other threads encode.

A counter thread runs beside several loads. Its fair share of the processor is what a scheduler
gives one of `1 + busy` runnable threads; it is worth its lone speed times that share. What is
lost beyond that, it lost by waiting for the interpreter's lock.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

import rust_ai_core as rac
from benchmarks.data import short_texts
from benchmarks.processes import available_cores
from benchmarks.results import Goal, Outcome, Table

COUNTS_BETWEEN_CLOCKS = 1_000
SETTLING_SECONDS = 0.2

ENCODING = "threads that encode batches"
NO_LOCK = "other processes"


@dataclass(frozen=True)
class Count:
    """What a counter thread reached."""

    counted: int
    wall_seconds: float
    cpu_seconds: float

    @property
    def each_wall_second(self) -> float:
        return self.counted / self.wall_seconds

    @property
    def each_cpu_second(self) -> float:
        return self.counted / self.cpu_seconds


@dataclass(frozen=True)
class Load:
    """Something that runs beside the counter on `busy` threads."""

    busy: int
    start: Callable[[ExitStack], None]


def run(definition: Mapping[str, Any]) -> Outcome:
    """Count alone and beside every load, in turns."""
    loads = _loads(definition)
    counts: dict[str, list[Count]] = {name: [] for name in loads}
    for _ in range(definition["rounds"]):
        for name, load in loads.items():
            with ExitStack() as stack:
                load.start(stack)
                time.sleep(SETTLING_SECONDS)
                counts[name].append(_count(definition["seconds"]))
    return _outcome(loads, counts, definition)


def _loads(definition: Mapping[str, Any]) -> dict[str, Load]:
    encoder = rac.Encoder(cache=False)
    texts, _ = short_texts(definition["texts_each_call"])
    side = definition["matrix_side"]
    matrix = np.ones((side, side), dtype=np.float32)
    target = np.empty_like(matrix)
    threads, callers = rac.thread_count(), definition["callers"]

    def spin() -> None:
        for _ in range(COUNTS_BETWEEN_CLOCKS):
            pass

    def beside(count: int, work: Callable[[], object]) -> Callable[[ExitStack], None]:
        return lambda stack: stack.enter_context(_threads(count, work))

    return {
        "nothing": Load(0, lambda _: None),
        ENCODING: Load(threads, beside(callers, lambda: encoder.encode(texts))),
        "threads that encode one text": Load(
            threads, beside(callers, lambda: encoder.encode(texts[0]))
        ),
        "threads in numpy.matmul": Load(
            threads, beside(threads, lambda: np.matmul(matrix, matrix, out=target))
        ),
        NO_LOCK: Load(threads, lambda stack: stack.enter_context(_busy_processes(threads))),
        "threads of pure Python": Load(threads, beside(threads, spin)),
    }


@contextmanager
def _threads(count: int, work: Callable[[], object]) -> Iterator[None]:
    stopped = threading.Event()

    def repeat() -> None:
        while not stopped.is_set():
            work()

    threads = [threading.Thread(target=repeat) for _ in range(count)]
    try:
        for thread in threads:
            thread.start()
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


@contextmanager
def _busy_processes(count: int) -> Iterator[None]:
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _count(seconds: float) -> Count:
    results: list[Count] = []

    def count() -> None:
        counted = 0
        cpu = time.thread_time()
        wall = time.perf_counter()
        end = wall + seconds
        while time.perf_counter() < end:
            for _ in range(COUNTS_BETWEEN_CLOCKS):
                counted += 1
        results.append(Count(counted, time.perf_counter() - wall, time.thread_time() - cpu))

    thread = threading.Thread(target=count)
    thread.start()
    thread.join()
    return results[0]


def _outcome(
    loads: Mapping[str, Load], counts: Mapping[str, list[Count]], definition: Mapping[str, Any]
) -> Outcome:
    cores = available_cores()
    lone_wall = median(count.each_wall_second for count in counts["nothing"])
    lone_cpu = median(count.each_cpu_second for count in counts["nothing"])
    kept: dict[str, list[float]] = {}
    for name, load in loads.items():
        share = _fair_share(load, cores)
        kept[name] = [count.each_wall_second / lone_wall / share for count in counts[name]]
    rows: list[tuple[str | float, ...]] = []
    for name, load in loads.items():
        against = [one / other for one, other in zip(kept[name], kept[NO_LOCK], strict=True)]
        wall = median(count.each_wall_second for count in counts[name]) / lone_wall
        cpu = median(count.each_cpu_second for count in counts[name]) / lone_cpu
        share = _fair_share(load, cores)
        rows.append((name, load.busy, share, wall, cpu, median(kept[name]), median(against)))
    columns = (
        "beside the counter",
        "busy threads",
        "fair share of a core",
        "speed by the clock",
        "speed by CPU time",
        "kept of the fair share",
        f"times that beside {NO_LOCK}",
    )
    title = (
        f"A pure-Python counter, 1 = its lone speed ({lone_wall / 1e6:.1f} million/s), "
        f"{definition['callers']} threads that encode, {cores} cores"
    )
    seen = kept[ENCODING]
    spread = f"{median(seen):.2f} ({min(seen):.2f}-{max(seen):.2f})"
    what = "counter beside threads that encode: kept of its fair share"
    goal = Goal(what, definition["goal_kept"], median(seen), spread)
    rounds = {"kept of the fair share": kept}
    return Outcome([Table(title, columns, rows)], [goal], [], rounds)


def _fair_share(load: Load, cores: int) -> float:
    return min(1.0, cores / (1 + load.busy))
