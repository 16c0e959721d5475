"""Batches and concurrent searches: how much faster all cores are than one."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.ann.artefacts import METRIC, artefact
from benchmarks.ann.datasets import load
from benchmarks.ann.specification import specifications
from benchmarks.ann.worker import Worker
from benchmarks.measure import Ratio
from benchmarks.results import Goal, Outcome, Table

COLUMNS = ("contender", "what", "threads", "queries/s", "times those of one thread")


def run(definition: Mapping[str, Any]) -> Outcome:
    """A process for each number of threads, all with the same files, in turns."""
    chosen, notes = specifications(definition["contenders"], definition.get("overrides"))
    dataset = load(definition["set"], definition)
    if dataset is None:
        return Outcome([], notes=[*notes, "The set was left out: its source is not here."])
    rows: list[tuple[str | float, ...]] = []
    goals: list[Goal] = []
    rounds: dict[str, dict[str, list[float]]] = {}
    all_threads = definition["all_threads"]
    for one in chosen:
        made = artefact(one, dataset, definition["threads"])
        with ExitStack() as stack:
            logs = Path(stack.enter_context(TemporaryDirectory()))
            workers = {}
            for threads in all_threads:
                log = logs / f"{threads}.txt"
                dimension = dataset.rows.shape[1]
                worker = Worker(one, dimension, METRIC, threads=threads, log=log)
                workers[threads] = stack.enter_context(worker)
                worker.call("open", made.files)
                worker.call("prepare", dataset.queries)
            for what, count, ask in _cases(definition, len(dataset.queries)):
                seconds = _in_turns(workers, ask, definition["rounds"])
                rounds[f"{one.name}: {what}"] = {
                    f"{threads} threads": spent for threads, spent in seconds.items()
                }
                for threads, spent in seconds.items():
                    ratio = Ratio.of(seconds[all_threads[0]], spent)
                    rows.append((one.name, what, threads, count / median(spent), str(ratio)))
                ratio = Ratio.of(seconds[all_threads[0]], seconds[all_threads[-1]])
                label = f"{one.name}: {what}: {all_threads[-1]} threads / {all_threads[0]}"
                goals.append(Goal(label, definition["goal_scaling"], ratio.median, str(ratio)))
    title = f"{dataset.name}: {dataset.description}"
    return Outcome([Table(title, COLUMNS, rows)], goals, notes, rounds)


Ask = Callable[[Worker, int], float]


def _cases(definition: Mapping[str, Any], queries: int) -> list[tuple[str, int, Ask]]:
    """What is measured, how many queries it has, and how one round of it is asked."""
    limit = definition["limit"]
    exact_queries = min(definition["exact_queries"], queries)

    def batch(effort: int) -> Ask:
        def ask(worker: Worker, _threads: int) -> float:
            worker.call("tune", effort)
            return float(worker.call("ask_together", queries, limit, False))

        return ask

    def exact(worker: Worker, _threads: int) -> float:
        return float(worker.call("ask_together", exact_queries, limit, True))

    def single(effort: int) -> Ask:
        def ask(worker: Worker, threads: int) -> float:
            worker.call("tune", effort)
            return float(worker.call("ask_from_threads", threads, limit))

        return ask

    cases: list[tuple[str, int, Ask]] = []
    for effort in definition["efforts"]:
        cases.append((f"one batch of {queries:,}, effort {effort}", queries, batch(effort)))
    cases.append((f"one exact batch of {exact_queries:,}", exact_queries, exact))
    for effort in definition["efforts"]:
        what = f"{queries:,} single searches from as many Python threads, effort {effort}"
        cases.append((what, queries, single(effort)))
    return cases


def _in_turns(workers: Mapping[int, Worker], ask: Ask, rounds: int) -> dict[int, list[float]]:
    """One untimed round, then every number of threads once a round, each beginning with another."""
    seconds: dict[int, list[float]] = {threads: [] for threads in workers}
    names = list(workers)
    for threads, worker in workers.items():
        ask(worker, threads)
    for turn in range(rounds):
        first = turn % len(names)
        for threads in names[first:] + names[:first]:
            seconds[threads].append(ask(workers[threads], threads))
    return seconds
