"""The tokenizer: what the `tokenizers` package gives, for any text and tokenizer; and chunks."""

import json
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

import rust_ai_core as rac
from conftest import REPOSITORY
from rust_ai_core.errors import ArgumentError, ModelError

TINY = REPOSITORY / "tests" / "fixtures" / "tiny-bert"

TEXTS = [
    "", " ", "a", "The cat, the dog.", "naïve Café", "e\u0301e\u0301", "漢字かな", "가각",
    "[SEP] a [MASK]b", "x" * 500, "null\0end\x01", "🦀🐍 👩\u200d🔬", "a\u00adb\u200bc",
    "İstanbul \u017ftraße", "\U0001d165\u0301 x", "word " * 300,
]  # fmt: skip


class Oracle:
    """The `tokenizers` package on the same file, without its padding and truncation."""

    def __init__(self, path: Path) -> None:
        self.tokenizer = tokenizers.Tokenizer.from_file(str(path))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    def check(self, ours: rac.Tokenizer, texts: list[str], *, special_tokens: bool = True) -> None:
        batch = ours.encode(texts, special_tokens=special_tokens, offsets=True)
        assert len(batch) == len(texts)
        assert batch.texts.tolist() == list(range(len(texts)))
        expected = self.tokenizer.encode_batch(texts, add_special_tokens=special_tokens)
        assert batch.to_lists() == [encoding.ids for encoding in expected]
        offsets = [list(place) for encoding in expected for place in encoding.offsets]
        assert batch.offsets is not None
        assert batch.offsets.tolist() == offsets


@pytest.fixture(scope="module")
def tiny() -> rac.Tokenizer:
    return rac.Tokenizer(TINY)


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle(TINY / "tokenizer.json")


# -- the same as the reference ---------------------------------------------------------------------


@pytest.mark.parametrize("special_tokens", [True, False])
def test_ids_and_offsets(tiny: rac.Tokenizer, oracle: Oracle, special_tokens: bool) -> None:
    oracle.check(tiny, TEXTS, special_tokens=special_tokens)


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(st.text(max_size=60), max_size=8))
def test_any_unicode(texts: list[str]) -> None:
    Oracle(TINY / "tokenizer.json").check(rac.Tokenizer(TINY), texts)


def test_minilm_on_texts_of_people(shared: Path) -> None:
    tokenizer = rac.Tokenizer("minilm")
    assert tokenizer.fallback_reason is None
    with (shared / "data" / "cranfield" / "corpus.jsonl").open(encoding="utf-8") as lines:
        texts = [" ".join(map(str, json.loads(line).values())) for line in lines]
    sources = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "python").rglob("*.py")]
    assert len(texts) > 900
    assert sources
    Oracle(Path(tokenizer.path)).check(tokenizer, texts + sources)


def test_tokenizers_of_all_families(shared: Path) -> None:
    reasons = {}
    for path in sorted((shared / "models" / "tiny").glob("*/tokenizer.json")):
        tokenizer = rac.Tokenizer(path)
        Oracle(path).check(tokenizer, TEXTS)
        reasons[path.parent.name] = tokenizer.fallback_reason
    assert reasons["mpnet-mean"] is None
    assert reasons["bert-cross-encoder"] is None
    assert "WordPiece" in (reasons["roberta-mean"] or "")
    assert len(reasons) == 8


def test_offsets_slice_the_text(tiny: rac.Tokenizer) -> None:
    text = "The CÁT, dóg: thé keys"
    batch = tiny.encode(text, special_tokens=False, offsets=True)
    assert batch.offsets is not None
    words = [text[start:end] for start, end in batch.offsets]
    assert words == ["The", "CÁT", ",", "dóg", ":", "thé", "keys"]
    assert tiny.encode(text).offsets is None


# -- limits, windows, pairs ------------------------------------------------------------------------


