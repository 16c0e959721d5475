"""FAISS: a graph over int8 codes, and inverted lists of 4-bit product codes with a refinement."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.ann.contenders.contender import (
    Contender,
    Filters,
    FloatArray,
    IntArray,
    Window,
)

FILE = "index.faiss"
COLUMNS = "columns.npz"


class FaissIndex(Contender, Filters):
    """An index by FAISS's own factory string; options: factory, and those of the subclass."""

    _index: Any

    def build(
        self, rows: FloatArray, folder: Path, threads: int, columns: Mapping[str, IntArray]
    ) -> None:
        import faiss

        faiss.omp_set_num_threads(threads)
        index = faiss.index_factory(
            self.dimension, self.options["factory"], faiss.METRIC_INNER_PRODUCT
        )
        self._prepare(index)
        index.train(rows)
        index.add(rows)
        faiss.write_index(index, str(folder / FILE))
        np.savez(folder / COLUMNS, **columns)

    def open(self, folder: Path) -> None:
        import faiss

        faiss.omp_set_num_threads(1)
        self._index = faiss.read_index(str(folder / FILE))
        self._columns = dict(np.load(folder / COLUMNS))
        self._selectors: dict[Window, tuple[Any, npt.NDArray[np.uint8]]] = {}

    def tune(self, knob: int) -> None:
        self._knob = knob
        self._unfiltered = self._parameters(None)

    def search(self, query: FloatArray, limit: int) -> Sequence[int]:
        _, ids = self._index.search(query[None], limit, params=self._unfiltered)
        return ids[0]

    def search_where(self, query: FloatArray, limit: int, where: Window) -> Sequence[int]:
        _, ids = self._index.search(query[None], limit, params=self._parameters(where))
        return ids[0]

    def _prepare(self, index: Any) -> None:
        """Set what the factory string cannot say, before training."""

    @abstractmethod
    def _parameters(self, where: Window | None) -> Any:
        """The search parameters at the present knob."""

    def _selector(self, where: Window) -> Any:
        """A bitmap of the rows that pass, made once a filter: FAISS knows no columns."""
        import faiss

        if where not in self._selectors:
            bits = np.packbits(where.mask(self._columns), bitorder="little")
            selector = faiss.IDSelectorBitmap(self._index.ntotal, faiss.swig_ptr(bits))
            self._selectors[where] = selector, bits
        return self._selectors[where][0]


class FaissHnsw(FaissIndex):
    """HNSW; options: factory such as `HNSW32_SQ8`, ef_construction; knob: efSearch."""

    def _prepare(self, index: Any) -> None:
        import faiss

        faiss.downcast_index(index).hnsw.efConstruction = self.options["ef_construction"]

    def _parameters(self, where: Window | None) -> Any:
        import faiss

        selector = None if where is None else self._selector(where)
        return faiss.SearchParametersHNSW(efSearch=self._knob, sel=selector)


class FaissRefinedLists(FaissIndex):
    """Inverted lists, refined on full vectors; options: factory, refine_factor; knob: nprobe."""

    def _parameters(self, where: Window | None) -> Any:
        import faiss

        selector = None if where is None else self._selector(where)
        lists = faiss.SearchParametersIVF(nprobe=self._knob, sel=selector)
        return faiss.IndexRefineSearchParameters(
            k_factor=self.options["refine_factor"], base_index_params=lists
        )
