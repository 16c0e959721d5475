"""`fast_vector_similarity` against a Python sum on lists and `numpy.dot` on arrays."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.measure import Timings, interleave
from benchmarks.results import Goal, Outcome, Table
from rust_ai_core import fast_vector_similarity

Similarity = Callable[[Any, Any], float]

OURS = "fast_vector_similarity"


def run(definition: Mapping[str, Any]) -> Outcome:
    """Measure lists and both types of arrays."""
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
