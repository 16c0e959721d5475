"""Make static embeddings of an encoder: what it gives for every token alone, in fewer dimensions.

The recipe and the files' layout are model2vec's, and the weights
are those of "A Simple but Tough-to-Beat Baseline for Sentence Embeddings" (Arora, Liang and Ma,
ICLR 2017), with frequencies by Zipf's law, as a vocabulary is in the order of its tokens'
frequencies.
"""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rust_ai_core._core import Encoder
from rust_ai_core.errors import ArgumentError
from rust_ai_core.progress import encode_bar

TOGETHER = 512
"""Tokens that are encoded between two looks at Ctrl-C: about a tenth of a second."""

MAX_TOKENS = 512
UNUSED = re.compile(r"\[unused\d+\]")

Array = npt.NDArray[np.float32]


def distill(
    model: str | os.PathLike[str] | Encoder,
    out: str | os.PathLike[str],
    *,
    dimension: int = 256,
    sif: float = 1e-4,
    progress: bool | Callable[[int, int], object] | None = None,
) -> Encoder:
    """Make a model of static embeddings from an encoder and its vocabulary.

    Every token of the vocabulary is encoded alone; the principal components of what comes out are
    its vector, weighted by `sif / (sif + frequency)`. A text's vector is then the mean of its
    tokens' vectors: three orders of magnitude faster than the encoder, and blind to the order and
    the meaning in context of words. Good for a first pass, whose hits a better model ranks.

    The folder has the layout of model2vec, which loads it too, and so does `Encoder`.

    >>> import rust_ai_core as rac
    >>> fast = rac.distill("minilm", "minilm-static", dimension=128)
    >>> fast.encode(["a cat on a mat", "a dog on a log"]).shape
    (2, 128)

    Args:
        model: A model's name, its folder, a Hugging Face id, or an `Encoder`.
        out: The folder to be made. Written whole or not at all.
        dimension: Numbers in a vector, at most; no more than the encoder's.
        sif: The constant of the weights. Greater is flatter.
        progress: True for a bar on a terminal, or a callable that gets (tokens done, tokens).

    Returns:
        The new model.

    Raises:
        ArgumentError: `out` exists, or `dimension` or `sif` makes no sense.
        ModelError: The model cannot be loaded, or is static already.
    """
    folder = Path(out)
    if folder.exists():
        raise ArgumentError(f"{folder} exists already; give the name of a new folder")
    if dimension < 1 or not 0 < sif < 1:
        raise ArgumentError(f"dimension={dimension} must be above 0, sif={sif} between 0 and 1")
    encoder = model if isinstance(model, Encoder) else Encoder(model)
    tokenizer = _read(Path(encoder.path) / "tokenizer.json")
    if _read(Path(encoder.path) / "config.json").get("model_type") == "model2vec":
        raise ArgumentError(f"{encoder.name!r} is a static model already")
    count, kept = _vocabulary(tokenizer)
    if progress is True:
        with encode_bar() as tell:
            vectors = _encode(encoder, kept, tell)
    else:
        vectors = _encode(encoder, kept, progress or (lambda _done, _total: None))
    reduced = _principal_components(vectors, dimension) * _weights(len(kept), sif)
    # Tokens that stand for no text have a row, as the table has one for every id; it is zero.
    table = np.zeros((count, reduced.shape[1]), np.float16)
    table[kept] = reduced
    _write(folder, table, tokenizer, encoder, sif)
    return Encoder(folder)


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _vocabulary(tokenizer: dict[str, Any]) -> tuple[int, list[int]]:
    """Return how many ids there are, and those of tokens that texts are made of, in their order."""
    vocabulary = tokenizer["model"]["vocab"]
    if isinstance(vocabulary, dict):
        tokens = {number: token for token, number in vocabulary.items()}
    else:  # Unigram has a list of tokens and scores
        tokens = {number: entry[0] for number, entry in enumerate(vocabulary)}
    special = set()
    for added in tokenizer.get("added_tokens") or []:
        tokens[added["id"]] = added["content"]
        if added["special"]:
            special.add(added["id"])
    kept = [
        number
        for number, token in sorted(tokens.items())
        if number not in special and not UNUSED.fullmatch(token)
    ]
    return max(tokens) + 1, kept


def _encode(encoder: Encoder, ids: list[int], tell: Callable[[int, int], object]) -> Array:
    """Encode every token alone, between the special tokens of the model."""
    empty, one = encoder.tokenize(["", "a"])
    before = next((n for n, (a, b) in enumerate(zip(empty, one, strict=False)) if a != b), 0)
    prefix, suffix = empty[:before], empty[before:]
    parts = []
    for start in range(0, len(ids), TOGETHER):
        part = [[*prefix, number, *suffix] for number in ids[start : start + TOGETHER]]
        parts.append(encoder._encode_ids(part))
        tell(start + len(part), len(ids))
    return np.concatenate(parts)


def _principal_components(vectors: Array, dimension: int) -> Array:
    """Return the vectors' greatest principal components, each with a fixed sign."""
    wide = vectors.astype(np.float64)
    centred = wide - wide.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    scores = centred @ axes[:, ::-1][:, :dimension]
    # An axis may come out either way round; the greatest score of each is made positive.
    greatest = np.abs(scores).argmax(axis=0)
    signs = np.sign(scores[greatest, np.arange(scores.shape[1])])
    components: Array = (scores * signs).astype(np.float32)
    return components


def _weights(count: int, sif: float) -> Array:
    """Return a column of smooth inverse frequencies for tokens in the order of their frequency."""
    frequencies = 1 / np.arange(2, count + 2)
    frequencies /= frequencies.sum()
    return (sif / (sif + frequencies)).astype(np.float32)[:, None]


def _write(
    folder: Path,
    table: npt.NDArray[np.float16],
    tokenizer: dict[str, Any],
    encoder: Encoder,
    sif: float,
) -> None:
    dimension = table.shape[1]
    config = {
        "model_type": "model2vec",
        "architectures": ["StaticModel"],
        "tokenizer_name": encoder.name,
        "apply_pca": dimension,
        "sif_coefficient": sif,
        "hidden_dim": dimension,
        "max_length": MAX_TOKENS,
        "normalize": True,
        "embedding_dtype": "float16",
    }
    modules = [("StaticEmbedding", "."), ("Normalize", "1_Normalize")]
    temporary = folder.with_name(f".{folder.name}-{os.getpid()}")
    temporary.mkdir(parents=True)
    _write_json(temporary / "config.json", config)
    _write_json(temporary / "tokenizer.json", tokenizer | {"truncation": None, "padding": None})
    _write_json(
        temporary / "modules.json",
        [
            {
                "idx": number,
                "name": str(number),
                "path": path,
                "type": f"sentence_transformers.models.{kind}",
            }
            for number, (kind, path) in enumerate(modules)
        ],
    )
    (temporary / "model.safetensors").write_bytes(_safetensors("embeddings", table))
    temporary.rename(folder)


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _safetensors(name: str, table: npt.NDArray[np.float16]) -> bytes:
    """Return a safetensors file of one matrix: the length of a table, the table, the numbers."""
    data = table.astype("<f2").tobytes()
    entry = {"dtype": "F16", "shape": list(table.shape), "data_offsets": [0, len(data)]}
    header = json.dumps({name: entry}).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data
