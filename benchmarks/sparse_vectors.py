"""Sparse vectors as a learned model of words makes them, out of real texts, and SciPy's search.

    python -m benchmarks.sparse_vectors FOLDER [ROWS]

writes them to a folder for `cargo run --release -p database --example sparse_search FOLDER`, and
says how long SciPy takes for the same queries. SPLADE itself would need its model; these have what
its vectors have: some 120 terms a text and 30 to 60 a query, of which most are not in the text but
go with its words. What its training keeps low is kept low here, too: terms are in half of the
texts at most but for a few, and a query has three in common with a text taken at random.
"""

import sys
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.data import SEED, long_texts, short_texts

LIMIT = 10
TERMS_A_TEXT = 120
TERMS_A_QUERY = 45
COMPANIONS = 24
"""Terms that go with a term, and are added to whatever has it."""
COMMON = 0.5
"""How much it counts against a companion that many texts have it."""


def vectors(rows: int, queries: int) -> tuple[Any, Any, str]:
    """Rows and queries as SciPy's CSR matrices, and how they came about."""
    short, what = short_texts(70_000)
    long, what_long = long_texts(2_000)
    real = [*long, *short]
    words = _words(real)
    companions = _companions(words)
    random = np.random.default_rng(SEED)
    asked = random.choice(words.shape[0], queries, replace=False)
    kept = np.setdiff1d(np.arange(words.shape[0]), asked)
    first, second = (random.choice(kept, rows) for _ in range(2))
    first[: min(rows, len(kept))] = kept[:rows]
    made = words[first] + words[second]
    text = f"two texts each of {len(real):,} {what} and {what_long}, and what goes with their words"
    return (
        _expanded(made, companions, TERMS_A_TEXT),
        _expanded(words[asked], companions, TERMS_A_QUERY),
        text,
    )


def _words(texts: list[str]) -> Any:
    """What each text's words count: `(1 + log tf) idf`, scaled."""
    from scipy import sparse

    counted = [Counter(word for word in text.lower().split() if word.isalnum()) for text in texts]
    found = Counter(word for words in counted for word in words)
    numbers = {word: number for number, (word, texts_with) in enumerate(found.most_common())
               if texts_with > 1}  # fmt: skip
    idf = {word: np.log(len(texts) / found[word]) / 6 for word in numbers}
    places = [0]
    indices: list[int] = []
    values: list[float] = []
    for words in counted:
        for word, count in words.items():
            if word in numbers:
                indices.append(numbers[word])
                values.append((1 + np.log(count)) * idf[word])
        places.append(len(indices))
    shape = (len(texts), len(numbers))
    return sparse.csr_matrix((np.array(values, np.float32), indices, places), shape)


def _companions(words: Any) -> Any:
    """For each term those that are with it more often than by chance, and how much each counts."""
    from scipy import sparse

    there = (words > 0).astype(np.float32)
    together = (there.T @ there).tocsr()
    texts_with = np.asarray(there.sum(axis=0)).ravel()
    together.setdiag(0)
    together.eliminate_zeros()
    of = np.repeat(np.arange(together.shape[0]), np.diff(together.indptr))
    # How often, of the texts with the one, tempered by how common the other is: else frequent words
    # would go with everything.
    together.data /= texts_with[of] * texts_with[together.indices] ** COMMON
    best = _best(together, COMPANIONS)
    best.data = np.minimum(best.data * 2, 0.8)
    return (best + sparse.identity(best.shape[0], np.float32, "csr")).tocsr()


def _expanded(words: Any, companions: Any, terms: int) -> Any:
    pieces = [
        _best(words[first : first + 20_000] @ companions, terms)
        for first in range(0, words.shape[0], 20_000)
    ]
    from scipy import sparse

    made = sparse.vstack(pieces, "csr")
    made.data = np.log1p(made.data).astype(np.float32)
    made.sort_indices()
    return made


def _best(matrix: Any, count: int) -> Any:
    """The greatest so many numbers of each row."""
    matrix = matrix.tocsr()
    for row in range(matrix.shape[0]):
        start, end = matrix.indptr[row], matrix.indptr[row + 1]
        if end - start > count:
            values = matrix.data[start:end]
            values[np.argpartition(values, len(values) - count)[:-count]] = 0
    matrix.eliminate_zeros()
    return matrix


def write(folder: Path, name: str, matrix: Any) -> None:
    """Three files of little-endian numbers: where each row begins, the indices, the values."""
    matrix.indptr.astype("<u8").tofile(folder / f"{name}.starts")
    matrix.indices.astype("<u4").tofile(folder / f"{name}.indices")
    matrix.data.astype("<f4").tofile(folder / f"{name}.values")


def scipy_search(rows: Any, query: Any) -> np.ndarray[Any, Any]:
    """The best rows by scoring all of them."""
    scores = (rows @ query.T).toarray().ravel()
    best = np.argpartition(-scores, LIMIT)[:LIMIT]
    found: np.ndarray[Any, Any] = best[np.lexsort((best, -scores[best]))]
    return found


def main(folder: Path, count: int) -> None:
    rows, queries, text = vectors(count, 200)
    folder.mkdir(parents=True, exist_ok=True)
    write(folder, "rows", rows)
    write(folder, "queries", queries)
    print(f"{rows.shape[0]:,} rows of {rows.shape[1]:,} terms: {text}")
    for name, matrix in (("rows", rows), ("queries", queries)):
        print(f"{name}: {np.diff(matrix.indptr).mean():.0f} numbers on the average")
    by_columns = rows.tocsc()
    for name, matrix in (("CSR", rows), ("CSC", by_columns)):
        seconds = []
        for number in range(40):
            start = time.perf_counter()
            scipy_search(matrix, queries[number])
            seconds.append(time.perf_counter() - start)
        print(f"SciPy {name}, one thread: {1 / median(seconds):,.0f} queries/s")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200_000)
