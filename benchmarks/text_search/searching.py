"""Search by words on one thread: speed at the same top ten, the time and the bytes of an index."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.contenders import in_turns
from benchmarks.measure import Ratio
from benchmarks.results import Goal, Outcome, Table
from benchmarks.text_search.oracle import Oracle
from benchmarks.text_search.texts import Contender, contenders, mixed_texts, questions


@dataclass(frozen=True)
class Seen:
    """One round of one contender."""

    indexing: float
    index_bytes: int
    seconds: list[float]
    """Of each query."""
    found: list[list[int]]


def run(definition: Mapping[str, Any]) -> Outcome:
    """Every contender in a process of its own, round by round."""
    chosen, notes = contenders(definition["contenders"])
    texts, description = mixed_texts(definition["rows"])
    queries = questions(texts, definition["queries"])
    limit = definition["limit"]
    notes.append(f"Texts: {description}.")
    seen = in_turns(chosen, definition["rounds"], notes, measure, texts, queries, limit)
    agreement = _agreement(seen, texts, queries, limit, notes)
    ours = next(one.name for one in chosen if one.ours)
    rates = {name: [1 / mean(one.seconds) for one in many] for name, many in seen.items()}
    rows: list[tuple[str | float, ...]] = [
        (
            name,
            median(rates[name]),
            str(Ratio.of(rates[name], rates[ours])),
            *(float(np.percentile([s for one in many for s in one.seconds], p)) * 1e6
              for p in (50, 99)),
            agreement.get(name, "unknown"),
            median(one.indexing for one in many),
            many[-1].index_bytes / 1e6,
        )
        for name, many in seen.items()
    ]  # fmt: skip
    goals = []
    if ours in agreement:
        wanted = definition["goal_of_oracle"]
        goals.append(Goal(f"{ours}: part of the oracle's ten", wanted, float(agreement[ours])))
    for name in seen:
        if name != ours:
            over = Ratio.of(rates[ours], rates[name])
            goals.append(Goal(f"{ours}: queries/s over {name}", 1.0, over.median, str(over)))
    columns = (
        "contender",
        "queries/s",
        "times ours",
        "us a query (median)",
        "us (p99)",
        f"of the oracle's {limit}",
        "seconds until searchable",
        "index, MB on disk",
    )
    title = f"{len(texts):,} texts, {len(queries)} queries of 1 to 5 words, top {limit}, one thread"
    return Outcome([Table(title, columns, rows)], goals, notes, {"queries/s": rates})


def measure(contender: Contender, texts: Sequence[str], queries: Sequence[str], limit: int) -> Seen:
    """Measure one contender in this process."""
    contender.import_package()
    with TemporaryDirectory() as folder:
        engine = contender.engine(Path(folder))
        start = time.perf_counter()
        engine.index(texts)
        indexing = time.perf_counter() - start
        found = [list(engine.search(query, limit)) for query in queries]
        seconds = []
        for query in queries:
            start = time.perf_counter()
            engine.search(query, limit)
            seconds.append(time.perf_counter() - start)
        size = engine.index_bytes()
        engine.close()
    return Seen(indexing, size, seconds, found)


def _agreement(
    seen: Mapping[str, list[Seen]],
    texts: Sequence[str],
    queries: Sequence[str],
    limit: int,
    notes: list[str],
) -> dict[str, float]:
    try:
        oracle = Oracle(texts)
    except ImportError:
        notes.append("Without PyStemmer there is no oracle.")
        return {}
    return {
        name: mean(
            oracle.agreement(query, found, limit)
            for query, found in zip(queries, many[-1].found, strict=True)
        )
        for name, many in seen.items()
        if many
    }
