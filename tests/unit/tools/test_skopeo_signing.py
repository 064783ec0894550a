"""Command lines that sign, and the file that lets them."""

from __future__ import annotations

import json
from pathlib import Path

from image_tools.tools.skopeo import (
    SignRequest,
    SigstoreKey,
    SkopeoSetting,
    attachments_conf,
    sign_argv,
    trial_argv,
)

SETTING = SkopeoSetting(
    skopeo="skopeo",
    policy=Path("/run/policy.json"),
    authfile=Path("/run/auth.json"),
    tmpdir=Path("/run/tmp"),
    registries_d=Path("/run/signing"),
)
KEY = SigstoreKey(Path("/k/lab.key"), Path("/k/passphrase"))
GLOBAL = ("skopeo", "--policy", "/run/policy.json", "--tmpdir", "/run/tmp")
SIGNING = (
    *("copy", "--multi-arch", "index-only", "--preserve-digests", "--remove-signatures"),
    *("--sign-by-sigstore-private-key", "/k/lab.key"),
    *("--sign-passphrase-file", "/k/passphrase", "--sign-identity"),
)


def test_sign_argv_signs_the_real_reference_not_the_exchange() -> None:
    request = SignRequest(
        setting=SETTING,
        key=KEY,
        source="h:1/s1/a@sha256:x",
        destination="h:1/d2/a@sha256:x",
        identity="reg.example/a:1",
    )

    assert sign_argv(request) == (
        *(*GLOBAL, "--registries.d", "/run/signing", *SIGNING, "reg.example/a:1"),
        *("--src-tls-verify=false", "--src-authfile", "/run/auth.json"),
        *("--dest-tls-verify=false", "--dest-authfile", "/run/auth.json"),
        *("docker://h:1/s1/a@sha256:x", "docker://h:1/d2/a@sha256:x"),
    )


def test_trial_argv_reaches_no_registry() -> None:
    argv = trial_argv(SETTING, KEY, Path("/run/nothing"), Path("/run/signed"))

    assert argv[-2:] == ("dir:/run/nothing", "dir:/run/signed")
    assert argv[-3] == "image-tools.test/nothing:trial"


def test_attachments_conf_is_for_one_address_alone() -> None:
    conf = json.loads(attachments_conf("127.0.0.1:5"))

    assert conf == {"docker": {"127.0.0.1:5": {"use-sigstore-attachments": True}}}
