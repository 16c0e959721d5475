"""The approximate index: what it finds, beside exact search, and what becomes of it meanwhile."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

import rust_ai_core as rac
from rust_ai_core.errors import ArgumentError, SchemaError

Floats: TypeAlias = npt.NDArray[np.float32]

DIMENSION = 48
ROWS = 12_000


def clustered(rows: int, dimension: int, seed: int) -> Floats:
    """Vectors around centres of unequal weight, of few intrinsic dimensions, as embeddings are."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(60, dimension))
    weights = random.exponential(size=60)
    members = random.choice(60, size=rows, p=weights / weights.sum())
    directions = random.normal(size=(min(dimension, 24), dimension)) / min(dimension, 24) ** 0.5
    spread = random.normal(size=(rows, len(directions))) @ directions
    noise = random.normal(size=(rows, dimension))
    vectors: Floats = (centres[members] + 0.7 * spread + 0.1 * noise).astype(np.float32)
    return vectors


@pytest.fixture(scope="module")
def vectors() -> Floats:
    return clustered(ROWS + 200, DIMENSION, seed=7)


def exact(
    metric: str, rows: Floats, queries: Floats, limit: int, allowed: npt.NDArray[np.intp]
) -> list[set[int]]:
    """The ids of the nearest, by NumPy in double precision."""
    x, q = rows[allowed].astype(np.float64), queries.astype(np.float64)
    if metric == "l2":
        scores = -((x**2).sum(1)[None, :] - 2 * q @ x.T)
    else:
        scores = q @ x.T
        if metric == "cosine":
            scores = scores / np.maximum(np.linalg.norm(x, axis=1), 1e-30)[None, :]
    best = np.argsort(-scores, axis=1)[:, :limit]
    return [set(allowed[row].tolist()) for row in best]


def recall(found: npt.NDArray[np.object_], truth: list[set[int]]) -> float:
    pairs = zip(found.tolist(), truth, strict=True)
    hits = sum(len(set(ids) & true) for ids, true in pairs)
    return hits / sum(len(true) for true in truth)


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_default_search_finds_nearly_all_and_exact_search_all(
    database: rac.Database, vectors: Floats, metric: Any
) -> None:
    rows, queries = vectors[:ROWS], vectors[ROWS:]
    if metric == "dot":
        # Norms that differ by a factor of a hundred must not hide the largest products.
        rows = rows * np.random.default_rng(1).lognormal(0, 1, (ROWS, 1)).astype(np.float32)
    points = database.collection("points", dimension=DIMENSION, metric=metric)
    points.upsert(range(ROWS), rows)
    points.optimize()
    assert points.stats()["indexed_records"] == ROWS
    truth = exact(metric, rows, queries, 10, np.arange(ROWS))
    found, scores = points.search_batch(queries)
    assert recall(found, truth) >= 0.95
    assert (np.diff(scores if metric == "l2" else -scores, axis=1) >= 0).all()
    found, _ = points.search_batch(queries, exact=True)
    assert recall(found, truth) >= 0.9999
    harder, _ = points.search_batch(queries, effort=400)
    easier, _ = points.search_batch(queries, effort=10)
    assert recall(harder, truth) >= max(0.98, recall(easier, truth))
    assert points.recall(sample=100) >= 0.95
    assert points.recall(queries=queries, effort=400) >= 0.98
    one = points.search(queries[0], limit=10)
    assert {hit.id for hit in one} == set(points.search_batch(queries[:1])[0][0].tolist())


def test_the_index_is_built_in_the_background_and_is_there_after_reopening(
    tmp_path: Path, vectors: Floats
) -> None:
    with rac.open(tmp_path / "points.rac") as db:
        points = db.collection("points", dimension=DIMENSION)
        points.upsert(range(ROWS), vectors[:ROWS])
        waiting = threading.Event()
        for _ in range(600):
            if points.stats()["indexed_records"] == ROWS:
                break
            waiting.wait(0.1)
        assert points.stats()["indexed_records"] == ROWS
        before, _ = points.search_batch(vectors[ROWS:])
    assert rac.verify(tmp_path / "points.rac").ok
    with rac.open(tmp_path / "points.rac") as db:
        points = db.collection("points")
        assert points.stats()["indexed_records"] == ROWS
        after, _ = points.search_batch(vectors[ROWS:])
        assert (before == after).all()


