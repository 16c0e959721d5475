"""Filtered searches: recall and throughput by what part passes, near the query or not."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.ann.contenders.contender import Filters, FloatArray, IntArray, Window
from benchmarks.ann.datasets import Dataset, load, recall
from benchmarks.ann.field import Ready, field
from benchmarks.ann.specification import specifications
from benchmarks.ann.sweep import Point, ask_all
from benchmarks.results import Goal, Outcome, Table

# Both columns hold a row's rank, from 0 to one below this.
RANKS = 1_000
UNRELATED, PLACE = "random", "place"

COLUMNS = (
    "contender",
    "passes",
    "where they are",
    "recall@10",
    "queries/s",
    "p50 µs",
    "p99 µs",
    "times its speed without filter",
)


def run(definition: Mapping[str, Any]) -> Outcome:
    """Every filter on every contender that takes filters, in turns."""
    chosen, notes = specifications(definition["contenders"])
    chosen = [one for one in chosen if issubclass(one.adapter_class(), Filters)]
    dataset = load(definition["set"], definition)
    if dataset is None:
        return Outcome([], notes=[*notes, "The set was left out: there is no ../shared."])
    columns, places = _columns(dataset)
    with field(chosen, dataset, definition["threads"], notes, columns) as ready:
        knobs = _tune(ready, definition)
        scores = dataset.queries @ dataset.rows.T
        alone = _measure(ready, None, dataset.threshold, definition)
        measured = {}
        for share in definition["shares"]:
            for relation in definition["relations"]:
                windows = _windows(share, relation, places)
                thresholds = _thresholds(scores, windows, columns, dataset.limit)
                measured[share, relation] = _measure(ready, windows, thresholds, definition)
    rows: list[tuple[str | float, ...]] = []
    goals = []
    for (share, relation), points in measured.items():
        for name, point in points.items():
            p50, p99 = point.percentile(50) / 1e3, point.percentile(99) / 1e3
            speed = point.throughput()
            case = f"{share:.1%}", relation, point.recall, speed, p50, p99
            rows.append((name, *case, speed / alone[name].throughput()))
            if ready[name].specification.is_ours:
                what = f"{name}: recall@10 where {share:.1%} pass, {relation}"
                goals.append(Goal(what, definition["goal_recall"], point.recall))
    title = f"{dataset.name}: {dataset.description}"
    notes.append(f"Knobs: {', '.join(f'{name} {knob}' for name, knob in knobs.items())}.")
    return Outcome([Table(title, COLUMNS, rows)], goals, notes)


def _columns(dataset: Dataset) -> tuple[dict[str, IntArray], IntArray]:
    """The rows' ranks at random and along the axis of most variance; the queries' on the latter."""
    count = len(dataset.rows)
    random = np.random.default_rng(7)
    sample = dataset.rows[:: max(1, count // 5_000)]
    centred = sample - sample.mean(axis=0)
    axis = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    along = dataset.rows @ axis
    columns = {UNRELATED: _ranks(random.random(count)), PLACE: _ranks(along)}
    places = np.searchsorted(np.sort(along), dataset.queries @ axis) * RANKS // count
    return columns, np.clip(places, 0, RANKS - 1)


def _ranks(values: FloatArray) -> IntArray:
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values)) * RANKS // len(values)
    return ranks


def _windows(share: float, relation: str, places: IntArray) -> list[Window]:
    """Each query's filter."""
    width = max(1, round(share * RANKS))
    if relation == "anywhere":
        return [Window(UNRELATED, 0, width)] * len(places)
    windows = []
    for place in places.tolist():
        centre = place if relation == "near the query" else (place + RANKS // 2) % RANKS
        low = min(max(0, centre - width // 2), RANKS - width)
        windows.append(Window(PLACE, low, low + width))
    return windows


def _tune(ready: Mapping[str, Ready], definition: Mapping[str, Any]) -> dict[str, int]:
    """The knob with which each is filtered.

    Ours keeps its default; a peer has the first value that reaches the recall without a filter.
    """
    knobs: dict[str, int] = {}
    for name, one in ready.items():
        specification = one.specification
        values = specification.sweep if specification.default is None else [specification.default]
        for knob in values:
            knobs[name] = knob
            answers = ask_all({name: one}, {name: knob}, definition["block"], turn=0)[name]
            if one.dataset.recall(answers.ids) >= definition["goal_recall"]:
                break
    return knobs


def _measure(
    ready: Mapping[str, Ready],
    windows: list[Window] | None,
    thresholds: FloatArray,
    definition: Mapping[str, Any],
) -> dict[str, Point]:
    """Every query with its own filter, to all contenders in turns."""
    points: dict[str, Point] = {}
    for turn in range(definition["rounds"]):
        for name, answers in ask_all(ready, None, definition["block"], windows, turn=turn).items():
            if turn == 0:
                one = ready[name].dataset
                asked = one.rows, one.queries, thresholds, one.limit
                points[name] = Point(0, recall(*asked, answers.ids))
            points[name].rounds.append(answers.nanoseconds)
    return points


def _thresholds(
    scores: FloatArray, windows: Sequence[Window], columns: Mapping[str, IntArray], limit: int
) -> FloatArray:
    """The score of the last of each query's true neighbours among the rows that pass."""
    last = [
        np.partition(row[window.mask(columns)], -limit)[-limit]
        for row, window in zip(scores, windows, strict=True)
    ]
    return np.array(last, dtype=np.float32)
