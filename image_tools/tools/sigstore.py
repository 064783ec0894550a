"""Command lines that make skopeo sign with a sigstore key (skopeo 1.9 and newer)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from image_tools.tools.skopeo import INDEX_ONLY, SkopeoSetting, destination_options, global_options

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
_TRIAL = "image-tools.test/nothing:trial"


@dataclass(frozen=True, slots=True)
class SigstoreKey:
    """A private key as cosign writes it, and the file that holds its passphrase."""

    private_key: Path
    passphrase_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SignRequest:
    """One manifest that is signed where it lies.

    `source` and `destination` are the same manifest as the exchange shows it; `identity` is the
    reference that the signature is for, `registry/repository:tag`.
    """

    setting: SkopeoSetting
    key: SigstoreKey
    source: str
    destination: str
    identity: str


def attachments_conf(address: str) -> bytes:
    """A file for registries.d: signatures are kept in the registry at `address` itself.

    JSON, which is YAML too; containers-registries.d(5).
    """
    return json.dumps({"docker": {address: {"use-sigstore-attachments": True}}}).encode() + b"\n"


def sign_argv(request: SignRequest) -> tuple[str, ...]:
    """The command line that signs one manifest, an index without its children.

    Nothing is moved: skopeo writes the manifest again and adds its signature to those there are.
    """
    setting = request.setting
    return (
        *global_options(setting),
        *_signing(request.key, request.identity),
        "--src-tls-verify=false",
        "--src-authfile",
        str(setting.authfile),
        *destination_options(setting),
        f"docker://{request.source}",
        f"docker://{request.destination}",
    )


def trial_argv(
    setting: SkopeoSetting, key: SigstoreKey, source: Path, target: Path
) -> tuple[str, ...]:
    """The command line that signs the index in the folder `source` into `target`: a try of `key`.

    `source` is one of `write_index_folder`.
    """
    return (
        *global_options(setting),
        *_signing(key, _TRIAL),
        f"dir:{source}",
        f"dir:{target}",
    )


def _signing(key: SigstoreKey, identity: str) -> tuple[str, ...]:
    return (
        *INDEX_ONLY,
        "--sign-by-sigstore-private-key",
        str(key.private_key),
        "--sign-passphrase-file",
        str(key.passphrase_file),
        "--sign-identity",
        identity,
    )
