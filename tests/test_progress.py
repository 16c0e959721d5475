"""Progress bars: on a terminal, and nowhere else."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import rust_ai_core as rac
from rust_ai_core import progress

PROGRAM = """
import sys
import rust_ai_core as rac
encoder = rac.Encoder(sys.argv[1])
encoder.encode([f"text number {n}" for n in range(3000)], progress=True)
with rac.open(sys.argv[2]) as database:
    texts = {f"{n}.txt": f"text number {n}" for n in range(50)}
    database.collection("texts", model=encoder).ingest(texts, progress=True)
"""


def run(stderr: int, tiny_model: Path, folder: Path) -> None:
    # Some environments force colours and with them terminals; a terminal is what we look at.
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "FORCE_COLOR": "1"}
    command = [sys.executable, "-c", PROGRAM, str(tiny_model), str(folder / "texts.rac")]
    subprocess.run(command, env=environment, stderr=stderr, check=True, timeout=120)


def read_all(terminal: int) -> str:
    """Read what was written to a terminal whose other end is closed."""
    output = b""
    while True:
        try:
            block = os.read(terminal, 4096)
        except OSError:
            # Linux says so when the last writer is gone.
            block = b""
        if not block:
            return output.decode(errors="replace")
        output += block


def test_bars_are_drawn_on_a_terminal(tiny_model: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        run(theirs, tiny_model, tmp_path)
    finally:
        os.close(theirs)
    output = read_all(ours)
    os.close(ours)
    assert "3000/3000" in output
    assert "texts" in output
    assert "files" in output
    assert "chunks" in output


def test_nothing_is_drawn_into_a_file(tiny_model: Path, tmp_path: Path) -> None:
    log = tmp_path / "stderr"
    with log.open("wb") as file:
        run(file.fileno(), tiny_model, tmp_path)
    assert log.read_bytes() == b""


def test_the_bars_take_what_the_extension_gives(capfd: pytest.CaptureFixture[str]) -> None:
    with progress.encode_bar() as update:
        update(1, 2)
    assert capfd.readouterr() == ("", "")


def test_a_function_sees_every_text_done(tiny_encoder: rac.Encoder) -> None:
    calls: list[tuple[int, int]] = []
    tiny_encoder.encode(["text"] * 100, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (100, 100)
    assert calls == sorted(calls)
