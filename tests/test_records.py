"""Records: what goes in comes out, in any order of operations, and errors say what is wrong."""

import datetime
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import rust_ai_core as rac
from records import Content, Key, content
from rust_ai_core.errors import (
    ArgumentError,
    DimensionError,
    NonFiniteError,
)

# Bytes of a compacted log that are no record's: the seal, and the frame around the records.
FRAMES = 128


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
