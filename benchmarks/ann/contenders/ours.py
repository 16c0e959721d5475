"""rust_ai_core: a collection, through what a user calls."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.ann.contenders.contender import (
    Batches,
    Contender,
    Filters,
    FloatArray,
    IntArray,
    Updates,
    Window,
)

DATABASE = "database.rac"
COLLECTION = "rows"
# What one upsert brings: a write waits for the disk once.
BATCH = 10_000
# A graph's rows are coded after this many searches, and some moments of a tenth of a second.
WARM_SEARCHES = 1_100
WARM_MOMENTS = 300
# The knob's value that leaves the effort to the collection.
DEFAULT = 0


class Collection(Contender, Batches, Filters, Updates):
    """Options: `call`, the method that is timed (search or search_batch); `collection`, arguments
    for opening the collection; `database`, those for opening the database; `warm`, whether what the
    collection makes while it is searched is there before it is timed. The knob is `effort`.
    """

    _collection: Any
    _effort: int | None

    def build(
        self, rows: FloatArray, folder: Path, threads: int, columns: Mapping[str, IntArray]
    ) -> None:
        import numpy as np

        import rust_ai_core as rac

        if rac.thread_count() != threads:
            raise RuntimeError(f"{rac.thread_count()} threads instead of {threads}")
        with rac.open(folder / DATABASE, durability="batch") as database:
            collection = self._opened(database)
            for start in range(0, len(rows), BATCH):
                ids = np.arange(start, min(start + BATCH, len(rows)))
                metadata = _metadata(columns, ids)
                collection.upsert(ids, rows[start : start + BATCH], metadata=metadata)
            collection.optimize(progress=False)

    def open(self, folder: Path) -> None:
        import rust_ai_core as rac

        database = rac.open(folder / DATABASE, **self.options.get("database", {}))
        self._collection = self._opened(database)
        if self.options.get("warm", False):
            self._warm()
        one_at_a_time = {"search": self._search, "search_batch": self._search_batch}
        self._call = one_at_a_time[self.options["call"]]

    def _warm(self) -> None:
        """Search as long as it takes until the rows of the graph are coded in memory."""
        import numpy as np

        queries = np.random.default_rng(1).standard_normal((WARM_SEARCHES, self.dimension))
        before = self._collection.stats()["memory_bytes"]
        for query in queries.astype(np.float32):
            self._collection.search_batch(query[None], effort=10)
        moment = threading.Event()
        for _ in range(WARM_MOMENTS):
            if self._collection.stats()["memory_bytes"] > before:
                break
            moment.wait(0.1)

    def tune(self, knob: int) -> None:
        self._effort = None if knob == DEFAULT else knob

    def search(self, query: FloatArray, limit: int) -> Sequence[int]:
        return self._call(query, limit, None)

    def search_where(self, query: FloatArray, limit: int, where: Window) -> Sequence[int]:
        condition = {where.column: {"$gte": where.low, "$lt": where.high}}
        return self._call(query, limit, condition)

    def search_many(self, queries: FloatArray, limit: int, *, exact: bool) -> IntArray:
        import numpy as np

        effort = None if exact else self._effort
        ids, _ = self._collection.search_batch(queries, limit=limit, effort=effort, exact=exact)
        return np.asarray(ids, dtype=np.int64)

    def delete(self, ids: IntArray) -> None:
        self._collection.delete(ids)

    def replace(self, ids: IntArray, rows: FloatArray) -> None:
        for start in range(0, len(ids), BATCH):
            part = slice(start, start + BATCH)
            self._collection.upsert(ids[part], rows[part])

    def settle(self) -> None:
        self._collection.optimize(progress=False)
        self._collection.compact()

    def _search(self, query: FloatArray, limit: int, where: Any) -> Sequence[int]:
        hits = self._collection.search(query, limit=limit, where=where, effort=self._effort)
        return [hit.id for hit in hits]

    def _search_batch(self, query: FloatArray, limit: int, where: Any) -> Sequence[int]:
        ids, _ = self._collection.search_batch(
            query[None], limit=limit, where=where, effort=self._effort
        )
        found: Sequence[int] = ids[0]
        return found

    def _opened(self, database: Any) -> Any:
        return database.collection(
            COLLECTION,
            dimension=self.dimension,
            metric=self.metric,
            **self.options.get("collection", {}),
        )


def _metadata(columns: Mapping[str, IntArray], ids: IntArray) -> list[dict[str, int]] | None:
    if not columns:
        return None
    return [{name: int(values[one]) for name, values in columns.items()} for one in ids]
