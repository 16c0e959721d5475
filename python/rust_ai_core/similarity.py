"""Similarities and distances between vectors: SIMD, without the interpreter's lock.

A vector is a list or tuple of numbers, an `array.array`, a NumPy array, or anything with the buffer
protocol, `__array_interface__`, DLPack or Arrow. Arrays of float64, float32, float16, bfloat16 and
int8 are read where they lie; `hamming` takes bits that are packed into bytes. `*_many` compare one
query with the rows of a matrix, `pairwise` compares the rows of two; `top_k` keeps the best.

>>> from rust_ai_core import similarity
>>> similarity.dot([1.0, 2.0], [3.0, 4.0])
11.0
>>> similarity.squared_l2([0.0, 0.0], [3.0, 4.0])
25.0
"""

from rust_ai_core._core import (
    cosine,
    cosine_many,
    dot,
    dot_many,
    hamming,
    hamming_many,
    l2,
    norm,
    pairwise,
    squared_l2,
    squared_l2_many,
    top_k,
)

__all__ = [
    "cosine",
    "cosine_many",
    "dot",
    "dot_many",
    "hamming",
    "hamming_many",
    "l2",
    "norm",
    "pairwise",
    "squared_l2",
    "squared_l2_many",
    "top_k",
]
