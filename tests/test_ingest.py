"""Ingestion: every chunk keeps its place, nothing is done twice, nothing bad is fatal."""

import html
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rust_ai_core as rac
from documents import FILES, MARKDOWN, write
from rust_ai_core.errors import ArgumentError, ModelError, StorageError


@pytest.fixture
def notes(tmp_path: Path, tiny_encoder: rac.Encoder) -> Iterator[rac.Collection]:
    with rac.open(tmp_path / "notes.rac", durability="batch") as db:
        yield db.collection("notes", model=tiny_encoder)


def everything(collection: rac.Collection) -> dict[Any, Any]:
    return {
        r.id: (r.text, r.metadata, r.source, r.start, r.end, r.line, r.vector.tobytes())
        for r in collection
    }


def check_places(collection: rac.Collection) -> None:
    """Check the promise that users rely on: the source, cut at start and end, is the text."""
    documents: dict[str, rac.Document] = {}
    for record in collection:
        assert record.source is not None
        if record.source not in documents:
            documents[record.source] = rac.parse(record.source)
        document = documents[record.source]
        assert document.text[record.start : record.end] == record.text
        assert record.start is not None
        assert record.line == document.line_of(record.start)


# -- places ----------------------------------------------------------------------------------------


def test_every_record_keeps_its_place(
    docs: Path, notes: rac.Collection, tiny_encoder: rac.Encoder
) -> None:
    report = notes.ingest(docs)
    assert (report.files, report.ingested) == (len(FILES), len(FILES))
    assert (report.unchanged, report.removed, report.unknown) == (0, 0, 0)
    assert (report.skipped, report.warnings) == ([], [])
    assert report.chunks == len(notes)
    assert report.bytes == sum(len(text.encode()) for text in FILES.values())
    assert notes.sources() == sorted(str(docs / name) for name in FILES)
    check_places(notes)
    records = list(notes)
    texts = [record.text or "" for record in records]
    ids = tiny_encoder.tokenize(texts)
    assert max(map(len, ids)) <= tiny_encoder.max_tokens
    assert report.tokens == sum(len(row) - 2 for row in ids)
    for record, vector in zip(records, tiny_encoder.encode(texts), strict=True):
        assert record.vector.tobytes() == vector.tobytes()
        assert record.text
        assert record.text == record.text.strip()


def test_chunks_leave_nothing_out(docs: Path, notes: rac.Collection) -> None:
    notes.ingest(docs)
    for source in notes.sources():
        text = rac.parse(source).text
        covered = bytearray(len(text))
        for record in notes:
            if record.source == source:
                covered[record.start : record.end] = b"x" * len(record.text or "")
        left = "".join(char for char, seen in zip(text, covered, strict=True) if not seen)
        assert left.strip(" \n\r\t-:`,[]{}|#") in ("", "title Front matter", "title: Front matter")


@pytest.mark.parametrize("name", ["bread.md", "plain.txt", "count.py", "fruit.csv", "log.jsonl",
                                  "data.json", "soup.html"])  # fmt: skip
def test_line_numbers_are_those_of_the_file(name: str, docs: Path, notes: rac.Collection) -> None:
    words = {
        "bread.md": ["Flour, water", "Steam makes", "def bake"],
        "plain.txt": ["First paragraph", "Second paragraph"],
        "count.py": ['"""Count', "def count", "class Counter"],
        "fruit.csv": ["apple", "banana, ripe", "cherry"],
        "log.jsonl": ["start", "stop"],
        "data.json": ["first", "second"],
        "soup.html": ["Lentils", "Simmer", "Serve with"],
    }[name]
    notes.ingest(docs / name, max_tokens=16, overlap_tokens=0)
    document = rac.parse(docs / name)
    lines = FILES[name].split("\n")
    for word in words:
        expected = next(n for n, line in enumerate(lines, 1) if word in line)
        assert document.line_of(document.text.index(word)) == expected, word
    for record in notes:
        assert record.text is not None
        assert record.line is not None
        beginning = record.text.split("\n")[0].split(": ")[-1]
        first = re.findall(r"\w+|\W+", beginning)[0]
        assert first in html.unescape(lines[record.line - 1])


