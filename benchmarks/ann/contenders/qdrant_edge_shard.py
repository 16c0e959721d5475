"""Qdrant Edge: an embedded shard of Qdrant."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.ann.contenders.contender import (
    Contender,
    Filters,
    FloatArray,
    IntArray,
    Updates,
    Window,
    batches,
)

SHARD = "shard"
# So many times the limit are scored again on full vectors; without, int8 caps the recall at 0.98.
OVERSAMPLING = 2.0


class QdrantEdgeShard(Contender, Filters, Updates):
    """HNSW with int8 codes; options: m, ef_construct, codes, on_disk. The knob is hnsw_ef."""

    _shard: Any

    def build(
        self, rows: FloatArray, folder: Path, threads: int, columns: Mapping[str, IntArray]
    ) -> None:
        import qdrant_edge as qdrant

        (folder / SHARD).mkdir()
        shard = qdrant.EdgeShard.create(str(folder / SHARD), self._config(threads))
        for name in columns:
            schema = qdrant.PayloadSchemaType.Integer
            shard.update(qdrant.UpdateOperation.create_field_index(name, schema))
        for part in batches(len(rows)):
            ids = range(*part.indices(len(rows)))
            points = [_point(one, rows[one], columns) for one in ids]
            shard.update(qdrant.UpdateOperation.upsert_points(points))
        shard.optimize()
        shard.flush()
        shard.close()

    def open(self, folder: Path) -> None:
        import qdrant_edge as qdrant

        self._shard = qdrant.EdgeShard.load(str(folder / SHARD), self._config(1))

    def tune(self, knob: int) -> None:
        import qdrant_edge as qdrant

        codes = qdrant.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING)
        self._parameters = qdrant.SearchParams(hnsw_ef=knob, quantization=codes)

    def search(self, query: FloatArray, limit: int) -> Sequence[int]:
        return self._search(query, limit, None)

    def search_where(self, query: FloatArray, limit: int, where: Window) -> Sequence[int]:
        import qdrant_edge as qdrant

        between = qdrant.RangeFloat(gte=where.low, lt=where.high)
        condition = qdrant.FieldCondition(key=where.column, range=between)
        return self._search(query, limit, qdrant.Filter(must=[condition]))

    def delete(self, ids: IntArray) -> None:
        import qdrant_edge as qdrant

        self._shard.update(qdrant.UpdateOperation.delete_points(ids.tolist()))

    def replace(self, ids: IntArray, rows: FloatArray) -> None:
        import qdrant_edge as qdrant

        for part in batches(len(ids)):
            pairs = zip(ids[part].tolist(), rows[part], strict=True)
            points = [_point(one, row) for one, row in pairs]
            self._shard.update(qdrant.UpdateOperation.upsert_points(points))

    def settle(self) -> None:
        self._shard.optimize()

    def _search(self, query: FloatArray, limit: int, condition: Any) -> Sequence[int]:
        import qdrant_edge as qdrant

        # Its binding takes lists: making one is part of what a caller pays.
        asked = qdrant.QueryRequest(
            limit,
            query=qdrant.Query.Nearest(query.tolist()),
            filter=condition,
            params=self._parameters,
        )
        return [point.id for point in self._shard.query(asked)]

    def _config(self, threads: int) -> Any:
        import qdrant_edge as qdrant

        on_disk = self.options["on_disk"]
        place = qdrant.Memory.Cold if on_disk else qdrant.Memory.Cached
        codes = qdrant.ScalarQuantizationConfig(
            qdrant.ScalarType.Int8, memory=place if on_disk else qdrant.Memory.Pinned
        )
        graph = qdrant.HnswIndexConfig(
            self.options["m"],
            self.options["ef_construct"],
            full_scan_threshold=10_000,
            max_indexing_threads=threads,
            inline_storage=self.options.get("inline", False),
            memory=place,
        )
        vectors = qdrant.EdgeVectorParams(
            self.dimension,
            {"cosine": qdrant.Distance.Cosine, "dot": qdrant.Distance.Dot}[self.metric],
            memory=place,
        )
        optimizers = qdrant.EdgeOptimizersConfig(
            # One segment with one graph: the fastest to search.
            default_segment_number=1,
            max_segment_size=100_000_000,
            indexing_threshold=1_000,
        )
        return qdrant.EdgeConfig(
            vectors,
            hnsw_config=graph,
            quantization_config=codes,
            optimizers=optimizers,
            max_search_threads=threads,
        )


def _point(one: int, row: FloatArray, columns: Mapping[str, IntArray] | None = None) -> Any:
    import qdrant_edge as qdrant

    payload = {name: int(values[one]) for name, values in (columns or {}).items()}
    return qdrant.Point(one, row.tolist(), payload or None)
