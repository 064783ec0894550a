from __future__ import annotations

from pathlib import Path

import pytest

from image_tools.errors import EnvironmentProblem, ToolMissing, ToolTooOld
from image_tools.machine.run import CompletedRun
from image_tools.tools.versions import Tool, Version, parse_version, probe, require


def found(text: str, tool: Tool) -> tuple[Version, str]:
    version = parse_version(tool, text)
    return version, str(version)


@pytest.mark.parametrize(
    ("text", "version", "spelled"),
    [
        ("skopeo version 1.9.3\n", Version(1, 9, 3), "1.9.3"),
        ("skopeo version 1.22.0-dev commit: abc", Version(1, 22, 0), "1.22.0-dev"),
        ("warning: x\nSkopeo version v1.6", Version(1, 6), "1.6"),
    ],
)
def test_parse_version_of_skopeo_is_its_version(text, version, spelled):
    assert found(text, "skopeo") == (version, spelled)


@pytest.mark.parametrize(
    ("text", "version", "spelled"),
    [
        ("github.com/docker/buildx v0.29.1 a32761a", Version(0, 29, 1), "0.29.1"),
        ("github.com/docker/buildx 0.13.1+ds1-1 0.13.1+ds1-1", Version(0, 13, 1), "0.13.1+ds1-1"),
        ("github.com/docker/buildx v0.24.0-desktop.2 x", Version(0, 24, 0), "0.24.0-desktop.2"),
        ("github.com/docker/buildx 0.0.0+unknown", Version(0, 0, 0), "0.0.0+unknown"),
    ],
)
def test_parse_version_of_buildx_is_its_version(text, version, spelled):
    assert found(text, "buildx") == (version, spelled)


@pytest.mark.parametrize("tool", ["skopeo", "buildx"])
@pytest.mark.parametrize(
    ("text", "seen"), [("", "nothing"), (" \n", "nothing"), ("podman version 5.0.0\nx", "podman")]
)
def test_parse_version_of_another_program_says_what_it_printed(tool, text, seen):
    with pytest.raises(EnvironmentProblem, match=f"it printed '{seen}"):
        parse_version(tool, text)


@pytest.mark.parametrize(
    ("tool", "version"),
    [
        ("skopeo", Version(1, 6)),
        ("skopeo", Version(2, 0)),
        ("buildx", Version(0, 11)),
        ("buildx", Version(1, 0)),
        ("buildx", Version(0, 0, 0, "0.0.0+unknown")),
    ],
)
def test_require_new_or_unknown_version_is_accepted(tool, version):
    assert require(tool, version) is None


@pytest.mark.parametrize(
    ("tool", "version", "words"),
    [
        ("skopeo", Version(1, 5, 2, "1.5.2"), "skopeo 1.5.2 is too old: it lacks"),
        ("buildx", Version(0, 10, 5, "0.10.5"), "docker buildx 0.10.5 is too old: it makes"),
    ],
)
def test_require_old_version_says_why_and_what_to_do(tool, version, words):
    with pytest.raises(ToolTooOld, match=words) as caught:
        require(tool, version)

    assert caught.value.advice


def test_version_text_has_no_part_in_comparing():
    assert Version(1, 2, 3, "a") == Version(1, 2, 3, "b") < Version(1, 10)
    assert str(Version(1, 2)) == "1.2.0"


class Runs:
    """Gives `completed` for every run, or raises it; `seen` are the runs."""

    def __init__(self, completed: CompletedRun | Exception) -> None:
        self.completed, self.seen = completed, []

    def run(self, argv, *, environment, timeout, cancel):
        self.seen.append((argv, environment, timeout))
        if isinstance(self.completed, Exception):
            raise self.completed
        return self.completed


@pytest.mark.parametrize(
    ("tool", "word", "output", "version"),
    [
        ("skopeo", "--version", b"skopeo version 1.9.3\n", Version(1, 9, 3)),
        ("buildx", "version", b"github.com/docker/buildx v0.29.1 \xff", Version(0, 29, 1)),
    ],
)
def test_probe_usable_tool_is_run_once(tool, word, output, version):
    tools = Runs(CompletedRun(argv=(), returncode=0, stdout=output))

    assert probe(tool, Path("/x/tool"), {"A": "b"}, run=tools.run) == version
    assert tools.seen == [(("/x/tool", word), {"A": "b"}, 10.0)]


@pytest.mark.parametrize(
    ("completed", "kind", "words"),
    [
        (CompletedRun(argv=(), returncode=-15, timed_out=True), EnvironmentProblem, "10 seconds"),
        (CompletedRun(argv=(), returncode=1, stderr="boom"), EnvironmentProblem, "boom"),
        (
            CompletedRun(argv=(), returncode=0, stdout=b"skopeo version 1.4.1"),
            ToolTooOld,
            "1.6 or newer",
        ),
        (ToolMissing("skopeo cannot be started (/x/skopeo): gone"), ToolMissing, "gone"),
    ],
)
def test_probe_unusable_tool_is_explained(completed, kind, words):
    with pytest.raises(kind, match=words) as caught:
        probe("skopeo", Path("/x/skopeo"), {}, run=Runs(completed).run)

    assert caught.value.advice
