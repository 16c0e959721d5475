"""What the encoder's narrow precisions cost: cosines to f32, and ranking on a judged collection."""

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

import rust_ai_core as rac
from benchmarks.data import SHARED, short_texts
from benchmarks.results import Goal, Outcome, Table

FloatArray = npt.NDArray[np.float32]

PRECISIONS = ("f32", "bf16", "int8")
CRANFIELD = SHARED / "data" / "cranfield"


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
    if not CRANFIELD.is_dir():
        return Outcome(tables, goals, ["Ranking was left out: there is no ../shared."])
    scores = {precision: _ndcg(precision) for precision in PRECISIONS}
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


def _ndcg(precision: str) -> float:
    """The mean over Cranfield's queries of nDCG@10, gains as they were judged."""
    documents = _records("corpus.jsonl")
    queries = _records("queries.jsonl")
    judged: dict[str, dict[str, float]] = defaultdict(dict)
    lines = (CRANFIELD / "qrels.tsv").read_text(encoding="utf-8").splitlines()
    for query, document, gain in (line.split("\t") for line in lines[1:]):
        judged[query][document] = max(float(gain), 0.0)
    names = [document["id"] for document in documents]
    corpus = _encode(precision, [_text_of(document) for document in documents])
    asked = _encode(precision, [query["text"] for query in queries])
    discounts = 1 / np.log2(np.arange(2, 12))
    found = []
    for query, scores in zip(queries, asked @ corpus.T, strict=True):
        gains = judged[query["id"]]
        ideal = sorted(gains.values(), reverse=True)[:10]
        if not any(ideal):
            continue
        best = np.argsort(-scores, kind="stable")[:10]
        seen = np.array([gains.get(names[at], 0.0) for at in best])
        found.append(seen @ discounts / (np.array(ideal) @ discounts[: len(ideal)]))
    return float(np.mean(found))


def _text_of(document: Mapping[str, str]) -> str:
    return " ".join(part for part in (document.get("title"), document["text"]) if part)


def _records(name: str) -> list[dict[str, str]]:
    lines = (CRANFIELD / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
