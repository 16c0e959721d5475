"""Latency at equal recall as the set grows tenfold and tenfold again."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from benchmarks.ann.datasets import load
from benchmarks.ann.field import Ready, field
from benchmarks.ann.specification import specifications
from benchmarks.ann.sweep import at_recall, sweep
from benchmarks.results import Goal, Outcome, Table

COLUMNS = (
    "contender",
    "rows",
    "µs a query at the recall",
    "knob",
    "times the latency of the size before",
    "seconds to build",
    "disk / raw",
)


def run(definition: Mapping[str, Any]) -> Outcome:
    """All sizes of all contenders are open at once and take turns."""
    notes: list[str] = []
    wanted = definition["recall"]
    descriptions = []
    with ExitStack() as stack:
        ready: dict[str, Ready] = {}
        sizes: dict[str, list[str]] = {}
        for size in definition["sizes"]:
            dataset = load(size["set"], definition)
            if dataset is None:
                return Outcome([], notes=[f"Left out: there is no source for {size['set']}."])
            descriptions.append(dataset.description)
            asked = [name for name in size["contenders"] if name in definition["contenders"]]
            chosen, versions = specifications(asked)
            notes += [note for note in versions if note not in notes]
            opened = field(chosen, dataset, definition["threads"], notes)
            for name, one in stack.enter_context(opened).items():
                key = f"{name}, {len(dataset.rows):,}"
                ready[key] = one
                sizes.setdefault(name, []).append(key)
        points = sweep(ready, rounds=definition["rounds"], block=definition["block"])
    reached = {key: at_recall(many, wanted) for key, many in points.items()}
    rows: list[tuple[str | float, ...]] = []
    goals = []
    for name, keys in sizes.items():
        before = None
        for key in keys:
            one, now = ready[key], reached[key]
            raw = one.dataset.rows.nbytes
            made = one.artefact.seconds, one.artefact.disk_bytes / raw
            count = len(one.dataset.rows)
            if now is None:
                rows.append((name, count, "not reached", "", "", *made))
                before = None
                continue
            growth = "" if before is None else before.over(now)
            knob = f"{one.specification.knob} {now.knob:.0f}"
            rows.append((name, count, 1e6 / now.throughput, knob, str(growth), *made))
            if before is not None and one.specification.is_ours:
                ratio = before.over(now)
                what = f"{name}: latency at {count:,} rows / at a tenth, recall {wanted}"
                goal = Goal(what, definition["goal_growth"], ratio.median, str(ratio), at_most=True)
                goals.append(goal)
            before = now
    rounds = {
        key: {f"knob {point.knob}": point.seconds() for point in many}
        for key, many in points.items()
    }
    title = f"Recall@10 of {wanted}; {'; '.join(descriptions)}"
    return Outcome([Table(title, COLUMNS, rows)], goals, notes, rounds)
