"""LanceDB: every write is a new version of the table; nothing is flushed to the disk itself."""

from collections.abc import Sequence
from typing import Any

from benchmarks.storage.contenders.ours import columns
from benchmarks.storage.contenders.store import NUMBER, FloatArray, Store

TABLE = "rows"


class LanceStore(Store):
    """IVF with HNSW and scalar codes; written through Arrow, as its documentation advises."""

    _table: Any = None

    def create(self) -> None:
        import lancedb

        self._database = lancedb.connect(str(self.folder))

    def open(self) -> None:
        self.create()
        self._table = self._database.open_table(TABLE)

    def insert(self, first: int, vectors: FloatArray) -> None:
        import pyarrow as pa

        rows = columns(pa, first, vectors)
        if self._table is None:
            self._table = self._database.create_table(TABLE, rows)
        else:
            self._table.add(rows)

    def index(self) -> None:
        self._table.create_index(metric="cosine", index_type="IVF_HNSW_SQ")
        self._table.create_scalar_index(NUMBER)
        self._table.optimize()

    def search(self, query: FloatArray, limit: int, below: int | None = None) -> Sequence[int]:
        asked = self._table.search(query).distance_type("cosine").limit(limit)
        asked = asked.select(["id", "_distance"])
        if below is not None:
            asked = asked.where(f"{NUMBER} < {below}", prefilter=True)
        found: Sequence[int] = asked.to_arrow()["id"].to_pylist()
        return found

    def close(self) -> None:
        self._table = None
