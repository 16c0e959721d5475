"""How commands open a database that must be there."""

from pathlib import Path

import rust_ai_core as rac
from rust_ai_core.errors import ArgumentError, NotFoundError


def require(path: Path) -> None:
    """Raise NotFoundError where there is no database."""
    # Opening would make an empty database, which is not what a reader wants.
    if not path.exists():
        raise NotFoundError(
            f"there is no database {path}; make one with: rac ingest SOURCE --into {path}"
        )


def open_to_read(path: Path) -> rac.Database:
    """Open a database that must be there, beside a process that writes if there is one."""
    require(path)
    return rac.open(path, read_only=True)


def only_collection(database: rac.Database) -> str:
    """Name the collection of a database that has one; ArgumentError where it has several."""
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
