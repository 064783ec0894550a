"""Let atheris look for a text that breaks one reader.

`python -m tests.helpers.fuzz NAME FOLDER SECONDS`. Lines of the program are watched: a text that
reaches a new one is kept, and changed again. A bug, a text that takes five seconds, or 512 MiB end
it with an exit status; FOLDER gets that text.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["image_tools"]):
    from image_tools.errors import ImageToolsError
    from tests.helpers.readings import READINGS


def main(name: str, folder: Path, seconds: str) -> None:
    """Look for so many seconds; does not return."""
    reading = READINGS[name]

    def once(data: bytes) -> None:
        try:
            reading.read(data.decode("utf-8", "surrogateescape"))
        except ImageToolsError:
            return

    words = folder / "words"
    quoted = ("".join(f"\\x{byte:02x}" for byte in _bytes(word)) for word in reading.words())
    words.write_text("".join(f'"{word}"\n' for word in quoted))
    limits = [f"-max_total_time={seconds}", "-timeout=5", "-rss_limit_mb=512", "-max_len=4096"]
    kept = [f"-dict={words}", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *limits, *kept], once)
    atheris.Fuzz()


def _bytes(word: str) -> bytes:
    return word.encode("utf-8", "surrogateescape")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
