"""The text encoder against ONNX Runtime and sentence-transformers, on the same texts."""

import importlib.util
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import rust_ai_core as rac
from benchmarks.data import long_texts, short_text_batches, short_texts
from benchmarks.encoder_peers import ONNX_FOLDER, Encodes, FloatArray, OnnxEncoder, TorchEncoder
from benchmarks.measure import Timings, interleave
from benchmarks.processes import (
    MIB,
    in_fresh_process,
    in_mib,
    peak_resident_bytes,
    resident_bytes,
)
from benchmarks.results import Goal, Outcome, Table

OURS = "rust_ai_core f32"
OURS_BF16 = "rust_ai_core bf16"
OURS_INT8 = "rust_ai_core int8"
ORT = "onnxruntime f32"
ORT_SORTED = "onnxruntime f32, sorted by length"
ORT_INT8 = "onnxruntime int8, sorted by length"
TORCH = "sentence-transformers"


def run(definition: Mapping[str, Any]) -> Outcome:
    """Measure every case of the definition."""
    ours = rac.Encoder(cache=False)
    folder = Path(ours.path)
    makers, notes = _makers(folder, definition)
    contenders = {name: make() for name, make in makers.items()}
    tables, goals, rounds = [], [], {}
    for case in definition["cases"]:
        texts, origin = _texts(case)
        name = f"{case['texts']}, one at a time" if case["each_alone"] else case["texts"]
        timings = _measure(contenders, texts, case["each_alone"], definition["rounds"])
        vectors = {contender: peer.encode(texts) for contender, peer in contenders.items()}
        lengths = [len(tokens) for tokens in ours.tokenize(texts)]
        tables.append(_table(f"{name}: {len(texts)} {origin}", lengths, vectors, timings))
        goals += _goals(name, case, vectors, timings, definition)
        rounds[name] = timings.seconds
    table, scaling_goals = _scaling(folder, definition)
    tables.append(table)
    goals += scaling_goals
    tables.append(_memory(list(makers), folder, definition))
    table, stream_goals = _streaming(folder, definition)
    tables.append(table)
    goals += stream_goals
    return Outcome(tables, goals, notes, rounds)


def _makers(
    folder: Path, definition: Mapping[str, Any]
) -> tuple[dict[str, Callable[[], Encodes]], list[str]]:
    """How to load each contender from the model's folder, and which ones cannot run here."""
    size = {"batch": definition["batch"], "max_tokens": definition["max_tokens"]}
    makers: dict[str, Callable[[], Encodes]] = {
        OURS: lambda: rac.Encoder(cache=False),
        OURS_BF16: lambda: rac.Encoder(precision="bf16", cache=False),
        OURS_INT8: lambda: rac.Encoder(precision="int8", cache=False),
    }
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
            str(timings.speedup(ours, over=contender)) for ours in (OURS, OURS_BF16, OURS_INT8)
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
            peer: timings.speedup(ours, over=peer) for peer in timings.seconds if peer in peers
        }
        if ratios:
            peer, ratio = min(ratios.items(), key=lambda item: item[1].median)
            what = f"{name}: times {wanted['precision']} is as fast as {peer}"
            goals.append(Goal(what, wanted["times"], ratio.median, str(ratio)))
    reference = vectors.get(ORT, vectors[OURS])
    for precision, least in definition["goal_least_cosine"].items():
        seen = float(_cosines(vectors[f"rust_ai_core {precision}"], reference).min())
        goals.append(Goal(f"{name}: least cosine of {precision}", least, seen, f"{seen:.7f}"))
    return goals


def _scaling(folder: Path, definition: Mapping[str, Any]) -> tuple[Table, list[Goal]]:
    """Seconds for the same texts on one thread and on all, in processes of their own."""
    names, threads = (OURS, OURS_BF16, OURS_INT8), definition["threads"]
    seconds: dict[str, dict[int, list[float]]] = {name: {1: [], threads: []} for name in names}
    for _ in range(definition["scaling_rounds"]):
        for name in names:
            for count in (1, threads):
                environment = {"RAC_NUM_THREADS": str(count)}
                taken = in_fresh_process(
                    seconds_of, name, folder, definition, environment=environment
                )
                seconds[name][count].append(taken)
    rows: list[tuple[str | float, ...]] = []
    goals = []
    for name in names:
        one, all_of_them = min(seconds[name][1]), min(seconds[name][threads])
        rows.append((name, one, all_of_them, one / all_of_them))
        what = f"{name}: speed of {threads} threads over one"
        goals.append(Goal(what, definition["goal_scaling"], one / all_of_them))
    columns = ("contender", "s on 1 thread", f"s on {threads}", "ratio of the best rounds")
    return Table("One thread and several, short texts", columns, rows), goals


def seconds_of(contender: str, folder: Path, definition: Mapping[str, Any]) -> float:
    """The best of some encodings of the short texts, in this process."""
    peer = _makers(folder, definition)[0][contender]()
    texts = short_texts(definition["scaling_texts"])[0]
    peer.encode(texts)
    best = float("inf")
    for _ in range(definition["scaling_rounds"]):
        start = time.perf_counter()
        peer.encode(texts)
        best = min(best, time.perf_counter() - start)
    return best


def _streaming(folder: Path, definition: Mapping[str, Any]) -> tuple[Table, list[Goal]]:
    """Peak memory of embedding many texts whose vectors are not kept."""
    rows: list[tuple[str | float, ...]] = []
    goals = []
    for precision, most in definition["goal_most_mib"].items():
        name = f"rust_ai_core {precision}"
        peak = in_fresh_process(peak_of_stream, name, folder, definition) / MIB
        rows.append((name, peak))
        what = f"{name}: part of {most} MiB that was left at the peak"
        goals.append(Goal(what, 0.0, 1 - peak / most, f"{peak:.0f} MiB"))
    title = f"Peak memory of embedding {definition['stream_texts']:,} texts"
    return Table(title, ("contender", "MiB at most"), rows), goals


def peak_of_stream(contender: str, folder: Path, definition: Mapping[str, Any]) -> int:
    """The most memory that this process took to embed many texts, call after call."""
    peer = _makers(folder, definition)[0][contender]()
    for texts in short_text_batches(definition["stream_texts"], definition["stream_batch"]):
        peer.encode(texts)
    return peak_resident_bytes()


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
