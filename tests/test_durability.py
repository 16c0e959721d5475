"""What was acknowledged is there: after kill -9, a full disk, a refusal, Ctrl-C."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import rust_ai_core as rac
from rust_ai_core.errors import StorageError

Durability = Literal["sync", "batch"]
Content = tuple[bytes, str | None, dict[str, Any] | None]
Records = dict[int | str, Content]

DIMENSION = 8
# Of each kind of writer; there are four.
KILLS = 15
# Several transactions of an ingestion.
FILES = 350

# Writes for ever. Before each call it says what it is about to do, after it that it was done.
WRITER = """
import json, random, sys, threading
import rust_ai_core as rac

path, durability, writers, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
say = threading.Lock()

def tell(**line):
    with say:
        sys.stdout.write(json.dumps(line) + "\\n")
        sys.stdout.flush()

def new_record(writer, chance):
    key = chance.randrange(60)
    record = {
        "id": f"{writer}-{key}" if key % 2 else writer * 1000 + key,
        "vector": [float(chance.randrange(1000)) for _ in range(8)],
        "text": chance.choice([None, "", "word " * chance.randrange(200), "\\u00e9 \\U0001f600"]),
        "metadata": {"writer": writer, "group": chance.randrange(5), "nested": {"n": [1, None]}},
    }
    return record

def write(collection, writer):
    chance = random.Random(seed * 10 + writer)
    while True:
        kind = chance.choices(["upsert", "delete", "delete_where", "compact"], [60, 25, 10, 5])[0]
        if kind == "upsert":
            records = [new_record(writer, chance) for _ in range(chance.choice([1, 1, 5, 40]))]
            tell(writer=writer, kind=kind, records=records)
            collection.upsert(
                [record["id"] for record in records],
                [record["vector"] for record in records],
                texts=[record["text"] for record in records],
                metadata=[record["metadata"] for record in records],
            )
        elif kind == "delete":
            ids = [new_record(writer, chance)["id"] for _ in range(chance.choice([1, 10]))]
            tell(writer=writer, kind=kind, ids=ids)
            collection.delete(ids)
        elif kind == "delete_where":
            group = chance.randrange(5)
            tell(writer=writer, kind=kind, group=group)
            collection.delete(where={"writer": writer, "group": group})
        else:
            tell(writer=writer, kind=kind)
            collection.compact()
        tell(writer=writer, kind="done")

collection = rac.open(path, durability=durability).collection("kept", dimension=8)
tell(kind="ready")
threads = [threading.Thread(target=write, args=(collection, n)) for n in range(writers)]
for thread in threads:
    thread.start()
