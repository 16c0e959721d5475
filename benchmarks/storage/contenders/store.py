"""What every database can do."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

NUMBER = "number"
"""An integer field of every record; RANKS is one above its largest value."""
LANGUAGE = "language"
RANKS = 1_000


def number_of(row: int) -> int:
    """What a row has in its integer field: spread over all rows without an order."""
    return row * 7_919 % RANKS


class Store(ABC):
    """A database of vectors with two fields, an integer and a short string; ids are row numbers."""

    def __init__(self, folder: Path, dimension: int) -> None:
        self.folder = folder
        self.dimension = dimension

    @abstractmethod
    def create(self) -> None:
        """Make an empty one in the folder and open it."""

    @abstractmethod
    def open(self) -> None:
        """Open what the folder has."""

    @abstractmethod
    def insert(self, first: int, vectors: FloatArray) -> None:
        """Write rows numbered from `first` on; return when they are as safe as it makes them."""

    @abstractmethod
    def index(self) -> None:
        """Whatever a user calls after a load so that searches are fast; returns when they are."""

    @abstractmethod
    def search(self, query: FloatArray, limit: int, below: int | None = None) -> Sequence[int]:
        """The rows nearest by cosine, of those whose number is below a bound, if one is given."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the folder."""
