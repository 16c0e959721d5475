"""The error tree, and that every name the extension may raise is in it."""

import inspect
import re

import pytest

import rust_ai_core as rac
from conftest import REPOSITORY
from rust_ai_core import errors

BUILT_IN = {
    "ArgumentError": ValueError,
    "ChunkError": RuntimeError,
    "ClosedError": ValueError,
    "CorruptError": OSError,
    "DimensionError": ValueError,
    "FilterError": ValueError,
    "ForkedError": RuntimeError,
    "LockedError": OSError,
    "ModelError": ValueError,
    "NonFiniteError": ValueError,
    "NotFoundError": KeyError,
    "ParseError": ValueError,
    "ReadOnlyError": OSError,
    "SchemaError": ValueError,
    "StorageError": OSError,
    "VersionError": OSError,
}


WARNINGS = {"DamageWarning", "LossWarning"}


def test_the_module_defines_these_errors_and_warnings_and_no_others() -> None:
    defined = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    assert defined == {*BUILT_IN, "RacError", *WARNINGS} == set(errors.__all__)


def test_a_loss_is_damage_and_a_warning() -> None:
    assert issubclass(errors.LossWarning, errors.DamageWarning)
    assert issubclass(errors.DamageWarning, UserWarning)


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_an_error_is_caught_as_ours_and_as_the_built_in(name: str) -> None:
    error = getattr(errors, name)
    for caught_as in (rac.RacError, BUILT_IN[name]):
        with pytest.raises(caught_as, match="what was wrong"):
            raise error("what was wrong")


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_the_message_is_shown_as_written(name: str) -> None:
    assert str(getattr(errors, name)('no "quotes" added')) == 'no "quotes" added'


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_an_error_says_what_it_means(name: str) -> None:
    assert inspect.getdoc(getattr(errors, name))


def raised_by_the_extension() -> set[str]:
    return {
        match
        for file in (REPOSITORY / "crates" / "python" / "src").rglob("*.rs")
        for match in re.findall(r'"(\w+Error)"', file.read_text(encoding="utf-8"))
    }


def test_the_extension_raises_only_errors_that_exist() -> None:
    assert raised_by_the_extension() <= set(errors.__all__)


def test_every_error_is_raised_somewhere() -> None:
    from_python = {
        match
        for file in (REPOSITORY / "python").rglob("*.py")
        for match in re.findall(r"raise (\w+Error)\(", file.read_text(encoding="utf-8"))
    }
    assert set(BUILT_IN) <= raised_by_the_extension() | from_python
