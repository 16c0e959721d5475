"""117,000 definitions of WordNet, embedded with this project's own encoder: a second real set.

The words come from Debian's package `wordnet-base` (installed, or fetched with apt into the cache);
the vectors are made here, in parts, so that a run that is stopped goes on where it was.
"""

import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.ann.cache import cache_folder, say

INSTALLED = Path("/usr/share/wordnet")
PACKAGE = "wordnet-base"
PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")
PART = 2_000


class MissingWordNetError(RuntimeError):
    """There is no WordNet on this machine and none can be fetched."""


def definitions() -> list[str]:
    """Each set of synonyms with its definition, in WordNet's order: `dog, domestic dog: a ...`."""
    folder = _source()
    texts = []
    for name in PARTS_OF_SPEECH:
        for line in (folder / f"data.{name}").read_text(encoding="utf-8").splitlines():
            # The licence at the top of each file is indented.
            if not line.startswith(" "):
                texts.append(_text(line))
    return texts


def vectors() -> npt.NDArray[np.float32]:
    """The embeddings of `definitions()`, 384 dimensions, unit length; cached as float16."""
    folder = cache_folder() / "wordnet"
    whole = folder / "vectors.f16.npy"
    if not whole.exists():
        texts = definitions()
        (folder / "parts").mkdir(parents=True, exist_ok=True)
        parts = [_part(folder / "parts", texts, start) for start in range(0, len(texts), PART)]
        _keep(whole, np.vstack(parts))
    return np.load(whole).astype(np.float32)


def _part(folder: Path, texts: list[str], start: int) -> npt.NDArray[np.float16]:
    path = folder / f"{start:06}.npy"
    if path.exists():
        return np.asarray(np.load(path))
    import rust_ai_core as rac

    say(f"embedding WordNet: {start:,} of {len(texts):,}")
    made = rac.Encoder("minilm").encode(texts[start : start + PART]).astype(np.float16)
    _keep(path, made)
    return made


def _keep(path: Path, array: npt.NDArray[np.float16]) -> None:
    """Write a file that is either whole or not there."""
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        np.save(file, array)
    unfinished.replace(path)


def _text(line: str) -> str:
    fields, _, definition = line.partition("|")
    columns = fields.split()
    count = int(columns[3], 16)
    words = [word.partition("(")[0].replace("_", " ") for word in columns[4 : 4 + 2 * count : 2]]
    return f"{', '.join(words)}: {definition.strip()}"


def _source() -> Path:
    if INSTALLED.is_dir():
        return INSTALLED
    folder = cache_folder() / "wordnet"
    unpacked = folder / "package" / INSTALLED.relative_to("/")
    if not unpacked.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _run(folder, "apt-get", "download", "-qq", PACKAGE)
            (package,) = folder.glob(f"{PACKAGE}_*.deb")
            _run(folder, "dpkg-deb", "--extract", str(package), "package")
        except (OSError, subprocess.CalledProcessError) as error:
            message = f"the set needs Debian's package {PACKAGE}: apt-get install {PACKAGE}"
            raise MissingWordNetError(message) from error
    return unpacked


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
