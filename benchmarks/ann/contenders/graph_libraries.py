"""hnswlib and usearch: graphs in memory, saved to one file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.ann.contenders.contender import Contender, FloatArray, IntArray, Updates

FILE = "index"


class Hnswlib(Contender, Updates):
    """hnswlib on float32; options: M, ef_construction."""

    _index: Any

    def build(
        self, rows: FloatArray, folder: Path, threads: int, columns: Mapping[str, IntArray]
    ) -> None:
        del columns
        index = self._new()
        index.init_index(len(rows), M=self.options["M"], ef_construction=self._breadth)
        index.add_items(rows, num_threads=threads)
        index.save_index(str(folder / FILE))

    def open(self, folder: Path) -> None:
        self._index = self._new()
        self._index.load_index(str(folder / FILE), allow_replace_deleted=True)

    def tune(self, knob: int) -> None:
        self._index.set_ef(knob)

    def search(self, query: FloatArray, limit: int) -> Sequence[int]:
        ids, _ = self._index.knn_query(query, k=limit, num_threads=1)
        return ids[0]

    def delete(self, ids: IntArray) -> None:
        for one in ids.tolist():
            self._index.mark_deleted(one)

    def replace(self, ids: IntArray, rows: FloatArray) -> None:
        self._index.add_items(rows, ids, num_threads=1)

    def settle(self) -> None:
        """hnswlib has no maintenance."""

    def _new(self) -> Any:
        import hnswlib

        # Its cosine normalizes and then does the same as "ip"; the rows here have unit length.
        return hnswlib.Index({"cosine": "ip", "dot": "ip"}[self.metric], self.dimension)

    @property
    def _breadth(self) -> int:
        return int(self.options["ef_construction"])


class Usearch(Contender):
    """usearch; options: connectivity, expansion_add, dtype."""

    _index: Any

    def build(
        self, rows: FloatArray, folder: Path, threads: int, columns: Mapping[str, IntArray]
    ) -> None:
        import numpy as np
        from usearch.index import Index

        del columns
        index = Index(
            ndim=self.dimension,
            metric={"cosine": "cos", "dot": "ip"}[self.metric],
            dtype=self.options["dtype"],
            connectivity=self.options["connectivity"],
            expansion_add=self.options["expansion_add"],
        )
        index.add(np.arange(len(rows)), rows, threads=threads)
        index.save(str(folder / FILE))

    def open(self, folder: Path) -> None:
        from usearch.index import Index

        self._index = Index.restore(str(folder / FILE))

    def tune(self, knob: int) -> None:
        self._index.expansion_search = knob

    def search(self, query: FloatArray, limit: int) -> Sequence[int]:
        keys: Sequence[int] = self._index.search(query, limit, threads=1).keys
        return keys
