"""The seed functions and `rust_ai_core.similarity` against NumPy in 64-bit floats."""

import array
import math
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, Literal

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import rust_ai_core as rac
from rust_ai_core import similarity
from rust_ai_core.errors import ArgumentError, DimensionError

Array = npt.NDArray[Any]
Metric = Literal["cosine", "dot", "l2"]


def true_dot(a: Array, b: Array) -> float:
    return float(np.dot(a.astype(np.float64), b.astype(np.float64)))


def true_norm(a: Array) -> float:
    return math.sqrt(true_dot(a, a))


def true_cosine(a: Array, b: Array) -> float:
    norms = true_norm(a) * true_norm(b)
    return true_dot(a, b) / norms if norms else 0.0


def true_squared_l2(a: Array, b: Array) -> float:
    difference = a.astype(np.float64) - b.astype(np.float64)
    return float(difference @ difference)


PAIRS: dict[str, tuple[Callable[[Any, Any], float], Callable[[Array, Array], float]]] = {
    "fast_vector_similarity": (rac.fast_vector_similarity, true_dot),
    "dot": (similarity.dot, true_dot),
    "cosine": (similarity.cosine, true_cosine),
    "squared_l2": (similarity.squared_l2, true_squared_l2),
}
SINGLES: dict[str, Callable[[Any], float]] = {
    "process_embedding": rac.process_embedding,
    "norm": similarity.norm,
}
DTYPES = ["f2", "f4", "f8", ">f2", ">f4", ">f8", "i1", "u1", "i2", ">i2", "u4", "i8", ">u8", "g"]
MODERATE = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: x if abs(x) > 1e-6 else 0.0)


def check_pair(name: str, given_a: Any, given_b: Any, a: Array, b: Array) -> None:
    function, truth = PAIRS[name]
    found = function(given_a, given_b)
    assert type(found) is float
    # What rounding may do grows with the terms, not with a sum in which they cancel.
    terms = true_dot(abs(a), abs(b)) + true_dot(a, a) + true_dot(b, b)
    scale = 1.0 if name == "cosine" else terms
    assert found == pytest.approx(truth(a, b), rel=1e-12, abs=1e-12 * scale)


# -- against NumPy ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAIRS)
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_two_vectors_are_as_numpy_says(name: str, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, 300))
    vectors = [
        data.draw(hnp.arrays(data.draw(st.sampled_from(["f4", "f8"])), length, elements=MODERATE))
        if data.draw(st.booleans())
        else np.random.default_rng(data.draw(st.integers(0, 999))).standard_normal(length)
        for _ in range(2)
    ]
    check_pair(name, *vectors, *vectors)
    check_pair(name, *(vector.tolist() for vector in vectors), *vectors)


@pytest.mark.parametrize("name", SINGLES)
@settings(max_examples=60, deadline=None)
@given(hnp.arrays("f8", st.integers(0, 300), elements=MODERATE))
def test_the_norm_is_as_numpy_says(name: str, vector: Array) -> None:
    expected = pytest.approx(float(np.linalg.norm(vector)), rel=1e-12)
    assert SINGLES[name](vector) == expected
    assert SINGLES[name](tuple(vector.tolist())) == expected


@pytest.mark.parametrize("length", [*range(40), 63, 64, 65, 127, 384, 1000])
@pytest.mark.parametrize("name", PAIRS)
def test_every_length_and_offset(name: str, length: int) -> None:
    rng = np.random.default_rng(length)
    for dtype in (np.float32, np.float64):
        buffer = rng.standard_normal(2 * length + 10).astype(dtype)
        for offset in (0, 1, 3):
            a, b = buffer[offset : offset + length], buffer[len(buffer) - length :]
            check_pair(name, a, b, a, b)


def test_float32_is_summed_in_float64() -> None:
    a = np.array([1e8, 1, -1e8], np.float32)
    assert rac.fast_vector_similarity(a, np.ones(3, np.float32)) == 1
    assert rac.process_embedding(np.array([3e30, 4e30], np.float32)) == pytest.approx(5e30)


