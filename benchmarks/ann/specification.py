"""Contenders and data sets as contenders.toml and definitions.toml name them."""

import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.ann.contenders.contender import Contender

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest and mypy bring it along

OURS = "rust_ai_core"
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Specification:
    """One contender: which adapter, how it is built and searched, and the values of its knob."""

    name: str
    adapter: str
    package: str
    kind: str
    """`ours`, `library` (an index), or `database` (keeps records, filters and files itself)."""
    build: Mapping[str, Any]
    search: Mapping[str, Any]
    knob: str
    sweep: Sequence[int]
    default: int | None = None
    """The knob's value that stands for the contender's own default, where that is measured."""

    def contender(self, dimension: int, metric: str) -> Contender:
        """A new instance, in the process that is going to use it."""
        options = {**self.build, **self.search}
        made: Contender = self.adapter_class()(options, dimension, metric)
        return made

    def adapter_class(self) -> type[Contender]:
        module, _, name = self.adapter.partition(":")
        found: type[Contender] = getattr(
            importlib.import_module(f"benchmarks.ann.contenders.{module}"), name
        )
        return found

    def version(self) -> str | None:
        """The installed version of the package that it measures, if there is one."""
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return None

    @property
    def index(self) -> tuple[str, str]:
        """Equal for contenders that search one and the same index."""
        return self.adapter, json.dumps(self.build, sort_keys=True)

    @property
    def is_ours(self) -> bool:
        return self.kind == "ours"


def specifications(
    names: Sequence[str], overrides: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[list[Specification], list[str]]:
    """The contenders of these names that are installed, and notes about versions and absences."""
    chosen = known(names, overrides)
    present = [one for one in chosen if one.version() is not None]
    versions = {one.package: one.version() for one in present}
    listed = ", ".join(f"{package} {version}" for package, version in versions.items())
    notes = [f"Measured: {listed}."]
    absent = sorted({one.package for one in chosen} - set(versions))
    if absent:
        notes.append(f"Left out, because not installed: {', '.join(absent)}.")
    return present, notes


def known(
    names: Sequence[str], overrides: Mapping[str, Mapping[str, Any]] | None = None
) -> list[Specification]:
    """The contenders of these names, installed or not."""
    listed = tomllib.loads((HERE / "contenders.toml").read_text(encoding="utf-8"))
    unknown = sorted(set(names) - set(listed))
    if unknown:
        raise ValueError(f"no contender {', '.join(unknown)}; there are {', '.join(listed)}")
    changed = overrides or {}
    return [Specification(one, **listed[one] | dict(changed.get(one, {}))) for one in names]
