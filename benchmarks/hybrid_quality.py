"""What hybrid search finds beside search by vectors and by words, on a judged collection."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import rust_ai_core as rac
from benchmarks import cranfield
from benchmarks.results import Goal, Outcome, Table

MODES: tuple[Literal["dense", "text", "hybrid"], ...] = ("dense", "text", "hybrid")


def run(definition: Mapping[str, Any]) -> Outcome:
    """Rank Cranfield's documents in each mode, with every setting at its default."""
    judged = cranfield.load()
    if judged is None:
        return Outcome([], notes=["Left out: there is no ../shared."])
    queries = dict(list(judged.queries.items())[: definition["queries"]])
    scores = {}
    with tempfile.TemporaryDirectory() as folder, rac.open(Path(folder) / "q.rac") as database:
        collection = database.collection("cranfield", model=definition["model"])
        collection.upsert(list(judged.documents), texts=list(judged.documents.values()))
        for mode in MODES:
            rankings: dict[str, Sequence[str]] = {}
            for name, query in queries.items():
                hits = collection.search(query, mode=mode, limit=cranfield.DEPTH)
                rankings[name] = [str(hit.id) for hit in hits]
            scores[mode] = judged.ndcg(rankings)
    rows = [(mode, f"{scores[mode]:.4f}") for mode in MODES]
    title = f"Cranfield, {len(queries)} queries, {definition['model']}"
    table = Table(title, ("mode", "nDCG@10"), rows)
    better = max(scores["dense"], scores["text"])
    goal = Goal("hybrid: nDCG@10 by the better one's", definition["goal_by_better"],
                scores["hybrid"] / better)  # fmt: skip
    return Outcome([table], [goal])
