"""Built indexes, kept: searching, filtering and updating all start from the same files."""

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.ann.cache import cache_folder, say
from benchmarks.ann.contenders.contender import IntArray
from benchmarks.ann.datasets import Dataset
from benchmarks.ann.specification import Specification
from benchmarks.ann.worker import Worker

METRIC = "cosine"
FACTS = "facts.json"
FILES = "files"


@dataclass(frozen=True)
class Artefact:
    """An index on disk and what making it took."""

    folder: str
    seconds: float
    peak_bytes: int
    """Resident at most while building, without the rows."""
    disk_bytes: int

    @property
    def files(self) -> Path:
        return Path(self.folder) / FILES


def artefact(
    specification: Specification,
    dataset: Dataset,
    threads: int,
    columns: Mapping[str, IntArray] | None = None,
) -> Artefact:
    """The index of a set, from an earlier run with the same code if there is one."""
    facts = _folder(specification, dataset, threads, columns) / FACTS
    if facts.exists():
        return Artefact(**json.loads(facts.read_text()))
    return build(specification, dataset, threads, columns)


def build(
    specification: Specification,
    dataset: Dataset,
    threads: int,
    columns: Mapping[str, IntArray] | None = None,
) -> Artefact:
    """Build it now, in a process of its own; what was kept before goes."""
    folder = _folder(specification, dataset, threads, columns)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / FILES).mkdir(parents=True)
    say(f"{specification.name}: indexing {dataset.name}, {len(dataset.rows):,} rows")
    rows = _rows_file(dataset)
    np.savez(folder / "columns.npz", **(columns or {}))
    dimension = dataset.rows.shape[1]
    log = folder / "log.txt"
    with Worker(specification, dimension, METRIC, threads=threads, log=log) as worker:
        arguments = rows, folder / FILES, threads, folder / "columns.npz"
        seconds, peak = worker.call("build", *arguments)
    made = Artefact(str(folder), seconds, peak, bytes_under(folder / FILES))
    (folder / FACTS).write_text(json.dumps(asdict(made)))
    return made


@contextmanager
def copied(kept: Artefact) -> Iterator[Path]:
    """A copy of the files that may be changed."""
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        copy = Path(folder) / FILES
        # A database may reserve space that it has not written: cp leaves such holes as they are.
        subprocess.run(["cp", "-a", str(kept.files), str(copy)], check=True)
        yield copy


def bytes_under(folder: Path) -> int:
    """What the files take on the disk: a file with holes counts what is written."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def _folder(
    specification: Specification,
    dataset: Dataset,
    threads: int,
    columns: Mapping[str, IntArray] | None,
) -> Path:
    identity = [
        *specification.index,
        specification.version(),
        _own_code() if specification.is_ours else "",
        threads,
        sorted(columns or {}),
    ]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    return cache_folder() / "indexes" / dataset.key / f"{specification.package}-{digest}"


def _own_code() -> str:
    """Our version number stands still while the code changes."""
    from rust_ai_core import _core

    return hashlib.sha256(Path(str(_core.__file__)).read_bytes()).hexdigest()


def _rows_file(dataset: Dataset) -> Path:
    path = cache_folder() / "rows" / f"{dataset.key}.npy"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        np.save(path, dataset.rows)
    return path
