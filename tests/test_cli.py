"""The command `rac`, run as a process: output, exit codes, interruption."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pyarrow
import pytest
from pyarrow import parquet

import rust_ai_core as rac
from conftest import REPOSITORY, RunRac
from rust_ai_core import cli

DOCUMENTS = {
    "keys.md": "# Keys\n\nRotate the signing keys every ninety days.\n\n"
    "## Storage\n\nKeep a key in the vault.\n",
    "garden/soil.txt": "Compost makes the soil hold water.\n",
    "page.html": "<title>Weather</title><p>It rains in the north.",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in DOCUMENTS.items():
        file = tmp_path / "documents" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return tmp_path / "documents"


@pytest.fixture
def notes(tmp_path: Path, folder: Path, tiny_model: Path, run_rac: RunRac) -> Path:
    """A database that `rac ingest` made."""
    path = tmp_path / "notes.rac"
    run_rac("ingest", "documents", "--into", path, "--model", tiny_model)
    return path


def assert_fails(finished: "subprocess.CompletedProcess[str]", code: int, message: str) -> None:
    assert finished.returncode == code, finished.stderr
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr
    assert finished.stdout == ""


class TestIngest:
    def test_it_says_what_it_did(
        self, folder: Path, tiny_model: Path, run_rac: RunRac, tmp_path: Path
    ) -> None:
        command = ("ingest", "documents", "--into", "notes.rac", "--model", tiny_model)
        first = run_rac(*command).stdout.splitlines()
        assert first[0].startswith("Ingested 3 files from documents into notes.rac in ")
        assert [line.split()[0] for line in first[1:]] == ["chunks", "tokens"]
        again = run_rac(*command).stdout.splitlines()
        assert again[0].startswith("Ingested 0 files")
        assert [line.split() for line in again[1:]] == [["unchanged", "3"]]

    def test_json_is_a_report_for_each_source(
        self, folder: Path, tiny_model: Path, run_rac: RunRac
    ) -> None:
        (folder / "binary.txt").write_bytes(b"\0\1\2")
        output = run_rac("ingest", "documents", "--into", "n.rac", "--model", tiny_model, "--json")
        (report,) = json.loads(output.stdout)
        assert report["from"] == "documents"
        assert report["ingested"] == 3
        assert [source for source, _ in report["skipped"]] == ["documents/binary.txt"]

    def test_skipped_files_are_named_on_stderr(
        self, folder: Path, tiny_model: Path, run_rac: RunRac
    ) -> None:
        (folder / "binary.txt").write_bytes(b"\0\1\2")
        finished = run_rac("ingest", "documents", "--into", "n.rac", "--model", tiny_model)
        assert finished.stderr.startswith("skipped documents/binary.txt: ")
        assert "skipped" in finished.stdout

    def test_globs_choose_files(
        self, folder: Path, tiny_model: Path, run_rac: RunRac, tmp_path: Path
    ) -> None:
        run_rac(
            *("ingest", "documents", "--into", "n.rac", "--model", tiny_model),
            *("--include", "*.md", "--include", "*.txt", "--exclude", "garden/**"),
        )
        with rac.open(tmp_path / "n.rac") as database:
            assert database.collection("documents").sources() == ["documents/keys.md"]

    def test_gitignore_is_honoured_on_request(
        self, folder: Path, tiny_model: Path, run_rac: RunRac, tmp_path: Path
    ) -> None:
        (folder / ".gitignore").write_text("*.html\n")
        run_rac("ingest", "documents", "--into", "n.rac", "--model", tiny_model, "--gitignore")
        with rac.open(tmp_path / "n.rac") as database:
            assert database.collection("documents").sources() == [
                "documents/garden/soil.txt",
                "documents/keys.md",
            ]

    def test_prune_forgets_what_is_gone(self, folder: Path, notes: Path, run_rac: RunRac) -> None:
        (folder / "page.html").unlink()
        kept = run_rac("ingest", "documents", "--into", notes, "--json")
        assert json.loads(kept.stdout)[0]["removed"] == 0
        pruned = run_rac("ingest", "documents", "--into", notes, "--prune", "--json")
        assert json.loads(pruned.stdout)[0]["removed"] == 1

    def test_an_existing_collection_keeps_its_model(self, notes: Path, folder: Path) -> None:
        with rac.open(notes) as database:
            assert database.collection("documents").dimension == 32

    def test_a_source_that_does_not_exist_makes_no_database(
        self, run_rac: RunRac, tmp_path: Path
    ) -> None:
        finished = run_rac("ingest", "nowhere", "--into", "n.rac", check=False)
        assert_fails(finished, 1, "rac: error: there is no file or folder nowhere")
        assert not (tmp_path / "n.rac").exists()

    def test_a_model_that_does_not_exist_makes_no_database(
        self, folder: Path, run_rac: RunRac, tmp_path: Path
    ) -> None:
        finished = run_rac("ingest", "documents", "--into", "n.rac", "--model", "./no", check=False)
        assert_fails(finished, 1, "rac: error: the model folder no does not exist")
        assert not (tmp_path / "n.rac").exists()

    def test_a_folder_of_something_else_is_no_database(
        self, folder: Path, tiny_model: Path, run_rac: RunRac
    ) -> None:
        finished = run_rac(
            "ingest", "documents", "--into", "documents", "--model", tiny_model, check=False
        )
        assert_fails(finished, 1, "rac: error: ")
        assert sorted(file.name for file in folder.iterdir()) == ["garden", "keys.md", "page.html"]


class TestSearch:
    def test_hits_show_score_place_section_and_text(self, notes: Path, run_rac: RunRac) -> None:
        finished = run_rac("search", notes, "Keep a key in the vault.", "--limit", "2")
        first, second = finished.stdout.strip().split("\n\n")
        head, *text = first.splitlines()
        score, place, section = head.split(maxsplit=2)
        assert float(score) > 0.5
        assert place == "documents/keys.md:5"
        assert "Keys" in section
        assert text == ["        ## Storage", "        Keep a key in the vault."]
        assert len(second.splitlines()) >= 2
        assert finished.stderr.startswith("2 hits among ")

    def test_json_holds_everything(self, notes: Path, run_rac: RunRac) -> None:
        finished = run_rac("search", notes, "rain", "-k", "1", "--json")
        (hit,) = json.loads(finished.stdout)
        assert sorted(hit) == [
            *("end", "id", "line", "metadata", "score", "source", "start", "text"),
        ]
        assert finished.stderr == ""

    def test_a_filter_narrows(self, notes: Path, run_rac: RunRac) -> None:
        finished = run_rac("search", notes, "rain", "--where", '{"format": "html"}', "--json")
        assert [hit["source"] for hit in json.loads(finished.stdout)] == ["documents/page.html"]

    def test_groups_and_offsets_page_through_sources(self, notes: Path, run_rac: RunRac) -> None:
        options = ("--group-by", "$source", "--json")
        finished = run_rac("search", notes, "rain", *options)
        sources = [hit["source"] for hit in json.loads(finished.stdout)]
        assert sorted(sources) == sorted(f"documents/{name}" for name in DOCUMENTS)
        finished = run_rac("search", notes, "rain", *options, "--offset", "1", "-k", "1")
        assert [hit["source"] for hit in json.loads(finished.stdout)] == sources[1:2]

    def test_no_hits_say_so(self, notes: Path, run_rac: RunRac) -> None:
        finished = run_rac("search", notes, "rain", "--where", '{"format": "none"}')
        assert finished.stdout == "no hits\n"

    @pytest.mark.parametrize(
        ("where", "code", "message"),
        [
            ("{", 2, "not JSON"),
            ("[]", 2, "expected a JSON object"),
            ('{"a": {"$near": 1}}', 1, "$near"),
        ],
    )
    def test_a_wrong_filter_is_explained(
        self, where: str, code: int, message: str, notes: Path, run_rac: RunRac
    ) -> None:
        finished = run_rac("search", notes, "rain", "--where", where, check=False)
        assert_fails(finished, code, message)

    def test_a_limit_of_zero_is_refused(self, notes: Path, run_rac: RunRac) -> None:
        assert_fails(run_rac("search", notes, "x", "-k", "0", check=False), 1, "limit")

    def test_several_collections_need_a_choice(
        self, notes: Path, folder: Path, tiny_model: Path, run_rac: RunRac
    ) -> None:
        ingest = ("ingest", "documents/keys.md", "--into", notes, "--collection", "keys")
        run_rac(*ingest, "--model", tiny_model)
        finished = run_rac("search", notes, "x", check=False)
        assert_fails(finished, 1, "choose one with --collection: documents, keys")
        chosen = run_rac("search", notes, "x", "--collection", "keys", "--json")
        assert {hit["source"] for hit in json.loads(chosen.stdout)} == {"documents/keys.md"}

    def test_a_reader_that_stops_early_is_no_error(self, notes: Path) -> None:
        command = [sys.executable, "-m", "rust_ai_core", "search", str(notes), "rain"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        process.stderr.close()
        process.wait(timeout=60)


class TestStatsAndVerify:
    def test_stats_are_a_table(self, notes: Path, run_rac: RunRac) -> None:
        lines = run_rac("stats", notes).stdout.splitlines()
        assert lines[0].startswith(f"{notes}  ")
        assert lines[2].split()[:4] == ["collection", "records", "sources", "dimension"]
        assert lines[3].split()[0] == "documents"
        assert lines[3].split()[2:5] == ["3", "32", "cosine"]

    def test_stats_for_machines(self, notes: Path, run_rac: RunRac) -> None:
        figures = json.loads(run_rac("stats", notes, "--json").stdout)
        assert figures["collections"]["documents"]["sources"] == 3
        assert figures["file_bytes"] > 0

    def test_a_sound_database_passes(self, notes: Path, run_rac: RunRac) -> None:
        finished = run_rac("verify", notes)
        assert finished.stdout.startswith(f"{notes} is sound: 1 collection, ")
        assert json.loads(run_rac("verify", notes, "--json").stdout)["ok"] is True

    def test_a_damaged_database_exits_with_1(self, notes: Path, run_rac: RunRac) -> None:
        (log,) = notes.rglob("*.log")
        data = bytearray(log.read_bytes())
        data[len(data) // 2] ^= 1
        log.write_bytes(data)
        finished = run_rac("verify", notes, check=False)
        assert finished.returncode == 1
        assert finished.stdout.splitlines()[0] == f"{notes} is damaged: 1 problem"
        assert log.name in finished.stdout.splitlines()[1]
        assert finished.stderr == ""
        as_json = run_rac("verify", notes, "--json", check=False)
        assert as_json.returncode == 1
        assert len(json.loads(as_json.stdout)["problems"]) == 1


class TestFind:
    def test_records_come_in_the_order_of_a_key(self, notes: Path, run_rac: RunRac) -> None:
        options = ("--order-by", "$source", "--descending", "-k", "1")
        finished = run_rac("find", notes, *options)
        head, *text = finished.stdout.splitlines()
        assert head.startswith("documents/page.html:1")
        assert "It rains in the north." in "\n".join(text)
        finished = run_rac("find", notes, *options, "--offset", "1", "--json")
        (record,) = json.loads(finished.stdout)
        assert record["source"] == "documents/keys.md"
        assert "score" not in record

    def test_nothing_found_says_so(self, notes: Path, run_rac: RunRac) -> None:
        finished = run_rac("find", notes, "--where", '{"format": "none"}')
        assert finished.stdout == "no records\n"


class TestFacet:
    def test_values_are_counted(self, notes: Path, run_rac: RunRac) -> None:
        finished = run_rac("facet", notes, "format", "--where", '{"$line": 1}')
        assert finished.stdout == "1  html\n1  markdown\n1  text\n"
        finished = run_rac("facet", notes, "$line", "-k", "1", "--json")
        assert json.loads(finished.stdout) == [{"value": 1, "count": 3}]

    def test_an_unknown_key_fails(self, notes: Path, run_rac: RunRac) -> None:
        assert_fails(run_rac("facet", notes, "$no", check=False), 1, "unknown key")
        assert run_rac("facet", notes, "no").stdout == "no values\n"


@pytest.mark.parametrize("command", [("search", "n.rac", "x"), ("stats", "n.rac")])
def test_reading_makes_no_database(
    command: tuple[str, ...], run_rac: RunRac, tmp_path: Path
) -> None:
    finished = run_rac(*command, check=False)
    assert_fails(finished, 1, "rac: error: there is no database n.rac; make one with: rac ingest")
    assert not (tmp_path / "n.rac").exists()


def test_a_database_in_use_is_read_and_not_written(
    notes: Path, run_rac: RunRac, tmp_path: Path
) -> None:
    with rac.open(notes):
        assert "documents" in run_rac("stats", notes).stdout
        run_rac("backup", notes, tmp_path / "backup.rac")
        source = tmp_path / "more.txt"
        source.write_text("More.")
        refused = run_rac("ingest", source, "--into", notes, check=False)
        assert_fails(refused, 1, "rac: error: ")


@pytest.mark.parametrize(
    "arguments",
    [("no-such-command",), ("search",), ("ingest", "x"), ("stats", "x", "--no-such-option")],
)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...], run_rac: RunRac) -> None:
    assert_fails(run_rac(*arguments, check=False), 2, "Usage: rac")


def test_version(run_rac: RunRac) -> None:
    assert run_rac("--version").stdout == f"rac, version {rac.__version__}\n"


def test_ctrl_c_leaves_a_valid_database_and_a_rerun_goes_on(
    tmp_path: Path, tiny_model: Path, run_rac: RunRac
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    files = 1500
    for number in range(files):
        sentences = (f"Sentence {number} {line} is about memory and disk." for line in range(150))
        (folder / f"{number:04}.txt").write_text("\n".join(sentences))
    path = tmp_path / "notes.rac"
    command = ("ingest", folder, "--into", path, "--model", tiny_model)
    with subprocess.Popen(
        [sys.executable, "-m", "rust_ai_core", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while sum(log.stat().st_size for log in path.rglob("*.log")) < 100_000:
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, output) == (130, "")
    assert "interrupted" in errors
    assert "goes on from here" in errors
    assert "Traceback" not in errors
    run_rac("verify", path)
    report = json.loads(run_rac(*command, "--json").stdout)[0]
    assert report["unchanged"] > 0
    assert report["unchanged"] + report["ingested"] == files


class TestRerank:
    MODEL = REPOSITORY / "tests" / "fixtures" / "tiny-cross-encoder"
    QUERY = "how are keys rotated?"
    TEXTS = ("A red dog and a blue cat.", "The keys rotate every 90 days.", "fast rust")

    def test_texts_of_the_command_and_of_stdin_are_ranked_as_in_python(
        self, run_rac: RunRac
    ) -> None:
        expected = rac.Reranker(self.MODEL).rank(self.QUERY, self.TEXTS)
        command = ("rerank", self.MODEL, self.QUERY)
        rows = json.loads(run_rac(*command, *self.TEXTS, "--json").stdout)
        assert [(row["index"], row["text"]) for row in rows] == [
            (index, self.TEXTS[index]) for index, _ in expected
        ]
        assert [row["score"] for row in rows] == pytest.approx([score for _, score in expected])
        lines = "\n\n".join(self.TEXTS) + "\n"
        assert json.loads(run_rac(*command, "--json", stdin=lines).stdout) == rows
        assert json.loads(run_rac(*command, "--json", "-k", "1", stdin=lines).stdout) == rows[:1]
        shown = run_rac(*command, *self.TEXTS).stdout.splitlines()
        assert [line.split("  ")[-1] for line in shown] == [row["text"] for row in rows]
        assert run_rac(*command).stdout == ""

    def test_files_are_named_and_read(self, run_rac: RunRac, tmp_path: Path) -> None:
        for number, text in enumerate(self.TEXTS):
            (tmp_path / f"{number}.txt").write_text(text, encoding="utf-8")
        names = [f"{number}.txt" for number in range(3)]
        command = ("rerank", self.MODEL, self.QUERY, "--files", "--json")
        rows = json.loads(run_rac(*command, *names).stdout)
        assert {row["file"]: row["text"] for row in rows} == dict(
            zip(names, self.TEXTS, strict=True)
        )
        (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
        for name, message in [("latin.txt", "not UTF-8"), ("none.txt", "none.txt")]:
            failed = run_rac(*command, name, check=False)
            assert failed.returncode == 1
            assert message in failed.stderr
            assert "Traceback" not in failed.stderr

    def test_a_model_of_another_kind_is_refused(self, run_rac: RunRac, tiny_model: Path) -> None:
        failed = run_rac("rerank", tiny_model, "q", "text", check=False)
        assert failed.returncode == 1
        assert "not a cross-encoder" in failed.stderr


class TestDocumentation:
    def test_every_command_and_option_is_documented(self) -> None:
        text = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
        sections = {
            section.split("\n", 1)[0].strip("`"): section for section in text.split("\n## ")[1:]
        }
        assert isinstance(cli.commands, click.Group)
        assert {f"rac {name}" for name in cli.commands.commands} <= set(sections)
        for name, command in cli.commands.commands.items():
            for parameter in command.params:
                for option in parameter.opts if isinstance(parameter, click.Option) else ():
                    assert f"`{option}" in sections[f"rac {name}"], (name, option)

    @pytest.mark.parametrize("name", [None, *cli.commands.commands])
    def test_help_explains(self, name: str | None, run_rac: RunRac) -> None:
        output = run_rac(*([name] if name else []), "--help").stdout
        assert output.startswith("Usage: rac")
        command = cli.commands.commands[name] if name else cli.commands
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help
                assert parameter.opts[0] in output


class TestExportAndImport:
    def test_a_collection_goes_out_and_in(
        self, folder: Path, tiny_model: Path, run_rac: RunRac, tmp_path: Path
    ) -> None:
        run_rac("ingest", "documents", "--into", "a.rac", "--model", tiny_model)
        exported = run_rac("export", "a.rac", "notes.parquet")
        assert re.match(r"Exported \d+ records from documents to notes\.parquet", exported.stdout)
        imported = run_rac("import", "b.rac", "notes.parquet", "--collection", "copy")
        assert re.match(r"Imported \d+ records from notes\.parquet into copy", imported.stdout)
        with rac.open(tmp_path / "a.rac") as a, rac.open(tmp_path / "b.rac") as b:
            first, copy = a.collection("documents"), b.collection("copy")
            assert copy.model == first.model
            assert [record.text for record in copy] == [record.text for record in first]
            assert [record.line for record in copy] == [record.line for record in first]
        assert json.loads(run_rac("export", "a.rac", "n.parquet", "--json").stdout)["records"] > 0

    def test_settings_travel_and_foreign_files_have_columns(
        self, run_rac: RunRac, tmp_path: Path
    ) -> None:
        with rac.open(tmp_path / "a.rac") as database:
            items = database.collection("items", dimension=2, metric="l2", dtype="int8")
            items.upsert([1, 2], [[1, 2], [3, 4]], metadata=[{"n": 1}, {"n": 2}])
        run_rac("export", "a.rac", "items.parquet", "--where", '{"n": 2}')
        run_rac("import", "b.rac", "items.parquet")
        table = pyarrow.table(
            {"key": ["x"], "emb": [[1.0, 2.0, 3.0]], "body": ["t"], "m": [{"a": 1}]}
        )
        parquet.write_table(table, tmp_path / "foreign.parquet")
        names = ("--id", "key", "--vector", "emb", "--text", "body", "--metadata", "m")
        options = ("--collection", "foreign", "--metric", "dot", *names, "--json")
        assert json.loads(run_rac("import", "b.rac", "foreign.parquet", *options).stdout) == {
            "collection": "foreign",
            "file": "foreign.parquet",
            "records": 1,
            "seconds": pytest.approx(0, abs=60),
        }
        with rac.open(tmp_path / "b.rac") as database:
            copy = database.collection("documents")
            assert (copy.metric, copy.dtype, [record.id for record in copy]) == ("l2", "int8", [2])
            (record,) = database.collection("foreign")
            assert (record.id, record.text, record.metadata) == ("x", "t", {"a": 1})

    def test_failures(self, run_rac: RunRac, tmp_path: Path) -> None:
        failed = run_rac("import", "b.rac", "none.parquet", check=False)
        assert_fails(failed, 1, "there is no file none.parquet")
        assert not (tmp_path / "b.rac").exists()
        parquet.write_table(pyarrow.table({"id": [1]}), tmp_path / "x.parquet")
        assert_fails(run_rac("import", "b.rac", "x.parquet", check=False), 1, "no column 'vector'")
