"""What is searched, what is asked, and who takes part."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.contenders import Listed, listed
from benchmarks.data import SEED, long_texts, short_texts
from benchmarks.text_search.engines.engine import Engine

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Contender(Listed):
    """A search engine, by the class that speaks to it."""

    def engine(self, folder: Path) -> Engine:
        """A new one, in the process that is going to use it."""
        made: Engine = self.adapter_class("benchmarks.text_search.engines")(folder)
        return made


def contenders(names: Sequence[str]) -> tuple[list[Contender], list[str]]:
    """Those of these names that are installed, and notes about versions and absences."""
    return listed(HERE / "contenders.toml", names, Contender)


def mixed_texts(rows: int) -> tuple[list[str], str]:
    """Texts of 2 to 8 real sentences each: there are not enough real texts of that size."""
    short, what = short_texts(70_000)
    long, what_long = long_texts(1_400)
    random = np.random.default_rng(SEED)
    pieces = [text.partition(": ")[2] or text for text in short]
    sentences = pieces + [sentence for text in long for sentence in text.split(" . ")]
    texts = [
        ". ".join(sentences[n] for n in random.integers(0, len(sentences), random.integers(2, 9)))
        for _ in range(rows)
    ]
    return texts, f"2 to 8 {what} or sentences of {what_long} each, put together at random"


def questions(texts: Sequence[str], count: int) -> list[str]:
    """One to five words of a text each, common ones too."""
    random = np.random.default_rng(SEED + 1)
    asked = []
    while len(asked) < count:
        words = [word for word in texts[random.integers(0, len(texts))].split() if word.isalpha()]
        if words:
            number = min(len(words), int(random.integers(1, 6)))
            asked.append(" ".join(random.choice(words, number, replace=False)))
    return asked
