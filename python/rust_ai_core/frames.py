"""Collections as data frames and Parquet files, through packages that are installed if wanted."""

import importlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from rust_ai_core._core import ArrowStream, SparseField, VectorField
from rust_ai_core.errors import ArgumentError, NotFoundError, StorageError

SCHEMA_KEY = b"rust_ai_core"
"""Where a file's Arrow schema says what the collection it came from was made with, as JSON."""

Report = Callable[[int], object]


def _package(name: str, purpose: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{purpose} needs the package {name}: pip install {name}") from error


def to_pandas(stream: ArrowStream) -> Any:
    """Give the records as a pandas DataFrame."""
    _package("pandas", "to_pandas")
    pyarrow = _package("pyarrow", "to_pandas")
    return pyarrow.table(stream).to_pandas()


def to_polars(stream: ArrowStream) -> Any:
    """Give the records as a polars DataFrame."""
    return _package("polars", "to_polars").DataFrame(stream)


def write_parquet(
    stream: ArrowStream, path: str | os.PathLike[str], report: Report | None = None
) -> int:
    """Write the records to a file that appears, or is replaced, when it is complete."""
    pyarrow = _package("pyarrow", "export")
    parquet = _package("pyarrow.parquet", "export")
    path = Path(path)
    if not path.parent.is_dir():
        raise NotFoundError(f"there is no folder {path.parent}")
    reader = pyarrow.RecordBatchReader.from_stream(stream)
    written = 0
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with (
            os.fdopen(handle, "wb") as file,
            parquet.ParquetWriter(file, reader.schema, compression="zstd") as writer,
        ):
            for batch in reader:
                writer.write_batch(batch)
                written += batch.num_rows
                if report is not None:
                    report(written)
        _publish(Path(temporary), path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    return written


def _publish(temporary: Path, path: Path) -> None:
    # Without the first flush a power loss could leave the name with half of the bytes.
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    mask = os.umask(0)
    os.umask(mask)
    temporary.chmod(0o666 & ~mask)
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_parquet(path: str | os.PathLike[str]) -> Any:
    """Give the rows of a file as a stream of record batches, of which one is in memory."""
    pyarrow = _package("pyarrow", "import_")
    file = _open_parquet(path, "import_")
    schema = file.schema_arrow

    def batches() -> Iterator[Any]:
        with file:
            yield from file.iter_batches(batch_size=4096)

    return pyarrow.RecordBatchReader.from_batches(schema, batches())


def parquet_settings(path: str | os.PathLike[str], vector: str = "vector") -> dict[str, Any]:
    """Say how many rows a file has and what a collection for its vectors is to be made with."""
    pyarrow = _package("pyarrow", "import_")
    with _open_parquet(path, "import_") as file:
        schema = file.schema_arrow
        settings: dict[str, Any] = {"rows": file.metadata.num_rows}
        made_with = (schema.metadata or {}).get(SCHEMA_KEY)
        if made_with is not None:
            return {**json.loads(made_with), **settings}
        index = schema.get_field_index(vector)
        if index < 0:
            raise ArgumentError(f"{path} has no column {vector!r} of vectors")
        kind = schema.field(index).type
        if pyarrow.types.is_fixed_size_list(kind):
            return {"dimension": kind.list_size, **settings}
        for batch in file.iter_batches(batch_size=1, columns=[vector]):
            first = batch.column(0)[0].as_py()
            if first is not None:
                return {"dimension": len(first), **settings}
    raise ArgumentError(f"{path} has no vector to tell the dimension of a new collection by")


def fields_of(settings: dict[str, Any]) -> dict[str, VectorField | SparseField]:
    """Give the fields of the collection that a file came from."""

    def field(kind: dict[str, Any]) -> VectorField | SparseField:
        if kind["kind"] == "sparse":
            return SparseField()
        return VectorField(kind["dimension"], metric=kind["metric"], dtype=kind["dtype"])

    return {name: field(kind) for name, kind in settings.get("fields", {}).items()}


def _open_parquet(path: str | os.PathLike[str], purpose: str) -> Any:
    pyarrow = _package("pyarrow", purpose)
    parquet = _package("pyarrow.parquet", purpose)
    if not Path(path).exists():
        raise NotFoundError(f"there is no file {path}")
    try:
        return parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as error:
        raise StorageError(f"{path} is not a Parquet file: {error}") from error
