"""Durable writes: batches a second, and one record, each against a plain file that is flushed."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.contenders import in_turns
from benchmarks.data import gaussian_vectors
from benchmarks.machine import filesystem
from benchmarks.measure import Ratio
from benchmarks.results import Goal, Outcome, Table
from benchmarks.storage.field import Contender, contenders, created


@dataclass(frozen=True)
class Written:
    """Seconds of each batch and of each single record; and what a plain file takes, beside each, to
    write and flush the same vectors: no durable store can be faster than that."""

    batches: list[float]
    plain_batches: list[float]
    singles: list[float]
    plain_singles: list[float]


def run(definition: Mapping[str, Any]) -> Outcome:
    """Every contender writes into an empty database of its own, round by round."""
    chosen, notes = contenders(definition["contenders"])
    seen = in_turns(chosen, definition["rounds"], notes, write, dict(definition))
    durable = {one.name: one.durable for one in chosen}
    rates = {
        name: [definition["batch"] * len(one.batches) / sum(one.batches) for one in many]
        for name, many in seen.items()
    }
    bulk: list[tuple[str | float, ...]] = []
    single: list[tuple[str | float, ...]] = []
    goals = []
    ours = [one.name for one in chosen if one.ours]
    peers = [name for name in seen if name not in ours]
    for name, many in seen.items():
        batches = [seconds for one in many for seconds in one.batches]
        cells = median(rates[name]), median(batches) * 1e3, _p99(batches) * 1e3
        over_plain = Ratio.of(
            [sum(one.batches) for one in many], [sum(one.plain_batches) for one in many]
        )
        bulk.append((name, *cells, str(over_plain), durable[name]))
        singles = [seconds for one in many for seconds in one.singles]
        against = Ratio.of(
            [median(one.singles) for one in many], [median(one.plain_singles) for one in many]
        )
        single.append((name, median(singles) * 1e3, _p99(singles) * 1e3, str(against)))
        if name in ours:
            what = f"{name}: a record / a plain fdatasync"
            goals.append(
                Goal(what, definition["goal_single"], against.median, str(against), at_most=True)
            )
    if peers:
        best = max(peers, key=lambda name: median(rates[name]))
        for name in ours:
            over = Ratio.of(rates[name], rates[best])
            what = f"{name}: records/s over {best}, the fastest peer"
            goals.append(Goal(what, definition["goal_faster"], over.median, str(over)))
    with TemporaryDirectory() as folder:
        notes.append(f"The files were on {filesystem(Path(folder))}; TMPDIR moves them.")
    tables = [
        Table(
            f"Batches of {definition['batch']:,} records of {definition['dimension']} dimensions, "
            "metadata of two fields",
            (
                "contender",
                "records/s",
                "ms a batch (median)",
                "ms (p99)",
                "times the plain file's time",
                "waits for",
            ),
            bulk,
        ),
        Table(
            "Single records, each beside a write and fdatasync of a plain file",
            ("contender", "ms a record (median)", "ms (p99)", "times the plain file's time"),
            single,
        ),
    ]
    rounds = {"batches": {name: [sum(one.batches) for one in many] for name, many in seen.items()}}
    return Outcome(tables, goals, notes, rounds)


def write(contender: Contender, definition: Mapping[str, Any]) -> Written:
    """Measure one contender in this process."""
    batch, count = definition["batch"], definition["batches"]
    rows = gaussian_vectors((count + 1) * batch, 1, definition["dimension"]).rows
    with created(contender, definition["dimension"]) as store:
        # The first one makes files and starts threads.
        store.insert(0, rows[:batch])
        written = Written([], [], [], [])
        plain = os.open(store.folder / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

        def timed(first: int, some: Any, ours: list[float], plain_file: list[float]) -> None:
            start = time.perf_counter()
            store.insert(first, some)
            between = time.perf_counter()
            os.write(plain, some.data)
            os.fdatasync(plain)
            ours.append(between - start)
            plain_file.append(time.perf_counter() - between)

        for first in range(batch, len(rows), batch):
            some = rows[first : first + batch]
            timed(first, some, written.batches, written.plain_batches)
        for number in range(definition["singles"]):
            some = rows[number % len(rows)][None]
            timed(len(rows) + number, some, written.singles, written.plain_singles)
        os.close(plain)
    return written


def _p99(seconds: list[float]) -> float:
    return quantiles(seconds, n=100, method="inclusive")[-1]
