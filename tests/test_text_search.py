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


def test_the_index_of_words_is_a_file_that_can_be_lost(tmp_path: Any) -> None:
    path = tmp_path / "db.rac"
    texts = [" ".join(f"w{(n * k) % 997}" for k in range(30)) for n in range(500)]
    with rac.open(path) as database:
        collection = database.collection("words", dimension=1)
        collection.upsert(range(500), [[0]] * 500, texts=texts)
        collection.compact()
        assert list(path.glob("**/*.words")) == []
        before = collection.stats()["memory_bytes"]
        first = collection.search("w7 w8", mode="text")
        # What is mapped is not memory in use.
        assert collection.stats()["memory_bytes"] < before + 1_000
    (index,) = path.glob("**/*.words")
    for damage in (None, b"", b"nonsense", index.read_bytes()[:-1]):
        index.unlink()
        if damage is not None:
            index.write_bytes(damage)
            (problem,) = rac.verify(path).problems
            assert ".words" in problem
        for read_only in (True, False):
            with rac.open(path, read_only=read_only) as database:
                found = database.collection("words").search("w7 w8", mode="text")
                assert [(hit.id, hit.score) for hit in found] == [(h.id, h.score) for h in first]
        assert rac.verify(path).ok


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("signing keys", {"a", "b", "c"}),
        ('"signing keys"', {"a"}),
        ('"sign key" -compost', {"a"}),
        ("+keys signing", {"a", "b"}),
        ("keys -piano", {"a"}),
        ('keys -"signing keys"', {"b"}),
        ('"signing keys" +piano', set()),
        ("-piano", set()),
        ('"keys', {"a", "b"}),
        ('+ - "" keys', {"a", "b"}),
    ],
)
def test_phrases_and_signs(database: rac.Database, query: str, found: set[str]) -> None:
    collection = database.collection("words", dimension=1)
    texts = ["Rotate the signing keys.", "Keys of a piano.", "Signing off for today."]
    collection.upsert(["a", "b", "c"], [[1]] * 3, texts=texts)
    for _ in range(2):
        assert {hit.id for hit in collection.search(query, mode="text")} == found
        collection.compact()


def test_fields_are_searched_with_their_weights(database: rac.Database) -> None:
    collection = database.collection("words", dimension=1)
    collection.upsert(
        ["a", "b", "c"],
        [[1]] * 3,
        texts=["old keys", "new locks", None],
        metadata=[{"title": "doors"}, {"title": ["keys", 7, "safes"]}, {"about": {"x": "keys"}}],
    )

    def scores(**fields: float) -> dict[Any, float]:
        hits = collection.search("keys", mode="text", fields=fields)
        return {hit.id: hit.score for hit in hits}

    for _ in range(2):
        text, title = scores(text=1.0)["a"], scores(title=1.0)["b"]
        assert scores(title=2.0, text=0.5) == pytest.approx({"a": text / 2, "b": title * 2})
        assert list(scores(**{"about.x": 1.0})) == ["c"]
        assert scores(missing=1.0) == {}
        collection.compact()


@pytest.mark.parametrize("mode", ["text", "hybrid"])
def test_groups_within_and_offset_in_all_modes(
    database: rac.Database, tiny_model: Any, mode: Any
) -> None:
    notes = database.collection("notes", model=tiny_model)
    texts = [f"{WORDS[n % 5]} {WORDS[n % 3]} {WORDS[n % 2]}" for n in range(60)]
    notes.upsert(range(60), texts=texts, metadata=[{"group": n % 7} for n in range(60)])
    everything = notes.search("the bee", mode=mode, limit=100)
    groups: dict[int, list[Any]] = {}
    for hit in everything:
        assert hit.metadata is not None
        groups.setdefault(hit.metadata["group"], []).append(hit.id)
    expected = [ids[:2] for ids in groups.values()][1:4]
    found = notes.search("the bee", mode=mode, group_by="group", group_size=2, offset=1, limit=3)
    assert [hit.id for hit in found] == [name for ids in expected for name in ids]
    least = everything[4].score
    near = notes.search("the bee", mode=mode, within=least, limit=100)
    assert [hit.id for hit in near] == [hit.id for hit in everything if hit.score >= least]


def test_the_constant_of_the_fusion_can_be_chosen(database: rac.Database, tiny_model: Any) -> None:
    notes = database.collection("notes", model=tiny_model)
    notes.upsert(["a"], texts=["an ant"])
    for constant in (0, 1, 60):
        (hit,) = notes.search("ant", mode="hybrid", fusion_k=constant)
        assert hit.score == pytest.approx(2 / (constant + 1))


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
        ({"mode": "text", "fusion_k": 1}, "fusion_k needs mode"),
        ({"mode": "hybrid", "fusion_k": -1}, "finite numbers from 0"),
        ({"fields": {"text": 1.0}}, "fields needs mode"),
        ({"mode": "text", "fields": {}}, "needs a field"),
        ({"mode": "text", "fields": {"text": 0}}, "a number above 0"),
        ({"mode": "text", "fields": {"$id": 1}}, "metadata keys, not"),
        ({"mode": "text", "fields": {"": 1}}, "1 to 256 bytes"),
        ({"mode": "text", "group_by": "x", "group_size": 0}, "at least 1"),
        ({"mode": "text", "within": math.nan}, "within is not a number"),
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
