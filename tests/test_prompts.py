"""Prompts: what a model wants to read before a text, in a call and in a collection."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import rust_ai_core as rac
from rust_ai_core.errors import ArgumentError


@pytest.fixture
def encoder(prompted_model: Path) -> rac.Encoder:
    return rac.Encoder(prompted_model, cache=False)


def test_they_are_those_of_the_folder(encoder: rac.Encoder, tiny_encoder: rac.Encoder) -> None:
    assert encoder.prompts == {"query": "the query: ", "passage": "the text: "}
    assert encoder.default_prompt_name is None
    assert (tiny_encoder.prompts, tiny_encoder.default_prompt_name) == ({}, None)


def test_a_prompt_is_read_before_the_text(encoder: rac.Encoder) -> None:
    plain = encoder.encode(["the query: red fox", "red fox", "my own: red fox"])
    np.testing.assert_array_equal(encoder.encode("red fox", prompt_name="query")[0], plain[0])
    np.testing.assert_array_equal(encoder.encode("red fox")[0], plain[1])
    np.testing.assert_array_equal(encoder.encode("red fox", prompt="my own: ")[0], plain[2])
    assert not np.array_equal(plain[0], plain[1])


def test_the_default_one_is_used_where_none_is_given(prompted_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(prompted_model, tmp_path / "model")
    path = folder / "config_sentence_transformers.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(settings | {"default_prompt_name": "query"}), encoding="utf-8")
    encoder = rac.Encoder(folder, cache=False)
    by_default = encoder.encode("red fox")
    np.testing.assert_array_equal(by_default, encoder.encode("red fox", prompt_name="query"))
    np.testing.assert_array_equal(
        encoder.encode("red fox", prompt=""), rac.Encoder(prompted_model).encode("red fox")
    )
    # A default prompt shapes every vector.
    assert encoder.fingerprint != rac.Encoder(prompted_model).fingerprint


def test_an_unknown_one_is_refused(encoder: rac.Encoder, tiny_encoder: rac.Encoder) -> None:
    with pytest.raises(ArgumentError, match="'?\"answer\"'?.*query.*passage"):
        encoder.encode("a", prompt_name="answer")
    with pytest.raises(ArgumentError, match="no prompt named"):
        tiny_encoder.encode("a", prompt_name="query")
    with pytest.raises(ArgumentError, match="either"):
        encoder.encode("a", prompt="x", prompt_name="query")


def test_collections_tell_queries_from_documents(
    encoder: rac.Encoder, database: rac.Database
) -> None:
    notes = database.collection("notes", model=encoder)
    notes.upsert(["a"], texts=["red fox"])
    notes.ingest({"b": "blue dog"})
    stored = {record.text: record.vector for record in notes}
    for text in ("red fox", "blue dog"):
        expected = encoder.encode(text, prompt_name="passage")[0]
        np.testing.assert_allclose(stored[text], expected / np.linalg.norm(expected), atol=1e-6)
    hits = {hit.id: hit.score for hit in notes.search("red fox", limit=2)}
    query = encoder.encode("red fox", prompt_name="query")[0]
    cosine = rac.similarity.cosine(query, stored["red fox"])
    assert hits["a"] == pytest.approx(cosine, abs=1e-5)


def test_a_chunk_leaves_room_for_the_prompt(encoder: rac.Encoder, database: rac.Database) -> None:
    notes = database.collection("notes", model=encoder)
    notes.ingest({"long": "red fox " * 200})
    for record in notes:
        (ids,) = encoder.tokenize("the text: " + (record.text or "") + " the")
        assert len(ids) <= encoder.max_tokens
