"""Cross-encoders: the reference's scores, and what a score depends on."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rust_ai_core as rac
from conftest import REPOSITORY
from rust_ai_core.errors import ArgumentError, ModelError

OWN = "tiny-cross-encoder"
SHARED = ["bert-cross-encoder", "roberta-cross-encoder"]


@pytest.fixture(params=[OWN, *SHARED])
def folder(request: pytest.FixtureRequest) -> Path:
    if request.param == OWN:
        return REPOSITORY / "tests" / "fixtures" / OWN
    shared: Path = request.getfixturevalue("shared")
    return shared / "models" / "tiny" / str(request.param)


def pairs_of(folder: Path) -> tuple[list[tuple[str, str]], Any]:
    golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    return [(a, b) for a, b in golden["inputs"]], np.array(golden["outputs"], np.float32)[:, 0]


def test_scores_are_those_of_the_reference(folder: Path) -> None:
    pairs, logits = pairs_of(folder)
    raw = rac.Reranker(folder, activation="identity")
    np.testing.assert_allclose(raw.scores(pairs), logits, atol=1e-5)
    # The folder names no activation.
    np.testing.assert_allclose(
        rac.Reranker(folder).scores(pairs), 1 / (1 + np.exp(-logits)), atol=1e-5
    )


def test_a_score_depends_on_its_pair_alone(folder: Path) -> None:
    pairs, _ = pairs_of(folder)
    reranker = rac.Reranker(folder)
    alone = np.concatenate([reranker.scores([pair]) for pair in pairs])
    np.testing.assert_array_equal(reranker.scores(pairs * 5), np.tile(alone, 5))
    with ThreadPoolExecutor(8) as threads:
        together = np.concatenate(list(threads.map(reranker.scores, [[pair] for pair in pairs])))
    np.testing.assert_array_equal(together, alone)


def test_rank_is_in_the_order_of_the_scores(folder: Path) -> None:
    pairs, _ = pairs_of(folder)
    reranker = rac.Reranker(folder)
    texts = [text for _, text in pairs]
    scores = reranker.scores([("a query", text) for text in texts])
    ranked = reranker.rank("a query", texts)
    assert [index for index, _ in ranked] == np.argsort(-scores, kind="stable").tolist()
    assert [score for _, score in ranked] == sorted(scores.tolist(), reverse=True)
    assert reranker.rank("a query", texts, limit=3) == ranked[:3]
    assert reranker.rank("a query", []) == []
    assert reranker.rank("q", ["same", "same"])[0][0] == 0


def test_what_config_names_is_the_activation(folder: Path, tmp_path: Path) -> None:
    pairs, logits = pairs_of(folder)
    settings: list[dict[str, Any]] = [
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}},
        {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
    ]
    for number, setting in enumerate(settings):
        copy = edit(folder, tmp_path / str(number), **setting)
        np.testing.assert_allclose(rac.Reranker(copy).scores(pairs), logits, atol=1e-5)
    with pytest.raises(ModelError, match="Softmax"):
        rac.Reranker(edit(folder, tmp_path / "x", sbert_ce_default_activation_function="Softmax"))


def edit(folder: Path, copy: Path, **settings: Any) -> Path:
    copy.mkdir()
    for file in ("tokenizer.json", "model.safetensors"):
        shutil.copyfile(folder / file, copy / file)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (copy / "config.json").write_text(json.dumps(config | settings), encoding="utf-8")
    return copy


def test_other_models_are_refused(folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="BertModel.*not a cross-encoder"):
        rac.Reranker(tiny_model)
    labels = edit(folder, tmp_path / "labels", id2label={"0": "no", "1": "yes"})
    with pytest.raises(ModelError, match="2 labels"):
        rac.Reranker(labels)
    with pytest.raises(ArgumentError, match="activation"):
        rac.Reranker(folder, activation="softmax")  # type: ignore[arg-type]


def test_what_is_no_pair_is_named(folder: Path) -> None:
    reranker = rac.Reranker(folder)
    with pytest.raises(TypeError, match="pair 1"):
        reranker.scores([("a", "b"), ("a", 5)])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="text 1"):
        reranker.rank("a", ["b", None])  # type: ignore[list-item]


def test_long_pairs_are_cut(folder: Path) -> None:
    reranker = rac.Reranker(folder)
    long = "a package of the library " * 200
    assert np.isfinite(reranker.scores([(long, long), (long, ""), ("", long)])).all()
