"""Many Python threads that search one collection at once, while it is written to."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import rust_ai_core as rac

ROWS, DIMENSION, THREADS = 6000, 32, 8

Floats = npt.NDArray[np.float32]


def vectors(count: int, seed: int) -> Floats:
    return np.random.default_rng(seed).standard_normal((count, DIMENSION), dtype=np.float32)


def answers(collection: rac.Collection, queries: Floats, **options: Any) -> list[list[Any]]:
    found = [collection.search(query, limit=5, **options) for query in queries]
    return [[(hit.id, hit.score) for hit in hits] for hits in found]


def test_threads_find_what_one_thread_finds(tmp_path: Path) -> None:
    rows, queries = vectors(ROWS, 1), vectors(60, 2)
    with rac.open(tmp_path / "threads.rac") as db:
        items = db.collection("items", dimension=DIMENSION, index=rac.Index(minimum_rows=1000))
        items.upsert(range(ROWS - 500), rows[:-500])
        items.optimize()
        items.upsert(range(ROWS - 500, ROWS), rows[-500:])
        variants: list[dict[str, Any]] = [{}, {"exact": True}, {"effort": 200}]
        expected = [answers(items, queries, **options) for options in variants]
        barrier = threading.Barrier(THREADS)

        def work(number: int) -> bool:
            barrier.wait()
            for turn in range(6):
                variant = (number + turn) % len(variants)
                assert answers(items, queries, **variants[variant]) == expected[variant]
                ids, _ = items.search_batch(queries, limit=5, **variants[variant])
                wanted = [[key for key, _ in row] for row in expected[variant]]
                assert ids.tolist() == wanted
            return True

        with ThreadPoolExecutor(THREADS) as pool:
            assert all(pool.map(work, range(THREADS)))


def test_threads_search_while_others_write(tmp_path: Path) -> None:
    rows = vectors(ROWS, 3)
    with rac.open(tmp_path / "writing.rac", durability="batch") as db:
        items = db.collection("items", dimension=DIMENSION, index=rac.Index(minimum_rows=500))
        # These stay; the others come and go.
        items.upsert(range(200), rows[:200])
        done = threading.Event()

        def write() -> None:
            for start in range(200, ROWS, 200):
                items.upsert(range(start, start + 200), rows[start : start + 200])
                items.delete(range(start, start + 100))
            items.optimize()
            done.set()

        def search(number: int) -> int:
            turns = 0
            while not done.is_set() or turns == 0:
                row = (number * 7 + turns) % 200
                hits = items.search(rows[row], limit=3)
                assert hits[0].id == row
                assert [hit.score for hit in hits] == sorted(
                    (hit.score for hit in hits), reverse=True
                )
                turns += 1
            return turns

        with ThreadPoolExecutor(THREADS) as pool:
            searches = [pool.submit(search, number) for number in range(THREADS - 1)]
            write()
            assert all(one.result() > 0 for one in searches)
        assert len(items) == 200 + (ROWS - 200) // 2
