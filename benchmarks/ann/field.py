"""The contenders of a subject: those that are installed, open and ready, and why others are not."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.ann.artefacts import METRIC, Artefact, artefact
from benchmarks.ann.cache import say
from benchmarks.ann.contenders.contender import IntArray
from benchmarks.ann.datasets import Dataset
from benchmarks.ann.specification import Specification
from benchmarks.ann.worker import SEARCH_THREADS, Opened, Worker, WorkerDiedError


@dataclass(frozen=True)
class Ready:
    """A contender that has its index open and the queries in its memory."""

    specification: Specification
    dataset: Dataset
    artefact: Artefact
    worker: Worker
    opened: Opened

    @property
    def name(self) -> str:
        return self.specification.name


@contextmanager
def field(
    specifications: Sequence[Specification],
    dataset: Dataset,
    build_threads: int,
    notes: list[str],
    columns: Mapping[str, IntArray] | None = None,
) -> Iterator[dict[str, Ready]]:
    """All contenders, each in its process; one that fails is left out with a note."""
    with TemporaryDirectory() as logs, ExitStack() as stack:
        ready: dict[str, Ready] = {}
        for number, one in enumerate(specifications):
            try:
                made = artefact(one, dataset, build_threads, columns)
                log = Path(logs) / f"{number}.txt"
                worker = stack.enter_context(start(one, dataset, log))
                opened = worker.call("open", made.files)
                worker.call("prepare", dataset.queries)
                ready[one.name] = Ready(one, dataset, made, worker, opened)
            except WorkerDiedError as error:
                if one.is_ours:
                    raise
                say(str(error))
                notes.append(f"Left out, because it failed: {error}")
        yield ready


def start(one: Specification, dataset: Dataset, log: Path, **options: Any) -> Worker:
    """A worker that searches with one thread."""
    dimension = dataset.rows.shape[1]
    return Worker(one, dimension, METRIC, threads=SEARCH_THREADS, log=log, **options)
