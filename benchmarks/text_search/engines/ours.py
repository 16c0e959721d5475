"""rust_ai_core: a search gives hits with their texts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.text_search.engines.engine import Engine, bytes_of

BATCH = 10_000


class Collection(Engine):
    """A collection of one dimension, whose vectors nobody searches."""

    _database: Any
    _collection: Any

    def index(self, texts: Sequence[str]) -> None:
        import rust_ai_core as rac

        self._database = rac.open(self.folder / "texts.rac", durability="batch")
        self._collection = self._database.collection("texts", dimension=1, metric="dot")
        vectors = np.zeros((BATCH, 1), np.float32)
        for first in range(0, len(texts), BATCH):
            some = texts[first : first + BATCH]
            self._collection.upsert(
                np.arange(first, first + len(some)), vectors[: len(some)], texts=some
            )
        self._collection.compact()
        self._collection.optimize()
        self._collection.search("word", mode="text", limit=1)

    def search(self, query: str, limit: int) -> Sequence[int]:
        return [int(hit.id) for hit in self._collection.search(query, mode="text", limit=limit)]

    def index_bytes(self) -> int:
        return bytes_of(list(self.folder.rglob("*.words")))

    def close(self) -> None:
        self._database.close()
