"""docs/report.schema.json against the program; tests/helpers/report_schema.py checks every run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from enum import Enum
from typing import Any

import jsonschema
import pytest

from image_tools.report import (
    Change,
    DryRunPlan,
    Kept,
    Outcome,
    PlanAction,
    PlanRow,
    Pulls,
    Report,
    Status,
)
from tests.helpers.documents import blocks, rows, spans, text_of
from tests.helpers.report_schema import SCHEMA, check_document

DEFINITIONS = SCHEMA["$defs"]
DIGEST = f"sha256:{'a' * 64}"
OUTCOME = Outcome(
    number=1,
    line=3,
    raw="nginx:1.25",
    source="docker.io/library/nginx:1.25",
    destination="registry.example:5000/library/nginx:1.25",
    status=Status.COPIED,
    digest=DIGEST,
    digest_preserved=False,
    change=Change.FILTERED,
    platforms=("linux/amd64",),
    path="buildx",
    kept=(Kept(platform="linux/arm/v7", digest=DIGEST, since="2026-01-31T10:00:00+00:00"),),
    warnings=("the tag keeps linux/arm/v7",),
)
ROW = PlanRow(number=1, source="a", destination="b", action=PlanAction.COPY, kept=OUTCOME.kept)
IMAGE = {"platform": "linux/amd64", "os": "linux", "architecture": "amd64", "variant": ""} | {
    **{"os_version": "", "digest": DIGEST, "media_type": "m", "size": 1, "layers": None},
    **{"created": "", "attestations": [DIGEST], "present": True},
}
ATTACHED = {"kind": "signature", "digest": DIGEST, "subject": DIGEST, "tag": ""}
LISTED = {"line": 1, "raw": "r", "reference": "r", "status": "found", "digest": ""} | {
    **{"media_type": "", "platforms": [], "size": None, "attestations": 0},
    **{"reason": "", "kind": "", "advice": ""},
}
ARCHIVED = {"reference": "", "digest": DIGEST, "platforms": [], "size": 1} | {
    **{"source": "", "problem": ""},
}
COMPONENTS = ("image-tools", "python", "aiohttp", "skopeo", "buildx", "platform")
DOCUMENTS: dict[str, dict[str, Any]] = {
    "report": Report(command="mirror", outcomes=(OUTCOME,), interrupted_by=2).to_json(),
    "plan": DryRunPlan((ROW,), (Pulls(registry="docker.io", spent=1, left=9),)).to_json("mirror"),
    "inspect": {"schema": 1, "command": "inspect", "reference": "r", "digest": DIGEST}
    | {"media_type": "m", "size": None, "images": [IMAGE]}
    | {"orphaned_attestations": [], "attached": [ATTACHED]},
    "inspectList": {"schema": 1, "command": "inspect list", "exit_code": 0}
    | {"counts": {"found": 1, "failed": 0, "invalid": 0}, "rows": [LISTED]},
    "listTags": {"schema": 1, "command": "list-tags", "repository": "r", "total": 1, "tags": []},
    "delete": {"schema": 1, "command": "delete", "reference": "r", "digest": DIGEST}
    | {"media_type": "m", "tags": ["1.0"], "deleted": True},
    "archiveLs": {"schema": 1, "command": "archive ls", "archive": "a", "images": [ARCHIVED]}
    | {"blobs": 1, "size": 1},
    "archiveVerify": {"schema": 1, "command": "archive verify", "archive": "a", "images": 1}
    | {"blobs": 1, "size": 1, "lost": []}
    | {"damaged": [{"digest": DIGEST, "problem": "p", "images": []}]}
    | {"foreign": [{"digest": DIGEST, "urls": [], "images": []}]},
    "doctor": {"schema": 1, "command": "doctor", "ok": True}
    | {"checks": [{"name": "n", "verdict": "ok", "finding": "f", "remedy": ""}]},
    "version": {name: {"version": "1"} for name in COMPONENTS},
}


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every JSON object in a document, itself first."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from objects(part)


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_schema_has_a_sample_of_each_document() -> None:
    named = [choice["$ref"].rpartition("/")[2] for choice in SCHEMA["oneOf"]]

    assert named == list(DOCUMENTS)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_schema_document_of_each_kind_is_valid(name: str) -> None:
    document = json.loads(json.dumps(DOCUMENTS[name]))

    check_document(document)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)


def test_schema_example_of_the_documentation_is_valid() -> None:
    check_document(json.loads(blocks("docs/report.md", "json")[0]))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_schema_document_with_an_unknown_field_fails(name: str) -> None:
    whole = jsonschema.Draft202012Validator(SCHEMA)
    for place in range(len(list(objects(DOCUMENTS[name])))):
        changed = deepcopy(DOCUMENTS[name])
        list(objects(changed))[place]["unknown"] = {}

        assert not whole.is_valid(changed), place
        with pytest.raises(AssertionError):
            check_document(changed)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_schema_document_with_a_missing_field_fails(name: str) -> None:
    whole = jsonschema.Draft202012Validator(SCHEMA)
    for place, found in enumerate(objects(DOCUMENTS[name])):
        for key in found if found != {"version": "1"} else ():
            changed = deepcopy(DOCUMENTS[name])
            del list(objects(changed))[place][key]

            assert not whole.is_valid(changed), (place, key)
            with pytest.raises(AssertionError):
                check_document(changed)


@pytest.mark.parametrize(
    ("definition", "key", "words", "may_be_empty"),
    [
        ("outcome", "status", Status, False),
        ("outcome", "change", Change, True),
        ("planRow", "action", PlanAction, False),
    ],
)
def test_schema_words_are_those_of_the_program(
    definition: str, key: str, words: type[Enum], may_be_empty: bool
) -> None:
    empty = [""] if may_be_empty else []

    found = DEFINITIONS[definition]["properties"][key]["enum"]

    assert found == empty + [word.value for word in words]


def test_schema_kinds_are_those_of_the_documentation() -> None:
    told = [spans(row[0])[0] for row in rows(text_of("docs/report.md"), "## Kinds of failure")]

    assert DEFINITIONS["kind"]["enum"] == ["", *told]
