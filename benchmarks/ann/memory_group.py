"""A memory cgroup that a contender's whole process is born into, so that nothing escapes the limit.

Works as root where the memory controller is mounted and writable, version 1 or 2; elsewhere
`why_not` says what is missing.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path

V1 = Path("/sys/fs/cgroup/memory")
V2 = Path("/sys/fs/cgroup")


class MemoryGroup:
    """A group with a limit in bytes; what its processes read from files counts too."""

    def __init__(self, name: str, limit: int) -> None:
        root = _root()
        if root is None:
            raise OSError(why_not())
        self._home = _own_group(root)
        self.folder = root / f"rust_ai_core-{os.getpid()}-{name}"
        self.folder.mkdir()
        file = "memory.limit_in_bytes" if root == V1 else "memory.max"
        (self.folder / file).write_text(str(limit))

    @contextmanager
    def birth(self) -> Iterator[None]:
        """Processes that are started here belong to the group from their first page on."""
        # It would be started with the first process, and stay in the group.
        resource_tracker.ensure_running()
        _join(self.folder)
        try:
            yield
        finally:
            _join(self._home)

    def most_used(self) -> int | None:
        """Bytes charged at most, pages of files included; None where the kernel does not say."""
        for name in ("memory.max_usage_in_bytes", "memory.peak"):
            file = self.folder / name
            if file.exists():
                return int(file.read_text())
        return None

    def remove(self) -> None:
        """Remove the group once its processes have ended."""
        with suppress(OSError):
            self.folder.rmdir()


def why_not() -> str:
    """Why there can be no memory group here; empty if there can."""
    if _root() is not None:
        return ""
    return (
        f"no memory cgroup can be made: {V1} is not writable, and {V2} has no memory "
        "controller for children (run as root; in a container, with a writable /sys/fs/cgroup)"
    )


def _root() -> Path | None:
    if (V1 / "memory.limit_in_bytes").exists() and os.access(V1, os.W_OK):
        return V1
    controllers = V2 / "cgroup.subtree_control"
    if controllers.exists() and os.access(V2, os.W_OK) and "memory" in controllers.read_text():
        return V2
    return None


def _own_group(root: Path) -> Path:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(",") or (root == V2 and number == "0"):
            return root / path.lstrip("/")
    return root


def _join(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))
