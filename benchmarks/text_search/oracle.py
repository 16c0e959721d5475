"""BM25 as the formula says, with a stemmer that none of the engines shares its code with."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

K1, B = 1.2, 0.75
TIE = 1e-6

FloatArray = npt.NDArray[np.float64]


class Oracle:
    """Scores every text for a query."""

    def __init__(self, texts: Sequence[str]) -> None:
        import Stemmer

        self._stem = Stemmer.Stemmer("english").stemWord
        self._stems: dict[str, str] = {}
        rows: dict[str, list[int]] = {}
        counts: dict[str, list[int]] = {}
        lengths = np.zeros(len(texts))
        for row, text in enumerate(texts):
            terms = self._terms(text)
            lengths[row] = len(terms)
            for term, count in Counter(terms).items():
                rows.setdefault(term, []).append(row)
                counts.setdefault(term, []).append(count)
        self._damping = K1 * (1 - B + B * lengths / lengths.mean())
        self._postings = {
            term: (np.array(found), np.array(counts[term], np.float64))
            for term, found in rows.items()
        }

    def scores(self, query: str) -> FloatArray:
        """The score of each text."""
        total = len(self._damping)
        scores = np.zeros(total)
        for term, times in Counter(self._terms(query)).items():
            if term in self._postings:
                rows, counts = self._postings[term]
                rarity = np.log(1 + (total - len(rows) + 0.5) / (len(rows) + 0.5))
                scores[rows] += times * rarity * counts * (K1 + 1) / (counts + self._damping[rows])
        return scores

    def agreement(self, query: str, found: Sequence[int], limit: int) -> float:
        """The part of what is to be found that was found; of equal scores any will do."""
        scores = self.scores(query)
        wanted = min(limit, int((scores > 0).sum()))
        if wanted == 0:
            return 1.0
        last = np.partition(scores, -wanted)[-wanted]
        return min(1.0, float((scores[list(set(found))] >= last - TIE).sum()) / wanted)

    def _terms(self, text: str) -> list[str]:
        words = re.findall(r"\w+(?:['.]\w+)*", text.lower())
        return [self._stems.setdefault(word, "") or self._stemmed(word) for word in words]

    def _stemmed(self, word: str) -> str:
        self._stems[word] = self._stem(word)
        return self._stems[word]
