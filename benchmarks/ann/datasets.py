"""Rows, queries and exact neighbours of the sets that are searched."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.ann import wordnet
from benchmarks.ann.cache import cache_folder, say
from benchmarks.data import SEED, SHARED, unit

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

# Exact scores of so many rows at a time: bounds the memory of the ground truth.
ROWS_AT_ONCE = 50_000
# Scores closer than this are one distance: who is the tenth among them is the rounding's choice.
TIE = 1e-6


@dataclass(frozen=True)
class Dataset:
    """Unit rows and queries, and the score that each query's last true neighbour has."""

    name: str
    rows: FloatArray
    queries: FloatArray
    limit: int
    threshold: FloatArray
    description: str

    @property
    def key(self) -> str:
        """What the rows are, for the names of the files that are made from them."""
        digest = hashlib.sha256(np.ascontiguousarray(self.rows[:: max(1, len(self.rows) // 500)]))
        return f"{self.name}-{len(self.rows)}-{digest.hexdigest()[:12]}"

    def recall(self, found: IntArray) -> float:
        """The part of the queries' true neighbours that was found."""
        return recall(self.rows, self.queries, self.threshold, self.limit, found)


def load(name: str, definition: Mapping[str, Any]) -> Dataset | None:
    """A set by its name in the definitions; None where this machine cannot have it."""
    chosen = definition["datasets"][name]
    source = _source(chosen["source"], definition)
    if source is None:
        return None
    rows, queries, description = source
    wanted = chosen.get("rows", len(rows))
    if wanted <= len(rows):
        rows = rows[:wanted]
    else:
        rows, description = _perturbed(rows, wanted, chosen["perturbation"], description)
    queries = queries[: definition["queries"]]
    description = description.format(rows=len(rows))
    threshold = _threshold(rows, queries, definition["limit"])
    return Dataset(name, rows, queries, definition["limit"], threshold, description)


def recall(
    rows: FloatArray,
    queries: FloatArray,
    threshold: FloatArray,
    limit: int,
    found: IntArray,
) -> float:
    """Ids are right if their exact score reaches the threshold; -1 stands for no answer."""
    right = 0
    for query, last, ids in zip(queries, threshold, found, strict=True):
        distinct = np.unique(ids[ids >= 0])
        # Where fewer rows than the limit exist, the threshold is -inf and all of them are right.
        right += min(limit, int((rows[distinct] @ query >= last - TIE).sum()))
    return right / (len(found) * limit)


def exact_thresholds(
    rows: FloatArray, queries: FloatArray, limit: int, mask: npt.NDArray[np.bool_] | None = None
) -> FloatArray:
    """The score of each query's `limit`-th best row (of those in the mask), by exact search."""
    best = np.full((len(queries), limit), -np.inf, dtype=np.float32)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        scores = queries @ rows[start : start + ROWS_AT_ONCE].T
        if mask is not None:
            scores[:, ~mask[start : start + ROWS_AT_ONCE]] = -np.inf
        kept = np.partition(np.hstack([best, scores]), -limit, axis=1)
        best = np.ascontiguousarray(kept[:, -limit:])
    return np.asarray(best.min(axis=1), dtype=np.float32)


def _source(name: str, definition: Mapping[str, Any]) -> tuple[FloatArray, FloatArray, str] | None:
    if name == "debian-packages":
        return _debian_packages()
    if name == "wordnet":
        return _wordnet(definition["queries"])
    if name == "real":
        return _all_real(definition["queries"])
    raise KeyError(name)


def _debian_packages() -> tuple[FloatArray, FloatArray, str] | None:
    folder = SHARED / "data" / "debian-packages"
    if not folder.is_dir():
        return None
    rows = np.load(folder / "base.f16.npy").astype(np.float32)
    queries = np.load(folder / "queries.f16.npy").astype(np.float32)
    return unit(rows), unit(queries), "{rows:,} descriptions of Debian packages, MiniLM"


def _wordnet(queries: int) -> tuple[FloatArray, FloatArray, str] | None:
    try:
        vectors = wordnet.vectors()
    except wordnet.MissingWordNetError as error:
        say(f"WordNet is left out: {error}")
        return None
    order = np.random.default_rng(SEED).permutation(len(vectors))
    asked, kept = np.sort(order[:queries]), np.sort(order[queries:])
    return unit(vectors[kept]), unit(vectors[asked]), "{rows:,} definitions of WordNet, MiniLM"


def _all_real(queries: int) -> tuple[FloatArray, FloatArray, str] | None:
    """Both real sets in one, in random order, so that any first part is like the whole."""
    first, second = _debian_packages(), _wordnet(queries)
    if first is None or second is None:
        return None
    random = np.random.default_rng(SEED)
    rows = np.vstack([first[0], second[0]])
    asked = np.vstack([first[1], second[1]])
    description = "{rows:,} package descriptions and WordNet definitions, MiniLM"
    return random.permutation(rows), random.permutation(asked), description


def _perturbed(
    rows: FloatArray, wanted: int, length: float, description: str
) -> tuple[FloatArray, str]:
    random = np.random.default_rng(SEED)
    whole = np.empty((wanted, rows.shape[1]), dtype=np.float32)
    whole[: len(rows)] = rows
    for start in range(len(rows), wanted, ROWS_AT_ONCE):
        count = min(ROWS_AT_ONCE, wanted - start)
        noise = unit(random.standard_normal((count, rows.shape[1]), dtype=np.float32))
        origins = rows[random.integers(0, len(rows), count)]
        whole[start : start + count] = unit(origins + np.float32(length) * noise)
    note = f", {wanted - len(rows):,} of them copies moved by {length:g} in a random direction"
    return whole, description + note


def _threshold(rows: FloatArray, queries: FloatArray, limit: int) -> FloatArray:
    """Exact search over a million rows takes half a minute: keep what it found."""
    digest = hashlib.sha256(rows.data)
    digest.update(queries.data)
    digest.update(str(limit).encode())
    path = cache_folder() / "thresholds" / f"{digest.hexdigest()[:24]}.npy"
    if not path.exists():
        say(f"exact neighbours among {len(rows):,} rows")
        path.parent.mkdir(exist_ok=True)
        np.save(path, exact_thresholds(rows, queries, limit))
    return np.asarray(np.load(path), dtype=np.float32)
