"""`rac stats`, `verify`, `repair`, `backup` and `restore`."""

import time
import warnings
from pathlib import Path

import click

import rust_ai_core as rac
from rust_ai_core import report
from rust_ai_core.cli.opening import open_to_read, require
from rust_ai_core.cli.options import database_argument, json_option
from rust_ai_core.cli.output import emit, note
from rust_ai_core.errors import DamageWarning


@click.command()
@database_argument
@json_option
def stats(database: Path, as_json: bool) -> None:
    """Say what a database holds and what it takes."""
    with open_to_read(database) as opened:
        figures = opened.stats()
        if as_json:
            emit(figures)
        else:
            handles = [opened.collection(name) for name in opened.collections()]
            emit(report.stats(database, figures, handles))


@click.command()
@database_argument
@json_option
def verify(database: Path, as_json: bool) -> int | None:
    """Check every byte of a database; exit with 1 if it is damaged. Changes nothing."""
    require(database)
    checked = rac.verify(database)
    emit(checked.to_dict() if as_json else report.verified(database, checked))
    return None if checked.ok else 1


@click.command()
@database_argument
@click.option(
    "--accept-loss",
    is_flag=True,
    help="Do without what cannot be read, once the rest of it is saved.",
)
@json_option
def repair(database: Path, accept_loss: bool, as_json: bool) -> int | None:
    """Write anew what is damaged and can be; exit with 1 while records cannot be read.

    Indexes are made again from the records. Records that cannot be read are kept as they are, for
    whoever has a backup of their files, unless --accept-loss gives them up. That also opens a
    collection that a damaged log keeps closed: the transactions that are whole are written anew.
    """
    require(database)
    with warnings.catch_warnings():
        # The report says the same, and more.
        warnings.simplefilter("ignore", DamageWarning)
        with rac.open(database) as opened:
            repaired = opened.repair(accept_loss=accept_loss, progress=True)
    emit(repaired if as_json else report.repaired(database, repaired, accept_loss=accept_loss))
    damaged = [file for files in repaired.values() for file in files]
    lost = any(file["lost_records"] != 0 for file in damaged)
    closed = any(file["keeps_closed"] for file in damaged)
    return 1 if closed or (lost and not accept_loss) else None


@click.command()
@database_argument
@click.argument("target", metavar="TARGET", type=click.Path(path_type=Path))
def backup(database: Path, target: Path) -> None:
    """Copy DATABASE to TARGET, which must not exist, or be empty.

    On one file system segments become hard links; elsewhere they are copied. The copy is checked
    before it appears.
    """
    start = time.perf_counter()
    with open_to_read(database) as opened:
        opened.backup(target, progress=True)
    note([report.copied(database, target, time.perf_counter() - start)])


@click.command()
@click.argument("backup", metavar="BACKUP", type=click.Path(path_type=Path))
@click.argument("database", metavar="DATABASE", type=click.Path(path_type=Path))
def restore(backup: Path, database: Path) -> None:
    """Copy BACKUP to DATABASE, which must not exist, or be empty.

    Every byte is copied, and checked before the copy appears: the two share nothing.
    """
    require(backup)
    start = time.perf_counter()
    rac.restore(backup, database, progress=True)
    note([report.copied(backup, database, time.perf_counter() - start)])
