"""`rust_ai_core.similarity` on float16, bfloat16, int8 and packed bits, against NumPy."""

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rust_ai_core import similarity
from rust_ai_core.errors import ArgumentError, DimensionError

Array = npt.NDArray[Any]

FLOATS: dict[str, Any] = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
NARROW: dict[str, Any] = {**FLOATS, "int8": np.int8}
LENGTHS = [*range(70), 127, 128, 129, 384, 1000, 70_000]


def random_array(name: str, shape: int | tuple[int, ...], seed: int) -> Array:
    random = np.random.default_rng(seed)
    if name == "int8":
        return random.integers(-128, 128, shape).astype(np.int8)
    return random.standard_normal(shape).astype(NARROW[name])


def true_dot(a: Array, b: Array) -> float:
    return float(a.astype(np.float64) @ b.astype(np.float64))


def true_squared_l2(a: Array, b: Array) -> float:
    difference = a.astype(np.float64) - b.astype(np.float64)
    return float(difference @ difference)


def true_cosine(a: Array, b: Array) -> float:
    norms = math.sqrt(true_dot(a, a)) * math.sqrt(true_dot(b, b))
    return true_dot(a, b) / norms if norms else 0.0


PAIRS: dict[str, tuple[Callable[[Any, Any], float], Callable[[Array, Array], float]]] = {
    "dot": (similarity.dot, true_dot),
    "cosine": (similarity.cosine, true_cosine),
    "squared_l2": (similarity.squared_l2, true_squared_l2),
    "l2": (similarity.l2, lambda a, b: math.sqrt(true_squared_l2(a, b))),
}
MANY: dict[str, tuple[Callable[[Any, Any], Array], Callable[[Array, Array], float]]] = {
    "dot": (similarity.dot_many, true_dot),
    "cosine": (similarity.cosine_many, true_cosine),
    "l2": (similarity.squared_l2_many, true_squared_l2),
}


def check_pair(name: str, given_a: Any, given_b: Any, a: Array, b: Array) -> None:
    function, truth = PAIRS[name]
    found = function(given_a, given_b)
    assert type(found) is float
    # What rounding may do grows with the terms, not with a sum in which they cancel.
    scale = 1.0 if name == "cosine" else true_dot(a, a) + true_dot(b, b)
    assert found == pytest.approx(truth(a, b), rel=1e-12, abs=1e-13 * scale)


# -- pairs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("dtype", NARROW)
def test_pairs_are_as_numpy_says_in_64_bits(dtype: str, length: int) -> None:
    a, b = random_array(dtype, length, 1), random_array(dtype, length, 2)
    for name in PAIRS:
        check_pair(name, a, b, a, b)
    assert similarity.norm(a) == pytest.approx(math.sqrt(true_dot(a, a)), rel=1e-12)


def strided(values: Array) -> Array:
    return np.repeat(values, 2)[::2]


def misaligned(values: Array) -> Array:
    return np.frombuffer(b"?" + values.tobytes(), values.dtype, offset=1)


def read_only(values: Array) -> Array:
    values = values.copy()
    values.flags.writeable = False
    return values


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "strided": strided,
    "backwards": lambda v: v[::-1].copy()[::-1],
    "a column": lambda v: np.stack([v, v], axis=1)[:, 0],
    "misaligned": misaligned,
    "read-only": read_only,
    "from an odd element on": lambda v: np.concatenate([v[:1], v])[1:],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", NARROW)
def test_layouts(dtype: str, layout: str) -> None:
    a, b = random_array(dtype, 131, 3), random_array(dtype, 131, 4)
    for name in PAIRS:
        check_pair(name, LAYOUTS[layout](a), LAYOUTS[layout](b), a, b)
        check_pair(name, a, LAYOUTS[layout](b), a, b)


@pytest.mark.parametrize("other", [*NARROW, "float32", "float64", "int32", ">f2"])
@pytest.mark.parametrize("dtype", NARROW)
def test_types_may_differ(dtype: str, other: str) -> None:
    a = random_array(dtype, 45, 5)
    b = np.arange(45).astype(NARROW.get(other, other))
    for name in PAIRS:
        check_pair(name, a, b, a, b)
        check_pair(name, b, a, b, a)
        check_pair(name, a, b.tolist(), a, b)


@pytest.mark.parametrize("dtype", FLOATS)
def test_every_number_there_is(dtype: str) -> None:
    every = np.arange(1 << 16).astype(np.uint16).view(FLOATS[dtype])
    with np.errstate(invalid="ignore"):  # NumPy's cast warns of signalling NaNs.
        expected = every.astype(np.float64)
    one = np.ones(1, FLOATS[dtype])
    found = np.array([similarity.dot(every[n : n + 1], one) for n in range(len(every))])
    np.testing.assert_array_equal(found, expected)
    # float32 holds them all exactly too.
    np.testing.assert_array_equal(similarity.dot_many(one, every.reshape(-1, 1)), expected)


