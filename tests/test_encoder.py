"""The text encoder: the reference's vectors and token ids, whatever is around a text."""

import gzip
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import rust_ai_core as rac
from conftest import REPOSITORY
from rust_ai_core.errors import ModelError

Vectors = npt.NDArray[np.float32]

VARIED = [
    "", " ", "a", "A cat sat on the mat.", "emoji 🦀🐍 👩‍🔬", "你好,世界 数据库", "null\0end\x01",
    "[CLS] [SEP] [MASK]", "def f(x):\n    return x**2", "é", "x" * 500, "word " * 300,
    *(f"sentence number {n} " * (n % 7 + 1) for n in range(40)),
]  # fmt: skip


def cosines(a: Vectors, b: Vectors) -> npt.NDArray[np.float64]:
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(wide_a, axis=1) * np.linalg.norm(wide_b, axis=1)
    return np.asarray((wide_a * wide_b).sum(1) / norms)


# -- the reference ---------------------------------------------------------------------------------


def test_minilm_equals_the_golden_file(minilm: rac.Encoder) -> None:
    path = REPOSITORY / "tests" / "fixtures" / "minilm_golden.json"
    golden = json.loads(path.read_text(encoding="utf-8"))
    texts = [example["text"] for example in golden]
    assert minilm.tokenize(texts) == [example["ids"] for example in golden]
    vectors = minilm.encode(texts)
    expected = np.array([example["vector"] for example in golden], np.float32)
    assert cosines(vectors, expected).min() >= 0.99999
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_minilm_equals_torch_on_all_golden_texts(minilm: rac.Encoder, shared: Path) -> None:
    folder = shared / "models" / "minilm"
    with gzip.open(folder / "golden_texts.json.gz") as file:
        golden = json.load(file)
    expected = np.load(folder / "golden_vectors.f32.npy")
    assert len(golden["texts"]) == len(expected) == 923
    assert minilm.max_tokens == golden["max_tokens"]
    assert minilm.tokenize(golden["texts"]) == golden["ids"]
    vectors = minilm.encode(golden["texts"])
    assert cosines(vectors, expected).min() >= 0.99999
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        "bert-mean",
        "bert-cls-prompted",
        "roberta-mean",
        "xlm-roberta-cls",
        "distilbert-mean",
        "mpnet-mean",
    ],
)
def test_every_supported_architecture_equals_its_reference(name: str, shared: Path) -> None:
    folder = shared / "models" / "tiny" / name
    golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    encoder = rac.Encoder(folder)
    assert encoder.max_tokens == golden["max_seq_length"]
    assert encoder.tokenize(golden["inputs"]) == golden["ids"]
    vectors = encoder.encode(golden["inputs"])
    np.testing.assert_allclose(vectors, np.array(golden["outputs"]), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("bert-cross-encoder", "BertForSequenceClassification"),
        ("roberta-cross-encoder", "RobertaForSequenceClassification"),
    ],
)
def test_an_architecture_that_is_not_supported_is_named(
    name: str, architecture: str, shared: Path
) -> None:
    with pytest.raises(ModelError, match=architecture) as caught:
        rac.Encoder(shared / "models" / "tiny" / name)
    assert name in str(caught.value)


# -- what a vector depends on ----------------------------------------------------------------------


@pytest.mark.parametrize("model", ["tiny_encoder", "minilm"])
def test_a_vector_depends_on_its_text_alone(model: str, request: pytest.FixtureRequest) -> None:
    encoder: rac.Encoder = request.getfixturevalue(model)
    alone = np.vstack([encoder.encode([text]) for text in VARIED])
    np.testing.assert_array_equal(encoder.encode(VARIED), alone)
    np.testing.assert_array_equal(encoder.encode(VARIED[::-1])[::-1], alone)
    for size in (2, 7, 33):
        batches = [encoder.encode(VARIED[at : at + size]) for at in range(0, len(VARIED), size)]
        np.testing.assert_array_equal(np.vstack(batches), alone)
    np.testing.assert_array_equal(encoder.encode([VARIED[3]] * 50), alone[[3] * 50])


