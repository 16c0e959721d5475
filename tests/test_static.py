"""Static embeddings: model2vec's layout, and distillation, against NumPy on the same files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import rust_ai_core as rac
from conftest import RunRac
from rust_ai_core.distillation import _safetensors
from rust_ai_core.errors import ArgumentError, ModelError

TEXTS = [
    "", "cat", "the red fox", "UNKNOWN 你好 words", "the of and to in a is that " * 5,
    *(f"key number {n} of the database" for n in range(50)),
]  # fmt: skip


@pytest.fixture(scope="session")
def static_model(tiny_encoder: rac.Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model distilled to 16 dimensions."""
    folder = tmp_path_factory.mktemp("static") / "model"
    rac.distill(tiny_encoder, folder, dimension=16)
    return folder


def read_table(folder: Path) -> npt.NDArray[np.float32]:
    data = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    entry = json.loads(data[8 : 8 + length])["embeddings"]
    assert entry["dtype"] == "F16"
    return np.frombuffer(data[8 + length :], "<f2").reshape(entry["shape"]).astype(np.float32)


def tokens_of(encoder: rac.Encoder, text: str) -> list[int]:
    """The ids without special tokens and unknown ones, from the model that was distilled."""
    (ids,) = encoder.tokenize(text)
    return [number for number in ids[1:-1] if number != 1]


def edit(folder: Path, copy: Path, **settings: Any) -> Path:
    shutil.copytree(folder, copy)
    path = copy / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(config | settings), encoding="utf-8")
    return copy


@pytest.mark.parametrize("normalize", [True, False])
def test_a_vector_is_the_mean_of_its_tokens(
    normalize: bool, static_model: Path, tiny_encoder: rac.Encoder, tmp_path: Path
) -> None:
    folder = edit(static_model, tmp_path / "copy", normalize=normalize)
    encoder = rac.Encoder(folder, cache=False)
    table = read_table(folder)
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), 16)
    for text, vector in zip(TEXTS, vectors, strict=True):
        ids = tokens_of(tiny_encoder, text)
        assert encoder.tokenize(text) == [ids]
        expected = table[ids].mean(axis=0) if ids else np.zeros(16, np.float32)
        if normalize and ids:
            expected = expected / np.linalg.norm(expected)
        np.testing.assert_allclose(vector, expected, atol=1e-5)


def test_a_vector_depends_on_its_text_alone(static_model: Path) -> None:
    encoder = rac.Encoder(static_model, cache=False)
    alone = np.vstack([encoder.encode(text) for text in TEXTS])
    np.testing.assert_array_equal(encoder.encode(TEXTS * 20), np.tile(alone, (20, 1)))


def test_long_texts_are_cut_where_the_config_says(
    static_model: Path, tiny_encoder: rac.Encoder, tmp_path: Path
) -> None:
    """As model2vec does: to so many times the median token's characters, then to so many tokens."""
    short = rac.Encoder(edit(static_model, tmp_path / "short", max_length=5), cache=False)
    assert short.max_tokens == 5
    vocabulary = json.loads((static_model / "tokenizer.json").read_text(encoding="utf-8"))
    median = int(np.median([len(token) for token in vocabulary["model"]["vocab"]]))
    for text in ("cat " * 100, "a" * 100, "a b c d e f g h i j k l", "é " * 50):
        expected = tokens_of(tiny_encoder, text[: 5 * median])[:5]
        assert short.tokenize(text) == [expected]
    assert short.tokenize("a b c d e f")[0] == short.tokenize("a b c d e")[0]
    endless = rac.Encoder(edit(static_model, tmp_path / "endless", max_length=None), cache=False)
    assert len(endless.tokenize("cat " * 2000)[0]) == 2000


