"""One image as a shell script would mirror it: inspect, copy each platform, create the list.

`plain_pipeline.py SKOPEO SOURCE DESTINATION [ARCH,...]`; ends with the status of the first tool
that failed. No state, no comparison: it is what image-tools is measured against.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection
from typing import Any


def mirror(skopeo: str, source: str, destination: str, wanted: Collection[str]) -> None:
    """Mirror one image; `wanted`: architectures, empty: all."""
    raw = _run(skopeo, "inspect", "--raw", f"docker://{source}")
    entries = json.loads(raw).get("manifests")
    if entries is None:
        _copy(skopeo, source, destination)
        return
    kept = _kept(entries, wanted)
    homes = source.rpartition(":")[0], destination.rpartition(":")[0]
    for entry in kept:
        _copy(skopeo, *(f"{home}@{entry['digest']}" for home in homes))
    sources = (f"{homes[1]}@{entry['digest']}" for entry in kept)
    _run("docker", "buildx", "imagetools", "create", "--tag", destination, *sources)


def _kept(entries: list[dict[str, Any]], wanted: Collection[str]) -> list[dict[str, Any]]:
    if not wanted:
        return entries
    kept = [one for one in entries if one["platform"]["architecture"] in wanted]
    kept = [one for one in kept if one["platform"]["os"] == "linux"]
    digests = {one["digest"] for one in kept}
    about = "vnd.docker.reference.digest"
    return [*kept, *(one for one in entries if one.get("annotations", {}).get(about) in digests)]


def _copy(skopeo: str, source: str, destination: str) -> None:
    ends = f"docker://{source}", f"docker://{destination}"
    _run(skopeo, "--insecure-policy", "copy", "-q", "--preserve-digests", *ends)


def _run(*argv: str) -> bytes:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)
    return done.stdout


if __name__ == "__main__":
    mirror(*sys.argv[1:4], sys.argv[4].split(",") if len(sys.argv) > 4 else ())
