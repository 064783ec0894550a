"""Every kind of image a registry may hold, as functions from a seed to an `Image`."""

from __future__ import annotations

import dataclasses
import gzip
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from tests.helpers.content import Entry, Image, compact
from tests.helpers.schema1 import schema1_image
from tests.helpers.studio import Format, Layer, Studio, index_value, platform

AMD64 = platform("linux/amd64")
ARM64 = platform("linux/arm64")
ARM64_V8 = platform("linux/arm64/v8")
ARM_V6 = platform("linux/arm/v6")
ARM_V7 = platform("linux/arm/v7")
S390X = platform("linux/s390x")
WINDOWS_2019 = platform("windows/amd64", os_version="10.0.17763.5329")
WINDOWS_2022 = platform("windows/amd64", os_version="10.0.20348.2227", os_features=["win32k"])

HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
HELM_CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"
# The gzip bytes every Docker engine writes for a layer without files (sha256:a3ed95ca...).
EMPTY_LAYER = bytes.fromhex("1f8b080000096e8800ff621805a360148c5800080000ffff2eafb5ef00040000")


def docker_schema2(seed: int) -> Image:
    """Give a single Docker manifest for linux/amd64."""
    return _single("docker_schema2", seed, Format.DOCKER)


def oci_manifest(seed: int) -> Image:
    """Give a single OCI manifest for linux/amd64."""
    return _single("oci_manifest", seed, Format.OCI)


def _single(kind: str, seed: int, form: Format) -> Image:
    studio = Studio(kind, seed, form)
    child = studio.child(AMD64)
    return studio.single(dataclasses.replace(child, platform=None))


def docker_list(seed: int) -> Image:
    """Give a Docker manifest list with amd64, arm64/v8, arm/v7 and s390x."""
    studio = Studio("docker_list", seed, Format.DOCKER)
    return studio.index([studio.child(where) for where in (AMD64, ARM64_V8, ARM_V7, S390X)])


def oci_index(seed: int) -> Image:
    """Give an OCI index (media type field present) with amd64, arm64, arm/v7 and s390x."""
    studio = Studio("oci_index", seed)
    return studio.index([studio.child(where) for where in (AMD64, ARM64, ARM_V7, S390X)])


def oci_index_untyped(seed: int) -> Image:
    """Give an OCI index without the optional ``mediaType`` field."""
    studio = Studio("oci_index_untyped", seed)
    entries = [studio.child(where) for where in (AMD64, ARM64)]
    value = index_value(entries, studio.types.index)
    del value["mediaType"]
    return studio.raw_index(value, entries)


def nested_index(seed: int) -> Image:
    """Give an index that lists amd64 and another index with arm64 and arm/v7."""
    studio = Studio("nested_index", seed)
    inner = studio.nested([studio.child(ARM64), studio.child(ARM_V7)])
    return studio.index([studio.child(AMD64), inner])


def no_platform(seed: int) -> Image:
    """Give an index whose entries have no ``platform``: only the configs tell it."""
    studio = Studio("no_platform", seed)
    found = [studio.child(where) for where in (AMD64, ARM64, S390X)]
    return studio.index([dataclasses.replace(entry, platform=None) for entry in found])


def duplicate_digests(seed: int) -> Image:
    """Give an index that lists one manifest for two platforms."""
    studio = Studio("duplicate_digests", seed, Format.OCI)
    shared = studio.child(AMD64)
    again = dataclasses.replace(shared, platform=ARM64)
    return studio.index([shared, again, studio.child(ARM_V7)])


def windows(seed: int) -> Image:
    """Give a list with linux/amd64 and two windows/amd64 entries that differ by os.version."""
    studio = Studio("windows", seed, Format.DOCKER)
    return studio.index([studio.child(where) for where in (AMD64, WINDOWS_2019, WINDOWS_2022)])


def arm_variants(seed: int) -> Image:
    """Give an index with arm/v6, arm/v7 and arm64 without a variant."""
    studio = Studio("arm_variants", seed)
    return studio.index([studio.child(where) for where in (ARM_V6, ARM_V7, ARM64)])


def arm_variants_v8(seed: int) -> Image:
    """Give a list with arm/v6, arm/v7 and arm64 written with its variant v8."""
    studio = Studio("arm_variants_v8", seed, Format.DOCKER)
    return studio.index([studio.child(where) for where in (ARM_V6, ARM_V7, ARM64_V8)])


def attestations(seed: int) -> Image:
    """Give a BuildKit index: three platforms, then one attestation for each."""
    studio = Studio("attestations", seed)
    found = [studio.child(where) for where in (AMD64, ARM64, S390X)]
    return studio.index([*found, *(studio.attestation(entry.digest) for entry in found)])


def orphan_attestation(seed: int) -> Image:
    """Give an index with one true attestation and one about a manifest that is not listed."""
    studio = Studio("orphan_attestation", seed)
    found = [studio.child(where) for where in (AMD64, ARM64)]
    missing = "sha256:" + f"{seed:064x}"
    return studio.index([*found, studio.attestation(found[0].digest), studio.attestation(missing)])


def index_annotations(seed: int) -> Image:
    """Give an index with annotations of its own."""
    studio = Studio("index_annotations", seed)
    notes = {"org.opencontainers.image.version": "1.0", "org.lab.note": 'with "quotes" and é'}
    return studio.index([studio.child(AMD64), studio.child(ARM64)], annotations=notes)


def entry_annotations(seed: int) -> Image:
    """Give an index whose entries carry annotations."""
    studio = Studio("entry_annotations", seed)
    return studio.index([_noted(studio.child(where)) for where in (AMD64, ARM64)])


