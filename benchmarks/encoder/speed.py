"""The text encoder against ONNX Runtime and sentence-transformers, on the same texts."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import rust_ai_core as rac
from benchmarks.data import long_texts, short_texts
from benchmarks.encoder.contenders import (
    ORT,
    OURS,
    OURS_BF16,
    OURS_INT8,
    Encodes,
    FloatArray,
    makers_of,
)
from benchmarks.measure import Timings, interleave
from benchmarks.results import Goal, Outcome, Table

IntArray = npt.NDArray[np.int64]


def run(definition: Mapping[str, Any]) -> Outcome:
    """Measure every case of the definition."""
    tokenizer = rac.Tokenizer("minilm")
    folder = Path(tokenizer.path).parent
    makers, notes = makers_of(folder, definition)
    contenders = {name: make() for name, make in makers.items()}
    tables, goals, rounds = [], [], {}
    for case in definition["cases"]:
        texts, origin = _texts(case)
        name = f"{case['texts']}, one at a time" if case["each_alone"] else case["texts"]
        timings = _measure(contenders, texts, case["each_alone"], definition["rounds"])
        vectors = {contender: peer.encode(texts) for contender, peer in contenders.items()}
        lengths = np.diff(tokenizer.encode(texts).splits).clip(max=definition["max_tokens"])
        tables.append(_table(f"{name}: {len(texts)} {origin}", lengths, vectors, timings))
        goals += _goals(name, case, vectors, timings, definition)
        rounds[name] = timings.seconds
    return Outcome(tables, goals, notes, rounds)


def _texts(case: Mapping[str, Any]) -> tuple[list[str], str]:
    make = {"short": short_texts, "long": long_texts}[case["texts"]]
    return make(case["count"])


def _measure(
    contenders: Mapping[str, Encodes], texts: list[str], each_alone: bool, rounds: int
) -> Timings:
    calls = [[text] for text in texts] if each_alone else [texts]

    def encode_all(peer: Encodes) -> Callable[[], None]:
        def encode() -> None:
            for call in calls:
                peer.encode(call)

        return encode

    return interleave({name: encode_all(peer) for name, peer in contenders.items()}, rounds)


def _table(
    title: str, lengths: IntArray, vectors: Mapping[str, FloatArray], timings: Timings
) -> Table:
    texts, tokens = len(lengths), int(lengths.sum())
    reference = _reference(vectors)
    columns = (
        "contender",
        "texts/s",
        "tokens/s",
        "ms a text",
        "f32's speed over it",
        "bf16's",
        "int8's",
        "mean cosine to f32",
        "least cosine to f32",
    )
    rows = []
    for contender, found in vectors.items():
        seconds = timings.median(contender)
        ratios = [
            str(timings.speedup(ours, over=contender)) if ours in vectors else "not measured"
            for ours in (OURS, OURS_BF16, OURS_INT8)
        ]
        cosines = _cosines(found, reference)
        speeds = texts / seconds, tokens / seconds, seconds / texts * 1e3
        accuracy = f"{cosines.mean():.7f}", f"{cosines.min():.7f}"
        rows.append((contender, *speeds, *ratios, *accuracy))
    return Table(f"{title}, {tokens / texts:.0f} tokens each", columns, rows)


def _goals(
    name: str,
    case: Mapping[str, Any],
    vectors: Mapping[str, FloatArray],
    timings: Timings,
    definition: Mapping[str, Any],
) -> list[Goal]:
    """What the case asks of speed, and what every precision is held to in quality."""
    goals = []
    for wanted in case["goals"]:
        ours, peers = f"rust_ai_core {wanted['precision']}", wanted["over"]
        ratios = {
            peer: timings.speedup(ours, over=peer)
            for peer in timings.seconds
            if peer in peers and ours in vectors
        }
        if ratios:
            peer, ratio = min(ratios.items(), key=lambda item: item[1].median)
            what = f"{name}: times {wanted['precision']} is as fast as {peer}"
            goals.append(Goal(what, wanted["times"], ratio.median, str(ratio)))
    reference = _reference(vectors)
    for precision, least in definition["goal_least_cosine"].items():
        if f"rust_ai_core {precision}" not in vectors:
            continue
        seen = float(_cosines(vectors[f"rust_ai_core {precision}"], reference).min())
        goals.append(Goal(f"{name}: least cosine of {precision}", least, seen, f"{seen:.7f}"))
    return goals


def _reference(vectors: Mapping[str, FloatArray]) -> FloatArray:
    """ONNX Runtime's vectors in f32, or else those of the first contender."""
    return vectors.get(ORT, next(iter(vectors.values())))


def _cosines(a: FloatArray, b: FloatArray) -> Any:
    left, right = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return np.einsum("nd,nd->n", left, right) / lengths
