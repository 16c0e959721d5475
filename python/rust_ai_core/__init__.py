r"""From files to answers in one process: parse, chunk, embed, store, search. Rust underneath.

>>> import rust_ai_core as rac
>>> with rac.open("notes.rac") as database:
...     notes = database.collection("notes", model="minilm")
...     report = notes.ingest({
...         "keys.md": "# Signing keys\n\nReplace the signing keys every ninety days.",
...         "soup.md": "# Soup\n\nSimmer the lentils for half an hour.",
...     })
...     for hit in notes.search("how often do I rotate credentials?", limit=1):
...         print(f"{hit.source}:{hit.line}")
keys.md:1

Text goes in by `Collection.ingest` (files and folders) or `Collection.upsert`, ready vectors by
`upsert` too. Each stage also stands alone: `parse`, `Encoder`, `rust_ai_core.similarity`.
"""

from rust_ai_core import errors, similarity
from rust_ai_core._core import (
    ArrowStream,
    Chunk,
    Collection,
    Database,
    Document,
    Encoder,
    Hit,
    Index,
    IngestProgress,
    IngestReport,
    Record,
    Reranker,
    Snapshot,
    SparseField,
    SparseVector,
    TokenBatch,
    Tokenizer,
    VectorField,
    VerifyReport,
    __version__,
    chunk,
    fast_vector_similarity,
    kernel_backend,
    open,
    parse,
    parse_text,
    process_embedding,
    restore,
    thread_count,
    verify,
)
from rust_ai_core.distillation import distill
from rust_ai_core.errors import RacError
from rust_ai_core.inference import Explanation, parallel_inference

__all__ = [
    "ArrowStream",
    "Chunk",
    "Collection",
    "Database",
    "Document",
    "Encoder",
    "Explanation",
    "Hit",
    "Index",
    "IngestProgress",
    "IngestReport",
    "RacError",
    "Record",
    "Reranker",
    "Snapshot",
    "SparseField",
    "SparseVector",
    "TokenBatch",
    "Tokenizer",
    "VectorField",
    "VerifyReport",
    "__version__",
    "chunk",
    "distill",
    "errors",
    "fast_vector_similarity",
    "kernel_backend",
    "open",
    "parallel_inference",
    "parse",
    "parse_text",
    "process_embedding",
    "restore",
    "similarity",
    "thread_count",
    "verify",
]
