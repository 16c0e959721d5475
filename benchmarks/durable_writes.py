"""Writing 384-d records durably: latency, rate, bytes on disk, opening, memory."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

import rust_ai_core as rac
from benchmarks.data import FloatArray, gaussian_vectors
from benchmarks.machine import filesystem
from benchmarks.measure import interleave
from benchmarks.processes import (
    MIB,
    drop_from_cache,
    in_fresh_process,
    in_mib,
    peak_resident_bytes,
    resident_bytes,
)
from benchmarks.results import Outcome, Table

FSYNC = "write and fdatasync of a plain file"


def run(definition: Mapping[str, Any]) -> Outcome:
    """Measure single records, batches, and a collection as large as the search's."""
    vectors = gaussian_vectors(definition["rows"], 1, definition["dimension"]).rows
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _writers(folder, vectors) as writers:
            singles = _singles(writers, definition)
            batches, rounds = _batches(writers, definition)
        large = _large(folder / "large.rac", vectors, definition)
        kind = filesystem(folder)
    notes = [f"The files were on {kind}; TMPDIR moves them."]
    if kind in ("tmpfs", "ramfs"):
        notes.append("That is memory: what these figures say of durability means nothing.")
    return Outcome([singles, batches, *large], [], notes, {"batches": rounds})


Write = Callable[[int], object]
"""Writes so many records and returns when they are safe, or as safe as they are to be."""


@contextmanager
def _writers(folder: Path, vectors: FloatArray) -> Iterator[dict[str, Write]]:
    databases = {
        level: rac.open(folder / f"{level}.rac", durability=level) for level in ("sync", "batch")
    }
    plain = os.open(folder / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    synchronize = getattr(os, "fdatasync", os.fsync)

    def upsert(database: rac.Database) -> Write:
        collection = database.collection("records", dimension=vectors.shape[1], metric="dot")

        def write(count: int) -> None:
            first = len(collection)
            metadata = _metadata(first, count)
            places = np.arange(first, first + count)
            collection.upsert(places, vectors[places % len(vectors)], metadata=metadata)

        return write

    def write_plain(count: int) -> None:
        os.write(plain, vectors[:count].tobytes())
        synchronize(plain)

    try:
        levels = {f'upsert, durability="{level}"': upsert(db) for level, db in databases.items()}
        yield {FSYNC: write_plain, **levels}
    finally:
        os.close(plain)
        for database in databases.values():
            database.close()


def _metadata(first: int, count: int) -> list[dict[str, Any]]:
    return [{"number": first + n, "language": "en"} for n in range(count)]


def _singles(writers: Mapping[str, Write], definition: Mapping[str, Any]) -> Table:
    latencies: dict[str, list[float]] = {name: [] for name in writers}
    # In turns record by record: a disk's time for a flush changes from one second to the next.
    for _ in range(definition["singles"]):
        for name, write in writers.items():
            start = time.perf_counter()
            write(1)
            latencies[name].append(time.perf_counter() - start)
    plain = median(latencies[FSYNC])
    rows: list[tuple[str | float, ...]] = [
        (name, median(each) * 1e3, _p99(each) * 1e3, 1 / median(each), median(each) / plain)
        for name, each in latencies.items()
    ]
    columns = ("writer", "ms a record (median)", "ms (p99)", "records/s", "times a plain fdatasync")
    return Table("Single records of 384 dimensions, metadata of two fields", columns, rows)


def _p99(seconds: list[float]) -> float:
    return quantiles(seconds, n=100, method="inclusive")[-1]


def _batches(
    writers: Mapping[str, Write], definition: Mapping[str, Any]
) -> tuple[Table, Mapping[str, list[float]]]:
    batch = definition["batch"]

    def write_batch(write: Write) -> Callable[[], object]:
        return lambda: write(batch)

    contenders = {name: write_batch(write) for name, write in writers.items()}
    timings = interleave(contenders, definition["batches"])
    raw = batch * definition["dimension"] * 4
    rows: list[tuple[str | float, ...]] = []
    for name in writers:
        seconds = timings.median(name)
        ratio = str(timings.speedup(FSYNC, over=name))
        rows.append((name, seconds * 1e3, batch / seconds, raw / seconds / MIB, ratio))
    columns = ("writer", "ms a batch", "records/s", "MiB of vectors/s", "times a plain file's time")
    return Table(f"Batches of {batch:,} records", columns, rows), timings.seconds


def _large(path: Path, vectors: FloatArray, definition: Mapping[str, Any]) -> list[Table]:
    batch = definition["batch"]
    start = time.perf_counter()
    with rac.open(path, durability="batch") as database:
        collection = database.collection("records", dimension=vectors.shape[1], metric="dot")
        for first in range(0, len(vectors), batch):
            rows = vectors[first : first + batch]
            metadata = _metadata(first, len(rows))
            collection.upsert(np.arange(first, first + len(rows)), rows, metadata=metadata)
    seconds = time.perf_counter() - start
    files = [file.stat() for file in path.rglob("*") if file.is_file()]
    length = sum(file.st_size for file in files)
    allocated = sum(file.st_blocks * 512 for file in files)
    size: list[tuple[str | float, ...]] = [
        ("raw float32", vectors.nbytes / MIB, 1.0),
        ("length of the files", length / MIB, length / vectors.nbytes),
        ("blocks on the disk", allocated / MIB, allocated / vectors.nbytes),
    ]
    title = f"{len(vectors):,} records, written and closed in {seconds:.1f} s"
    return [
        Table(title, ("what", "MiB", "times raw float32"), size),
        _openings(path, vectors, definition["openings"]),
    ]


@dataclass(frozen=True)
class Opening:
    """What opening a collection in a new process took, and the process's memory."""

    open_seconds: float
    search_seconds: tuple[float, float]
    """The first search and the second."""
    bytes_before: int | None
    bytes_opened: int | None
    bytes_searched: int | None
    bytes_at_most: int


def _openings(path: Path, vectors: FloatArray, openings: int) -> Table:
    rows: list[tuple[str | float, ...]] = []
    for cached in (True, False):
        seen = [in_fresh_process(opening, path, vectors[0], cached) for _ in range(openings)]
        last = seen[-1]
        memory = last.bytes_before, last.bytes_opened, last.bytes_searched, last.bytes_at_most
        rows.append(
            (
                "files cached by the system" if cached else "files dropped from its cache",
                median(each.open_seconds for each in seen) * 1e3,
                median(each.search_seconds[0] for each in seen) * 1e3,
                median(each.search_seconds[1] for each in seen) * 1e3,
                *map(in_mib, memory),
            )
        )
    columns = (
        "opening",
        "ms to open",
        "ms first search",
        "ms second search",
        "MiB before",
        "MiB opened",
        "MiB searched",
        "MiB at most",
    )
    return Table(f"Opening {len(vectors):,} records in a new process", columns, rows)


def opening(path: Path, query: FloatArray, cached: bool) -> Opening:
    """Open a collection in this process and search it twice."""
    if not cached:
        drop_from_cache(path)
    before = resident_bytes()
    start = time.perf_counter()
    with rac.open(path) as database:
        collection = database.collection("records")
        opened = time.perf_counter()
        after_opening = resident_bytes()
        times = [time.perf_counter()]
        for _ in range(2):
            collection.search(query)
            times.append(time.perf_counter())
        return Opening(
            opened - start,
            (times[1] - times[0], times[2] - times[1]),
            before,
            after_opening,
            resident_bytes(),
            peak_resident_bytes(),
        )
