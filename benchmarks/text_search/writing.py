"""What search by words costs those who write: upserts into collections searched before or not."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import rust_ai_core as rac
from benchmarks.contenders import in_turns
from benchmarks.data import SEED, short_text_batches
from benchmarks.measure import Ratio
from benchmarks.results import Goal, Outcome, Table


@dataclass(frozen=True)
class Way:
    """How a collection is searched by words."""

    name: str
    before: bool
    """Once before the writes."""
    each: int = 0
    """After so many batches, again and again; 0 for never."""
    ours: bool = True


@dataclass(frozen=True)
class Written:
    """Seconds until the last write returned, until all was in segments, and of the searches."""

    writes: float
    settled: float
    searches: list[float]
    first_search_after: float


def run(definition: Mapping[str, Any]) -> Outcome:
    """The same records into a new collection, in each of the ways, round by round."""
    notes: list[str] = []
    ways = [Way(**way) for way in definition["ways"]]
    seen = in_turns(ways, definition["rounds"], notes, write, dict(definition))
    count = definition["rows"]
    base = [one.writes for one in seen[ways[0].name]]
    rows: list[tuple[str | float, ...]] = []
    goals = []
    for name, many in seen.items():
        kept = Ratio.of(base, [one.writes for one in many])
        searches = [seconds for one in many for seconds in one.searches]
        rows.append(
            (
                name,
                count / median(one.writes for one in many),
                str(kept),
                count / median(one.settled for one in many),
                median(searches) * 1e3 if searches else "-",
                median(one.first_search_after for one in many) * 1e3,
            )
        )
        if name != ways[0].name:
            what = f"{name}: records/s over those of a collection {ways[0].name}"
            goals.append(Goal(what, definition["goal_kept"], kept.median, str(kept)))
    columns = (
        "collection",
        "records/s",
        "of the first",
        "records/s until all is in segments",
        "ms a search meanwhile",
        "ms first search after",
    )
    title = (
        f"{count:,} records of {definition['dimension']} dimensions with short texts, batches of "
        f'{definition["batch"]:,}, durability "batch"'
    )
    return Outcome([Table(title, columns, rows)], goals, notes)


def write(way: Way, definition: Mapping[str, Any]) -> Written:
    """Write in one way in this process; its searches are not in the seconds of the writes."""
    rows, batch = definition["rows"], definition["batch"]
    random = np.random.default_rng(SEED)
    vectors = random.standard_normal((batch, definition["dimension"]), dtype=np.float32)
    batches = list(short_text_batches(rows, batch))
    searches: list[float] = []
    writes = 0.0
    with (
        TemporaryDirectory() as folder,
        rac.open(Path(folder) / "texts.rac", durability="batch") as database,
    ):
        collection = database.collection("texts", dimension=definition["dimension"])

        def search() -> float:
            start = time.perf_counter()
            collection.search("library", mode="text", limit=10)
            return time.perf_counter() - start

        # Enough to be a segment, so that there is a file that says what is searched.
        collection.upsert(np.arange(rows, rows + batch), vectors, texts=batches[0])
        collection.compact()
        if way.before:
            search()
        begun = time.perf_counter()
        for number, texts in enumerate(batches):
            ids = np.arange(number * batch, number * batch + len(texts))
            start = time.perf_counter()
            collection.upsert(ids, vectors[: len(texts)], texts=texts)
            writes += time.perf_counter() - start
            if way.each and number % way.each == way.each - 1:
                searches.append(search())
        collection.compact()
        settled = time.perf_counter() - begun
        return Written(writes, settled, searches, search())