def test_sources_are_paths_as_the_user_gave_them(
    docs: Path, notes: rac.Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(docs.parent)
    examples: list[tuple[str | Path, str]] = [
        ("docs", "docs/bread.md"), ("docs/", "docs/bread.md"), ("./docs", "docs/bread.md"),
        (Path("docs"), "docs/bread.md"), ("docs/bread.md", "docs/bread.md"),
        (docs, f"{docs}/bread.md"), ("../" + docs.parent.name + "/docs",
                                     f"../{docs.parent.name}/docs/bread.md"),
    ]  # fmt: skip
    for given_path, expected in examples:
        notes.ingest(given_path)
        assert expected in notes.sources()
    prefixes = {source.removesuffix("bread.md") for source in notes.sources() if "bread" in source}
    assert prefixes == {"docs/", f"{docs}/", f"../{docs.parent.name}/docs/"}
    check_places(notes)


def test_sources_in_the_current_folder_are_bare_names(
    docs: Path, notes: rac.Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(docs)
    for given_path in (".", "./", "bread.md", "./bread.md"):
        notes.ingest(given_path)
        assert notes.sources() == sorted(FILES)
    check_places(notes)


def test_folders_with_files_of_one_name_do_not_collide(
    tmp_path: Path, notes: rac.Collection
) -> None:
    a = write(tmp_path / "a", {"readme.md": "The first readme."})
    b = write(tmp_path / "b", {"readme.md": "The second readme."})
    for folder in (a, b, a, b):
        notes.ingest(folder)
    assert sorted(r.text or "" for r in notes) == ["The first readme.", "The second readme."]
    assert notes.ingest(a, prune=True).removed == 0
    assert len(notes) == 2


# -- metadata --------------------------------------------------------------------------------------


def test_metadata_tells_what_is_known(docs: Path, notes: rac.Collection) -> None:
    notes.ingest(docs, metadata={"lang": "en", "nested": {"n": 1}})
    for record in notes:
        assert record.metadata is not None
        assert record.metadata["lang"] == "en"
        assert record.metadata["nested"] == {"n": 1}
    by_name = {Path(r.source or "").name: r.metadata or {} for r in notes}
    formats = {name: metadata["format"] for name, metadata in by_name.items()}
    assert formats["bread.md"] == "markdown"
    assert formats["soup.html"] == "html"
    assert len(set(formats.values())) == 7
    assert by_name["soup.html"]["title"] == "Soup"
    sections = {(r.metadata or {}).get("section") for r in notes if "bread" in (r.source or "")}
    assert any("Crust" in (section or "") for section in sections)
    assert notes.count({"section": {"$contains": "Crust"}}) > 0


def test_the_callers_metadata_wins(notes: rac.Collection) -> None:
    notes.ingest({"a.md": "# Title\n\nText."}, metadata={"title": "mine", "format": None})
    (record,) = notes
    assert record.metadata is not None
    assert (record.metadata["title"], record.metadata["format"]) == ("mine", None)


def test_metadata_that_is_not_json_is_refused(notes: rac.Collection) -> None:
    with pytest.raises(TypeError, match=r'metadata\["s"\] is a set'):
        notes.ingest({"a": "text"}, metadata={"s": {1}})
    with pytest.raises(TypeError, match="metadata must be a dict"):
        notes.ingest({"a": "text"}, metadata=[1])  # type: ignore[arg-type]
    assert len(notes) == 0


# -- again -----------------------------------------------------------------------------------------


def test_ingesting_again_adds_and_embeds_nothing(docs: Path, notes: rac.Collection) -> None:
    notes.ingest(docs)
    before, size = everything(notes), notes.stats()["file_bytes"]
    report = notes.ingest(docs)
    assert (report.files, report.unchanged, report.ingested) == (len(FILES), len(FILES), 0)
    assert (report.chunks, report.tokens, report.seconds["embed"]) == (0, 0, 0)
    assert everything(notes) == before
    assert notes.stats()["file_bytes"] == size


def test_what_changed_is_replaced_as_a_whole(
    docs: Path, notes: rac.Collection, tiny_encoder: rac.Encoder, tmp_path: Path
) -> None:
    notes.ingest(docs)
    (docs / "plain.txt").write_text("Now it is short.", encoding="utf-8")
    (docs / "bread.md").write_text(MARKDOWN + "\nMore of it. " * 30, encoding="utf-8")
    report = notes.ingest(docs)
    assert (report.ingested, report.unchanged) == (2, len(FILES) - 2)
    plain = [r.text for r in notes if (r.source or "").endswith("plain.txt")]
    assert plain == ["Now it is short."]
    check_places(notes)
    with rac.open(tmp_path / "fresh.rac") as db:
        fresh = db.collection("notes", model=tiny_encoder)
        fresh.ingest(docs)
        assert everything(fresh) == everything(notes)


def test_other_settings_make_other_records(docs: Path, notes: rac.Collection) -> None:
    notes.ingest(docs)
    assert notes.ingest(docs, max_tokens=20).ingested == len(FILES)
    assert notes.ingest(docs, max_tokens=20).ingested == 0
    assert notes.ingest(docs, max_tokens=20, overlap_tokens=0).ingested == len(FILES)
    assert notes.ingest(docs, max_tokens=20, overlap_tokens=0, metadata={"v": 2}).ingested == len(
        FILES
    )
    assert notes.count({"v": 2}) == len(notes)
    check_places(notes)


def test_prune_deletes_what_is_gone(docs: Path, notes: rac.Collection) -> None:
    notes.ingest(docs)
    notes.ingest({"a text": "which is in no folder"})
    (docs / "bread.md").unlink()
    (docs / "deep" / "er" / "notes.md").unlink()
    assert notes.ingest(docs).removed == 0
    assert len(notes.sources()) == len(FILES) + 1
    report = notes.ingest(docs, prune=True)
    assert report.removed == 2
    kept = {str(docs / name) for name in FILES} - {
        str(docs / "bread.md"),
        str(docs / "deep" / "er" / "notes.md"),
    }
    assert set(notes.sources()) == kept | {"a text"}
    assert {r.source for r in notes} == kept | {"a text"}
    with pytest.raises(ArgumentError, match="prune needs a folder"):
        notes.ingest({"a": "b"}, prune=True)


def test_a_rerun_brings_back_what_was_deleted_by_hand(docs: Path, notes: rac.Collection) -> None:
    notes.ingest(docs)
    before = everything(notes)
    source = str(docs / "bread.md")
    assert notes.delete(where={"$source": source}) > 0
    notes.ingest(docs)
    assert everything(notes) == before


# -- which files -----------------------------------------------------------------------------------


def names(collection: rac.Collection, folder: Path) -> set[str]:
    return {str(Path(source).relative_to(folder)) for source in collection.sources()}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"a.md", "b.txt", "sub/c.md", "sub/d.py", "ignored/e.md", "ignored.log"}),
        ({"include": ["*.md"]}, {"a.md", "sub/c.md", "ignored/e.md"}),
        ({"include": ["*.md", "*.py"], "exclude": ["ignored/"]}, {"a.md", "sub/c.md", "sub/d.py"}),
        ({"include": ["sub/"]}, {"sub/c.md", "sub/d.py"}),
        ({"include": ["*.unknown"]}, {"f.unknown"}),
        ({"exclude": ["*.md", "*.log"]}, {"b.txt", "sub/d.py"}),
        ({"gitignore": True}, {"a.md", "b.txt", "sub/c.md", "sub/d.py"}),
        ({"hidden": True, "include": ["*.md"]},
         {"a.md", "sub/c.md", "ignored/e.md", ".hidden/g.md", ".h.md"}),
    ],
)  # fmt: skip
def test_files_are_chosen(
    options: dict[str, Any], expected: set[str], tmp_path: Path, notes: rac.Collection
) -> None:
    folder = write(tmp_path / "tree", {
        "a.md": "a", "b.txt": "b", "sub/c.md": "c", "sub/d.py": "d = 1", "ignored/e.md": "e",
        "ignored.log": "log", "f.unknown": "f", ".hidden/g.md": "g", ".h.md": "h",
        ".gitignore": "ignored/\n*.log\n",
    })  # fmt: skip
    report = notes.ingest(folder, **options)
    assert names(notes, folder) == expected
    assert report.ingested == len(expected)
    assert report.unknown == (0 if "include" in options else 1)


