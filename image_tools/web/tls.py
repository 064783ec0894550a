"""Build TLS settings: the user's choice, authorities, client certificates."""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from image_tools.errors import EnvironmentProblem

_Key = tuple["TlsChoice", str | None, str | None]
_in_use: WeakValueDictionary[_Key, ssl.SSLContext] = WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class TlsChoice:
    """The user's TLS options for one end.

    `verify` None: verification is on, but loopback hosts may also speak plain HTTP, as for docker.
    True: only TLS. False: TLS without verification, else plain HTTP. `ca_file` is an authority in
    addition to those of the system.
    """

    verify: bool | None = None
    ca_file: Path | None = None

    def allows_plain(self, host: str) -> bool:
        """Return whether plain HTTP may be spoken to `host` (name or address, no port)."""
        return self.verify is False or (self.verify is None and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Return whether `host` is localhost or a loopback address, with or without brackets."""
    bare = host.strip("[]").rstrip(".").lower()
    if bare == "localhost" or bare.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False


def shared_context(choice: TlsChoice, registry: str, environ: Mapping[str, str]) -> ssl.SSLContext:
    """Return the `tls_context`, the same one for all registries without a certs.d folder.

    Reading the system's authorities takes 30 ms, as long as many requests. A context is shared
    only while it is in use, so that the next run sees files that have changed.
    """
    if _has_folder(registry, environ):
        return tls_context(choice, registry, environ)
    key = choice, environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")
    context = _in_use.get(key)
    if context is None:
        context = _in_use[key] = tls_context(choice, registry, environ)
    return context


def tls_context(choice: TlsChoice, registry: str, environ: Mapping[str, str]) -> ssl.SSLContext:
    """Return a context for connections to `registry` (host or host:port).

    Authorities: the system's (SSL_CERT_FILE and SSL_CERT_DIR instead, where set), the choice's
    file, and the certs.d folders of docker and containers (containers-certs.d(5)).
    EnvironmentProblem names the file that cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # Go's tools trust every certificate of the pool, also a server's own.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if choice.verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        _load_system(context, environ)
    if choice.ca_file is not None:
        _load_authority(context, choice.ca_file)
    for folder in certificate_folders(registry, environ):
        _load_folder(context, folder)
    return context


def certificate_folders(registry: str, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the certs.d folders of `registry`, the user's before the system's."""
    home = Path(environ.get("HOME") or Path.home())
    parents = (
        home / ".config/containers/certs.d",
        home / ".config/docker/certs.d",
        Path("/etc/containers/certs.d"),
        Path("/etc/docker/certs.d"),
    )
    return tuple(parent / registry for parent in parents)


def shows_certificate(registry: str, environ: Mapping[str, str]) -> bool:
    """Return whether a certs.d folder of `registry` has a client certificate."""
    return any(
        path.suffix == ".cert"
        for folder in certificate_folders(registry, environ)
        if folder.is_dir()
        for path in folder.iterdir()
    )


def _has_folder(registry: str, environ: Mapping[str, str]) -> bool:
    try:
        return any(folder.exists() for folder in certificate_folders(registry, environ))
    except OSError:
        return True  # `_load_folder` says what is wrong.


def _load_system(context: ssl.SSLContext, environ: Mapping[str, str]) -> None:
    bundle, folders = environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")
    if not bundle and not folders:
        context.load_default_certs()
        return
    if bundle:
        _load_authority(context, Path(bundle))
    for folder in (folders or "").split(os.pathsep):
        if folder and Path(folder).is_dir():
            for path in sorted(Path(folder).glob("*")):
                _load_quietly(context, path)


def _load_quietly(context: ssl.SSLContext, path: Path) -> None:
    """Load a file of SSL_CERT_DIR; other files than certificates are skipped, as by Go."""
    try:
        context.load_verify_locations(cafile=str(path))
    except OSError:
        return


def _load_folder(context: ssl.SSLContext, folder: Path) -> None:
    try:
        names = sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise EnvironmentProblem(f"{folder}: cannot be read: {error.strerror}") from error
    for name in names:
        if name.endswith(".crt"):
            _load_authority(context, folder / name)
        elif name.endswith(".cert"):
            _load_client(context, folder / name, folder / f"{name[:-5]}.key")


def _load_authority(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(cafile=str(path))
    except ssl.SSLError as error:
        raise EnvironmentProblem(f"{path}: no certificate in PEM format in it") from error
    except OSError as error:
        raise EnvironmentProblem(f"{path}: cannot be read: {error.strerror}") from error


def _load_client(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    if not key.exists():
        raise EnvironmentProblem(f"{key}: missing, the key of {certificate.name}")
    try:
        # A question for a passphrase would stop an unattended run: an encrypted key is an error.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except ssl.SSLError as error:
        raise EnvironmentProblem(
            f"{certificate}: not usable with {key.name}: {error.reason}"
        ) from error
    except OSError as error:
        raise EnvironmentProblem(f"{certificate}: cannot be read: {error.strerror}") from error
