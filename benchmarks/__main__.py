"""The command line: `python -m benchmarks [--quick] [--list] [subject ...]`."""

import argparse
import datetime
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, load_average
from benchmarks.processes import in_fresh_process, pinned
from benchmarks.results import Outcome, report
from benchmarks.subjects import headline, load_definitions, named, run

RESULTS = Path(__file__).resolve().parent / "results"
# With a load of one thread before the start, a contender on all cores does not get them.
BUSY = 1.0


def main() -> int:
    """Run the subjects asked for, print the report, and keep it."""
    threads, definitions = load_definitions()
    arguments = _arguments(list(definitions))
    if arguments.list:
        for subject in definitions:
            print(f"{subject:18} {headline(subject)}")
        return 0
    asked = arguments.subjects or list(definitions)
    subjects = [one for name in asked for one in named(name, definitions)]
    machine = in_fresh_process(describe, environment=pinned(threads))
    if os.getloadavg()[0] >= BUSY:
        machine["caution"] = "other work was running: ratios are blurred, absolute figures too slow"
    machine |= {"threads": threads, "command": f"python -m benchmarks {' '.join(sys.argv[1:])}"}
    started = datetime.datetime.now(datetime.timezone.utc)
    machine |= {"started": started.isoformat(timespec="seconds"), "load before": load_average()}
    outcomes: dict[str, Outcome] = {}
    for subject in subjects:
        print(f"{subject} ...", file=sys.stderr, flush=True)
        definition = definitions[subject]
        if arguments.rounds:
            definition |= {"rounds": arguments.rounds}
        if arguments.rows and "rows" in definition:
            definition |= {"rows": arguments.rows}
        if arguments.contenders and "contenders" in definition:
            definition |= {"contenders": arguments.contenders.split(",")}
        outcomes[subject] = run(subject, definition, threads, quick=arguments.quick)
        machine["load after"] = load_average()
        # After each subject, so that a run that is stopped leaves what it found.
        if not arguments.quick:
            _keep(arguments.output, started, machine, outcomes)
    print(report(machine, outcomes))
    return 0


def _arguments(subjects: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="subject", help=", ".join(subjects))
    parser.add_argument("--list", action="store_true", help="say what the subjects are")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes: shows that all runs, keeps nothing"
    )
    parser.add_argument(
        "--rounds", type=_at_least_one, help="rounds instead of the definition's: a faster run"
    )
    parser.add_argument(
        "--rows", type=_at_least_one, help="rows instead of the definition's, where it has a number"
    )
    parser.add_argument(
        "--contenders", metavar="A,B", help="only these, in subjects that have a choice of them"
    )
    parser.add_argument(
        "--output", type=Path, default=RESULTS, help="folder for the report (default: %(default)s)"
    )
    arguments = parser.parse_args()
    unknown = [name for name in arguments.subjects if not named(name, subjects)]
    if unknown:
        parser.error(f"no subject {', '.join(unknown)}; there are {', '.join(subjects)}")
    return arguments


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a number above 0")
    return number


def _keep(
    folder: Path,
    started: datetime.datetime,
    machine: Mapping[str, Any],
    outcomes: Mapping[str, Outcome],
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = started.strftime("%Y-%m-%d-%H%M%S")
    data = {"machine": machine, "subjects": {key: asdict(one) for key, one in outcomes.items()}}
    (folder / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(report(machine, outcomes), encoding="utf-8")
    print(f"kept as {name}.md and {name}.json in {folder}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
