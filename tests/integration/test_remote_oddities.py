"""The remote store against registries that are right in unusual ways, each a few lines long."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import pytest
from aiohttp import web

from image_tools.errors import AccessDenied, DigestMismatch, Unavailable, UnknownFailure
from image_tools.logins.credentials import Credentials, Keyring
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.retry import RetryPolicy
from image_tools.stores.remote.client import RemoteOptions
from image_tools.stores.remote.registry import Remote
from image_tools.stores.store import ManifestHead
from image_tools.web.connect import Timing
from image_tools.web.tls import TlsChoice
from tests.helpers.images import KINDS

T = TypeVar("T")
Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]
LOGIN = Credentials("user", "secret")
QUICK = RetryPolicy(times=1, delay=0.01)
PLAIN = TlsChoice(verify=False)
CONTENT = KINDS["oci_manifest"](1).top.data
DIGEST = Digest.of(CONTENT)


def ask(
    answering: Answering, action: Callable[[Remote], Awaitable[T]], login: Credentials = LOGIN
) -> T:
    """Give what `action` gives with a store at a registry that answers as `answering` does."""

    async def run() -> T:
        server = web.Server(answering)
        runner = web.ServerRunner(server)
        await runner.setup()
        await (site := web.TCPSite(runner, "127.0.0.1", 0)).start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        options = RemoteOptions(
            policy=QUICK, token_policy=QUICK, tls=PLAIN, timing=Timing(stall=2.0)
        )
        store = Remote(f"127.0.0.1:{port}", Keyring({}, login), options, os.environ)
        try:
            return await action(store)
        finally:
            await store.close()
            await runner.cleanup()

    return asyncio.run(run())


def routes(table: dict[str, dict[str, Any]]) -> Answering:
    """Give the answering of a table `METHOD path`; the ping is answered, all else is 404."""

    async def answering(request: web.Request) -> web.StreamResponse:
        absent = {"status": 200 if request.path == "/v2/" else 404}
        return web.Response(**table.get(f"{request.method} {request.rel_url.path_qs}", absent))

    return answering


HEAD = ManifestHead(DIGEST, media.OCI_MANIFEST, len(CONTENT))


@pytest.mark.parametrize(
    ("on_head", "on_get"),
    [
        pytest.param({"Content-Type": media.OCI_MANIFEST}, {}, id="no-digest"),
        pytest.param({"Docker-Content-Digest": "md5:beef"}, {}, id="strange-digest"),
        pytest.param(None, {"Content-Type": "application/json; charset=utf-8"}, id="no-head"),
    ],
)
def test_manifest_head_that_tells_no_digest_is_computed_from_the_content(
    on_head: dict[str, str] | None, on_get: dict[str, str]
) -> None:
    heads = {"status": 405} if on_head is None else {"headers": on_head}
    content = {"body": CONTENT, "headers": {"Content-Type": media.OCI_MANIFEST, **on_get}}
    table = {"HEAD /v2/a/b/manifests/v1": heads, "GET /v2/a/b/manifests/v1": content}

    assert ask(routes(table), lambda store: store.manifest_head("a/b", "v1")) == HEAD


@pytest.mark.parametrize(("content", "asked"), [(CONTENT, 1), (b"", 0)], ids=["some", "empty"])
def test_blob_size_of_a_gateway_that_says_zero_is_asked_by_content(
    content: bytes, asked: int
) -> None:
    digest, gets = Digest.of(content), []

    async def answering(request: web.Request) -> web.StreamResponse:
        if request.path == "/v2/":
            return web.Response()
        if request.method == "HEAD":
            return web.Response(headers={"Content-Length": "0"})
        gets.append(request.path)
        part = {"Content-Range": f"bytes 0-0/{len(content)}"}
        return web.Response(status=206, body=content[:1], headers=part)

    assert ask(answering, lambda store: store.blob_size("a/b", digest)) == len(content)
    assert len(gets) == asked


PAGE = {"status": 404, "text": "<html>gone", "content_type": "text/html"}
PAGES = {f"{method} /v2/a/b/manifests/v1": PAGE for method in ("HEAD", "GET")}


def test_manifest_head_on_a_page_before_a_registry_is_absence() -> None:
    assert ask(routes(PAGES), lambda store: store.manifest_head("a/b", "v1")) is None


def test_manifest_head_on_a_page_of_a_web_site_is_no_absence() -> None:
    with pytest.raises(Unavailable, match="this is not a registry"):
        ask(
            routes({**PAGES, "GET /v2/": PAGE}),
            lambda store: store.manifest_head("a/b", "v1"),
        )


def test_manifest_with_another_digest_than_told_is_a_mismatch() -> None:
    told = {"Docker-Content-Digest": str(Digest.of(b"other")), "Content-Type": media.OCI_MANIFEST}

    table = {"GET /v2/a/b/manifests/v1": {"body": CONTENT, "headers": told}}

    with pytest.raises(DigestMismatch, match=r"a/b:v1: expected sha256:"):
        ask(routes(table), lambda store: store.manifest("a/b", "v1"))


def test_tags_of_all_pages_are_joined_and_a_page_that_leads_to_itself_ends() -> None:
    def page(names: str, link: str) -> dict[str, Any]:
        return {"text": f'{{"name":"a/b","tags":{names}}}', "headers": {"Link": link}}

    table = {
        "GET /v2/a/b/tags/list": page('["v1"]', '</v2/a/b/tags/list?last=v1&n=1>; rel="next"'),
        "GET /v2/a/b/tags/list?last=v1&n=1": page("null", "<?last=v2>; rel=next"),
        "GET /v2/a/b/tags/list?last=v2": page('["v3"]', '<?last=v2>; rel="next"'),
    }

    with pytest.raises(Unavailable, match="does not end"):
        ask(routes(table), lambda store: store.tags("a/b"))

    table["GET /v2/a/b/tags/list?last=v2"] = page('["v3"]', "")
    assert ask(routes(table), lambda store: store.tags("a/b")) == ("v1", "v3")


def test_upload_location_keeps_its_query_and_only_its_own_server_sees_the_login() -> None:
    seen: list[tuple[str, str, str | None]] = []

    async def answering(request: web.Request) -> web.StreamResponse:
        seen.append((request.method, request.path_qs, request.headers.get("Authorization")))
        if "Authorization" not in request.headers and "elsewhere" not in request.path:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        if request.method == "POST":
            port = request.host.partition(":")[2]
            elsewhere = f"http://localhost:{port}/elsewhere?_state=a%2Fb%3D"
            return web.Response(status=202, headers={"Location": elsewhere})
        await request.read()
        return web.Response(status=201)

    async def send(store: Remote) -> None:
        begun = await store.upload("a/b")
        await begun.put(DIGEST, len(CONTENT), _pieces())

    ask(answering, send)

    digest = str(DIGEST).replace(":", "%3A")
    assert seen[-1] == ("PUT", f"/elsewhere?_state=a%2Fb%3D&digest={digest}", None)
    assert seen[-2][0] == "POST"
    assert seen[-2][2] is not None


def test_blob_redirected_elsewhere_is_read_without_the_login() -> None:
    logins: dict[str, str | None] = {}

    async def answering(request: web.Request) -> web.StreamResponse:
        logins[request.path] = request.headers.get("Authorization")
        if request.path == "/cdn":
            return web.Response(body=CONTENT)
        if "Authorization" not in request.headers:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        port = request.host.partition(":")[2]
        return web.Response(status=307, headers={"Location": f"http://localhost:{port}/cdn"})

    async def read(store: Remote) -> bytes:
        async with store.blob("a/b", DIGEST) as chunks:
            return b"".join([chunk async for chunk in chunks])

    assert ask(answering, read) == CONTENT
    assert logins["/cdn"] is None
    assert logins[f"/v2/a/b/blobs/{DIGEST}"] is not None


def test_blob_size_without_head_is_told_by_the_first_byte() -> None:
    async def answering(request: web.Request) -> web.StreamResponse:
        if request.path == "/v2/":
            return web.Response()
        if request.method == "HEAD":
            return web.Response(status=405)
        headers = {"Content-Range": f"bytes 0-0/{len(CONTENT)}"}
        return web.Response(status=206, body=CONTENT[:1], headers=headers)

    assert ask(answering, lambda store: store.blob_size("a/b", DIGEST)) == len(CONTENT)


def test_upload_refused_early_says_what_the_proxy_said() -> None:
    async def answering(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            return web.Response(status=202, headers={"Location": "/v2/a/b/blobs/uploads/1"})
        if request.method in ("PUT", "PATCH"):
            await request.content.readany()
            return web.Response(status=413, text="<html>413 too large", content_type="text/html")
        return web.Response()

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(2000):
            yield b"x" * 65536
            await asyncio.sleep(0)

    async def send(store: Remote) -> None:
        begun = await store.upload("a/b")
        with pytest.raises(UnknownFailure, match="too large") as caught:
            await begun.put(DIGEST, 2000 * 65536, endless())
        assert caught.value.another_way
        begun = await store.upload("a/b")
        await begun.put(DIGEST, 2000 * 65536, endless())

    with pytest.raises(UnknownFailure, match="too large") as caught:
        ask(answering, send)

    assert not caught.value.temporary


def test_refusal_that_repeats_the_login_is_told_without_it() -> None:
    async def answering(request: web.Request) -> web.StreamResponse:
        said = request.headers.get("Authorization", "")
        if not said:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        errors = [{"code": "DENIED", "message": f"{said} is {LOGIN.username}:{LOGIN.password}"}]
        return web.json_response({"errors": errors}, status=200 if request.path == "/v2/" else 403)

    with pytest.raises(AccessDenied, match=r"DENIED: Basic \*\*\* is user:\*\*\*") as caught:
        ask(answering, lambda store: store.manifest("a/b", "v1"))

    assert LOGIN.password not in caught.value.message


def test_plain_registry_behind_a_proxy_that_knows_no_tls_is_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[str, str, str | None]] = []

    async def proxy(request: web.Request) -> web.StreamResponse:
        login = request.headers.get("Proxy-Authorization")
        seen.append((request.method, request.headers["Host"], login))
        return web.Response(status=403 if request.method == "CONNECT" else 404)

    async def through(store: Remote) -> ManifestHead | None:
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://me:word@{store.name}")
        options = RemoteOptions(policy=QUICK, tls=PLAIN)
        proxied = Remote("registry.example:5000", Keyring({}, LOGIN), options, os.environ)
        try:
            return await proxied.manifest_head("a/b", "v1")
        finally:
            await proxied.close()

    assert ask(proxy, through) is None
    login = "Basic bWU6d29yZA=="
    assert seen == [
        ("CONNECT", "registry.example:5000", login),
        ("GET", "registry.example:5000", login),
        ("HEAD", "registry.example:5000", login),
    ]


async def _pieces() -> AsyncIterator[bytes]:
    yield CONTENT


def test_identity_token_is_not_sent_on_to_where_a_token_server_redirects() -> None:
    seen: list[tuple[str, bytes]] = []

    async def answering(request: web.Request) -> web.StreamResponse:
        if request.path == "/token" and request.method == "POST":
            place = f"http://localhost:{request.url.port}/elsewhere"
            return web.Response(status=307, headers={"Location": place})
        if request.path.startswith("/v2/"):
            realm = f'Bearer realm="http://{request.host}/token"'
            return web.Response(status=401, headers={"WWW-Authenticate": realm})
        seen.append((request.path, await request.read()))
        return web.Response(text='{"token": "stolen"}', content_type="application/json")

    with pytest.raises(Unavailable):
        ask(
            answering,
            lambda store: store.manifest_head("a/b", "v1"),
            Credentials("", "", "identity"),
        )

    assert seen == []
