"""`rac rerank` and `distill`."""

import sys
import time
from pathlib import Path
from typing import Any

import click

import rust_ai_core as rac
from rust_ai_core import report
from rust_ai_core.cli.options import json_option
from rust_ai_core.cli.output import emit, note
from rust_ai_core.errors import ArgumentError


@click.command()
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
        emit(rows)
    elif ranked:
        emit(report.ranked([(score, given[index]) for index, score in ranked]))


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ArgumentError(f"{path} is not UTF-8: {error.reason}") from error


@click.command()
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
    note([report.distilled(made, time.perf_counter() - start)])
