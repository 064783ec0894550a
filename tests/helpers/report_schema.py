"""The published schema of the program's JSON, docs/report.schema.json."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parent.parent.parent / "docs/report.schema.json").read_text()
)


def check_document(document: Any) -> None:
    """Fail with the first fault of `document`, which must be one of the schema."""
    faults = list(_validator(_definition_of(document)).iter_errors(document))
    assert not faults, f"{faults[0].json_path}: {faults[0].message}"


def check_outputs(words: list[str], stdout: str) -> None:
    """Check what a finished command wrote with `--format json`, and its report file."""
    # What a registry holds is written as it is.
    is_ours = not _names(words) & {"raw", "config"}
    if stdout and is_ours and _asks_for_json(words):
        check_document(json.loads(stdout))
    path = _value(words, "report")
    if path and Path(path).is_file():
        check_document(json.loads(Path(path).read_text()))


def _definition_of(document: Any) -> str:
    """Return the definition that `document` names by its command: it has the best messages."""
    if "dry_run" in document:
        return "plan"
    command = document.get("command")
    for name, definition in SCHEMA["$defs"].items():
        if command and definition.get("properties", {}).get("command", {}).get("const") == command:
            return str(name)
    return "version" if "python" in document else "report"


@cache
def _validator(definition: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(
        {"$ref": f"#/$defs/{definition}", "$defs": SCHEMA["$defs"]}
    )


def _names(words: list[str]) -> set[str]:
    return {word.lstrip("-").partition("=")[0] for word in words if word.startswith("-")}


def _asks_for_json(words: list[str]) -> bool:
    return _value(words, "format") == "json" or "json" in _names(words)


def _value(words: list[str], name: str) -> str:
    """Return the value of an option; of several the last one counts."""
    found = ""
    for position, word in enumerate(words):
        stated, equals, value = word.lstrip("-").partition("=")
        if word.startswith("-") and stated == name:
            found = value if equals else "".join(words[position + 1 : position + 2])
    return found