"""


@dataclass
class Told:
    """What a writer said: what is certainly written, and what it was about when it died."""

    records: Records = field(default_factory=dict)
    pending: dict[str, Any] | None = None

    def hear(self, line: dict[str, Any]) -> None:
        if line["kind"] != "done":
            self.pending = line
            return
        assert self.pending is not None
        self.records = applied(self.records, self.pending)
        self.pending = None

    def settle(self, found: Records) -> None:
        """Check what is there against what was told, and go on from it."""
        possible = [self.records]
        if self.pending is not None:
            possible.append(applied(self.records, self.pending))
        assert found in possible
        self.records, self.pending = found, None


def applied(records: Records, write: dict[str, Any]) -> Records:
    after = dict(records)
    if write["kind"] == "upsert":
        for new in write["records"]:
            vector = np.array(new["vector"], np.float32).tobytes()
            after[new["id"]] = (vector, new["text"], new["metadata"])
    elif write["kind"] == "delete":
        for key in write["ids"]:
            after.pop(key, None)
    elif write["kind"] == "delete_where":
        for key, (_, _, meta) in records.items():
            if meta and meta["group"] == write["group"]:
                del after[key]
    return after


def all_records(collection: rac.Collection) -> Records:
    return {
        record.id: (record.vector.tobytes(), record.text, record.metadata) for record in collection
    }


def kill_while_writing(arguments: list[str], heard: Path, delay: float) -> list[dict[str, Any]]:
    """Start a writer, kill it `delay` seconds after it began to write; return what it said."""
    with heard.open("wb") as output:
        writer = subprocess.Popen([sys.executable, "-c", WRITER, *arguments], stdout=output)
        try:
            deadline = time.monotonic() + 60
            while heard.stat().st_size == 0:
                assert writer.poll() is None, "the writer could not open the database"
                assert time.monotonic() < deadline
                time.sleep(0.001)
            time.sleep(delay)
            assert writer.poll() is None, "the writer failed by itself"
        finally:
            writer.kill()
            writer.wait()
    # The last line may have been cut by the kill; its end was not told then.
    lines = heard.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("writers", [1, 3])
@pytest.mark.parametrize("durability", ["sync", "batch"])
def test_nothing_acknowledged_is_lost_by_kill_9(
    durability: Durability, writers: int, tmp_path: Path
) -> None:
    path = tmp_path / "killed.rac"
    chance = random.Random(f"{durability} {writers}")
    told = [Told() for _ in range(writers)]
    writes = 0
    for life in range(KILLS):
        arguments = [str(path), durability, str(writers), str(life)]
        lines = kill_while_writing(arguments, tmp_path / "heard", chance.uniform(0, 0.12))
        for line in lines:
            if line["kind"] != "ready":
                told[line["writer"]].hear(line)
                writes += line["kind"] == "done"
        assert rac.verify(path).ok
        with rac.open(path) as db:
            collection = db.collection("kept")
            found = all_records(collection)
            assert len(collection) == len(found)
            for number, teller in enumerate(told):
                teller.settle(
                    {key: r for key, r in found.items() if (r[2] or {})["writer"] == number}
                )
            if found:
                vector, *_ = next(iter(found.values()))
                (best,) = collection.search(np.frombuffer(vector, np.float32), limit=1)
                assert best.score == pytest.approx(1, abs=1e-5)
        assert rac.verify(path).ok
    assert writes > 2 * KILLS, "the writers were killed before they wrote anything to speak of"


def write_until_full(collection: rac.Collection, kept: Records, size: int) -> None:
    """Write records of about `size` bytes until the disk is full; `kept` is what was told."""
    number = len(kept)
    while True:
        assert number < 100_000, "the disk is never full"
        vector = np.full(DIMENSION, number, np.float32)
        key, text, meta = f"id {number}", f"{number} " * (size // 6), {"number": number}
        collection.upsert(key, vector, texts=text, metadata=meta)
        kept[key] = (vector.tobytes(), text, meta)
        number += 1


def fill_and_go_on(
    path: Path, durability: Durability, size: int, make_room: Callable[[], object]
) -> None:
    """Write until it fails, check that nothing is lost; make room, and write on."""
    kept: Records = {}
    with rac.open(path, durability=durability) as db:
        collection = db.collection("kept", dimension=DIMENSION)
        with pytest.raises(StorageError, match="could not write"):
            write_until_full(collection, kept, size)
        assert kept
        assert all_records(collection) == kept
        assert collection.search(np.ones(DIMENSION), limit=3)
        # What is too large for the rest of the disk has left no trace that could harm the next.
        with pytest.raises(StorageError):
            write_until_full(collection, kept, size)
        assert all_records(collection) == kept
        make_room()
        for number in range(10):
            vector = np.full(DIMENSION, -number - 1, np.float32)
            collection.upsert(-number - 1, vector)
            kept[-number - 1] = (vector.tobytes(), None, None)
        assert collection.delete("id 0") == 1
        del kept["id 0"]
        assert all_records(collection) == kept
    assert rac.verify(path).ok
    with rac.open(path) as db:
        assert all_records(db.collection("kept")) == kept


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no program mount")
    if mounted.returncode != 0:
        pytest.skip(f"mounting is not permitted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("size", [100, 5000, 300_000])
@pytest.mark.parametrize("durability", ["sync", "batch"])
def test_a_full_disk_loses_nothing(durability: Durability, size: int, small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_500_000))
    fill_and_go_on(small_disk / "full.rac", durability, size, ballast.unlink)


def test_a_full_disk_refuses_a_new_database_and_leaves_nothing_in_the_way(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    with pytest.raises(StorageError, match="No space left"):
        rac.open(small_disk / "new.rac")
    ballast.unlink()
    with rac.open(small_disk / "new.rac") as db:
        db.collection("a", dimension=1).upsert(1, [1])
        assert len(db.collection("a")) == 1


@pytest.mark.parametrize("durability", ["sync", "batch"])
def test_a_limit_on_the_size_of_files_loses_nothing(durability: str, tmp_path: Path) -> None:
    program = """
