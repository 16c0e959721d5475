"""Search by words beside SQLite's FTS5, tantivy and bm25s: speed at the same top ten, and cost."""

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import rust_ai_core as rac
from benchmarks.data import SEED, long_texts, short_texts
from benchmarks.measure import interleave
from benchmarks.results import Outcome, Table

LIMIT = 10

Search = Callable[[str], Sequence[int]]
"""From a query of words to the numbers of the best ten texts."""


def run(definition: Mapping[str, Any]) -> Outcome:
    """Index the same texts in each, then ask each the same questions in turns."""
    texts, queries, description = _texts(definition["rows"], definition["queries"])
    costs: list[tuple[str | float, ...]] = []
    contenders: dict[str, Search] = {}
    notes = [f"Texts: {description}."]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for maker in (_ours, _fts5, _tantivy, _bm25s):
            try:
                search, cost = maker(folder, texts)
            except ImportError as error:
                notes.append(f"Left out: {error.name} is not installed.")
                continue
            contenders[maker.__name__.strip("_")] = search
            costs.append((maker.__name__.strip("_"), *cost))
        writing = _writing(folder, texts, definition)
        timings = interleave(
            {
                name: lambda search=search: [search(query) for query in queries]
                for name, search in contenders.items()
            },
            definition["rounds"],
        )
        overlap = _overlap(contenders, queries)
        first_search = _first_search_after_opening(folder, queries[0])
    speed = [
        (
            name,
            len(queries) / timings.median(name),
            str(timings.speedup(name, over="fts5")),
            f"{overlap[name]:.3f}",
        )
        for name in contenders
    ]
    tables = [
        Table(
            "Making the index",
            ("who", "texts in, s", "index by words, s", "index by words, MB"),
            costs,
        ),
        Table(
            f"Searching {len(texts):,} texts, {len(queries)} queries, top {LIMIT}",
            ("who", "queries/s", "times FTS5", "of its ten in ours"),
            speed,
        ),
        *writing,
        Table(
            "First search after opening, ms",
            ("index", "milliseconds"),
            first_search,
        ),
    ]
    return Outcome(tables, [], notes, {"queries": timings.seconds})


def _texts(rows: int, queries: int) -> tuple[list[str], list[str], str]:
    """Texts of real words: several descriptions each, or abstracts; queries are words of texts."""
    short, what = short_texts(60_000)
    long, _ = long_texts(400)
    random = np.random.default_rng(SEED)
    pieces = [short[n].partition(": ")[2] or short[n] for n in range(len(short))]
    sentences = pieces + [sentence for text in long for sentence in text.split(" . ")]
    texts = [
        ". ".join(sentences[n] for n in random.integers(0, len(sentences), random.integers(2, 9)))
        for _ in range(rows)
    ]
    asked = []
    for _ in range(queries):
        words = [word for word in texts[random.integers(0, rows)].split() if word.isalpha()]
        chosen = random.choice(words, min(len(words), int(random.integers(1, 6))), replace=False)
        asked.append(" ".join(chosen))
    return texts, asked, f"2 to 8 {what} or sentences of Cranfield abstracts each, at random"


Cost = tuple[float, float, float]


def _ours(folder: Path, texts: Sequence[str]) -> tuple[Search, Cost]:
    database = rac.open(folder / "ours.rac", durability="batch")
    collection = database.collection("texts", dimension=1, metric="dot")
    start = time.perf_counter()
    vectors = np.zeros((10_000, 1), np.float32)
    for first in range(0, len(texts), 10_000):
        some = texts[first : first + 10_000]
        collection.upsert(range(first, first + len(some)), vectors[: len(some)], texts=some)
    collection.optimize()
    written = time.perf_counter()
    collection.search("word", mode="text", limit=1)
    indexed = time.perf_counter()
    size = sum(path.stat().st_size for path in (folder / "ours.rac").glob("**/*.words"))

    def search(query: str) -> Sequence[int]:
        return [int(hit.id) for hit in collection.search(query, mode="text", limit=LIMIT)]

    return search, (written - start, indexed - written, size / 1e6)


def _fts5(folder: Path, texts: Sequence[str]) -> tuple[Search, Cost]:
    connection = sqlite3.connect(folder / "fts5.db")
    connection.execute("pragma journal_mode = wal")
    connection.execute("create table texts (id integer primary key, text text)")
    start = time.perf_counter()
    with connection:
        connection.executemany("insert into texts values (?, ?)", enumerate(texts))
    written = time.perf_counter()
    before = _pages(connection)
    connection.execute(
        "create virtual table words using fts5"
        "(text, content='texts', content_rowid='id', tokenize='porter unicode61')"
    )
    with connection:
        connection.execute("insert into words(words) values ('rebuild')")
        connection.execute("insert into words(words) values ('optimize')")
    indexed = time.perf_counter()

    def search(query: str) -> Sequence[int]:
        any_of = " OR ".join(f'"{word}"' for word in query.split())
        found = connection.execute(
            "select texts.id, texts.text from words join texts on texts.id = words.rowid "
            "where words match ? order by bm25(words) limit ?",
            (any_of, LIMIT),
        )
        return [row[0] for row in found]

    return search, (written - start, indexed - written, (_pages(connection) - before) / 1e6)


