"""Where the shared library of ONNX Runtime is, for models that it runs."""

import importlib.util
import os
from pathlib import Path

from rust_ai_core.errors import ModelError

PATTERNS = ("libonnxruntime.so*", "libonnxruntime*.dylib")
TO_DO = "install it with `pip install onnxruntime`, or set ORT_DYLIB_PATH to libonnxruntime.so"


def library() -> Path:
    """Return the shared library: `$ORT_DYLIB_PATH`, else that of the installed `onnxruntime`.

    The package is looked for, not imported.

    Raises:
        ModelError: There is none. Says what to do.
    """
    if chosen := os.environ.get("ORT_DYLIB_PATH"):
        path = Path(chosen).expanduser().absolute()
        if not path.is_file():
            raise ModelError(f"ORT_DYLIB_PATH names {path}, which is not a file")
        return path
    found = importlib.util.find_spec("onnxruntime")
    folders = [Path(place, "capi") for place in (found and found.submodule_search_locations) or ()]
    for folder in folders:
        for pattern in PATTERNS:
            if libraries := sorted(folder.glob(pattern)):
                return libraries[-1]
    if folders:
        raise ModelError(
            f"the package onnxruntime in {folders[0].parent} has no shared library: {TO_DO}"
        )
    raise ModelError(f"ONNX models need the package onnxruntime, which is not installed: {TO_DO}")
