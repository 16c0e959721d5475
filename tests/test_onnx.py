"""Models that ONNX Runtime runs: our vectors of the same weights, errors that say what to do."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import rust_ai_core as rac
from hub_server import hub
from rust_ai_core import models
from rust_ai_core.errors import ArgumentError, ModelError

TEXTS = [
    "",
    "a",
    "The keys rotate every 90 days.",
    "naïve café",
    "你好 database",
    "the data is in the file. " * 40,
]


@pytest.fixture
def graph(tiny_model: Path) -> Path:
    return tiny_model / "onnx" / "model.onnx"


@pytest.fixture
def alone(graph: Path, tiny_model: Path, tmp_path: Path) -> Path:
    """The graph without weights of ours beside it, and of an architecture that is not ours."""
    folder = tmp_path / "alone"
    shutil.copytree(tiny_model, folder, ignore=shutil.ignore_patterns("onnx", "*.safetensors"))
    shutil.copyfile(graph, folder / "model.onnx")
    (folder / "config.json").write_text('{"model_type": "novel"}', encoding="utf-8")
    return folder


def test_vectors_are_those_of_our_own_network(graph: Path, tiny_encoder: rac.Encoder) -> None:
    encoder = rac.Encoder(graph, cache=False)
    assert (encoder.backend, tiny_encoder.backend) == ("onnx", "native")
    assert encoder.dimension == tiny_encoder.dimension
    assert encoder.max_tokens == tiny_encoder.max_tokens
    assert encoder.tokenize(TEXTS) == tiny_encoder.tokenize(TEXTS)
    np.testing.assert_allclose(encoder.encode(TEXTS), tiny_encoder.encode(TEXTS), atol=1e-5)
    assert f"Encoder({str(graph)!r}".replace("'", '"') in repr(encoder)
    assert 'backend="onnx"' in repr(encoder)


def test_minilm_agrees(shared: Path, minilm: rac.Encoder, tmp_path: Path) -> None:
    for name in ("tokenizer.json", "modules.json", "1_Pooling", "sentence_bert_config.json"):
        (tmp_path / name).symlink_to(Path(minilm.path) / name)
    (tmp_path / "model.onnx").symlink_to(shared / "models" / "minilm" / "model.onnx")
    encoder = rac.Encoder(tmp_path, backend="onnx", cache=False)
    np.testing.assert_allclose(encoder.encode(TEXTS), minilm.encode(TEXTS), atol=1e-5)


def test_a_vector_depends_on_its_text_alone(alone: Path) -> None:
    encoder = rac.Encoder(alone, backend="onnx", cache=False)
    each = np.concatenate([encoder.encode(text) for text in TEXTS])
    np.testing.assert_array_equal(encoder.encode(TEXTS * 20), np.tile(each, (20, 1)))
    with ThreadPoolExecutor(8) as threads:
        together = np.concatenate(list(threads.map(encoder.encode, TEXTS)))
    np.testing.assert_array_equal(together, each)


def test_a_collection_finds_its_model_again(alone: Path, tmp_path: Path) -> None:
    encoder = rac.Encoder(alone, backend="onnx")
    with rac.open(tmp_path / "db.rac") as database:
        notes = database.collection("notes", model=encoder)
        (tmp_path / "a.md").write_text("The keys rotate every 90 days.", encoding="utf-8")
        notes.ingest(tmp_path / "a.md")
    with rac.open(tmp_path / "db.rac") as database:
        notes = database.collection("notes")
        assert notes.encoder.backend == "onnx"
        assert "keys rotate" in str(notes.search("keys")[0].text)


def test_from_a_hub(alone: Path, tmp_path: Path) -> None:
    files = {
        str(path.relative_to(alone)): path.read_bytes()
        for path in alone.rglob("*")
        if path.is_file()
    }
    files["onnx/model.onnx"] = files.pop("model.onnx")
    with hub("organisation/novel", files) as (endpoint, downloaded):
        program = (
            "import rust_ai_core as rac;"
            "print(rac.Encoder('organisation/novel', backend='onnx').encode('a').shape)"
        )
        environment = {"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": endpoint}
        finished = run(program, HF_HUB_OFFLINE="0", **environment)
    assert finished.stdout.strip() == "(1, 32)", finished.stderr
    assert "onnx/model.onnx" in downloaded


def run(program: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# -- errors ----------------------------------------------------------------------------------------


def test_without_onnxruntime_the_error_says_what_to_install(graph: Path) -> None:
    program = f"""
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "onnxruntime" else find(name, *rest)
import rust_ai_core as rac
try:
    rac.Encoder({str(graph)!r})
except rac.errors.ModelError as error:
    print(error)
"""
    finished = run(program)
    assert "not installed: install it with `pip install onnxruntime`" in finished.stdout


def test_a_library_that_is_none_is_named(graph: Path, tmp_path: Path) -> None:
    missing, wrong = tmp_path / "missing.so", tmp_path / "wrong.so"
    wrong.write_bytes(b"no library")
    program = f"import rust_ai_core as rac; rac.Encoder({str(graph)!r})"
    for library, message in [(missing, "is not a file"), (wrong, "cannot be used")]:
        finished = run(program, ORT_DYLIB_PATH=str(library))
        assert "ModelError" in finished.stderr
        assert str(library) in finished.stderr
        assert message in finished.stderr


def test_what_cannot_be_run_is_refused(alone: Path, graph: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="precision that it was exported in"):
        rac.Encoder(alone, backend="onnx", precision="int8")
    with pytest.raises(ArgumentError, match="native"):
        rac.Encoder(graph, backend="native")
    with pytest.raises(ArgumentError, match="backend"):
        rac.Encoder(alone, backend="torch")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="no ONNX model"):
        rac.Encoder(tmp_path / "none.onnx")
    (alone / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match="ONNX Runtime says"):
        rac.Encoder(alone, backend="onnx")
    (alone / "model.onnx").unlink()
    with pytest.raises(ModelError, match="has neither model.onnx nor onnx/model.onnx"):
        rac.Encoder(alone, backend="onnx")
    with pytest.raises(ModelError, match="there is no ONNX model"):
        models.resolve_onnx("nothing")


def test_a_folder_must_say_how_long_a_text_may_be(alone: Path) -> None:
    (alone / "sentence_bert_config.json").unlink()
    with pytest.raises(ModelError, match="how long a text may be"):
        rac.Encoder(alone, backend="onnx")


def test_a_forked_child_gets_an_error_not_a_hang(graph: Path) -> None:
    program = f"""
import os, sys
import rust_ai_core as rac
encoder = rac.Encoder({str(graph)!r}, cache=False)
encoder.encode("a")
child = os.fork()
if child == 0:
    try:
        encoder.encode("a")
    except rac.errors.ModelError as error:
        os._exit(7 if "forked" in str(error) else 8)
    os._exit(9)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run(program).returncode == 7
