"""Timing contenders side by side."""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

# What a contender's idle threads may go on spinning after it returns, so that they do not run
# into the next one's time.
PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Ratio:
    """How many times one thing is another: the median of the rounds, and the extremes."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float], others: Sequence[float]) -> "Ratio":
        """How many times the others the values are, compared within each round."""
        ratios = [value / other for value, other in zip(values, others, strict=True)]
        return cls(median(ratios), min(ratios), max(ratios))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.lowest:.2f}-{self.highest:.2f})"


@dataclass(frozen=True)
class Timings:
    """The seconds of each contender in each round."""

    seconds: Mapping[str, list[float]]

    def median(self, contender: str) -> float:
        return median(self.seconds[contender])

    def speedup(self, contender: str, *, over: str) -> Ratio:
        """How many times faster `contender` is than `over`, compared within each round.

        The two ran within the same second of a round, so what slows the machine for longer than
        that cancels out.
        """
        return Ratio.of(self.seconds[over], self.seconds[contender])


def interleave(contenders: Mapping[str, Callable[[], object]], rounds: int) -> Timings:
    """Run every contender once a round, each round beginning with another one.

    One more round goes before, unmeasured: it faults pages in and starts thread pools.
    """
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        contenders[name]()
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                time.sleep(PAUSE_SECONDS)
                start = time.perf_counter()
                contenders[name]()
                seconds[name].append(time.perf_counter() - start)
    finally:
        gc.enable()
    return Timings(seconds)
