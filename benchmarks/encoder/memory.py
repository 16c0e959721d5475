"""Resident memory of the encoder and others: loaded, and after encoding."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rust_ai_core as rac
from benchmarks.data import long_texts, short_texts
from benchmarks.encoder.contenders import makers_of
from benchmarks.processes import in_fresh_process, in_mib, peak_resident_bytes, resident_bytes
from benchmarks.results import Outcome, Table


def run(definition: Mapping[str, Any]) -> Outcome:
    """Memory of every contender before it is loaded, after, and after it encoded."""
    folder = Path(rac.Tokenizer("minilm").path).parent
    makers, notes = makers_of(folder, definition)
    rows: list[tuple[str | float, ...]] = [
        (name, *map(in_mib, in_fresh_process(memory_of, name, folder, definition)))
        for name in makers
    ]
    columns = ("contender", "MiB before", "MiB loaded", "MiB after encoding", "MiB at most")
    table = Table("Resident memory, each in a process of its own", columns, rows)
    return Outcome([table], notes=notes)


def memory_of(
    contender: str, folder: Path, definition: Mapping[str, Any]
) -> tuple[int | None, int | None, int | None, int]:
    """This process's memory before a contender is loaded, after, and after it encoded."""
    makers, _ = makers_of(folder, definition)
    before = resident_bytes()
    peer = makers[contender]()
    loaded = resident_bytes()
    peer.encode(short_texts(definition["short_texts"])[0])
    peer.encode(long_texts(definition["long_texts"])[0])
    return before, loaded, resident_bytes(), peak_resident_bytes()
