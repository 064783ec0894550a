"""A private certificate authority with a server certificate and a client certificate."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme

SERVER_NAMES = (
    "127.0.0.1",
    "localhost",
    "registry.image-tools.test",
    "source.image-tools.test",
)


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files of one authority: its own certificate, a server's pair, a client's pair."""

    authority: Path
    server_certificate: Path
    server_key: Path
    client_certificate: Path
    client_key: Path

    def client_context(self, *, with_client: bool = False) -> ssl.SSLContext:
        """Give a context that trusts this authority alone, with the client pair on request."""
        context = ssl.create_default_context(cafile=str(self.authority))
        if with_client:
            context.load_cert_chain(self.client_certificate, self.client_key)
        return context

    def server_context(self) -> ssl.SSLContext:
        """Give the context of a server that shows the server certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server_certificate, self.server_key)
        return context


def issue_certificates(folder: Path, names: tuple[str, ...] = SERVER_NAMES) -> Certificates:
    """Write a new authority and its two pairs into ``folder`` (made when missing).

    The server's certificate is good for ``names``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA(organization_name="image-tools lab")
    authority.cert_pem.write_to_path(folder / "ca.crt")
    server = authority.issue_cert(*names)
    _write_pair(server, folder / "server.crt", folder / "server.key")
    client = authority.issue_cert("client@image-tools.test", common_name="lab client")
    _write_pair(client, folder / "client.cert", folder / "client.key")
    return Certificates(
        folder / "ca.crt",
        folder / "server.crt",
        folder / "server.key",
        folder / "client.cert",
        folder / "client.key",
    )


def _write_pair(leaf: trustme.LeafCert, certificate: Path, key: Path) -> None:
    certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(key)
    key.chmod(0o600)
