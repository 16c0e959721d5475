"""Draw recall against throughput from a run's JSON: `python -m benchmarks.ann.plot RESULT.json`."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")  # draws into files, where there is no screen too
import matplotlib.pyplot as plt

from benchmarks.ann.searching import CURVE
from benchmarks.ann.specification import known

SUBJECT = "ann.searching"
DOCS = Path(__file__).resolve().parents[2] / "docs"
NAME = "recall-against-throughput"
# A part that can be told apart: the least and the most misses that are shown.
LEAST_MISSES, MOST_MISSES = 1e-3, 0.15
STYLES = {"ours": ("o-", 2.4, 10), "library": ("s-", 1.1, 2), "database": ("^--", 1.1, 2)}

Curve = list[tuple[float, float]]


def main() -> None:
    """Write one SVG and one PNG with a panel for each set."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ann.plot", description=__doc__)
    parser.add_argument("result", type=Path, help="JSON file that a run kept")
    parser.add_argument("--output", type=Path, default=DOCS, help="folder (default: docs)")
    arguments = parser.parse_args()
    data = json.loads(arguments.result.read_text(encoding="utf-8"))
    panels = curves(data["subjects"][SUBJECT])
    # Without it every drawing of the same figures would be another file.
    mpl.rcParams["svg.hashsalt"] = NAME
    figure = draw(panels, data["machine"])
    arguments.output.mkdir(parents=True, exist_ok=True)
    for suffix in ("svg", "png"):
        metadata = {"Date": None} if suffix == "svg" else None
        figure.savefig(arguments.output / f"{NAME}.{suffix}", dpi=110, metadata=metadata)


def curves(subject: Mapping[str, Any]) -> dict[str, dict[str, Curve]]:
    """By set and contender: the points (recall, queries/s), in the order of the knob."""
    panels: dict[str, dict[str, Curve]] = {}
    for table in subject["tables"]:
        name, _, title = table["title"].partition(": ")
        if title != CURVE:
            continue
        place = {column: index for index, column in enumerate(table["columns"])}
        lines = panels.setdefault(name, {})
        for row in table["rows"]:
            point = row[place["recall@10"]], row[place["queries/s"]]
            lines.setdefault(row[place["contender"]], []).append(point)
    return panels


def draw(panels: Mapping[str, Mapping[str, Curve]], machine: Mapping[str, Any]) -> Any:
    """The figure: up and to the right is better."""
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    kinds = {one.name: one.kind for one in known(names)}
    colours = plt.get_cmap("tab20").colors  # type: ignore[attr-defined]
    figure, axes = plt.subplots(
        1, len(panels), figsize=(7.5 * len(panels), 6), squeeze=False, layout="constrained"
    )
    for axis, (title, lines) in zip(axes[0], panels.items(), strict=True):
        for name, points in lines.items():
            marker, width, order = STYLES[kinds[name]]
            shown = visible(points)
            axis.plot(
                [recall for recall, _ in shown],
                [speed for _, speed in shown],
                marker,
                color=colours[names.index(name) % len(colours)],
                label=name,
                linewidth=width,
                markersize=4,
                zorder=order,
            )
        axis.set_xscale("function", functions=(_stretched, _unstretched))
        axis.set_yscale("log")
        axis.set_xlim(1 - MOST_MISSES, 1 - LEAST_MISSES)
        ticks = [0.85, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999]
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_xlabel("recall@10")
        axis.set_ylabel("queries/s, one thread, one query at a time")
        axis.set_title(title)
        axis.grid(visible=True, which="major", alpha=0.3)
    axes[0][-1].legend(fontsize=8)
    figure.suptitle(f"{machine['processor'].split(' (')[0]}, {machine['started'][:10]}", fontsize=9)
    return figure


def visible(points: Sequence[tuple[float, float]]) -> Curve:
    """Points whose recall lies on the axis; a perfect one is drawn at its end."""
    end = 1 - LEAST_MISSES
    return [(min(recall, end), speed) for recall, speed in points if recall >= 1 - MOST_MISSES]


def _stretched(recall: Any) -> Any:
    return -np.log10(np.maximum(1 - np.asarray(recall), LEAST_MISSES / 10))


def _unstretched(value: Any) -> Any:
    return 1 - 10.0 ** -np.asarray(value)


if __name__ == "__main__":
    main()
