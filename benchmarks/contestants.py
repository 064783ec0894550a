"""Everybody who can mirror a list, as command lines."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.child import ROOT
from benchmarks.lab import Lab
from benchmarks.measure import Command
from benchmarks.population import SUBSET
from tests.helpers import tools
from tests.helpers.endpoint import LAB_LOGIN

OUR_JOBS = (4, 8, 16)
Words = list[str | Path]
Argv = Callable[[Lab, bool], tuple[Words, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One way to mirror a list.

    `argv` gives its words and its standard input for a lab; True asks for amd64 and arm64 alone,
    which not everybody can. `missing` says why it cannot take part. `is_slow`: one image after the
    other, so that far away it takes minutes.
    """

    name: str
    argv: Argv
    can_subset: bool = False
    is_ours: bool = False
    is_floor: bool = False
    is_slow: bool = False
    missing: str = ""
    more: tuple[tuple[str, str], ...] = ()

    @property
    def is_peer(self) -> bool:
        """Tell whether it is a tool of others, which ours is compared with."""
        return not self.is_ours and not self.is_floor

    def command(self, lab: Lab, *, subset: bool) -> Command:
        """Give what to run in a lab."""
        words, given = self.argv(lab, subset)
        environment = {**lab.environment, **dict(self.more)}
        return Command(argv=words, given=given, folder=lab.home, environment=environment)


def contestants(jobs: int) -> tuple[Contestant, ...]:
    """Give everybody; the tools of others run `jobs` at once, where they can."""
    return (*_ours(), *_skopeos(jobs), *_others(jobs), _pipeline(jobs), _floor())


def _ours() -> Iterator[Contestant]:
    for version in _skopeo_versions():
        for jobs in OUR_JOBS:
            yield _our_own(f"-j {jobs}", version, _image_tools(jobs))
    # The tools of others do not look for signatures: what that costs us is a row of its own.
    newest = _skopeo_versions()[0]
    yield _our_own("without signatures -j 8", newest, _image_tools(8, "--remove-signatures"))


def _our_own(name: str, skopeo: tools.Tool, argv: Argv) -> Contestant:
    return Contestant(
        name=f"image-tools {name}, skopeo {skopeo.version}",
        argv=argv,
        can_subset=True,
        is_ours=True,
        more=(
            ("IMAGE_TOOLS_SKOPEO", str(skopeo.path)),
            ("IMAGE_TOOLS_BUILDX", str(tools.newest("buildx"))),
        ),
    )


def _skopeo_versions() -> tuple[tools.Tool, ...]:
    """Give the newest and the oldest; one where there is but one."""
    found = tools.versions("skopeo")
    return tuple(dict.fromkeys((found[-1], found[0])))


def _image_tools(jobs: int, *more: str) -> Argv:
    def argv(lab: Lab, subset: bool) -> tuple[Words, str]:
        platforms = ("--arch", ",".join(SUBSET)) if subset else ("--arch", "all", "--os", "all")
        program = Path(sys.executable).with_name("image-tools")
        fixed: Words = [program, "mirror", "-f", "-", "-d", lab.destination_address, "-q"]
        files: Words = ["--state", lab.home / "state.db", "-o", lab.home / "failed.txt"]
        trust: Words = ["--ca-file", lab.certificates.authority]
        lines = "".join(f"{line}\n" for line in lab.world.lines(lab.source_address))
        return [*fixed, *files, *trust, "-j", str(jobs), *platforms, *more], lines

    return argv


def _skopeos(jobs: int) -> Iterator[Contestant]:
    for version in _skopeo_versions():
        copy: Words = [version.path, "--insecure-policy", "copy", "-q", "--all"]
        yield Contestant(
            name=f"skopeo copy --all -P {jobs}, {version.version}",
            argv=_by_xargs(jobs, [*copy, "--preserve-digests"], "docker://"),
        )
        yield Contestant(
            name=f"skopeo sync --all, {version.version}",
            argv=_skopeo_sync(version.path),
            is_slow=True,
        )


