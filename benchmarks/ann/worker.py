"""A contender in a process of its own: its own memory and threads, and no other library beside it.

The process that measures tells the workers one after the other what to do, so only one of them
ever works, and a contender that dies takes nothing with it.
"""

import gc
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.ann.contenders.contender import Contender, FloatArray, IntArray, Window
from benchmarks.ann.specification import Specification
from benchmarks.processes import peak_resident_bytes, pinned, resident_bytes

# One thread searches; what a library does behind its back shall not take a second core.
SEARCH_THREADS = 1
# Queries before the timed ones of a block: the contender before has used the caches.
WARMING = 20


class WorkerDiedError(RuntimeError):
    """A contender's process has failed; the message has the end of what it printed."""


@dataclass(frozen=True)
class Answers:
    """What a block of queries found, and the nanoseconds of each."""

    ids: IntArray
    nanoseconds: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Opened:
    seconds: float
    resident_before: int
    """After Python and NumPy, before the contender's own library."""


class Worker(AbstractContextManager["Worker"]):
    """Calls methods of an `_Inside` in another process."""

    def __init__(
        self,
        specification: Specification,
        dimension: int,
        metric: str,
        *,
        threads: int,
        log: Path,
        group: AbstractContextManager[object] | None = None,
    ) -> None:
        self.name = specification.name
        self._log = log
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, specification, dimension, metric, log)
        self._process = context.Process(target=_serve, args=arguments, daemon=False)
        before = dict(os.environ)
        os.environ.update(pinned(threads))
        try:
            with group or nullcontext():
                self._process.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        theirs.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, method: str, *arguments: Any) -> Any:
        """Run a method over there and wait for what it returns."""
        try:
            self._pipe.send((method, arguments))
            failed, result = self._pipe.recv()
        except (EOFError, OSError) as error:
            self._process.join(10)
            code = self._process.exitcode
            raise WorkerDiedError(f"{self.name}: exit {code}; {self._said()}") from error
        if failed:
            raise WorkerDiedError(f"{self.name}: {result}")
        return result

    def close(self) -> None:
        """End the process; a contender that hangs is ended too."""
        self._pipe.close()
        self._process.join(20)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _said(self) -> str:
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return text[-400:].strip()


class _Inside:
    """What runs in the worker's process."""

    def __init__(self, specification: Specification, dimension: int, metric: str) -> None:
        self._specification = specification
        self._dimension = dimension
        self._metric = metric
        self._contender: Contender
        self._queries: FloatArray

    def build(self, rows: Path, folder: Path, threads: int, columns: Path) -> tuple[float, int]:
        """Seconds, and the most memory that it took beyond the rows themselves."""
        # Read, not mapped: a contender that reads them twice must not wait for the disk.
        vectors = np.load(rows)
        with np.load(columns) as file:
            named = dict(file)
        contender = self._specification.contender(self._dimension, self._metric)
        start = time.perf_counter()
        contender.build(vectors, folder, threads, named)
        seconds = time.perf_counter() - start
        return seconds, peak_resident_bytes() - vectors.nbytes

    def open(self, folder: Path) -> Opened:
        before = resident_bytes() or 0
        start = time.perf_counter()
        self._contender = self._specification.contender(self._dimension, self._metric)
        self._contender.open(folder)
        return Opened(time.perf_counter() - start, before)

    def prepare(self, queries: FloatArray) -> None:
        self._queries = queries

    def tune(self, knob: int) -> None:
        self._contender.tune(knob)

    def ask(self, first: int, last: int, limit: int, where: list[Window] | None) -> Answers:
        """Time the queries from `first` to before `last`, each with its own filter if any."""
        search = self._asker(limit, where)
        # Other queries than the timed ones, which must not find their own way warm.
        for index in range(first - WARMING, first):
            search(index)
        gc.collect()
        gc.disable()
        clock = time.perf_counter_ns
        found, spent = [], []
        for index in range(first, last):
            start = clock()
            ids = search(index)
            spent.append(clock() - start)
            found.append(ids)
        gc.enable()
        return Answers(_table(found, limit), np.array(spent))

    def ask_together(self, count: int, limit: int, exact: bool) -> float:
        """Seconds of one call with the first queries."""
        contender: Any = self._contender
        start = time.perf_counter()
        contender.search_many(self._queries[:count], limit, exact=exact)
        return time.perf_counter() - start

    def ask_from_threads(self, threads: int, limit: int) -> float:
        """Seconds until so many threads of Python have asked all queries, each its part."""
        search = self._asker(limit, None)
        barrier = threading.Barrier(threads + 1)

        def ask(part: int) -> None:
            barrier.wait()
            for index in range(part, len(self._queries), threads):
                search(index)

        with ThreadPoolExecutor(threads) as pool:
            parts = [pool.submit(ask, part) for part in range(threads)]
            barrier.wait()
            start = time.perf_counter()
            for part in parts:
                part.result()
            return time.perf_counter() - start

    def _asker(self, limit: int, where: list[Window] | None) -> Callable[[int], Any]:
        queries, contender = self._queries, self._contender
        if where is None:
            ask = contender.search
            return lambda index: ask(queries[index], limit)
        ask_where: Any = contender.search_where  # type: ignore[attr-defined]
        return lambda index: ask_where(queries[index], limit, where[index])

    def change(self, method: str, *arguments: Any) -> float:
        """Seconds of one of the methods of `Updates`."""
        start = time.perf_counter()
        getattr(self._contender, method)(*arguments)
        return time.perf_counter() - start

    def resident(self) -> tuple[int, int]:
        """Resident bytes now and at most."""
        return resident_bytes() or 0, peak_resident_bytes()


def _table(found: list[Any], limit: int) -> IntArray:
    """Ids as rows of equal length; -1 where fewer came back than were asked for."""
    table = np.full((len(found), limit), -1, dtype=np.int64)
    for row, ids in zip(table, found, strict=True):
        row[: len(ids)] = np.asarray(ids, dtype=np.int64)
    return table


def _serve(pipe: Any, specification: Specification, dimension: int, metric: str, log: Path) -> None:
    # Libraries talk on both; the report is on the other process's.
    with log.open("w") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    inside = _Inside(specification, dimension, metric)
    while True:
        try:
            method, arguments = pipe.recv()
        except EOFError:
            return
        try:
            answer = False, getattr(inside, method)(*arguments)
        # Whatever it is, the process that measures must hear of it.
        except Exception as error:
            answer = True, f"{type(error).__name__}: {error}"
        pipe.send(answer)
