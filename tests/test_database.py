"""Databases and collections: what goes in comes out, is found, and errors say what is wrong."""

import datetime
import math
import struct
import subprocess
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import rust_ai_core as rac
from rust_ai_core.errors import (
    ArgumentError,
    ClosedError,
    CorruptError,
    DimensionError,
    FilterError,
    LockedError,
    ModelError,
    NonFiniteError,
    NotFoundError,
    SchemaError,
    StorageError,
    VersionError,
)

Metric = Literal["cosine", "dot", "l2"]
Key = int | str
Content = tuple[list[float], str | None, dict[str, Any] | None]
Array = npt.NDArray[Any]

# Bytes of a compacted log that are no record's: the seal, and the frame around the records.
FRAMES = 128


@pytest.fixture
def points(database: rac.Database) -> rac.Collection:
    return database.collection("points", dimension=2, metric="l2")


def content(record: rac.Record | None) -> Content | None:
    return record and (record.vector.tolist(), record.text, record.metadata)


# -- a database against a dict ---------------------------------------------------------------------

KEYS = st.one_of(
    st.integers(0, 6),
    st.sampled_from(["0", "1", "", "é", "a b", "\U0001f600", "x" * 300]),
    st.sampled_from([2**63 - 1, -(2**63), -1]),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.", max_size=2), inner),
)
METADATA = st.none() | st.dictionaries(
    st.sampled_from(["a", "b", "a.b", "é", ""]), VALUES, max_size=3
)
TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VECTORS = st.lists(st.integers(-9, 9).map(float), min_size=3, max_size=3)
ROWS = st.lists(st.tuples(KEYS, VECTORS, TEXTS, METADATA), max_size=6)


