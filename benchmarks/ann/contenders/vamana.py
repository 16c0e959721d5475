"""SVS: Vamana on float32 or float16."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ann.contenders.contender import Contender, FloatArray, IntArray

PARTS = ("config", "graph", "data")


class Vamana(Contender):
    """Options: graph_max_degree, window_size, dtype. The knob is the search window."""

    _index: Any

    def build(
        self, rows: FloatArray, folder: Path, threads: int, columns: Mapping[str, IntArray]
    ) -> None:
        import svs

        del columns
        parameters = svs.VamanaBuildParameters(
            graph_max_degree=self.options["graph_max_degree"],
            window_size=self.options["window_size"],
            # Its documentation's value for inner products.
            alpha=0.95,
        )
        typed = rows.astype(np.dtype(self.options["dtype"]))
        index = svs.Vamana.build(parameters, typed, svs.DistanceType.MIP, num_threads=threads)
        index.save(*(str(folder / part) for part in PARTS))

    def open(self, folder: Path) -> None:
        import svs

        config, graph, data = (str(folder / part) for part in PARTS)
        self._index = svs.Vamana(
            config,
            svs.GraphLoader(graph),
            svs.VectorDataLoader(data, getattr(svs.DataType, self.options["dtype"])),
            distance=svs.DistanceType.MIP,
            num_threads=1,
        )

    def tune(self, knob: int) -> None:
        self._index.search_window_size = knob

    def search(self, query: FloatArray, limit: int) -> Sequence[int]:
        ids, _ = self._index.search(query, limit)
        return ids[0]
