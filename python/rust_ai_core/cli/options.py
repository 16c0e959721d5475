"""Arguments and options that several commands have."""

import json
from pathlib import Path
from typing import Any

import click

DEFAULT_COLLECTION = "documents"

database_argument = click.argument("database", metavar="DATABASE", type=click.Path(path_type=Path))
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
