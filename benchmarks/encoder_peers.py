"""Other ways to encode the same texts with the same weights."""

import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from benchmarks.data import SHARED

FloatArray = npt.NDArray[np.float32]

ONNX_FOLDER = SHARED / "models" / "minilm"


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
