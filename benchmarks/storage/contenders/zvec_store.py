"""zvec: an embedded vector database. `flush` after each write makes it durable."""

from collections.abc import Sequence
from typing import Any

from benchmarks.storage.contenders.store import LANGUAGE, NUMBER, FloatArray, Store, number_of

COLLECTION = "collection"
VECTOR = "vector"
EFFORT = 128


class ZvecStore(Store):
    """HNSW over full vectors, with its defaults."""

    _collection: Any

    def create(self) -> None:
        import zvec

        zvec.init(log_level=zvec.LogLevel.ERROR)
        index = zvec.InvertIndexParam(enable_range_optimization=True)
        schema = zvec.CollectionSchema(
            name="benchmark",
            fields=[
                zvec.FieldSchema(NUMBER, zvec.DataType.INT64, index_param=index),
                zvec.FieldSchema(LANGUAGE, zvec.DataType.STRING),
            ],
            vectors=zvec.VectorSchema(
                VECTOR,
                zvec.DataType.VECTOR_FP32,
                self.dimension,
                index_param=zvec.HnswIndexParam(zvec.MetricType.COSINE),
            ),
        )
        self._collection = zvec.create_and_open(str(self.folder / COLLECTION), schema)

    def open(self) -> None:
        import zvec

        zvec.init(log_level=zvec.LogLevel.ERROR)
        option = zvec.CollectionOption(read_only=False, enable_mmap=True)
        self._collection = zvec.open(str(self.folder / COLLECTION), option)

    def insert(self, first: int, vectors: FloatArray) -> None:
        import zvec

        documents = [
            zvec.Doc(
                id=str(row),
                vectors={VECTOR: vector},
                fields={NUMBER: number_of(row), LANGUAGE: "en"},
            )
            for row, vector in enumerate(vectors, first)
        ]
        for status in self._collection.upsert(documents):
            if not status.ok():
                raise RuntimeError(f"zvec: {status}")
        self._collection.flush()

    def index(self) -> None:
        self._collection.optimize()
        self._collection.flush()

    def search(self, query: FloatArray, limit: int, below: int | None = None) -> Sequence[int]:
        import zvec

        asked = zvec.Query(field_name=VECTOR, vector=query, param=zvec.HnswQueryParam(ef=EFFORT))
        condition = None if below is None else f"{NUMBER} < {below}"
        found = self._collection.query(asked, topk=limit, filter=condition, output_fields=[])
        return [int(document.id) for document in found]

    def close(self) -> None:
        self._collection.close()
