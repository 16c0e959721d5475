"""The interpreter goes on while Rust works: what a Python thread counts, not how long it took.

Python is told never to take the lock from a thread that has it. So while a call runs that keeps the
lock, the counter stands still; only what a call lets go of is the counter's.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import rust_ai_core as rac
from rust_ai_core import similarity

Rows = npt.NDArray[np.float32]

# The counter hands the lock over this often, which nobody may take from it otherwise.
STRIDE = 1000
# Far less than it counts in the calls below on a busy machine, far more than one stride.
MANY = 20 * STRIDE


class Counter:
    """Counts in a thread of its own, in plain Python."""

    def __init__(self) -> None:
        self.count = 0
        self.stopped = False
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        while not self.stopped:
            for _ in range(STRIDE):
                self.count += 1
            time.sleep(0)

    def during(self, call: Callable[[], object], times: int = 1) -> int:
        """Return how far it counted while `call` ran."""
        before = self.count
        for _ in range(times):
            call()
        return self.count - before


@pytest.fixture
def counter() -> Iterator[Counter]:
    counter = Counter()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    counter.thread.start()
    try:
        yield counter
    finally:
        counter.stopped = True
        sys.setswitchinterval(interval)
        counter.thread.join(10)


@pytest.fixture(scope="module")
def rows() -> Rows:
    return np.random.default_rng(0).standard_normal((60_000, 128), np.float32)


@pytest.fixture(scope="module")
def points(
    rows: Rows,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[rac.Collection]:
    with rac.open(tmp_path_factory.mktemp("gil") / "db.rac", durability="batch") as db:
        points = db.collection("points", dimension=128)
        points.upsert(np.arange(len(rows)), rows, metadata={"nested": {"k": 1}})
        yield points


def test_a_call_that_keeps_the_lock_stops_the_counter(counter: Counter) -> None:
    """Without this, the other tests would prove nothing."""
    numbers = list(range(2_000_000))
    assert counter.during(lambda: sum(numbers)) == 0


def test_the_counter_goes_on_while_four_threads_encode(
    minilm: rac.Encoder, counter: Counter
) -> None:
    texts = ["The interpreter goes on while a model runs in another language. " * 4] * 40
    counted: list[int] = []

    def encode() -> None:
        counted.append(counter.during(lambda: minilm.encode(texts)))

    threads = [threading.Thread(target=encode) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(counted) == 4
    assert min(counted) > 10 * MANY


def test_the_counter_goes_on_while_a_model_is_loaded(
    minilm: rac.Encoder, counter: Counter, tmp_path: Path
) -> None:
    # A folder of another name, since encoders of one folder are loaded once.
    (tmp_path / "copy").symlink_to(minilm.path)
    assert counter.during(lambda: rac.Encoder(tmp_path / "copy")) > MANY


def test_the_counter_goes_on_while_texts_are_tokenized(
    tiny_encoder: rac.Encoder, counter: Counter
) -> None:
    texts = ["some words to be cut into pieces " * 20] * 2000
    assert counter.during(lambda: tiny_encoder.tokenize(texts), times=10) > MANY


def test_the_counter_goes_on_while_a_collection_is_searched(
    points: rac.Collection,
    rows: Rows,
    counter: Counter,
) -> None:
    where = {"nested.k": {"$in": [1, 2, 3]}}
    assert counter.during(lambda: points.search(rows[0], exact=True), times=100) > MANY
    assert counter.during(lambda: points.search_batch(rows[:200])) > MANY
    assert counter.during(lambda: points.search(rows[0], where=where), times=400) > MANY
    assert counter.during(lambda: points.count(where), times=400) > MANY


def test_the_counter_goes_on_while_a_collection_is_written(
    rows: Rows, counter: Counter, tmp_path: Path
) -> None:
    with rac.open(tmp_path / "db.rac") as db:
        points = db.collection("points", dimension=128)
        ids = np.arange(len(rows))
        assert counter.during(lambda: points.upsert(ids, rows)) > MANY
        assert counter.during(points.optimize) > MANY
        assert counter.during(lambda: points.delete(where={"$id": {"$gte": 0}})) > MANY
    with rac.open(tmp_path / "db.rac") as db:
        points = db.collection("points")
        # Each returns when the disk has it, which takes longer than anything else here.
        assert counter.during(lambda: points.upsert(1, rows[0]), times=50) > MANY


def test_the_counter_goes_on_while_a_database_is_opened_and_checked(
    rows: Rows, counter: Counter, tmp_path: Path
) -> None:
    path = tmp_path / "db.rac"
    with rac.open(path) as db:
        db.collection("points", dimension=128).upsert(np.arange(len(rows)), rows)
    assert counter.during(lambda: rac.verify(path), times=5) > MANY
    opened: list[rac.Database] = []

    def reopen() -> None:
        with rac.open(path) as db:
            db.collection("points")
            opened.append(db)

    assert counter.during(reopen, times=5) > MANY
    assert len(opened) == 5


def test_the_counter_goes_on_while_texts_are_ingested(
    tiny_encoder: rac.Encoder, counter: Counter, tmp_path: Path
) -> None:
    texts = {f"{n}.md": f"# Text {n}\n\n" + "It has words in it. " * 50 for n in range(200)}
    with rac.open(tmp_path / "db.rac", durability="batch") as db:
        notes = db.collection("notes", model=tiny_encoder)
        assert counter.during(lambda: notes.ingest(texts)) > 5 * MANY
        assert len(notes) >= 200


def test_the_counter_goes_on_while_a_text_is_parsed_and_cut(
    tiny_encoder: rac.Encoder, counter: Counter
) -> None:
    page = "<p>Some <b>text</b> to be read.</p>\n" * 30_000
    assert counter.during(lambda: rac.parse_text(page, format="html")) > MANY
    document = rac.parse_text("Some text to be cut. " * 10_000)
    assert counter.during(lambda: document.chunks(tiny_encoder)) > MANY


def test_the_counter_goes_on_in_kernels_on_much_data(rows: Rows, counter: Counter) -> None:
    long = rows.reshape(-1)
    assert counter.during(lambda: rac.fast_vector_similarity(long, long), times=30) > MANY
    assert counter.during(lambda: rac.process_embedding(long), times=30) > MANY
    assert counter.during(lambda: similarity.dot_many(rows[0], rows), times=30) > MANY
    assert counter.during(lambda: similarity.top_k(rows[0], rows), times=30) > MANY
