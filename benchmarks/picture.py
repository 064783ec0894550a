"""A picture of the medians, for people who do not read tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.records import Heat, Results
from benchmarks.tables import is_ours, median, title

OURS, PEERS, FLOOR = "#1f6f8b", "#b0b0b0", "#d9a441"
_BAR, _HEAD, _WIDTH = 0.24, 0.75, 6.5


def draw(results: Results, path: Path) -> None:
    """Write a picture of all heats: a column for each link, a row for each job."""
    mpl.rcParams["svg.fonttype"] = "none"
    mpl.rcParams["svg.hashsalt"] = "image-tools"
    links = list(results.worlds)
    jobs = list(dict.fromkeys(heat.job for heat in results.runs))
    heights = [
        _HEAD + _BAR * max(len(results.runs.get(Heat(link, job), {})) for link in links)
        for job in jobs
    ]
    figure = Figure(figsize=(_WIDTH * len(links), sum(heights)), layout="constrained")
    axes = figure.subplots(len(jobs), len(links), squeeze=False, height_ratios=heights)
    for line, job in zip(axes, jobs, strict=True):
        for place, link in zip(line, links, strict=True):
            _bars(place, results, Heat(link, job))
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _bars(place: Any, results: Results, heat: Heat) -> None:
    found = {name: median(runs, "seconds") for name, runs in results.runs.get(heat, {}).items()}
    names = sorted(found, key=lambda name: -found[name])
    colors = [
        OURS if is_ours(name) else FLOOR if name.startswith("floor") else PEERS for name in names
    ]
    bars = place.barh(names, [found[name] for name in names], color=colors)
    place.bar_label(bars, fmt="%.2f", padding=3, fontsize=7)
    place.set_title(f"{heat.job}, {title(heat.link)}: seconds", fontsize=9, loc="left")
    place.tick_params(labelsize=7)
    place.margins(x=0.12, y=0.01)
    for side in ("top", "right"):
        place.spines[side].set_visible(False)
