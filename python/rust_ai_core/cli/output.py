"""What commands print, and how they end."""

import json
from typing import Any

import click

# The exit code of a command that Ctrl-C ended.
INTERRUPTED = 130


def emit(data: Any) -> None:
    """Put text lines as they are, anything else as JSON, on stdout."""
    if isinstance(data, str):
        click.echo(data)
    else:
        click.echo(json.dumps(data, ensure_ascii=False, indent=2))


def note(lines: list[str]) -> None:
    """Put lines on stderr."""
    for line in lines:
        click.echo(line, err=True)
