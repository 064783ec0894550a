"""Options and variables, made into the request of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from image_tools.cli import redact
from image_tools.cli.parsing import parse
from image_tools.cli.request import chosen_registries, list_request, report_file
from image_tools.cli.verbs.mirror import MIRROR
from image_tools.commands.request import ListRequest, SigningKey
from image_tools.errors import UsageError
from image_tools.imagelist.registries import Registries
from image_tools.logins.auth_file import Credentials
from image_tools.plan.selection import Selection
from image_tools.retry import RetryPolicy
from image_tools.run.endpoints import RegistryEnd
from image_tools.run.options import Options
from image_tools.stores.harbor import HarborSetting
from image_tools.web.tls import TlsChoice

STATE = {"XDG_STATE_HOME": "/state"}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def requested(text: str, environ: Mapping[str, str] = STATE) -> ListRequest:
    options = parse(MIRROR, text.split(), environ)
    return list_request(options, chosen_registries(options, environ), environ)


def test_request_nothing_said_is_all_defaults() -> None:
    request = requested("")

    assert request.state is not None
    assert request.state.is_relative_to("/state")
    assert request == ListRequest(
        options=Options(timeout=600.0), state=request.state, failed=Path("mirror-failed.txt")
    )


def test_request_everything_said_is_in_its_place() -> None:
    text = (
        "-s src.example -d dest.example:5000/team -a x86_64,arm -os all -variant 7,v6"
        " --provenance=false -j 4 -timeout 0 -retry-times 5 -retry-delay 2s -state s.db"
        " --wait-lock -force -overwrite -no-arch-os-fail -arch-tags -no-ahead -direct"
        " --tls-verify=false -o f.txt --insecure-policy --no-download"
    )

    assert requested(text) == ListRequest(
        source=RegistryEnd(registry="src.example", tls=TlsChoice(False)),
        destination=RegistryEnd(registry="dest.example:5000", tls=TlsChoice(False)),
        options=Options(
            selection=Selection(
                architectures=frozenset({"amd64", "arm"}),
                systems=None,
                variants=frozenset({"v7", "v6"}),
                attestations=False,
            ),
            jobs=4,
            timeout=None,
            retry=RetryPolicy(times=5, delay=2.0),
            force=True,
            overwrite=True,
            missing_platform_fails=True,
            arch_tags=True,
            ahead=False,
            direct=True,
        ),
        state=Path("s.db"),
        failed=Path("f.txt"),
        wait_lock=math.inf,
        insecure_policy=True,
        download=False,
    )


FIELDS: dict[str, tuple[str, Mapping[str, str], str, Any]] = {
    "jobs-too-many": ("-j 100", {}, "jobs", 20),
    "jobs-too-few": ("-j 0", {}, "jobs", 1),
    "dry-run": ("--dry-run", {}, "dry_run", True),
    "dry-run-writes-no-list": ("--dry-run", {}, "failed", None),
    "no-failed-list": ("--failed=", {}, "failed", None),
    "no-state": ("--no-state", {}, "state", None),
    "no-state-before-variable": ("--no-state", {"IMAGE_TOOLS_STATE": "x"}, "state", None),
    "no-state-by-variable": ("", {"IMAGE_TOOLS_NO_STATE": "1"}, "state", None),
    "state-before-variable": ("-state x", {"IMAGE_TOOLS_NO_STATE": "1"}, "state", Path("x")),
    "one-side-unverified": (
        "--tls-verify --src-tls-verify=false",
        {},
        "source",
        RegistryEnd(tls=TlsChoice(False)),
    ),
    "other-side-verified": (
        "--tls-verify --src-tls-verify=false",
        {},
        "destination",
        RegistryEnd(tls=TlsChoice(True)),
    ),
    "source-variable": ("", {"SOURCE_REGISTRY": "a.io"}, "source", RegistryEnd(registry="a.io")),
    "destination-variable": (
        "",
        {"DOCKER_REGISTRY": "b.io", "DEST_REGISTRY": "c.io"},
        "destination",
        RegistryEnd(registry="b.io"),
    ),
    "source-login": (
        "",
        {"SOURCE_USERNAME": "u", "SOURCE_PASSWORD": "secret"},
        "source",
        RegistryEnd(login=Credentials("u", "secret")),
    ),
    "destination-login": (
        "",
        {"DOCKER_USERNAME": "u", "DOCKER_PASSWORD": "secret", "DEST_USERNAME": "x"}
        | {"DEST_PASSWORD": "other"},
        "destination",
        RegistryEnd(login=Credentials("u", "secret")),
    ),
    "other-destination-login": (
        "",
        {"DEST_USERNAME": "u", "DEST_PASSWORD": "secret"},
        "destination",
        RegistryEnd(login=Credentials("u", "secret")),
    ),
}


@pytest.mark.parametrize(("text", "environ", "name", "expected"), FIELDS.values(), ids=FIELDS)
def test_request_field_follows_options_and_variables(
    text: str, environ: Mapping[str, str], name: str, expected: Any
) -> None:
    request = requested(text, {**STATE, **environ})

    owner = request.options if hasattr(request.options, name) else request
    assert getattr(owner, name) == expected
    redact.forget_secrets()


MISTAKES: dict[str, tuple[str, Mapping[str, str], str]] = {
    "password-alone": (
        "",
        {"DOCKER_PASSWORD": "secret"},
        "DOCKER_PASSWORD is set, DOCKER_USERNAME is not",
    ),
    "username-alone": (
        "",
        {"SOURCE_USERNAME": "u"},
        "SOURCE_USERNAME is set, SOURCE_PASSWORD is not",
    ),
    "both-states": ("-state x -no-state", {}, "--state and --no-state contradict each other"),
    "ca-missing": ("--ca-file ca.pem", {}, "--ca-file: ca.pem does not exist"),
    "policy-folder": ("--policy /", {}, "--policy: / is no file"),
    "both-policies": (
        "--policy p.json --insecure-policy",
        {},
        "--policy and --insecure-policy contradict each other",
    ),
    "key-missing": (
        "--sigstore-private-key no.key",
        {},
        "--sigstore-private-key: no.key does not exist",
    ),
    "key-without-passphrase": (
        "--sigstore-private-key /etc/passwd",
        {},
        "--sigstore-private-key: its passphrase is missing",
    ),
    "passphrase-without-key": (
        "--sigstore-passphrase-file /etc/passwd",
        {},
        "--sigstore-passphrase-file is of no use without a key",
    ),
    "failed-folder": ("-o /", {}, "--failed: / is a folder"),
    "failed-nowhere": ("-o x/y", {}, "--failed: the folder x does not exist"),
    "destination": ("-d team", {}, "-d: 'team' alone is not known as a registry"),
    "variable": ("", {"DOCKER_REGISTRY": "team"}, "DOCKER_REGISTRY: 'team' alone"),
}


@pytest.mark.parametrize(("text", "environ", "message"), MISTAKES.values(), ids=MISTAKES)
def test_request_contradiction_is_a_usage_error(
    text: str, environ: Mapping[str, str], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        requested(text, {**STATE, **environ})

    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        ("", {"COSIGN_PASSWORD": "secret"}, None),
        (
            "--sigstore-private-key key --sigstore-passphrase-file pass",
            {"COSIGN_PASSWORD": "other"},
            SigningKey(private_key=Path("key"), passphrase_file=Path("pass")),
        ),
        (
            "--sigstore-private-key key",
            {"COSIGN_PASSWORD": "secret"},
            SigningKey(private_key=Path("key"), passphrase="secret"),
        ),
        (
            "--sigstore-private-key key",
            {"COSIGN_PASSWORD": ""},
            SigningKey(private_key=Path("key")),
        ),
    ],
)
def test_request_key_comes_with_its_passphrase(
    text: str, environ: Mapping[str, str], expected: SigningKey | None
) -> None:
    for name in ("key", "pass"):
        Path(name).touch()

    assert requested(text, {**STATE, **environ}).signing_key == expected
    redact.forget_secrets()


def test_request_insecure_policy_goes_before_the_policy_of_a_variable() -> None:
    environ = {**STATE, "IMAGE_TOOLS_POLICY": "/nowhere/policy.json"}

    request = requested("--insecure-policy", environ)

    assert (request.policy, request.insecure_policy) == (None, True)


def test_request_password_is_a_secret_from_now_on() -> None:
    request = requested("", {**STATE, "DEST_USERNAME": "u", "DEST_PASSWORD": "hunter22"})

    assert redact.redacted("hunter22") == "***"
    assert "hunter22" not in repr(request)
    redact.forget_secrets()


@pytest.mark.parametrize(("text", "path"), [("", None), ("--report r.json", Path("r.json"))])
def test_report_file_is_where_it_was_asked(text: str, path: Path | None) -> None:
    assert report_file(parse(MIRROR, text.split(), {})) == path


HARBORS = {
    "nothing": ("", None),
    "other options alone": ("--harbor-https=false --harbor-public", None),
    "no type": ("--repo-type=", None),
    "harbor": ("--repo-type harbor", HarborSetting(https=True, public=False)),
    "public": ("-repo-type Harbor --harbor-public", HarborSetting(https=True, public=True)),
    "plain": ("--repo-type=harbor -harbor-https=false", HarborSetting(https=False, public=False)),
}


@pytest.mark.parametrize(("text", "expected"), HARBORS.values(), ids=HARBORS)
def test_request_harbor_is_there_only_with_its_type(
    text: str, expected: HarborSetting | None
) -> None:
    end = requested(text).destination

    assert isinstance(end, RegistryEnd)
    assert end.harbor == expected


def test_request_projects_are_part_of_the_choice() -> None:
    options = parse(MIRROR, ["--source-project=/a/b/", "--destination-project", "c"], STATE)

    chosen = chosen_registries(options, STATE)

    assert chosen == Registries(source_project="a/b", destination_project="c")
