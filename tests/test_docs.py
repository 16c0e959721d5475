"""The documentation runs: docstring examples, the README's Python, and the names they use."""

import ast
import doctest
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import rust_ai_core as rac
from conftest import REPOSITORY
from rust_ai_core import _core

MODULES = [
    "rust_ai_core",
    *(f"rust_ai_core.{name}" for name in ("errors", "inference", "models", "similarity")),
]
MARKDOWN = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def public_objects() -> Iterator[tuple[str, object]]:
    """Every module, every public name, and every public member of every class, once."""
    seen: set[int] = set()
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        yield module_name, module
        for name in module.__all__ if hasattr(module, "__all__") else ():
            value = getattr(module, name)
            if id(value) in seen or inspect.ismodule(value) or isinstance(value, str):
                continue
            seen.add(id(value))
            yield f"{module_name}.{name}", value
            if inspect.isclass(value):
                for member, attribute in vars(value).items():
                    if not member.startswith("_") and (
                        callable(attribute) or inspect.isdatadescriptor(attribute)
                    ):
                        yield f"{module_name}.{name}.{member}", attribute


OBJECTS = dict(public_objects())
EXAMPLES = {
    name: documentation
    for name, value in OBJECTS.items()
    if ">>>" in (documentation := inspect.getdoc(value) or "")
}


def test_all_of_the_extension_is_reached() -> None:
    reached = {id(value) for value in OBJECTS.values()}
    public = {
        name: value
        for name, value in vars(_core).items()
        if not name.startswith("_") and (inspect.isclass(value) or callable(value))
    }
    assert public
    assert [name for name, value in public.items() if id(value) not in reached] == []


@pytest.mark.parametrize("name", OBJECTS)
def test_a_public_object_is_documented(name: str) -> None:
    assert inspect.getdoc(OBJECTS[name]), name


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, value in OBJECTS.items()
        if inspect.isroutine(value) and name.rpartition(".")[0] in MODULES
    ],
)
def test_a_public_function_has_an_example(name: str) -> None:
    assert name in EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    test = doctest.DocTestParser().get_doctest(EXAMPLES[name], {}, name, None, None)
    output: list[str] = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.DocTestRunner(optionflags=flags).run(test, out=output.append)
    assert result.failed == 0, "".join(output)


def python_blocks() -> Iterator[tuple[str, str]]:
    for file in MARKDOWN:
        text = file.read_text(encoding="utf-8")
        for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)):
            yield f"{file.name}-{number}", block


BLOCKS = dict(python_blocks())


def test_the_readme_has_python() -> None:
    assert any(name.startswith("README.md") for name in BLOCKS)


@pytest.mark.parametrize("name", BLOCKS)
def test_the_block_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a block in a folder with a few documents in `docs/`, and with the vectors it may use."""
    (tmp_path / "docs").mkdir()
    for file in MARKDOWN:
        (tmp_path / "docs" / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(1)
    names = {
        "ids": [f"item-{number}" for number in range(20)],
        "vectors": random.standard_normal((20, 384), dtype=np.float32),
        "queries": random.standard_normal((3, 384), dtype=np.float32),
    }
    tree = ast.parse(BLOCKS[name], filename=name)
    exec(compile(tree, name, "exec"), names)


def test_the_changelog_has_this_version() -> None:
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[?{re.escape(rac.__version__)}\b", text, re.M)