def test_rows_are_cut_to_max_tokens(tiny: rac.Tokenizer) -> None:
    whole = tiny.encode(TEXTS).to_lists()
    cut = tiny.encode(TEXTS, max_tokens=10).to_lists()
    assert cut == [row if len(row) <= 10 else [*row[:9], row[-1]] for row in whole]


def test_windows_overlap_and_cover(tiny: rac.Tokenizer) -> None:
    text = "the cat and the dog have data in the base of this model"
    plain = tiny.encode(text, special_tokens=False).ids.tolist()
    batch = tiny.encode(["a", text], max_tokens=7, stride=2, offsets=True)
    rows = batch.to_lists()
    assert batch.texts.tolist() == [0] + [1] * (len(rows) - 1)
    content = [row[1:-1] for row in rows[1:]]
    assert all(len(row) <= 5 for row in content)
    assert content[0] + [token for row in content[1:] for token in row[2:]] == plain
    assert all(left[-2:] == right[:2] for left, right in pairwise(content))


def test_pairs(tiny: rac.Tokenizer, oracle: Oracle) -> None:
    seconds = list(reversed(TEXTS))
    batch = tiny.encode(TEXTS, pairs=seconds, offsets=True)
    expected = oracle.tokenizer.encode_batch(list(zip(TEXTS, seconds, strict=True)))
    assert batch.to_lists() == [encoding.ids for encoding in expected]
    type_ids = [kind for encoding in expected for kind in encoding.type_ids]
    assert batch.type_ids.tolist() == type_ids
    assert batch.offsets is not None
    offsets = [list(place) for encoding in expected for place in encoding.offsets]
    assert batch.offsets.tolist() == offsets
    short = tiny.encode("the cat " * 50, pairs="a dog", max_tokens=20)
    assert short.ids.size == 20
    assert short.type_ids.tolist() == [0] * 17 + [1] * 3


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.encode("a", max_tokens=2),
        lambda t: t.encode("a", max_tokens=8, stride=6),
        lambda t: t.encode(["a", "b"], pairs=["c"]),
        lambda t: t.encode("a", pairs="b", max_tokens=9, stride=1),
    ],
)
def test_limits_that_make_no_sense(
    tiny: rac.Tokenizer, call: Callable[[rac.Tokenizer], Any]
) -> None:
    with pytest.raises(ArgumentError):
        call(tiny)


@pytest.mark.parametrize("texts", [3, ["a", None], [b"a"], ["\ud800"]])
def test_what_is_no_text(tiny: rac.Tokenizer, texts: Any) -> None:
    with pytest.raises((TypeError, UnicodeEncodeError)):
        tiny.encode(texts)
    with pytest.raises((TypeError, UnicodeEncodeError)):
        tiny.count(texts)


# -- what batches give -----------------------------------------------------------------------------


def test_a_batch_is_ragged_arrays(tiny: rac.Tokenizer) -> None:
    batch = tiny.encode(["the cat", "", "dog"])
    assert (batch.ids.dtype, batch.splits.dtype) == (np.dtype("uint32"), np.dtype("int64"))
    assert batch.splits.tolist() == [0, 4, 6, 9]
    assert [row.tolist() for row in (batch[0], batch[-1])] == batch.to_lists()[::2]
    assert np.shares_memory(batch[0], batch.ids)
    assert batch.type_ids.tolist() == [0] * 9
    assert repr(batch) == "TokenBatch(3 rows, 9 tokens)"
    for row in (3, -4):
        with pytest.raises(IndexError):
            batch[row]
    assert len(tiny.encode([])) == 0
    assert tiny.encode([]).splits.tolist() == [0]


def test_many_texts_keep_their_order(tiny: rac.Tokenizer) -> None:
    texts = [f"text {n} of the cat" for n in range(20_000)]
    batch = tiny.encode(texts)
    assert batch[12_345].tolist() == tiny.encode(texts[12_345]).ids.tolist()
    counts = tiny.count(texts)
    assert counts.tolist() == (np.diff(batch.splits) - 2).tolist()