def test_rows_may_be_shared_and_weighted(
    static_model: Path, tiny_encoder: rac.Encoder, tmp_path: Path
) -> None:
    """Model2vec's vocabulary quantization: fewer rows, a mapping, weights of the tokens."""
    folder = edit(static_model, tmp_path / "quantized", normalize=False)
    count = len(read_table(folder))
    random = np.random.default_rng(5)
    rows = random.standard_normal((7, 4)).astype("<f4")
    mapping = random.integers(0, 7, count).astype("<i8")
    weights = random.random(count).astype("<f4")
    header, data = {}, b""
    arrays: list[tuple[str, str, npt.NDArray[Any]]] = [
        ("embeddings", "F32", rows), ("mapping", "I64", mapping), ("weights", "F32", weights)
    ]  # fmt: skip
    for name, dtype, array in arrays:
        span = [len(data), len(data) + array.nbytes]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": span}
        data += array.tobytes()
    table = json.dumps(header).encode()
    content = len(table).to_bytes(8, "little") + table + data
    (folder / "model.safetensors").write_bytes(content)
    encoder = rac.Encoder(folder, cache=False)
    for text in TEXTS[1:]:
        ids = tokens_of(tiny_encoder, text)
        expected = (rows[mapping[ids]] * weights[ids][:, None]).mean(axis=0)
        np.testing.assert_allclose(encoder.encode(text)[0], expected, atol=1e-5)


def test_distilled_tokens_are_principal_components(
    static_model: Path, tiny_encoder: rac.Encoder
) -> None:
    """All dimensions keep every distance; weights grow with the rank."""
    table = read_table(static_model)
    assert (table[:5] == 0).all()  # special tokens
    (ids,) = tiny_encoder.tokenize("cat dog")
    direct = tiny_encoder._encode_ids([[ids[0], number, ids[-1]] for number in range(5, 100)])
    alone = tiny_encoder._encode_ids([[ids[0], number, ids[-1]] for number in range(5, len(table))])
    centred = alone - alone.mean(axis=0)
    np.testing.assert_allclose(direct, alone[:95], atol=1e-6)
    ranks = np.arange(2, len(alone) + 2)
    frequencies = (1 / ranks) / (1 / ranks).sum()
    rows = table[5:] / (1e-4 / (1e-4 + frequencies))[:, None]
    # Along the components the variance is what a singular value decomposition says.
    singular = np.linalg.svd(centred, compute_uv=False)[:16]
    np.testing.assert_allclose(np.linalg.norm(rows, axis=0), singular, rtol=2e-3)
    np.testing.assert_allclose(rows.T @ rows, np.diag(singular**2), atol=2e-2 * singular[0])


def test_it_searches_and_ingests(static_model: Path, database: rac.Database) -> None:
    notes = database.collection("notes", model=static_model)
    notes.ingest({"a": "the red fox", "b": "memory and disk", "c": "a new key"})
    assert notes.search("the disk", limit=1)[0].source == "b"


def test_what_cannot_be_distilled(
    static_model: Path, tiny_encoder: rac.Encoder, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match="exists"):
        rac.distill(tiny_encoder, tmp_path)
    with pytest.raises(ArgumentError, match="static model already"):
        rac.distill(static_model, tmp_path / "again")
    for bad in ({"dimension": 0}, {"sif": 0.0}, {"sif": 1.0}):
        with pytest.raises(ArgumentError):
            rac.distill(tiny_encoder, tmp_path / "bad", **bad)
    assert not (tmp_path / "again").exists()


def test_progress_is_told(tiny_encoder: rac.Encoder, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    rac.distill(tiny_encoder, tmp_path / "out", progress=lambda *now: calls.append(now))
    assert calls[-1][0] == calls[-1][1] > 0


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def narrow(path: Path) -> None:
    path.write_bytes(_safetensors("embeddings", np.zeros((3, 4), np.float16)))


def other_name(path: Path) -> None:
    path.write_bytes(_safetensors("something", np.zeros((300, 4), np.float16)))


@pytest.mark.parametrize("damage", [Path.unlink, half, narrow, other_name])
def test_a_damaged_table_is_refused_by_its_file(
    damage: Callable[[Path], None], static_model: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(static_model, tmp_path / "model")
    damage(folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        rac.Encoder(folder)


def test_the_command(run_rac: RunRac, tiny_model: Path, tmp_path: Path) -> None:
    finished = run_rac("distill", tiny_model, "--out", tmp_path / "made", "--dimension", "8")
    assert finished.stdout == ""
    assert "8 dimensions" in finished.stderr
    assert rac.Encoder(tmp_path / "made").dimension == 8
    again = run_rac("distill", tiny_model, "--out", tmp_path / "made", check=False)
    assert again.returncode == 1
    assert "exists already" in again.stderr
