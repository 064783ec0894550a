"""The policy a run applies, and the key it signs with."""

from __future__ import annotations

from pathlib import Path

import pytest
from loguru import logger

from image_tools.commands.request import ListRequest, SigningKey
from image_tools.commands.wiring import key_id, key_of, policy_of
from image_tools.errors import EnvironmentProblem
from image_tools.machine.workspace import Workspace
from image_tools.tools.policy import SignaturePolicy
from image_tools.tools.skopeo import SigstoreKey

OPEN = '{"default":[{"type":"insecureAcceptAnything"}]}'


@pytest.mark.parametrize(
    ("machines", "insecure", "said"),
    [
        (False, False, "this machine has no signature policy"),
        (False, True, "--insecure-policy"),
        (True, True, "--insecure-policy"),
        (True, False, ""),
    ],
)
def test_policy_that_accepts_everything_is_said(
    machines: bool, insecure: bool, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "policy.json"
    if machines:
        path.write_text(OPEN)
    lines: list[str] = []
    sink = logger.add(lines.append, level="INFO", format="{message}")

    found = policy_of(ListRequest(insecure_policy=insecure), {"HOME": str(tmp_path)}, path)
    logger.remove(sink)

    assert found.path == (path if machines and not insecure else None)
    assert len(lines) == bool(said)
    assert all(said in line for line in lines)
    assert isinstance(found, SignaturePolicy)


def test_key_passphrase_of_a_variable_lies_in_the_private_folder(tmp_path: Path) -> None:
    key = SigningKey(private_key=Path("lab.key"), passphrase="secret")
    with Workspace.create({"TMPDIR": str(tmp_path)}) as workspace:
        found = key_of(key, workspace)

        assert found == SigstoreKey(Path.cwd() / "lab.key", workspace.path / "passphrase")
        assert found.passphrase_file.read_text() == "secret"
        assert found.passphrase_file.stat().st_mode & 0o777 == 0o600
    assert "secret" not in repr(key)


def test_key_passphrase_file_is_used_where_it_lies(tmp_path: Path) -> None:
    key = SigningKey(private_key=Path("/k/lab.key"), passphrase_file=Path("/k/pass"))
    with Workspace.create({"TMPDIR": str(tmp_path)}) as workspace:
        assert key_of(key, workspace) == SigstoreKey(Path("/k/lab.key"), Path("/k/pass"))


def test_key_id_stands_for_the_content(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    for path, text in zip(paths, ("one", "one", "two"), strict=True):
        path.write_text(text)
    first, same, other = (key_id(SigningKey(private_key=path)) for path in paths)

    assert (first == same, first == other, key_id(None)) == (True, False, "")


def test_key_id_of_a_key_that_is_gone_is_a_problem_of_this_machine(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match=r"gone\.key: No such file"):
        key_id(SigningKey(private_key=tmp_path / "gone.key"))