FRACTIONS = [0.5, 0.1, 0.01, 0.001]


@pytest.mark.parametrize("fraction", FRACTIONS)
@pytest.mark.parametrize("how", ["at random", "near the queries", "far from the queries"])
def test_filters_keep_the_recall(
    indexed: tuple[rac.Collection, Floats, Floats], fraction: float, how: str
) -> None:
    points, rows, queries = indexed
    count = int(ROWS * fraction)
    key = {"at random": "rank", "near the queries": "near", "far from the queries": "far"}[how]
    condition = {key: {"$lt": count}}
    allowed = np.array([r.id for r in points if (r.metadata or {})[key] < count], dtype=np.intp)
    assert len(allowed) == count == points.count(condition)
    truth = exact("cosine", rows, queries, 10, allowed)
    found, _ = points.search_batch(queries, where=condition)
    assert recall(found, truth) >= 0.95
    assert all(None not in ids for ids in found[:, : min(10, count)].tolist())


@pytest.fixture(scope="module")
def indexed(
    tmp_path_factory: pytest.TempPathFactory, vectors: Floats
) -> tuple[rac.Collection, Floats, Floats]:
    """Records that rank themselves at random, and by their distance from all queries."""
    rows, queries = vectors[:ROWS], vectors[ROWS : ROWS + 50]
    # Queries from one corner of the space, so that near and far mean something.
    queries = (queries * 0.3 + queries[0]).astype(np.float32)
    order = np.argsort(-(rows @ queries.mean(axis=0)) / np.linalg.norm(rows, axis=1))
    near = np.empty(ROWS, dtype=np.int64)
    near[order] = np.arange(ROWS)
    rank = np.random.default_rng(3).permutation(ROWS)
    db = rac.open(tmp_path_factory.mktemp("filters") / "points.rac")
    points = db.collection("points", dimension=DIMENSION)
    metadata = [
        {"rank": int(rank[row]), "near": int(near[row]), "far": int(ROWS - 1 - near[row])}
        for row in range(ROWS)
    ]
    points.upsert(range(ROWS), rows, metadata=metadata)
    points.optimize()
    return points, rows, queries


