"""Where what takes minutes to make is kept between runs: embeddings, neighbours, built indexes."""

import os
import sys
from pathlib import Path

from rust_ai_core import models


def cache_folder() -> Path:
    """`$RAC_BENCHMARK_CACHE`, else a folder beside the models that rust_ai_core keeps."""
    chosen = os.environ.get("RAC_BENCHMARK_CACHE")
    folder = Path(chosen) if chosen else models.cache_directory() / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def say(message: str) -> None:
    """What is being done now: a run of minutes must not look hung."""
    print(f"  {message}", file=sys.stderr, flush=True)
