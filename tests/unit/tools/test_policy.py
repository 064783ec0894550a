from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from image_tools.errors import EnvironmentProblem
from image_tools.oci.reference import Reference
from image_tools.tools.policy import SignaturePolicy, read_policy

OPEN = [{"type": "insecureAcceptAnything"}]
SIGNED = [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/key.gpg"}]
REJECT = [{"type": "reject"}]
IMAGE = "reg.corp.example:5000/team/app:1.0"


@pytest.mark.parametrize(
    ("docker", "default", "demands"),
    [
        ({}, OPEN, False),
        ({}, REJECT, True),
        ({"": OPEN}, REJECT, False),
        ({"reg.corp.example:5000": SIGNED}, OPEN, True),
        ({"reg.corp.example:5000": SIGNED, "reg.corp.example:5000/team": OPEN}, OPEN, False),
        ({"reg.corp.example:5000/team/app": SIGNED}, OPEN, True),
        ({"reg.corp.example:5000/team/app:1.0": SIGNED}, OPEN, True),
        ({"reg.corp.example:5000/team/app:2.0": SIGNED}, OPEN, False),
        ({"reg.corp.example:5000/tea": SIGNED}, OPEN, False),
        ({"*.corp.example": SIGNED}, OPEN, True),
        ({"*.example": SIGNED, "*.corp.example": OPEN}, OPEN, False),
        ({"*.other.example": SIGNED}, OPEN, False),
    ],
)
def test_demands_by_the_most_specific_scope(docker: Any, default: Any, demands: bool) -> None:
    document = {"default": default, "transports": {"docker": docker}}
    policy = SignaturePolicy(Path("/policy.json"), document)
    assert policy.demands(Reference.parse(IMAGE)) is demands


def test_read_policy_no_file_anywhere_demands_nothing(tmp_path: Path) -> None:
    policy = read_policy(None, {"HOME": str(tmp_path)}, tmp_path / "none.json")
    assert (policy.path, policy.demands(Reference.parse(IMAGE))) == (None, False)


def test_read_policy_of_the_user_goes_before_the_machine(tmp_path: Path) -> None:
    path = tmp_path / ".config/containers/policy.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"default": REJECT}))
    policy = read_policy(None, {"HOME": str(tmp_path)})
    assert (policy.path, policy.demands(Reference.parse(IMAGE))) == (path, True)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"default": 1}'])
def test_read_policy_damaged_file_names_it(tmp_path: Path, content: str) -> None:
    path = tmp_path / "policy.json"
    path.write_text(content)
    with pytest.raises(EnvironmentProblem, match=str(path)):
        read_policy(path, {})


def test_read_policy_chosen_file_missing_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="cannot be read"):
        read_policy(tmp_path / "none.json", {})
