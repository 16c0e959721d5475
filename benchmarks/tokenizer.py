"""`Tokenizer.encode` against the `tokenizers` package and others on the same tokenizer.json."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import rust_ai_core as rac
from benchmarks import data
from benchmarks.measure import Timings, interleave
from benchmarks.results import Goal, Outcome, Table

OURS = "Tokenizer.encode, offsets"
OURS_WITHOUT = "Tokenizer.encode"
REFERENCE = "tokenizers encode_batch"

Contender = Callable[[list[str]], Any]


def run(definition: Mapping[str, Any]) -> Outcome:
    """Measure texts of several lengths; ids and offsets are compared with the reference's."""
    tokenizer = rac.Tokenizer("minilm")
    tables, goals, notes, rounds = [], [], [], {}
    for case in definition["cases"]:
        name = case["texts"]
        texts, description = getattr(data, f"{name}_texts")(case["count"])
        size = sum(len(text.encode()) for text in texts)
        contenders, absent = _contenders(tokenizer)
        differing = _check(tokenizer, contenders, texts)
        calls = {key: _call(encode, texts) for key, encode in contenders.items()}
        timings = interleave(calls, definition["rounds"])
        title = f"{len(texts):,} {description}, {size / 1e6:.1f} MB"
        tables.append(_table(title, contenders, timings, size, differing))
        ratio = timings.speedup(OURS, over=REFERENCE)
        what = f"{name} texts: bytes a second, offsets included, over the `tokenizers` package"
        goals.append(
            Goal(what, definition["goal_faster_than_tokenizers"], ratio.median, str(ratio))
        )
        rounds[name] = timings.seconds
        notes = [f"not installed: {', '.join(absent)}"] if absent else []
    return Outcome(tables, goals, notes, rounds)


def _contenders(tokenizer: rac.Tokenizer) -> tuple[dict[str, Contender], list[str]]:
    import tokenizers

    reference = tokenizers.Tokenizer.from_file(tokenizer.path)
    reference.no_padding()
    reference.no_truncation()
    contenders: dict[str, Contender] = {
        OURS: lambda texts: tokenizer.encode(texts, offsets=True),
        OURS_WITHOUT: tokenizer.encode,
        REFERENCE: reference.encode_batch,
        "tokenizers encode_batch_fast (no offsets)": reference.encode_batch_fast,
    }
    absent = []
    for package, make in (("nanotoken", _nanotoken), ("tokie", _tokie)):
        try:
            contenders[f"{package} (no offsets)"] = make(Path(tokenizer.path))
        except ImportError:
            absent.append(package)
    return contenders, absent


def _nanotoken(path: Path) -> Contender:
    import nanotoken

    encode: Contender = nanotoken.Tokenizer(str(path)).encode_batch
    return encode


def _tokie(path: Path) -> Contender:
    import tokie

    encode: Contender = tokie.Tokenizer.from_json(str(path)).encode_batch_flat
    return encode


def _check(
    tokenizer: rac.Tokenizer, contenders: Mapping[str, Contender], texts: list[str]
) -> dict[str, int]:
    """How many texts have other ids or, where there are any, offsets than the reference."""
    expected = contenders[REFERENCE](texts)
    ours = tokenizer.encode(texts, offsets=True)
    places = ours.offsets
    if places is None:
        raise RuntimeError("offsets were asked for")
    rows = zip(ours.splits.tolist(), ours.splits[1:].tolist(), expected, strict=False)
    wrong = sum(
        ours.ids[start:end].tolist() != one.ids
        or list(map(tuple, places[start:end].tolist())) != one.offsets
        for start, end, one in rows
    )
    differing = {OURS: wrong, OURS_WITHOUT: wrong, REFERENCE: 0}
    name = "nanotoken (no offsets)"
    if name in contenders:
        lists = contenders[name](texts).to_list()
        pairs = zip(lists, expected, strict=True)
        differing[name] = sum(list(ids) != one.ids for ids, one in pairs)
    return differing


def _call(encode: Contender, texts: list[str]) -> Callable[[], object]:
    return lambda: encode(texts)


def _table(
    title: str,
    contenders: Mapping[str, Contender],
    timings: Timings,
    size: int,
    differing: Mapping[str, int],
) -> Table:
    rows: list[tuple[str | float, ...]] = [
        (
            name,
            size / timings.median(name) / 1e6,
            str(timings.speedup(name, over=REFERENCE)),
            str(differing[name]) if name in differing else "not compared",
        )
        for name in contenders
    ]
    columns = ("contender", "MB/s", "times the reference", "texts that differ from it")
    return Table(title, columns, rows)
