"""`rac search`, `find` and `facet`."""

import time
from pathlib import Path
from typing import Any, Literal

import click

from rust_ai_core import report
from rust_ai_core.cli.opening import only_collection, open_to_read
from rust_ai_core.cli.options import (
    collection_option,
    database_argument,
    json_option,
    where_option,
)
from rust_ai_core.cli.output import emit, note


@click.command()
@database_argument
@click.argument("query")
@collection_option
@click.option("-k", "--limit", type=int, default=5, show_default=True, help="At most so many hits.")
@click.option("--offset", type=int, default=0, help="Leave out so many of the best.")
@where_option
@click.option(
    "--group-by", metavar="KEY", help="Count groups of hits instead, such as $source: best first."
)
@click.option("--group-size", type=int, metavar="N", help="Hits of a group.  [default: 1]")
@click.option(
    "--mode",
    type=click.Choice(["dense", "text", "hybrid"]),
    default="dense",
    show_default=True,
    help="By meaning, by words, or by both.",
)
@click.option("--language", metavar="CODE", help="Whose words, for text and hybrid.  [default: en]")
@json_option
def search(
    database: Path,
    query: str,
    name: str | None,
    limit: int,
    offset: int,
    where: dict[str, Any] | None,
    group_by: str | None,
    group_size: int | None,
    mode: Literal["dense", "text", "hybrid"],
    language: str | None,
    as_json: bool,
) -> None:
    """Find the passages that are closest in meaning to QUERY, or have its words, best first."""
    with open_to_read(database) as opened:
        collection = opened.collection(name or only_collection(opened))
        if mode != "text":
            # Loads the model here, so that the time below is what a running program would see.
            _ = collection.encoder
        start = time.perf_counter()
        hits = collection.search(
            query,
            limit=limit,
            offset=offset,
            where=where,
            group_by=group_by,
            group_size=group_size,
            mode=mode,
            language=language,
        )
        seconds = time.perf_counter() - start
        if as_json:
            emit([report.hit_to_dict(hit) for hit in hits])
        else:
            emit(report.hits(hits))
            note([report.searched(len(hits), len(collection), seconds)])


@click.command()
@database_argument
@collection_option
@where_option
@click.option("--order-by", metavar="KEY", help="In the order of this key's values.")
@click.option("--descending", is_flag=True, help="From large to small.")
@click.option(
    "-k", "--limit", type=int, default=20, show_default=True, help="At most so many records."
)
@click.option("--offset", type=int, default=0, help="Leave out so many of the first.")
@json_option
def find(
    database: Path,
    name: str | None,
    where: dict[str, Any] | None,
    order_by: str | None,
    descending: bool,
    limit: int,
    offset: int,
    as_json: bool,
) -> None:
    """List the records that match, without a query.

    A KEY is one of the metadata, with dots into nested objects, or $id, $source or $line.
    """
    with open_to_read(database) as opened:
        collection = opened.collection(name or only_collection(opened))
        records = collection.find(
            where, order_by=order_by, descending=descending, offset=offset, limit=limit
        )
        if as_json:
            emit([report.record_to_dict(record) for record in records])
        else:
            emit(report.records(records))


@click.command()
@database_argument
@click.argument("key")
@collection_option
@where_option
@click.option("-k", "--limit", type=int, help="Only the largest counts.")
@json_option
def facet(
    database: Path,
    key: str,
    name: str | None,
    where: dict[str, Any] | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """Count records by what they have under KEY, the most frequent values first.

    A list counts once for each of its elements.
    """
    with open_to_read(database) as opened:
        collection = opened.collection(name or only_collection(opened))
        counts = collection.facet(key, where=where, limit=limit)
        if as_json:
            emit([{"value": value, "count": count} for value, count in counts])
        else:
            emit(report.facet(counts))