@pytest.mark.parametrize("model", ["tiny_encoder", "minilm"])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_vector_does_not_depend_on_the_number_of_threads(
    threads: int, model: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    encoder: rac.Encoder = request.getfixturevalue(model)
    program = """
import json, sys
import numpy as np
import rust_ai_core as rac
path, model, threads, out = sys.argv[1:]
assert rac.thread_count() == int(threads)
np.save(out, rac.Encoder(model).encode(json.load(open(path, encoding="utf-8"))))
"""
    texts, out = tmp_path / "texts.json", tmp_path / "out.npy"
    texts.write_text(json.dumps(VARIED), encoding="utf-8")
    command = [sys.executable, "-c", program, str(texts), encoder.path, str(threads), str(out)]
    environment = {**os.environ, "RAC_NUM_THREADS": str(threads)}
    subprocess.run(command, check=True, timeout=120, env=environment)
    np.testing.assert_array_equal(np.load(out), encoder.encode(VARIED))


# -- arguments -------------------------------------------------------------------------------------


def test_no_texts_give_no_vectors(tiny_encoder: rac.Encoder) -> None:
    nothings: list[Any] = [[], (), iter([])]
    for nothing in nothings:
        vectors = tiny_encoder.encode(nothing)
        assert vectors.shape == (0, 32)
        assert vectors.dtype == np.float32
    assert tiny_encoder.tokenize([]) == []


def test_texts_come_in_any_container(tiny_encoder: rac.Encoder) -> None:
    texts = ["one", "two words", "three"]
    expected = tiny_encoder.encode(texts)
    assert expected.flags.c_contiguous
    assert expected.flags.writeable
    containers: list[Any] = [
        tuple(texts), iter(texts), (text for text in texts), dict.fromkeys(texts), np.array(texts),
        np.array(texts, object), [np.str_(text) for text in texts],
    ]  # fmt: skip
    for container in containers:
        np.testing.assert_array_equal(tiny_encoder.encode(container), expected)


def test_a_str_is_one_text(tiny_encoder: rac.Encoder) -> None:
    np.testing.assert_array_equal(tiny_encoder.encode("one two"), tiny_encoder.encode(["one two"]))
    assert tiny_encoder.tokenize("one two") == tiny_encoder.tokenize(["one two"])


@pytest.mark.parametrize("bad", [None, 5, b"bytes", ["a list"], 1.5])
def test_what_is_no_text_is_named_by_its_place(bad: Any, tiny_encoder: rac.Encoder) -> None:
    for call in (tiny_encoder.encode, tiny_encoder.tokenize):
        with pytest.raises(TypeError, match=f"text 2 is a {type(bad).__name__}, not a str"):
            call(["fine", "fine", bad])


@pytest.mark.parametrize("bad", [None, 5, 1.5, object()])
def test_what_is_no_container_is_a_type_error(bad: Any, tiny_encoder: rac.Encoder) -> None:
    with pytest.raises(TypeError, match="texts are str"):
        tiny_encoder.encode(bad)


def test_a_text_that_is_no_unicode_is_refused(tiny_encoder: rac.Encoder) -> None:
    with pytest.raises(UnicodeEncodeError):
        tiny_encoder.encode(["fine", "half a pair: \ud83e"])


def test_an_exception_of_the_texts_comes_through(tiny_encoder: rac.Encoder) -> None:
    def texts() -> Iterator[str]:
        yield "fine"
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        tiny_encoder.encode(texts())


def test_long_texts_are_cut_to_what_the_model_takes(tiny_encoder: rac.Encoder) -> None:
    (ids,) = tiny_encoder.tokenize("word " * 1000)
    assert len(ids) == tiny_encoder.max_tokens == 48
    long = tiny_encoder.encode(["word " * 1000, "word " * 5000])
    np.testing.assert_array_equal(long[0], long[1])


def test_an_encoder_says_what_it_is(tiny_encoder: rac.Encoder, tiny_model: Path) -> None:
    assert (tiny_encoder.path, tiny_encoder.name) == (str(tiny_model), str(tiny_model))
    assert tiny_encoder.dimension == 32
    assert len(tiny_encoder.fingerprint) == 32
    assert int(tiny_encoder.fingerprint, 16) > 0
    assert rac.Encoder(str(tiny_model)).fingerprint == tiny_encoder.fingerprint


def test_a_fingerprint_names_the_content(tiny_model: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "copy")
    original = rac.Encoder(tiny_model).fingerprint
    assert rac.Encoder(copy).fingerprint == original
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-2] ^= 1
    other = shutil.copytree(tiny_model, tmp_path / "other")
    (other / "model.safetensors").write_bytes(weights)
    assert rac.Encoder(other).fingerprint != original


# -- progress and interruption ---------------------------------------------------------------------


def test_progress_is_told(tiny_encoder: rac.Encoder) -> None:
    calls: list[tuple[int, int]] = []
    tiny_encoder.encode([f"text {n}" for n in range(5000)], progress=lambda *now: calls.append(now))
    done = [now[0] for now in calls]
    assert len(done) > 1
    assert done == sorted(done)
    assert done[-1] == 5000
    assert {now[1] for now in calls} == {5000}