def test_a_pattern_that_is_none_is_refused(docs: Path, notes: rac.Collection) -> None:
    for option in ("include", "exclude"):
        with pytest.raises(ArgumentError, match="bad pattern"):
            notes.ingest(docs, **{option: ["[z-a]"]})  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            notes.ingest(docs, **{option: "*.md"})  # type: ignore[arg-type]


def test_a_database_in_the_folder_is_not_ingested(
    tmp_path: Path, tiny_encoder: rac.Encoder
) -> None:
    write(tmp_path, {"a.md": "text"})
    with rac.open(tmp_path / "in.rac") as db:
        notes = db.collection("notes", model=tiny_encoder)
        assert notes.ingest(tmp_path, hidden=True, include=["*"]).files == 1


def test_what_cannot_be_read_is_skipped_with_a_reason(
    tmp_path: Path, notes: rac.Collection
) -> None:
    folder = write(tmp_path / "mixed", {"good.md": "A good text.", "large.txt": "x" * 5000})
    (folder / "binary.txt").write_bytes(b"text\0\x01\x02" * 10)
    (folder / "latin.txt").write_bytes("Überall".encode("latin-1"))
    (folder / "empty.txt").write_bytes(b"")
    (folder / "blank.md").write_bytes(b" \n\n ")
    (folder / "bad.jsonl").write_bytes(b"no json\n")
    (folder / "link.md").symlink_to(folder / "good.md")
    report = notes.ingest(folder, max_file_bytes=4000)
    reasons = {Path(source).name: reason for source, reason in report.skipped}
    assert set(reasons) == {
        "binary.txt", "latin.txt", "large.txt", "empty.txt", "blank.md", "bad.jsonl", "link.md"
    }  # fmt: skip
    assert all(source.startswith(str(folder)) for source, _ in report.skipped)
    for name, reason in {
        "binary.txt": "binary|NUL|zero", "latin.txt": "UTF-8", "large.txt": "5000 bytes.*4000",
        "empty.txt": "no text", "blank.md": "no text", "bad.jsonl": "line 1", "link.md": "symbolic",
    }.items():  # fmt: skip
        assert re.search(reason, reasons[name]), (name, reasons[name])
    assert notes.sources() == [str(folder / "good.md")]
    assert notes.ingest(folder, encoding="latin1").ingested >= 1
    assert any(record.text == "Überall" for record in notes)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_skipped(tmp_path: Path, notes: rac.Collection) -> None:
    folder = write(tmp_path / "locked", {"good.md": "A good text.", "secret.md": "A secret."})
    (folder / "secret.md").chmod(0)
    report = notes.ingest(folder)
    assert [Path(source).name for source, _ in report.skipped] == ["secret.md"]
    assert report.ingested == 1


