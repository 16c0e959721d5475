"""The command `rac`. Data goes to stdout, everything else to stderr."""

import sys
from collections.abc import Sequence

import click

import rust_ai_core as rac
from rust_ai_core.cli import ingesting, maintenance, models, searching, tables
from rust_ai_core.cli.output import INTERRUPTED, note
from rust_ai_core.errors import RacError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(rac.__version__, prog_name="rac")
def commands() -> None:
    """Search your documents by meaning: ingest files, ask questions."""


for _command in (
    ingesting.ingest,
    searching.search,
    searching.find,
    searching.facet,
    maintenance.stats,
    maintenance.verify,
    maintenance.repair,
    tables.export,
    tables.import_,
    maintenance.backup,
    maintenance.restore,
    models.rerank,
    models.distill,
):
    commands.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `rac` and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    try:
        sys.exit(commands.main(arguments, prog_name="rac", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        note(["rac: interrupted"])
        sys.exit(INTERRUPTED)
    # An ImportError: a package that a command needs and that is not installed.
    except (RacError, OSError, ImportError) as error:
        note([f"rac: error: {error}"])
        sys.exit(1)
