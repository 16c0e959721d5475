"""Qdrant Edge: an embedded shard of Qdrant. `flush` after each write makes it durable."""

from collections.abc import Sequence
from typing import Any

from benchmarks.storage.contenders.store import LANGUAGE, NUMBER, FloatArray, Store, number_of

SHARD = "shard"
EFFORT = 64


class QdrantEdgeStore(Store):
    """HNSW over full vectors, with its defaults."""

    _shard: Any

    def create(self) -> None:
        import qdrant_edge as qdrant

        (self.folder / SHARD).mkdir()
        self._shard = qdrant.EdgeShard.create(str(self.folder / SHARD), self._config())
        schema = qdrant.PayloadSchemaType.Integer
        self._shard.update(qdrant.UpdateOperation.create_field_index(NUMBER, schema))

    def open(self) -> None:
        import qdrant_edge as qdrant

        self._shard = qdrant.EdgeShard.load(str(self.folder / SHARD), self._config())

    def insert(self, first: int, vectors: FloatArray) -> None:
        import qdrant_edge as qdrant

        points = [
            qdrant.Point(row, vector.tolist(), {NUMBER: number_of(row), LANGUAGE: "en"})
            for row, vector in enumerate(vectors, first)
        ]
        self._shard.update(qdrant.UpdateOperation.upsert_points(points))
        self._shard.flush()

    def index(self) -> None:
        self._shard.optimize()
        self._shard.flush()

    def search(self, query: FloatArray, limit: int, below: int | None = None) -> Sequence[int]:
        import qdrant_edge as qdrant

        condition = None
        if below is not None:
            between = qdrant.RangeFloat(lt=below)
            must = [qdrant.FieldCondition(key=NUMBER, range=between)]
            condition = qdrant.Filter(must=must)
        asked = qdrant.QueryRequest(
            limit,
            query=qdrant.Query.Nearest(query.tolist()),
            filter=condition,
            params=qdrant.SearchParams(hnsw_ef=EFFORT),
        )
        return [point.id for point in self._shard.query(asked)]

    def close(self) -> None:
        self._shard.close()

    def _config(self) -> Any:
        import qdrant_edge as qdrant

        vectors = qdrant.EdgeVectorParams(self.dimension, qdrant.Distance.Cosine)
        optimizers = qdrant.EdgeOptimizersConfig(
            default_segment_number=1, indexing_threshold=1_000, max_segment_size=100_000_000
        )
        return qdrant.EdgeConfig(vectors, optimizers=optimizers)
