"""What a figure depends on besides the code: the machine, its load, the versions."""

import hashlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.processes import available_cores

REPOSITORY = Path(__file__).resolve().parent.parent
_PEERS = ("numpy", "onnxruntime", "tokenizers", "sentence-transformers", "torch")
# The instruction sets that decide which kernel runs.
_FLAGS = ("avx", "avx2", "fma", "f16c", "avx_vnni", "asimd", "asimddp", "sve", "bf16", "i8mm")


def load_average() -> str:
    """The number of runnable threads over the last 1, 5 and 15 minutes."""
    return " ".join(f"{load:.2f}" for load in os.getloadavg())


def describe() -> dict[str, Any]:
    """The machine and the versions; takes the extension module into this process."""
    import rust_ai_core as rac
    from rust_ai_core import _core

    module = Path(str(_core.__file__)).read_bytes()
    versions = {name: _version(name) for name in _PEERS}
    return {
        "commit": _commit(),
        "rust_ai_core": f"{rac.__version__}, kernels {rac.kernel_backend()}, "
        f"module sha256 {hashlib.sha256(module).hexdigest()[:12]}",
        "processor": _processor(),
        "cores": available_cores(),
        "memory": f"{_memory_bytes() / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": platform.python_version(),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }


def filesystem(folder: Path) -> str:
    """The type of the file system that a folder is on."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return "unknown"
    fields = [line.split() for line in mounts.read_text().splitlines()]
    holding = [(row[1], row[2]) for row in fields if folder.resolve().is_relative_to(row[1])]
    return max(holding, key=lambda mount: len(mount[0]))[1]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(REPOSITORY), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "crates", "python", "Cargo.lock")
        return git("rev-parse", "--short=12", "HEAD") + (" and changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor() or platform.machine()
    facts = dict(
        [part.strip() for part in line.split(":", 1)]
        for line in path.read_text().split("\n\n", 1)[0].splitlines()
        if ":" in line
    )
    flags = facts.get("flags", facts.get("Features", "")).split()
    known = [flag for flag in flags if flag in _FLAGS or flag.startswith(("avx512", "amx_"))]
    name = facts.get("model name", platform.machine())
    place = f"family {facts.get('cpu family', '?')} model {facts.get('model', '?')}"
    return f"{name} ({place}; {' '.join(known)})"


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
