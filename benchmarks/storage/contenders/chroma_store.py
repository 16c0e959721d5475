"""Chroma in its persistent, embedded form: SQLite takes the writes."""

from collections.abc import Sequence
from typing import Any

from benchmarks.storage.contenders.store import LANGUAGE, NUMBER, FloatArray, Store, number_of


class ChromaStore(Store):
    """HNSW with its defaults."""

    _collection: Any

    def create(self) -> None:
        import chromadb

        settings = chromadb.Settings(anonymized_telemetry=False)
        client = chromadb.PersistentClient(str(self.folder), settings=settings)
        self._collection = client.get_or_create_collection(
            "rows", configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
        )

    def open(self) -> None:
        self.create()

    def insert(self, first: int, vectors: FloatArray) -> None:
        rows = range(first, first + len(vectors))
        self._collection.upsert(
            ids=[str(row) for row in rows],
            embeddings=vectors,
            metadatas=[{NUMBER: number_of(row), LANGUAGE: "en"} for row in rows],
        )

    def index(self) -> None:
        """It has nothing to call: the graph grows with the writes."""

    def search(self, query: FloatArray, limit: int, below: int | None = None) -> Sequence[int]:
        where = None if below is None else {NUMBER: {"$lt": below}}
        found = self._collection.query(
            query_embeddings=query[None], n_results=limit, where=where, include=[]
        )
        return [int(one) for one in found["ids"][0]]

    def close(self) -> None:
        del self._collection
