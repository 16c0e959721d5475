"""How the command line shows results to people: short, aligned, with counts and seconds."""

import json
import re
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rust_ai_core._core import Collection, Encoder, Hit, IngestReport, Record, VerifyReport

SHOWN_PROBLEMS = 20
TEXT_LINES = 3
PROSE = {"html", "markdown", "text"}


def ingested(source: Path, database: Path, report: IngestReport) -> str:
    """Say what an ingest of one source did."""
    lines = [
        f"Ingested {_count(report.ingested, 'file')} from {source} into {database} "
        f"in {_seconds(report.seconds['total'])}"
    ]
    rows = [
        ("chunks", report.chunks),
        ("tokens", report.tokens),
        ("unchanged", report.unchanged),
        ("removed", report.removed),
        ("skipped", len(report.skipped)),
        ("unknown", report.unknown),
    ]
    shown = [(label, f"{value:,}") for label, value in rows if value]
    width = max((len(value) for _, value in shown), default=0)
    lines += [f"  {label:<9}  {value:>{width}}" for label, value in shown]
    return "\n".join(lines)


def left_out(report: IngestReport) -> list[str]:
    """List the files that were skipped, why, and what was odd about others."""
    lines = [f"skipped {source}: {reason}" for source, reason in report.skipped]
    lines += [f"warning {warning}" for warning in report.warnings]
    if len(lines) > SHOWN_PROBLEMS:
        more = len(lines) - SHOWN_PROBLEMS
        lines[SHOWN_PROBLEMS:] = [f"... and {more:,} more; --json lists them all"]
    return lines


def hits(found: Sequence[Hit]) -> str:
    """Show hits: score, place and section, then the first lines of the text."""
    if not found:
        return "no hits"
    width = shutil.get_terminal_size((100, 24)).columns
    places = [_place(hit) for hit in found]
    column = max(map(len, places))
    blocks = []
    for hit, place in zip(found, places, strict=True):
        section = _section(hit)
        head = f"{hit.score:6.3f}  {place:<{column}}  {section}".rstrip()
        blocks.append("\n".join([head, *_first_lines(hit, width)]))
    return "\n\n".join(blocks)


def ranked(scored: Sequence[tuple[float, str]]) -> str:
    """Show texts or files with their scores, a line each."""
    width = shutil.get_terminal_size((100, 24)).columns
    lines = [f"{score:8.4f}  {' '.join(text.split())}" for score, text in scored]
    return "\n".join(line if len(line) <= width else f"{line[: width - 1]}…" for line in lines)


def hit_to_dict(hit: Hit) -> dict[str, Any]:
    """Return a hit for JSON."""
    return {"id": hit.id, "score": hit.score, **record_to_dict(hit)}


def records(found: Sequence[Record]) -> str:
    """Show records: place and section, then the first lines of the text."""
    if not found:
        return "no records"
    width = shutil.get_terminal_size((100, 24)).columns
    places = [_place(record) for record in found]
    column = max(map(len, places))
    blocks = []
    for record, place in zip(found, places, strict=True):
        head = f"{place:<{column}}  {_section(record)}".rstrip()
        blocks.append("\n".join([head, *_first_lines(record, width)]))
    return "\n\n".join(blocks)


def record_to_dict(record: Hit | Record) -> dict[str, Any]:
    """Return a record without its vector for JSON."""
    return {
        "id": record.id,
        "source": record.source,
        "line": record.line,
        "start": record.start,
        "end": record.end,
        "text": record.text,
        "metadata": record.metadata,
    }


