"""The ways to encode the same texts with the same weights: ours and others."""

import importlib.util
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

import rust_ai_core as rac
from benchmarks.data import SHARED

FloatArray = npt.NDArray[np.float32]

ONNX_FOLDER = SHARED / "models" / "minilm"

OURS = "rust_ai_core f32"
OURS_BF16 = "rust_ai_core bf16"
OURS_INT8 = "rust_ai_core int8"
ORT = "onnxruntime f32"
ORT_SORTED = "onnxruntime f32 sorted by length"
ORT_INT8 = "onnxruntime int8 sorted by length"
TORCH = "sentence-transformers"


class Encodes(Protocol):
    """What all contenders have in common."""

    def encode(self, texts: list[str]) -> FloatArray: ...


class OnnxEncoder:
    """ONNX Runtime behind the `tokenizers` package: batches padded to their longest text."""

    def __init__(
        self, model: Path, tokenizer: Path, *, batch: int, max_tokens: int, by_length: bool
    ) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["RAC_NUM_THREADS"])
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(max_tokens)
        self._tokenizer.no_padding()
        self._batch = batch
        self._by_length = by_length

    def encode(self, texts: list[str]) -> FloatArray:
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(texts)]
        order = list(range(len(tokens)))
        if self._by_length:
            order.sort(key=lambda index: len(tokens[index]))
        starts = range(0, len(order), self._batch)
        batches = [order[start : start + self._batch] for start in starts]
        vectors = [self._run([tokens[index] for index in batch]) for batch in batches]
        result = np.empty((len(tokens), vectors[0].shape[1]), dtype=np.float32)
        result[order] = np.vstack(vectors)
        return result

    def _run(self, tokens: list[list[int]]) -> FloatArray:
        width = max(map(len, tokens))
        ids = np.zeros((len(tokens), width), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (states,) = self._session.run(["last_hidden_state"], inputs)
        # The sum over a text's own tokens points where their mean does.
        sums = np.einsum("btd,bt->bd", states, mask.astype(np.float32))
        return sums / np.linalg.norm(sums, axis=1, keepdims=True)


class TorchEncoder:
    """sentence-transformers on torch, with its own sorting and batching."""

    def __init__(self, model: Path, *, batch: int, max_tokens: int) -> None:
        import torch
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.models import Normalize, Pooling, Transformer

        torch.set_num_threads(int(os.environ["RAC_NUM_THREADS"]))
        transformer = Transformer(str(model), max_seq_length=max_tokens)
        pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
        self._model: Any = SentenceTransformer(
            modules=[transformer, pooling, Normalize()], device="cpu"
        )
        self._batch = batch

    def encode(self, texts: list[str]) -> FloatArray:
        vectors = self._model.encode(texts, batch_size=self._batch, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)


def makers_of(
    folder: Path, definition: Mapping[str, Any]
) -> tuple[dict[str, Callable[[], Encodes]], list[str]]:
    """How to load each contender of the definition, and which ones cannot run here."""
    size = {"batch": definition["batch"], "max_tokens": definition["max_tokens"]}
    makers: dict[str, Callable[[], Encodes]] = {
        OURS: lambda: rac.Encoder(cache=False),
        OURS_BF16: lambda: rac.Encoder(precision="bf16", cache=False),
        OURS_INT8: lambda: rac.Encoder(precision="int8", cache=False),
    }
    notes = []

    def onnx(file: str, by_length: bool) -> Callable[[], Encodes]:
        model, tokenizer = ONNX_FOLDER / file, folder / "tokenizer.json"
        return lambda: OnnxEncoder(model, tokenizer, by_length=by_length, **size)

    if not ONNX_FOLDER.is_dir():
        notes.append("ONNX Runtime was left out: its model is in ../shared, which is not here.")
    elif _missing("onnxruntime", "tokenizers"):
        notes.append("ONNX Runtime was left out: pip install onnxruntime tokenizers.")
    else:
        makers[ORT] = onnx("model.onnx", by_length=False)
        makers[ORT_SORTED] = onnx("model.onnx", by_length=True)
        makers[ORT_INT8] = onnx("model.int8.onnx", by_length=True)
    if _missing("sentence_transformers"):
        notes.append("sentence-transformers was left out: it is not installed.")
    else:
        makers[TORCH] = lambda: TorchEncoder(folder, **size)
    chosen = {name: makers[name] for name in definition["contenders"] if name in makers}
    return chosen, notes


def _missing(*packages: str) -> bool:
    return any(importlib.util.find_spec(package) is None for package in packages)
