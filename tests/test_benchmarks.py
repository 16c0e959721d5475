"""The benchmarks run, and what they report of a search agrees with exact search."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import REPOSITORY

OURS = "rust_ai_core"
QUICK = ("--quick", "--contenders", OURS)


def run_benchmarks(cache: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"RAC_BENCHMARK_CACHE": str(cache)}
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Indexes are kept between the subjects, as in a user's run."""
    return tmp_path_factory.mktemp("benchmarks")


def table(report: str, title: str) -> list[dict[str, str]]:
    """The rows of the table under a title, by column."""
    lines = report.partition(f"{title}**\n\n")[2].split("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def test_searching_reports_recall_that_rises_with_the_effort(shared: Path, cache: Path) -> None:
    run = run_benchmarks(cache, "ann.searching", *QUICK)
    assert run.returncode == 0, run.stderr
    points = table(run.stdout, "debian-part: every point")
    assert {point["contender"] for point in points} == {OURS}
    recalls = [float(point["recall@10"]) for point in points]
    assert recalls[-1] >= 0.99
    assert recalls[-1] >= recalls[0]
    assert all(float(point["queries/s"].replace(",", "")) > 0 for point in points)


@pytest.mark.parametrize("subject", ["ann.filtering", "ann.updating"])
def test_our_recall_meets_the_goal_in_quick_runs(shared: Path, cache: Path, subject: str) -> None:
    run = run_benchmarks(cache, subject, *QUICK)
    assert run.returncode == 0, run.stderr
    goals = re.findall(r"^\| \S+ \| (.*recall.*) \| (\w+) \|$", run.stdout, re.MULTILINE)
    assert goals
    assert {met for _, met in goals} == {"yes"}, goals


def test_scaling_is_measured_for_batches_and_for_threads(shared: Path, cache: Path) -> None:
    run = run_benchmarks(cache, "ann.scaling", *QUICK)
    assert run.returncode == 0, run.stderr
    cases = table(run.stdout, "descriptions of Debian packages, MiniLM")
    assert [case["threads"] for case in cases] == ["1", "2"] * 5
    assert all(float(case["queries/s"].replace(",", "")) > 0 for case in cases)


def test_packed_bits_have_the_distances_of_the_peer(cache: Path) -> None:
    run = run_benchmarks(cache, "ann.packed_bits", "--quick")
    assert run.returncode == 0, run.stderr
    cases = table(run.stdout, "random: 5,000 rows of 256 bits")
    assert {case["contender"] for case in cases} >= {OURS}


def test_a_family_names_all_its_subjects(tmp_path: Path) -> None:
    listed = run_benchmarks(tmp_path, "--list").stdout
    assert [line.split()[0] for line in listed.splitlines() if line.startswith("ann.")] == [
        "ann.building",
        "ann.searching",
        "ann.filtering",
        "ann.updating",
        "ann.growing",
        "ann.scaling",
        "ann.packed_bits",
        "ann.capping",
    ]


def test_an_unknown_contender_is_an_error_that_lists_the_known_ones(tmp_path: Path) -> None:
    run = run_benchmarks(tmp_path, "ann.building", "--quick", "--contenders", "nobody")
    assert run.returncode != 0
    assert "no contender nobody; there are rust_ai_core" in run.stderr


@pytest.mark.parametrize(
    "subject", ["inserting", "searching_while_writing", "filtering", "opening"]
)
def test_storage_subjects_run(tmp_path: Path, subject: str) -> None:
    ours = "rust_ai_core,rust_ai_core-tables"
    run = run_benchmarks(tmp_path, f"storage.{subject}", "--quick", "--contenders", ours)
    assert run.returncode == 0, run.stderr
    goals = re.findall(r"^\| storage\.\S+ \| (.*) \| (\w+) \|$", run.stdout, re.MULTILINE)
    assert goals
    # Recall has nothing to do with how fast or busy the machine is.
    assert {met for goal, met in goals if "recall@10" in goal} <= {"yes"}


@pytest.mark.parametrize("subject", ["searching", "writing", "opening"])
def test_text_search_subjects_run(tmp_path: Path, subject: str) -> None:
    run = run_benchmarks(tmp_path, f"text_search.{subject}", *QUICK)
    assert run.returncode == 0, run.stderr
    # Where there is an oracle, what it finds has nothing to do with how fast the machine is.
    goals = re.findall(r"oracle's ten \|.*\| (\w+) \|$", run.stdout, re.MULTILINE)
    assert set(goals) <= {"yes"}


def test_an_unknown_store_is_an_error(tmp_path: Path) -> None:
    run = run_benchmarks(tmp_path, "storage.inserting", "--quick", "--contenders", "nobody")
    assert run.returncode != 0
    assert "no contender nobody; there are rust_ai_core" in run.stderr