def _pages(connection: sqlite3.Connection) -> int:
    ((count, size),) = connection.execute(
        "select page_count, page_size from pragma_page_count, pragma_page_size"
    )
    return int(count) * int(size)


def _tantivy(folder: Path, texts: Sequence[str]) -> tuple[Search, Cost]:
    import tantivy

    schema = tantivy.SchemaBuilder()
    schema.add_integer_field("id", stored=True)
    schema.add_text_field("text", stored=True, tokenizer_name="en_stem", index_option="freq")
    place = folder / "tantivy"
    place.mkdir()
    index = tantivy.Index(schema.build(), path=str(place))
    start = time.perf_counter()
    writer = index.writer(heap_size=256_000_000, num_threads=2)
    for number, text in enumerate(texts):
        writer.add_document(tantivy.Document(id=number, text=text))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    indexed = time.perf_counter()
    searcher = index.searcher()
    size = sum(path.stat().st_size for path in place.iterdir() if path.suffix != ".store")

    def search(query: str) -> Sequence[int]:
        hits = searcher.search(index.parse_query(query, ["text"]), LIMIT).hits
        documents = [searcher.doc(address).to_dict() for _, address in hits]
        return [document["id"][0] for document in documents]

    return search, (float("nan"), indexed - start, size / 1e6)


def _bm25s(folder: Path, texts: Sequence[str]) -> tuple[Search, Cost]:
    import bm25s
    import Stemmer  # PyStemmer

    stemmer = Stemmer.Stemmer("english")
    start = time.perf_counter()
    tokens = bm25s.tokenize(list(texts), stopwords=None, stemmer=stemmer, show_progress=False)
    index = bm25s.BM25(k1=1.2, b=0.75)
    index.index(tokens, show_progress=False)
    indexed = time.perf_counter()
    index.save(str(folder / "bm25s"))
    size = sum(path.stat().st_size for path in (folder / "bm25s").iterdir())

    def search(query: str) -> Sequence[int]:
        asked = bm25s.tokenize(
            [query], stopwords=None, stemmer=stemmer, show_progress=False, return_ids=False
        )
        found, _ = index.retrieve(asked, k=LIMIT, show_progress=False)
        return [int(number) for number in found[0]]

    return search, (float("nan"), indexed - start, size / 1e6)


def _overlap(contenders: Mapping[str, Search], queries: Sequence[str]) -> dict[str, float]:
    """The part of each one's hits that are among ours: words are cut in different ways."""
    ours = [set(contenders["ours"](query)) for query in queries]
    return {
        name: float(
            np.mean(
                [
                    len(mine & set(search(query))) / max(len(mine), 1)
                    for mine, query in zip(ours, queries, strict=True)
                ]
            )
        )
        for name, search in contenders.items()
    }


def _writing(folder: Path, texts: Sequence[str], definition: Mapping[str, Any]) -> list[Table]:
    """What keeping the index up costs those who write."""
    count = min(definition["written"], len(texts))
    vectors = np.random.default_rng(SEED).standard_normal((count, 384), dtype=np.float32)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    sizes: dict[bool, int] = {}
    for turn in range(definition["writing_rounds"] * 2):
        searched = bool(turn % 2)
        place = folder / f"writing-{turn}.rac"
        with rac.open(place, durability="sync") as database:
            collection = database.collection("texts", dimension=384)
            # Enough to be a segment, so that there is a file that says what is searched.
            collection.upsert(range(count, count + 100), vectors[:100], texts=texts[:100])
            collection.compact()
            if searched:
                collection.search("word", mode="text")
            start = time.perf_counter()
            for first in range(0, count, 1_000):
                last = min(first + 1_000, count)
                collection.upsert(range(first, last), vectors[first:last], texts=texts[first:last])
            collection.compact()
            seconds[searched].append(time.perf_counter() - start)
            collection.optimize()
        sizes[searched] = sum(path.stat().st_size for path in place.glob("**/*") if path.is_file())
        shutil.rmtree(place)
    names = {False: "never searched by words", True: "searched by words once"}
    rows = [
        (name, count / median(seconds[searched]), sizes[searched] / 1e6)
        for searched, name in names.items()
    ]
    title = f"Writing {count:,} records of 384 dimensions with their texts, in batches of 1,000"
    return [Table(title, ("collection", "records/s until all are in segments", "MB on disk"), rows)]


def _first_search_after_opening(folder: Path, query: str) -> list[tuple[str | float, ...]]:
    place = folder / "ours.rac"
    copy = folder / "copy.rac"
    shutil.copytree(place, copy)
    rows: list[tuple[str | float, ...]] = []
    for name in ("there", "lost"):
        if name == "lost":
            for path in copy.glob("**/*.words"):
                path.unlink()
        with rac.open(copy, read_only=False) as database:
            collection = database.collection("texts")
            start = time.perf_counter()
            collection.search(query, mode="text", limit=LIMIT)
            rows.append((name, 1_000 * (time.perf_counter() - start)))
    return rows
