"""Databases and their collections: made, opened, closed, shared by threads."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rust_ai_core as rac
from rust_ai_core.errors import (
    ArgumentError,
    ClosedError,
    DimensionError,
    LockedError,
    ModelError,
    NotFoundError,
    SchemaError,
    StorageError,
)

# Bytes of a compacted log that are no record's: the seal, and the frame around the records.
FRAMES = 128


# -- collections of a database ---------------------------------------------------------------------


def test_collections_are_made_listed_and_dropped(database: rac.Database) -> None:
    assert database.collections() == []
    b, a = (
        database.collection("b", dimension=1),
        database.collection("a", dimension=2, metric="dot"),
    )
    a.upsert(1, [1, 2])
    b.upsert([1, 2], [[1], [2]])
    assert database.collections() == ["a", "b"]
    assert (len(a), len(b)) == (1, 2)
    again = database.collection("a")
    assert (again.name, again.dimension, again.metric, again.model) == ("a", 2, "dot", None)
    assert len(again) == 1
    database.drop("a")
    assert database.collections() == ["b"]
    with pytest.raises(NotFoundError):
        len(a)
    assert not [p for p in Path(database.path).rglob("*") if p.name == "a"]
    assert len(database.collection("a", dimension=3)) == 0
    assert len(b) == 2


def test_stats_add_up(points: rac.Collection, database: rac.Database) -> None:
    points.upsert(range(5000), np.ones((5000, 2)), texts=["text"] * 5000)
    points.delete(range(4000))
    stats = points.stats()
    assert stats["records"] == 1000
    on_disk = sum(p.stat().st_size for p in Path(database.path).rglob("*") if p.is_file())
    assert stats["file_bytes"] <= database.stats()["file_bytes"] <= on_disk
    assert stats["live_bytes"] > 0 < stats["dead_bytes"]
    assert stats["live_bytes"] + stats["dead_bytes"] <= stats["file_bytes"]
    assert database.stats()["collections"] == {"points": stats}
    points.compact()
    after = points.stats()
    assert after["dead_bytes"] <= FRAMES
    assert after["file_bytes"] < stats["file_bytes"]
    assert len(points) == 1000


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"dimension": 3}, SchemaError),
        ({"metric": "cosine"}, SchemaError),
        ({"metric": "manhattan"}, ArgumentError),
        ({"name": "new"}, NotFoundError),
        ({"name": "new", "dimension": 0}, ArgumentError),
        ({"name": "new", "dimension": -1}, ArgumentError),
        ({"name": "new", "dimension": 65537}, ArgumentError),
        ({"name": "new", "dimension": 2.0}, TypeError),
        ({"name": "", "dimension": 2}, ArgumentError),
        ({"name": "../up", "dimension": 2}, ArgumentError),
        ({"name": ".hidden", "dimension": 2}, ArgumentError),
        ({"name": "x" * 129, "dimension": 2}, ArgumentError),
        ({"name": 5, "dimension": 2}, TypeError),
        ({"name": "new", "model": 5}, TypeError),
        ({"name": "new", "model": "no-such-model"}, ModelError),
    ],
)
def test_a_collection_that_cannot_be_is_refused(
    arguments: dict[str, Any],
    error: type[Exception],
    points: rac.Collection,
    database: rac.Database,
) -> None:
    with pytest.raises(error):
        database.collection(**{"name": "points", **arguments})
    assert database.collections() == ["points"]


def test_a_model_and_a_dimension_must_agree(
    points: rac.Collection, database: rac.Database, tiny_model: Path
) -> None:
    with pytest.raises(DimensionError, match="32"):
        database.collection("new", dimension=3, model=tiny_model)
    with pytest.raises(SchemaError, match="dimension 2.*dimension 32"):
        database.collection("points", model=tiny_model)
    notes = database.collection("new", dimension=32, model=tiny_model)
    assert notes.upsert(["a", "b"], texts=["a text", "another"]) == 2
    assert notes.search("a text", limit=1)[0].id == "a"
    assert notes.search_batch(["another", "a text"], limit=1)[0].tolist() == [["b"], ["a"]]
    with pytest.raises(TypeError, match="text 1 is None"):
        notes.upsert(["a", "b"], texts=["a text", None])


def test_what_is_not_there_is_a_key_error(database: rac.Database) -> None:
    for call in (lambda: database.collection("nope"), lambda: database.drop("nope")):
        with pytest.raises(KeyError, match="no collection named .nope.") as caught:
            call()
        assert isinstance(caught.value, NotFoundError)


# -- opening and closing ---------------------------------------------------------------------------


def test_a_database_is_open_once(tmp_path: Path) -> None:
    path = tmp_path / "db.rac"
    program = """
