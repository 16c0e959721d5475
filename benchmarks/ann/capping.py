"""Searches from disk: the whole process may have 5 % of the raw vectors' bytes, pages included."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.ann.artefacts import artefact
from benchmarks.ann.cache import say
from benchmarks.ann.datasets import Dataset, load
from benchmarks.ann.field import Ready, start
from benchmarks.ann.memory_group import MemoryGroup, why_not
from benchmarks.ann.specification import Specification, specifications
from benchmarks.ann.sweep import sweep
from benchmarks.ann.worker import WorkerDiedError
from benchmarks.processes import MIB, drop_from_cache
from benchmarks.results import Goal, Outcome, Table

COLUMNS = (
    "contender",
    "knob",
    "value",
    "recall@10",
    "p50 ms",
    "p99 ms",
    "queries/s",
    "MiB resident",
    "disk / raw",
)


def run(definition: Mapping[str, Any]) -> Outcome:
    """Every contender in a memory group of its own, in turns."""
    reason = why_not()
    if reason:
        return Outcome([], notes=[f"Left out: {reason}."])
    chosen, notes = specifications(definition["contenders"], definition.get("overrides"))
    dataset = load(definition["set"], definition)
    if dataset is None:
        return Outcome([], notes=[*notes, "The set was left out: its source is not here."])
    limit = int(dataset.rows.nbytes * definition["share"])
    with ExitStack() as stack:
        logs = Path(stack.enter_context(TemporaryDirectory()))
        ready: dict[str, Ready] = {}
        for one in chosen:
            try:
                ready[one.name] = _capped(one, dataset, limit, definition, logs, stack)
            except WorkerDiedError as error:
                say(str(error))
                notes.append(f"Left out, because it failed under the limit: {error}")
        points = sweep(ready, rounds=definition["rounds"], block=definition["block"])
        memory = {name: one.worker.call("resident")[0] for name, one in ready.items()}
    rows: list[tuple[str | float, ...]] = []
    goals: list[Goal] = []
    for name, many in points.items():
        one = ready[name]
        for point in many:
            p50, p99 = point.percentile(50) / 1e6, point.percentile(99) / 1e6
            found = one.specification.knob, point.knob, point.recall, p50, p99
            disk = one.artefact.disk_bytes / dataset.rows.nbytes
            rows.append((name, *found, point.throughput(), memory[name] / MIB, disk))
        enough = [point for point in many if point.recall >= definition["goal_recall"]]
        if one.specification.is_ours and enough:
            p50, p99 = (enough[0].percentile(percent) / 1e6 for percent in (50, 99))
            where = f"{name}: milliseconds at recall {enough[0].recall:.3f} under the limit"
            goals.append(Goal(f"{where}, p50", definition["goal_p50"], p50, at_most=True))
            goals.append(Goal(f"{where}, p99", definition["goal_p99"], p99, at_most=True))
    title = (
        f"{dataset.name}: {dataset.description}; each process capped at {limit / MIB:.0f} MiB, "
        f"{definition['share']:.0%} of {dataset.rows.nbytes / MIB:,.0f} MiB"
    )
    rounds = {
        name: {f"knob {point.knob}": point.seconds() for point in many}
        for name, many in points.items()
    }
    return Outcome([Table(title, COLUMNS, rows)], goals, notes, rounds)


def _capped(
    one: Specification,
    dataset: Dataset,
    limit: int,
    definition: Mapping[str, Any],
    logs: Path,
    stack: ExitStack,
) -> Ready:
    made = artefact(one, dataset, definition["threads"])
    # Pages that are in memory already would be nobody's in the group's count.
    drop_from_cache(made.files)
    group = MemoryGroup(one.name, limit)
    stack.callback(group.remove)
    worker = stack.enter_context(start(one, dataset, logs / f"{one.name}.txt", group=group.birth()))
    opened = worker.call("open", made.files)
    worker.call("prepare", dataset.queries)
    return Ready(one, dataset, made, worker, opened)