class DatabaseAgainstDict(RuleBasedStateMachine):
    """Writes, reads and reopens a database at random, and a dict along with it."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "model.rac"
        self.model: dict[Key, Content] = {}
        self.open()

    def teardown(self) -> None:
        self.db.close()
        assert rac.verify(self.path).ok
        self.folder.cleanup()

    def open(self) -> None:
        self.db = rac.open(self.path, durability="batch")
        self.collection = self.db.collection("points", dimension=3, metric="dot")

    @rule(rows=ROWS)
    def upsert(
        self, rows: list[tuple[Key, list[float], str | None, dict[str, Any] | None]]
    ) -> None:
        ids = [row[0] for row in rows]
        columns: dict[str, Any] = {"texts": [r[2] for r in rows], "metadata": [r[3] for r in rows]}
        assert self.collection.upsert(ids, [row[1] for row in rows], **columns) == len(set(ids))
        self.model.update({row[0]: row[1:] for row in rows})

    @rule(keys=st.lists(KEYS, max_size=5))
    def delete(self, keys: list[Key]) -> None:
        expected = len(set(keys) & self.model.keys())
        assert self.collection.delete(keys) == expected
        for key in keys:
            self.model.pop(key, None)

    @rule(keys=st.lists(KEYS, min_size=1, max_size=4))
    def delete_where(self, keys: list[Key]) -> None:
        where = {"$id": {"$in": keys}, "a": {"$exists": True}}
        gone = [key for key in set(keys) & self.model.keys() if "a" in (self.model[key][2] or {})]
        assert self.collection.count(where) == len(gone)
        assert self.collection.delete(where=where) == len(gone)
        for key in gone:
            del self.model[key]

    @rule(keys=st.lists(KEYS, max_size=5))
    def get(self, keys: list[Key]) -> None:
        found = self.collection.get(keys)
        assert [content(record) for record in found] == [self.model.get(key) for key in keys]
        for key in keys:
            assert (key in self.collection) == (key in self.model)

    @rule(query=VECTORS, limit=st.integers(1, 9))
    def search(self, query: list[float], limit: int) -> None:
        hits = self.collection.search(query, limit=limit)
        assert len(hits) == min(limit, len(self.model))
        for hit in hits:
            vector, text, metadata = self.model[hit.id]
            assert (hit.text, hit.metadata) == (text, metadata)
            assert hit.score == np.dot(vector, query)
        best = sorted((float(np.dot(c[0], query)) for c in self.model.values()), reverse=True)
        assert [hit.score for hit in hits] == best[:limit]
        assert len({hit.id for hit in hits}) == len(hits)

    @rule()
    def compact(self) -> None:
        self.collection.compact()
        assert self.collection.stats()["dead_bytes"] <= FRAMES

    @rule()
    def reopen(self) -> None:
        self.db.close()
        self.open()
        assert self.db.recovered == []

    @invariant()
    def everything_is_there(self) -> None:
        if not hasattr(self, "model"):
            return
        assert len(self.collection) == self.collection.count() == len(self.model)
        assert {record.id: content(record) for record in self.collection} == self.model


DatabaseAgainstDict.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None
)
TestAgainstDict = DatabaseAgainstDict.TestCase


# -- ids -------------------------------------------------------------------------------------------


def test_ids_of_two_types_differ(points: rac.Collection) -> None:
    points.upsert([1, "1"], [[1, 0], [0, 1]], texts=["number", "text"])
    assert [record and record.text for record in points.get(["1", 1, 2, "2"])] == [
        "text",
        "number",
        None,
        None,
    ]
    assert points.delete(1) == 1
    assert "1" in points
    assert 1 not in points


@pytest.mark.parametrize(
    "ids",
    [
        np.array([3, 1, 2]),
        np.array([3, 1, 2], np.int8),
        np.array([3, 1, 2], np.uint64),
        np.array([3, 1, 2], ">i8"),
        np.array([3, 0, 1, 0, 2, 0])[::2],
        np.array([2, 1, 3])[::-1],
        (3, 1, 2),
        [np.int64(3), np.uint8(1), 2],
    ],
    ids=repr,
)
def test_numpy_ids_are_ints(ids: Any, points: rac.Collection) -> None:
    points.upsert(ids, [[3, 3], [1, 1], [2, 2]])
    assert {record.id: record.vector[0] for record in points} == {3: 3, 1: 1, 2: 2}
    assert all(type(record.id) is int for record in points)
    assert [record and record.id for record in points.get(ids)] == [3, 1, 2]
    assert points.delete(ids) == 3


def test_numpy_scalars_are_ids(points: rac.Collection) -> None:
    points.upsert([np.str_("a")], [[1, 0]])
    assert np.str_("a") in points
    points.upsert(np.int64(5), [[1, 0]])  # type: ignore[arg-type]
    assert 5 in points


@pytest.mark.parametrize(
    "ids", [True, 1.0, None, [1.0], [True], [None], [b"x"], b"x", bytearray(b"x"), [[1]],
            np.array([1.0]), np.array([True]), object()], ids=repr,
)  # fmt: skip
def test_what_is_no_id_is_a_type_error(ids: Any, points: rac.Collection) -> None:
    with pytest.raises(TypeError, match="int or a? ?str"):
        points.upsert(ids, [[0, 0]])
    assert len(points) == 0


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**200])
def test_ids_beyond_64_bits_are_refused(number: int, points: rac.Collection) -> None:
    for call in (points.get, points.delete):
        with pytest.raises(ArgumentError, match=f"{number} does not fit 64 bits"):
            call([number])
    with pytest.raises(ArgumentError, match="64 bits"):
        points.upsert([number], [[0, 0]])


def test_an_id_given_twice_is_written_once(points: rac.Collection) -> None:
    assert points.upsert(["a", "b", "a"], [[1, 1], [2, 2], [3, 3]], texts=["x", "y", "z"]) == 2
    assert {record.id: record.text for record in points} == {"a": "z", "b": "y"}


def test_a_record_is_replaced_as_a_whole(points: rac.Collection) -> None:
    points.upsert("a", [1, 1], texts="text", metadata={"k": 1})
    points.upsert("a", [2, 2])
    assert content(points.get(["a"])[0]) == ([2, 2], None, None)


# -- metadata --------------------------------------------------------------------------------------


def test_metadata_comes_back_as_it_was(points: rac.Collection) -> None:
    metadata = {
        "nested": {"list": [1, 2.5, None, True, {"é": "\U0001f600"}]},
        "big": [2**63 - 1, -(2**63), 2**64 - 1, 2**53 + 1],
        "floats": [0.1, 1e308, 5e-324, -0.0, 1.0],
        "": "\0\n",
    }
    points.upsert(1, [0, 0], metadata=metadata)
    (record,) = points.get([1])
    assert record is not None
    assert repr(record.metadata) == repr(metadata)


def test_numpy_and_tuples_in_metadata_become_json(points: rac.Collection) -> None:
    given_metadata = {
        "f": np.float32(0.5), "i": np.int64(3), "b": np.bool_(True),
        "array": np.arange(3), "tuple": (1, (2,)), "str": np.str_("x"),
    }  # fmt: skip
    points.upsert(1, [0, 0], metadata=given_metadata)
    expected = {"f": 0.5, "i": 3, "b": True, "array": [0, 1, 2], "tuple": [1, [2]], "str": "x"}
    (record,) = points.get([1])
    assert record is not None
    assert repr(record.metadata) == repr(expected)


@pytest.mark.parametrize(
    ("metadata", "error", "message"),
    [
        ({"when": datetime.datetime(2026, 1, 1)}, TypeError, r'\["when"\] is a datetime'),
        ({"a": [1, {"b": b"x"}]}, TypeError, r'\["a"\]\[1\]\["b"\] is a bytes'),
        ({"s": {1}}, TypeError, r'\["s"\] is a set'),
        ({"p": Path("x")}, TypeError, r'\["p"\] is a PosixPath'),
        ({"n": math.nan}, ValueError, r'\["n"\]: NaN is not JSON'),
        ({"n": [0, math.inf]}, ValueError, r'\["n"\]\[1\]: inf is not JSON'),
        ({"n": np.float32("nan")}, ValueError, r'\["n"\]: NaN is not JSON'),
        ({1: "x"}, TypeError, "keys must be str, not int"),
        ({"a": {None: 1}}, TypeError, r'\["a"\]: keys must be str, not NoneType'),
        ({"n": 2**64}, ValueError, r'\["n"\]: 18446744073709551616 does not fit 64 bits'),
    ],
)
def test_metadata_that_is_not_json_is_refused_by_its_place(
    metadata: Any, error: type[Exception], message: str, points: rac.Collection
) -> None:
    points.upsert("kept", [0, 0], metadata={"a": 1})
    with pytest.raises(error, match=message):
        points.upsert(["new", "kept"], [[1, 1], [1, 1]], metadata=metadata)
    with pytest.raises(error, match=rf'metadata of "kept".*{message.split(":")[0]}'):
        points.upsert(["new", "kept"], [[1, 1], [1, 1]], metadata=[None, metadata])
    assert [(record.id, content(record)) for record in points] == [
        ("kept", ([0, 0], None, {"a": 1}))
    ]


def test_metadata_that_holds_itself_is_refused(points: rac.Collection) -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    with pytest.raises(ArgumentError, match="nested deeper"):
        points.upsert(1, [0, 0], metadata=loop)


@pytest.mark.parametrize("column", ["texts", "metadata"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_columns_of_another_length_are_refused(
    column: str, count: int, points: rac.Collection
) -> None:
    values: list[Any] = ["x" if column == "texts" else {}] * count
    with pytest.raises(ArgumentError, match=f"2 ids, but {count} {column}"):
        points.upsert([1, 2], [[0, 0], [0, 0]], **{column: values})  # type: ignore[arg-type]


# -- search ----------------------------------------------------------------------------------------


def true_scores(metric: str, query: Array, rows: Array) -> Array:
    query, rows = query.astype(np.float64), rows.astype(np.float64)
    if metric == "l2":
        scores = ((rows - query) ** 2).sum(1)
        return np.asarray(scores)
    scores = rows @ query
    if metric == "cosine":
        norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
        scores = np.divide(scores, norms, out=np.zeros_like(scores), where=norms > 0)
    return np.asarray(scores)


@pytest.mark.parametrize("dimension", [1, 2, 3, 64, 100, 384])
@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_search_is_numpy_brute_force(
    metric: Metric, dimension: int, database: rac.Database
) -> None:
    rng = np.random.default_rng(dimension)
    rows = rng.standard_normal((700, dimension)).astype(np.float32)
    rows[5] = rows[400] = 0
    rows[100:120] = rows[99]
    queries = rng.standard_normal((9, dimension)).astype(np.float32)
    queries[3] = 0
    queries[4] = rows[99]
    collection = database.collection("rows", dimension=dimension, metric=metric)
    collection.upsert(range(700), rows)
    sign = 1 if metric == "l2" else -1
    for limit in (1, 25, 700, 1000):
        found, found_scores = collection.search_batch(queries, limit=limit)
        assert found.shape == found_scores.shape == (9, limit)
        for query, ids, scores in zip(queries, found, found_scores, strict=True):
            expected = true_scores(metric, query, rows)
            best = np.sort(sign * expected)[:limit] * sign
            count = min(limit, 700)
            assert all(missing is None for missing in ids[count:])
            assert np.isnan(scores[count:]).all()
            np.testing.assert_allclose(scores[:count], best, rtol=2e-5, atol=2e-5)
            order = ids[:count].astype(int)
            np.testing.assert_allclose(scores[:count], expected[order], rtol=2e-5, atol=2e-5)
            assert len(set(order)) == count
            hits = collection.search(query, limit=limit)
            assert [hit.id for hit in hits] == order.tolist()
            assert [hit.score for hit in hits] == scores[:count].tolist()


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_equal_scores_come_in_the_order_of_insertion(
    metric: Metric, database: rac.Database
) -> None:
    collection = database.collection("ties", dimension=3, metric=metric)
    ids = np.random.default_rng(0).permutation(5000)
    collection.upsert(ids, np.ones((5000, 3)))
    hits = collection.search([1, 1, 1], limit=2000)
    assert [hit.id for hit in hits] == ids[:2000].tolist()


def test_an_empty_collection_finds_nothing(points: rac.Collection) -> None:
    assert points.search([0, 0]) == []
    ids, scores = points.search_batch([[0, 0], [1, 1]], limit=3)
    assert ids.tolist() == [[None] * 3] * 2
    assert np.isnan(scores).all()
    assert points.search_batch(np.zeros((0, 2)))[0].shape == (0, 10)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(limit: int, points: rac.Collection) -> None:
    points.upsert(1, [0, 0])
    for search in (
        lambda: points.search([0, 0], limit=limit),
        lambda: points.search_batch([[0, 0]], limit=limit),
    ):
        with pytest.raises(ArgumentError, match="limit"):
            search()


def test_a_limit_beyond_all_bounds_does_no_harm(tmp_path: Path) -> None:
    """In a process of its own: what is tested for is the end of the process."""
    program = """