def _noted(entry: Entry) -> Entry:
    where = entry.platform or {}
    return dataclasses.replace(entry, annotations={"org.lab.for": str(where["architecture"])})


def odd_indent(seed: int) -> Image:
    """Give an index written with seven blanks of indent and its fields in odd order."""
    studio = Studio("odd_indent", seed)
    entries = [studio.child(where) for where in (AMD64, ARM64)]
    value = index_value(entries, studio.types.index)
    return studio.raw_index(dict(reversed(value.items())), entries, indent=7)


def plain_layers(seed: int) -> Image:
    """Give an OCI index whose layers are tars without compression."""
    return _plain("plain_layers", seed, Format.OCI)


def docker_plain_layers(seed: int) -> Image:
    """Give a Docker list whose layers are tars without compression."""
    return _plain("docker_plain_layers", seed, Format.DOCKER)


def _plain(kind: str, seed: int, form: Format) -> Image:
    studio = Studio(kind, seed, form)
    return studio.index([_plain_child(studio, where) for where in (AMD64, ARM64)])


def _plain_child(studio: Studio, where: Mapping[str, object]) -> Entry:
    name = f"{studio.kind}-{studio.seed}-{where['architecture']}"
    return studio.child(where, [studio.layer(name, 3000, compressed=False)])


def helm_chart(seed: int) -> Image:
    """Give an artifact manifest as Helm pushes it."""
    studio = Studio("helm_chart", seed)
    config = studio.blob(compact({"name": f"chart-{seed}", "version": "1.0.0", "apiVersion": "v2"}))
    chart = studio.layer(f"chart-{seed}", 2000)
    layers = [dataclasses.replace(chart, media_type=HELM_CHART)]
    return studio.single(studio.entry(studio.image_manifest(config, layers, HELM_CONFIG), None))


def empty_config_artifact(seed: int) -> Image:
    """Give an OCI 1.1 artifact: ``artifactType`` and the two-byte empty config."""
    studio = Studio("empty_config_artifact", seed)
    config = studio.blob(b"{}")
    layer = Layer(studio.blob(f"artifact {seed}".encode()), "text/plain", "")
    more = {"artifactType": "application/vnd.lab.note"}
    manifest = studio.image_manifest(config, [layer], EMPTY_CONFIG, **more)
    return studio.single(studio.entry(manifest, None))


def shared_base(seed: int, base: int = 0, sizes: Sequence[int] = (60_000, 20_000)) -> Image:
    """Give an index whose children share their lower layers with every image of this ``base``."""
    studio = Studio("shared_base", seed)
    return studio.index([_on_base(studio, where, base, sizes) for where in (AMD64, ARM64)])


def _on_base(studio: Studio, where: Mapping[str, object], base: int, sizes: Sequence[int]) -> Entry:
    below = f"base-{base}-{where['architecture']}"
    layers = [studio.layer(f"{below}-{at}", size) for at, size in enumerate(sizes)]
    return studio.child(where, [*layers, *studio.own_layers(str(where["architecture"]))])


def empty_layers(seed: int) -> Image:
    """Give a list whose children hold Docker's empty layer, twice, around a real one."""
    studio = Studio("empty_layers", seed, Format.DOCKER)
    return studio.index([_with_empty(studio, where) for where in (AMD64, ARM64)])


def _with_empty(studio: Studio, where: Mapping[str, object]) -> Entry:
    diff = Studio("", 0).blob(gzip.decompress(EMPTY_LAYER)).digest
    empty = Layer(studio.blob(EMPTY_LAYER), studio.types.layer, diff)
    real = studio.layer(f"real-{studio.seed}-{where['architecture']}", 1500)
    return studio.child(where, [empty, real, empty])


def no_layers(seed: int) -> Image:
    """Give an index whose one child has no layers at all."""
    studio = Studio("no_layers", seed)
    return studio.index([studio.child(AMD64, [])])


def windows_only(seed: int) -> Image:
    """Give a list without any linux platform."""
    studio = Studio("windows_only", seed, Format.DOCKER)
    return studio.index([studio.child(WINDOWS_2019), studio.child(WINDOWS_2022)])


def mixed_children(seed: int) -> Image:
    """Give an OCI index with one OCI and one Docker child."""
    studio = Studio("mixed_children", seed)
    first = studio.child(AMD64)
    studio.form = Format.DOCKER
    second = studio.child(ARM64)
    studio.form = Format.OCI
    return studio.index([first, second])


KINDS: dict[str, Callable[[int], Image]] = {
    "schema1_signed": partial(schema1_image, "schema1_signed", signed=True),
    "schema1_unsigned": partial(schema1_image, "schema1_unsigned", signed=False),
    **{
        kind.__name__: kind
        for kind in (
            docker_schema2,
            docker_list,
            oci_manifest,
            oci_index,
            oci_index_untyped,
            nested_index,
            no_platform,
            duplicate_digests,
            windows,
            windows_only,
            arm_variants,
            arm_variants_v8,
            attestations,
            orphan_attestation,
            index_annotations,
            entry_annotations,
            odd_indent,
            plain_layers,
            docker_plain_layers,
            mixed_children,
            helm_chart,
            empty_config_artifact,
            shared_base,
            empty_layers,
            no_layers,
        )
    },
}

# docker-registry 2.8 knows no unsigned schema 1: only the registry double serves that kind.
REGISTRY_KINDS: tuple[str, ...] = tuple(kind for kind in KINDS if kind != "schema1_unsigned")
