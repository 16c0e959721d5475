"""What a subject hands back, as data and as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Table:
    """Figures of one case; every row has a cell for each column."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str | float, ...]]

    def markdown(self) -> str:
        lines = [f"**{self.title}**", "", _row(self.columns), _row(("---",) * len(self.columns))]
        lines += [_row([_cell(value) for value in row]) for row in self.rows]
        return "\n".join(lines)


@dataclass(frozen=True)
class Goal:
    """A figure that was asked for beside the one that was seen; `spread` tells how sure it is."""

    what: str
    wanted: float
    seen: float
    spread: str = ""
    at_most: bool = False

    @property
    def met(self) -> bool:
        return self.seen <= self.wanted if self.at_most else self.seen >= self.wanted

    def asked_for(self) -> str:
        """The bound that the figure is held to."""
        return f"{'<=' if self.at_most else '>='} {self.wanted:g}"


@dataclass(frozen=True)
class Outcome:
    """All that one subject found."""

    tables: list[Table]
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rounds: Mapping[str, Mapping[str, list[float]]] = field(default_factory=dict)
    """The seconds of every round, by case and contender: what the tables were made from."""


def report(machine: Mapping[str, Any], outcomes: Mapping[str, Outcome]) -> str:
    """The whole run in Markdown."""
    lines = ["# Benchmark results", ""]
    lines += [f"* {key}: {value}" for key, value in machine.items()]
    lines += ["", "Absolute figures are this machine's; read the ratios.", ""]
    goals = [(name, goal) for name, outcome in outcomes.items() for goal in outcome.goals]
    if goals:
        lines += ["## Goals", "", _row(["subject", "goal", "wanted", "seen", "met"])]
        lines += [_row(["---"] * 5)]
        lines += [
            _row([name, goal.what, goal.asked_for(), _seen(goal), "yes" if goal.met else "NO"])
            for name, goal in goals
        ]
        lines.append("")
    for name, outcome in outcomes.items():
        lines += [f"## {name}", ""]
        for table in outcome.tables:
            lines += [table.markdown(), ""]
        lines += [f"* {note}" for note in outcome.notes]
        if outcome.notes:
            lines.append("")
    return "\n".join(lines)


def _seen(goal: Goal) -> str:
    return goal.spread or f"{goal.seen:.6g}"


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
