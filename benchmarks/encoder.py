"""The text encoder against ONNX Runtime and sentence-transformers, on the same texts."""

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import rust_ai_core as rac
from benchmarks.data import long_texts, short_texts
from benchmarks.encoder_peers import ONNX_FOLDER, Encodes, FloatArray, OnnxEncoder, TorchEncoder
from benchmarks.measure import Timings, interleave
from benchmarks.processes import in_fresh_process, in_mib, peak_resident_bytes, resident_bytes
from benchmarks.results import Goal, Outcome, Table

OURS = "rust_ai_core"
ORT = "onnxruntime f32"
ORT_SORTED = "onnxruntime f32, sorted by length"
ORT_INT8 = "onnxruntime int8, sorted by length"
TORCH = "sentence-transformers"


def run(definition: Mapping[str, Any]) -> Outcome:
    """Measure every case of the definition."""
    ours = rac.Encoder(cache=False)
    makers, notes = _makers(Path(ours.path), definition)
    contenders = {name: make() for name, make in makers.items()}
    tables, goals, rounds = [], [], {}
    for case in definition["cases"]:
        texts, origin = _texts(case)
        name = f"{case['texts']}, one at a time" if case["each_alone"] else case["texts"]
        timings = _measure(contenders, texts, case["each_alone"], definition["rounds"])
        vectors = {contender: peer.encode(texts) for contender, peer in contenders.items()}
        lengths = [len(tokens) for tokens in ours.tokenize(texts)]
        tables.append(_table(f"{name}: {len(texts)} {origin}", lengths, vectors, timings))
        goals += _goals(name, vectors, timings, definition)
        rounds[name] = timings.seconds
    tables.append(_memory(list(makers), Path(ours.path), definition))
    return Outcome(tables, goals, notes, rounds)


def _makers(
    folder: Path, definition: Mapping[str, Any]
) -> tuple[dict[str, Callable[[], Encodes]], list[str]]:
    """How to load each contender from the model's folder, and which ones cannot run here."""
    size = {"batch": definition["batch"], "max_tokens": definition["max_tokens"]}
    makers: dict[str, Callable[[], Encodes]] = {OURS: rac.Encoder}
    notes = []

    def onnx(file: str, by_length: bool) -> Callable[[], Encodes]:
        model, tokenizer = ONNX_FOLDER / file, folder / "tokenizer.json"
        return lambda: OnnxEncoder(model, tokenizer, by_length=by_length, **size)

    if not ONNX_FOLDER.is_dir():
        notes.append("ONNX Runtime was left out: its model is in ../shared, which is not here.")
    elif _missing("onnxruntime", "tokenizers"):
        notes.append("ONNX Runtime was left out: pip install onnxruntime tokenizers.")
    else:
        makers[ORT] = onnx("model.onnx", by_length=False)
        makers[ORT_SORTED] = onnx("model.onnx", by_length=True)
        makers[ORT_INT8] = onnx("model.int8.onnx", by_length=True)
    if _missing("sentence_transformers"):
        notes.append("sentence-transformers was left out: it is not installed.")
    else:
        makers[TORCH] = lambda: TorchEncoder(folder, **size)
    return makers, notes


def _missing(*packages: str) -> bool:
    return any(importlib.util.find_spec(package) is None for package in packages)


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
    title: str, lengths: list[int], vectors: Mapping[str, FloatArray], timings: Timings
) -> Table:
    texts, tokens = len(lengths), sum(lengths)
    reference = vectors.get(ORT, vectors[OURS])
    columns = (
        "contender",
        "texts/s",
        "tokens/s",
        "ms a text",
        "rust_ai_core's speed over it",
        "mean cosine to f32",
        "least cosine to f32",
    )
    rows = []
    for contender, found in vectors.items():
        seconds = timings.median(contender)
        ratio = str(timings.speedup(OURS, over=contender))
        cosines = _cosines(found, reference)
        speeds = texts / seconds, tokens / seconds, seconds / texts * 1e3
        accuracy = f"{cosines.mean():.7f}", f"{cosines.min():.7f}"
        rows.append((contender, *speeds, ratio, *accuracy))
    return Table(f"{title}, {tokens / texts:.0f} tokens each", columns, rows)


def _goals(
    name: str,
    vectors: Mapping[str, FloatArray],
    timings: Timings,
    definition: Mapping[str, Any],
) -> list[Goal]:
    if ORT not in vectors:
        return []
    ratios = {peer: timings.speedup(OURS, over=peer) for peer in (ORT, ORT_SORTED)}
    peer, ratio = min(ratios.items(), key=lambda item: item[1].median)
    least = float(_cosines(vectors[OURS], vectors[ORT]).min())
    faster = definition["goal_faster_than_onnxruntime"]
    return [
        Goal(f"{name}: times faster than {peer}", faster, ratio.median, str(ratio)),
        Goal(
            f"{name}: least cosine to {ORT}",
            definition["goal_least_cosine"],
            least,
            f"{least:.7f}",
        ),
    ]


def _cosines(a: FloatArray, b: FloatArray) -> Any:
    left, right = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return np.einsum("nd,nd->n", left, right) / lengths


def _memory(makers: list[str], folder: Path, definition: Mapping[str, Any]) -> Table:
    rows: list[tuple[str | float, ...]] = [
        (name, *map(in_mib, in_fresh_process(memory_of, name, folder, definition)))
        for name in makers
    ]
    columns = ("contender", "MiB before", "MiB loaded", "MiB after encoding", "MiB at most")
    return Table("Resident memory, each in a process of its own", columns, rows)


def memory_of(
    contender: str, folder: Path, definition: Mapping[str, Any]
) -> tuple[int | None, int | None, int | None, int]:
    """This process's memory before a contender is loaded, after, and after it encoded."""
    makers, _ = _makers(folder, definition)
    before = resident_bytes()
    peer = makers[contender]()
    loaded = resident_bytes()
    for case in definition["cases"]:
        if not case["each_alone"]:
            peer.encode(_texts(case)[0])
    return before, loaded, resident_bytes(), peak_resident_bytes()
