"""The command `rac`. Data goes to stdout, everything else to stderr."""

import json
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click

import rust_ai_core as rac
from rust_ai_core import frames, progress, report
from rust_ai_core.errors import ArgumentError, DamageWarning, NotFoundError, RacError

DEFAULT_COLLECTION = "documents"
DEFAULT_MODEL = "minilm"
INTERRUPTED = 130

database_argument = click.argument("database", metavar="DATABASE", type=click.Path(path_type=Path))
target_argument = click.argument("target", metavar="TARGET", type=click.Path(path_type=Path))
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


def _json_object(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> dict[str, Any] | None:
    if value is None:
        return None
    try:
        parsed = json.loads(value)
    except ValueError as error:
        raise click.BadParameter(f"not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise click.BadParameter('expected a JSON object such as {"lang": "en"}')
    return parsed


collection_option = click.option(
    "--collection", "name", metavar="NAME", help="Which one, where there are several."
)
new_collection_option = click.option(
    "--collection",
    "name",
    metavar="NAME",
    default=DEFAULT_COLLECTION,
    show_default=True,
    help="The collection, created on first use.",
)
where_option = click.option(
    "--where",
    metavar="JSON",
    callback=_json_object,
    help='Only records whose metadata match, such as {"format": "markdown"}.',
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(rac.__version__, prog_name="rac")
def commands() -> None:
    """Search your documents by meaning: ingest files, ask questions."""


@commands.command()
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
            _note(database.recovered)
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
                    _print(report.ingested(source, path, done))
                    _note(report.left_out(done))
            if as_json:
                _print(reports)
    except KeyboardInterrupt:
        _note([f"rac: interrupted; {path} is valid, and the same command again goes on from here"])
        return INTERRUPTED
    return None


@commands.command()
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
    with _open(database) as opened:
        collection = opened.collection(name or _only_collection(opened))
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
            _print([report.hit_to_dict(hit) for hit in hits])
        else:
            _print(report.hits(hits))
            _note([report.searched(len(hits), len(collection), seconds)])


@commands.command()
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
    with _open(database) as opened:
        collection = opened.collection(name or _only_collection(opened))
        records = collection.find(
            where, order_by=order_by, descending=descending, offset=offset, limit=limit
        )
        if as_json:
            _print([report.record_to_dict(record) for record in records])
        else:
            _print(report.records(records))


@commands.command()
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
    with _open(database) as opened:
        collection = opened.collection(name or _only_collection(opened))
        counts = collection.facet(key, where=where, limit=limit)
        if as_json:
            _print([{"value": value, "count": count} for value, count in counts])
        else:
            _print(report.facet(counts))


@commands.command()
@database_argument
@json_option
def stats(database: Path, as_json: bool) -> None:
    """Say what a database holds and what it takes."""
    with _open(database) as opened:
        figures = opened.stats()
        if as_json:
            _print(figures)
        else:
            handles = [opened.collection(name) for name in opened.collections()]
            _print(report.stats(database, figures, handles))


@commands.command()
@database_argument
@json_option
def verify(database: Path, as_json: bool) -> int | None:
    """Check every byte of a database; exit with 1 if it is damaged. Changes nothing."""
    _require(database)
    checked = rac.verify(database)
    _print(checked.to_dict() if as_json else report.verified(database, checked))
    return None if checked.ok else 1


@commands.command()
@database_argument
@click.option(
    "--accept-loss",
    is_flag=True,
    help="Remove files that cannot be read, once the rest of them is saved.",
)
@json_option
def repair(database: Path, accept_loss: bool, as_json: bool) -> int | None:
    """Write anew what is damaged and can be; exit with 1 while records cannot be read.

    Indexes are made again from the records. Records that cannot be read are kept as they are, for
    whoever has a backup of their files, unless --accept-loss gives them up.
    """
    _require(database)
    with warnings.catch_warnings():
        # The report says the same, and more.
        warnings.simplefilter("ignore", DamageWarning)
        with rac.open(database) as opened:
            repaired = opened.repair(accept_loss=accept_loss, progress=True)
    _print(repaired if as_json else report.repaired(database, repaired, accept_loss=accept_loss))
    lost = any(file["lost_records"] != 0 for files in repaired.values() for file in files)
    return 1 if lost and not accept_loss else None


@commands.command()
@database_argument
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--collection", "name", metavar="NAME", help="Which one, where there are several.")
@click.option(
    "--where",
    metavar="JSON",
    callback=_json_object,
    help='Only records whose metadata match, such as {"format": "markdown"}.',
)
@json_option
def export(
    database: Path, file: Path, name: str | None, where: dict[str, Any] | None, as_json: bool
) -> None:
    """Write the records of a collection to FILE, as Parquet.

    FILE gets ids, vectors, texts, metadata as JSON, and places; `rac import` takes it back exactly.
    Needs the package pyarrow.
    """
    with _open(database) as opened:
        collection = opened.collection(name or _only_collection(opened))
        start = time.perf_counter()
        records = collection.export(file, where=where, progress=True)
        seconds = time.perf_counter() - start
        if as_json:
            figures = {"collection": collection.name, "file": str(file), "records": records}
            _print({**figures, "bytes": file.stat().st_size, "seconds": round(seconds, 3)})
        else:
            _print(report.exported(collection.name, file, records, seconds))


@commands.command("import")
@database_argument
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
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
            _note(opened.recovered)
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
        _note([f"rac: interrupted; {database} is valid and has the rows written so far"])
        return INTERRUPTED
    seconds = time.perf_counter() - start
    if as_json:
        figures = {"collection": name, "file": str(file), "records": records}
        _print({**figures, "seconds": round(seconds, 3)})
    else:
        _print(report.imported(name, file, records, seconds))
    return None


@commands.command()
@database_argument
@target_argument
def backup(database: Path, target: Path) -> None:
    """Copy DATABASE to TARGET, which must not exist, or be empty.

    On one file system segments become hard links; elsewhere they are copied. The copy is checked
    before it appears.
    """
    start = time.perf_counter()
    with _open(database) as opened:
        opened.backup(target, progress=True)
    _note([report.copied(database, target, time.perf_counter() - start)])


@commands.command()
@click.argument("backup", metavar="BACKUP", type=click.Path(path_type=Path))
@click.argument("database", metavar="DATABASE", type=click.Path(path_type=Path))
def restore(backup: Path, database: Path) -> None:
    """Copy BACKUP to DATABASE, which must not exist, or be empty.

    Every byte is copied, and checked before the copy appears: the two share nothing.
    """
    _require(backup)
    start = time.perf_counter()
    rac.restore(backup, database, progress=True)
    _note([report.copied(backup, database, time.perf_counter() - start)])


@commands.command()
@click.argument("model")
@click.argument("query")
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
@click.option("--files", is_flag=True, help="Every TEXT is the path of a file, read as UTF-8.")
@click.option("-k", "--limit", type=click.IntRange(min=0), help="Only the best so many.")
@json_option
def rerank(
    model: str, query: str, texts: tuple[str, ...], files: bool, limit: int | None, as_json: bool
) -> None:
    """Order texts by how well they answer QUERY, best first, with the cross-encoder MODEL.

    MODEL is a folder or a Hugging Face id. Without any TEXT, every line of stdin is one, or the
    path of one with --files; empty lines are left out.
    """
    given = texts or tuple(line for line in sys.stdin.read().splitlines() if line)
    contents = [_read(path) for path in given] if files else list(given)
    ranked = rac.Reranker(model).rank(query, contents, limit=limit)
    if as_json:
        rows: list[dict[str, Any]] = [
            {"index": index, "score": score, "text": contents[index]} for index, score in ranked
        ]
        if files:
            for row in rows:
                row["file"] = given[row["index"]]
        _print(rows)
    elif ranked:
        _print(report.ranked([(score, given[index]) for index, score in ranked]))


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ArgumentError(f"{path} is not UTF-8: {error.reason}") from error


@commands.command()
@click.argument("model")
@click.option(
    "--out",
    "folder",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path),
    help="The new model's folder; must not exist.",
)
@click.option(
    "--dimension", type=int, default=256, show_default=True, help="Numbers in a vector, at most."
)
@click.option(
    "--sif",
    type=float,
    default=1e-4,
    show_default=True,
    help="Weight of frequent tokens: a / (a + frequency).",
)
def distill(model: str, folder: Path, dimension: int, sif: float) -> None:
    """Make a fast model of static embeddings from MODEL, in model2vec's layout.

    MODEL is a name, a folder or a Hugging Face id. The new model is a table of one vector a token:
    it embeds tens of thousands of texts a second, and finds less than MODEL does.
    """
    start = time.perf_counter()
    made = rac.distill(model, folder, dimension=dimension, sif=sif, progress=True)
    _note([report.distilled(made, time.perf_counter() - start)])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `rac` and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    try:
        sys.exit(commands.main(arguments, prog_name="rac", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        _note(["rac: interrupted"])
        sys.exit(INTERRUPTED)
    # An ImportError: a package that a command needs and that is not installed.
    except (RacError, OSError, ImportError) as error:
        _note([f"rac: error: {error}"])
        sys.exit(1)


def _require(path: Path) -> None:
    # Opening would make an empty database, which is not what a reader wants.
    if not path.exists():
        raise NotFoundError(
            f"there is no database {path}; make one with: rac ingest SOURCE --into {path}"
        )


def _open(path: Path) -> rac.Database:
    _require(path)
    # So that it works beside a process that writes.
    return rac.open(path, read_only=True)


def _only_collection(database: rac.Database) -> str:
    names = database.collections()
    if len(names) == 1:
        return names[0]
    if not names:
        raise NotFoundError(
            f"{database.path} has no collection yet; fill one with: "
            f"rac ingest SOURCE --into {database.path}"
        )
    raise ArgumentError(
        f"{database.path} has several collections; choose one with --collection: "
        + ", ".join(names)
    )


def _print(data: Any) -> None:
    """Put text lines as they are, anything else as JSON, on stdout."""
    if isinstance(data, str):
        click.echo(data)
    else:
        click.echo(json.dumps(data, ensure_ascii=False, indent=2))


def _note(lines: list[str]) -> None:
    for line in lines:
        click.echo(line, err=True)