def _by_xargs(jobs: int, words: Words, prefix: str = "") -> Argv:
    """Give a way that runs `words SOURCE DESTINATION` for each image, so many at once."""

    def argv(lab: Lab, subset: bool) -> tuple[Words, str]:
        last = [",".join(SUBSET)] if subset else []
        pairs = zip(
            lab.world.lines(prefix + lab.source_address),
            lab.world.lines(prefix + lab.destination_address),
            strict=True,
        )
        given = "".join(" ".join([*pair, *last]) + "\n" for pair in pairs)
        return ["xargs", "-P", str(jobs), "-L", "1", *words], given

    return argv


def _skopeo_sync(skopeo: Path) -> Argv:
    def argv(lab: Lab, _: bool) -> tuple[Words, str]:
        tags: dict[str, list[str]] = {}
        for place in lab.world.places:
            tags.setdefault(place.repository, []).append(place.tag)
        path = lab.home / "sync.yaml"
        path.write_text(json.dumps({lab.source_address: {"images": tags}}))
        fixed: Words = [skopeo, "--insecure-policy", "sync", "--all", "--preserve-digests"]
        return [*fixed, "--src", "yaml", "--dest", "docker", path, lab.destination_address], ""

    return argv


def _others(jobs: int) -> Iterator[Contestant]:
    for name, verb in (("crane", "copy"), ("oras", "cp")):
        path = _newest(name)
        argv = _by_xargs(jobs, [path or name, verb, *(["--no-tty"] if name == "oras" else [])])
        missing = (
            "" if path else f"{name} is not here: scripts/setup fetches it where Debian has it"
        )
        yield Contestant(name=f"{name} {verb} -P {jobs}", argv=argv, missing=missing)
    found = shutil.which("regsync")
    missing = "" if found else "regsync is not on PATH"
    yield Contestant(name=f"regsync, parallel {jobs}", argv=_regsync(jobs), missing=missing)


def _newest(name: str) -> Path | None:
    try:
        return tools.newest(name)
    except tools.ToolNotFound:
        return None


def _regsync(jobs: int) -> Argv:
    def argv(lab: Lab, _: bool) -> tuple[Words, str]:
        ends = lab.source_address, lab.destination_address
        authority = lab.certificates.authority.read_text()
        login = {"user": LAB_LOGIN.username, "pass": LAB_LOGIN.password} if lab.tokens else {}
        value = {
            "version": 1,
            "creds": [
                {"registry": end, "tls": "enabled", "regcert": authority, **login} for end in ends
            ],
            "defaults": {"parallel": jobs},
            "sync": [
                {"source": source, "target": target, "type": "image"}
                for source, target in zip(*map(lab.world.lines, ends), strict=True)
            ],
        }
        path = lab.home / "regsync.yaml"
        path.write_text(json.dumps(value))  # JSON is YAML
        return ["regsync", "once", "-c", path], ""

    return argv


def _pipeline(jobs: int) -> Contestant:
    skopeo = tools.newest("skopeo")
    # By its path and without anybody's packages: it should start as fast as a shell.
    program: Words = [sys.executable, "-I", ROOT / "benchmarks/plain_pipeline.py", skopeo]
    return Contestant(
        name=f"inspect, copy, buildx create -P {jobs}",
        argv=_by_xargs(jobs, program),
        can_subset=True,
        missing="" if shutil.which("docker") else "docker is not here",
    )


def _floor() -> Contestant:
    def argv(lab: Lab, subset: bool) -> tuple[Words, str]:
        words: Words = [sys.executable, "-m", "benchmarks.floor"]
        words += [lab.source_address, lab.destination_address, lab.certificates.authority]
        words += [f"{LAB_LOGIN.username}:{LAB_LOGIN.password}", *([",".join(SUBSET)] * subset)]
        return words, "".join(f"{one.repository}:{one.tag}\n" for one in lab.world.places)

    return Contestant(name="floor: bare HTTP copier", argv=argv, can_subset=True, is_floor=True)
