"""Search latency while another thread writes as fast as it can, against the idle latency."""

import itertools
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from benchmarks.contenders import in_turns
from benchmarks.data import gaussian_vectors
from benchmarks.measure import Ratio
from benchmarks.results import Goal, Outcome, Table
from benchmarks.storage.contenders.store import FloatArray, Store
from benchmarks.storage.field import Contender, contenders, created, data, load


@dataclass(frozen=True)
class Phase:
    """Searches of one phase: seconds of each, and the recall."""

    seconds: list[float]
    recall: float

    def percentile(self, percent: float) -> float:
        return float(np.percentile(self.seconds, percent))


@dataclass(frozen=True)
class Seen:
    """Both phases of one contender, and how many records a second were written in the second."""

    idle: Phase
    writing: Phase
    written: float


def run(definition: Mapping[str, Any]) -> Outcome:
    """Every contender in a process of its own, round by round."""
    chosen, notes = contenders(definition["contenders"])
    seen = in_turns(chosen, definition["rounds"], notes, measure, dict(definition))
    rows: list[tuple[str | float, ...]] = []
    goals = []
    for name, many in seen.items():
        idle, writing = [one.idle for one in many], [one.writing for one in many]
        tails = (
            [phase.percentile(99) for phase in writing],
            [phase.percentile(99) for phase in idle],
        )
        ratio = Ratio.of(*tails)
        recalls = [median(phase.recall for phase in phases) for phases in (idle, writing)]
        times = [
            median(phase.percentile(percent) for phase in phases) * 1e3
            for phases in (idle, writing)
            for percent in (50, 99)
        ]
        rate = median(one.written for one in many)
        rows.append((name, *times, str(ratio), *recalls, rate))
        if any(one.name == name and one.ours for one in chosen):
            what = f"{name}: p99 while writing / idle"
            tail = definition["goal_tail"]
            goals.append(Goal(what, tail, ratio.median, str(ratio), at_most=True))
            what = f"{name}: recall@10 while writing"
            goals.append(Goal(what, recalls[0] - definition["tolerance"], recalls[1]))
    columns = (
        "contender",
        "idle p50 ms",
        "idle p99 ms",
        "writing p50 ms",
        "writing p99 ms",
        "p99 writing / idle",
        "recall idle",
        "recall writing",
        "records/s written",
    )
    title = (
        f"{definition['rows']:,} rows indexed; one thread searches, one writes batches of "
        f"{definition['batch']:,} durably for {definition['seconds']} s"
    )
    notes.append("What is written is far from every query, so that the true neighbours stay.")
    return Outcome([Table(title, columns, rows)], goals, notes)


def measure(contender: Contender, definition: Mapping[str, Any]) -> Seen:
    """Measure one contender in this process."""
    made = data(definition)
    limit, batch = definition["limit"], definition["batch"]
    more = gaussian_vectors(10 * batch, 1, definition["dimension"]).rows
    with created(contender, definition["dimension"]) as store:
        load(store, made.rows, batch)
        # Background work that the load has started is to be over.
        time.sleep(min(2.0, definition["seconds"]))
        idle = _search(store, made.queries, limit, definition["seconds"] / 2)
        stop = threading.Event()
        written: list[int] = []

        def write() -> None:
            for number in itertools.count():
                if stop.is_set():
                    return
                start = number % 10 * batch
                first = len(made.rows) + number * batch
                store.insert(first, more[start : start + batch])
                written.append(batch)

        writer = threading.Thread(target=write)
        start = time.perf_counter()
        writer.start()
        writing = _search(store, made.queries, limit, definition["seconds"])
        stop.set()
        writer.join()
        seconds = time.perf_counter() - start
    # The recall takes long to compute, and both threads would wait for each other meanwhile.
    phases = [Phase(spent, made.recall(found, limit)) for spent, found in (idle, writing)]
    return Seen(*phases, sum(written) / seconds)


def _search(
    store: Store, queries: FloatArray, limit: int, seconds: float
) -> tuple[list[float], list[list[int]]]:
    """Every query once, and on until the time is over: seconds of each search, and what the first
    round found.
    """
    for query in queries[:10]:
        store.search(query, limit)
    spent, found = [], []
    begun = time.perf_counter()
    for number in itertools.count():
        if number >= len(queries) and time.perf_counter() - begun > seconds:
            break
        query = queries[number % len(queries)]
        start = time.perf_counter()
        ids = store.search(query, limit)
        spent.append(time.perf_counter() - start)
        if number < len(queries):
            found.append(list(ids))
    return spent, found
