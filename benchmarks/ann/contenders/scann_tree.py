"""ScaNN: a tree of partitions, anisotropic 4-bit codes, reordering on full vectors."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.ann.contenders.contender import Contender, FloatArray, IntArray


class ScannTree(Contender):
    """Options: leaves, dimensions_per_block, reorder. The knob is the number of leaves searched."""

    _searcher: Any

    def build(
        self, rows: FloatArray, folder: Path, threads: int, columns: Mapping[str, IntArray]
    ) -> None:
        from scann import scann_ops_pybind as scann

        del columns
        leaves = self.options["leaves"]
        builder = scann.builder(rows, 10, "dot_product").set_n_training_threads(threads)
        builder = builder.tree(num_leaves=leaves, num_leaves_to_search=leaves // 10)
        builder = builder.score_ah(
            self.options["dimensions_per_block"],
            # The value its own documentation uses for unit vectors.
            anisotropic_quantization_threshold=0.2,
        )
        searcher = builder.reorder(self.options["reorder"]).build()
        searcher.serialize(str(folder))

    def open(self, folder: Path) -> None:
        from scann import scann_ops_pybind as scann

        self._searcher = scann.load_searcher(str(folder))

    def tune(self, knob: int) -> None:
        self._leaves = knob

    def search(self, query: FloatArray, limit: int) -> Sequence[int]:
        ids, _ = self._searcher.search(query, limit, self.options["reorder"], self._leaves)
        return ids
