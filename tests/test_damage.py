"""Damage to files is noticed, named by its place, and never read as data."""

import struct
import zlib
from pathlib import Path

import pytest

import rust_ai_core as rac
from records import Content, Key, content
from rust_ai_core.errors import (
    CorruptError,
    VersionError,
)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The log of a closed database with three records."""
    with rac.open(tmp_path / "db.rac") as db:
        notes = db.collection("notes", dimension=1)
        for number in range(3):
            notes.upsert(number, [number], texts=f"text {number}", metadata={"n": number})
    (log,) = (tmp_path / "db.rac").rglob("*.log")
    return log


def read_all(path: Path) -> tuple[dict[Key, Content | None], Exception | None]:
    """Return the records of a database, or why it was refused."""
    try:
        with rac.open(path) as db:
            return {record.id: content(record) for record in db.collection("notes")}, None
    except (CorruptError, VersionError) as error:
        return {}, error


def test_no_byte_of_a_closed_database_can_change_unnoticed(written: Path) -> None:
    path, sound = written.parents[2], written.read_bytes()
    refused = 0
    for offset in range(len(sound)):
        damaged = bytearray(sound)
        damaged[offset] ^= 0x10
        written.write_bytes(damaged)
        report = rac.verify(path)
        records, error = read_all(path)
        if error is None:
            assert records == {n: ([n], f"text {n}", {"n": n}) for n in range(3)}
        else:
            refused += 1
            assert str(written) in str(error)
            assert not report.ok
            assert any(str(written) in problem for problem in report.problems)
            assert written.read_bytes() == damaged, "a damaged file is left as it is"
    # All but the seal at the end, with which nothing is lost.
    assert refused >= len(sound) - 40


def test_damage_is_named_by_file_and_byte(written: Path) -> None:
    content = bytearray(written.read_bytes())
    place = content.index(b"text 1")
    content[place] ^= 1
    written.write_bytes(content)
    report = rac.verify(written.parents[2])
    assert not report.ok
    (problem,) = report.problems
    assert problem.startswith(f"{written}, byte ")
    assert report.collections["notes"]["problems"] == 1
    with rac.open(written.parents[2]) as db, pytest.raises(CorruptError) as caught:
        db.collection("notes")
    assert f"{written} is damaged at byte {problem.split()[2].strip(':')}" in str(caught.value)
    assert isinstance(caught.value, OSError)


def test_damage_that_comes_while_it_is_open_is_noticed(tmp_path: Path) -> None:
    with rac.open(tmp_path / "db.rac") as db:
        notes = db.collection("notes", dimension=1)
        notes.upsert([1, 2], [[1], [2]], texts=["sound", "rotten"])
        (log,) = (tmp_path / "db.rac").rglob("*.log")
        with log.open("r+b") as file:
            file.seek(log.read_bytes().index(b"rotten"))
            file.write(b"R")
        with pytest.raises(CorruptError, match=str(log)):
            notes.get([2])


@pytest.mark.parametrize("length", [0, 1, 30, -1, -60])
def test_a_log_that_was_cut_is_refused_or_shorter(length: int, written: Path) -> None:
    sound = written.read_bytes()
    written.write_bytes(sound[:length])
    records, error = read_all(written.parents[2])
    if error is None:
        assert length < 0, "without its header it is nothing"
        assert list(records) == list(range(len(records)))
        assert len(records) >= 2
    else:
        assert str(written) in str(error)


@pytest.mark.parametrize("file", ["FORMAT", "log"])
def test_a_newer_format_is_refused_by_its_number(file: str, written: Path) -> None:
    path = written.parents[2]
    target = written if file == "log" else path / "FORMAT"
    content = bytearray(target.read_bytes())
    content[8:12] = struct.pack("<I", 7)
    size = struct.unpack_from("<I", content, 12)[0] if file == "log" else 16
    content[size - 4 : size] = struct.pack("<I", zlib.crc32(content[: size - 4]))
    target.write_bytes(content)
    with pytest.raises(VersionError, match=r"format version 7.*upgrade") as caught:
        rac.open(path).collection("notes")
    assert str(target) in str(caught.value)
    assert target.read_bytes() == content
