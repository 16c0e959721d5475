"""How much faster the encoder is on all threads than on one."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rust_ai_core as rac
from benchmarks.data import short_texts
from benchmarks.encoder.contenders import makers_of
from benchmarks.processes import in_fresh_process
from benchmarks.results import Goal, Outcome, Table


def run(definition: Mapping[str, Any]) -> Outcome:
    """Seconds for the same texts on one thread and on all, in processes of their own."""
    folder = Path(rac.Tokenizer("minilm").path).parent
    names, threads = list(definition["contenders"]), definition["threads"]
    seconds: dict[str, dict[int, list[float]]] = {name: {1: [], threads: []} for name in names}
    for _ in range(definition["rounds"]):
        for name in names:
            for count in (1, threads):
                environment = {"RAC_NUM_THREADS": str(count)}
                taken = in_fresh_process(
                    seconds_of, name, folder, definition, environment=environment
                )
                seconds[name][count].append(taken)
    rows: list[tuple[str | float, ...]] = []
    goals = []
    for name in names:
        one, all_of_them = min(seconds[name][1]), min(seconds[name][threads])
        rows.append((name, one, all_of_them, one / all_of_them))
        what = f"{name}: speed of {threads} threads over one"
        goals.append(Goal(what, definition["goal_scaling"], one / all_of_them))
    columns = ("contender", "s on 1 thread", f"s on {threads}", "ratio of the best rounds")
    title = f"One thread and several, {definition['texts']} short texts"
    return Outcome([Table(title, columns, rows)], goals)


def seconds_of(contender: str, folder: Path, definition: Mapping[str, Any]) -> float:
    """The best of some encodings of the short texts, in this process."""
    peer = makers_of(folder, definition)[0][contender]()
    texts = short_texts(definition["texts"])[0]
    peer.encode(texts)
    best = float("inf")
    for _ in range(definition["rounds"]):
        start = time.perf_counter()
        peer.encode(texts)
        best = min(best, time.perf_counter() - start)
    return best
