"""What `docs/limits.md` says, through Python: open files, ids, results."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rust_ai_core as rac
from rust_ai_core import errors

FILES = 64
# In a process of its own, whose limit of open files is then low for all of it.
PREPARE = f"""
import resource, sys
import numpy as np
import rust_ai_core as rac
from rust_ai_core import errors

resource.setrlimit(resource.RLIMIT_NOFILE, ({FILES}, {FILES}))
path = sys.argv[1]
vector = np.ones((1, 4), np.float32)
"""


def run(code: str, path: Path) -> str:
    outcome = subprocess.run(
        [sys.executable, "-c", PREPARE + code, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def test_segments_need_no_open_files(tmp_path: Path) -> None:
    # With so little memory, a collection has many segments.
    code = """
with rac.open(path, memory_limit=1 << 20, durability="batch") as db:
    items = db.collection("items", dimension=384)
    rows = np.random.default_rng(0).standard_normal((20_000, 384), dtype=np.float32)
    for start in range(0, len(rows), 200):
        items.upsert(range(start, start + 200), rows[start : start + 200])
    items.optimize()
    print(items.stats()["segments"])
    hits = [items.search(row, limit=1)[0].id for row in rows[::997]]
    assert hits == list(range(0, len(rows), 997)), hits
    db.backup(path + "-copy")
assert rac.verify(path).ok
with rac.open(path, read_only=True) as db:
    assert len(db.collection("items")) == len(rows)
"""
    assert int(run(code, tmp_path / "many.rac")) > FILES


def test_a_process_without_files_says_so_and_goes_on(tmp_path: Path) -> None:
    code = f"""
with rac.open(path, durability="batch") as db:
    used = []
    try:
        for number in range({FILES} * 2):
            collection = db.collection(f"c{{number}}", dimension=4)
            collection.upsert([number], vector)
            used.append(collection)
    except errors.StorageError as error:
        assert isinstance(error, OSError)
        assert "Too many open files" in str(error), error
    print(len(used))
    for number, collection in enumerate(used):
        assert collection.get([number])[0] is not None
        collection.upsert([-1], vector)
        assert collection.search(vector[0], limit=2)[0].score > 0.99
assert rac.verify(path).ok
"""
    path = tmp_path / "few.rac"
    used = int(run(code, path))
    assert FILES // 2 < used < FILES
    # Nothing of what had returned is lost, and there is nothing half of the one that failed.
    with rac.open(path) as db:
        for number in range(used):
            assert len(db.collection(f"c{number}")) == 2
        left = set(db.collections()) - {f"c{number}" for number in range(used)}
        assert all(len(db.collection(name)) == 0 for name in left)


def test_collections_that_nobody_asked_for_need_no_files(tmp_path: Path) -> None:
    path = tmp_path / "names.rac"
    with rac.open(path, durability="batch") as db:
        for number in range(2 * FILES):
            db.collection(f"c{number}", dimension=4).upsert([number], np.ones((1, 4)))
    code = f"""
with rac.open(path) as db:
    assert len(db.collections()) == {2 * FILES}
    print(db.collection("c77").get([77])[0].id)
assert rac.verify(path).ok
"""
    assert run(code, path).strip() == "77"


def test_ids_are_of_64_bits_or_texts(tmp_path: Path) -> None:
    with rac.open(tmp_path / "ids.rac") as db:
        items = db.collection("items", dimension=2)
        ends: list[int | str] = [-(2**63), 2**63 - 1, "", "x" * 100_000]
        items.upsert(ends, np.ones((4, 2)))
        assert [record and record.id for record in items.get(ends)] == ends
        for beyond in (2**63, -(2**63) - 1):
            with pytest.raises(errors.ArgumentError, match="does not fit 64 bits"):
                items.upsert([beyond], np.ones((1, 2)))
        assert len(items) == 4


def test_dimensions_and_results_end_somewhere(tmp_path: Path) -> None:
    with rac.open(tmp_path / "ends.rac") as db:
        for wrong in (0, 65_537, 2**40):
            with pytest.raises(errors.ArgumentError, match="dimension is 1 to 65536"):
                db.collection("items", dimension=wrong)
        items = db.collection("items", dimension=1)
        with pytest.raises(errors.ArgumentError, match="more than 268435456"):
            items.search_batch(np.ones((2, 1)), limit=2**27 + 1)
