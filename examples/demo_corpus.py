"""Gather some thousands of real documents that this machine has and the repository does not carry.

The choice is deterministic: folders in a fixed order, files sorted, limits in documents and in
characters of text.
"""

import hashlib
import os
import shutil
import site
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import rust_ai_core as rac

MOST_DOCUMENTS = 3_000
MOST_CHARACTERS = 4_000_000
SHORTEST, LONGEST = 400, 8_000  # characters of a document's text
LARGEST_FILE = 1_000_000
SUFFIXES = (".html", ".md", ".txt", ".rst")
RUST_BOOKS = """
book reference cargo rust-by-example rustc rustdoc nomicon edition-guide error_codes embedded-book
clippy style-guide unstable-book std
""".split()
# Generated pages that differ from each other in a name or two, and translations of a book.
LEFT_OUT = {"arch", "intrinsics", "simd", "es", "ja", "ko", "zh", "licenses", "node_modules"}
LEFT_OUT |= {"first-edition", "second-edition", "2018-edition"}  # say only that they moved


class Candidate(NamedTuple):
    """A file that may be chosen, and its name in the corpus."""

    kind: str
    name: str
    path: Path


class Corpus(NamedTuple):
    """The folder with the chosen documents, and how many there are of each kind."""

    folder: Path
    characters: int
    kinds: Counter[str]


def gather(into: Path, root: Path | None = None) -> Corpus:
    """Copy the chosen documents to a folder, which is emptied first.

    Args:
        into: The folder.
        root: Choose from here rather than from the documentation that is installed.
    """
    shutil.rmtree(into, ignore_errors=True)
    kinds: Counter[str] = Counter()
    characters = 0
    seen: set[bytes] = set()
    for candidate in _below("given", root) if root else _installed():
        text = _text(candidate.path)
        digest = hashlib.sha256(text.encode()).digest()
        if not SHORTEST <= len(text) <= LONGEST or digest in seen:
            continue
        if characters + len(text) > MOST_CHARACTERS:
            break
        seen.add(digest)
        copy = into / candidate.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(candidate.path, copy)
        kinds[candidate.kind] += 1
        characters += len(text)
        if kinds.total() == MOST_DOCUMENTS:
            break
    return Corpus(into, characters, kinds)


def _installed() -> Iterator[Candidate]:
    for book in _rust_documentation():
        yield from _below(book.name, book)
    for crate in sorted(_cargo_home().glob("registry/src/*/*")):
        yield from _below("crates", crate)
    yield from _below("system", Path("/usr/share/doc"))
    for packages in site.getsitepackages():
        yield from _below("python", Path(packages))


def _rust_documentation() -> Iterable[Path]:
    rustc = shutil.which("rustc")
    if rustc is None:
        return []
    found = subprocess.run([rustc, "--print", "sysroot"], capture_output=True, text=True)
    html = Path(found.stdout.strip(), "share", "doc", "rust", "html")
    return [html / book for book in RUST_BOOKS if found.returncode == 0]


def _cargo_home() -> Path:
    return Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")


def _below(kind: str, root: Path) -> Iterator[Candidate]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT)
        for file in sorted(files):
            path = Path(folder, file)
            if path.suffix in SUFFIXES and not path.is_symlink():
                yield Candidate(kind, f"{root.name}/{path.relative_to(root).as_posix()}", path)


def _text(path: Path) -> str:
    """Return a document's text, or nothing where there is no reading it."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            return ""
        return rac.parse(path).text
    except (OSError, rac.RacError):
        return ""
