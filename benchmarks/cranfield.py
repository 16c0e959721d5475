"""The Cranfield collection: abstracts, questions, and how well a ranking answers them."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.data import SHARED

FOLDER = SHARED / "data" / "cranfield"
DEPTH = 10


@dataclass(frozen=True)
class Cranfield:
    """Documents and queries by name, and the gains of the documents that were judged."""

    documents: dict[str, str]
    queries: dict[str, str]
    judged: dict[str, dict[str, float]]

    def ndcg(self, rankings: dict[str, Sequence[str]]) -> float:
        """The mean over the queries of nDCG@10, gains as they were judged."""
        discounts = 1 / np.log2(np.arange(2, DEPTH + 2))
        found = []
        for query, ranking in rankings.items():
            gains = self.judged[query]
            ideal = sorted(gains.values(), reverse=True)[:DEPTH]
            if not any(ideal):
                continue
            seen = np.array([gains.get(name, 0.0) for name in ranking[:DEPTH]])
            best = np.array(ideal) @ discounts[: len(ideal)]
            found.append(seen @ discounts[: len(seen)] / best)
        return float(np.mean(found))


def load() -> Cranfield | None:
    """Read it; None without ../shared."""
    if not FOLDER.is_dir():
        return None
    judged: dict[str, dict[str, float]] = defaultdict(dict)
    lines = (FOLDER / "qrels.tsv").read_text(encoding="utf-8").splitlines()
    for query, document, gain in (line.split("\t") for line in lines[1:]):
        judged[query][document] = max(float(gain), 0.0)
    return Cranfield(_texts("corpus.jsonl"), _texts("queries.jsonl"), judged)


def _texts(name: str) -> dict[str, str]:
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    parts = {record["id"]: (record.get("title"), record["text"]) for record in records}
    return {name: " ".join(part for part in both if part) for name, both in parts.items()}