def test_one_tokenizer_in_many_threads(tiny: rac.Tokenizer) -> None:
    expected = tiny.encode(TEXTS).to_lists()
    results: list[list[list[int]]] = []

    def encode() -> None:
        for _ in range(20):
            results.append(tiny.encode(TEXTS).to_lists())

    threads = [threading.Thread(target=encode) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 80
    assert all(result == expected for result in results)


# -- single texts ----------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=80), max_tokens=st.integers(0, 12))
def test_truncate(text: str, max_tokens: int) -> None:
    tokenizer = rac.Tokenizer(TINY)
    short = tokenizer.truncate(text, max_tokens)
    assert text.startswith(short)
    count = tokenizer.count(text)[0]
    if count <= max_tokens:
        assert short == text
    else:
        assert tokenizer.count(short)[0] == max_tokens


def test_ids_and_tokens(tiny: rac.Tokenizer, oracle: Oracle) -> None:
    ids = tiny.encode("The cats, searching").ids
    for skip in (True, False):
        expected = oracle.tokenizer.decode(ids.tolist(), skip_special_tokens=skip)
        assert tiny.decode(ids, skip_special_tokens=skip) == expected
    assert tiny.vocabulary_size == oracle.tokenizer.get_vocab_size()
    assert (tiny.token_to_id("[SEP]"), tiny.id_to_token(3)) == (3, "[SEP]")
    assert (tiny.token_to_id("no such"), tiny.id_to_token(10**6)) == (None, None)


# -- where tokenizers come from --------------------------------------------------------------------


def test_files_and_folders(tmp_path: Path, tiny: rac.Tokenizer) -> None:
    content = json.loads((TINY / "tokenizer.json").read_text(encoding="utf-8"))
    content["normalizer"]["type"] = "NFC"
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    for source in (tmp_path, path, str(path)):
        other = rac.Tokenizer(source)
        assert other.path == str(path)
        assert repr(other).endswith("by the tokenizers crate: its normaliser is not BERT's)")
    assert repr(tiny).endswith("179 tokens, WordPiece in one pass)")
    assert rac.Tokenizer(tiny).encode("the cat").to_lists() == tiny.encode("the cat").to_lists()


def test_what_is_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no tokenizer at"):
        rac.Tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="damaged"):
        rac.Tokenizer(tmp_path)
    with pytest.raises(ModelError, match="there is no model"):
        rac.Tokenizer("nothing-of-that-name")
    with pytest.raises(TypeError):
        rac.Tokenizer(3)  # type: ignore[arg-type]


# -- chunks ----------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(max_size=300) | st.text("ab. \n#`", max_size=300),
    kind=st.sampled_from(["text", "markdown", "code"]),
    max_tokens=st.integers(3, 30),
    overlap=st.integers(0, 29),
)
def test_chunks_are_slices_within_the_limit(
    text: str, kind: str, max_tokens: int, overlap: int
) -> None:
    tokenizer = rac.Tokenizer(TINY)
    overlap %= max_tokens
    chunks = rac.chunk(
        text, max_tokens=max_tokens, overlap=overlap, tokenizer=tokenizer, format=kind
    )
    covered = 0
    for chunk in chunks:
        assert text[chunk.start : chunk.end] == chunk.text
        assert tokenizer.count(chunk.text)[0] == chunk.tokens <= max_tokens
        assert not text[covered : chunk.start].strip()
        covered = chunk.end
    assert not text[covered:].strip()


def test_chunk_refuses_what_makes_no_sense(tiny: rac.Tokenizer) -> None:
    for max_tokens, overlap in ((0, 0), (4, 4)):
        with pytest.raises(ArgumentError):
            rac.chunk("a", tokenizer=tiny, max_tokens=max_tokens, overlap=overlap)
    for kind in ("html", "csv", "nothing"):
        with pytest.raises(ArgumentError, match=kind):
            rac.chunk("a", max_tokens=4, tokenizer=tiny, format=kind)
