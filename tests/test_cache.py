"""The embedding cache: what it spares, what it never confuses, what it takes."""

import asyncio
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import rust_ai_core as rac
from rust_ai_core.errors import ArgumentError, ModelError


def counts(encoder: rac.Encoder) -> tuple[int, int]:
    stats = encoder.stats()
    return stats["cache_hits"], stats["cache_misses"]


def test_a_text_is_computed_once(tiny_model: Path, tiny_encoder: rac.Encoder) -> None:
    encoder = rac.Encoder(tiny_model, cache_bytes=1_000_000)
    texts = [f"text {n}" for n in range(10)]
    computed = tiny_encoder.encode(texts)
    np.testing.assert_array_equal(encoder.encode(texts), computed)
    assert counts(encoder) == (0, 10)
    before = encoder.stats()["texts"]
    np.testing.assert_array_equal(encoder.encode(texts[::-1]), computed[::-1])
    np.testing.assert_array_equal(asyncio.run(encoder.aencode(texts)), computed)
    assert counts(encoder) == (20, 10)
    assert encoder.stats()["texts"] == before
    mixed = [texts[3], "a new one", texts[7], "another", texts[3]]
    np.testing.assert_array_equal(encoder.encode(mixed), tiny_encoder.encode(mixed))
    assert counts(encoder) == (23, 12)


def test_a_result_is_the_callers_own(tiny_model: Path) -> None:
    encoder = rac.Encoder(tiny_model, cache_bytes=1_000_000)
    first = encoder.encode("a text")
    expected = first.copy()
    first[:] = 0
    second = encoder.encode("a text")
    np.testing.assert_array_equal(second, expected)
    second[:] = 0
    np.testing.assert_array_equal(encoder.encode("a text"), expected)


def test_it_is_bounded(tiny_model: Path) -> None:
    encoder = rac.Encoder(tiny_model, cache_bytes=10_000)
    for n in range(200):
        encoder.encode(f"text {n}")
    stats = encoder.stats()
    assert 0 < stats["cache_bytes"] <= 10_000
    assert 10 < stats["cache_entries"] < 100
    encoder.encode("text 199")
    assert encoder.stats()["cache_hits"] == 1
    encoder.encode("text 0")
    assert encoder.stats()["cache_hits"] == 1


def test_a_bulk_call_pushes_nothing_out(tiny_model: Path) -> None:
    encoder = rac.Encoder(tiny_model, cache_bytes=100_000)
    encoder.encode("a question")
    encoder.encode([f"text {n}" for n in range(5000)])
    encoder.encode("a question")
    assert encoder.stats()["cache_hits"] == 1
    assert encoder.stats()["cache_entries"] == 1


def test_prompts_are_told_apart(prompted_model: Path) -> None:
    encoder = rac.Encoder(prompted_model, cache_bytes=1_000_000)
    plain, query = encoder.encode("text"), encoder.encode("text", prompt_name="query")
    assert not np.array_equal(plain, query)
    assert counts(encoder) == (0, 2)


def test_models_are_told_apart(tiny_model: Path, tmp_path: Path) -> None:
    """Both use the common cache; only the pooling differs."""
    copy = shutil.copytree(tiny_model, tmp_path / "copy")
    pooling = copy / "1_Pooling" / "config.json"
    settings = json.loads(pooling.read_text(encoding="utf-8"))
    settings["pooling_mode_mean_tokens"] = False
    settings["pooling_mode_cls_token"] = True
    pooling.write_text(json.dumps(settings), encoding="utf-8")
    mean, cls = (rac.Encoder(folder).encode("a text of its own") for folder in (tiny_model, copy))
    assert not np.array_equal(mean, cls)


def test_collections_share_it(tiny_model: Path, database: rac.Database) -> None:
    encoder = rac.Encoder(tiny_model, cache_bytes=1_000_000)
    texts = [f"a line of notes, number {n}" for n in range(20)]
    for name in ("first", "second"):
        collection = database.collection(name, model=encoder)
        collection.upsert(range(20), texts=texts)
    assert counts(encoder) == (20, 20)
    database.collection("third", model=encoder).ingest(texts)
    assert counts(encoder) == (40, 20)


def test_it_can_be_left_out(tiny_model: Path) -> None:
    encoder = rac.Encoder(tiny_model, cache=False)
    before = encoder.stats()["texts"]
    for _ in range(3):
        encoder.encode("the same")
    stats = encoder.stats()
    assert stats["texts"] - before == 3
    assert (stats["cache_hits"], stats["cache_misses"], stats["cache_bytes"]) == (0, 0, 0)
    with pytest.raises(ArgumentError, match="cache_bytes"):
        rac.Encoder(tiny_model, cache=False, cache_bytes=5)


def test_a_failure_names_the_callers_text(tiny_model: Path) -> None:
    encoder = rac.Encoder(tiny_model, cache_bytes=1_000_000)
    encoder.encode(["known", "known too"])
    with pytest.raises(TypeError, match="text 2"):
        encoder.encode(["known", "known too", 5])  # type: ignore[list-item]


def test_a_collection_refuses_the_vectors_of_another_model(
    tiny_model: Path, prompted_model: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    with rac.open(tmp_path / "db.rac") as db:
        db.collection("notes", model=str(model)).upsert([1], texts=["a note"])
    # Another model under the same path, of the same dimension.
    shutil.rmtree(model)
    shutil.copytree(prompted_model, model)
    with rac.open(tmp_path / "db.rac") as db:
        notes = db.collection("notes")
        for use in (
            lambda: notes.search("a query"),
            lambda: notes.upsert([2], texts=["another"]),
            lambda: notes.ingest(["a text"]),
        ):
            with pytest.raises(ModelError, match="fingerprint"):
                use()
        with pytest.raises(rac.RacError):
            db.collection("notes", model=str(model))
