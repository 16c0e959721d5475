"""Running a measurement in a process of its own, with its threads pinned, and its memory."""

import multiprocessing
import os
import resource
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")

MIB = 1024 * 1024


def pinned(threads: int) -> dict[str, str]:
    """The environment that gives every contender's thread pool `threads` threads."""
    pools = (
        "RAC_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "RAYON_NUM_THREADS",
    )
    return {**dict.fromkeys(pools, str(threads)), "TOKENIZERS_PARALLELISM": "true"}


def in_fresh_process(
    function: Callable[..., Result],
    *arguments: Any,
    environment: Mapping[str, str] | None = None,
) -> Result:
    """Call a module's function in a new interpreter and return what it returns.

    Thread pools read their size once, when a library loads, so a new process is the only way to
    set it; and only a process of its own has a memory of its own.
    """
    before = dict(os.environ)
    os.environ.update(environment or {})
    try:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as executor:
            return executor.submit(function, *arguments).result()
    finally:
        os.environ.clear()
        os.environ.update(before)


def resident_bytes() -> int | None:
    """What this process has in memory now, or None where the system does not say."""
    return _status("VmRSS")


def peak_resident_bytes() -> int:
    """The most that this process has had in memory."""
    peak = _status("VmHWM")
    if peak is not None:
        return peak
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def in_mib(size: int | None) -> float | str:
    """A table's cell for a number of bytes."""
    return "unknown" if size is None else size / MIB


def available_cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def drop_from_cache(folder: Path) -> None:
    """Ask the system to forget the files' pages; it does where it knows how and they are clean."""
    if not hasattr(os, "posix_fadvise"):
        return
    for file in folder.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def _status(key: str) -> int | None:
    path = Path("/proc/self/status")
    if not path.exists():
        return None
    for line in path.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return None