import sys
import rust_ai_core as rac
with rac.open(sys.argv[1]) as db:
    points = db.collection("points", dimension=1)
    points.upsert([1, 2], [[1], [2]])
    for limit in (10**12, 2**63 - 1):
        assert len(points.search([1], limit=limit)) == 2
        try:
            points.search_batch([[1]], limit=limit)
        except (ValueError, MemoryError):
            pass
"""
    command = [sys.executable, "-c", program, str(tmp_path / "db.rac")]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr[-500:]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ([1], DimensionError),
        ([1, 2, 3], DimensionError),
        ([[1, 2], [3, 4]], ArgumentError),
        ([math.nan, 1], NonFiniteError),
        ([math.inf, 1], NonFiniteError),
        ("a text", ModelError),
        (None, TypeError),
        (["a", "b"], ModelError),
        ([1, "b"], TypeError),
        (b"12", TypeError),
        ([], ValueError),
    ],
)
def test_a_query_that_cannot_be_is_refused(
    query: Any, error: type[Exception], points: rac.Collection
) -> None:
    points.upsert(1, [0, 0])
    with pytest.raises(error):
        points.search(query)


# -- vectors to be stored --------------------------------------------------------------------------


def test_vectors_that_are_not_finite_are_refused_and_nothing_is_written(
    points: rac.Collection,
) -> None:
    for bad in (math.nan, math.inf, -math.inf):
        with pytest.raises(NonFiniteError, match="row 1"):
            points.upsert([1, 2, 3], [[0, 0], [bad, 0], [0, 0]])
    assert len(points) == 0
    rows = [[0, 1], [math.nan, 1], [2, 1], [3, -math.inf]]
    texts = ["a", "b", "c", "d"]
    metadata = [{"n": n} for n in range(4)]
    assert points.upsert(range(4), rows, texts=texts, metadata=metadata, non_finite="skip") == 2
    assert [(r.id, content(r)) for r in points] == [
        (0, ([0, 1], "a", {"n": 0})),
        (2, ([2, 1], "c", {"n": 2})),
    ]
    with pytest.raises(ArgumentError, match="non_finite"):
        points.upsert(1, [0, 0], non_finite="drop")  # type: ignore[arg-type]


@pytest.mark.filterwarnings("default")
def test_a_number_beyond_float32_is_refused_as_such(points: rac.Collection) -> None:
    with pytest.raises(NonFiniteError):
        points.upsert(1, [1e300, 0])
    assert len(points) == 0


@pytest.mark.parametrize(
    ("ids", "vectors", "error"),
    [
        ([1], [[1, 2, 3]], DimensionError),
        ([1, 2], [[1, 2], [1]], DimensionError),
        ([1], np.zeros((1, 1, 2)), DimensionError),
        ([1, 2], [[1, 2]], ArgumentError),
        ([1], [[1, 2], [3, 4]], ArgumentError),
        ([1], None, ArgumentError),
        ([1], "ab", TypeError),
        ([1], [["a", "b"]], TypeError),
        ([1], [[1j, 0]], TypeError),
    ],
)
def test_vectors_that_do_not_fit_are_refused(
    ids: Any, vectors: Any, error: type[Exception], points: rac.Collection
) -> None:
    with pytest.raises(error):
        points.upsert(ids, vectors)
    assert len(points) == 0


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f4", "f8", "i1", "u2", "i8"])
def test_vectors_of_any_type_and_layout(dtype: str, points: rac.Collection) -> None:
    rows = np.arange(24, dtype=dtype).reshape(6, 4)[::-2, 1::2]
    points.upsert(range(3), rows)
    assert [r.vector.tolist() for r in points] == [[21, 23], [13, 15], [5, 7]]
    assert all(r.vector.dtype == np.float32 for r in points)


# -- filters ---------------------------------------------------------------------------------------

MISSING = object()
SMALL = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 2),
    st.sampled_from([0.0, 1.0, 1.5, 2**53, 2**53 + 1, 2.0**53]),
    st.sampled_from(["", "a", "ab", "b", "\U0001f600"]),
)
FIELDS = st.dictionaries(
    st.sampled_from(["x", "y", "o", "o.x"]),
    SMALL
    | st.lists(SMALL, max_size=2)
    | st.dictionaries(st.sampled_from(["x", "y"]), SMALL, max_size=2),
    max_size=3,
)
COMPARABLE = SMALL.filter(lambda value: value is not None)
TESTS: st.SearchStrategy[Any] = st.deferred(
    lambda: st.one_of(
        st.fixed_dictionaries({}, optional={
            "$eq": SMALL | st.lists(SMALL, max_size=2), "$ne": SMALL,
            "$in": st.lists(SMALL, max_size=3), "$nin": st.lists(SMALL, max_size=3),
            "$gt": COMPARABLE, "$gte": COMPARABLE, "$lt": COMPARABLE, "$lte": COMPARABLE,
            "$exists": st.booleans(), "$contains": SMALL,
        }).filter(bool),
        st.fixed_dictionaries({"$not": TESTS}),
    )
)  # fmt: skip
FILTERS = st.recursive(
    st.dictionaries(st.sampled_from(["x", "y", "o", "o.x", "o.y"]), SMALL | TESTS, max_size=2),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"$and": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"$or": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"$not": inner}),
    ),
    max_leaves=4,
)


def kind(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


def equal(a: Any, b: Any) -> bool:
    if kind(a) != kind(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    return bool(a == b)


def look_up(fields: Any, key: str) -> Any:
    if not isinstance(fields, dict):
        return MISSING
    if key in fields:
        return fields[key]
    first, dot, rest = key.partition(".")
    return look_up(fields.get(first), rest) if dot else MISSING


def passes(value: Any, tests: Any) -> bool:
    if not isinstance(tests, dict):
        return passes(value, {"$eq": tests})
    there = value is not MISSING

    def one(operator: str, operand: Any) -> bool:
        ordered = (
            there and kind(value) == kind(operand) and kind(value) in ("number", "str", "bool")
        )
        outcomes: dict[str, Callable[[], bool]] = {
            "$eq": lambda: there and equal(value, operand),
            "$ne": lambda: not (there and equal(value, operand)),
            "$in": lambda: there and any(equal(value, item) for item in operand),
            "$nin": lambda: not (there and any(equal(value, item) for item in operand)),
            "$gt": lambda: ordered and value > operand,
            "$gte": lambda: ordered and value >= operand,
            "$lt": lambda: ordered and value < operand,
            "$lte": lambda: ordered and value <= operand,
            "$exists": lambda: there == operand,
            "$contains": lambda: (
                (isinstance(value, str) and isinstance(operand, str) and operand in value)
                or (isinstance(value, list) and any(equal(item, operand) for item in value))
            ),
            "$not": lambda: not passes(value, operand),
        }
        return outcomes[operator]()

    return all(one(operator, operand) for operator, operand in tests.items())


def matches(fields: Any, where: dict[str, Any]) -> bool:
    combined: dict[str, Callable[[Any], bool]] = {
        "$and": lambda filters: all(matches(fields, f) for f in filters),
        "$or": lambda filters: any(matches(fields, f) for f in filters),
        "$not": lambda f: not matches(fields, f),
    }
    return all(
        combined[key](value) if key in combined else passes(look_up(fields, key), value)
        for key, value in where.items()
    )


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rac.Database]:
    """A database for tests that clear it themselves."""
    with rac.open(tmp_path_factory.mktemp("scratch") / "db.rac", durability="batch") as db:
        yield db


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.none() | FIELDS, min_size=1, max_size=6), st.lists(FILTERS, min_size=3, max_size=8)
)
def test_filters_match_what_python_says(
    scratch: rac.Database, metadata: list[Any], filters: list[dict[str, Any]]
) -> None:
    collection = scratch.collection("filtered", dimension=1, metric="dot")
    collection.delete([record.id for record in collection])
    collection.upsert(range(len(metadata)), [[n] for n in range(len(metadata))], metadata=metadata)
    for where in filters:
        expected = [n for n, fields in enumerate(metadata) if matches(fields or {}, where)]
        assert collection.count(where) == len(expected), where
        hits = collection.search([-1], limit=3, where=where)
        assert [hit.id for hit in hits] == expected[:3], where
        ids, _ = collection.search_batch([[-1]], limit=6, where=where)
        assert [found for found in ids[0] if found is not None] == expected, where


def test_a_filtered_search_finds_all_there_are(database: rac.Database) -> None:
    collection = database.collection("many", dimension=1, metric="l2")
    collection.upsert(
        range(10_000), np.arange(10_000)[:, None], metadata=[{"n": n} for n in range(10_000)]
    )
    hits = collection.search([0], limit=5, where={"n": {"$gte": 9990}})
    assert [hit.id for hit in hits] == [9990, 9991, 9992, 9993, 9994]


def test_the_record_itself_can_be_asked_for(points: rac.Collection) -> None:
    points.upsert([1, "1", "x"], [[0, 0]] * 3, metadata=[{"$id": 5}, None, None])
    examples: list[tuple[dict[str, Any], list[Key]]] = [
        ({"$id": 1}, [1]), ({"$id": "1"}, ["1"]), ({"$id": {"$in": [1, "x"]}}, [1, "x"]),
        ({"$source": {"$exists": False}}, [1, "1", "x"]), ({"$line": {"$gt": 0}}, []),
    ]  # fmt: skip
    for where, expected in examples:
        assert [hit.id for hit in points.search([0, 0], where=where)] == expected


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"k": {"$gtt": 1}}, r"k\.\$gtt: unknown operator"),
        ({"k": {"sub": 1}}, "written with a dot"),
        ({"$xor": []}, "unknown key"),
        ({"$or": []}, "at least one"),
        ({"$and": [{"a": 1}, {"b": {"$in": 5}}]}, r"\$and\[1\]\.b\.\$in"),
        ({"k": {}}, "expected an operator"),
        ({"k": {"$gt": None}}, "a number, a string or a boolean"),
    ],
)
def test_a_filter_that_means_nothing_is_refused_by_its_place(
    where: dict[str, Any], message: str, points: rac.Collection
) -> None:
    calls: list[Callable[[], object]] = [
        lambda: points.search([0, 0], where=where),
        lambda: points.search_batch([[0, 0]], where=where),
        lambda: points.count(where),
        lambda: points.delete(where=where),
    ]
    for call in calls:
        with pytest.raises(FilterError, match=message):
            call()


@pytest.mark.parametrize("where", ["x", 5, [{"a": 1}], {"a": {1, 2}}, {"a": b"x"}, {1: 2}])
def test_a_filter_that_is_no_json_object_is_a_type_error(
    where: Any, points: rac.Collection
) -> None:
    with pytest.raises(TypeError, match="where"):
        points.search([0, 0], where=where)


def test_delete_needs_to_be_told_what(points: rac.Collection) -> None:
    points.upsert(1, [0, 0])
    for arguments in ({}, {"ids": 1, "where": {"a": 1}}):
        with pytest.raises(ArgumentError, match="either ids or where"):
            points.delete(**arguments)  # type: ignore[arg-type]
    assert len(points) == 1


# -- collections of a database ---------------------------------------------------------------------


def test_collections_are_made_listed_and_dropped(database: rac.Database) -> None:
    assert database.collections() == []
    b, a = (
        database.collection("b", dimension=1),
        database.collection("a", dimension=2, metric="dot"),
    )
    a.upsert(1, [1, 2])
    b.upsert([1, 2], [[1], [2]])
    assert database.collections() == ["a", "b"]
    assert (len(a), len(b)) == (1, 2)
    again = database.collection("a")
    assert (again.name, again.dimension, again.metric, again.model) == ("a", 2, "dot", None)
    assert len(again) == 1
    database.drop("a")
    assert database.collections() == ["b"]
    with pytest.raises(NotFoundError):
        len(a)
    assert not [p for p in Path(database.path).rglob("*") if p.name == "a"]
    assert len(database.collection("a", dimension=3)) == 0
    assert len(b) == 2


def test_stats_add_up(points: rac.Collection, database: rac.Database) -> None:
    points.upsert(range(5000), np.ones((5000, 2)), texts=["text"] * 5000)
    points.delete(range(4000))
    stats = points.stats()
    assert stats["records"] == 1000
    on_disk = sum(p.stat().st_size for p in Path(database.path).rglob("*") if p.is_file())
    assert stats["file_bytes"] <= database.stats()["file_bytes"] <= on_disk
    assert stats["live_bytes"] > 0 < stats["dead_bytes"]
    assert stats["live_bytes"] + stats["dead_bytes"] <= stats["file_bytes"]
    assert database.stats()["collections"] == {"points": stats}
    points.compact()
    after = points.stats()
    assert after["dead_bytes"] <= FRAMES
    assert after["file_bytes"] < stats["file_bytes"]
    assert len(points) == 1000


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"dimension": 3}, SchemaError),
        ({"metric": "cosine"}, SchemaError),
        ({"metric": "hamming"}, ArgumentError),
        ({"name": "new"}, NotFoundError),
        ({"name": "new", "dimension": 0}, ArgumentError),
        ({"name": "new", "dimension": -1}, ArgumentError),
        ({"name": "new", "dimension": 65537}, ArgumentError),
        ({"name": "new", "dimension": 2.0}, TypeError),
        ({"name": "", "dimension": 2}, ArgumentError),
        ({"name": "../up", "dimension": 2}, ArgumentError),
        ({"name": ".hidden", "dimension": 2}, ArgumentError),
        ({"name": "x" * 129, "dimension": 2}, ArgumentError),
        ({"name": 5, "dimension": 2}, TypeError),
        ({"name": "new", "model": 5}, TypeError),
        ({"name": "new", "model": "no-such-model"}, ModelError),
    ],
)
def test_a_collection_that_cannot_be_is_refused(
    arguments: dict[str, Any],
    error: type[Exception],
    points: rac.Collection,
    database: rac.Database,
) -> None:
    with pytest.raises(error):
        database.collection(**{"name": "points", **arguments})
    assert database.collections() == ["points"]


def test_a_model_and_a_dimension_must_agree(
    points: rac.Collection, database: rac.Database, tiny_model: Path
) -> None:
    with pytest.raises(DimensionError, match="32"):
        database.collection("new", dimension=3, model=tiny_model)
    with pytest.raises(SchemaError, match="dimension 2.*dimension 32"):
        database.collection("points", model=tiny_model)
    notes = database.collection("new", dimension=32, model=tiny_model)
    assert notes.upsert(["a", "b"], texts=["a text", "another"]) == 2
    assert notes.search("a text", limit=1)[0].id == "a"
    assert notes.search_batch(["another", "a text"], limit=1)[0].tolist() == [["b"], ["a"]]
    with pytest.raises(TypeError, match="text 1 is None"):
        notes.upsert(["a", "b"], texts=["a text", None])


def test_what_is_not_there_is_a_key_error(database: rac.Database) -> None:
    for call in (lambda: database.collection("nope"), lambda: database.drop("nope")):
        with pytest.raises(KeyError, match="no collection named .nope.") as caught:
            call()
        assert isinstance(caught.value, NotFoundError)


# -- opening and closing ---------------------------------------------------------------------------


def test_a_database_is_open_once(tmp_path: Path) -> None:
    path = tmp_path / "db.rac"
    program = """
