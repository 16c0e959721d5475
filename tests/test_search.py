"""Exact search against NumPy."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest

import rust_ai_core as rac
from rust_ai_core.errors import (
    ArgumentError,
    DimensionError,
    ModelError,
    NonFiniteError,
)

Metric = Literal["cosine", "dot", "l2"]


Array = npt.NDArray[Any]


def true_scores(metric: str, query: Array, rows: Array) -> Array:
    query, rows = query.astype(np.float64), rows.astype(np.float64)
    if metric == "l2":
        scores = ((rows - query) ** 2).sum(1)
        return np.asarray(scores)
    scores = rows @ query
    if metric == "cosine":
        norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
        scores = np.divide(scores, norms, out=np.zeros_like(scores), where=norms > 0)
    return np.asarray(scores)


@pytest.mark.parametrize("dimension", [1, 2, 3, 64, 100, 384])
@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_search_is_numpy_brute_force(
    metric: Metric, dimension: int, database: rac.Database
) -> None:
    rng = np.random.default_rng(dimension)
    rows = rng.standard_normal((700, dimension)).astype(np.float32)
    rows[5] = rows[400] = 0
    rows[100:120] = rows[99]
    queries = rng.standard_normal((9, dimension)).astype(np.float32)
    queries[3] = 0
    queries[4] = rows[99]
    collection = database.collection("rows", dimension=dimension, metric=metric)
    collection.upsert(range(700), rows)
    sign = 1 if metric == "l2" else -1
    for limit in (1, 25, 700, 1000):
        found, found_scores = collection.search_batch(queries, limit=limit)
        assert found.shape == found_scores.shape == (9, limit)
        for query, ids, scores in zip(queries, found, found_scores, strict=True):
            expected = true_scores(metric, query, rows)
            best = np.sort(sign * expected)[:limit] * sign
            count = min(limit, 700)
            assert all(missing is None for missing in ids[count:])
            assert np.isnan(scores[count:]).all()
            np.testing.assert_allclose(scores[:count], best, rtol=2e-5, atol=2e-5)
            order = ids[:count].astype(int)
            np.testing.assert_allclose(scores[:count], expected[order], rtol=2e-5, atol=2e-5)
            assert len(set(order)) == count
            hits = collection.search(query, limit=limit)
            assert [hit.id for hit in hits] == order.tolist()
            assert [hit.score for hit in hits] == scores[:count].tolist()


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_equal_scores_come_in_the_order_of_insertion(
    metric: Metric, database: rac.Database
) -> None:
    collection = database.collection("ties", dimension=3, metric=metric)
    ids = np.random.default_rng(0).permutation(5000)
    collection.upsert(ids, np.ones((5000, 3)))
    hits = collection.search([1, 1, 1], limit=2000)
    assert [hit.id for hit in hits] == ids[:2000].tolist()


def test_an_empty_collection_finds_nothing(points: rac.Collection) -> None:
    assert points.search([0, 0]) == []
    ids, scores = points.search_batch([[0, 0], [1, 1]], limit=3)
    assert ids.tolist() == [[None] * 3] * 2
    assert np.isnan(scores).all()
    assert points.search_batch(np.zeros((0, 2)))[0].shape == (0, 10)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(limit: int, points: rac.Collection) -> None:
    points.upsert(1, [0, 0])
    for search in (
        lambda: points.search([0, 0], limit=limit),
        lambda: points.search_batch([[0, 0]], limit=limit),
    ):
        with pytest.raises(ArgumentError, match="limit"):
            search()


def test_a_limit_beyond_all_bounds_does_no_harm(tmp_path: Path) -> None:
    """In a process of its own: what is tested for is the end of the process."""
    program = """
import sys
import rust_ai_core as rac
with rac.open(sys.argv[1]) as db:
    points = db.collection("points", dimension=1)
    points.upsert([1, 2], [[1], [2]])
    for limit in (10**12, 2**63 - 1):
        assert len(points.search([1], limit=limit)) == 2
        try:
            points.search_batch([[1]], limit=limit)
        except (ValueError, MemoryError):
            pass
"""
    command = [sys.executable, "-c", program, str(tmp_path / "db.rac")]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr[-500:]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ([1], DimensionError),
        ([1, 2, 3], DimensionError),
        ([[1, 2], [3, 4]], ArgumentError),
        ([math.nan, 1], NonFiniteError),
        ([math.inf, 1], NonFiniteError),
        ("a text", ModelError),
        (None, TypeError),
        (["a", "b"], ModelError),
        ([1, "b"], TypeError),
        (b"12", TypeError),
        ([], ValueError),
    ],
)
def test_a_query_that_cannot_be_is_refused(
    query: Any, error: type[Exception], points: rac.Collection
) -> None:
    points.upsert(1, [0, 0])
    with pytest.raises(error):
        points.search(query)