def test_a_source_that_became_bad_is_kept(docs: Path, notes: rac.Collection) -> None:
    notes.ingest(docs)
    before = everything(notes)
    (docs / "plain.txt").write_bytes(b"\xfd\xfe\xff")
    report = notes.ingest(docs)
    assert [Path(source).name for source, _ in report.skipped] == ["plain.txt"]
    assert "kept" in report.skipped[0][1]
    assert everything(notes) == before


# -- texts -----------------------------------------------------------------------------------------


def test_named_texts(notes: rac.Collection) -> None:
    texts = {"a.md": "# Title\n\nSome *text* — é.", "page.html": "<title>T</title><p>One<p>Two",
             "plain": "No extension."}  # fmt: skip
    report = notes.ingest(texts)
    assert (report.files, report.ingested) == (3, 3)
    assert notes.sources() == sorted(texts)
    formats = {"a.md": "markdown", "page.html": "html", "plain": "text"}
    for record in notes:
        source = record.source or ""
        document = rac.parse_text(texts[source], format=formats[source])
        assert document.text[record.start : record.end] == record.text
        assert (record.metadata or {})["format"] == formats[source]
    assert notes.ingest(texts).ingested == 0
    assert notes.ingest({**texts, "plain": "Changed."}).ingested == 1


def test_texts_without_names_are_named_by_content(notes: rac.Collection) -> None:
    texts = [f"Text number {n}." for n in range(20)]
    assert notes.ingest(iter(texts)).ingested == 20
    assert sorted(record.text or "" for record in notes) == sorted(texts)
    assert notes.ingest([*texts[::-1], "One more."]).ingested == 1
    assert len(notes) == 21