@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_and_infinity_follow_ieee(dtype: str) -> None:
    def vector(*numbers: float) -> Array:
        return np.array(numbers, FLOATS[dtype])

    assert similarity.dot(vector(math.inf, 1), vector(2, 3)) == math.inf
    assert math.isnan(similarity.dot(vector(math.inf, 1), vector(0, 3)))
    assert math.isnan(similarity.norm(vector(math.nan, 1)))
    assert math.isnan(similarity.squared_l2(vector(math.inf), vector(math.inf)))
    assert math.isnan(similarity.cosine(vector(math.nan, 1), vector(1, 1)))
    assert similarity.cosine(vector(0, 0), vector(1, 1)) == 0


def test_sums_of_bytes_are_exact() -> None:
    least = np.full(300_000, -128, np.int8)
    assert similarity.dot(least, least) == 128 * 128 * 300_000
    assert similarity.squared_l2(least, np.full(300_000, 127, np.int8)) == 255 * 255 * 300_000


@pytest.mark.parametrize("name", PAIRS)
def test_lengths_must_be_equal(name: str) -> None:
    for dtype in NARROW:
        with pytest.raises(ValueError, match="^Vectors must be same length$"):
            PAIRS[name][0](random_array(dtype, 3, 1), random_array(dtype, 4, 1))


# -- rows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MANY)
@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (7, 3), (300, 17), (600, 64), (3, 1000)])
@pytest.mark.parametrize("dtype", NARROW)
def test_many_are_as_numpy_says(dtype: str, shape: tuple[int, int], name: str) -> None:
    rows = random_array(dtype, shape, 6)
    function, truth = MANY[name]
    layouts = [
        rows,
        np.asfortranarray(rows),
        np.repeat(rows, 2, axis=0)[::2],
        rows[:, ::-1][:, ::-1],
    ]
    for kind in [dtype, "float32"]:
        query = random_array(dtype, shape[1], 7).astype(NARROW.get(kind, kind))
        expected = np.array([truth(query, row) for row in rows])
        scale = 1.0 if name == "cosine" else max(1.0, true_dot(query, query))
        for layout in layouts:
            found = function(query, layout)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("dtype", NARROW)
def test_top_k_of_narrow_rows(dtype: str, metric: Any) -> None:
    rows = random_array(dtype, (1000, 24), 8)
    query = rows[700]
    indices, scores = similarity.top_k(query, rows, 20, metric)
    expected = np.array([MANY[metric][1](query, row) for row in rows])
    order = np.argsort(expected if metric == "l2" else -expected, kind="stable")[:20]
    np.testing.assert_allclose(scores, expected[order], rtol=1e-5, atol=1e-3)
    if metric != "dot":
        assert indices[0] == 700


# -- pairwise --------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("dtype", [*NARROW, "float32", "float64"])
@pytest.mark.parametrize("shapes", [(1, 1, 1), (3, 5, 7), (70, 130, 33), (130, 4200, 5), (0, 4, 3)])
def test_pairwise_is_as_numpy_says(metric: Any, dtype: str, shapes: tuple[int, int, int]) -> None:
    n, m, width = shapes
    wide = dtype.startswith("float") and dtype not in FLOATS
    a = random_array("float16" if wide else dtype, (n, width), 9).astype(NARROW.get(dtype, dtype))
    b = random_array("float16" if wide else dtype, (m, width), 10).astype(NARROW.get(dtype, dtype))
    found = similarity.pairwise(a, b, metric)
    assert found.shape == (n, m)
    assert found.dtype == (np.float64 if dtype == "float64" else np.float32)
    x, y = a.astype(np.float64), b.astype(np.float64)
    expected = x @ y.T
    if metric == "cosine":
        norms = np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1))
        expected = np.divide(expected, norms, out=np.zeros_like(expected), where=norms > 0)
    elif metric == "l2":
        expected = ((x[:, None] - y[None]) ** 2).sum(axis=2)
    scale = 1.0 if metric == "cosine" else float(np.abs(x).max(initial=1) ** 2 * width)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-7 * scale)


def test_pairwise_of_one_matrix_is_with_itself() -> None:
    rows = [[1, 0], [0, 2], [3, 4]]
    found = similarity.pairwise(rows)
    np.testing.assert_allclose(found, similarity.pairwise(rows, rows))
    np.testing.assert_allclose(np.diag(found), 1, rtol=1e-6)
    np.testing.assert_allclose(found, found.T)
    assert similarity.pairwise([[0, 0]], rows).tolist() == [[0, 0, 0]]
    assert similarity.pairwise([], rows).shape == (0, 3)


def test_pairwise_checks_its_arguments() -> None:
    with pytest.raises(DimensionError, match="a have 2 elements, the rows of b have 3"):
        similarity.pairwise([[1, 2]], [[1, 2, 3]])
    with pytest.raises(ArgumentError, match="hamming.*not 'euclid'|not \"euclid\""):
        similarity.pairwise([[1, 2]], metric="euclid")  # type: ignore[arg-type]
    with pytest.raises(DimensionError):
        similarity.pairwise(np.ones((2, 2, 2)))
    with pytest.raises(TypeError):
        similarity.pairwise([["a"]])


