"""The first search by words of a database that was just opened, with and without its index."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import rust_ai_core as rac
from benchmarks.contenders import in_turns
from benchmarks.results import Outcome, Table
from benchmarks.text_search.engines.ours import Collection
from benchmarks.text_search.texts import mixed_texts, questions


@dataclass(frozen=True)
class Way:
    """What is there of the index."""

    name: str
    lost: bool
    ours: bool = True


WAYS = (Way("there", lost=False), Way("lost: made anew", lost=True))


def run(definition: Mapping[str, Any]) -> Outcome:
    """Make one collection; open it in a new process each time."""
    texts, description = mixed_texts(definition["rows"])
    (query,) = questions(texts, 1)
    notes = [f"Texts: {description}."]
    with TemporaryDirectory() as name:
        engine = Collection(Path(name))
        engine.index(texts)
        engine.close()
        seen = in_turns(WAYS, definition["rounds"], notes, first_search, Path(name), query)
    rows = [(way, median(many) * 1e3) for way, many in seen.items()]
    title = f"First search after opening, {len(texts):,} texts"
    return Outcome([Table(title, ("index of words", "ms"), rows)], [], notes, {"seconds": seen})


def first_search(way: Way, folder: Path, query: str) -> float:
    """Seconds of the first search in this process."""
    if way.lost:
        for path in folder.rglob("*.words"):
            path.unlink()
    with rac.open(folder / "texts.rac") as database:
        collection = database.collection("texts")
        start = time.perf_counter()
        collection.search(query, mode="text", limit=10)
        return time.perf_counter() - start