def test_the_same_text_twice_is_one(notes: rac.Collection) -> None:
    assert notes.ingest(["Same.", "Other.", "Same."]).ingested == 2
    assert sorted(record.text or "" for record in notes) == ["Other.", "Same."]


@pytest.mark.parametrize(
    ("source", "message"),
    [(["fine", 5], "text 1 is a int"), ({"a": 5}, "names and texts"), ({5: "a"}, "names and texts"),
     (5, "texts are str"), (None, "texts are str"), ([b"bytes"], "text 0 is a bytes")],
)  # fmt: skip
def test_what_is_no_text_is_a_type_error(source: Any, message: str, notes: rac.Collection) -> None:
    with pytest.raises(TypeError, match=message):
        notes.ingest(source)
    assert len(notes) == 0


def test_nothing_to_ingest(notes: rac.Collection, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    nothings: list[Any] = [[], {}, tmp_path / "empty"]
    for nothing in nothings:
        report = notes.ingest(nothing)
        assert (report.files, report.chunks) == (0, 0)


# -- refusals --------------------------------------------------------------------------------------


def test_a_path_that_is_not_there_is_refused(notes: rac.Collection, tmp_path: Path) -> None:
    for missing in (tmp_path / "nowhere", str(tmp_path / "nowhere")):
        with pytest.raises(StorageError, match="nowhere"):
            notes.ingest(missing)


def test_sizes_are_checked(notes: rac.Collection) -> None:
    with pytest.raises(ArgumentError, match="max_tokens=47.*46"):
        notes.ingest({"a": "b"}, max_tokens=47)
    for options in (
        {"max_tokens": 0},
        {"max_tokens": -1},
        {"max_tokens": 10, "overlap_tokens": 10},
    ):
        with pytest.raises(ArgumentError):
            notes.ingest({"a": "b"}, **options)  # type: ignore[arg-type]
    assert len(notes) == 0


def test_a_collection_needs_its_own_model(tmp_path: Path, tiny_model: Path) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "model")
    with rac.open(tmp_path / "db.rac") as db:
        with pytest.raises(ModelError, match="no model"):
            db.collection("bare", dimension=32).ingest({"a": "b"})
        db.collection("notes", model=copy).ingest({"a": "b"})
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 0x40
    (copy / "model.safetensors").write_bytes(weights)
    with rac.open(tmp_path / "db.rac") as db:
        notes = db.collection("notes")
        for call in (lambda: notes.ingest({"c": "d"}), lambda: notes.search("b")):
            with pytest.raises(ModelError, match="fingerprint"):
                call()
        assert len(notes) == 1


# -- progress --------------------------------------------------------------------------------------


def test_progress_is_told(docs: Path, notes: rac.Collection) -> None:
    seen: list[rac.IngestProgress] = []
    report = notes.ingest(docs, progress=seen.append)
    assert seen[0].stage == "walk"
    assert {now.stage for now in seen} == {"walk", "read", "embed", "write"}
    done = [now.files_done for now in seen]
    assert done == sorted(done)
    last = seen[-1]
    assert (last.files_done, last.files_total, last.chunks) == (
        len(FILES),
        len(FILES),
        report.chunks,
    )
    assert last.bytes == report.bytes


def test_an_exception_from_progress_stops_and_keeps_what_is_written(
    tmp_path: Path, notes: rac.Collection
) -> None:
    folder = write(tmp_path / "many", {f"{n:04}.txt": f"Text number {n}." for n in range(900)})

    def stop(now: rac.IngestProgress) -> None:
        if now.files_done > 0:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        notes.ingest(folder, progress=stop)
    sources = notes.sources()
    assert 0 < len(sources) < 900
    assert {record.source for record in notes} == set(sources)
    report = notes.ingest(folder)
    assert (report.unchanged, report.ingested) == (len(sources), 900 - len(sources))
    assert len(notes) == 900


def test_a_report_is_plain_values(docs: Path, notes: rac.Collection) -> None:
    report = notes.ingest(docs)
    plain = json.loads(json.dumps(report.to_dict()))
    assert plain["ingested"] == report.ingested == len(FILES)
    assert set(report.seconds) == {"walk", "read", "parse", "chunk", "embed", "write", "total"}
    assert all(seconds >= 0 for seconds in report.seconds.values())
    assert sum(report.seconds.values()) <= 2.05 * report.seconds["total"]
