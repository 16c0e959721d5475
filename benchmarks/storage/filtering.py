"""Filtered searches, of which a tenth of the rows pass, against unfiltered ones."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.contenders import in_turns
from benchmarks.measure import Ratio
from benchmarks.results import Goal, Outcome, Table
from benchmarks.storage.contenders.store import RANKS, number_of
from benchmarks.storage.field import Contender, contenders, created, data, load


@dataclass(frozen=True)
class Seen:
    """Seconds of all queries and the recall, without the filter and with it."""

    plain: float
    filtered: float
    plain_recall: float
    filtered_recall: float


def run(definition: Mapping[str, Any]) -> Outcome:
    """Every contender in a process of its own, round by round."""
    chosen, notes = contenders(definition["contenders"])
    seen = in_turns(chosen, definition["rounds"], notes, measure, dict(definition))
    rows: list[tuple[str | float, ...]] = []
    goals = []
    for name, many in seen.items():
        ratio = Ratio.of([one.filtered for one in many], [one.plain for one in many])
        each = 1e6 / definition["queries"]
        times = median(one.plain for one in many), median(one.filtered for one in many)
        recalls = (
            median(one.plain_recall for one in many),
            median(one.filtered_recall for one in many),
        )
        rows.append((name, times[0] * each, times[1] * each, str(ratio), *recalls))
        if any(one.name == name and one.ours for one in chosen):
            what = f"{name}: time with the filter / without"
            goal = definition["goal_slower"]
            goals.append(Goal(what, goal, ratio.median, str(ratio), at_most=True))
            what = f"{name}: recall@10 with the filter"
            goals.append(Goal(what, recalls[0] - definition["tolerance"], recalls[1]))
    columns = (
        "contender",
        "µs a query",
        "µs with the filter",
        "times",
        "recall",
        "recall filtered",
    )
    title = f"{definition['rows']:,} rows, of which {definition['share']:.0%} pass, anywhere"
    return Outcome([Table(title, columns, rows)], goals, notes)


def measure(contender: Contender, definition: Mapping[str, Any]) -> Seen:
    """Measure one contender in this process: each query plain and filtered, one after the other."""
    made = data(definition)
    limit, below = definition["limit"], round(definition["share"] * RANKS)
    spent = [0.0, 0.0]
    found: tuple[list[list[int]], list[list[int]]] = ([], [])
    with created(contender, definition["dimension"]) as store:
        load(store, made.rows, definition["batch"])
        time.sleep(1.0)
        for query in made.queries[:10]:
            store.search(query, limit)
            store.search(query, limit, below)
        for query in made.queries:
            for index, bound in enumerate((None, below)):
                start = time.perf_counter()
                ids = store.search(query, limit, bound)
                spent[index] += time.perf_counter() - start
                found[index].append(list(ids))
    passing = [row for row in range(len(made.rows)) if number_of(row) < below]
    return Seen(*spent, made.recall(found[0], limit), made.recall(found[1], limit, passing=passing))
