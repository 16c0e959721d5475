"""What every contender can do, and what some can."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
LOAD_BATCH = 1_000


@dataclass(frozen=True)
class Window:
    """A filter: rows whose integer `column` is at least `low` and below `high`."""

    column: str
    low: int
    high: int

    def mask(self, columns: Mapping[str, IntArray]) -> npt.NDArray[np.bool_]:
        values = columns[self.column]
        return np.asarray((values >= self.low) & (values < self.high))


class Contender(ABC):
    """An index under a folder. A process either builds it or opens it, with its own threads.

    The rows' ids are their numbers. `build` and `search` of a definition come as `options`.
    """

    def __init__(self, options: Mapping[str, Any], dimension: int, metric: str) -> None:
        self.options = options
        self.dimension = dimension
        self.metric = metric

    @abstractmethod
    def build(
        self,
        rows: FloatArray,
        folder: Path,
        threads: int,
        columns: Mapping[str, IntArray],
    ) -> None:
        """Index the rows; when this returns, all that a search needs is in the folder."""

    @abstractmethod
    def open(self, folder: Path) -> None:
        """Open what `build` left, for searches by one thread."""

    @abstractmethod
    def tune(self, knob: int) -> None:
        """Set what trades recall for speed."""

    @abstractmethod
    def search(self, query: FloatArray, limit: int) -> Sequence[int]:
        """The ids of the nearest rows: the call that is timed."""


class Filters(ABC):
    """A contender that takes filters in the search itself."""

    @abstractmethod
    def search_where(self, query: FloatArray, limit: int, where: Window) -> Sequence[int]:
        """The nearest of the rows that pass."""


class Batches(ABC):
    """A contender that answers many queries in one call, with all of its threads."""

    @abstractmethod
    def search_many(self, queries: FloatArray, limit: int, *, exact: bool) -> IntArray:
        """The ids of the nearest rows of each query; by comparing all rows if `exact`."""


class Updates(ABC):
    """A contender whose open index can be changed."""

    @abstractmethod
    def delete(self, ids: IntArray) -> None:
        """Take rows out, until when this returns no search finds them."""

    @abstractmethod
    def replace(self, ids: IntArray, rows: FloatArray) -> None:
        """Give ids new vectors."""

    @abstractmethod
    def settle(self) -> None:
        """Whatever maintenance a user would call or wait for after many changes."""


def batches(count: int) -> list[slice]:
    """The parts in which databases that take one object a row are loaded."""
    return [slice(start, start + LOAD_BATCH) for start in range(0, count, LOAD_BATCH)]
