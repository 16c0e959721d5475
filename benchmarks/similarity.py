"""Kernels: pairs against Python sums and `numpy.dot`; a query against rows of every type."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from benchmarks.measure import Timings, interleave
from benchmarks.results import Goal, Outcome, Table
from rust_ai_core import fast_vector_similarity, similarity

Similarity = Callable[[Any, Any], float]
Array = npt.NDArray[Any]
Distances = Callable[[Any, Any], Any]

OURS = "fast_vector_similarity"
OURS_MANY = "rust_ai_core"
NUMPY = "numpy"


def run(definition: Mapping[str, Any]) -> Outcome:
    """Measure pairs of lists and of arrays, then a query against rows of every type."""
    pairs, many = _pairs(definition), _many(definition)
    return Outcome(
        pairs.tables + many.tables,
        pairs.goals + many.goals,
        pairs.notes + many.notes,
        {**pairs.rounds, **many.rounds},
    )


def _pairs(definition: Mapping[str, Any]) -> Outcome:
    random = np.random.default_rng(0)
    pair = random.standard_normal((2, definition["dimension"]))
    halves = pair.astype(np.float32)
    python: dict[str, Similarity] = {
        "sum(x * y for ...)": _generator_sum,
        "sum(map(mul, a, b))": _mapped_sum,
    }
    cases: dict[str, tuple[Any, Any, dict[str, Similarity]]] = {
        "two lists": (pair[0].tolist(), pair[1].tolist(), python),
        "two float64 arrays": (pair[0], pair[1], {"numpy.dot": np.dot}),
        "two float32 arrays": (halves[0], halves[1], {"numpy.dot": np.dot}),
    }
    tables, goals, rounds = [], [], {}
    for name, (a, b, peers) in cases.items():
        functions: dict[str, Similarity] = {OURS: fast_vector_similarity, **peers}
        calls = definition["calls_each_round"]
        contenders = {peer: _repeat(function, a, b, calls) for peer, function in functions.items()}
        timings = interleave(contenders, definition["rounds"])
        tables.append(_table(f"{name} of {len(a)}", functions, a, b, timings, calls))
        peer = next(iter(peers))
        ratio = timings.speedup(OURS, over=peer)
        key = "goal_faster_than_python" if name == "two lists" else "goal_faster_than_numpy_dot"
        what = f"{name}: times faster than {peer}"
        goals.append(Goal(what, definition[key], ratio.median, str(ratio)))
        rounds[name] = timings.seconds
    return Outcome(tables, goals, [], rounds)


def _generator_sum(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b))  # noqa: B905


def _mapped_sum(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(map(operator.mul, a, b))


def _repeat(function: Similarity, a: Any, b: Any, calls: int) -> Callable[[], None]:
    def run_all() -> None:
        for _ in range(calls):
            function(a, b)

    return run_all


def _table(
    title: str,
    functions: Mapping[str, Similarity],
    a: Any,
    b: Any,
    timings: Timings,
    calls: int,
) -> Table:
    exact = float(np.dot(np.asarray(a, np.float64), np.asarray(b, np.float64)))
    rows: list[tuple[str | float, ...]] = [
        (
            name,
            timings.median(name) / calls * 1e9,
            str(timings.speedup(OURS, over=name)),
            f"{abs(float(function(a, b)) - exact) / abs(exact):.1e}",
        )
        for name, function in functions.items()
    ]
    columns = ("contender", "ns a call", f"{OURS}'s speed over it", "relative error")
    return Table(title, columns, rows)


def _many(definition: Mapping[str, Any]) -> Outcome:
    """A query against the rows of a matrix of each type, scores for all of them."""
    count, width = definition["rows"], definition["dimension"]
    random = np.random.default_rng(1)
    values = random.standard_normal((count + 1, width))
    codes = np.clip(np.round(values * 32), -127, 127).astype(np.int8)
    bits = np.packbits(values > 0, axis=1)
    tables, goals, rounds = [], [], {}
    for name, matrix in {
        "float64": values,
        "float32": values.astype(np.float32),
        "float16": values.astype(np.float16),
        "bfloat16": values.astype(ml_dtypes.bfloat16),
        "int8": codes,
        "bits": bits,
    }.items():
        query, rows = matrix[0], matrix[1:]
        functions = _bit_contenders() if name == "bits" else _dot_contenders(name)
        contenders = {peer: _once(function, query, rows) for peer, function in functions.items()}
        timings = interleave(contenders, definition["rounds"])
        title = f"{name}: a query against {count:,} rows of {width}"
        tables.append(_rows_table(title, rows, timings))
        ratio = timings.speedup(OURS_MANY, over=NUMPY)
        what = f"{name} rows: times faster than {NUMPY}"
        goals.append(
            Goal(what, definition["goal_rows_faster_than_numpy"], ratio.median, str(ratio))
        )
        rounds[title] = timings.seconds
    return Outcome(tables, goals, [], rounds)


def _dot_contenders(name: str) -> dict[str, Distances]:
    """Dot products of a query with all rows, in the widest type that each does quickly."""
    # NumPy has no product of int8 or bfloat16 that keeps what float32 keeps without a conversion.
    wide = np.float64 if name == "float64" else np.float32
    return {
        OURS_MANY: similarity.dot_many,
        NUMPY: lambda query, rows: rows.astype(wide, copy=False) @ query.astype(wide, copy=False),
    }


def _bit_contenders() -> dict[str, Distances]:
    return {
        OURS_MANY: similarity.hamming_many,
        NUMPY: lambda query, rows: np.bitwise_count(query ^ rows).sum(axis=1, dtype=np.uint32),
    }


def _once(function: Distances, query: Array, rows: Array) -> Callable[[], None]:
    def run_once() -> None:
        function(query, rows)

    return run_once


def _rows_table(title: str, rows: Array, timings: Timings) -> Table:
    lines: list[tuple[str | float, ...]] = [
        (
            name,
            timings.median(name) / len(rows) * 1e9,
            rows.nbytes / timings.median(name) / 1e9,
            str(timings.speedup(OURS_MANY, over=name)),
        )
        for name in timings.seconds
    ]
    columns = ("contender", "ns a row", "GB/s", f"{OURS_MANY}'s speed over it")
    return Table(title, columns, lines)
