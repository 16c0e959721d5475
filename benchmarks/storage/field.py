"""The contenders of a subject, as contenders.toml names them, each called in its own process."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.contenders import Listed, listed
from benchmarks.data import gaussian_vectors, sentence_vectors
from benchmarks.storage.contenders.store import FloatArray, Store

HERE = Path(__file__).resolve().parent
PERTURBATION = 0.25


@dataclass(frozen=True)
class Contender(Listed):
    """A database, by the class that speaks to it."""

    durable: str = ""
    """What a write has waited for when the call returns."""

    def store(self, folder: Path, dimension: int) -> Store:
        """A new one, in the process that is going to use it."""
        made: Store = self.adapter_class("benchmarks.storage.contenders")(folder, dimension)
        return made


def contenders(names: Sequence[str]) -> tuple[list[Contender], list[str]]:
    """Those of these names that are installed, and notes about versions and absences."""
    return listed(HERE / "contenders.toml", names, Contender)


@contextmanager
def created(contender: Contender, dimension: int) -> Iterator[Store]:
    """An empty database in a folder that goes with it."""
    with TemporaryDirectory() as folder:
        store = contender.store(Path(folder), dimension)
        store.create()
        try:
            yield store
        finally:
            store.close()


def load(store: Store, rows: FloatArray, batch: int) -> None:
    """Write rows from number 0 on, and index them."""
    for first in range(0, len(rows), batch):
        store.insert(first, rows[first : first + batch])
    store.index()


@dataclass(frozen=True)
class Data:
    """Rows to load and queries with the score that each one's last true neighbour has."""

    rows: FloatArray
    queries: FloatArray
    description: str

    def recall(
        self, found: Sequence[Sequence[int]], limit: int, passing: Sequence[int] | None = None
    ) -> float:
        """The part of the true neighbours (among the rows that pass) that was found."""
        allowed = np.arange(len(self.rows)) if passing is None else np.asarray(passing)
        right = 0
        for query, ids in zip(self.queries, found, strict=True):
            scores = self.rows[allowed] @ query
            last = np.partition(scores, -limit)[-limit]
            kept = np.array(sorted({int(one) for one in ids if one is not None}), dtype=np.int64)
            kept = kept[np.isin(kept, allowed)]
            right += min(limit, int((self.rows[kept] @ query >= last - 1e-6).sum()))
        return right / (len(found) * limit)


def data(definition: Mapping[str, Any]) -> Data:
    """Real vectors where ../shared is, else made ones."""
    count, queries, dimension = (definition[key] for key in ("rows", "queries", "dimension"))
    made = sentence_vectors(count, queries, dimension, PERTURBATION)
    made = made or gaussian_vectors(count, queries, dimension)
    return Data(made.rows, made.queries, made.description)
