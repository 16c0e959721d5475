"""Weights from the Hugging Face hub, gone on with where an earlier process ended.

The hub's client keeps nothing of a file that a call did not get whole (since 2.0). Weights are
nearly all of a model's bytes, so they are fetched here first, into a file beside the place that
they have in the client's cache, and get that place when they are whole and their hash is right. The
client finds them there and does the rest.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock

WEIGHTS = (".safetensors", ".onnx", ".onnx_data")
BLOCK = 1 << 20


def fetch_weights(repository: str, files: Iterable[str]) -> None:
    """Bring those of the files that hold weights into the cache of the hub's client.

    What the hub does not have, or does not answer about, is left for the client to report. A
    download that breaks off for good raises what the client's transport raises; what has arrived
    stays for the next call, in whichever process.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import repo_folder_name

    blobs = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=repository, repo_type="model"))
    for name in files:
        if not name.endswith(WEIGHTS):
            continue
        try:
            found = get_hf_file_metadata(hf_hub_url(repository, name))
        except Exception:  # noqa: S112  (of many unrelated types; the client meets it again)
            continue
        # Only names that cannot lead out of the folder.
        if found.etag and found.size and re.fullmatch(r"[\w-]+", found.etag):
            url = hf_hub_url(repository, name, revision=found.commit_hash)
            _fetch(url, blobs / "blobs" / found.etag, found.size)


def _fetch(url: str, target: Path, size: int) -> None:
    """Download a file, or the rest of it, unless it is there. Its name is its hash."""
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils._headers import build_hf_headers

    target.parent.mkdir(parents=True, exist_ok=True)
    # A name apart from those of the client's temporary files: nobody else writes to it.
    partial = target.with_name(f"{target.name}.rac.incomplete")
    with FileLock(target.with_name(f".{target.name}.lock")):
        if target.exists():
            return
        if partial.exists() and partial.stat().st_size > size:
            partial.unlink()
        # Without a buffer: what has arrived is in the file also when the process is killed.
        with partial.open("ab", buffering=0) as file:
            http_get(
                url,
                file,
                resume_size=file.tell(),
                headers=build_hf_headers(library_name="rust_ai_core"),
                expected_size=size,
            )
        if not _has_hash(partial, size, target.name):
            partial.unlink()
            raise OSError(f"{url} has not the content that the hub says: not used")
        partial.replace(target)


def _has_hash(file: Path, size: int, etag: str) -> bool:
    """Whether the content is the etag's: the SHA-256 of large files, else git's hash of a blob."""
    if re.fullmatch(r"[0-9a-f]{64}", etag):
        digest = hashlib.sha256()
    elif re.fullmatch(r"[0-9a-f]{40}", etag):
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    else:
        return file.stat().st_size == size
    with file.open("rb") as content:
        while block := content.read(BLOCK):
            digest.update(block)
    return digest.hexdigest() == etag
