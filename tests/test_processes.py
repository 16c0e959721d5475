"""One process writes while others read: all that is acknowledged, whole and in order."""

import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

import rust_ai_core as rac
from rust_ai_core.errors import LockedError, NotFoundError, ReadOnlyError, StorageError

BATCH = 20
READERS = 3

# Batch after batch, each acknowledged on stdout. Of every batch, one record of an earlier one goes.
WRITER = """
import sys
import rust_ai_core as rac

path, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
db = rac.open(path, durability="batch")
items = db.collection("items", dimension=8)
for batch in range(first, last):
    ids = range(batch * 20, batch * 20 + 20)
    vectors = [[batch + 1] + [1] * 7] * 20
    items.upsert(ids, vectors, metadata={"batch": batch}, texts=["word " * 50] * 20)
    if batch >= 3:
        # Replaced, and so moved between segments and heads, but never missing.
        old = (batch - 3) * 20
        items.upsert([old + 1], [[1] * 8], metadata={"batch": batch - 3}, texts=["again"])
    if batch % 40 == 39:
        items.compact()
    if batch % 150 == 149:
        items.optimize()
    print(batch, flush=True)
"""

# For each number on stdin: is what was acknowledged there, whole, and nothing of it twice?
READER = """
import sys
import rust_ai_core as rac

db = rac.open(sys.argv[1], read_only=True)
items = None
seen = -1
for line in sys.stdin:
    batch = int(line)
    if items is None:
        try:
            items = db.collection("items")
        except KeyError:
            assert batch < 0, "the collection was acknowledged"
            print("nothing", flush=True)
            continue
    # Without a filter: the count is of one moment.
    count = len(items)
    assert count % 20 == 0, f"half a batch: {count}"
    assert count >= (batch + 1) * 20, f"batch {batch} is missing: {count}"
    assert count // 20 - 1 >= seen, f"{count} after {seen}"
    seen = count // 20 - 1
    if batch >= 0:
        with db.snapshot() as snapshot:
            frozen = snapshot.collection("items")
            ids = sorted(record.id for record in frozen)
            assert ids == list(range(len(ids))), "in order, without gaps"
            assert len(ids) == len(frozen) >= count
        assert items.count({"batch": batch}) == 20
        got = items.get(range(batch * 20, batch * 20 + 20))
        assert all(record.metadata == {"batch": batch} for record in got)
        hits = items.search([1.0] * 8, limit=5, where={"batch": batch})
        assert len(hits) == 5 and all(hit.text for hit in hits)
    print(seen, flush=True)
print("done", flush=True)
"""


@contextmanager
def python(script: str, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def ask(reader: "subprocess.Popen[str]", batch: int) -> str:
    pipe(reader.stdin).write(f"{batch}\n")
    pipe(reader.stdin).flush()
    answer = pipe(reader.stdout).readline().strip()
    assert answer, "the reader died; its complaint is on stderr"
    return answer


def test_readers_see_every_acknowledged_batch_also_when_the_writer_is_killed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "shared.rac"
    rac.open(path).close()
    with (
        python(READER, path) as first,
        python(READER, path) as second,
        python(READER, path) as third,
    ):
        readers = [first, second, third]
        assert [ask(reader, -1) for reader in readers] == ["nothing"] * READERS
        begin = 0
        for _ in range(3):
            with python(WRITER, path, begin, 10_000) as writer:
                acknowledged = begin - 1
                for turn in range(160):
                    acknowledged = int(pipe(writer.stdout).readline())
                    assert int(ask(readers[turn % READERS], acknowledged)) >= acknowledged
                writer.kill()
                rest = pipe(writer.stdout).read().split()
                acknowledged = max([acknowledged, *map(int, rest)])
                writer.wait()
            for reader in readers:
                assert int(ask(reader, acknowledged)) >= acknowledged
            # The batch that was being written when the writer was killed may be there.
            with rac.open(path, read_only=True) as database:
                begin = len(database.collection("items")) // BATCH
            assert begin - acknowledged in (1, 2)
        for reader in readers:
            pipe(reader.stdin).close()
            assert pipe(reader.stdout).read() == "done\n"
            assert reader.wait() == 0
    assert rac.verify(path).ok


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
    }


def test_a_reader_changes_nothing_and_needs_no_permission_to(tmp_path: Path) -> None:
    path = tmp_path / "kept.rac"
    with rac.open(path) as database:
        items = database.collection("items", dimension=2)
        items.upsert(range(100), [[1, 0]] * 100)
        items.compact()
        items.upsert([7], [[0, 1]])
    (path / "LOCK").unlink()
    before = contents(path)
    everything = [path, *path.rglob("*")]
    for entry in everything:
        entry.chmod(stat.S_IRUSR | (stat.S_IXUSR if entry.is_dir() else 0))
    try:
        with rac.open(path, read_only=True) as database:
            items = database.collection("items", dimension=2)
            assert items.search([0, 1], limit=1)[0].id == 7
            for write in (
                lambda: items.upsert([1], [[1, 1]]),
                lambda: items.delete([1]),
                lambda: database.drop("items"),
                lambda: database.collection("items", index=False),
                items.compact,
                items.optimize,
                database.flush,
            ):
                with pytest.raises(ReadOnlyError, match="read-only"):
                    write()
            with pytest.raises(NotFoundError):
                database.collection("new", dimension=2)
            assert database.stats()["collections"]["items"]["records"] == 100
            database.backup(tmp_path / "backup.rac")
        assert contents(path) == before
    finally:
        for entry in everything:
            entry.chmod(0o700)
    with rac.open(tmp_path / "backup.rac", read_only=True) as database:
        assert len(database.collection("items")) == 100
    with pytest.raises(StorageError):
        rac.open(tmp_path / "missing.rac", read_only=True)
    assert not (tmp_path / "missing.rac").exists()


def test_a_reader_follows_drops_and_new_collections(tmp_path: Path) -> None:
    path = tmp_path / "changing.rac"
    with rac.open(path) as writer, rac.open(path, read_only=True) as reader:
        with pytest.raises(LockedError):
            rac.open(path)
        assert reader.collections() == []
        writer.collection("a", dimension=2).upsert([1], [[1, 0]])
        seen = reader.collection("a")
        assert len(seen) == 1
        writer.drop("a")
        with pytest.raises(NotFoundError):
            len(seen)
        writer.collection("a", dimension=3).upsert([1, 2], [[1, 0, 0]] * 2)
        with pytest.raises(NotFoundError):
            seen.get([1])
        again = reader.collection("a")
        assert (again.dimension, len(again)) == (3, 2)
        for number in range(50):
            writer.drop("a")
            new = writer.collection("a", dimension=3)
            new.upsert(range(number), [[1, 0, 0]] * number)
            assert len(reader.collection("a")) == number
            new.optimize()
            new.compact()
            assert len(reader.collection("a")) == number
