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

    `policy` is a containers-policy.json(5), `authfile` a docker-format login file for the exchange,
    `registries_conf` a file and `registries_d` a folder, both normally empty: with them skopeo asks
    no mirror and looks for no signature. None of these two leaves skopeo to the machine's.
    """

    skopeo: str
    policy: Path
    authfile: Path
    tmpdir: Path
    registries_conf: Path | None = None
    registries_d: Path | None = None


@dataclass(frozen=True, slots=True)
class DirectSource:
    """How skopeo itself reaches a source that does not go through the exchange.

    `certificates` is a folder as containers-certs.d(5) describes it. `tls_verify` None leaves it
    to registries.conf: skopeo verifies what is not `insecure` there.
    """

    authfile: Path | None = None
    certificates: Path | None = None
    tls_verify: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRequest:
    """One platform copy; both ends are `host/repository@digest` or `host/repository:tag`.

    With `whole_index` the source is an index, and all it holds is copied. `convert` is for Docker
    schema 1 alone: it becomes schema 2, and its digest changes.
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
    """A login at `registry`, typed at the terminal; it is written to `authfile`.

    `registries_conf` is an empty file: the machine's may name another place for logins.
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


def version_argv(skopeo: str) -> tuple[str, ...]:
    """The command line that prints skopeo's version."""
    return (skopeo, "--version")


def copy_argv(request: CopyRequest) -> tuple[str, ...]:
    """The command line of one copy: of a platform, or of all that an index holds.

    Global options come first: skopeo 1.6 to 1.22 accept them there. `--preserve-digests` (1.6)
    is given always but for a conversion, which skopeo refuses or ignores together with it.
    Signatures are checked by the policy, never copied here: they come along as what they are in
    the registry, manifests beside the image.
    """
    return (
        *global_options(request.setting),
        *_platform_options(request.platform),
        "copy",
        *(("--all",) if request.whole_index else ()),
        *(("--format", "v2s2") if request.convert else ("--preserve-digests",)),
        "--remove-signatures",
        *_source_options(request),
        *destination_options(request.setting),
        f"docker://{request.source}",
        f"docker://{request.destination}",
    )


def login_argv(request: LoginRequest) -> tuple[str, ...]:
    """The command line that asks for a login, and tries it at the registry."""
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
    """The command line that pushes the index of `write_index_folder`, byte for byte.

    The children must lie in the destination repository.
    """
    return (
        *global_options(setting),
        *INDEX_ONLY,
        *destination_options(setting),
        f"dir:{folder}",
        f"docker://{destination}",
    )


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


def write_index_folder(folder: Path, index: RawManifest) -> None:
    """Nothing; makes `folder` a source of `index_only_argv` that holds the bytes of `index`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "version").write_bytes(_FOLDER_VERSION)
    (folder / "manifest.json").write_bytes(index.content)


def cannot_keep(words: str) -> bool:
    """Whether skopeo says that it would have to change the bytes of an index.

    1.9 does of an index whose entries have fields it does not know, such as artifact types.
    """
    return CANNOT_KEEP in words


def global_options(setting: SkopeoSetting) -> tuple[str, ...]:
    """skopeo itself and what stands before its command."""
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


def destination_options(setting: SkopeoSetting) -> tuple[str, ...]:
    """How a copy reaches the exchange as its destination."""
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