def test_deletes_and_updates_are_visible_at_once_and_keep_the_recall(
    database: rac.Database, vectors: Floats
) -> None:
    rows, queries = vectors[:ROWS].copy(), vectors[ROWS:]
    points = database.collection("points", dimension=DIMENSION)
    points.upsert(range(ROWS), rows)
    points.optimize()

    gone = np.random.default_rng(5).choice(ROWS, ROWS * 3 // 10, replace=False)
    assert points.delete(gone) == len(gone)
    left = np.setdiff1d(np.arange(ROWS), gone)
    found, _ = points.search_batch(queries)
    assert not set(found.ravel().tolist()) & set(gone.tolist())
    assert recall(found, exact("cosine", rows, queries, 10, left)) >= 0.95

    moved = np.random.default_rng(11).normal(size=(len(left), DIMENSION))
    rows[left] = (rows[np.roll(left, 1)] + 0.2 * moved).astype(np.float32)
    points.upsert(left, rows[left])
    assert len(points) == len(left)
    for _ in range(2):
        found, _ = points.search_batch(queries)
        assert recall(found, exact("cosine", rows, queries, 10, left)) >= 0.95
        points.optimize()
    stats = points.stats()
    assert (stats["segments"], stats["indexed_records"]) == (1, len(left))
    before = stats["file_bytes"]
    points.delete(left[: len(left) // 2])
    points.compact()
    assert points.stats()["file_bytes"] < before * 0.6
    assert points.stats()["dead_bytes"] == 0


@pytest.mark.parametrize("dimension", [1, 2, 3, 65, 1000])
def test_every_dimension_and_degenerate_vectors(database: rac.Database, dimension: int) -> None:
    rows = clustered(6040, dimension, seed=dimension)
    rows, queries = rows[:6000], rows[6000:]
    rows[1000:3000] = rows[0]  # duplicates
    rows[3000:3100] = 0.0
    for metric in ("cosine", "dot", "l2"):
        points = database.collection(metric, dimension=dimension, metric=metric)
        points.upsert(range(len(rows)), rows)
        points.optimize()
        assert points.stats()["indexed_records"] == len(rows)
        # Ties make ids ambiguous, so the scores are compared.
        _, found = points.search_batch(queries)
        _, truth = points.search_batch(queries, exact=True)
        worst = truth[:, -1:]
        good = found <= worst * (1 + 1e-5) if metric == "l2" else found >= worst - 1e-5
        assert good.mean() >= 0.95, metric
        assert not np.isnan(found).any()


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float16", 1e-3), ("bfloat16", 1e-2), ("int8", 2e-2)]
)
def test_narrow_types_are_rounded_once_and_take_less_space(
    tmp_path: Path, vectors: Floats, dtype: Any, tolerance: float
) -> None:
    rows, queries = vectors[:ROWS], vectors[ROWS:]
    sizes = {}
    for name in ("float32", dtype):
        with rac.open(tmp_path / f"{name}.rac") as db:
            points = db.collection("points", dimension=DIMENSION, dtype=name)
            points.upsert(range(ROWS), rows)
            written = points.get([17])[0]
            points.optimize()
            kept = points.get([17])[0]
            assert written is not None
            assert kept is not None
            assert (written.vector == kept.vector).all()
            assert np.abs(kept.vector - rows[17]).max() <= tolerance * np.abs(rows[17]).max()
            sizes[name] = points.stats()["file_bytes"]
            found, _ = points.search_batch(queries, limit=10)
            assert recall(found, exact("cosine", rows, queries, 10, np.arange(ROWS))) >= 0.9
            assert points.recall(sample=100) >= 0.95
            assert points.dtype == name
    assert sizes[dtype] < sizes["float32"]
    with rac.open(tmp_path / f"{dtype}.rac") as db:
        assert db.collection("points").dtype == dtype
        with pytest.raises(SchemaError, match="float32"):
            db.collection("points", dtype="float32")
        with pytest.raises(ArgumentError, match="float64"):
            db.collection("other", dimension=2, dtype="float64")


def test_within_leaves_out_what_is_worse(database: rac.Database, vectors: Floats) -> None:
    rows, query = vectors[:ROWS], vectors[ROWS]
    for metric in ("cosine", "l2"):
        points = database.collection(metric, dimension=DIMENSION, metric=metric)
        points.upsert(range(ROWS), rows)
        points.optimize()
        hits = points.search(query, limit=50, exact=True)
        bound = (hits[20].score + hits[21].score) / 2
        inside = points.search(query, limit=50, within=bound, exact=True)
        assert [hit.id for hit in inside] == [hit.id for hit in hits[:21]]
        near = points.search(query, limit=50, within=bound, effort=200)
        assert len({hit.id for hit in near} & {hit.id for hit in inside}) >= 20
        assert all((h.score <= bound) if metric == "l2" else (h.score >= bound) for h in near)
    with pytest.raises(ArgumentError, match="within"):
        points.search(query, within=float("nan"))


def test_index_options(database: rac.Database, vectors: Floats) -> None:
    points = database.collection("exact", dimension=DIMENSION, index=False)
    points.upsert(range(ROWS), vectors[:ROWS])
    points.optimize()
    assert points.stats()["indexed_records"] == 0
    assert points.recall(sample=20) == 1.0
    again = database.collection("exact", index=rac.Index(minimum_rows=100, search_effort=30))
    again.optimize()
    assert points.index == rac.Index(minimum_rows=100, search_effort=30)
    assert points.stats()["indexed_records"] == ROWS
    for wrong in ({"degree": 33}, {"degree": 512}, {"minimum_rows": 0}, {"build_effort": 10**6}):
        with pytest.raises(ArgumentError):
            rac.Index(**wrong)
    with pytest.raises(TypeError, match="index is an Index"):
        database.collection("other", dimension=2, index="hnsw")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError):
        points.search(vectors[0], effort=0)
    empty = database.collection("empty", dimension=3)
    with pytest.raises(ArgumentError, match="nothing to measure"):
        empty.recall()


def test_progress_of_optimize_ends_complete(database: rac.Database, vectors: Floats) -> None:
    points = database.collection("points", dimension=DIMENSION)
    points.upsert(range(ROWS), vectors[:ROWS])
    told: list[tuple[int, int]] = []
    points.optimize(progress=lambda done, total: told.append((done, total)))
    assert told
    assert all(0 <= done <= total for done, total in told)
    assert told[-1][0] == told[-1][1]


def test_an_exception_in_progress_leaves_the_collection_searchable(
    database: rac.Database, vectors: Floats
) -> None:
    points = database.collection("points", dimension=DIMENSION)
    points.upsert(range(ROWS), vectors[:ROWS])

    def refuse(done: int, total: int) -> None:
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        points.optimize(progress=refuse)
    assert len(points) == ROWS
    assert points.search(vectors[5], limit=1)[0].id == 5
    points.optimize()
    assert points.stats()["indexed_records"] == ROWS


def test_ctrl_c_during_optimize_leaves_a_sound_collection(tmp_path: Path) -> None:
    program = """
import sys
import numpy as np
import rust_ai_core as rac
with rac.open(sys.argv[1]) as db:
    points = db.collection("points", dimension=256)
    points.upsert(range(30000), np.random.default_rng(0).normal(size=(30000, 256)))
    told = []
    def progress(done, total):
        if not told:
            print("building", flush=True)
        told.append(done)
    points.optimize(progress=progress)
    print("finished", flush=True)
"""
    path = tmp_path / "stopped.rac"
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "building\n"
    child.send_signal(signal.SIGINT)
    stdout, stderr = child.communicate(timeout=120)
    assert "finished" not in stdout
    assert child.returncode == -signal.SIGINT, stderr
    assert "KeyboardInterrupt" in stderr
    assert rac.verify(path).ok
    with rac.open(path) as db:
        points = db.collection("points")
        assert len(points) == 30000
        assert len(points.search(np.ones(256), limit=3)) == 3


def test_searches_from_many_threads_while_records_change(
    database: rac.Database, vectors: Floats
) -> None:
    points = database.collection("points", dimension=DIMENSION, index=rac.Index(minimum_rows=1000))
    points.upsert(range(4000), vectors[:4000])
    failures: list[BaseException] = []
    done = threading.Event()

    def guarded(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)
                done.set()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def search() -> None:
        while not done.is_set():
            hits = points.search(vectors[3], limit=5)
            assert len(hits) == 5
            assert hits[0].id == 3
            found, _ = points.search_batch(vectors[100:110], limit=5)
            assert found[:, 0].tolist() == list(range(100, 110))

    threads = [guarded(search) for _ in range(3)]
    for start in range(4000, ROWS, 500):
        points.upsert(range(start, start + 500), vectors[start : start + 500])
        points.delete(range(start - 2000, start - 1500))
        if start % 2000 == 0:
            points.optimize()
    done.set()
    for thread in threads:
        thread.join()
    assert not failures, failures


def test_real_embeddings_reach_the_recall_that_is_promised(
    database: rac.Database, shared: Path
) -> None:
    folder = shared / "data" / "debian-packages"
    rows = np.load(folder / "base.f16.npy").astype(np.float32)
    queries = np.load(folder / "queries.f16.npy").astype(np.float32)[:400]
    truth = [set(row[:10].tolist()) for row in np.load(folder / "neighbours.i32.npy")[:400]]
    points = database.collection("packages", dimension=384)
    points.upsert(range(len(rows)), rows)
    points.optimize()
    found, _ = points.search_batch(queries)
    assert recall(found, truth) >= 0.95
    assert points.recall(queries=queries) >= 0.95
    stats = points.stats()
    assert stats["file_bytes"] <= 2.3 * rows.nbytes