# -- what a vector may be --------------------------------------------------------------------------


class OnlyDLPack:
    def __init__(self, values: Array) -> None:
        self.values = values

    def __dlpack__(self, **options: Any) -> Any:
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.values.__dlpack_device__()


class OnlyInterface:
    def __init__(self, values: Array) -> None:
        self.__array_interface__ = values.__array_interface__
        self.values = values


class OnlyArray:
    def __init__(self, values: Array) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self.values.astype(dtype) if dtype else self.values


def read_only(values: Array) -> Array:
    values = values.copy()
    values.flags.writeable = False
    return values


def misaligned(values: Array) -> Array:
    return np.frombuffer(b"?" + values.tobytes(), values.dtype, offset=1)


def as_type(dtype: str) -> Callable[[Array], Any]:
    return lambda values: values.astype(dtype)


def as_python_array(code: str) -> Callable[[Array], Any]:
    return lambda values: array.array(code, values.astype(int).tolist())


KINDS: dict[str, Callable[[Array], Any]] = {
    "list": lambda v: v.tolist(),
    "tuple": lambda v: tuple(v.tolist()),
    "list of NumPy scalars": list,
    "ints and floats": lambda v: [int(x) if n % 2 else float(x) for n, x in enumerate(v)],
    "read-only": read_only,
    "misaligned": misaligned,
    "every second": lambda v: np.repeat(v, 2)[::2],
    "backwards": lambda v: v[::-1].copy()[::-1],
    "a column": lambda v: np.stack([v, v], axis=1)[:, 0],
    "memoryview": lambda v: v.data,
    "strided memoryview": lambda v: np.repeat(v, 2).data[::2],
    "bfloat16": lambda v: v.astype(ml_dtypes.bfloat16),
    "only __dlpack__": OnlyDLPack,
    "only __array_interface__": OnlyInterface,
    "only __array__": OnlyArray,
    "subclass": lambda v: v.view(type("Sub", (np.ndarray,), {})),
    **{f"array.array {code}": as_python_array(code) for code in "bBhHiIlLqQfd"},
    **{f"NumPy {dtype}": as_type(dtype) for dtype in DTYPES},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_vector_may_be(kind: str, dtype: Any) -> None:
    a = np.arange(19, dtype=dtype)
    b = np.arange(19, dtype=dtype)[::-1].copy()
    for name in PAIRS:
        check_pair(name, KINDS[kind](a), b, a, b)
        check_pair(name, a.tolist(), KINDS[kind](b), a, b)
        check_pair(name, KINDS[kind](a), KINDS[kind](b), a, b)
    for norm in SINGLES.values():
        assert norm(KINDS[kind](a)) == pytest.approx(true_norm(a), rel=1e-12)
    rows = [KINDS[kind](a), KINDS[kind](b)]
    expected = [true_dot(a, a), true_dot(a, b)]
    if not kind.startswith("only"):
        assert similarity.dot_many(KINDS[kind](a), rows).tolist() == expected


@pytest.mark.parametrize("kind", ["only __dlpack__", "only __array_interface__", "only __array__"])
def test_rows_may_be(kind: str) -> None:
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    found = similarity.dot_many([1, 2, 3], KINDS[kind](rows))
    assert found.tolist() == (rows @ [1, 2, 3]).tolist()


def test_a_list_may_be_changed_by_its_own_items() -> None:
    class Shrinks:
        def __float__(self) -> float:
            numbers.clear()
            return 1.0

    numbers: list[Any] = [1.0, Shrinks(), 2.0, 3.0]
    assert rac.process_embedding(numbers) == pytest.approx(math.sqrt(15))
    assert numbers == []


NOT_NUMBERS = [
    "12", b"12", bytearray(b"12"), None, object(), 1j, [1j], ["1"], [None], [[1.0]], [1.0, "2"],
    {1: 2}, {1.0}, iter([1.0]), np.array([True]), np.array([1j]), np.array(["1"]),
    np.array([1.0, None]), np.array(["2026-01-01"], "M8[D]"), array.array("u", "12"),
    np.zeros(2, [("a", "f4"), ("b", "f4")]),
]  # fmt: skip


@pytest.mark.parametrize("bad", NOT_NUMBERS, ids=repr)
def test_what_is_no_vector_is_a_type_error(bad: Any) -> None:
    for norm in SINGLES.values():
        with pytest.raises(TypeError):
            norm(bad)
    for pair, _ in PAIRS.values():
        with pytest.raises(TypeError):
            pair(bad, [1.0])
        with pytest.raises(TypeError):
            pair(np.ones(1), bad)
    with pytest.raises(TypeError):
        similarity.dot_many(bad, [[1.0]])


def test_bools_are_no_numbers_in_whatever_container() -> None:
    for bad in (np.array([True, False]), [True, False], (True,)):
        with pytest.raises(TypeError):
            rac.process_embedding(bad)


def test_an_element_that_is_no_number_is_named() -> None:
    with pytest.raises(TypeError, match="element 2"):
        rac.process_embedding([1, 2, "3"])


@pytest.mark.parametrize("bad", [np.float64(3), np.array(3.0), np.ones((2, 2)), np.ones((0, 3)),
                                 np.ones((1, 3)), np.ones((2, 2)).data], ids=repr)  # fmt: skip
def test_other_than_one_dimension_is_a_value_error(bad: Any) -> None:
    for norm in SINGLES.values():
        with pytest.raises(ValueError, match="one vector.*shape"):
            norm(bad)
    for pair, _ in PAIRS.values():
        with pytest.raises(ValueError, match="one vector.*shape"):
            pair(bad, [1.0])


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("lengths", [(0, 1), (3, 2), (384, 383), (1, 100_000)])
def test_lengths_must_be_equal(name: str, lengths: tuple[int, int]) -> None:
    a, b = (np.ones(length) for length in lengths)
    for given_a, given_b in [(a, b), (a.tolist(), b.tolist()), (a.astype("f4"), b), (b, a)]:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared
            PAIRS[name][0](given_a, given_b)
        assert str(caught.value) == "Vectors must be same length"


def test_an_empty_vector_is_nothing() -> None:
    kinds: list[Any] = [[], (), np.array([]), np.array([], np.float32), array.array("d")]
    for empty in kinds:
        assert all(norm(empty) == 0 for norm in SINGLES.values())
        assert all(pair(empty, []) == 0 for pair, _ in PAIRS.values())


@pytest.mark.parametrize("dtype", [np.float32, np.float64, list])
def test_nan_and_infinity_follow_ieee(dtype: Any) -> None:
    def vector(*numbers: float) -> Any:
        return list(numbers) if dtype is list else np.array(numbers, dtype)

    nan, inf = math.nan, math.inf
    for name in ("fast_vector_similarity", "dot"):
        dot = PAIRS[name][0]
        assert dot(vector(inf, 1), vector(2, 3)) == inf
        assert dot(vector(inf, 1), vector(-2, 3)) == -inf
        assert math.isnan(dot(vector(inf, 1), vector(0, 3)))
        assert math.isnan(dot(vector(inf, inf), vector(1, -1)))
        assert math.isnan(dot(vector(nan, 1), vector(0, 3)))
    for norm in SINGLES.values():
        assert norm(vector(-inf, 1)) == inf
        assert math.isnan(norm(vector(nan, 1)))
    assert similarity.squared_l2(vector(inf), vector(1)) == inf
    assert math.isnan(similarity.squared_l2(vector(inf), vector(inf)))
    assert math.isnan(similarity.cosine(vector(nan, 1), vector(1, 1)))
    assert math.isnan(similarity.cosine(vector(inf, 1), vector(1, 1)))
    assert similarity.cosine(vector(0, 0), vector(1, 1)) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_huge_vector_lets_other_threads_run(dtype: Any) -> None:
    a = np.random.default_rng(0).standard_normal(3_000_000).astype(dtype)
    b = np.ones_like(a)
    expected = pytest.approx(true_dot(a, b), rel=1e-9)
    found: list[float] = []

    def work() -> None:
        found.extend(rac.fast_vector_similarity(a, b) for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 20
    assert all(value == expected for value in found)


# -- one against many ------------------------------------------------------------------------------

MANY: dict[str, tuple[Callable[[Any, Any], Array], Callable[[Array, Array], float]]] = {
    "dot_many": (similarity.dot_many, true_dot),
    "cosine_many": (similarity.cosine_many, true_cosine),
    "squared_l2_many": (similarity.squared_l2_many, true_squared_l2),
}


@pytest.mark.parametrize("name", MANY)
@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (7, 3), (300, 17), (2000, 64), (3, 1000)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_are_as_numpy_says(name: str, shape: tuple[int, int], dtype: Any) -> None:
    rng = np.random.default_rng(shape[0])
    rows = rng.standard_normal(shape).astype(dtype)
    query = rng.standard_normal(shape[1]).astype(dtype)
    function, truth = MANY[name]
    expected = [truth(query, row) for row in rows]
    found = function(query, rows)
    assert found.shape == (shape[0],)
    assert found.dtype == dtype
    exact = 1e-4 if dtype is np.float32 else 1e-12
    scale = max(1, shape[1] / 100)
    np.testing.assert_allclose(found, expected, rtol=exact * scale, atol=exact * scale)
    layouts: list[Any] = [
        np.asfortranarray(rows),
        np.repeat(rows, 2, axis=0)[::2],
        rows[::-1][::-1],
    ]
    for layout in [*layouts, rows.tolist()] if shape[0] else layouts:
        found = function(query, layout)
        np.testing.assert_allclose(found, expected, rtol=1e-4 * scale, atol=1e-4 * scale)


@pytest.mark.parametrize("name", MANY)
def test_the_type_of_scores_is_that_of_the_rows_whatever_their_layout(name: str) -> None:
    rows = np.ones((4, 6))
    for layout in (rows, np.asfortranarray(rows), rows[::2], rows[::-1], rows[:, ::2]):
        query = np.ones(layout.shape[1], np.float32)
        assert MANY[name][0](query, layout).dtype == np.float64
        assert MANY[name][0](query, layout.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("name", MANY)
def test_an_array_of_another_width_is_refused(name: str) -> None:
    for rows in ([[1, 2, 3]], np.ones((4, 1)), np.ones((2, 2, 2)), [[1, 2], [1]]):
        with pytest.raises(DimensionError):
            MANY[name][0]([1, 2], rows)
    for bad in ("ab", None, [["a", "b"]], np.ones((1, 2), bool)):
        with pytest.raises(TypeError):
            MANY[name][0]([1, 2], bad)


SIGN = {"cosine": -1, "dot": -1, "l2": 1}
TRUTH: dict[Metric, Callable[[Array, Array], float]] = {
    "cosine": true_cosine,
    "dot": true_dot,
    "l2": true_squared_l2,
}


@pytest.mark.parametrize("metric", TRUTH)
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_top_k_is_a_stable_sort(metric: Metric, data: st.DataObject) -> None:
    """Small integers are exact in float32, so that ties are ties."""
    columns, count = data.draw(st.integers(1, 5)), data.draw(st.integers(0, 40))
    cells = st.integers(-2, 2) if metric != "cosine" else st.integers(0, 1)
    rows = data.draw(hnp.arrays("f4", (count, columns), elements=cells.map(float)))
    query = data.draw(hnp.arrays("f4", columns, elements=cells.map(float)))
    k = data.draw(st.integers(1, 50))
    given_rows: Any = rows if data.draw(st.booleans()) else rows.astype("f8")
    indices, scores = similarity.top_k(query, given_rows, k, metric)
    assert indices.dtype == np.int64
    assert scores.dtype == np.float32
    expected = np.array([TRUTH[metric](query, row) for row in rows]).reshape(count)
    order = np.argsort(SIGN[metric] * np.round(expected, 6), kind="stable")[:k]
    assert indices.tolist() == order.tolist()
    np.testing.assert_allclose(scores, expected[order], atol=1e-6)


@pytest.mark.parametrize("metric", TRUTH)
def test_top_k_of_many_rows(metric: Metric) -> None:
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((20_000, 24)).astype(np.float32)
    rows[[5, 19_000]] = rows[7000]
    query = rows[7000]
    indices, scores = similarity.top_k(query, rows, 100, metric)
    expected = np.array([TRUTH[metric](query, row) for row in rows])
    order = np.argsort(SIGN[metric] * expected, kind="stable")[:100]
    np.testing.assert_allclose(scores, expected[order], rtol=1e-4, atol=1e-4)
    if metric != "dot":
        assert indices[:3].tolist() == [5, 7000, 19_000]
    assert len(set(indices.tolist())) == 100


def test_top_k_leaves_nan_out() -> None:
    rows = [[math.nan, 0], [1, 0], [math.inf, 0], [0, 1]]
    indices, scores = similarity.top_k([1, 0], rows, 4, "dot")
    assert indices.tolist() == [2, 1, 3]
    assert scores.tolist() == [math.inf, 1, 0]


def test_arguments_of_top_k_are_checked() -> None:
    rows = [[1, 2], [3, 4]]
    with pytest.raises(ArgumentError, match="k must be at least 1"):
        similarity.top_k([1, 2], rows, 0)
    with pytest.raises(ArgumentError, match="-1 is not a number from 0"):
        similarity.top_k([1, 2], rows, -1)
    with pytest.raises(ArgumentError, match="metric"):
        similarity.top_k([1, 2], rows, 1, "euclid")  # type: ignore[arg-type]
    with pytest.raises(DimensionError, match="3 elements.*2"):
        similarity.top_k([1, 2, 3], rows)
    kinds: list[Any] = [[], np.ones((0, 2))]
    for none in kinds:
        indices, scores = similarity.top_k([1, 2], none)
        assert indices.shape == scores.shape == (0,)
    assert len(similarity.top_k([1, 2], rows, 2**62)[0]) == 2


# -- memory ----------------------------------------------------------------------------------------


LEAKS = """
import resource
import numpy as np
import rust_ai_core as rac
from rust_ai_core import similarity

numbers = np.random.default_rng(0).standard_normal(384)
narrow, strided = numbers.astype(np.float32), np.repeat(numbers, 2)[::2]
rows = np.ones((4, 384), np.float32)

def refused():
    try:
        rac.process_embedding([1.0, "x"])
    except TypeError:
        pass

calls = [
    (100_000, lambda: rac.process_embedding(numbers)),
    (100_000, lambda: rac.fast_vector_similarity(numbers, narrow)),
    (100_000, lambda: similarity.cosine(narrow, narrow)),
    (100_000, lambda: similarity.squared_l2(strided, numbers)),
    (100_000, lambda: similarity.norm((1.0, 2.0))),
    (100_000, lambda: similarity.dot([1.0] * 10, [2.0] * 10)),
    (100_000, refused),
    (20_000, lambda: similarity.dot_many(narrow, rows)),
    (20_000, lambda: similarity.cosine_many(narrow, rows)),
    (20_000, lambda: similarity.squared_l2_many(narrow, rows)),
    (20_000, lambda: similarity.top_k(narrow, rows, 2)),
]

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

for _, call in calls:
    for _ in range(2000):
        call()
before = peak()
for times, call in calls:
    for _ in range(times):
        call()
# In kilobytes: less than 16 bytes a call.
assert peak() - before < 1500, (before, peak())
"""


def test_calls_leave_no_memory_behind() -> None:
    """In a process of its own, where the peak is not one of other tests."""
    subprocess.run([sys.executable, "-c", LEAKS], check=True, timeout=120)
