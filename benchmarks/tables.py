"""Tables in Markdown of what was measured."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.aims import AIMS
from benchmarks.records import Heat, Record, Results

BEGIN, END = "<!-- begin: written by benchmarks/run -->", "<!-- end -->"
MB = 1e6
HEAD = (
    "",
    "seconds",
    "to the fastest peer",
    "CPU s",
    "own CPU s",
    "memory MB",
    "read",
    "written",
    "manifest GETs",
    "requests, source",
    "destination",
    "connections",
    "tokens",
)
KINDS = ("manifest GET", "manifest HEAD", "manifest PUT", "blob GET", "blob HEAD")
KINDS += ("upload", "mount", "other")


def median(records: Sequence[Record], what: str) -> float:
    """Give the median of one field."""
    return float(statistics.median(getattr(record, what) for record in records))


def is_ours(name: str) -> bool:
    """Tell a way of this program from the others."""
    return name.startswith("image-tools")


def fastest_peer(runs: Mapping[str, Sequence[Record]]) -> float | None:
    """Give the seconds of the fastest tool of others; None when there is none."""
    peers = [one for one in runs if not is_ours(one) and not one.startswith("floor")]
    return min((median(runs[name], "seconds") for name in peers), default=None)


def document(results: Results, command: str) -> str:
    """Give everything in Markdown."""
    parts = [_machine(results, command), *_aims(results)]
    for link, world in results.worlds.items():
        parts.append(f"## {title(link)}\n\n{_world(world)}")
        heats = dict.fromkeys([*results.runs, *results.failures])
        for heat in heats:
            if heat.link == link:
                parts.append(f"### {heat.job}, {title(link)}")
                parts.extend(_heat(results, heat))
    return "\n\n".join(part for part in parts if part) + "\n"


def title(link: str) -> str:
    """Give a link's name for people."""
    found = re.fullmatch(r"(\d+)ms-(\d+)mbit", link)
    return f"{found[1]} ms × {found[2]} Mbit/s" if found else link


def write_between(path: Path, text: str) -> None:
    """Replace what stands between the markers of a document."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text}{END}{after}")


def _machine(results: Results, command: str) -> str:
    said = "; ".join(f"{name} {value}" for name, value in results.machine.items())
    return f"{said}.\n\n```sh\n{command}\n```"


def _world(world: Mapping[str, int]) -> str:
    tokens = "bearer tokens" if world["tokens"] else "no login"
    return (
        f"{world['images']} images, {world['manifests']} manifests, {world['blobs']} blobs, "
        f"{world['unique_bytes'] / MB:.0f} MB; {tokens}; peers with {world['jobs']} jobs."
    )


def _aims(results: Results) -> Iterator[str]:
    rows = [(aim, value) for aim in AIMS if (value := aim.value(results)) is not None]
    if rows:
        yield table(
            ("aim", "at most", "reached", ""),
            [
                (aim.text, f"{aim.bound:g}", f"{value:.3g}", "" if value <= aim.bound else "**no**")
                for aim, value in rows
            ],
        )


def _heat(results: Results, heat: Heat) -> Iterator[str]:
    runs = results.runs.get(heat, {})
    failures = results.failures.get(heat, {})
    best, world = fastest_peer(runs), results.worlds[heat.link]
    ordered = sorted(runs, key=lambda name: median(runs[name], "seconds"))
    yield table(HEAD, [_row(name, runs[name], heat, world, best) for name in ordered])
    yield "\n".join(f"- {name}: {reason}".replace("<", "&lt;") for name, reason in failures.items())
    kinds = [
        (name, *(_both(runs[name][-1], kind) for kind in KINDS)) for name in ordered if runs[name]
    ]
    folded = table(("source + destination", *KINDS), kinds)
    yield f"<details><summary>Requests by kind</summary>\n\n{folded}\n\n</details>" if kinds else ""


def _row(
    name: str,
    records: Sequence[Record],
    heat: Heat,
    world: Mapping[str, int],
    best: float | None,
) -> tuple[str, ...]:
    seconds = median(records, "seconds")
    last = records[-1]
    return (
        f"**{name}**" if is_ours(name) else name,
        f"{seconds:.2f}" + (f" ({_spread(records)})" if len(records) > 1 else ""),
        f"{seconds / best:.2f}" if best else "",
        f"{median(records, 'cpu'):.2f}",
        f"{median(records, 'own_cpu'):.2f}" if not _has_driver(name) else "",
        f"{median(records, 'memory') / MB:.0f}",
        _amount(median(records, "read"), heat, world),
        _amount(median(records, "written"), heat, world),
        str(last.source.get("manifest GET", 0)),
        f"{statistics.median(sum(one.source.values()) for one in records):.0f}",
        f"{statistics.median(sum(one.destination.values()) for one in records):.0f}",
        f"{median(records, 'connections'):.0f}",
        f"{median(records, 'tokens'):.0f}",
    )


def _has_driver(name: str) -> bool:
    """Tell what runs below xargs: the CPU of xargs itself says nothing."""
    return " -P " in name


def _spread(records: Sequence[Record]) -> str:
    seconds = [record.seconds for record in records]
    return f"×{max(seconds) / min(seconds):.2f} in {len(seconds)}"


def _amount(size: float, heat: Heat, world: Mapping[str, int]) -> str:
    """Give bytes as a multiple of what is wanted, or where little is wanted as MB."""
    wholes = {"cold": "unique_bytes", "amd64+arm64": "subset_bytes"}
    if heat.job in wholes:
        return f"{size / world[wholes[heat.job]]:.3f} u"
    return f"{size / MB:.1f} MB"


def _both(record: Record, kind: str) -> str:
    return f"{record.source.get(kind, 0)} + {record.destination.get(kind, 0)}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Give a table in Markdown; the text of none without rows."""
    if not rows:
        return ""
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
