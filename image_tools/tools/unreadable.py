"""Tell what skopeo cannot parse and what buildx must not get, before a tool runs or from its words.

Every rule was measured on skopeo 1.9.3, 1.18.0 and 1.22.0 and on buildx 0.13.1 and 0.29.1.
"""

from __future__ import annotations

import re

from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.manifest import Index, Manifest, Schema1
from image_tools.tools.versions import Version

OLDEST_SKOPEO = Version(1, 6)
# skopeo 1.18 refuses them, 1.22 does not; the versions between are asked.
_READS_ZSTD = Version(1, 19)
_DOCKER_LAYERS = frozenset(
    {
        media.DOCKER_CONFIG,
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    }
)
# A refusal of two meanings ("rejecting ambiguous manifest") protects readers: it is not listed.
_CANNOT_PARSE = re.compile(
    r'unsupported docker v2s2 media type: "[^"]{0,200}"?'
    r"|unsupported schema version \d+"
    r"|unsupported (?:legacy )?manifest (?:MIME )?type\b.{0,200}"
    r"|unimplemented manifest (?:list )?MIME type.{0,200}"
    r"|unsupported image-specific operation on artifact.{0,200}"
    r"|manifest list: update .{1,80} had no media type"
    r"|json: cannot unmarshal .{1,60} into Go .{1,100}",
    re.IGNORECASE,
)


def skopeo_cannot_parse(media_type: str, manifest: Manifest, skopeo: Version) -> str | None:
    """Return what in `manifest`, served as `media_type`, this skopeo cannot parse, else None.

    The answer completes "skopeo cannot parse …". None also means unknown: then skopeo has to try.
    If it is None for `OLDEST_SKOPEO`, it is None for every version.
    """
    if media_type not in media.MANIFESTS:
        return f"manifests of the type {media_type or 'unknown'}"
    if media_type != media.DOCKER_MANIFEST:
        return None
    if manifest.stated_type != media.DOCKER_MANIFEST:
        stated = f'the mediaType "{manifest.stated_type}"' if manifest.stated_type else "mediaType"
        return f"Docker manifests {'with' if manifest.stated_type else 'without'} {stated}"
    odd = (layer.media_type for layer in manifest.layers if layer.media_type not in _DOCKER_LAYERS)
    return next(filter(None, (_odd_layer(layer_type, skopeo) for layer_type in odd)), None)


def cannot_parse(words: str) -> str | None:
    """Return the part of a tool's `words` that says that it cannot parse a manifest, else None."""
    found = _CANNOT_PARSE.search(words)
    return None if found is None else found.group().strip()


def leaves_the_exchange(found: Manifest | Index | Schema1) -> str | None:
    """Return why buildx must not get `found`, which would make it ask other addresses; else None.

    buildx itself fetches what has `urls`: an entry always, a layer that is not in the repository.
    """
    if isinstance(found, Index):
        return "an entry has urls" if _has_urls(*found.entries) else None
    if isinstance(found, Manifest):
        held = (*((found.config,) if found.config is not None else ()), *found.layers)
        return "a layer has urls" if _has_urls(*held) else None
    return None


def buildx_cannot_pass_on(index: Index) -> str | None:
    """Return why buildx cannot push the whole `index` unchanged, None if it can.

    If it does not know the type of an entry, it asks for a blob with the digest of the entry.
    """
    known = media.MANIFESTS | media.INDEXES
    odd = next((e.media_type for e in index.entries if e.media_type not in known), None)
    return None if odd is None else f"an entry has the type {odd or 'unknown'}"


def _odd_layer(layer_type: str, skopeo: Version) -> str | None:
    if layer_type == media.DOCKER_ZSTD_LAYER:
        is_new = not skopeo.is_known or skopeo >= _READS_ZSTD
        return None if is_new else "Docker manifests with zstd layers"
    return f"Docker manifests with layers of the type {layer_type or 'unknown'}"


def _has_urls(*descriptors: Descriptor) -> bool:
    return any(descriptor.fields.get("urls") for descriptor in descriptors)
