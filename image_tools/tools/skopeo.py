"""Command lines of skopeo (1.6 and newer; signing: 1.9 and newer), as pure functions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from image_tools.oci.manifest import RawManifest
from image_tools.oci.platform import Platform

OPEN_POLICY = b'{"default":[{"type":"insecureAcceptAnything"}]}\n'
# Copies an index alone, byte for byte; `--multi-arch index-only` is of skopeo 1.6.
INDEX_ONLY = ("copy", "--multi-arch", "index-only", "--preserve-digests", "--remove-signatures")
CANNOT_KEEP = "Manifest list must be converted to type"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
_TRIAL = "image-tools.test/nothing:trial"
_FOLDER_VERSION = b"Directory Transport Version: 1.1\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class SkopeoSetting:
    """The files one run gives to every skopeo process, instead of the machine's own.

    `policy` is a containers-policy.json(5), `authfile` an auth file with the login of the exchange.
    `registries_conf` is a file and `registries_d` a folder, both normally empty: so skopeo asks no
    mirror and looks for no signature. With None it uses those of the machine.
    """

    skopeo: str
    policy: Path
    authfile: Path
    tmpdir: Path
    registries_conf: Path | None = None
    registries_d: Path | None = None


@dataclass(frozen=True, slots=True)
class DirectSource:
    """How skopeo reaches a source without the exchange.

    `certificates` is a folder as containers-certs.d(5) describes it. With `tls_verify`
    None registries.conf decides: skopeo verifies what is not `insecure` there.
    """

    authfile: Path | None = None
    certificates: Path | None = None
    tls_verify: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRequest:
    """A copy of one platform; both ends are `host/repository@digest` or `host/repository:tag`.

    With `whole_index` the source is an index, and everything in it is copied. `convert` is only for
    Docker schema 1: it becomes schema 2, and its digest changes.
    """

    setting: SkopeoSetting
    source: str
    destination: str
    platform: Platform = Platform()
    whole_index: bool = False
    convert: bool = False
    source_direct: DirectSource | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRequest:
    """A login at `registry` that is typed at the terminal; skopeo writes it to `authfile`.

    `registries_conf` is an empty file: that of the machine may name credential helpers.
    """

    skopeo: str
    registry: str
    authfile: Path
    registries_conf: Path
    certificates: Path
    tls_verify: bool = True
    username: str = ""


@dataclass(frozen=True, slots=True)
class SigstoreKey:
    """A private key as cosign writes it, and the file with its passphrase."""

    private_key: Path
    passphrase_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SignRequest:
    """The signing of one manifest in its repository.

    `source` and `destination` are addresses of the same manifest in the exchange. `identity` is the
    reference that the signature is for, `registry/repository:tag`.
    """

    setting: SkopeoSetting
    key: SigstoreKey
    source: str
    destination: str
    identity: str


def copy_argv(request: CopyRequest) -> tuple[str, ...]:
    """Return the command line that copies one platform, or everything in an index.

    Global options come first: skopeo 1.6 to 1.22 accept them there. `--preserve-digests` (1.6) is
    left out only for a conversion, which skopeo refuses or ignores together with it. Signatures are
    checked by the policy but not copied here: as referrers or tags they have a copy of their own.
    """
    return (
        *_global_options(request.setting),
        *_platform_options(request.platform),
        "copy",
        *(("--all",) if request.whole_index else ()),
        *(("--format", "v2s2") if request.convert else ("--preserve-digests",)),
        "--remove-signatures",
        *_source_options(request),
        *_destination_options(request.setting),
        f"docker://{request.source}",
        f"docker://{request.destination}",
    )


def login_argv(request: LoginRequest) -> tuple[str, ...]:
    """Return the command line that asks for a login and tries it at the registry."""
    return (
        request.skopeo,
        "--registries-conf",
        str(request.registries_conf),
        "login",
        "--authfile",
        str(request.authfile),
        "--cert-dir",
        str(request.certificates),
        f"--tls-verify={'true' if request.tls_verify else 'false'}",
        *_given("--username", request.username),
        request.registry,
    )


def index_only_argv(setting: SkopeoSetting, folder: Path, destination: str) -> tuple[str, ...]:
    """Return the command line that pushes the index of `write_index_folder`, byte for byte.

    The destination repository must have the children.
    """
    return (
        *_global_options(setting),
        *INDEX_ONLY,
        *_destination_options(setting),
        f"dir:{folder}",
        f"docker://{destination}",
    )


def attachments_conf(address: str) -> bytes:
    """Return a file for registries.d: the registry at `address` keeps signatures itself.

    JSON, which is YAML too; containers-registries.d(5).
    """
    return json.dumps({"docker": {address: {"use-sigstore-attachments": True}}}).encode() + b"\n"


def sign_argv(request: SignRequest) -> tuple[str, ...]:
    """Return the command line that signs one manifest, an index without its children.

    skopeo writes the manifest again, and adds its signature to the existing ones.
    """
    setting = request.setting
    return (
        *_global_options(setting),
        *_signing(request.key, request.identity),
        "--src-tls-verify=false",
        "--src-authfile",
        str(setting.authfile),
        *_destination_options(setting),
        f"docker://{request.source}",
        f"docker://{request.destination}",
    )


def trial_argv(
    setting: SkopeoSetting, key: SigstoreKey, source: Path, target: Path
) -> tuple[str, ...]:
    """Return the command line that tries `key`: it signs the index in `source` into `target`.

    `source` is a folder of `write_index_folder`.
    """
    return (
        *_global_options(setting),
        *_signing(key, _TRIAL),
        f"dir:{source}",
        f"dir:{target}",
    )


def write_index_folder(folder: Path, index: RawManifest) -> None:
    """Make `folder` a source for `index_only_argv` with the bytes of `index`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "version").write_bytes(_FOLDER_VERSION)
    (folder / "manifest.json").write_bytes(index.content)


def cannot_keep(words: str) -> bool:
    """Return whether skopeo says that it would have to change the bytes of an index.

    skopeo 1.9 says so of entries with fields it does not know, such as artifact types.
    """
    return CANNOT_KEEP in words


def _global_options(setting: SkopeoSetting) -> tuple[str, ...]:
    """Return skopeo and the options before its command."""
    return (
        setting.skopeo,
        "--policy",
        str(setting.policy),
        "--tmpdir",
        str(setting.tmpdir),
        *_given("--registries-conf", setting.registries_conf),
        *_given("--registries.d", setting.registries_d),
    )


def _platform_options(platform: Platform) -> tuple[str, ...]:
    return (
        *_given("--override-os", platform.os),
        *_given("--override-arch", platform.architecture),
        *_given("--override-variant", platform.variant),
    )


def _source_options(request: CopyRequest) -> tuple[str, ...]:
    direct = request.source_direct
    if direct is None:
        return ("--src-tls-verify=false", "--src-authfile", str(request.setting.authfile))
    return (
        *_verification(direct.tls_verify),
        *_given("--src-authfile", direct.authfile),
        *_given("--src-cert-dir", direct.certificates),
    )


def _verification(verify: bool | None) -> tuple[str, ...]:
    return () if verify is None else (f"--src-tls-verify={'true' if verify else 'false'}",)


def _destination_options(setting: SkopeoSetting) -> tuple[str, ...]:
    """Return the options for the exchange as the destination of a copy."""
    return ("--dest-tls-verify=false", "--dest-authfile", str(setting.authfile))


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


def _given(option: str, value: Path | str | None) -> tuple[str, ...]:
    return (option, str(value)) if value else ()
