"""The subjects: what their definitions say, and how one runs."""

import importlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.processes import in_fresh_process, pinned
from benchmarks.results import Outcome

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest and mypy bring it along

HERE = Path(__file__).resolve().parent


# A package with a definitions.toml of its own; its subjects are named after it.
FAMILIES = ("ann", "encoder", "storage", "text_search")


def load_definitions() -> tuple[int, dict[str, dict[str, Any]]]:
    """The number of threads for both sides, and each subject's definition."""
    definitions = _read(HERE)
    threads = definitions.pop("threads")
    for family in FAMILIES:
        members = _read(HERE / family)
        common = members.pop("common")
        definitions |= {f"{family}.{name}": common | one for name, one in members.items()}
    return threads, definitions


def named(name: str, subjects: Iterable[str]) -> list[str]:
    """The subjects that a name means: one, or all of a family."""
    return [one for one in subjects if one == name or one.startswith(f"{name}.")]


def headline(subject: str) -> str:
    """The first line of a subject's module, without importing what it measures."""
    source = (HERE / f"{subject.replace('.', '/')}.py").read_text(encoding="utf-8")
    return source.split('"""', 2)[1].splitlines()[0]


def run(subject: str, definition: Mapping[str, Any], threads: int, *, quick: bool) -> Outcome:
    """Run one subject in a process of its own with its threads pinned."""
    chosen = dict(definition) | (definition["quick"] if quick else {})
    environment = pinned(threads) | chosen.get("environment", {})
    return in_fresh_process(_run_here, subject, chosen, environment=environment)


def _read(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "definitions.toml").read_text(encoding="utf-8"))


def _run_here(subject: str, definition: Mapping[str, Any]) -> Outcome:
    outcome: Outcome = importlib.import_module(f"benchmarks.{subject}").run(definition)
    return outcome
