"""bm25s: scores that are computed ahead, in memory; it keeps no texts."""

from collections.abc import Sequence
from typing import Any

from benchmarks.text_search.engines.engine import Engine, bytes_of


class Bm25sIndex(Engine):
    """PyStemmer's English, no list of stop words."""

    _index: Any
    _stemmer: Any

    def index(self, texts: Sequence[str]) -> None:
        import bm25s
        import Stemmer

        self._stemmer = Stemmer.Stemmer("english")
        tokens = bm25s.tokenize(
            list(texts), stopwords=None, stemmer=self._stemmer, show_progress=False
        )
        self._index = bm25s.BM25(k1=1.2, b=0.75)
        self._index.index(tokens, show_progress=False)
        self._index.save(str(self.folder))

    def search(self, query: str, limit: int) -> Sequence[int]:
        import bm25s

        asked = bm25s.tokenize(
            [query], stopwords=None, stemmer=self._stemmer, show_progress=False, return_ids=False
        )
        found, _ = self._index.retrieve(asked, k=limit, show_progress=False, n_threads=0)
        return [int(number) for number in found[0]]

    def index_bytes(self) -> int:
        return bytes_of(list(self.folder.iterdir()))
