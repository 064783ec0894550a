"""The parts of the benchmarks that need no tools: links, measuring, tables."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from benchmarks.measure import Command, Failed, run
from benchmarks.population import Place, members
from benchmarks.records import Heat, Record, Results, read_results
from benchmarks.relay import Link, relay_to
from benchmarks.tables import BEGIN, END, document, write_between

WORLD = {
    "images": 2,
    "manifests": 5,
    "blobs": 9,
    "unique_bytes": 1_000_000,
    "subset_bytes": 400_000,
    "jobs": 8,
    "tokens": 0,
}
OURS, PEER, FLOOR = "image-tools -j 8, skopeo 1.22.0", "crane copy -P 8", "floor: bare HTTP copier"


def record(seconds: float, **more: object) -> Record:
    fixed = {"cpu": 2.0, "own_cpu": 0.5, "memory": 90_000_000, "read": 1_002_000}
    return Record(seconds=seconds, **{**fixed, **more})


def results() -> Results:
    found = Results(machine={"on": "2 CPUs"}, worlds={"20ms-800mbit": WORLD})
    cold = Heat("20ms-800mbit", "cold")
    for seconds in (4.0, 5.0, 9.0):
        found.add(cold, OURS, record(seconds, source={"manifest GET": 5}))
        found.add(cold, PEER, record(2 * seconds))
    found.add(cold, FLOOR, record(4.0))
    found.add(cold, "regsync, parallel 8", "regsync is not on PATH")
    return found


def command(folder: Path, script: str) -> Command:
    environment = {"PATH": os.environ["PATH"]}
    return Command(argv=["sh", "-c", script], folder=folder, environment=environment)


def test_results_written_and_read_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "kept.json").write_text(results().to_json())

    assert read_results(tmp_path / "kept.json") == results()


def test_document_has_medians_ratios_aims_and_failures() -> None:
    said = document(results(), "benchmarks/run --quick")

    row = "| **image-tools -j 8, skopeo 1.22.0** | 5.00 (×2.25 in 3) | 0.50 | 2.00 | 0.50 | 90 |"
    assert f"{row} 1.002 u | 0.000 u | 5 | 5 | 0 | 0 | 0 |" in said
    assert "| floor: bare HTTP copier | 4.00 | 0.40 |" in said
    assert "| cold, 20 ms, -j 8: to the fastest peer | 0.45 | 0.5 | **no** |" in said
    assert "| cold, 20 ms, -j 8: to the floor | 1.15 | 1.25 | **no** |" in said
    assert "- regsync, parallel 8: regsync is not on PATH" in said
    assert "loopback" not in said


def test_document_is_written_between_its_markers_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")

    write_between(page, "new\n")

    assert page.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


def test_members_of_a_list_are_the_same_each_time_and_under_names_of_their_own() -> None:
    found = members(60)

    assert found == members(60)
    assert len({Place(one.repository, one.tag, "") for one in found}) == 60
    assert {one.number for one in found} == set(range(60))


def test_run_ended_well_tells_what_it_cost(tmp_path: Path) -> None:
    cost = run(command(tmp_path, "sleep 0.05; sh -c :"), 20)

    assert cost.seconds >= 0.05
    assert 0 <= cost.own_cpu <= cost.cpu + 0.02
    assert cost.memory > 0


def test_run_failed_says_the_last_line(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"^exit 3: the end$"):
        run(command(tmp_path, "echo first >&2; echo the end >&2; exit 3"), 20)


def test_run_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="not ready in the time"):
        run(command(tmp_path, "sleep 77 & echo $! >child; wait"), 0.3)

    child = Path("/proc") / (tmp_path / "child").read_text().strip() / "stat"
    deadline = time.monotonic() + 10
    while child.exists() and child.read_text().split()[2] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_relay_delays_bounds_and_keeps_every_byte() -> None:
    content = os.urandom(300_000)
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=echo_once, args=(server,), daemon=True).start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with relay_to(address, Link(milliseconds=40, megabits=20)) as relayed:
            host, _, port = relayed.rpartition(":")
            with socket.create_connection((host, int(port)), 20) as line:
                begun = time.monotonic()
                line.sendall(b"?")
                assert line.recv(1) == b"?"
                answered = time.monotonic()
                threading.Thread(target=line.sendall, args=(content,), daemon=True).start()
                came = b""
                while len(came) < len(content):
                    came += line.recv(1 << 16)
                ended = time.monotonic()

    assert came == content
    # It can only be slower. A connection costs one round trip, the first answer another.
    assert answered - begun >= 0.08
    assert ended - answered >= 0.04 + (300_000 - 90_000) * 8 / 20e6


def echo_once(server: socket.socket) -> None:
    line, _ = server.accept()
    with line:
        while data := line.recv(1 << 16):
            line.sendall(data)
