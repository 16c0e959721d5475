"""The resolver in processes of its own: against a hub on this machine, and racing."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from hub_server import REVISION, etag, hub
from package_index import FIRST, assert_holds, publish
from rust_ai_core import models

Pins = Mapping[str, tuple[int, str]]


def run_resolver(
    name: str, environment: Mapping[str, str], pins: Pins | None = None
) -> "subprocess.Popen[str]":
    """Resolve in a process of its own, with "tiny" pinned where pins are given."""
    program = f"""
import json, sys
import huggingface_hub.constants
from rust_ai_core import models
# What breaks off within the first block leaves nothing to go on from; the files here are small.
huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = 4096
from rust_ai_core.model_sources import DataPackage, Pin
pins = json.loads(sys.argv[2])
if pins:
    models.PINNED_MODELS["tiny"] = models.PinnedModel(
        "tiny", "organisation/tiny", {{name: Pin(*pin) for name, pin in pins.items()}},
        ({FIRST!r},),
    )
print(models.resolve(sys.argv[1]))
"""
    return subprocess.Popen(
        [sys.executable, "-c", program, name, json.dumps(pins or {})],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def pins_of(model: models.PinnedModel) -> Pins:
    return {name: (pin.size, pin.sha256) for name, pin in model.files.items()}


def unfinished(folder: Path) -> list[Path]:
    return list(folder.rglob("*.incomplete"))


def test_processes_that_race_fetch_once(
    index: Path, pinned: models.PinnedModel, contents: dict[str, bytes], tmp_path: Path
) -> None:
    publish(index, FIRST, contents)
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    processes = [run_resolver("tiny", environment, pins_of(pinned)) for _ in range(4)]
    results = [process.communicate(timeout=120) for process in processes]
    folders = {output.strip() for output, _ in results}
    assert len(folders) == 1
    assert_holds(Path(folders.pop()), contents)
    fetched = [errors for _, errors in results if "getting the data package" in errors]
    assert len(fetched) == 1


class TestHub:
    @pytest.fixture
    def environment(self, index: Path, tmp_path: Path) -> dict[str, str]:
        assert index.is_dir()
        return {"HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "0"}

    def resolve(
        self,
        name: str,
        environment: Mapping[str, str],
        pins: Pins | None = None,
    ) -> tuple[str, str]:
        process = run_resolver(name, environment, pins)
        output, errors = process.communicate(timeout=120)
        return output.strip(), errors

    def test_any_repository_is_fetched_and_used_in_place(
        self, environment: dict[str, str], contents: dict[str, bytes], tmp_path: Path
    ) -> None:
        extra = {"pytorch_model.bin": b"not needed", "README.md": b"# not needed"}
        with hub("organisation/any", {**contents, **extra}) as (endpoint, downloaded):
            environment["HF_ENDPOINT"] = endpoint
            folder, errors = self.resolve("organisation/any", environment)
            assert_holds(Path(folder), contents)
            assert Path(folder).is_relative_to(tmp_path / "hub")
            assert sorted(downloaded) == sorted(contents)
            assert "asking the Hugging Face hub for organisation/any" in errors
            # A snapshot that is there is taken as it is.
            downloaded.clear()
            again, errors = self.resolve("organisation/any", environment)
            assert (again, downloaded) == (folder, [])
        assert "asking" not in errors

    def test_offline_uses_what_the_hub_cache_has(
        self, environment: dict[str, str], tiny_model: Path, tmp_path: Path
    ) -> None:
        repository = tmp_path / "hub" / "hub" / "models--organisation--cached"
        shutil.copytree(tiny_model, repository / "snapshots" / REVISION)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(REVISION)
        environment["HF_HUB_OFFLINE"] = "1"
        folder, _ = self.resolve("organisation/cached", environment)
        assert Path(folder) == repository / "snapshots" / REVISION
        _, errors = self.resolve("organisation/other", environment)
        assert "the model 'organisation/other' could not be found" in errors

    def test_a_repository_without_safetensors_is_refused(
        self, environment: dict[str, str], contents: dict[str, bytes]
    ) -> None:
        files = {name: data for name, data in contents.items() if name != "model.safetensors"}
        with hub("organisation/old", files) as (environment["HF_ENDPOINT"], _):
            _, errors = self.resolve("organisation/old", environment)
        assert "the repository has no model.safetensors" in errors

    def test_a_pinned_model_is_linked_and_then_found_without_the_hub(
        self,
        environment: dict[str, str],
        pinned: models.PinnedModel,
        contents: dict[str, bytes],
        tmp_path: Path,
    ) -> None:
        with hub("organisation/tiny", contents) as (environment["HF_ENDPOINT"], downloaded):
            folder, _ = self.resolve("tiny", environment, pins_of(pinned))
        assert sorted(downloaded) == sorted(contents)
        assert_holds(Path(folder), contents)
        weights = Path(folder, "model.safetensors")
        assert weights.resolve().is_relative_to(tmp_path / "hub")
        again, errors = self.resolve("tiny", environment, pins_of(pinned))
        assert (again, errors) == (folder, "")

    def test_wrong_content_from_the_hub_leads_to_the_next_source(
        self,
        environment: dict[str, str],
        index: Path,
        pinned: models.PinnedModel,
        contents: dict[str, bytes],
    ) -> None:
        weights = contents["model.safetensors"]
        wrong = {**contents, "model.safetensors": weights[:-1] + b"x"}
        publish(index, FIRST, contents)
        with hub("organisation/tiny", wrong) as (environment["HF_ENDPOINT"], _):
            folder, errors = self.resolve("tiny", environment, pins_of(pinned))
        assert_holds(Path(folder), contents)
        assert "getting the data package" in errors

    def test_what_breaks_off_goes_on_where_it_was(
        self,
        environment: dict[str, str],
        pinned: models.PinnedModel,
        contents: dict[str, bytes],
    ) -> None:
        weights = len(contents["model.safetensors"])
        ranges: list[tuple[str, str]] = []
        with hub("organisation/tiny", contents, {"model.safetensors": 1}, ranges) as (
            environment["HF_ENDPOINT"],
            _,
        ):
            folder, errors = self.resolve("tiny", environment, pins_of(pinned))
        assert_holds(Path(folder), contents)
        [(name, asked)] = ranges
        assert name == "model.safetensors"
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        assert weights // 2 - 4096 <= start <= weights // 2, errors

    def test_a_download_that_is_never_whole_is_never_a_model(
        self, environment: dict[str, str], contents: dict[str, bytes], tmp_path: Path
    ) -> None:
        ranges: list[tuple[str, str]] = []
        always = {"model.safetensors": 1000}
        with hub("organisation/any", contents, always, ranges) as (environment["HF_ENDPOINT"], _):
            folder, errors = self.resolve("organisation/any", environment)
            assert folder == ""
            assert "the model 'organisation/any' could not be found" in errors
            assert "hub" in errors
            assert ranges, "what was there was not gone on from"
            [arrived] = [file.stat().st_size for file in unfinished(tmp_path)]
            assert arrived > 0
            always.clear()
            ranges.clear()
            folder, errors = self.resolve("organisation/any", environment)
        assert_holds(Path(folder), contents)
        # The next process asked for the rest alone.
        assert ranges == [("model.safetensors", f"bytes={arrived}-")]
        assert unfinished(tmp_path) == []

    def test_a_killed_process_leaves_what_arrived_to_the_next(
        self,
        environment: dict[str, str],
        pinned: models.PinnedModel,
        contents: dict[str, bytes],
        tmp_path: Path,
    ) -> None:
        weights = len(contents["model.safetensors"])
        ranges: list[tuple[str, str]] = []
        stalls = {"model.safetensors"}
        with hub("organisation/tiny", contents, None, ranges, stalls) as (
            environment["HF_ENDPOINT"],
            downloaded,
        ):
            process = run_resolver("tiny", environment, pins_of(pinned))
            while not any(file.stat().st_size > 4096 for file in unfinished(tmp_path)):
                assert process.poll() is None, process.communicate()
                time.sleep(0.01)
            process.kill()
            process.communicate()
            [arrived] = [file.stat().st_size for file in unfinished(tmp_path)]
            stalls.clear()
            folder, _ = self.resolve("tiny", environment, pins_of(pinned))
        assert_holds(Path(folder), contents)
        assert 0 < arrived <= weights // 2
        assert ranges == [("model.safetensors", f"bytes={arrived}-")]
        assert downloaded.count("model.safetensors") == 2

    def test_what_was_left_is_not_trusted(
        self, environment: dict[str, str], contents: dict[str, bytes], tmp_path: Path
    ) -> None:
        weights = contents["model.safetensors"]
        blobs = tmp_path / "hub" / "hub" / "models--organisation--any" / "blobs"
        blobs.mkdir(parents=True)
        left = blobs / f"{etag(weights)}.rac.incomplete"
        with hub("organisation/any", contents) as (environment["HF_ENDPOINT"], _):
            left.write_bytes(b"not these weights")
            folder, errors = self.resolve("organisation/any", environment)
            assert folder == ""
            assert "has not the content that the hub says" in errors
            assert unfinished(tmp_path) == []
            left.write_bytes(weights + b"and more")
            folder, errors = self.resolve("organisation/any", environment)
            assert_holds(Path(folder), contents)

    def test_a_whole_file_that_was_left_is_not_asked_for(
        self, environment: dict[str, str], contents: dict[str, bytes], tmp_path: Path
    ) -> None:
        weights = contents["model.safetensors"]
        blobs = tmp_path / "hub" / "hub" / "models--organisation--any" / "blobs"
        blobs.mkdir(parents=True)
        (blobs / f"{etag(weights)}.rac.incomplete").write_bytes(weights)
        with hub("organisation/any", contents) as (environment["HF_ENDPOINT"], downloaded):
            folder, _ = self.resolve("organisation/any", environment)
        assert_holds(Path(folder), contents)
        assert "model.safetensors" not in downloaded

    def test_offline_asks_no_network(
        self, environment: dict[str, str], contents: dict[str, bytes]
    ) -> None:
        environment["HF_HUB_OFFLINE"] = "1"
        with hub("organisation/any", contents) as (environment["HF_ENDPOINT"], downloaded):
            _, errors = self.resolve("organisation/any", environment)
        assert downloaded == []
        assert "could not be found" in errors
        assert "offline" in errors.lower()
