"""`chunk` against semchunk and LangChain's recursive splitter, all counting the same tokens."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import rust_ai_core as rac
from benchmarks import data
from benchmarks.measure import Timings, interleave
from benchmarks.results import Goal, Outcome, Table

OURS = "chunk"

Splits = Callable[[str], Sequence[str]]


def run(definition: Mapping[str, Any]) -> Outcome:
    """Cut one long text at equal limits; the chunks are held to them."""
    tokenizer = rac.Tokenizer("minilm")
    texts, description = data.long_texts(definition["texts"])
    text = "\n\n".join(texts)
    size = len(text.encode())
    tables, goals, notes, rounds = [], [], [], {}
    for max_tokens in definition["max_tokens"]:
        contenders, absent = _contenders(tokenizer, max_tokens)
        timings = interleave(
            {name: _call(split, text) for name, split in contenders.items()}, definition["rounds"]
        )
        title = f"{len(texts):,} {description}, {size / 1e6:.2f} MB, to {max_tokens} tokens"
        tables.append(_table(title, contenders, timings, text, size, tokenizer, max_tokens))
        for name in contenders:
            if name != OURS:
                ratio = timings.speedup(OURS, over=name)
                what = f"{max_tokens} tokens: times faster than {name}"
                goals.append(Goal(what, definition["goal_faster"], ratio.median, str(ratio)))
        rounds[str(max_tokens)] = timings.seconds
        notes = [f"not installed: {', '.join(absent)}"] if absent else []
    return Outcome(tables, goals, notes, rounds)


def _contenders(tokenizer: rac.Tokenizer, max_tokens: int) -> tuple[dict[str, Splits], list[str]]:
    import tokenizers

    reference = tokenizers.Tokenizer.from_file(tokenizer.path)
    reference.no_padding()
    reference.no_truncation()

    def count(text: str) -> int:
        return len(reference.encode(text, add_special_tokens=False).ids)

    def ours(text: str) -> list[str]:
        chunks = rac.chunk(text, max_tokens=max_tokens, tokenizer=tokenizer)
        return [chunk.text for chunk in chunks]

    contenders: dict[str, Splits] = {OURS: ours}
    absent = []
    try:
        import semchunk

        # Without memory of earlier calls, which would serve the same text again.
        contenders["semchunk"] = semchunk.chunkerify(count, max_tokens, memoize=False)
    except ImportError:
        absent.append("semchunk")
    try:
        from langchain_text_splitters import RecursiveCharacterTextSplitter

        splitter = RecursiveCharacterTextSplitter(
            chunk_size=max_tokens, chunk_overlap=0, length_function=count
        )
        contenders["LangChain, recursive"] = splitter.split_text
    except ImportError:
        absent.append("langchain-text-splitters")
    return contenders, absent


def _call(split: Splits, text: str) -> Callable[[], object]:
    return lambda: split(text)


def _table(
    title: str,
    contenders: Mapping[str, Splits],
    timings: Timings,
    text: str,
    size: int,
    tokenizer: rac.Tokenizer,
    max_tokens: int,
) -> Table:
    rows: list[tuple[str | float, ...]] = []
    for name, split in contenders.items():
        chunks = split(text)
        counts = tokenizer.count(chunks)
        rows.append(
            (
                name,
                size / timings.median(name) / 1e6,
                str(timings.speedup(OURS, over=name)),
                len(chunks),
                float(counts.mean()),
                int((counts > max_tokens).sum()),
            )
        )
    columns = (
        "contender",
        "MB/s",
        f"{OURS}'s speed over it",
        "chunks",
        "tokens a chunk",
        "above the limit",
    )
    return Table(title, columns, rows)
