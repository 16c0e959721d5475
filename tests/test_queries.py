"""Orders, pages, counts by value and groups, against plain Python over all records."""

from collections.abc import Iterator
from functools import cmp_to_key
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rust_ai_core as rac
from filter_oracle import FIELDS, FILTERS, MISSING, equal, look_up, matches
from rust_ai_core.errors import ArgumentError, FilterError

# In order: moments where they are ones, else by code point; equal moments by their texts.
TEXTS = [
    "", "2024", "2024-05-01", "2024-05-01T00:00Z", "2024-04-30T23:00-02:00",
    "2024-05-01T12:00+02:00", "2024-05-01T11:00Z", "2024-05-02", "zebra", "\U0001f993",
]  # fmt: skip
RANKS = ["NoneType", "bool", "int", "str", "list", "dict"]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.sampled_from([-1, 0, 0.5, 1, 1.0, 2**53 + 1, float(2**53)]),
    st.sampled_from(TEXTS),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=4,
)
# `FILTERS` ask for "x", "y" and "o"; "t" has what only orders, counts and groups are about.
METADATA = st.none() | st.builds(
    lambda fields, extra: {**fields, **extra}, FIELDS, st.dictionaries(st.just("t"), VALUES)
)
KEYS = st.sampled_from(["t", "t.a", "x", "y", "o.x", "$id", "$line", "nowhere"])
Batch: TypeAlias = list[tuple[int, Any]]
BATCHES: st.SearchStrategy[Batch] = st.lists(st.tuples(st.integers(0, 9), METADATA), max_size=6)


def compare(a: Any, b: Any) -> int:
    """The order of all values, from the documentation of `find`."""
    a, b = (int(v) if isinstance(v, float) and v.is_integer() else v for v in (a, b))
    kinds = [RANKS.index(type(v).__name__ if type(v) is not float else "int") for v in (a, b)]
    if kinds[0] != kinds[1]:
        return kinds[0] - kinds[1]
    if isinstance(a, str):
        # Other texts than these are only beside each other.
        known = a in TEXTS and b in TEXTS
        a, b = (TEXTS.index(a), TEXTS.index(b)) if known else (a, b)
    if isinstance(a, dict):
        a, b = ([list(item) for item in sorted(v.items())] for v in (a, b))
        pairs = zip(a, b, strict=False)
        orders = (compare(left, right) for left, right in pairs)
        return next((order for order in orders if order), len(a) - len(b))
    if isinstance(a, list):
        orders = (compare(left, right) for left, right in zip(a, b, strict=False))
        return next((order for order in orders if order), len(a) - len(b))
    return 0 if a is None else (a > b) - (a < b)


def value_of(record: Any, key: str) -> Any:
    if key == "$id":
        return record.id
    return MISSING if key == "$line" else look_up(record.metadata or {}, key)


def ordered(records: list[Any], key: str, descending: bool) -> list[Any]:
    there = [record for record in records if value_of(record, key) is not MISSING]
    missing = [record for record in records if value_of(record, key) is MISSING]
    sign = -1 if descending else 1
    signed = cmp_to_key(lambda a, b: sign * compare(a, b))
    return sorted(there, key=lambda record: signed(value_of(record, key))) + missing


def counted(records: list[Any], key: str) -> list[tuple[Any, int]]:
    counts: list[tuple[Any, int]] = []
    for record in records:
        value = value_of(record, key)
        values = value if isinstance(value, list) else [] if value is MISSING else [value]
        for place, item in enumerate(values):
            if any(equal(item, earlier) for earlier in values[:place]):
                continue
            known = [at for at, (other, _) in enumerate(counts) if equal(item, other)]
            if known:
                counts[known[0]] = (item, counts[known[0]][1] + 1)
            else:
                counts.append((item, 1))
    by_value = cmp_to_key(compare)
    return sorted(counts, key=lambda pair: (-pair[1], by_value(pair[0])))


def grouped(hits: list[Any], key: str, size: int) -> list[list[Any]]:
    groups: list[tuple[Any, list[Any]]] = []
    for hit in hits:
        value = value_of(hit, key)
        for other, members in groups:
            if value is other or (MISSING not in (value, other) and equal(value, other)):
                members.append(hit)
                break
        else:
            groups.append((value, [hit]))
    return [members[:size] for _, members in groups]


