"""Damage to files is noticed, named by its place, and never read as data."""

import struct
import warnings
import zlib
from pathlib import Path

import pytest

import rust_ai_core as rac
from conftest import RunRac
from records import Content, Key, content
from rust_ai_core.errors import CorruptError, DamageWarning, LossWarning, VersionError


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


@pytest.fixture
def segmented(tmp_path: Path) -> Path:
    """A closed database with forty records in one segment."""
    with rac.open(tmp_path / "db.rac") as db:
        notes = db.collection("notes", dimension=2)
        texts = [f"text {number}" for number in range(40)]
        metadata = [{"n": number} for number in range(40)]
        vectors = [[1, number] for number in range(40)]
        notes.upsert(range(40), vectors, texts=texts, metadata=metadata)
        notes.compact()
    return tmp_path / "db.rac"


def damaged_text(log: Path, text: bytes) -> Path:
    content = bytearray(log.read_bytes())
    content[content.index(text)] ^= 1
    log.write_bytes(content)
    return log.parents[2]


def test_a_damaged_log_is_opened_without_what_is_lost_once_somebody_says_so(written: Path) -> None:
    path = damaged_text(written, b"text 1")
    damaged = written.read_bytes()
    with rac.open(path) as db:
        (file,) = db.repair()["notes"]
        assert (file["file"], file["lost_records"]) == (str(written), None)
        assert (file["keeps_closed"], file["kept_as"]) == (True, None)
        assert "one transaction of" in file["problems"][0]
        with pytest.raises(CorruptError, match="rac repair"):
            db.collection("notes")
        (file,) = db.repair(accept_loss=True)["notes"]
        assert not file["keeps_closed"]
        assert Path(file["kept_as"]).read_bytes() == damaged
        assert [record.id for record in db.collection("notes")] == [0, 2]
        assert db.repair() == {}
    assert rac.verify(path).ok


def test_the_command_opens_what_a_damaged_log_keeps_closed(written: Path, run_rac: RunRac) -> None:
    path = damaged_text(written, b"text 1")
    assert run_rac("verify", path, check=False).returncode == 1
    finished = run_rac("repair", path, check=False)
    assert finished.returncode == 1
    assert f"notes: {written} keeps the collection closed; --accept-loss" in finished.stdout
    finished = run_rac("repair", path, "--accept-loss")
    assert f"notes: {written} was written anew without what is lost" in finished.stdout
    assert "one transaction of" in finished.stdout
    assert f"the damaged file is kept as {written}.damaged" in finished.stdout
    run_rac("verify", path)
    assert run_rac("repair", path).stdout == f"{path} is sound\n"
    assert (path / "collections/notes" / f"{written.name}.damaged").exists()


@pytest.mark.parametrize("name", ["MANIFEST", "MANIFEST.copy"])
def test_a_damaged_manifest_costs_nothing_but_a_warning(name: str, written: Path) -> None:
    path, manifest = written.parents[2], written.with_name(name)
    flip(manifest, 20)
    report = rac.verify(path)
    assert [problem.startswith(f"{manifest}, byte") for problem in report.problems] == [True]
    with rac.open(path) as db:
        with pytest.warns(DamageWarning, match=r"nothing is lost.*MANIFEST.*\.damaged"):
            notes = db.collection("notes")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DamageWarning)
            assert [record.id for record in notes] == [0, 1, 2]
        assert db.stats()["collections"]["notes"]["damaged_files"] == 1
    assert rac.verify(path).ok
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with rac.open(path) as db:
            assert len(db.collection("notes")) == 3


def test_without_a_manifest_the_command_says_what_is_left_to_do(
    written: Path, run_rac: RunRac
) -> None:
    for name in ["MANIFEST", "MANIFEST.copy"]:
        flip(written.with_name(name), 20)
    before = {file: file.read_bytes() for file in written.parent.iterdir()}
    finished = run_rac("repair", written.parents[2], "--accept-loss", check=False)
    assert finished.returncode == 1
    assert "keeps the collection closed: restore it from a backup" in finished.stdout
    assert "its second copy is damaged too" in finished.stdout
    assert {file: file.read_bytes() for file in written.parent.iterdir()} == before


def flip(file: Path, offset: int) -> None:
    content = bytearray(file.read_bytes())
    content[offset] ^= 0x10
    file.write_bytes(content)


def segment_of(path: Path) -> Path:
    (segment,) = path.rglob("*.seg")
    return segment


