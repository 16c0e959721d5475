"""`rac ingest`."""

from pathlib import Path

import click

import rust_ai_core as rac
from rust_ai_core import report
from rust_ai_core.cli.options import json_option, new_collection_option
from rust_ai_core.cli.output import INTERRUPTED, emit, note
from rust_ai_core.errors import ArgumentError

DEFAULT_MODEL = "minilm"


@click.command()
@click.argument(
    "sources", metavar="SOURCE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--into",
    "path",
    metavar="DATABASE",
    required=True,
    type=click.Path(path_type=Path),
    help="The database's directory, created on first use.",
)
@new_collection_option
@click.option(
    "--model",
    metavar="MODEL",
    help="Model of a new collection: a name, a folder or a Hugging Face id.  "
    f"[default: {DEFAULT_MODEL}]",
)
@click.option("--include", metavar="GLOB", multiple=True, help="Only such files. Repeatable.")
@click.option("--exclude", metavar="GLOB", multiple=True, help="No such files. Repeatable.")
@click.option("--gitignore", is_flag=True, help="Leave out what .gitignore files name.")
@click.option("--prune", is_flag=True, help="Forget files that are gone from a SOURCE folder.")
@json_option
def ingest(
    sources: tuple[Path, ...],
    path: Path,
    name: str,
    model: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    gitignore: bool,
    prune: bool,
    as_json: bool,
) -> int | None:
    """Read files and folders into a collection.

    Files that did not change since they were ingested cost nothing. Interrupted, it leaves a valid
    database, and the same command goes on where it was.
    """
    for source in sources:
        if not source.exists():
            raise ArgumentError(f"there is no file or folder {source}")
    # A new database is made only once its model is there.
    encoder = rac.Encoder(model or DEFAULT_MODEL) if model or not path.exists() else None
    try:
        with rac.open(path) as database:
            if encoder is None and name not in database.collections():
                encoder = rac.Encoder(DEFAULT_MODEL)
            collection = database.collection(name, model=encoder)
            note(database.recovered)
            reports = []
            for source in sources:
                done = collection.ingest(
                    source,
                    include=include or None,
                    exclude=exclude or None,
                    gitignore=gitignore,
                    prune=prune,
                    progress=True,
                )
                if as_json:
                    reports.append({"from": str(source), **done.to_dict()})
                else:
                    emit(report.ingested(source, path, done))
                    note(report.left_out(done))
            if as_json:
                emit(reports)
    except KeyboardInterrupt:
        note([f"rac: interrupted; {path} is valid, and the same command again goes on from here"])
        return INTERRUPTED
    return None
