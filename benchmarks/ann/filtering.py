"""Filtered searches: recall and throughput by what part passes, near the query or not."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.ann.contenders.contender import Filters, FloatArray, IntArray, Window
from benchmarks.ann.datasets import Dataset, exact_thresholds, load, recall
from benchmarks.ann.field import Ready, field
from benchmarks.ann.specification import specifications
from benchmarks.ann.sweep import Point, ask_all, joined, rotated
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
        knobs, alone = _operating_points(ready, definition)
        cases = [
            (share, relation, _windows(share, relation, places))
            for share in definition["shares"]
            for relation in definition["relations"]
        ]
        measured = {
            (share, relation): _measure(ready, windows, columns, dataset, definition)
            for share, relation, windows in cases
        }
    rows: list[tuple[str | float, ...]] = []
    goals = []
    for (share, relation), points in measured.items():
        for name, point in points.items():
            p50, p99 = point.percentile(50) / 1e3, point.percentile(99) / 1e3
            speed = point.throughput()
            case = f"{share:.1%}", relation, point.recall, speed, p50, p99
            rows.append((name, *case, speed / alone[name]))
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


def _operating_points(
    ready: Mapping[str, Ready], definition: Mapping[str, Any]
) -> tuple[dict[str, int], dict[str, float]]:
    """The knob with which each is filtered, and its throughput with it and without a filter.

    Ours keeps its default; a peer has the first value that reaches the recall without a filter.
    """
    knobs: dict[str, int] = {}
    speed: dict[str, float] = {}
    for name, one in ready.items():
        specification = one.specification
        values = specification.sweep if specification.default is None else [specification.default]
        for knob in values:
            answers = ask_all({name: one}, {name: knob}, definition["block"], turn=0)[name]
            knobs[name] = knob
            speed[name] = Point(knob, 0.0, [answers.nanoseconds]).throughput()
            if one.dataset.recall(answers.ids) >= definition["goal_recall"]:
                break
    return knobs, speed


def _measure(
    ready: Mapping[str, Ready],
    windows: Sequence[Window],
    columns: Mapping[str, IntArray],
    dataset: Dataset,
    definition: Mapping[str, Any],
) -> dict[str, Point]:
    thresholds = _thresholds(dataset, windows, columns)
    points: dict[str, Point] = {}
    block = definition["block"]
    for turn in range(definition["rounds"]):
        parts: dict[str, list[Any]] = {name: [] for name in ready}
        for number, first in enumerate(range(0, len(windows), block)):
            last = min(first + block, len(windows))
            for name in rotated(list(ready), turn + number):
                asked = first, last, dataset.limit, list(windows)
                parts[name].append(ready[name].worker.call("ask", *asked))
        for name, many in parts.items():
            answers = joined(many)
            if turn == 0:
                found = recall(
                    dataset.rows, dataset.queries, thresholds, dataset.limit, answers.ids
                )
                points[name] = Point(0, found)
            points[name].rounds.append(answers.nanoseconds)
    return points


def _thresholds(
    dataset: Dataset, windows: Sequence[Window], columns: Mapping[str, IntArray]
) -> FloatArray:
    found = [
        exact_thresholds(dataset.rows[mask], query[None], dataset.limit)[0]
        for query, mask in (
            (query, window.mask(columns))
            for query, window in zip(dataset.queries, windows, strict=True)
        )
    ]
    return np.array(found, dtype=np.float32)
