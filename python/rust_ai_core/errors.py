"""Every error that this package raises, and every warning that it gives, on its own account.

One tree under `RacError`; each leaf is also the built-in error that a Python programmer would
catch anyway, so `except ValueError` and `except rac.RacError` both work:

>>> from rust_ai_core.errors import DimensionError, RacError
>>> issubclass(DimensionError, ValueError) and issubclass(DimensionError, RacError)
True

An argument of a wrong type raises the plain `TypeError`.

Warnings are of damage on the disk that work goes on around. `LossWarning` says that records are
missing from what is found; whoever would rather stop turns it into an error:

>>> import warnings
>>> from rust_ai_core.errors import LossWarning
>>> with warnings.catch_warnings():
...     warnings.simplefilter("error", LossWarning)
"""

import io

__all__ = [
    "ArgumentError",
    "ChunkError",
    "ClosedError",
    "CorruptError",
    "DamageWarning",
    "DimensionError",
    "FilterError",
    "ForkedError",
    "LockedError",
    "LossWarning",
    "ModelError",
    "NonFiniteError",
    "NotFoundError",
    "ParseError",
    "RacError",
    "ReadOnlyError",
    "SchemaError",
    "StorageError",
    "VersionError",
]


class RacError(Exception):
    """The root of all errors of this package."""


class ArgumentError(RacError, ValueError):
    """An argument has the right type and a value that makes no sense, such as a limit of 0."""


class ChunkError(RacError, RuntimeError):
    """`parallel_inference` failed on one chunk.

    The message names the chunk's index; `__cause__` is the error that the model raised.
    """


class ClosedError(RacError, ValueError):
    """The database was closed; open it again."""


class CorruptError(RacError, OSError):
    """Bytes on disk that had been written durably are damaged. Names the file and the offset."""


class DimensionError(RacError, ValueError):
    """A vector has another length than its collection."""


class FilterError(RacError, ValueError):
    """A `where` filter names an unknown operator or gives an operator a value it cannot take."""


class ForkedError(RacError, RuntimeError):
    """A child process used a database that its parent had opened before the fork.

    Threads and locks do not survive a fork. Open the database in the child, with `read_only=True`
    while the parent writes.
    """


class LockedError(RacError, OSError):
    """Another process has the database open."""


class ModelError(RacError, ValueError):
    """A model cannot be found, is incomplete, or has an architecture that is not supported."""


class NonFiniteError(RacError, ValueError):
    """A vector to be stored holds NaN or infinity. Names the row."""


class NotFoundError(RacError, KeyError):
    """There is no collection of this name."""

    def __str__(self) -> str:
        """Return the message as it is: `KeyError` alone would show its `repr`."""
        return Exception.__str__(self)


class ParseError(RacError, ValueError):
    """A file cannot be decoded or parsed. Names the file and what was wrong."""


class ReadOnlyError(RacError, io.UnsupportedOperation):
    """A write to a snapshot, or to a database that was opened for reading only."""


class SchemaError(RacError, ValueError):
    """A collection exists with another dimension, metric or model than asked for."""


class StorageError(RacError, OSError):
    """The operating system refused to read or write. Names the path and what was attempted."""


class VersionError(RacError, OSError):
    """The database was written in a newer format than this version of the package knows."""


class DamageWarning(UserWarning):
    """A file is damaged, and nothing is lost: what was damaged is written anew by itself."""


class LossWarning(DamageWarning):
    """Records cannot be read, and are missing from what is found. Names the file and how many."""
