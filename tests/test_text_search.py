"""Search by words and hybrid search, against plain Python over all records."""

import math
import re
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rust_ai_core as rac
from conftest import RunRac
from rust_ai_core.errors import ArgumentError, ModelError

WORDS = ["ant", "bee", "cat", "dog", "elk"]
TEXTS = st.none() | st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join)
BATCHES = st.lists(st.tuples(st.integers(0, 9), TEXTS), max_size=6)


def bm25(records: list[Any], query: str) -> dict[Any, float]:
    """The score of each record that has a word of the query."""
    texts = {r.id: Counter(r.text.split()) for r in records if r.text is not None}
    average = sum(text.total() for text in texts.values()) / max(len(texts), 1)
    scores: dict[Any, float] = {}
    for word in query.split():
        having = [name for name, text in texts.items() if text[word]]
        weight = math.log(1 + (len(texts) - len(having) + 0.5) / (len(having) + 0.5))
        for name in having:
            count, length = texts[name][word], texts[name].total()
            share = count * 2.2 / (count + 1.2 * (0.25 + 0.75 * length / average))
            scores[name] = scores.get(name, 0.0) + weight * share
    return scores


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rac.Database]:
    with rac.open(tmp_path_factory.mktemp("texts") / "db.rac", durability="batch") as db:
        yield db


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(BATCHES, st.sets(st.integers(0, 9), max_size=3), st.booleans()), max_size=4),
    st.lists(st.sampled_from([*WORDS, "fox"]), min_size=1, max_size=3).map(" ".join),
)
def test_search_by_words_is_bm25_over_what_is_there(
    scratch: rac.Database, steps: list[tuple[Any, set[int], bool]], query: str
) -> None:
    """Segments, with dead rows, and the head, searched between the steps and after them."""
    if "texts" in scratch.collections():
        scratch.drop("texts")
    collection = scratch.collection("texts", dimension=1, metric="dot")
    for batch, deleted, settle in [*steps, ([], set(), False)]:
        names = [name for name, _ in batch]
        collection.upsert(
            names,
            [[name] for name in names] or None,
            texts=[text for _, text in batch],
            metadata=[{"odd": bool(name % 2)} for name in names],
        )
        collection.delete(sorted(deleted))
        expected = bm25(list(collection), query)
        if settle:
            collection.compact()
        for where in (None, {"odd": True}):
            hits = collection.search(query, mode="text", language="none", where=where, limit=99)
            wanted = {n: s for n, s in expected.items() if where is None or int(n) % 2}
            assert {hit.id: hit.score for hit in hits} == pytest.approx(wanted, rel=1e-5)
            assert [hit.score for hit in hits] == sorted((h.score for h in hits), reverse=True)
            page = collection.search(
                query, mode="text", language="none", where=where, limit=2, offset=1
            )
            assert [hit.id for hit in page] == [hit.id for hit in hits][1:3]


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.25, 2.0), (1.0, 0.0), (0.0, 1.0)])
def test_hybrid_search_is_the_sum_of_reciprocal_ranks(
    database: rac.Database, tiny_model: Any, weights: tuple[float, float]
) -> None:
    notes = database.collection("notes", model=tiny_model)
    texts = [f"{WORDS[n % 5]} {WORDS[n % 3]} {WORDS[n % 2]}" for n in range(60)]
    notes.upsert(range(60), texts=texts, metadata=[{"n": n} for n in range(60)])
    for where in (None, {"n": {"$lt": 20}}):
        dense = notes.search("the bee", limit=100, where=where)
        words = notes.search("the bee", mode="text", limit=100, where=where)
        scores: dict[Any, float] = {}
        for ranking, weight in ((dense, weights[0]), (words, weights[1])):
            for rank, hit in enumerate(ranking, start=1):
                scores[hit.id] = scores.get(hit.id, 0.0) + weight / (60 + rank)
        expected = {name: score for name, score in scores.items() if score > 0}
        hits = notes.search("the bee", mode="hybrid", limit=100, weights=weights, where=where)
        assert {hit.id: hit.score for hit in hits} == pytest.approx(expected, rel=1e-5)
        page = notes.search(
            "the bee", mode="hybrid", limit=3, offset=2, weights=weights, where=where
        )
        assert [hit.id for hit in page] == [hit.id for hit in hits][2:5]


JUDGED = {
    "a": "Error E4017 means that the disk is full.",
    "b": "Error E4018 means that the network is unreachable.",
    "c": "Felines rest for most of the day.",
    "d": "The stock market fell sharply on Monday.",
    "e": "Error E4019 means that the licence has expired.",
    "f": "Bread is baked from flour, water and salt.",
}


def test_hybrid_finds_what_words_and_meaning_find_alone(
    database: rac.Database, minilm: rac.Encoder
) -> None:
    notes = database.collection("judged", model=minilm)
    notes.upsert(list(JUDGED), texts=list(JUDGED.values()))
    found = {
        query: notes.search(query, mode="hybrid", limit=1)[0].id
        for query in ("E4018", "how long do cats sleep", "E4019 licence", "shares lost value")
    }
    assert list(found.values()) == ["b", "c", "e", "d"]