def same(found: list[tuple[Any, int]], expected: list[tuple[Any, int]]) -> bool:
    return len(found) == len(expected) and all(
        count == other and equal(value, known)
        for (value, count), (known, other) in zip(found, expected, strict=True)
    )


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rac.Database]:
    with rac.open(tmp_path_factory.mktemp("queries") / "db.rac", durability="batch") as db:
        yield db


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(BATCHES, st.sets(st.integers(0, 9), max_size=3), st.booleans()), max_size=4),
    st.lists(st.tuples(st.none() | FILTERS, KEYS), min_size=2, max_size=5),
    st.integers(0, 4),
    st.none() | st.integers(0, 5),
    st.integers(1, 3),
)
def test_queries_give_what_python_gives(
    scratch: rac.Database,
    steps: list[tuple[Batch, set[int], bool]],
    questions: list[tuple[dict[str, Any] | None, str]],
    offset: int,
    limit: int | None,
    size: int,
) -> None:
    """Segments, with dead rows, and the head: whatever the steps leave."""
    if "queried" in scratch.collections():
        scratch.drop("queried")
    collection = scratch.collection("queried", dimension=1, metric="dot")
    for number, (batch, deleted, settle) in enumerate(steps):
        ids = [name for name, _ in batch]
        vectors = [[(name * 7 + number) % 5] for name in ids]
        collection.upsert(ids, vectors or None, metadata=[fields for _, fields in batch])
        collection.delete(sorted(deleted))
        if settle:
            collection.compact()
    for where, key in questions:
        records = [r for r in collection if where is None or matches(r.metadata or {}, where)]
        page = slice(offset, None if limit is None else offset + limit)
        plain = collection.find(where, offset=offset, limit=limit)
        assert [r.id for r in plain] == [r.id for r in records][page]
        for descending in (False, True):
            found = collection.find(
                where, order_by=key, descending=descending, offset=offset, limit=limit
            )
            expected = ordered(records, key, descending)
            assert [r.id for r in found] == [r.id for r in expected][page], (where, key)
        counts = counted(records, key)
        assert same(collection.facet(key, where=where), counts), (where, key)
        assert same(collection.facet(key, where=where, limit=size), counts[:size])
        hits = collection.search([1], limit=100, where=where)
        assert len(hits) == len(records)
        shown = collection.search([1], limit=size, offset=offset, where=where)
        assert [hit.id for hit in shown] == [hit.id for hit in hits][offset : offset + size]
        groups = grouped(hits, key, size)[offset : offset + 2]
        in_groups = collection.search(
            [1], limit=2, offset=offset, where=where, group_by=key, group_size=size
        )
        assert [h.id for h in in_groups] == [h.id for group in groups for h in group], (where, key)


def test_groups_are_found_behind_many_better_hits_of_one(database: rac.Database) -> None:
    """The five groups that are asked for begin far behind the first hits, and in a graph."""
    rows = 6000
    collection = database.collection("skewed", dimension=2, metric="dot")
    vectors = [[1.0, -row / rows] for row in range(rows)]
    owners = [{"owner": 0 if row < 5990 else row} for row in range(rows)]
    collection.upsert(range(rows), vectors, metadata=owners)
    expected = [0, 1, 5990, 5991, 5992, 5993]
    for _ in range(2):
        hits = collection.search([0, 1], limit=5, group_by="owner", group_size=2)
        assert [hit.id for hit in hits] == expected
        collection.optimize()
    assert collection.stats()["indexed_records"] == rows


def test_records_without_metadata_are_ordered_and_counted_by_id(database: rac.Database) -> None:
    collection = database.collection("bare", dimension=1, metric="l2")
    ids: list[Any] = ["b", 10, "a", 9]
    collection.upsert(ids, [[0]] * 4)
    for _ in range(2):
        assert [r.id for r in collection.find(order_by="$id")] == [9, 10, "a", "b"]
        assert collection.facet("$id") == [(9, 1), (10, 1), ("a", 1), ("b", 1)]
        assert collection.facet("lang") == []
        assert [r.id for r in collection.find(order_by="lang", limit=2)] == ["b", 10]
        collection.compact()
    assert collection.stats()["segments"] == 1


def test_ingested_records_are_grouped_by_source(database: rac.Database, tiny_model: Any) -> None:
    notes = database.collection("notes", model=tiny_model)
    texts = {name: "\n\n".join(["a word or two"] * 40) for name in ("a.md", "b.md")}
    notes.ingest(texts, max_tokens=16)
    assert [source for source, _ in notes.facet("$source")] == ["a.md", "b.md"]
    hits = notes.search("word", group_by="$source", group_size=1)
    assert sorted(str(hit.source) for hit in hits) == ["a.md", "b.md"]
    first = notes.find({"$source": "b.md"}, order_by="$line", limit=1)[0]
    assert (first.source, first.line) == ("b.md", 1)


def test_what_makes_no_sense_is_refused(database: rac.Database) -> None:
    collection = database.collection("points", dimension=1)
    for key in ("$nothing", "$"):
        with pytest.raises(FilterError, match="unknown key"):
            collection.find(order_by=key)
        with pytest.raises(FilterError, match="unknown key"):
            collection.facet(key)
        with pytest.raises(FilterError, match="unknown key"):
            collection.search([1], group_by=key)
    with pytest.raises(ArgumentError, match="descending needs order_by"):
        collection.find(descending=True)
    with pytest.raises(ArgumentError, match="at least 1"):
        collection.facet("x", limit=0)
    with pytest.raises(ArgumentError, match="group_size needs group_by"):
        collection.search([1], group_size=2)
    with pytest.raises(ArgumentError, match="size of a group"):
        collection.search([1], group_by="x", group_size=0)
    with pytest.raises(ArgumentError, match="limit must be at least 1"):
        collection.search([1], limit=0, offset=5)
    with pytest.raises(ArgumentError, match="limit must be at least 1"):
        collection.search([1], limit=0, offset=5, group_by="x")
    for arguments in ({"offset": -1}, {"limit": -1}):
        with pytest.raises(ArgumentError, match="not a number from 0"):
            collection.find(**arguments)  # type: ignore[arg-type]


def test_offsets_and_limits_beyond_all_bounds_do_no_harm(database: rac.Database) -> None:
    collection = database.collection("points", dimension=1)
    collection.upsert([1, 2], [[1], [2]], metadata={"x": 1})
    huge = 2**64 - 1
    assert collection.find(offset=huge, limit=huge) == []
    assert collection.find(order_by="x", offset=huge, limit=huge) == []
    assert collection.search([1], limit=huge, offset=huge) == []
    assert collection.search([1], limit=huge, offset=huge, group_by="x", group_size=huge) == []
    assert len(collection.search([1], limit=huge, group_by="x", group_size=huge)) == 2
