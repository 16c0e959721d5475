"""Progress bars on stderr, drawn only where somebody looks: on a terminal or in a notebook."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from rust_ai_core._core import IngestProgress


def _bar(*details: ProgressColumn) -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description:<8}"),
        BarColumn(),
        MofNCompleteColumn(),
        *details,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not (console.file.isatty() or console.is_jupyter),
        transient=True,
    )


@contextmanager
def encode_bar() -> Iterator[Callable[[int, int], None]]:
    """Give a callable for `(texts done, texts in all)`."""
    with _bar(TextColumn("texts")) as bar:
        task = bar.add_task("encode", total=None)

        def update(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield update


@contextmanager
def ingest_bar() -> Iterator[Callable[[IngestProgress], None]]:
    """Give a callable for the `IngestProgress` which `Collection.ingest` reports."""
    with _bar(TextColumn("files  {task.fields[chunks]:,} chunks")) as bar:
        task = bar.add_task("walk", total=None, chunks=0)

        def update(progress: IngestProgress) -> None:
            bar.update(
                task,
                description=progress.stage,
                completed=progress.files_done,
                total=progress.files_total,
                chunks=progress.chunks,
            )

        yield update


@contextmanager
def steps_bar() -> Iterator[Callable[[int, int], None]]:
    """Give a callable for `(steps done, steps in all)`."""
    with _bar() as bar:
        task = bar.add_task("index", total=None)

        def update(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield update


@contextmanager
def rows_bar(total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Give a callable for the rows done."""
    with _bar(TextColumn("rows")) as bar:
        task = bar.add_task("rows", total=total)

        def update(done: int) -> None:
            bar.update(task, completed=done)

        yield update
