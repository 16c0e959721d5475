"""Recall against throughput: every contender at every value of its knob, in turns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
import numpy.typing as npt

from benchmarks.ann.cache import say
from benchmarks.ann.contenders.contender import Window
from benchmarks.ann.field import Ready
from benchmarks.ann.worker import Answers
from benchmarks.measure import Ratio


@dataclass
class Point:
    """One contender at one value of its knob."""

    knob: int
    recall: float
    rounds: list[npt.NDArray[np.int64]] = field(default_factory=list)
    """The nanoseconds of every query, a round each."""

    def seconds(self) -> list[float]:
        """Of all queries of a round, one after the other."""
        return [float(one.sum()) / 1e9 for one in self.rounds]

    def each_query(self) -> npt.NDArray[np.float64]:
        """Nanoseconds of every query: the median of the rounds, so that what hit it once is out."""
        return np.asarray(np.median(np.vstack(self.rounds), axis=0))

    def throughput(self) -> float:
        """Queries a second, by each query's median."""
        return len(self.rounds[0]) * 1e9 / float(self.each_query().sum())

    def throughputs(self) -> list[float]:
        """Queries a second in each round."""
        return [len(one) * 1e9 / float(one.sum()) for one in self.rounds]

    def percentile(self, percent: float) -> float:
        """Nanoseconds: the median of the rounds' own percentiles."""
        return median(float(np.percentile(one, percent)) for one in self.rounds)

    def spread_of_queries(self) -> float:
        """p99 / p50 of the queries' medians: how unequal the queries are, the machine left out."""
        p50, p99 = np.percentile(self.each_query(), [50, 99])
        return float(p99 / p50)


def sweep(ready: Mapping[str, Ready], *, rounds: int, block: int) -> dict[str, list[Point]]:
    """All points of all contenders.

    A block of queries goes to one contender after the other, each block beginning with another
    one, so that whatever slows the machine for a second slows all of them.
    """
    points: dict[str, list[Point]] = {name: [] for name in ready}
    longest = max((len(one.specification.sweep) for one in ready.values()), default=0)
    for round_number in range(rounds):
        say(f"round {round_number + 1} of {rounds}")
        for step in range(longest):
            asked = {n: one for n, one in ready.items() if step < len(one.specification.sweep)}
            knobs = {name: one.specification.sweep[step] for name, one in asked.items()}
            for name, answers in ask_all(asked, knobs, block, turn=round_number).items():
                if round_number == 0:
                    recall = asked[name].dataset.recall(answers.ids)
                    points[name].append(Point(knobs[name], recall))
                points[name][step].rounds.append(answers.nanoseconds)
    return points


def ask_all(
    ready: Mapping[str, Ready],
    knobs: Mapping[str, int] | None,
    block: int,
    windows: list[Window] | None = None,
    *,
    turn: int,
) -> dict[str, Answers]:
    """All queries (each with its filter) to all contenders, a block to each in turns.

    Without knobs, each stays tuned as it is.
    """
    parts: dict[str, list[Answers]] = {name: [] for name in ready}
    for name, knob in (knobs or {}).items():
        ready[name].worker.call("tune", knob)
    count = max(len(one.dataset.queries) for one in ready.values())
    for number, first in enumerate(range(0, count, block)):
        for name in rotated(list(ready), turn + number):
            dataset = ready[name].dataset
            last = min(first + block, len(dataset.queries))
            answers = ready[name].worker.call("ask", first, last, dataset.limit, windows)
            parts[name].append(answers)
    return {name: joined(many) for name, many in parts.items()}


def joined(parts: Sequence[Answers]) -> Answers:
    """Blocks of answers as one."""
    ids = np.vstack([part.ids for part in parts])
    return Answers(ids, np.concatenate([part.nanoseconds for part in parts]))


def rotated(names: Sequence[str], turn: int) -> list[str]:
    """The names, beginning with another one each turn."""
    first = turn % len(names)
    return [*names[first:], *names[:first]]


@dataclass(frozen=True)
class Reached:
    """The throughput at a recall, and the knob that gives it."""

    throughput: float
    rounds: list[float]
    knob: float
    interpolated: bool
    """False where even the least value of the knob has more recall than asked for."""

    def over(self, other: "Reached") -> Ratio:
        """How many times the other's throughput, by the queries' medians; the rounds' extremes."""
        rounds = Ratio.of(self.rounds, other.rounds)
        ratio = self.throughput / other.throughput
        return Ratio(ratio, min(rounds.lowest, ratio), max(rounds.highest, ratio))


def at_recall(points: Sequence[Point], wanted: float) -> Reached | None:
    """Throughput at a recall, between the two points around it; None if no point reaches it.

    Of several values of the knob with enough recall the fastest counts. Between two points the
    logarithm of the time grows evenly with the recall's distance from 1 in logarithms, which is how
    such curves look.
    """
    enough = [one for one in points if one.recall >= wanted]
    if not enough:
        return None
    upper = max(enough, key=Point.throughput)
    below = [one for one in points if one.recall < wanted and one.knob < upper.knob]
    if not below:
        return Reached(upper.throughput(), upper.throughputs(), upper.knob, interpolated=False)
    lower = max(below, key=lambda one: one.recall)
    position = _position(lower.recall, upper.recall, wanted)

    def between(low: float, high: float) -> float:
        return float(low ** (1 - position) * high**position)

    pairs = zip(lower.throughputs(), upper.throughputs(), strict=True)
    return Reached(
        between(lower.throughput(), upper.throughput()),
        [between(*pair) for pair in pairs],
        between(lower.knob, upper.knob),
        interpolated=True,
    )


def _position(low: float, high: float, wanted: float) -> float:
    """Where `wanted` is between two recalls, 0 to 1, on the scale of log(1 - recall)."""
    floor = 1e-4
    start, end, place = (np.log(max(1 - value, floor)) for value in (low, high, wanted))
    return float(np.clip((start - place) / (start - end), 0, 1))
