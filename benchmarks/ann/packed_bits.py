"""Hamming distances of packed bits: one query at a time and in a batch, by comparing all rows."""

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.ann.datasets import load
from benchmarks.data import SEED
from benchmarks.measure import interleave
from benchmarks.results import Outcome, Table

Bytes = npt.NDArray[np.uint8]

COLUMNS = ("contender", "what", "microseconds a query", "GB of rows a second", "over ours")


def run(definition: Mapping[str, Any]) -> Outcome:
    """The signs of real embeddings, and as many random bits as a long code has."""
    notes: list[str] = []
    tables, rounds = [], {}
    for case in definition["cases"]:
        data = _data(case, definition)
        if data is None:
            notes.append(f"{case['data']} was left out: its source is not on this machine.")
            continue
        rows, queries = data
        with tempfile.TemporaryDirectory() as folder:
            ours = _ours(rows, Path(folder))
            faiss = _faiss(rows, notes)
            contenders = {"rust_ai_core": ours} | (
                {"FAISS IndexBinaryFlat": faiss} if faiss else {}
            )
            title = f"{case['data']}: {len(rows):,} rows of {rows.shape[1] * 8} bits"
            cells: list[tuple[str | float, ...]] = []
            for what, ask in _cases(queries, definition):
                if (
                    len({_distances(search, queries, definition) for search in contenders.values()})
                    > 1
                ):
                    raise RuntimeError(f"{title}: the contenders' distances differ")
                timings = interleave(
                    {name: partial(ask, one) for name, one in contenders.items()},
                    definition["rounds"],
                )
                rounds[f"{title}: {what}"] = dict(timings.seconds)
                for name in contenders:
                    each = timings.median(name) / len(queries)
                    ratio = timings.speedup("rust_ai_core", over=name)
                    cells.append((name, what, each * 1e6, rows.nbytes / each / 1e9, str(ratio)))
            tables.append(Table(title, COLUMNS, cells))
    return Outcome(tables, [], notes, rounds)


Search = Callable[[Bytes, int], npt.NDArray[Any]]


def _data(case: Mapping[str, Any], definition: Mapping[str, Any]) -> tuple[Bytes, Bytes] | None:
    count = definition["queries"]
    if case["data"] == "random":
        random = np.random.default_rng(SEED)
        shape = case["rows"] + count, case["bits"] // 8
        every = random.integers(0, 256, shape, dtype=np.uint8)
        return every[count:], every[:count]
    dataset = load(case["data"], definition)
    if dataset is None:
        return None
    packed = [np.packbits(vectors > 0, axis=1) for vectors in (dataset.rows, dataset.queries)]
    return packed[0], packed[1][:count]


def _cases(
    queries: Bytes, definition: Mapping[str, Any]
) -> list[tuple[str, Callable[[Search], object]]]:
    limit = definition["limit"]

    def singly(search: Search) -> None:
        for query in queries:
            search(query[None], limit)

    return [
        ("one query a call", singly),
        (f"{len(queries)} queries a call", lambda search: search(queries, limit)),
    ]


def _distances(search: Search, queries: Bytes, definition: Mapping[str, Any]) -> bytes:
    return np.asarray(search(queries, definition["limit"]), dtype=np.int64).tobytes()


def _ours(rows: Bytes, folder: Path) -> Search:
    import rust_ai_core as rac

    database = rac.open(folder / "bits.rac", durability="batch")
    collection = database.collection("bits", dimension=rows.shape[1] * 8, metric="hamming")
    for start in range(0, len(rows), 50_000):
        part = rows[start : start + 50_000]
        collection.upsert(range(start, start + len(part)), part)
    collection.compact()
    collection.optimize(progress=False)

    def search(queries: Bytes, limit: int) -> npt.NDArray[Any]:
        return collection.search_batch(queries, limit=limit)[1]

    return search


def _faiss(rows: Bytes, notes: list[str]) -> Search | None:
    try:
        import faiss
    except ImportError:
        notes.append("FAISS was left out: it is not installed.")
        return None
    index = faiss.IndexBinaryFlat(rows.shape[1] * 8)
    index.add(rows)

    def search(queries: Bytes, limit: int) -> npt.NDArray[Any]:
        found: npt.NDArray[Any] = index.search(queries, limit)[0]
        return found

    return search
