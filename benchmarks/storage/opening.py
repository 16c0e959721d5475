"""Opening a large collection in a new process: the time until it is open, and the memory then."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.contenders import in_turns
from benchmarks.processes import MIB, drop_from_cache, in_mib, resident_bytes
from benchmarks.results import Goal, Outcome, Table
from benchmarks.storage.contenders.store import FloatArray
from benchmarks.storage.field import Contender, contenders, data, load


@dataclass(frozen=True)
class Opened:
    """Seconds to open and for the first search; the process's memory."""

    seconds: float
    first_search: float
    before: int | None
    after: int | None


def run(definition: Mapping[str, Any]) -> Outcome:
    """Every contender loads once; then each opens in a new process, round by round."""
    chosen, notes = contenders(definition["contenders"])
    query = data({**definition, "rows": 1, "queries": 1}).queries[0]
    rows: list[tuple[str | float, ...]] = []
    goals = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        loaded = in_turns(chosen, 1, notes, build, folder, dict(definition))
        present = [one for one in chosen if one.name in loaded]
        arguments = folder, query, dict(definition)
        seen = in_turns(present, definition["rounds"], notes, opened, *arguments)
    for one in present:
        many = seen.get(one.name, [])
        if not many:
            continue
        milliseconds = median(each.seconds for each in many) * 1e3
        first = median(each.first_search for each in many) * 1e3
        last = many[-1]
        (built,) = loaded[one.name]
        rows.append(
            (one.name, milliseconds, first, in_mib(last.before), in_mib(last.after), *built)
        )
        if one.ours:
            what = f"{one.name}: ms to open {definition['rows']:,} rows"
            goals.append(Goal(what, definition["goal_open_ms"], milliseconds, at_most=True))
            if last.after is not None:
                what = f"{one.name}: MiB resident after opening {definition['rows']:,} rows"
                mib = last.after / MIB
                goals.append(Goal(what, definition["goal_mib"], mib, at_most=True))
    columns = (
        "contender",
        "ms to open",
        "ms first search",
        "MiB before",
        "MiB opened",
        "seconds to load and index",
        "disk / raw",
    )
    notes.append(
        "Its module is imported before the clock starts. Files are dropped from the system's cache "
        "before each opening, where the system does that. The interpreter, NumPy and the module "
        "are in the MiB."
    )
    title = f"{definition['rows']:,} rows of {definition['dimension']} dimensions"
    return Outcome([Table(title, columns, rows)], goals, notes)


def build(contender: Contender, folder: Path, definition: Mapping[str, Any]) -> tuple[float, float]:
    """Load one contender in this process: seconds, and bytes on disk over those of the vectors."""
    made = data({**definition, "queries": 1})
    place = folder / contender.name
    place.mkdir()
    start = time.perf_counter()
    store = contender.store(place, definition["dimension"])
    store.create()
    load(store, made.rows, definition["batch"])
    seconds = time.perf_counter() - start
    store.close()
    blocks = sum(file.stat().st_blocks for file in place.rglob("*") if file.is_file())
    return seconds, blocks * 512 / made.rows.nbytes


def opened(
    contender: Contender, folder: Path, query: FloatArray, definition: Mapping[str, Any]
) -> Opened:
    """Open what `build` left and search it once, in this process."""
    place = folder / contender.name
    drop_from_cache(place)
    contender.import_package()
    before = resident_bytes()
    store = contender.store(place, definition["dimension"])
    start = time.perf_counter()
    store.open()
    between = time.perf_counter()
    after = resident_bytes()
    asked = time.perf_counter()
    store.search(query, definition["limit"])
    searched = time.perf_counter() - asked
    store.close()
    return Opened(between - start, searched, before, after)
