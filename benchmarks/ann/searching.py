"""Searches by one thread, one query at a time: throughput at equal recall, latency, memory."""

from collections.abc import Mapping
from typing import Any

from benchmarks.ann.datasets import Dataset, load
from benchmarks.ann.field import Ready, field
from benchmarks.ann.specification import specifications
from benchmarks.ann.sweep import Point, Reached, ask_all, at_recall, sweep
from benchmarks.processes import MIB
from benchmarks.results import Goal, Outcome, Table

SUMMARY = "queries/s at equal recall"
CURVE = "every point"
CURVE_COLUMNS = (
    "contender",
    "knob",
    "value",
    "recall@10",
    "queries/s",
    "p50 µs",
    "p99 µs",
    "p99/p50",
    "p99/p50 of medians",
)


def run(definition: Mapping[str, Any]) -> Outcome:
    """Sweep every set."""
    chosen, notes = specifications(definition["contenders"], definition.get("overrides"))
    tables, goals, rounds = [], [], {}
    for name in definition["sets"]:
        dataset = load(name, definition)
        if dataset is None:
            notes.append(f"The set {name} was left out: its source is not on this machine.")
            continue
        with field(chosen, dataset, definition["threads"], notes) as ready:
            points = sweep(ready, rounds=definition["rounds"], block=definition["block"])
            defaults = _at_defaults(ready, definition["block"])
            memory = {key: one.worker.call("resident")[0] for key, one in ready.items()}
        reached = {
            wanted: {key: at_recall(many, wanted) for key, many in points.items()}
            for wanted in definition["recalls"]
        }
        tables.append(_summary(dataset, ready, points, reached, memory))
        tables.append(_curve(dataset, ready, points))
        goals += _goals(dataset, ready, points, reached, definition)
        least = definition["recalls"][0]
        goals += [
            Goal(f"{name}: {key}: recall@10 at the default setting", least, found)
            for key, found in defaults.items()
        ]
        rounds[name] = {
            f"{key}, {ready[key].specification.knob} {point.knob}": point.seconds()
            for key, many in points.items()
            for point in many
        }
    return Outcome(tables, goals, notes, rounds)


def _summary(
    dataset: Dataset,
    ready: Mapping[str, Ready],
    points: Mapping[str, list[Point]],
    reached: Mapping[float, Mapping[str, Reached | None]],
    memory: Mapping[str, int],
) -> Table:
    columns = ["contender", "kind"]
    for wanted in reached:
        columns += [f"queries/s at {wanted}", f"knob at {wanted}"]
    columns += [
        "p50 µs",
        "p99 µs",
        "p99/p50",
        "p99/p50 of medians",
        "MiB resident",
        "of it the index",
        "disk / raw",
    ]
    rows: list[tuple[str | float, ...]] = []
    raw = dataset.rows.nbytes
    for name, one in ready.items():
        row: list[str | float] = [name, one.specification.kind]
        for of_all in reached.values():
            row += _reached_cells(of_all[name], one.specification.knob)
        point = _operating_point(points[name], next(iter(reached)))
        p50, p99 = point.percentile(50), point.percentile(99)
        row += [p50 / 1e3, p99 / 1e3, p99 / p50, point.spread_of_queries()]
        row += [memory[name] / MIB, (memory[name] - one.opened.resident_before) / MIB]
        row.append(one.artefact.disk_bytes / raw)
        rows.append(tuple(row))
    title = f"{dataset.name}: {SUMMARY}; {dataset.description}"
    return Table(title, tuple(columns), rows)


def _reached_cells(reached: Reached | None, knob: str) -> list[str | float]:
    if reached is None:
        return ["not reached", ""]
    sign = "" if reached.interpolated else "<= "
    return [reached.throughput, f"{knob} {sign}{reached.knob:.0f}"]


def _at_defaults(ready: Mapping[str, Ready], block: int) -> dict[str, float]:
    """The recall of those that are measured at their default too."""
    asked = {name: one for name, one in ready.items() if one.specification.default is not None}
    if not asked:
        return {}
    knobs = {name: one.specification.default or 0 for name, one in asked.items()}
    answers = ask_all(asked, knobs, block, turn=0)
    return {name: asked[name].dataset.recall(one.ids) for name, one in answers.items()}


def _operating_point(points: list[Point], wanted: float) -> Point:
    """The first point with the recall, whose latency is told; the last where none has it."""
    return next((point for point in points if point.recall >= wanted), points[-1])


def _curve(
    dataset: Dataset, ready: Mapping[str, Ready], points: Mapping[str, list[Point]]
) -> Table:
    rows: list[tuple[str | float, ...]] = []
    for name, many in points.items():
        for point in many:
            p50, p99 = point.percentile(50), point.percentile(99)
            knob = ready[name].specification.knob
            cells = point.knob, point.recall, point.throughput(), p50 / 1e3, p99 / 1e3, p99 / p50
            rows.append((name, knob, *cells, point.spread_of_queries()))
    return Table(f"{dataset.name}: {CURVE}", CURVE_COLUMNS, rows)


def _goals(
    dataset: Dataset,
    ready: Mapping[str, Ready],
    points: Mapping[str, list[Point]],
    reached: Mapping[float, Mapping[str, Reached | None]],
    definition: Mapping[str, Any],
) -> list[Goal]:
    ours = next((name for name, one in ready.items() if one.specification.is_ours), None)
    if ours is None:
        return []
    goals = []
    for goal in definition["goal_faster"]:
        of_all = reached[goal["recall"]]
        rivals = {
            name: one
            for name, one in of_all.items()
            if one is not None and ready[name].specification.kind == goal["than"]
        }
        mine = of_all[ours]
        if not rivals or mine is None:
            continue
        best = max(rivals, key=lambda name: rivals[name].throughput)
        ratio = mine.over(rivals[best])
        what = (
            f"{dataset.name}: queries/s at recall {goal['recall']} / those of {best}, "
            f"the best {goal['than']}"
        )
        goals.append(Goal(what, goal["times"], ratio.median, str(ratio)))
    point = _operating_point(points[ours], definition["recalls"][0])
    tail = point.percentile(99) / point.percentile(50)
    what = f"{dataset.name}: p99 / p50 of single queries"
    spread = f"{tail:.2f} ({point.spread_of_queries():.2f} of the queries' medians)"
    goals.append(Goal(what, definition["goal_tail"], tail, spread, at_most=True))
    return goals
