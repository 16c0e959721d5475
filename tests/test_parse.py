"""Parsing and chunking alone: what a reader sees, and every chunk in its place."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rust_ai_core as rac
from documents import FILES
from rust_ai_core.errors import ArgumentError, ParseError


@pytest.mark.parametrize(
    ("name", "kind", "title"),
    [("bread.md", "markdown", "Front matter"), ("plain.txt", "text", None),
     ("count.py", "code", None),
     ("soup.html", "html", "Soup"), ("fruit.csv", "csv", None), ("data.json", "json", None)],
)  # fmt: skip
def test_a_file_is_parsed(name: str, kind: str, title: str | None, docs: Path) -> None:
    document = rac.parse(docs / name)
    assert (document.format, document.title, document.warnings) == (kind, title, [])
    assert rac.parse(str(docs / name)).text == document.text
    assert rac.parse_text(FILES[name], format=kind).text == document.text
    if kind in ("markdown", "text", "code"):
        assert document.text == FILES[name]


def test_parsed_texts_are_what_a_reader_sees(docs: Path) -> None:
    soup = rac.parse(docs / "soup.html").text
    assert "Simmer & stir the lentils." in soup
    assert "éclair" in soup
    assert "ignored" not in soup
    assert "p {}" not in soup
    fruit = rac.parse(docs / "fruit.csv").text
    assert "name: banana, ripe\ncolour: yellow" in fruit


def test_encodings(tmp_path: Path) -> None:
    for encoding, label in [("latin-1", "latin1"), ("utf-16", None), ("utf-8-sig", None),
                            ("shift_jis", "shift_jis")]:  # fmt: skip
        text = "日本語" if encoding == "shift_jis" else "Grüße\nan alle"
        (tmp_path / "a.txt").write_bytes(text.encode(encoding))
        assert rac.parse(tmp_path / "a.txt", encoding=label).text == text


def test_what_cannot_be_parsed_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"abc\xff")
    with pytest.raises(ParseError, match=r"latin\.txt.*(byte|offset) 3"):
        rac.parse(tmp_path / "latin.txt")
    with pytest.raises(OSError, match="missing.md"):
        rac.parse(tmp_path / "missing.md")
    (tmp_path / "a.xyz").write_text("text", encoding="utf-8")
    with pytest.raises(ParseError, match=r"a\.xyz.*format="):
        rac.parse(tmp_path / "a.xyz")
    assert rac.parse(tmp_path / "a.xyz", format="text").text == "text"
    with pytest.raises(ArgumentError, match="format named 'nope'|format named \"nope\""):
        rac.parse_text("text", format="nope")
    with pytest.raises(ValueError, match="encoding"):
        rac.parse(tmp_path / "a.xyz", format="text", encoding="nope")


def test_sizes_of_chunks_are_checked(tiny_encoder: rac.Encoder) -> None:
    document = rac.parse_text("Some text.")
    with pytest.raises(ArgumentError, match="max_tokens=47"):
        document.chunks(tiny_encoder, max_tokens=47)
    for options in ({"max_tokens": 0}, {"max_tokens": -1}, {"max_tokens": 5, "overlap_tokens": 5}):
        with pytest.raises(ArgumentError):
            document.chunks(tiny_encoder, **options)
    assert rac.parse_text("").chunks(tiny_encoder) == []


def test_a_line_of_an_offset_beyond_the_text_is_its_last() -> None:
    document = rac.parse_text("one\ntwo\nthree")
    lines = [document.line_of(offset) for offset in (0, 3, 4, 8, 12, 13, 99)]
    assert lines == [1, 1, 2, 3, 3, 3, 3]


UNICODE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
PIECES = st.sampled_from([
    "\n", "\r\n", "\n\n", "# Heading\n", "```\n", "- item\n", "| a | b |\n|---|---|\n", "<p>",
    "</p>", "<b", "&amp;", "&#x1F600;", "<!--", "-->", "<pre>\n", "def f():\n    pass\n",
    "a,b\n", '"', ";", '{"a": 1}\n', "A sentence. ", "e\u0301", "👩‍🔬", "漢字",
    "\u2028", "\u00a0", "\ufeff", "word " * 30, "x" * 200,
])  # fmt: skip
SOURCES = st.lists(UNICODE | PIECES, max_size=12).map("".join)


@pytest.mark.parametrize("kind", ["markdown", "text", "html", "code", "csv"])
@settings(max_examples=80, deadline=None)
@given(source=SOURCES, max_tokens=st.integers(4, 46), data=st.data())
def test_chunks_of_any_text_keep_their_place(
    kind: str, source: str, max_tokens: int, data: st.DataObject, tiny_encoder: rac.Encoder
) -> None:
    overlap = data.draw(st.integers(0, max_tokens // 2))
    try:
        document = rac.parse_text(source, format=kind)
    except ParseError:
        return
    if kind in ("markdown", "text", "code"):
        assert document.text == source.removeprefix("\ufeff") or document.text == source
    chunks = document.chunks(tiny_encoder, max_tokens=max_tokens, overlap_tokens=overlap)
    lines = source.count("\n") + source.count("\r") + 1
    for chunk in chunks:
        assert document.text[chunk.start : chunk.end] == chunk.text
        assert chunk.text
        assert 1 <= chunk.line <= lines
        assert chunk.line == document.line_of(chunk.start)
    counted = [len(ids) - 2 for ids in tiny_encoder.tokenize([chunk.text for chunk in chunks])]
    assert [chunk.tokens for chunk in chunks] == counted
    assert all(count <= max_tokens for count in counted)
    starts = [chunk.start for chunk in chunks]
    assert starts == sorted(set(starts))
    if document.text.split():
        assert chunks