def facet(counts: Sequence[tuple[Any, int]]) -> str:
    """Show counts by value: strings as they are, anything else as JSON."""
    if not counts:
        return "no values"
    shown = [
        (f"{count:,}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for value, count in counts
    ]
    width = max(len(count) for count, _ in shown)
    return "\n".join(f"{count:>{width}}  {value}" for count, value in shown)


def exported(collection: str, file: Path, records: int, seconds: float) -> str:
    """Say what an export wrote."""
    return (
        f"Exported {_count(records, 'record')} from {collection} to {file} in {_seconds(seconds)}"
    )


def imported(collection: str, file: Path, records: int, seconds: float) -> str:
    """Say what an import wrote."""
    return (
        f"Imported {_count(records, 'record')} from {file} into {collection} in {_seconds(seconds)}"
    )


def searched(found: int, records: int, seconds: float) -> str:
    """Say how long a search took over how much."""
    return f"{_count(found, 'hit')} among {_count(records, 'record')} in {_seconds(seconds)}"


def stats(path: Path, figures: dict[str, Any], collections: Sequence[Collection]) -> str:
    """Show a database as a table with a row a collection."""
    title = f"{path}  {_bytes(figures['file_bytes'])} on disk"
    if not collections:
        return f"{title}\nno collections"
    with_fields = any(collection.fields for collection in collections)
    header = ["collection", "records", "sources", "dimension", "metric", "model"]
    header += ["fields"] * with_fields + ["on disk", "reclaimable", "in memory"]
    rows = [header]
    for collection in collections:
        own = figures["collections"][collection.name]
        rows.append(
            [
                collection.name,
                f"{own['records']:,}",
                f"{own['sources']:,}",
                str(collection.dimension),
                collection.metric,
                collection.model or "-",
                *([", ".join(collection.fields) or "-"] if with_fields else []),
                _bytes(own["file_bytes"]),
                _bytes(own["dead_bytes"]),
                _bytes(own["memory_bytes"]),
            ]
        )
    return f"{title}\n\n{_table(rows, left={0, 4, 5, *([6] if with_fields else [])})}"


def verified(path: Path, report: VerifyReport) -> str:
    """Say whether a database is sound, and otherwise list the problems."""
    records = sum(figures["records"] for figures in report.collections.values())
    what = f"{_count(len(report.collections), 'collection')}, {_count(records, 'record')}"
    if report.ok:
        return f"{path} is sound: {what}"
    count = _count(len(report.problems), "problem")
    return "\n".join([f"{path} is damaged: {count}", *(f"  {line}" for line in report.problems)])


def repaired(path: Path, collections: dict[str, list[dict[str, Any]]], *, accept_loss: bool) -> str:
    """Say what was damaged in a database, and what has become of it."""
    if not collections:
        return f"{path} is sound"
    lines = []
    for name, files in collections.items():
        for file in files:
            outcome = _outcome(file, accept_loss=accept_loss)
            lines.append(f"{name}: {file['file']} {outcome}")
            lines += [f"  {problem}" for problem in file["problems"]]
            if file["kept_as"] is not None:
                lines.append(f"  the damaged file is kept as {file['kept_as']}")
            if file["lost_ids"]:
                lines.append("  ids: " + ", ".join(map(repr, file["lost_ids"])))
    return "\n".join(lines)


def _outcome(file: dict[str, Any], *, accept_loss: bool) -> str:
    """Say what has become of a damaged file."""
    lost = file["lost_records"]
    records = "records, nobody knows how many," if lost is None else _count(lost, "record")
    if file["keeps_closed"] and accept_loss:
        return "keeps the collection closed: restore it from a backup"
    if file["keeps_closed"]:
        return "keeps the collection closed; --accept-loss opens it without what is lost"
    if lost == 0:
        return "was written anew; nothing is lost"
    if file["kept_as"] is not None:
        return "was written anew without what is lost"
    return f"was removed; {records} lost" if accept_loss else f"is kept; {records} cannot be read"


def _place(hit: Hit | Record) -> str:
    if hit.source is None:
        return str(hit.id)
    return hit.source if hit.line is None else f"{hit.source}:{hit.line}"


def _section(hit: Hit | Record) -> str:
    metadata = hit.metadata or {}
    return str(metadata.get("section") or metadata.get("title") or "")


def _first_lines(hit: Hit | Record, width: int) -> list[str]:
    text = hit.text or ""
    if (hit.metadata or {}).get("format") in PROSE:
        # The file's own line ends mean nothing; a blank line does.
        blocks = [" ".join(block.split()) for block in re.split(r"\n\s*\n", text)]
    else:
        blocks = text.splitlines()
    indent = " " * 8
    rows: list[str] = []
    for block in blocks:
        rows += textwrap.wrap(block, width, initial_indent=indent, subsequent_indent=indent)
        if len(rows) > TEXT_LINES:
            last = rows[TEXT_LINES - 1][: width - 4].rstrip()
            return [*rows[: TEXT_LINES - 1], f"{last} ..."]
    return rows


def _table(rows: list[list[str]], left: set[int]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            f"{cell:<{width}}" if column in left else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _seconds(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds:.1f} s"


def _bytes(number: int) -> str:
    amount, unit = float(number), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def copied(source: Path, target: Path, seconds: float) -> str:
    """Say that a checked copy was made."""
    return f"copied {source} to {target} and checked it, in {_seconds(seconds)}"


def distilled(model: Encoder, seconds: float) -> str:
    """Say what `rac distill` made."""
    return f"made {model.path}, {model.dimension} dimensions, in {seconds:.1f} s"
