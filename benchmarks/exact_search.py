"""Exact search in a collection against NumPy's `argpartition(-(rows @ query), k)`."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

import rust_ai_core as rac
from benchmarks.data import FloatArray, VectorSet, gaussian_vectors, sentence_vectors
from benchmarks.measure import Timings, interleave
from benchmarks.results import Goal, Outcome, Table

NUMPY = "numpy argpartition"
LOAD_BATCH = 10_000

Answers = npt.NDArray[np.int64]
Metric = Literal["cosine", "dot"]


def run(definition: Mapping[str, Any]) -> Outcome:
    """Measure every case of the definition."""
    tables, goals, notes, rounds = [], [], [], {}
    for case in definition["cases"]:
        vectors = _vectors(case["data"], definition)
        if vectors is None:
            notes.append(f"{case['data']} vectors were left out: there is no ../shared.")
            continue
        name = f"{case['data']}, {case['metric']}"
        answers, timings = _measure(vectors, case["metric"], definition)
        tables.append(_table(name, vectors, answers, timings, definition))
        ratio = timings.speedup("search", over=NUMPY)
        wanted = definition["goal_faster_than_numpy"]
        what = f"{name}: collection.search, times faster than {NUMPY}"
        goals.append(Goal(what, wanted, ratio.median, str(ratio)))
        rounds[name] = timings.seconds
    return Outcome(tables, goals, notes, rounds)


def _vectors(data: str, definition: Mapping[str, Any]) -> VectorSet | None:
    size = definition["rows"], definition["queries_each_round"], definition["dimension"]
    if data == "gaussian":
        return gaussian_vectors(*size)
    return sentence_vectors(*size, definition["perturbation"])


def _measure(
    vectors: VectorSet, metric: Metric, definition: Mapping[str, Any]
) -> tuple[dict[str, Answers], Timings]:
    """Each contender's answers to the queries, and its seconds for all of them, one at a time."""
    limit = definition["limit"]
    rows, queries = vectors.rows, vectors.queries
    with (
        tempfile.TemporaryDirectory() as folder,
        rac.open(Path(folder) / "search.rac", durability="batch") as database,
    ):
        collection = database.collection("rows", dimension=rows.shape[1], metric=metric)
        for start in range(0, len(rows), LOAD_BATCH):
            batch = rows[start : start + LOAD_BATCH]
            collection.upsert(np.arange(start, start + len(batch)), batch)

        def search(query: FloatArray) -> list[Any]:
            return [hit.id for hit in collection.search(query, limit=limit)]

        def search_batch(query: FloatArray) -> Any:
            ids, _ = collection.search_batch([query], limit=limit)
            return ids[0]

        def argpartition(query: FloatArray) -> Answers:
            return np.argpartition(-(rows @ query), limit)[:limit]

        askers: dict[str, Callable[[FloatArray], Any]] = {
            "search": search,
            "search_batch of one": search_batch,
            NUMPY: argpartition,
        }
        answers = {
            name: np.array([ask(query) for query in queries], dtype=np.int64)
            for name, ask in askers.items()
        }
        contenders = {name: _all_of(ask, queries) for name, ask in askers.items()}
        return answers, interleave(contenders, definition["rounds"])


def _all_of(ask: Callable[[FloatArray], object], queries: FloatArray) -> Callable[[], None]:
    def run_all() -> None:
        for query in queries:
            ask(query)

    return run_all


def _table(
    name: str,
    vectors: VectorSet,
    answers: Mapping[str, Answers],
    timings: Timings,
    definition: Mapping[str, Any],
) -> Table:
    columns = (
        "contender",
        "ms a query",
        "queries/s",
        "times numpy's speed",
        "recall@k",
        "sets unlike numpy's",
        "wrong beyond ties",
    )
    table = []
    for contender, found in answers.items():
        seconds = timings.median(contender) / len(vectors.queries)
        recall, wrong = _accuracy(vectors, found, definition["tie"])
        unlike = sum(set(a) != set(b) for a, b in zip(found, answers[NUMPY], strict=True))
        ratio = str(timings.speedup(contender, over=NUMPY))
        table.append((contender, seconds * 1e3, 1 / seconds, ratio, recall, unlike, wrong))
    title = (
        f"{name}: {vectors.description}; top {definition['limit']}, {len(vectors.queries)} queries"
    )
    return Table(title, columns, table)


def _accuracy(vectors: VectorSet, found: Answers, tie: float) -> tuple[float, int]:
    """The recall against scores in f64, and how many queries got an id that is no tie either."""
    limit = found.shape[1]
    hits = wrong = 0
    for query, ids in zip(vectors.queries, found, strict=True):
        # All rows in f64 would take twice the memory of the rows; those that rounding in f32 could
        # have put below the last place are enough.
        rough = vectors.rows @ query
        last = np.partition(rough, -limit)[-limit]
        near = np.flatnonzero(rough >= last - 1e-4)
        near = np.union1d(near, ids)
        exact = vectors.rows[near].astype(np.float64) @ query.astype(np.float64)
        best = np.sort(exact)[-limit]
        score = dict(zip(near.tolist(), exact.tolist(), strict=True))
        good = [score[place] >= best - tie for place in ids.tolist()]
        hits += sum(good) if len(set(ids.tolist())) == limit else 0
        wrong += not all(good)
    return hits / found.size, wrong
