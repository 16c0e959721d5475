"""The vectors and texts that are measured: real ones from ../shared where it is, else made here."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

SHARED = Path(__file__).resolve().parents[2] / "shared"
SEED = 20260801

FloatArray = npt.NDArray[np.float32]

_SUBJECTS = (
    "the boundary layer of a heated plate",
    "a parser for configuration files",
    "the library of image filters",
    "an engine for text search",
    "the pressure behind a shock wave",
    "a collection of fonts",
)
_VERBS = ("is described by", "depends on", "was compared with", "is replaced by", "agrees with")


@dataclass(frozen=True)
class VectorSet:
    """Unit rows, unit queries, and how they came about."""

    rows: FloatArray
    queries: FloatArray
    description: str


def gaussian_vectors(rows: int, queries: int, dimension: int) -> VectorSet:
    """Directions at random: no structure that a search could profit from."""
    random = np.random.default_rng(SEED)
    made = random.standard_normal((rows + queries, dimension), dtype=np.float32)
    made = unit(made)
    return VectorSet(made[:rows], made[rows:], f"{rows:,} Gaussian unit vectors")


def sentence_vectors(
    rows: int, queries: int, dimension: int, perturbation: float
) -> VectorSet | None:
    """Real sentence embeddings, extended by perturbed ones; None without ../shared."""
    folder = SHARED / "data" / "debian-packages"
    if not folder.is_dir():
        return None
    real = np.load(folder / "base.f16.npy").astype(np.float32)[:rows]
    asked = np.load(folder / "queries.f16.npy").astype(np.float32)[:queries]
    if real.shape[1] != dimension:
        raise ValueError(f"the real vectors have dimension {real.shape[1]}, not {dimension}")
    random = np.random.default_rng(SEED)
    missing = rows - len(real)
    noise = unit(random.standard_normal((missing, dimension), dtype=np.float32))
    extension = real[random.integers(0, len(real), missing)] + np.float32(perturbation) * noise
    description = (
        f"{len(real):,} real sentence embeddings and {missing:,} copies of them moved by "
        f"{perturbation:g} in a random direction, all of unit length; real queries"
    )
    return VectorSet(unit(np.vstack([real, extension])), unit(asked), description)


def short_texts(count: int) -> tuple[list[str], str]:
    """Texts of about 20 tokens, and what they are."""
    path = SHARED / "data" / "debian-packages" / "records.jsonl.gz"
    if not path.exists():
        return _made_texts(count, sentences=1), "made-up sentences (there is no ../shared)"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line, _ in zip(lines, range(count), strict=False)]
    return texts, "descriptions of Debian packages"


def short_text_batches(count: int, batch: int) -> Iterator[list[str]]:
    """As many short texts, so many at a time: they are never in memory together.

    Where the real ones run out they begin again.
    """
    path = SHARED / "data" / "debian-packages" / "records.jsonl.gz"
    made = None if path.exists() else _made_texts(batch, sentences=1)
    while count > 0:
        if made is not None:
            yield made[:count]
            count -= batch
            continue
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts = (json.loads(line)["text"] for line in lines)
            while count > 0 and (some := list(islice(texts, min(batch, count)))):
                yield some
                count -= len(some)


def long_texts(count: int) -> tuple[list[str], str]:
    """Texts of about 200 tokens, and what they are."""
    path = SHARED / "data" / "cranfield" / "corpus.jsonl"
    if not path.exists():
        return _made_texts(count, sentences=14), "made-up paragraphs (there is no ../shared)"
    texts = [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]
    long = [text for text in texts if 700 <= len(text) <= 1_400]
    return long[:count], "abstracts of the Cranfield collection"


def _made_texts(count: int, sentences: int) -> list[str]:
    random = np.random.default_rng(SEED)

    def sentence() -> str:
        first, second = random.integers(0, len(_SUBJECTS), 2)
        verb = _VERBS[int(random.integers(0, len(_VERBS)))]
        return f"Case {random.integers(1, 1000)}: {_SUBJECTS[first]} {verb} {_SUBJECTS[second]}."

    return [
        " ".join(sentence() for _ in range(int(random.integers(sentences, sentences + 3))))
        for _ in range(count)
    ]


def unit(vectors: FloatArray) -> FloatArray:
    """Rows scaled to length one."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
