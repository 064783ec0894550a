"""What lies beside an image, found at its source and laid beside it, between stores in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any, cast

import pytest

from image_tools.errors import AccessDenied, InvalidManifest, Unavailable
from image_tools.exchange.ledger import Ledger
from image_tools.exchange.sessions import TrackedStore
from image_tools.imagelist.entry import Entry
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.oci.reference import Reference
from image_tools.plan.inputs import ChildManifest
from image_tools.plan.referrers import FoundReferrers, Referrer, cosign_tags
from image_tools.run.endpoints import Destination
from image_tools.run.job import Job
from image_tools.run.reader import Reader, Repository
from image_tools.run.referrers import ReferrerFinder
from image_tools.run.tools.referrers import ReferrerCopier
from image_tools.run.tools.signer import is_signed
from image_tools.tools.skopeo import SIMPLE_SIGNING
from tests.helpers.descriptors import index
from tests.helpers.memory_store import MemoryStore

REPOSITORY = "team/app"
SUBJECT = Digest.of(b"subject")
TAG = dict(cosign_tags(SUBJECT))["signature"]


def manifest(name: str, subject: Digest | None = None, *layers: bytes) -> RawManifest:
    entry = {"mediaType": "x", "digest": str(Digest.of(name.encode())), "size": 1}
    found: dict[str, Any] = {
        "schemaVersion": 2,
        "config": entry,
        "layers": [_signed(layer) for layer in layers],
    }
    if subject is not None:
        found["subject"] = {"mediaType": "x", "digest": str(subject), "size": 1}
    return RawManifest(media.OCI_MANIFEST, json.dumps(found).encode())


def _signed(payload: bytes) -> dict[str, Any]:
    digest = str(Digest.of(payload))
    return {"mediaType": SIMPLE_SIGNING, "digest": digest, "size": len(payload)}


class Lab:
    """Two stores, a job between them, and a copier that moves manifests alone."""

    def __init__(self, *, overwrite: bool = False) -> None:
        self.source, self.destination = MemoryStore("src.example"), MemoryStore("dst.example")
        tracked = TrackedStore(self.destination, Ledger())
        source, destination = (
            Reference(store.name, REPOSITORY, "1") for store in (self.source, self.destination)
        )
        self.job = Job(
            entry=Entry(number=1, line=1, raw="raw", source=source, destination=destination),
            source=Repository(self.source, REPOSITORY),
            end=Destination(tracked, cast(Any, None)),
        )
        self.copied: list[str] = []
        self.reader = Reader()
        self.finder = ReferrerFinder(self.reader)
        self.copier = ReferrerCopier(
            self.reader, cast(Any, self), cast(Any, self), overwrite=overwrite
        )

    async def copy(self, job: Job, child: ChildManifest, ending: str, *, is_referrer: bool) -> None:
        assert is_referrer
        self.copied.append(ending)
        reference = ending[1:] if ending[0] == ":" else child.digest
        await self.destination.put_manifest(REPOSITORY, reference, child.raw)

    async def exactly(self, job: Job, raw: RawManifest, tag: str | None) -> None:
        self.copied.append(f"@{raw.digest}" if tag is None else f":{tag}")
        await self.destination.put_manifest(REPOSITORY, tag or raw.digest, raw)

    async def publish(self, *_what: object) -> None:
        """Take up the list of referrers, which a test may want to be written."""

    def find(self, *subjects: Digest) -> FoundReferrers:
        return asyncio.run(self.finder.find(self.job, subjects or (SUBJECT,)))

    def bring(self, referrers: Iterable[Referrer]) -> tuple[str, ...]:
        return asyncio.run(self.copier.bring(self.job, tuple(referrers)))

    def sign(self, store: MemoryStore, *payloads: bytes) -> RawManifest:
        made = manifest("signature", None, *payloads)
        store.add_manifest(REPOSITORY, made, TAG)
        return made


def test_find_sees_tags_referrers_and_what_refers_to_those() -> None:
    lab = Lab()
    signature = lab.sign(lab.source, b"one")
    sbom = manifest("sbom", SUBJECT)
    about = manifest("about", sbom.digest)
    for raw in (sbom, about):
        lab.source.add_manifest(REPOSITORY, raw)

    found = lab.find()

    assert found == FoundReferrers(
        (
            Referrer(subject=SUBJECT, descriptor=signature.descriptor, kind="signature", tag=TAG),
            Referrer(subject=SUBJECT, descriptor=sbom.descriptor, kind=media.OCI_MANIFEST),
            Referrer(subject=sbom.digest, descriptor=about.descriptor, kind=media.OCI_MANIFEST),
        )
    )


def test_find_a_registry_that_does_not_answer_is_a_warning() -> None:
    lab = Lab()
    lab.source.fail("referrers", lambda: Unavailable("no answer"), times=2)

    found = lab.find(SUBJECT, Digest.of(b"other"))

    assert found == FoundReferrers(warnings=("cannot look up signatures: no answer",))


def test_find_asks_about_each_subject_once() -> None:
    lab = Lab()
    both, first, second = (manifest(name, SUBJECT) for name in ("both", "first", "second"))
    signed = {SUBJECT: (first, second), first.digest: (both,), second.digest: (both, first)}
    asked: list[Digest] = []

    async def referrers(_repository: str, subject: Digest) -> tuple[Descriptor, ...]:
        asked.append(subject)
        return tuple(raw.descriptor for raw in signed.get(subject, ()))

    lab.source.referrers = referrers  # type: ignore[method-assign]

    found = lab.find()

    assert asked == [SUBJECT, first.digest, second.digest, both.digest]
    assert len(found.referrers) == 5


@pytest.mark.parametrize(
    ("there", "overwrite", "copies", "warned"),
    [
        ((), False, True, False),
        ((b"one",), False, False, False),
        ((b"one", b"more"), False, False, False),
        ((b"own",), False, False, True),
        ((b"own",), True, True, False),
    ],
)
def test_bring_keeps_what_the_destination_alone_has(
    there: tuple[bytes, ...], overwrite: bool, copies: bool, warned: bool
) -> None:
    lab = Lab(overwrite=overwrite)
    lab.sign(lab.source, b"one")
    if there:
        lab.sign(lab.destination, *there)

    said = lab.bring(lab.find().referrers)

    assert (lab.copied, bool(said)) == ([f":{TAG}"] if copies else [], warned)


def test_bring_adds_the_signatures_the_source_has_got_since() -> None:
    lab = Lab()
    wanted = lab.sign(lab.source, b"one", b"two")
    lab.sign(lab.destination, b"one")

    assert lab.bring(lab.find().referrers) == ()
    assert lab.destination.repositories[REPOSITORY].tags[TAG] == wanted.digest


def test_bring_referrers_that_are_there_are_not_copied() -> None:
    lab = Lab()
    old, new = manifest("old", SUBJECT), manifest("new", SUBJECT)
    for raw in (old, new):
        lab.source.add_manifest(REPOSITORY, raw)
    lab.destination.add_manifest(REPOSITORY, old)

    assert lab.bring(lab.find().referrers) == ()
    assert lab.copied == [f"@{new.digest}"]
    assert lab.destination.repositories[REPOSITORY].tags == {}


def knot(store: MemoryStore, levels: int = 4, width: int = 4) -> Referrer:
    """A referrer that is an index of indexes, each of which names the next one `width` times."""
    image = manifest("image")
    store.add_manifest(REPOSITORY, image)
    top = image
    for _ in range(levels):
        top = index(*[top.descriptor] * width)
        store.add_manifest(REPOSITORY, top)
    return Referrer(subject=SUBJECT, descriptor=top.descriptor, kind="sbom")


@pytest.mark.parametrize(("levels", "width"), [(4, 4), (3, 20)])
def test_bring_an_index_carries_each_manifest_in_it_once_and_the_innermost_first(
    levels: int, width: int
) -> None:
    lab = Lab()
    referrer = knot(lab.source, levels, width)

    lab.bring([referrer])

    assert len(lab.copied) == len(set(lab.copied)) == levels + 1
    assert lab.copied[0] == f"@{manifest('image').digest}"
    assert lab.copied[-1] == f"@{referrer.descriptor.digest}"
    assert lab.source.count("manifest") == levels + 1


@pytest.mark.parametrize("tag", ["", TAG])
def test_bring_an_index_beyond_all_bounds_copies_nothing(tag: str) -> None:
    lab = Lab()
    raw = lab.source.repositories[REPOSITORY].manifests[knot(lab.source).descriptor.digest]
    top = index(raw.descriptor)
    lab.source.add_manifest(REPOSITORY, top)

    with pytest.raises(InvalidManifest, match="nested more than 4 deep"):
        lab.bring([Referrer(subject=SUBJECT, descriptor=top.descriptor, kind="sbom", tag=tag)])

    assert lab.copied == []


def test_bring_a_referrer_that_is_only_listed_is_a_warning() -> None:
    lab = Lab()
    lab.source.add_manifest(REPOSITORY, manifest("gone", SUBJECT))
    found = lab.find().referrers
    lab.source.repositories[REPOSITORY].manifests.clear()

    (warning,) = lab.bring(found)

    assert "is listed at the source and is not there" in warning


def test_bring_a_failure_names_the_signature_and_the_way_out() -> None:
    lab = Lab()
    lab.sign(lab.source, b"one")
    lab.destination.fail("put_manifest", lambda: AccessDenied("denied", advice=""))

    with pytest.raises(AccessDenied) as caught:
        lab.bring(lab.find().referrers)

    assert str(caught.value) == (
        f"src.example/team/app:1: its signature about {SUBJECT} could not be copied: denied"
    )
    assert "--remove-signatures" in caught.value.advice


def payload(reference: str) -> bytes:
    identity = {"docker-reference": reference}
    return json.dumps({"critical": {"identity": identity}}).encode()


@pytest.mark.parametrize(
    ("payloads", "due"),
    [
        (None, True),
        ((), True),
        ((payload("src.example/team/app:1"),), True),
        ((b"no JSON", payload("dst.example/team/app:1")), False),
    ],
)
def test_signing_is_due_where_no_signature_is_for_the_destination(
    payloads: tuple[bytes, ...] | None, due: bool
) -> None:
    lab = Lab()
    if payloads is not None:
        lab.sign(lab.destination, *payloads)
        for one in payloads:
            lab.destination.add_blob(REPOSITORY, one)

    assert asyncio.run(is_signed(lab.reader, lab.job, SUBJECT)) is not due
