"""Hosts and URLs of registries and their content, without any I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

from yarl import URL

from image_tools.errors import TlsProblem, Unavailable
from image_tools.oci.digest import Digest
from image_tools.oci.reference import DOCKER_HUB

DOCKER_HUB_API = "registry-1.docker.io"
# yarl raises these for text that is not a URL; 1.22 raises IndexError for "//[]@".
NO_URL = (ValueError, IndexError)
_PRINTABLE = "".join(map(chr, range(ord("!"), ord("~") + 1)))
_LABEL = r"[A-Za-z0-9_-]{1,63}"
_HOST = re.compile(rf"(?=.{{1,254}}$){_LABEL}(?:\.{_LABEL})*\.?|(?=.*:)[0-9A-Fa-f:.]{{2,45}}")
# RFC 8288 section 3: a target in angle brackets, then parameters, whose values may be quoted.
_LINK = re.compile(r"""<(?P<target>[^<>]*)>(?P<parameters>(?:[^,"<]|"(?:[^"\\]|\\.)*")*)""")
_PARAMETER = re.compile(
    r"""\s*;\s*(?P<name>[^\s=;,"]+)\*?(?:\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s;,"]*)))?"""
)


def api_host(registry: str) -> str:
    """Return the `host[:port]` that answers for `registry`; docker.io has another one."""
    return DOCKER_HUB_API if registry == DOCKER_HUB else registry


def root_url(registry: str, scheme: str) -> URL:
    """Return `scheme://host[:port]` of a registry."""
    return URL(f"{scheme}://{api_host(registry)}", encoded=True).origin()


def named(registry: str, repository: str, reference: str | Digest | None = None) -> str:
    """Return the name for people: `registry/repository`, followed by `:tag` or `@digest`."""
    if reference is None:
        return f"{registry}/{repository}"
    return f"{registry}/{repository}{'@' if isinstance(reference, Digest) else ':'}{reference}"


def endpoint(root: URL, path: str, **query: str) -> URL:
    """Return the URL of `/v2/<path>` below `root`; the values of `query` are encoded here."""
    pairs = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    return URL(f"{root}/v2/{path}{'?' if pairs else ''}{pairs}", encoded=True)


def registry_of(url: URL) -> str:
    """Return host and port of `url` as people write a registry."""
    host = f"[{url.host}]" if ":" in (url.host or "") else url.host or ""
    return host if url.is_default_port() else f"{host}:{url.port}"


def shown(url: str) -> str:
    """Return `url` as people may see it: without login and query, which may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def same_origin(one: URL, other: URL) -> bool:
    """Return whether both URLs have the same scheme, host and port."""
    return _origin(one) == _origin(other)


def follow(base: URL, location: str, reference: str, *, allows_plain: bool) -> URL:
    """Return the URL in a Location or Link field of an answer from `base`.

    A registry behind a proxy that ends TLS often writes `http://` and its own host: then TLS is
    kept. Raise Unavailable if it is not usable, TlsProblem if it leads from TLS to plain HTTP
    elsewhere.
    """
    target = located(base, location)
    if target is None:
        raise Unavailable(f"{reference}: the registry gives no usable Location")
    host = target.host
    if base.scheme == "https" and target.scheme == "http":
        if host == base.host and (target.is_default_port() or target.port == base.port):
            return URL(f"{base.origin()}{target.raw_path_qs}", encoded=True)
        if not allows_plain:
            raise TlsProblem(
                f"{reference}: {base.host} sends us from TLS to plain HTTP at {host}",
                advice="have the registry answer with https, or allow it with --tls-verify=false",
            )
    return target


def located(base: URL, location: str) -> URL | None:
    """Return the URL in a Location field of an answer from `base`, None if it is not usable.

    Other characters than printable ASCII are encoded; the rest stays as the server wrote it.
    """
    try:
        coded = quote(location.encode(errors="surrogateescape"), safe=_PRINTABLE)
        target = base.join(URL(coded, encoded=True)).with_fragment(None)
        return target if location and is_usable(target) else None
    except NO_URL:
        return None


def is_usable(url: URL) -> bool:
    """Return whether `url` is one of HTTP with a possible host and port; ValueError for some."""
    if url.scheme not in ("http", "https") or not url.host or not url.port:
        return False
    return _HOST.fullmatch(url.raw_host or "") is not None


def with_digest(location: URL, digest: Digest) -> URL:
    """Return the URL that closes an upload; its own query is kept (distribution spec)."""
    between = "&" if location.raw_query_string else "?"
    return URL(f"{location}{between}digest={quote(str(digest), safe='')}", encoded=True)


def _origin(url: URL) -> tuple[str, str, int | None]:
    return url.scheme, (url.host or "").lower(), url.port


def next_page(links: Iterable[str]) -> str | None:
    """Return the target of the first `rel="next"` in Link fields (RFC 8288), None without one."""
    for link in links:
        for found in _LINK.finditer(link):
            if "next" in _relations(found["parameters"]):
                return found["target"]
    return None


def _relations(parameters: str) -> list[str]:
    """Return the relation types of one link, in lower case; only its first `rel` counts."""
    for found in _PARAMETER.finditer(parameters):
        if found["name"].lower() == "rel":
            return (found["quoted"] or found["plain"] or "").lower().split()
    return []
