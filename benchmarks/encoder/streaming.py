"""Peak memory of embedding many texts, the encoder and Python included."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rust_ai_core as rac
from benchmarks.data import short_text_batches
from benchmarks.encoder.contenders import makers_of
from benchmarks.processes import MIB, in_fresh_process, peak_resident_bytes
from benchmarks.results import Goal, Outcome, Table


def run(definition: Mapping[str, Any]) -> Outcome:
    """Peak memory of embedding many texts whose vectors are not kept."""
    folder = Path(rac.Tokenizer("minilm").path).parent
    rows: list[tuple[str | float, ...]] = []
    goals = []
    for name in definition["contenders"]:
        peak = in_fresh_process(peak_of_stream, name, folder, definition) / MIB
        rows.append((name, peak))
        most = definition["goal_most_mib"].get(name)
        if most is not None:
            what = f"{name}: MiB at most, embedding {definition['rows']:,} texts"
            goals.append(Goal(what, most, peak, at_most=True))
    title = f"Peak memory of a process that embeds {definition['rows']:,} texts"
    return Outcome([Table(title, ("contender", "MiB at most"), rows)], goals)


def peak_of_stream(contender: str, folder: Path, definition: Mapping[str, Any]) -> int:
    """The most memory that this process took to embed many texts, call after call."""
    peer = makers_of(folder, definition)[0][contender]()
    for texts in short_text_batches(definition["rows"], definition["texts_a_call"]):
        peer.encode(texts)
    return peak_resident_bytes()
