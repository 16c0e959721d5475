"""Ingest some thousands of real documents, ask five questions, say what it took.

`make demo` runs this. The documents are documentation found on this machine: Rust's own books and
library reference, which come with the toolchain, then what cargo, the system and Python packages
brought along. `--corpus DIR` takes them from a folder of yours.
"""

import argparse
import os
import resource
import shutil
import statistics
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import demo_corpus

import rust_ai_core as rac

QUESTIONS = (
    "what happens when an array index is out of bounds?",
    "how can several threads share a value and change it safely?",
    "why may I not use a variable after it was moved?",
    "how do I call Rust from a C program?",
    "read a file line by line",
)
REPETITIONS = 20
FOLDER = Path(__file__).resolve().parent.parent / "target" / "demo"


def main() -> None:
    """Run the demonstration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="choose documents from here")
    parser.add_argument(
        "--question", action="append", metavar="TEXT", help="ask this instead; repeatable"
    )
    options = parser.parse_args()
    if options.corpus and not options.corpus.is_dir():
        parser.error(f"there is no folder {options.corpus}")
    questions = options.question or QUESTIONS

    corpus = demo_corpus.gather(FOLDER / "corpus", options.corpus)
    if not corpus.kinds:
        sys.exit("found no documents; give a folder of them: examples/demo.py --corpus DIR")
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in corpus.kinds.items())
    print(
        f"{corpus.kinds.total():,} documents, {corpus.characters / 1e6:.1f} M characters: {kinds}"
    )

    path = FOLDER / "documents.rac"
    shutil.rmtree(path, ignore_errors=True)
    start = time.perf_counter()
    encoder = rac.Encoder("minilm")
    print(
        f"model {encoder.name} in {time.perf_counter() - start:.1f} s, {rac.thread_count()} threads"
    )

    with rac.open(path) as database:
        documents = database.collection("documents", model=encoder)
        print("ingesting; the model takes a few minutes for so much text", flush=True)
        # A document is known by the path it was ingested by: from here that is a short one.
        os.chdir(corpus.folder)
        report = documents.ingest(".", progress=True)
        answer(documents, questions)
        figures(documents, report, path, questions)

        start = time.perf_counter()
        again = documents.ingest(".")
        print(
            f"\ningesting the same folder again: {again.unchanged:,} documents unchanged, "
            f"{again.ingested} ingested, {again.tokens} tokens embedded, "
            f"{time.perf_counter() - start:.2f} s"
        )


def answer(documents: rac.Collection, questions: Sequence[str]) -> None:
    """Print the three best hits of every question: score, source, line, text."""
    for question in questions:
        print(f"\n{question}")
        for hit in documents.search(question, limit=3):
            text = textwrap.shorten(hit.text or "", 160, placeholder=" ...")
            print(f"  {hit.score:.3f}  {hit.source}:{hit.line}")
            print(textwrap.fill(text, 96, initial_indent=" " * 9, subsequent_indent=" " * 9))


def figures(
    documents: rac.Collection,
    report: rac.IngestReport,
    path: Path,
    questions: Sequence[str],
) -> None:
    """Print what the ingest and the searches took."""
    seconds = report.seconds["total"]
    stages = ", ".join(
        f"{stage} {value:.1f}" for stage, value in report.seconds.items() if stage != "total"
    )
    disk = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    # The collection's own encoder remembers what it has embedded.
    encoder = rac.Encoder("minilm", cache=False)
    embedding = median_milliseconds(lambda question: encoder.encode([question]), questions)
    vectors = encoder.encode(questions)
    searching = median_milliseconds(lambda vector: documents.search(vector, limit=10), vectors)
    rows = {
        "documents": f"{report.ingested:,} ({len(report.skipped)} skipped)",
        "chunks": f"{report.chunks:,}",
        "tokens": f"{report.tokens:,}",
        "seconds": f"{seconds:.1f} ({stages})",
        "documents/s": f"{report.ingested / seconds:.1f}",
        "tokens/s": f"{report.tokens / seconds:,.0f}",
        "on disk": f"{disk / 1e6:.1f} MB",
        "in memory": memory(),
        "a question": f"{embedding:.2f} ms to embed, {searching:.2f} ms to search (medians)",
    }
    print()
    for name, value in rows.items():
        print(f"{name:<14} {value}")


def median_milliseconds(act: Callable[[Any], object], values: Iterable[Any]) -> float:
    """Return the median time of `act`, over all values many times."""
    times = []
    for _ in range(REPETITIONS):
        for value in values:
            start = time.perf_counter()
            act(value)
            times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def memory() -> str:
    """Return the resident memory of this process, now (where that can be told) and at most."""
    unit = 1 if sys.platform == "darwin" else 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return f"at most {most / 1e6:.0f} MB resident"
    now = int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return f"{now / 1e6:.0f} MB resident, at most {most / 1e6:.0f} MB"


if __name__ == "__main__":
    main()