def test_an_exception_from_progress_stops_the_work(tiny_encoder: rac.Encoder) -> None:
    calls = 0

    def stop(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        raise RuntimeError("enough")

    texts = [f"text {n} " * 20 for n in range(30_000)]
    with pytest.raises(RuntimeError, match="enough"):
        tiny_encoder.encode(texts, progress=stop)
    assert calls == 1
    assert tiny_encoder.encode(["still works"]).shape == (1, 32)


def test_progress_is_a_bool_or_a_callable(
    tiny_encoder: rac.Encoder, capfd: pytest.CaptureFixture[str]
) -> None:
    for quiet in (True, False, None):
        assert tiny_encoder.encode(["a"], progress=quiet).shape == (1, 32)
    # A bar is drawn on a terminal only.
    assert capfd.readouterr().out == ""
    with pytest.raises(TypeError, match="progress"):
        tiny_encoder.encode(["a"], progress=5)  # type: ignore[arg-type]


def test_ctrl_c_stops_encoding_within_seconds(minilm: rac.Encoder) -> None:
    """Seconds of work, which is what they are on a machine with nothing else to do."""
    program = """
import os, signal, sys, threading, time
import rust_ai_core as rac
encoder = rac.Encoder(sys.argv[1])
texts = ["one two three four five six seven eight nine ten " * 20] * 20_000
asked = []

def ask():
    asked.append(time.process_time())
    os.kill(os.getpid(), signal.SIGINT)

threading.Timer(0.5, ask).start()
try:
    encoder.encode(texts)
except KeyboardInterrupt:
    print((time.process_time() - asked[0]) / rac.thread_count())
    assert encoder.encode(["still works"]).shape == (1, 384)
"""
    command = [sys.executable, "-c", program, minilm.path]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert float(finished.stdout) < 3, finished.stdout


# -- damaged models --------------------------------------------------------------------------------


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "truncated": half,
    "no JSON": lambda path: path.write_text("hello", encoding="utf-8"),
}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize(
    "file", ["config.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json"]
)
def test_a_damaged_model_is_refused_by_its_file(
    file: str, how: str, tiny_model: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    DAMAGE[how](folder / file)
    with pytest.raises(ModelError) as caught:
        rac.Encoder(folder)
    assert str(folder) in str(caught.value)
    assert file in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [
        ("hidden_size", 64, "model.safetensors"),
        ("hidden_size", 0, "config.json"),
        ("hidden_size", "wide", "config.json"),
        ("num_attention_heads", 5, "config.json"),
        ("num_attention_heads", 0, "config.json"),
        ("num_hidden_layers", 3, "model.safetensors"),
        ("intermediate_size", 63, "model.safetensors"),
        ("vocab_size", 5, "tokenizer.json"),
        ("vocab_size", 500, "model.safetensors"),
        ("max_position_embeddings", 10, "model.safetensors"),
        ("hidden_act", "swish", "swish"),
        ("model_type", "gpt2", "gpt2"),
        ("model_type", None, "model_type"),
        ("position_embedding_type", "relative_key", "position embeddings"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(
    setting: str, value: Any, named: str, tiny_model: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, setting: value}), encoding="utf-8")
    with pytest.raises(ModelError, match=named) as caught:
        rac.Encoder(folder)
    assert str(folder) in str(caught.value)


def pooled(model: Path, folder: Path, **settings: Any) -> rac.Encoder:
    """The model with another pooling, and without normalisation."""
    shutil.copytree(model, folder)
    path = folder / "1_Pooling" / "config.json"
    pooling = json.loads(path.read_text(encoding="utf-8")) | {"pooling_mode_mean_tokens": False}
    path.write_text(json.dumps(pooling | settings), encoding="utf-8")
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    (folder / "modules.json").write_text(json.dumps(modules[:2]), encoding="utf-8")
    return rac.Encoder(folder, cache=False)


def test_poolings_agree_with_each_other(tiny_model: Path, tmp_path: Path) -> None:
    cls, last, most, mean, root = (
        pooled(tiny_model, tmp_path / mode, **{f"pooling_mode_{mode}": True})
        for mode in (
            "cls_token",
            "lasttoken",
            "max_tokens",
            "mean_tokens",
            "mean_sqrt_len_tokens",
        )
    )
    # Nothing but the two special tokens: the mean and the first one tell the last one.
    first, both = cls.encode("")[0], mean.encode("")[0]
    np.testing.assert_allclose(last.encode("")[0], 2 * both - first, atol=1e-5)
    np.testing.assert_allclose(most.encode("")[0], np.maximum(first, 2 * both - first), atol=1e-5)
    counts = np.array([len(ids) for ids in mean.tokenize(VARIED)], np.float32)[:, None]
    means = mean.encode(VARIED)
    np.testing.assert_allclose(root.encode(VARIED), means * np.sqrt(counts), rtol=1e-4, atol=1e-5)
    bounds = most.encode(VARIED) + 1e-5
    for others in (cls, last, mean):
        assert (others.encode(VARIED) <= bounds).all()
    assert not np.array_equal(last.encode(VARIED), cls.encode(VARIED))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"pooling_mode_weightedmean_tokens": True}, "weightedmean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}, "several"),
        ({"pooling_mode": "magic"}, "no mode that is known"),
        ({"pooling_mode_cls_token": True, "include_prompt": False}, "prompt"),
    ],
)
def test_pooling_that_is_not_supported_is_refused(
    settings: dict[str, Any], named: str, tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=named):
        pooled(tiny_model, tmp_path / "model", **settings)