def section(segment: Path, kind: int) -> int:
    content = segment.read_bytes()
    count = struct.unpack_from("<I", content, 12)[0]
    entries = (struct.unpack_from("<IIQQ", content, 56 + 24 * entry) for entry in range(count))
    return next(int(offset) for found, _, offset, _ in entries if found == kind)


METADATA_INDEX = 9


def test_a_damaged_index_costs_nothing_but_a_warning(segmented: Path) -> None:
    segment = segment_of(segmented)
    flip(segment, section(segment, METADATA_INDEX) + 60)
    with rac.open(segmented) as db:
        notes = db.collection("notes")
        with pytest.warns(DamageWarning, match=str(segment)) as caught:
            assert notes.count({"n": {"$lt": 7}}) == 7
        with warnings.catch_warnings():
            # Until it is written anew.
            warnings.simplefilter("ignore", DamageWarning)
            assert len(notes.search([1, 1], where={"n": {"$gte": 35}})) == 5
        assert not any(issubclass(warning.category, LossWarning) for warning in caught)
        db.repair()
        assert notes.damage() == []
        assert notes.count({"n": {"$lt": 7}}) == 7
    assert rac.verify(segmented).ok
    assert not segment.exists()


def test_a_damaged_record_is_an_error_for_whoever_asks_for_it_alone(segmented: Path) -> None:
    segment = segment_of(segmented)
    flip(segment, segment.read_bytes().index(b"text 17"))
    with rac.open(segmented) as db:
        notes = db.collection("notes")
        with pytest.raises(CorruptError, match=str(segment)):
            notes.get([17])
        with pytest.warns(LossWarning, match="1 record cannot be read"):
            hits = notes.search([1, 17], limit=40)
        assert sorted(hit.id for hit in hits) == [n for n in range(40) if n != 17]
        (file,) = notes.damage()
        assert (file["file"], file["lost_records"], file["lost_ids"]) == (str(segment), 1, [17])
        with pytest.warns(LossWarning):
            found = notes.get([16, 18])
        assert [record and record.text for record in found] == ["text 16", "text 18"]
        notes.compact()
    assert segment.exists(), "nothing was dropped"
    assert not rac.verify(segmented).ok
    with rac.open(segmented) as db:
        repaired = db.repair(accept_loss=True)
        assert repaired["notes"][0]["lost_ids"] == [17]
        assert len(db.collection("notes")) == 39
    assert rac.verify(segmented).ok


@pytest.mark.parametrize("way", ["missing", "cut", "header"])
def test_a_segment_that_cannot_be_read_is_set_aside_loudly(way: str, segmented: Path) -> None:
    segment = segment_of(segmented)
    sound = segment.read_bytes()
    if way == "missing":
        segment.unlink()
    elif way == "cut":
        segment.write_bytes(sound[:5000])
    else:
        flip(segment, 20)
    with rac.open(segmented) as db:
        with pytest.warns(LossWarning, match="40 records cannot be read"):
            notes = db.collection("notes")
        notes.upsert([3], [[0, 1]], texts=["newer"])
        with pytest.warns(LossWarning, match=str(segment)):
            assert [hit.id for hit in notes.search([0, 1])] == [3]
        with pytest.raises(CorruptError, match=str(segment)):
            db.backup(segmented.parent / "backup.rac")
        assert db.stats()["collections"]["notes"]["damaged_files"] == 1
        notes.compact()
    assert not rac.verify(segmented).ok
    # Once somebody brings the file back, all is there, and what was written since.
    segment.write_bytes(sound)
    assert rac.verify(segmented).ok
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with rac.open(segmented) as db:
            notes = db.collection("notes")
            assert len(notes) == 40
            assert [record.text for record in notes.get([2, 3]) if record] == ["text 2", "newer"]


def test_a_loss_can_be_made_an_error(segmented: Path) -> None:
    segment_of(segmented).unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error", LossWarning)
        with rac.open(segmented) as db, pytest.raises(LossWarning):
            db.collection("notes")


def test_the_command_repairs(segmented: Path, run_rac: RunRac) -> None:
    assert run_rac("repair", segmented).stdout == f"{segmented} is sound\n"
    segment = segment_of(segmented)
    flip(segment, segment.read_bytes().index(b"text 17"))
    finished = run_rac("repair", segmented, check=False)
    assert finished.returncode == 1
    assert f"notes: {segment} is kept; 1 record cannot be read" in finished.stdout
    assert "ids: 17" in finished.stdout
    assert run_rac("verify", segmented, check=False).returncode == 1
    finished = run_rac("repair", segmented, "--accept-loss")
    assert f"notes: {segment} was removed; 1 record lost" in finished.stdout
    run_rac("verify", segmented)
