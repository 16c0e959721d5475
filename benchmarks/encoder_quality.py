"""What the encoder's narrow precisions cost: cosines to f32, and ranking on a judged collection."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

import rust_ai_core as rac
from benchmarks import cranfield
from benchmarks.data import short_texts
from benchmarks.results import Goal, Outcome, Table

FloatArray = npt.NDArray[np.float32]

PRECISIONS = ("f32", "bf16", "int8")


def run(definition: Mapping[str, Any]) -> Outcome:
    """Compare the precisions on short texts, and on Cranfield where it is at hand."""
    texts, origin = short_texts(definition["texts"])
    vectors = {precision: _encode(precision, texts) for precision in PRECISIONS}
    rows: list[tuple[str | float, ...]] = []
    goals = []
    for precision in PRECISIONS[1:]:
        cosines = _cosines(vectors[precision], vectors["f32"])
        mean, least = float(cosines.mean()), float(cosines.min())
        rows.append(
            (precision, f"{mean:.7f}", f"{np.quantile(cosines, 0.001):.7f}", f"{least:.7f}")
        )
        goals += [
            Goal(f"{precision}: {what} cosine", definition[f"goal_{what}_cosine"][precision], seen)
            for what, seen in (("mean", mean), ("least", least))
        ]
    columns = ("precision", "mean cosine to f32", "of the worst thousandth", "least")
    tables = [Table(f"{len(texts):,} {origin}", columns, rows)]
    judged = cranfield.load()
    if judged is None:
        return Outcome(tables, goals, ["Ranking was left out: there is no ../shared."])
    scores = {precision: _ndcg(precision, judged) for precision in PRECISIONS}
    ranking: list[tuple[str | float, ...]] = [
        (precision, f"{score:.4f}", f"{score / scores['f32']:.4f}")
        for precision, score in scores.items()
    ]
    tables.append(Table("Cranfield", ("precision", "nDCG@10", "part of f32's"), ranking))
    goals += [
        Goal(
            f"{precision}: nDCG@10 as a part of f32's",
            definition["goal_part_of_ndcg"],
            scores[precision] / scores["f32"],
        )
        for precision in PRECISIONS[1:]
    ]
    return Outcome(tables, goals)


def _encode(precision: Any, texts: list[str]) -> FloatArray:
    vectors: FloatArray = rac.Encoder(precision=precision, cache=False).encode(texts)
    return vectors


def _cosines(a: FloatArray, b: FloatArray) -> npt.NDArray[np.float64]:
    left, right = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return np.asarray((left * right).sum(axis=1) / lengths)


def _ndcg(precision: str, judged: cranfield.Cranfield) -> float:
    names = list(judged.documents)
    corpus = _encode(precision, list(judged.documents.values()))
    asked = _encode(precision, list(judged.queries.values()))
    rankings = {
        query: [names[at] for at in np.argsort(-scores, kind="stable")[: cranfield.DEPTH]]
        for query, scores in zip(judged.queries, asked @ corpus.T, strict=True)
    }
    return judged.ndcg(rankings)