@pytest.mark.parametrize(
    ("language", "text", "query", "places"),
    [
        (
            "en",
            "The cats were \U0001f600 running; a CAT ran.",
            "cat run",
            ["cats", "running", "CAT"],
        ),
        ("none", "The cats and the cat", "cat", ["cat"]),
        ("de", "Die alten Häuser", "Haus", ["Häuser"]),
        ("fr", "Il a continué", "continuer", ["continué"]),
        ("ru", "Красивые книги", "книга", ["книги"]),
    ],
)
def test_words_are_stemmed_and_highlighted(
    database: rac.Database, language: str, text: str, query: str, places: list[str]
) -> None:
    collection = database.collection("words", dimension=1)
    collection.upsert(1, [1], texts=text)
    (hit,) = collection.search(query, mode="text", language=language)
    assert [text[start:end] for start, end in hit.highlights] == places
    assert collection.search([1])[0].highlights == []


def test_a_snapshot_is_searched_as_it_was(database: rac.Database) -> None:
    collection = database.collection("words", dimension=1)
    collection.upsert([1, 2], [[1], [2]], texts=["an old cat", "an old dog"])
    with database.snapshot() as snapshot:
        collection.upsert(1, [1], texts="a new bird")
        collection.delete(2)
        for _ in range(2):
            assert [h.id for h in collection.search("old bird", mode="text")] == [1]
            old = snapshot.collection("words").search("old dog", mode="text")
            assert [(h.id, h.text) for h in old] == [(2, "an old dog"), (1, "an old cat")]
            collection.compact()


def test_the_index_of_words_is_counted_as_memory_and_gone_when_reopened(tmp_path: Any) -> None:
    def fill(database: rac.Database) -> tuple[int, int]:
        collection = database.collection("words", dimension=1)
        if len(collection) == 0:
            texts = [" ".join(f"w{(n * k) % 997}" for k in range(30)) for n in range(500)]
            collection.upsert(range(500), [[0]] * 500, texts=texts)
            collection.compact()
        before = collection.stats()["memory_bytes"]
        assert collection.search("w7", mode="text")
        return before, collection.stats()["memory_bytes"]

    for _ in range(2):
        with rac.open(tmp_path / "db.rac") as database:
            before, after = fill(database)
        assert after > before + 10_000
        assert rac.verify(tmp_path / "db.rac").ok


def test_writers_and_searchers_by_words_do_not_wait_for_each_other_forever(
    database: rac.Database,
) -> None:
    collection = database.collection("words", dimension=1, metric="dot")
    wrong: list[object] = []

    def search() -> None:
        for _ in range(100):
            hits = collection.search("cat", mode="text", limit=1000)
            if any("cat" not in (hit.text or "") for hit in hits):
                wrong.append(hits)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(100):
        animals = ["a cat" if (name + number) % 3 else "a dog" for name in range(20)]
        collection.upsert(range(20), [[1]] * 20, texts=animals)
        if number % 10 == 0:
            collection.compact()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert wrong == []
    assert len(collection.search("cat", mode="text", limit=99)) == len(
        re.findall("cat", " ".join(record.text or "" for record in collection))
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "sparse"}, 'mode is "dense"'),
        ({"language": "en"}, "language needs mode"),
        ({"mode": "text", "language": "xx"}, "unknown language"),
        ({"mode": "text", "weights": (1, 1)}, "weights needs mode"),
        ({"mode": "text", "group_by": "x"}, "group_by needs mode"),
        ({"mode": "hybrid", "within": 0.5}, "within needs mode"),
        ({"mode": "text", "exact": True}, "exact or effort needs mode"),
        ({"mode": "text", "limit": 0}, "limit must be at least 1"),
        ({"mode": "hybrid", "limit": 0}, "limit must be at least 1"),
        ({"mode": "hybrid", "weights": (0, 0)}, "above 0"),
        ({"mode": "hybrid", "weights": (-1, 1)}, "finite numbers from 0"),
        ({"mode": "hybrid", "weights": (math.nan, 1)}, "finite numbers from 0"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: dict[str, Any], message: str, database: rac.Database, tiny_model: Any
) -> None:
    notes = database.collection("notes", model=tiny_model)
    with pytest.raises(ArgumentError, match=message):
        notes.search("words", **arguments)


def test_words_need_a_text_and_hybrid_search_a_model(database: rac.Database) -> None:
    collection = database.collection("words", dimension=1)
    with pytest.raises(ArgumentError, match="needs a text"):
        collection.search([1], mode="text")
    with pytest.raises(ModelError, match="has no model"):
        collection.search("words", mode="hybrid")
    assert collection.search("words", mode="text") == []
    collection.upsert(1, [1], texts="...")
    assert collection.search("...", mode="text") == []


def test_the_command_line_searches_by_words(
    tmp_path: Any, tiny_model: Any, run_rac: RunRac
) -> None:
    (tmp_path / "a.md").write_text("Rotate the signing keys every ninety days.")
    (tmp_path / "b.md").write_text("Compost makes the soil hold water.")
    run_rac("ingest", "a.md", "b.md", "--into", "n.rac", "--model", tiny_model)
    found = run_rac("search", "n.rac", "rotating key", "--mode", "text")
    assert "a.md:1" in found.stdout
    assert "b.md" not in found.stdout
    both = run_rac("search", "n.rac", "soil", "--mode", "hybrid", "--language", "en").stdout
    assert both.index("b.md:1") >= 0