import resource, sys
from pathlib import Path
tests, path, durability = sys.argv[1:]
sys.path.insert(0, tests)
from test_durability import fill_and_go_on

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

limit(200_000)
fill_and_go_on(Path(path), durability, 2000, lambda: limit(resource.RLIM_INFINITY))
"""
    arguments = [str(Path(__file__).parent), str(tmp_path / "limited.rac"), durability]
    subprocess.run([sys.executable, "-B", "-c", program, *arguments], check=True, timeout=60)


def as_nobody(program: str, *arguments: str) -> None:
    """Run a program, which imports as we do, as a user who may not do everything."""
    prelude = "import os, sys\nimport rust_ai_core as rac\n"
    if os.geteuid() == 0:
        prelude += "os.setgid(65534); os.setuid(65534)\n"
    command = [sys.executable, "-c", prelude + program, *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr


@pytest.fixture
def open_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that any user can come to."""
    modes = {
        folder: folder.stat().st_mode
        for folder in (tmp_path, *tmp_path.parents)
        if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 0o001
    }
    for folder, mode in modes.items():
        folder.chmod(mode | 0o055)
    yield tmp_path
    for folder, mode in modes.items():
        folder.chmod(mode)


def test_a_folder_that_may_not_be_written_is_refused_by_name(open_folder: Path) -> None:
    path = open_folder / "mine.rac"
    with rac.open(path) as db:
        db.collection("kept", dimension=1).upsert([1], [[1]])
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    folders = [path, *(p for p in path.rglob("*") if p.is_dir())]
    for entry in [*before, *folders, open_folder]:
        entry.chmod(0o555 if entry.is_dir() else 0o444)
    program = """
from rust_ai_core.errors import StorageError
for path in sys.argv[1:]:
    try:
        rac.open(path)
    except StorageError as error:
        assert path in str(error) and "ermission denied" in str(error), error
    else:
        sys.exit(f"{path} was opened")
assert rac.verify(sys.argv[1]).ok
"""
    try:
        as_nobody(program, str(path), str(open_folder / "new.rac"))
    finally:
        for folder in [open_folder, *folders]:
            folder.chmod(0o755)
    assert {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} == before


def test_a_folder_that_may_not_be_read_is_refused_by_name(open_folder: Path) -> None:
    path = open_folder / "secret.rac"
    rac.open(path).close()
    path.chmod(0o000)
    program = """
from rust_ai_core.errors import StorageError
for look in (rac.open, rac.verify):
    try:
        look(sys.argv[1])
    except StorageError as error:
        assert sys.argv[1] in str(error) and "ermission denied" in str(error), error
    else:
        sys.exit(f"{look} was let in")
"""
    try:
        as_nobody(program, str(path))
    finally:
        path.chmod(0o755)


def test_ctrl_c_during_ingest_leaves_a_valid_database(tmp_path: Path, tiny_model: Path) -> None:
    path, folder = tmp_path / "stopped.rac", tmp_path / "docs"
    folder.mkdir()
    for number in range(FILES):
        sentences = " ".join(f"Sentence {n} of text {number} is here." for n in range(60))
        (folder / f"{number:03}.txt").write_text(sentences, encoding="utf-8")
    program = """
import sys
import rust_ai_core as rac
path, folder, model = sys.argv[1:]
told = False
def progress(now):
    global told
    if now.files_done and not told:
        print("writing", flush=True)
        told = True
with rac.open(path) as db:
    db.collection("notes", model=model).ingest(folder, progress=progress)
"""
    command = [sys.executable, "-c", program, str(path), str(folder), str(tiny_model)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "writing\n"
    child.send_signal(signal.SIGINT)
    _, stderr = child.communicate(timeout=60)
    assert child.returncode == -signal.SIGINT, stderr
    assert "KeyboardInterrupt" in stderr
    assert rac.verify(path).ok
    with rac.open(path) as db, rac.open(tmp_path / "fresh.rac") as other:
        notes, fresh = db.collection("notes"), other.collection("notes", model=tiny_model)
        sources = set(notes.sources())
        assert 0 < len(sources) < FILES
        assert {record.source for record in notes} == sources
        report = notes.ingest(folder)
        assert report.ingested == FILES - len(sources)
        assert report.unchanged == len(sources)
        fresh.ingest(folder)
        assert all_records(notes) == all_records(fresh)
