"""Filters on metadata against what Python says of them."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rust_ai_core as rac
from filter_oracle import FIELDS, FILTERS, matches
from rust_ai_core.errors import (
    ArgumentError,
    FilterError,
)

Key = int | str


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
