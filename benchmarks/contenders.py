"""Contenders that a file lists, each measured in a process of its own, in turns."""

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol, TypeVar

from benchmarks.processes import in_fresh_process

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest and mypy bring it along


@dataclass(frozen=True)
class Listed:
    """One that takes part, by the class that speaks to it."""

    name: str
    adapter: str
    """A module beside the list and a class in it."""
    package: str
    """What must be installed; nothing for what Python brings along."""
    module: str
    """What it is imported as."""
    ours: bool = False

    def import_package(self) -> None:
        """Load its module, so that using it first does not."""
        importlib.import_module(self.module)

    def adapter_class(self, modules: str) -> Any:
        """The class, in a package of modules."""
        module, _, name = self.adapter.partition(":")
        return getattr(importlib.import_module(f"{modules}.{module}"), name)


class TakesPart(Protocol):
    """Whatever is measured in turns with others."""

    @property
    def name(self) -> str: ...

    @property
    def ours(self) -> bool: ...


Kind = TypeVar("Kind", bound=Listed)
One = TypeVar("One", bound=TakesPart)
Result = TypeVar("Result")


def listed(path: Path, names: Sequence[str], kind: type[Kind]) -> tuple[list[Kind], list[str]]:
    """Those of these names that are installed, and notes about versions and absences."""
    known = tomllib.loads(path.read_text(encoding="utf-8"))
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ValueError(f"no contender {', '.join(unknown)}; there are {', '.join(known)}")
    present, versions, absent = [], {}, []
    for name in names:
        one = kind(name, **known[name])
        try:
            if one.package:
                versions[one.package] = metadata.version(one.package)
            present.append(one)
        except metadata.PackageNotFoundError:
            absent.append(one.package)
    notes = [f"Measured: {', '.join(f'{name} {version}' for name, version in versions.items())}."]
    if absent:
        notes.append(f"Left out, because not installed: {', '.join(absent)}.")
    return present, notes


def in_turns(
    chosen: Sequence[One],
    rounds: int,
    notes: list[str],
    measure: Callable[..., Result],
    *arguments: Any,
) -> dict[str, list[Result]]:
    """What `measure(contender, *arguments)` returns in a process of its own, round by round.

    Each round begins with another contender. A peer that fails is left out, with a note.
    """
    results: dict[str, list[Result]] = {one.name: [] for one in chosen}
    failed: set[str] = set()
    for number in range(rounds):
        first = number % len(chosen)
        for one in [*chosen[first:], *chosen[:first]]:
            if one.name in failed:
                continue
            print(f"  round {number + 1}: {one.name}", file=sys.stderr, flush=True)
            try:
                results[one.name].append(in_fresh_process(measure, one, *arguments))
            # Whatever a peer dies of, the others are still to be measured.
            except Exception as error:
                if one.ours:
                    raise
                failed.add(one.name)
                notes.append(f"Left out, because it failed: {one.name}: {error!r}"[:300])
    return {name: many for name, many in results.items() if name not in failed}
