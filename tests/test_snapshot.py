"""Snapshots: repeatable reads; and what a forked child may do with a database: nothing."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rust_ai_core as rac
from conftest import RunRac
from rust_ai_core.errors import ArgumentError, ClosedError, NotFoundError, ReadOnlyError


def everything(items: rac.Collection) -> list[Any]:
    """What every way of reading says."""
    query = [1.0, 0.5]
    ids, scores = items.search_batch([query], limit=50, where={"even": True}, exact=True)
    return [
        len(items),
        items.count({"even": False}),
        [(record.id, record.vector.tolist(), record.text, record.metadata) for record in items],
        [hit.id for hit in items.search(query, limit=50)],
        ids.tolist(),
        scores.tolist(),
        [record is None for record in items.get(range(120))],
        3 in items,
        items.sources(),
        items.stats(),
        repr(items),
    ]


@pytest.fixture
def items(database: rac.Database) -> rac.Collection:
    items = database.collection("items", dimension=2, metric="l2")
    vectors = np.random.default_rng(1).normal(size=(100, 2))
    items.upsert(
        range(100),
        vectors,
        texts=[f"text {n}" for n in range(100)],
        metadata=[{"even": n % 2 == 0} for n in range(100)],
    )
    return items


def test_a_snapshot_shows_one_state(database: rac.Database, items: rac.Collection) -> None:
    with database.snapshot() as snapshot:
        frozen = snapshot.collection("items")
        before = everything(frozen)
        assert before == everything(items)
        items.delete(where={"even": True})
        items.upsert([1, 1000], [[9, 9], [8, 8]])
        assert everything(frozen) == before
        items.compact()
        items.optimize()
        database.collection("later", dimension=1)
        assert everything(frozen) == before
        assert snapshot.collections() == ["items"]
        assert snapshot.stats()["collections"]["items"] == frozen.stats()
        with pytest.raises(NotFoundError):
            snapshot.collection("later")
        database.drop("items")
        database.close()
        assert everything(frozen) == before
    with pytest.raises(ClosedError):
        frozen.search([1.0, 0.5])
    snapshot.close()


def test_a_snapshot_cannot_be_written_to(database: rac.Database, tiny_encoder: rac.Encoder) -> None:
    texts = database.collection("texts", model=tiny_encoder)
    with database.snapshot() as snapshot:
        frozen = snapshot.collection("texts")
        for write in (
            lambda: frozen.upsert(["a"], texts=["text"]),
            lambda: frozen.delete(["a"]),
            lambda: frozen.delete(where={"a": 1}),
            lambda: frozen.ingest({"a.md": "text"}),
            frozen.compact,
            frozen.optimize,
            frozen.flush,
        ):
            with pytest.raises(ReadOnlyError, match="a snapshot can only be read"):
                write()
    assert len(texts) == 0


# The child says what each use raised; the parent writes on, before and after the child ended.
FORK = """
import os, sys
import rust_ai_core as rac

db = rac.open(sys.argv[1], durability="batch")
items = db.collection("items", dimension=2)
items.upsert([1, 2], [[1, 0], [0, 1]])
snapshot = db.snapshot()
frozen = snapshot.collection("items")
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    uses = [
        lambda: items.upsert([3], [[1, 1]]),
        lambda: items.search([1, 0]),
        lambda: items.search_batch([[1, 0]] * 300, exact=True),
        lambda: items.get([1]),
        lambda: items.count({"a": 1}),
        lambda: items.delete([1]),
        lambda: list(items),
        lambda: len(items),
        lambda: items.compact(),
        lambda: items.recall(),
        lambda: items.stats(),
        lambda: db.collection("items"),
        lambda: db.collections(),
        lambda: db.drop("items"),
        lambda: db.flush(),
        lambda: db.stats(),
        lambda: db.snapshot(),
        lambda: frozen.search([1, 0]),
        lambda: snapshot.collection("items"),
    ]
    said = []
    for use in uses:
        try:
            said.append(repr(use()))
        except rac.errors.ForkedError as error:
            said.append("refused")
    os.write(writer, " ".join(said).encode())
    snapshot.close()
    db.close()
    # As far as Python goes when a program ends: everything is dropped.
    del items, frozen, snapshot, db, uses
    sys.exit(0)
os.close(writer)
items.upsert([4], [[2, 2]])
said = os.read(reader, 10_000).decode().split()
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
assert said == ["refused"] * 19, said
items.upsert([5], [[3, 3]])
assert len(frozen) == 2
db.close()

# A child that lives on does not hold the lock of a database that its parent closes.
db = rac.open(sys.argv[1])
child = os.fork()
if child == 0:
    import time
    time.sleep(60)
    os._exit(0)
db.close()
with rac.open(sys.argv[1]) as db:
    print(sorted(record.id for record in db.collection("items")))
os.kill(child, 9)
os.waitpid(child, 0)
"""


def test_a_forked_child_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    path = tmp_path / "forked.rac"
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK, path],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == "[1, 2, 4, 5]\n"
    assert rac.verify(path).ok


def test_a_backup_is_restored(
    database: rac.Database, items: rac.Collection, tmp_path: Path
) -> None:
    items.optimize()
    items.delete([5])
    told: list[tuple[int, int]] = []
    database.backup(
        tmp_path / "backup.rac", progress=lambda done, total: told.append((done, total))
    )
    assert told[-1][0] == told[-1][1] > 0
    items.delete(range(50))
    rac.restore(tmp_path / "backup.rac", tmp_path / "restored.rac")
    with rac.open(tmp_path / "restored.rac") as restored:
        found = restored.collection("items")
        assert [record.id for record in found] == [n for n in range(100) if n != 5]
        assert found.get([17])[0].text == "text 17"  # type: ignore[union-attr]
    with pytest.raises(ArgumentError, match="exists"):
        database.backup(tmp_path / "backup.rac")
    with pytest.raises(ArgumentError, match="exists"):
        rac.restore(tmp_path / "backup.rac", tmp_path / "restored.rac")


def test_an_interrupted_backup_leaves_nothing(
    database: rac.Database, items: rac.Collection, tmp_path: Path
) -> None:
    def stop(_done: int, _total: int) -> None:
        raise ZeroDivisionError

    before = sorted(tmp_path.iterdir())
    with pytest.raises(ZeroDivisionError):
        database.backup(tmp_path / "backup.rac", progress=stop)
    assert sorted(tmp_path.iterdir()) == before
    assert len(items) == 100


def test_the_command_line_backs_up_and_restores(
    database: rac.Database, items: rac.Collection, tmp_path: Path, run_rac: RunRac
) -> None:
    path = database.path
    assert len(items) == 100
    database.close()
    said = run_rac("backup", path, "backup.rac")
    assert (said.stdout, "checked it" in said.stderr) == ("", True)
    run_rac("restore", "backup.rac", "restored.rac")
    assert "100 records" in run_rac("verify", "restored.rac").stdout
    refused = run_rac("restore", "backup.rac", "restored.rac", check=False)
    assert refused.returncode == 1
    assert "rac: error: " in refused.stderr
    assert "exists" in refused.stderr
    assert run_rac("backup", "nothing.rac", "other.rac", check=False).returncode == 1
    assert not (tmp_path / "other.rac").exists()
