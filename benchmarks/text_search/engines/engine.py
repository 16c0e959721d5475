"""What every engine can do."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path


class Engine(ABC):
    """Texts, numbered from 0 on, that are searched by their words: English, any word will do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def index(self, texts: Sequence[str]) -> None:
        """Take these texts into an empty folder; once it returns, a search is as fast as any."""

    @abstractmethod
    def search(self, query: str, limit: int) -> Sequence[int]:
        """The numbers of the best texts, best first."""

    @abstractmethod
    def index_bytes(self) -> int:
        """What the index takes on disk, without the texts where it keeps them apart."""

    def close(self) -> None:  # noqa: B027
        """Let go of the folder."""


def bytes_of(paths: Sequence[Path]) -> int:
    """What files take."""
    return sum(path.stat().st_size for path in paths)