# -- bits ------------------------------------------------------------------------------------------


def true_hamming(a: Array, b: Array) -> int:
    return int(np.unpackbits(np.bitwise_xor(a, b)).sum())


@pytest.mark.parametrize("length", [*range(140), 1000, 100_000])
def test_hamming_is_as_numpy_says(length: int) -> None:
    a, b = (np.random.default_rng(n).integers(0, 256, length).astype(np.uint8) for n in range(2))
    found = similarity.hamming(a, b)
    assert type(found) is int
    assert found == true_hamming(a, b)
    assert similarity.hamming(a, a) == 0


def test_packed_bits_may_be() -> None:
    a, b = np.arange(50, dtype=np.uint8), np.arange(200, 250, dtype=np.uint8)
    kinds: list[Callable[[Array], Any]] = [
        lambda v: v.tobytes(),
        lambda v: bytearray(v.tobytes()),
        lambda v: memoryview(v.tobytes()),
        lambda v: v.tolist(),
        lambda v: tuple(v.tolist()),
        *LAYOUTS.values(),
    ]
    for kind in kinds:
        assert similarity.hamming(kind(a), kind(b)) == true_hamming(a, b)
        rows = np.stack([a, b])
        expected = [true_hamming(a, a), true_hamming(a, b)]
        assert similarity.hamming_many(kind(a), rows).tolist() == expected


NOT_BITS = [
    "12", None, 3, [256], [-1], [0.5], np.zeros(3), np.zeros(3, np.int8), np.zeros(3, bool),
    np.zeros(3, np.uint16),
]  # fmt: skip


@pytest.mark.parametrize("bad", NOT_BITS, ids=repr)
def test_what_is_no_bytes_is_a_type_error(bad: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        similarity.hamming(bad, b"123")
    with pytest.raises((TypeError, ValueError)):
        similarity.hamming(b"123", bad)


def test_bits_are_checked() -> None:
    with pytest.raises(ValueError, match="^Vectors must be same length$"):
        similarity.hamming(b"12", b"1")
    rows = np.zeros((3, 4), np.uint8)
    with pytest.raises(DimensionError, match="query has 2 bytes, the rows have 4"):
        similarity.hamming_many(b"12", rows)
    with pytest.raises(DimensionError, match="two dimensions"):
        similarity.hamming_many(b"12", rows[0])
    with pytest.raises(TypeError, match="packbits"):
        similarity.hamming_many(b"1234", rows.astype(int))
    with pytest.raises(TypeError, match="packbits"):
        similarity.pairwise(rows.astype(np.float32), metric="hamming")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_rows_of_bits_are_ranked_by_a_stable_sort(data: st.DataObject) -> None:
    width, count = data.draw(st.integers(1, 20)), data.draw(st.integers(0, 600))
    rows = data.draw(hnp.arrays(np.uint8, (count, width), elements=st.integers(0, 7)))
    query = data.draw(hnp.arrays(np.uint8, width, elements=st.integers(0, 7)))
    k = data.draw(st.integers(1, 20))
    expected = np.array([true_hamming(query, row) for row in rows], int)
    assert similarity.hamming_many(query, rows).tolist() == expected.tolist()
    indices, scores = similarity.top_k(query, rows, k, "hamming")
    order = np.argsort(expected, kind="stable")[:k]
    assert indices.tolist() == order.tolist()
    assert scores.tolist() == expected[order].tolist()
    table = similarity.pairwise(rows[:5], rows, "hamming")
    assert table.shape == (min(count, 5), count)
    assert table.tolist() == [[true_hamming(a, b) for b in rows] for a in rows[:5]]


# -- memory ----------------------------------------------------------------------------------------


IN_PLACE = """
import resource, sys
import ml_dtypes
import numpy as np
from rust_ai_core import similarity

dtype = {"bfloat16": ml_dtypes.bfloat16}.get(sys.argv[1], sys.argv[1])
values = np.ones(1 << 26, np.int8) if dtype == "int8" else np.ones(1 << 25, dtype)
rows = values.reshape(-1, 256)
bits = values.view(np.uint8)
bit_rows = bits.reshape(-1, 64)
similarity.dot_many(rows[0], rows[:1000])

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

before = peak()
assert similarity.norm(values) == len(values) ** 0.5
assert abs(similarity.cosine(values, values) - 1) < 1e-12
assert similarity.squared_l2(values, values) == 0
assert similarity.top_k(rows[0], rows, 3, "dot")[1].tolist() == [256.0] * 3
assert similarity.hamming(bits, bits) == 0
assert similarity.top_k(bit_rows[0], bit_rows, 1, "hamming")[1].tolist() == [0.0]
# In kilobytes: the values take 64 MB at least.
assert peak() - before < 8_000, (before, peak())
"""


@pytest.mark.parametrize("dtype", ["int8", "float16", "bfloat16", "float32"])
def test_arrays_are_read_in_place(dtype: str) -> None:
    """In a process of its own, where the peak is not one of other tests."""
    subprocess.run([sys.executable, "-c", IN_PLACE, dtype], check=True, timeout=120)
