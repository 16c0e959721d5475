"""The contenders of a subject, as contenders.toml names them, each called in its own process."""

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np

from benchmarks.data import gaussian_vectors, sentence_vectors
from benchmarks.processes import in_fresh_process
from benchmarks.storage.contenders.store import FloatArray, Store

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest and mypy bring it along

HERE = Path(__file__).resolve().parent
PERTURBATION = 0.25

Result = TypeVar("Result")


@dataclass(frozen=True)
class Contender:
    """A database, by the class that speaks to it."""

    name: str
    adapter: str
    package: str
    module: str
    durable: str
    ours: bool = False

    def import_package(self) -> None:
        """Load its module, so that opening a database does not."""
        importlib.import_module(self.module)

    def store(self, folder: Path, dimension: int) -> Store:
        """A new one, in the process that is going to use it."""
        module, _, name = self.adapter.partition(":")
        found = importlib.import_module(f"benchmarks.storage.contenders.{module}")
        made: Store = getattr(found, name)(folder, dimension)
        return made


def contenders(names: Sequence[str]) -> tuple[list[Contender], list[str]]:
    """Those of these names that are installed, and notes about versions and absences."""
    listed = tomllib.loads((HERE / "contenders.toml").read_text(encoding="utf-8"))
    unknown = sorted(set(names) - set(listed))
    if unknown:
        raise ValueError(f"no contender {', '.join(unknown)}; there are {', '.join(listed)}")
    present, versions, absent = [], {}, []
    for name in names:
        one = Contender(name, **listed[name])
        try:
            versions[one.package] = metadata.version(one.package)
            present.append(one)
        except metadata.PackageNotFoundError:
            absent.append(one.package)
    notes = [f"Measured: {', '.join(f'{name} {version}' for name, version in versions.items())}."]
    if absent:
        notes.append(f"Left out, because not installed: {', '.join(absent)}.")
    return present, notes


def in_turns(
    chosen: Sequence[Contender],
    rounds: int,
    notes: list[str],
    measure: Callable[..., Result],
    *arguments: Any,
) -> dict[str, list[Result]]:
    """What `measure(contender, *arguments)` returns in a process of its own, round by round.

    Each round begins with another contender. A peer that fails is left out, with a note.
    """
    results: dict[str, list[Result]] = {one.name: [] for one in chosen}
    failed: set[str] = set()
    for number in range(rounds):
        first = number % len(chosen)
        for one in [*chosen[first:], *chosen[:first]]:
            if one.name in failed:
                continue
            print(f"  round {number + 1}: {one.name}", file=sys.stderr, flush=True)
            try:
                results[one.name].append(in_fresh_process(measure, one, *arguments))
            # Whatever a peer dies of, the others are still to be measured.
            except Exception as error:
                if one.ours:
                    raise
                failed.add(one.name)
                notes.append(f"Left out, because it failed: {one.name}: {error!r}"[:300])
    return {name: many for name, many in results.items() if name not in failed}


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
