"""rust_ai_core, through each of its two ways of writing."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.storage.contenders.store import LANGUAGE, NUMBER, FloatArray, Store, number_of

DATABASE = "database.rac"


class Collection(Store):
    """`upsert` with NumPy arrays and a dict a record; a write waits for the disk."""

    _database: Any
    _collection: Any

    def create(self) -> None:
        self.open()

    def open(self) -> None:
        import rust_ai_core as rac

        self._database = rac.open(self.folder / DATABASE, durability="sync")
        self._collection = self._database.collection("rows", dimension=self.dimension)

    def insert(self, first: int, vectors: FloatArray) -> None:
        numbers = range(first, first + len(vectors))
        metadata = [{NUMBER: number_of(row), LANGUAGE: "en"} for row in numbers]
        ids = np.arange(first, first + len(vectors))
        self._collection.upsert(ids, vectors, metadata=metadata)

    def index(self) -> None:
        self._collection.optimize()

    def search(self, query: FloatArray, limit: int, below: int | None = None) -> Sequence[int]:
        where = None if below is None else {NUMBER: {"$lt": below}}
        ids, _ = self._collection.search_batch(query[None], limit=limit, where=where)
        found: Sequence[int] = ids[0]
        return found

    def close(self) -> None:
        self._database.close()


class CollectionOfTables(Collection):
    """`upsert_table` with an Arrow table of columns."""

    def insert(self, first: int, vectors: FloatArray) -> None:
        import pyarrow as pa

        self._collection.upsert_table(columns(pa, first, vectors))


def columns(pa: Any, first: int, vectors: FloatArray) -> Any:
    """The rows as a pyarrow table; the vectors are not copied."""
    rows = range(first, first + len(vectors))
    flat = pa.array(vectors.reshape(-1))
    return pa.table(
        {
            "id": pa.array(rows, pa.int64()),
            "vector": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
            NUMBER: pa.array([number_of(row) for row in rows], pa.int64()),
            LANGUAGE: pa.array(["en"] * len(vectors)),
        }
    )
