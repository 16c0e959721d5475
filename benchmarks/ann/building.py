"""Building an index, from vectors in memory until it is on disk: seconds, memory, bytes."""

from collections.abc import Mapping
from statistics import median
from typing import Any

from benchmarks.ann import artefacts
from benchmarks.ann.cache import say
from benchmarks.ann.datasets import Dataset, load
from benchmarks.ann.specification import Specification, specifications
from benchmarks.ann.worker import WorkerDiedError
from benchmarks.processes import MIB
from benchmarks.results import Goal, Outcome, Table

COLUMNS = (
    "contender",
    "kind",
    "seconds",
    "rows/s",
    "times our seconds",
    "MiB at most beyond the rows",
    "bytes on disk / raw bytes",
)


def run(definition: Mapping[str, Any]) -> Outcome:
    """Build every contender's index of every set, as often as there are rounds, in turns."""
    chosen, notes = specifications(definition["contenders"])
    tables, goals, rounds = [], [], {}
    for name in definition["sets"]:
        dataset = load(name, definition)
        if dataset is None:
            notes.append(f"The set {name} was left out: its source is not on this machine.")
            continue
        built = _build_all(chosen, dataset, definition, notes)
        kinds = {one.name: one.kind for one in chosen}
        tables.append(_table(dataset, built, kinds, definition))
        goals += _goals(dataset, built, kinds, definition)
        rounds[name] = {one: [made.seconds for made in many] for one, many in built.items()}
    return Outcome(tables, goals, notes, rounds)


def _build_all(
    chosen: list[Specification], dataset: Dataset, definition: Mapping[str, Any], notes: list[str]
) -> dict[str, list[artefacts.Artefact]]:
    built: dict[str, list[artefacts.Artefact]] = {}
    going = _one_for_each_index(chosen)
    for _ in range(definition["rounds"]):
        for one in list(going):
            try:
                made = artefacts.build(one, dataset, definition["threads"])
            except WorkerDiedError as error:
                if one.is_ours:
                    raise
                say(str(error))
                notes.append(f"Left out, because it failed: {error}")
                going.remove(one)
                continue
            built.setdefault(one.name, []).append(made)
    return built


def _one_for_each_index(chosen: list[Specification]) -> list[Specification]:
    first: dict[tuple[str, str], Specification] = {}
    for one in chosen:
        first.setdefault(one.index, one)
    return list(first.values())


def _table(
    dataset: Dataset,
    built: Mapping[str, list[artefacts.Artefact]],
    kinds: Mapping[str, str],
    definition: Mapping[str, Any],
) -> Table:
    ours = next((name for name in built if kinds[name] == "ours"), None)
    raw = dataset.rows.nbytes
    rows: list[tuple[str | float, ...]] = []
    for name, made in built.items():
        seconds = median(one.seconds for one in made)
        over = "" if ours is None else seconds / median(one.seconds for one in built[ours])
        peak = max(one.peak_bytes for one in made) / MIB
        disk = made[-1].disk_bytes / raw
        rows.append((name, kinds[name], seconds, len(dataset.rows) / seconds, over, peak, disk))
    title = f"{dataset.name}: {dataset.description}; {definition['threads']} threads"
    return Table(title, COLUMNS, rows)


def _goals(
    dataset: Dataset,
    built: Mapping[str, list[artefacts.Artefact]],
    kinds: Mapping[str, str],
    definition: Mapping[str, Any],
) -> list[Goal]:
    ours = [name for name in built if kinds[name] == "ours"]
    goals = []
    raw = dataset.rows.nbytes
    for name in ours:
        limit = definition["goal_disk"].get(name)
        if limit is not None:
            what = f"{dataset.name}: {name}: bytes on disk / raw float32 bytes"
            goals.append(Goal(what, limit, built[name][-1].disk_bytes / raw, at_most=True))
    graphs = [name for name in definition["graph_peers"] if name in built]
    if ours and graphs:
        seconds = {name: median(one.seconds for one in built[name]) for name in built}
        fastest = min(graphs, key=lambda name: seconds[name])
        what = f"{dataset.name}: seconds to build / those of {fastest}, the fastest graph peer"
        ratio = seconds[ours[0]] / seconds[fastest]
        goals.append(Goal(what, definition["goal_build"], ratio, at_most=True))
    return goals