@pytest.mark.parametrize("model", [5, b"minilm", ["minilm"]])
def test_a_model_is_a_name_or_a_path(model: Any) -> None:
    with pytest.raises(TypeError):
        rac.Encoder(model)


# -- threads and forks -----------------------------------------------------------------------------


def test_one_encoder_serves_many_threads(tiny_encoder: rac.Encoder) -> None:
    expected = tiny_encoder.encode(VARIED)
    outcomes: list[bool] = []

    def work(first: int) -> None:
        texts = VARIED[first:] + VARIED[:first]
        same = [
            np.array_equal(tiny_encoder.encode(texts), np.roll(expected, -first, axis=0))
            for _ in range(20)
        ]
        outcomes.append(all(same))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert outcomes == [True] * 8


def test_a_forked_child_encodes(tiny_model: Path, tmp_path: Path) -> None:
    """In a process of its own, since pytest and its plugins did not ask to be forked."""
    program = """
import os, sys
import numpy as np
import rust_ai_core as rac
encoder = rac.Encoder(sys.argv[1])
texts = [f"text {n}" for n in range(500)]
expected = encoder.encode(texts)
child = os.fork()
if child == 0:
    same = np.array_equal(encoder.encode(texts), expected)
    with rac.open(sys.argv[2]) as db:
        notes = db.collection("notes", model=encoder)
        notes.upsert(range(500), texts=texts)
        found = notes.search("text 7", limit=1)[0].text
    os._exit(0 if same and found == "text 7" else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert np.array_equal(encoder.encode(texts), expected)
"""
    arguments = [str(tiny_model), str(tmp_path / "db.rac")]
    command = [sys.executable, "-W", "ignore", "-c", program, *arguments]
    subprocess.run(command, check=True, timeout=60)


# -- precisions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("precision", "least"), [("bf16", 0.9995), ("int8", 0.98)])
def test_narrow_precisions_stay_close_to_f32(precision: Any, least: float, minilm: Any) -> None:
    narrow = rac.Encoder(precision=precision)
    assert narrow.precision == precision
    assert f"precision='{precision}'" in repr(narrow) or f'precision="{precision}"' in repr(narrow)
    assert narrow.fingerprint == minilm.fingerprint
    found = cosines(narrow.encode(VARIED), minilm.encode(VARIED))
    assert found.min() >= least
    # It is not the reference itself, from a cache that does not tell precisions apart.
    assert found.min() < 1 - 1e-6


@pytest.mark.parametrize("precision", ["f32", "bf16", "int8"])
def test_no_precision_lets_a_vector_depend_on_its_neighbours(precision: Any) -> None:
    encoder = rac.Encoder(precision=precision, cache=False)
    together = encoder.encode(VARIED)
    backwards = encoder.encode(VARIED[::-1])[::-1]
    alone = np.vstack([encoder.encode([text]) for text in VARIED])
    np.testing.assert_array_equal(together, backwards)
    np.testing.assert_array_equal(together, alone)


def test_auto_is_one_of_the_precisions_and_others_are_refused() -> None:
    assert rac.Encoder(precision="auto").precision in ("f32", "bf16", "int8")
    assert rac.Encoder().precision == "f32"
    with pytest.raises(ValueError, match="bf16"):
        rac.Encoder(precision="f16")  # type: ignore[arg-type]


def test_an_encoder_in_another_precision_is_the_same_model(minilm: Any) -> None:
    narrow = rac.Encoder(minilm, precision="int8")
    assert (narrow.name, narrow.path) == (minilm.name, minilm.path)
    assert rac.Encoder(narrow).precision == "int8"
