"""`rac export` and `import`."""

import time
from pathlib import Path
from typing import Any, Literal

import click

import rust_ai_core as rac
from rust_ai_core import frames, progress, report
from rust_ai_core.cli.opening import only_collection, open_to_read
from rust_ai_core.cli.options import (
    collection_option,
    database_argument,
    json_option,
    new_collection_option,
    where_option,
)
from rust_ai_core.cli.output import INTERRUPTED, emit, note

file_argument = click.argument(
    "file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False)
)


@click.command()
@database_argument
@file_argument
@collection_option
@where_option
@json_option
def export(
    database: Path, file: Path, name: str | None, where: dict[str, Any] | None, as_json: bool
) -> None:
    """Write the records of a collection to FILE, as Parquet.

    FILE gets ids, vectors, texts, metadata as JSON, and places; `rac import` takes it back exactly.
    Needs the package pyarrow.
    """
    with open_to_read(database) as opened:
        collection = opened.collection(name or only_collection(opened))
        start = time.perf_counter()
        records = collection.export(file, where=where, progress=True)
        seconds = time.perf_counter() - start
        if as_json:
            figures = {"collection": collection.name, "file": str(file), "records": records}
            emit({**figures, "bytes": file.stat().st_size, "seconds": round(seconds, 3)})
        else:
            emit(report.exported(collection.name, file, records, seconds))


@click.command("import")
@database_argument
@file_argument
@new_collection_option
@click.option(
    "--metric",
    type=click.Choice(["cosine", "dot", "l2"]),
    help="Metric of a new collection.  [default: the exported one's, else cosine]",
)
@click.option("--id", "id_column", default="id", show_default=True, help="The column of ids.")
@click.option(
    "--vector", "vector_column", default="vector", show_default=True, help="The one of vectors."
)
@click.option("--text", "text_column", default="text", show_default=True, help="The one of texts.")
@click.option(
    "--metadata",
    "metadata_column",
    default="metadata",
    show_default=True,
    help="The one of metadata; columns beside these four become keys of the metadata.",
)
@json_option
def import_(
    database: Path,
    file: Path,
    name: str,
    metric: Literal["cosine", "dot", "l2"] | None,
    id_column: str,
    vector_column: str,
    text_column: str,
    metadata_column: str,
    as_json: bool,
) -> int | None:
    """Write the rows of FILE, which is Parquet, into a collection.

    A new collection is made like the one that `rac export` wrote FILE from, or for vectors as long
    as FILE's. Records whose ids exist are replaced. Needs the package pyarrow.
    """
    settings = frames.parquet_settings(file, vector_column)
    start = time.perf_counter()
    try:
        with rac.open(database) as opened:
            note(opened.recovered)
            if name in opened.collections():
                collection = opened.collection(name, metric=metric)
            else:
                model = settings.get("model")
                collection = opened.collection(
                    name,
                    dimension=None if model else settings["dimension"],
                    model=model,
                    metric=metric or settings.get("metric"),
                    dtype=settings.get("dtype"),
                    fields=frames.fields_of(settings),
                )
            with progress.rows_bar(settings["rows"]) as update:
                records = collection.import_(
                    file,
                    id=id_column,
                    vector=vector_column,
                    text=text_column,
                    metadata=metadata_column,
                    progress=update,
                )
    except KeyboardInterrupt:
        note([f"rac: interrupted; {database} is valid and has the rows written so far"])
        return INTERRUPTED
    seconds = time.perf_counter() - start
    if as_json:
        figures = {"collection": name, "file": str(file), "records": records}
        emit({**figures, "seconds": round(seconds, 3)})
    else:
        emit(report.imported(name, file, records, seconds))
    return None
