"""What a filter means, said again in Python, and strategies for filters and what they meet."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

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
