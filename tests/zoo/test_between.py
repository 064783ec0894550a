"""Redirects to other hosts, and the proxies on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_tools.oci.digest import Digest
from tests.helpers import images
from tests.helpers.endpoint import LAB_LOGIN
from tests.helpers.proxy import Proxy
from tests.helpers.running import mirror
from tests.zoo.behaviour import UPLOADS, Behaviour
from tests.zoo.between import (
    BlobsRedirected,
    Proxy407,
    ProxyPage,
    RedirectsWrites,
    redirects_manifests,
)
from tests.zoo.pushing import SinglePutRefused
from tests.zoo.registry import ZooRegistry
from tests.zoo.sample import sample
from tests.zoo.tokens import AsksForLogin, AsksForTokens
from tests.zoo.trip import LOGIN, NAME, ONE, SMALL, TAG, Trip, ask, filled, log_in, send

REDIRECTS = (301, 302, 303, 307, 308)


@pytest.mark.parametrize("depth", ["tree", "content"])
def test_validation_of_blobs_whose_heads_are_not_signed_passes(
    depth: str, tmp_path: Path, clean_environment: Path
) -> None:
    far, near = BlobsRedirected(), BlobsRedirected()
    with ZooRegistry(far, AsksForTokens()) as source, ZooRegistry(near) as destination:
        log_in(clean_environment, source)
        trip = Trip(source=filled(source), destination=filled(destination), folder=tmp_path)
        ran = trip.validate(depth)

    assert ran.statuses == ["passed"], ran.stderr
    assert far.storage.credentials_seen() <= {None}


def test_blob_size_behind_an_address_signed_for_get_is_asked_with_get() -> None:
    redirected = BlobsRedirected()
    blob = SMALL.blobs[0]
    with ZooRegistry(redirected, AsksForLogin()) as registry:
        filled(registry)
        size = ask(registry, lambda store: store.blob_size(NAME, Digest.parse(blob.digest)), LOGIN)
        asked = [seen.headers.get("Range") for seen in redirected.storage.asked("GET", "blobs")]

    assert (size, asked) == (len(blob.data), ["bytes=0-0"])
    assert redirected.storage.credentials_seen() == {None}


@pytest.mark.parametrize("guard", [AsksForLogin, AsksForTokens])
@pytest.mark.parametrize("status", sample(REDIRECTS, 301, 308))
def test_upload_that_is_redirected_keeps_method_and_body(
    status: int, guard: type[Behaviour], tmp_path: Path, clean_environment: Path
) -> None:
    gateway = RedirectsWrites(status)
    with ZooRegistry() as source, ZooRegistry(guard(), gateway) as destination:
        log_in(clean_environment, destination)
        trip = Trip(source=filled(source), destination=destination, folder=tmp_path)
        ran = trip.mirror()

    assert ran.statuses == ["copied"], ran.stderr
    assert gateway.backend.credentials_seen() == {None}
    assert gateway.backend.put_blobs() == len(SMALL.blobs)


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
@pytest.mark.parametrize("status", [302, 307, 308])
def test_single_step_of_an_upload_that_is_redirected_arrives(status: int, method: str) -> None:
    gateway = RedirectsWrites(status, methods=(method,))
    # Without a single PUT the blob is sent with PATCH.
    habits: tuple[Behaviour, ...] = (SinglePutRefused(),) if method == "PATCH" else ()
    data = b"blob" * 1000
    with ZooRegistry(AsksForLogin(), gateway, *habits) as registry:
        ask(registry, lambda store: send(store, data), LOGIN)
        found = registry.store.blob(NAME, str(Digest.of(data)))

    assert found == data
    assert gateway.backend.credentials_seen() == {None}


@pytest.mark.parametrize("status", sample(REDIRECTS, 303, 307))
def test_manifests_that_are_redirected_are_read_and_written(
    status: int, tmp_path: Path, clean_environment: Path
) -> None:
    gateway = redirects_manifests(status)
    with ZooRegistry() as source, ZooRegistry(AsksForTokens(), gateway) as destination:
        log_in(clean_environment, destination)
        source.load(NAME, TAG, images.oci_index(1))
        trip = Trip(source=source, destination=destination, folder=tmp_path)
        ran = trip.mirror()
        again = trip.mirror()

    assert (ran.statuses, again.statuses) == (["copied"], ["unchanged"]), ran.stderr
    assert gateway.backend.credentials_seen() == {None}


# --- proxies


@pytest.mark.parametrize("side", ["source", "destination"])
@pytest.mark.parametrize("proxy", [Proxy407, ProxyPage])
def test_answer_of_a_proxy_is_reported_as_the_proxys(
    proxy: type[Behaviour], side: str, tmp_path: Path
) -> None:
    ends: dict[str, tuple[Behaviour, ...]] = {"source": (), "destination": (), side: (proxy(),)}
    with (
        ZooRegistry(*ends["source"]) as source,
        ZooRegistry(*ends["destination"]) as destination,
    ):
        ran = Trip(source=filled(source), destination=destination, folder=tmp_path).mirror()
        guarded = source if side == "source" else destination
        heads = len(guarded.asked("HEAD", "manifests"))

    assert (ran.code, ran.only()["kind"]) == (1, "proxy-refused")
    assert "proxy" in ran.only()["reason"]
    assert heads == 1


@pytest.mark.parametrize("proxy", [Proxy407, ProxyPage])
def test_proxy_that_refuses_uploads_alone_is_reported_as_the_proxy(
    proxy: type[Behaviour], tmp_path: Path
) -> None:
    behaviour = proxy(what=(UPLOADS,))  # type: ignore[call-arg]
    with ZooRegistry() as source, ZooRegistry(behaviour) as destination:
        ran = Trip(source=filled(source), destination=destination, folder=tmp_path).mirror()

    assert (ran.code, ran.only()["kind"]) == (1, "proxy-refused")


def test_proxy_page_for_the_greeting_is_reported_as_the_proxys(tmp_path: Path) -> None:
    with ZooRegistry() as source, ZooRegistry(ProxyPage(what=("ping",))) as destination:
        ran = Trip(source=filled(source), destination=destination, folder=tmp_path).mirror()

    assert (ran.code, ran.only()["kind"]) == (1, "proxy-refused")


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "HTTP_PROXY"])
def test_proxy_that_wants_a_login_is_reported_and_asked_once(variable: str, tmp_path: Path) -> None:
    """A tunnel over TLS is refused as a plain request is: for good."""
    with Proxy(LAB_LOGIN) as proxy, ZooRegistry() as destination:
        environ = {variable: f"http://{proxy.url.rpartition('@')[2]}"}
        plain = ("--src-tls-verify=false",) if variable == "HTTP_PROXY" else ()
        words = ("-d", destination.address, "--retry-times", "3", *plain)
        ran = mirror(tmp_path, f"registry.image-tools.test:5000/{ONE}\n", *words, environ=environ)
        refused = [passed.status for passed in proxy.passed]

    assert (ran.code, ran.only()["kind"]) == (1, "proxy-refused"), ran.only()
    assert refused == [407]


@pytest.mark.parametrize("proxy", [Proxy407, ProxyPage])
def test_proxy_before_the_token_server_is_reported_as_the_proxys(
    proxy: type[Behaviour], tmp_path: Path, clean_environment: Path
) -> None:
    """Its refusal says nothing of the login."""
    with ZooRegistry(proxy(what=("token",)), AsksForTokens()) as source, ZooRegistry() as there:
        log_in(clean_environment, source)
        ran = Trip(source=filled(source), destination=there, folder=tmp_path).mirror()

    assert ran.only()["kind"] == "proxy-refused", ran.stderr
