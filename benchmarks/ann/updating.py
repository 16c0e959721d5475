"""Indexes after many changes: 30 % of the rows deleted, then every row left replaced once."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.ann.artefacts import artefact, bytes_under, copied
from benchmarks.ann.cache import say
from benchmarks.ann.contenders.contender import FloatArray, IntArray, Updates
from benchmarks.ann.datasets import Dataset, exact_thresholds, load, recall
from benchmarks.ann.field import start
from benchmarks.ann.specification import Specification, specifications
from benchmarks.ann.worker import Worker, WorkerDiedError
from benchmarks.results import Goal, Outcome, Table

COLUMNS = (
    "contender",
    "state",
    "seconds to get there",
    "recall@10",
    "queries/s",
    "bytes on disk / raw bytes of live rows",
)


def run(definition: Mapping[str, Any]) -> Outcome:
    """One contender after the other: what is compared is each one's recall before and after."""
    overrides = definition.get("overrides")
    chosen, notes = specifications(definition["contenders"], overrides)
    chosen = [one for one in chosen if issubclass(one.adapter_class(), Updates)]
    dataset = load(definition["set"], definition)
    if dataset is None:
        return Outcome([], notes=[*notes, "The set was left out: there is no ../shared."])
    rows: list[tuple[str | float, ...]] = []
    goals: list[Goal] = []
    for one in chosen:
        try:
            states = _measure(one, dataset, definition)
        except WorkerDiedError as error:
            if one.is_ours:
                raise
            say(str(error))
            notes.append(f"Left out, because it failed: {error}")
            continue
        rows += [(one.name, *state) for state in states]
        if one.is_ours:
            goals += [
                Goal(f"{one.name}: recall@10, {state[0]}", definition["goal_recall"], state[2])
                for state in states
            ]
    title = f"{dataset.name}: {dataset.description}; changes and searches by one thread"
    return Outcome([Table(title, COLUMNS, rows)], goals, notes)


def _measure(
    one: Specification, dataset: Dataset, definition: Mapping[str, Any]
) -> list[tuple[str, float, float, float, float]]:
    kept = artefact(one, dataset, definition["threads"])
    with ExitStack() as stack:
        folder = stack.enter_context(copied(kept))
        logs = Path(stack.enter_context(TemporaryDirectory()))
        worker = stack.enter_context(start(one, dataset, logs / "log.txt"))
        worker.call("open", folder)
        worker.call("prepare", dataset.queries)
        live = _Live(dataset, worker, folder)
        _tune(worker, one, live, definition["goal_recall"])
        states = [("as built", 0.0, *live.ask())]
        random = np.random.default_rng(11)
        order = random.permutation(len(dataset.rows))
        gone = np.sort(order[: int(len(order) * definition["deleted"])])
        states.append(("30 % deleted", live.delete(gone), *live.ask()))
        states.append(("and settled", worker.call("change", "settle"), *live.ask()))
        states.append(("all replaced", live.replace_all(random), *live.ask()))
        states.append(("and settled again", worker.call("change", "settle"), *live.ask()))
        return states


class _Live:
    """What should be in the index now."""

    def __init__(self, dataset: Dataset, worker: Worker, folder: Path) -> None:
        self._queries, self._limit = dataset.queries, dataset.limit
        self._rows: FloatArray = dataset.rows.copy()
        self._there = np.ones(len(self._rows), dtype=np.bool_)
        self._worker = worker
        self._folder = folder

    def delete(self, ids: IntArray) -> float:
        seconds: float = self._worker.call("change", "delete", ids)
        self._there[ids] = False
        return seconds

    def replace_all(self, random: np.random.Generator) -> float:
        """Every row that is left gets the vector of another one of them."""
        ids = np.flatnonzero(self._there)
        vectors = self._rows[random.permutation(ids)]
        seconds: float = self._worker.call("change", "replace", ids, vectors)
        self._rows[ids] = vectors
        return seconds

    def ask(self) -> tuple[float, float, float]:
        """Recall, queries a second, and bytes on disk for each byte of live vectors."""
        answers = self._worker.call("ask", 0, len(self._queries), self._limit, None)
        thresholds = exact_thresholds(self._rows, self._queries, self._limit, self._there)
        found = np.where(self._there[answers.ids], answers.ids, -1)
        share = recall(self._rows, self._queries, thresholds, self._limit, found)
        speed = len(answers.nanoseconds) * 1e9 / float(answers.nanoseconds.sum())
        raw = int(self._there.sum()) * self._rows.shape[1] * self._rows.itemsize
        return share, speed, bytes_under(self._folder) / raw


def _tune(worker: Worker, one: Specification, live: _Live, wanted: float) -> None:
    """Ours keeps its default; a peer gets the first value of its knob with the recall."""
    for knob in one.sweep if one.default is None else [one.default]:
        worker.call("tune", knob)
        if live.ask()[0] >= wanted:
            return