import os, sys
import rust_ai_core as rac
try:
    rac.open(sys.argv[1])
except rac.errors.LockedError as error:
    assert isinstance(error, OSError)
    assert sys.argv[1] in str(error) and str(os.getppid()) in str(error), error
    sys.exit(7)
"""
    command = [sys.executable, "-c", program, str(path)]
    with rac.open(path):
        with pytest.raises(LockedError, match="db.rac"):
            rac.open(path)
        assert subprocess.run(command, timeout=60, check=False).returncode == 7
        assert rac.verify(path).ok
    assert subprocess.run(command, timeout=60, check=False).returncode == 0
    rac.open(path).close()


def test_a_closed_database_says_so(points: rac.Collection, database: rac.Database) -> None:
    points.upsert(1, [0, 0])
    iterator = iter(points)
    states = [database.closed]
    for _ in range(2):
        database.close()
        states.append(database.closed)
    assert states == [False, True, True]
    calls: list[Callable[[], object]] = [
        lambda: points.upsert(1, [0, 0]), lambda: points.get([1]), lambda: points.delete(1),
        lambda: points.delete(where={"a": 1}), lambda: points.search([0, 0]),
        lambda: points.search_batch([[0, 0]]), points.count, lambda: points.count({"a": 1}),
        points.sources, points.compact, points.flush, points.stats, lambda: len(points),
        lambda: next(iterator), lambda: list(points), lambda: 1 in points,
        lambda: database.collection("points"), lambda: database.collection("x", dimension=1),
        database.collections, lambda: database.drop("points"), database.flush, database.stats,
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ClosedError, match="closed"):
            call()
    assert "closed" in repr(points)
    assert "closed" in repr(database)


def test_a_path_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("precious", encoding="utf-8")
    folder.mkdir()
    (folder / "thesis.txt").write_text("precious", encoding="utf-8")
    for path, message in [(file, "it is a file"), (folder, "not empty")]:
        with pytest.raises(StorageError, match=f"{path} is not a rust_ai_core database.*{message}"):
            rac.open(path)
        with pytest.raises(OSError, match=str(path)):
            rac.verify(path)
    with pytest.raises(StorageError, match="nowhere"):
        rac.verify(tmp_path / "nowhere")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder", "thesis.txt"]


def test_arguments_of_open_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="durability"):
        rac.open(tmp_path / "db.rac", durability="none")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        rac.open(5)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_paths_in_any_language(tmp_path: Path) -> None:
    path = tmp_path / "Überblick 漢字 \U0001f600" / "db"
    with rac.open(path) as db:
        assert db.path == str(path)
        db.collection("a", dimension=1).upsert("é", [1])
    with rac.open(str(path)) as db:
        assert "é" in db.collection("a")
    assert rac.verify(path).collections["a"]["records"] == 1


# -- many threads ----------------------------------------------------------------------------------


def test_threads_write_and_read_one_collection(database: rac.Database) -> None:
    collection = database.collection("busy", dimension=4, metric="dot")
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for number in range(40):
                ids = [f"{thread}-{number}-{n}" for n in range(5)]
                collection.upsert(ids, np.full((5, 4), thread + 1), metadata={"thread": thread})
                assert all(record is not None for record in collection.get(ids))
                hits = collection.search([1, 1, 1, 1], limit=3, where={"thread": thread})
                assert [hit.score for hit in hits] == [4 * (thread + 1)] * 3
                collection.delete(ids[:2])
                assert ids[0] not in collection
                assert sum(1 for record in collection if record.id == ids[4]) == 1
                if number % 20 == thread:
                    collection.compact()
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failures
    assert len(collection) == 8 * 40 * 3
    assert all(collection.count({"thread": n}) == 120 for n in range(8))
    database.close()
    assert rac.verify(database.path).ok


def test_an_iteration_outlives_deletions(points: rac.Collection) -> None:
    points.upsert(range(1000), np.zeros((1000, 2)))
    iterator = iter(points)
    first = next(iterator)
    points.delete(range(500, 1000))
    seen = [first.id, *(record.id for record in iterator)]
    assert seen[:500] == list(range(500))
    assert len(set(seen)) == len(seen)
