"""zvec: an embedded vector database; HNSW over int8 codes, or DiskANN."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ann.contenders.contender import (
    Contender,
    Filters,
    FloatArray,
    IntArray,
    Updates,
    Window,
    batches,
)

FIELD = "vector"
COLLECTION = "collection"


class ZvecCollection(Contender, Filters, Updates):
    """A collection; options: index and its parameters, `ids`, `writable`.

    `ids = true` asks through `query_internal_ids`, which needs a collection that is not writable
    and returns its own numbers; else the call is `query`, as its documentation shows.
    """

    _collection: Any

    def build(
        self, rows: FloatArray, folder: Path, threads: int, columns: Mapping[str, IntArray]
    ) -> None:
        import zvec

        zvec.init(log_level=zvec.LogLevel.ERROR, optimize_threads=threads)
        schema = zvec.CollectionSchema(
            name="benchmark",
            fields=[
                zvec.FieldSchema(
                    name, zvec.DataType.INT64, nullable=True, index_param=_range_index()
                )
                for name in columns
            ],
            vectors=zvec.VectorSchema(
                FIELD,
                zvec.DataType.VECTOR_FP32,
                self.dimension,
                index_param=self._index_parameters(),
            ),
        )
        collection = zvec.create_and_open(str(folder / COLLECTION), schema)
        for part in batches(len(rows)):
            ids = range(*part.indices(len(rows)))
            _check(collection.insert([_document(one, rows[one], columns) for one in ids]))
        collection.optimize(zvec.OptimizeOption(concurrency=threads))
        collection.close()

    def open(self, folder: Path) -> None:
        import zvec

        zvec.init(log_level=zvec.LogLevel.ERROR, query_threads=1, optimize_threads=1)
        read_only = not self.options.get("writable", False)
        option = zvec.CollectionOption(read_only=read_only, enable_mmap=True)
        self._collection = zvec.open(str(folder / COLLECTION), option)
        if self._by_internal_id:
            numbers = np.arange(self._collection.stats.doc_count)
            self._keys = np.array(self._collection.resolve_internal_ids(numbers), dtype=np.int64)

    def tune(self, knob: int) -> None:
        import zvec

        if self.options["index"] == "diskann":
            self._parameters: Any = zvec.DiskAnnQueryParam(list_size=knob)
        else:
            self._parameters = zvec.HnswQueryParam(ef=knob, is_using_refiner=self._refined)

    def search(self, query: FloatArray, limit: int) -> Sequence[int]:
        return self._search(query, limit, None)

    def search_where(self, query: FloatArray, limit: int, where: Window) -> Sequence[int]:
        condition = f"{where.column} >= {where.low} and {where.column} < {where.high}"
        return self._search(query, limit, condition)

    def delete(self, ids: IntArray) -> None:
        _check(self._collection.delete([str(one) for one in ids.tolist()]))

    def replace(self, ids: IntArray, rows: FloatArray) -> None:
        for part in batches(len(ids)):
            pairs = zip(ids[part].tolist(), rows[part], strict=True)
            _check(self._collection.upsert([_document(one, row) for one, row in pairs]))

    def settle(self) -> None:
        self._collection.optimize()

    def _search(self, query: FloatArray, limit: int, condition: str | None) -> Sequence[int]:
        import zvec

        asked = zvec.Query(field_name=FIELD, vector=query, param=self._parameters)
        if self._by_internal_id:
            numbers = self._collection.query_internal_ids(asked, topk=limit, filter=condition)
            keys: Sequence[int] = self._keys[numbers]
            return keys
        found = self._collection.query(asked, topk=limit, filter=condition, output_fields=[])
        return [int(document.id) for document in found]

    @property
    def _by_internal_id(self) -> bool:
        return bool(self.options.get("ids", False))

    @property
    def _refined(self) -> bool:
        return bool(self.options.get("refine", False))

    def _index_parameters(self) -> Any:
        import zvec

        metric = {"cosine": zvec.MetricType.COSINE, "dot": zvec.MetricType.IP}[self.metric]
        if self.options["index"] == "diskann":
            return zvec.DiskAnnIndexParam(
                metric, max_degree=self.options["degree"], list_size=self.options["breadth"]
            )
        return zvec.HnswIndexParam(
            metric,
            m=self.options["degree"],
            ef_construction=self.options["breadth"],
            quantize_type=getattr(zvec.QuantizeType, self.options["codes"]),
            use_contiguous_memory=True,
        )


def _range_index() -> Any:
    import zvec

    return zvec.InvertIndexParam(enable_range_optimization=True)


def _document(one: int, row: FloatArray, columns: Mapping[str, IntArray] | None = None) -> Any:
    import zvec

    fields = {name: int(values[one]) for name, values in (columns or {}).items()}
    return zvec.Doc(id=str(one), vectors={FIELD: row}, fields=fields)


def _check(statuses: Sequence[Any]) -> None:
    for status in statuses:
        if not status.ok():
            raise RuntimeError(f"zvec: {status}")