import os, sys
import rust_ai_core as rac
try:
    rac.open(sys.argv[1])
except rac.errors.LockedError as error:
    assert isinstance(error, OSError)
    assert sys.argv[1] in str(error) and str(os.getppid()) in str(error), error
    sys.exit(7)
"""
    command = [sys.executable, "-c", program, str(path)]
    with rac.open(path):
        with pytest.raises(LockedError, match="db.rac"):
            rac.open(path)
        assert subprocess.run(command, timeout=60, check=False).returncode == 7
        assert rac.verify(path).ok
    assert subprocess.run(command, timeout=60, check=False).returncode == 0
    rac.open(path).close()


def test_a_closed_database_says_so(points: rac.Collection, database: rac.Database) -> None:
    points.upsert(1, [0, 0])
    iterator = iter(points)
    states = [database.closed]
    for _ in range(2):
        database.close()
        states.append(database.closed)
    assert states == [False, True, True]
    calls: list[Callable[[], object]] = [
        lambda: points.upsert(1, [0, 0]), lambda: points.get([1]), lambda: points.delete(1),
        lambda: points.delete(where={"a": 1}), lambda: points.search([0, 0]),
        lambda: points.search_batch([[0, 0]]), points.count, lambda: points.count({"a": 1}),
        points.sources, points.compact, points.flush, points.stats, lambda: len(points),
        lambda: next(iterator), lambda: list(points), lambda: 1 in points,
        lambda: database.collection("points"), lambda: database.collection("x", dimension=1),
        database.collections, lambda: database.drop("points"), database.flush, database.stats,
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ClosedError, match="closed"):
            call()
    assert "closed" in repr(points)
    assert "closed" in repr(database)


def test_a_path_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("precious", encoding="utf-8")
    folder.mkdir()
    (folder / "thesis.txt").write_text("precious", encoding="utf-8")
    for path, message in [(file, "it is a file"), (folder, "not empty")]:
        with pytest.raises(StorageError, match=f"{path} is not a rust_ai_core database.*{message}"):
            rac.open(path)
        with pytest.raises(OSError, match=str(path)):
            rac.verify(path)
    with pytest.raises(StorageError, match="nowhere"):
        rac.verify(tmp_path / "nowhere")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder", "thesis.txt"]


def test_arguments_of_open_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="durability"):
        rac.open(tmp_path / "db.rac", durability="none")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        rac.open(5)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_paths_in_any_language(tmp_path: Path) -> None:
    path = tmp_path / "Überblick 漢字 \U0001f600" / "db"
    with rac.open(path) as db:
        assert db.path == str(path)
        db.collection("a", dimension=1).upsert("é", [1])
    with rac.open(str(path)) as db:
        assert "é" in db.collection("a")
    assert rac.verify(path).collections["a"]["records"] == 1


# -- damage ----------------------------------------------------------------------------------------


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


# -- many threads ----------------------------------------------------------------------------------


def test_threads_write_and_read_one_collection(database: rac.Database) -> None:
    collection = database.collection("busy", dimension=4, metric="dot")
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for number in range(40):
                ids = [f"{thread}-{number}-{n}" for n in range(5)]
                collection.upsert(ids, np.full((5, 4), thread + 1), metadata={"thread": thread})
                assert all(record is not None for record in collection.get(ids))
                hits = collection.search([1, 1, 1, 1], limit=3, where={"thread": thread})
                assert [hit.score for hit in hits] == [4 * (thread + 1)] * 3
                collection.delete(ids[:2])
                assert ids[0] not in collection
                assert sum(1 for record in collection if record.id == ids[4]) == 1
                if number % 20 == thread:
                    collection.compact()
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failures
    assert len(collection) == 8 * 40 * 3
    assert all(collection.count({"thread": n}) == 120 for n in range(8))
    database.close()
    assert rac.verify(database.path).ok


def test_an_iteration_outlives_deletions(points: rac.Collection) -> None:
    points.upsert(range(1000), np.zeros((1000, 2)))
    iterator = iter(points)
    first = next(iterator)
    points.delete(range(500, 1000))
    seen = [first.id, *(record.id for record in iterator)]
    assert seen[:500] == list(range(500))
    assert len(set(seen)) == len(seen)
