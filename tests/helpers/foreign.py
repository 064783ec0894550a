"""Archives as other programs write them, made of bytes: what docker save and the predecessor do."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import zstandard

from tests.helpers.content import Image

Files = Mapping[str, bytes]
PACKED = {
    ".tar": bytes,
    ".tar.gz": lambda data: gzip.compress(data, 1, mtime=0),
    ".tar.zst": lambda data: zstandard.ZstdCompressor().compress(data),
}
LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'
REF_NAME = "org.opencontainers.image.ref.name"
IMAGE_NAME = "io.containerd.image.name"


def hex_of(data: bytes) -> str:
    """Give the sha256 of bytes in hex."""
    return hashlib.sha256(data).hexdigest()


def compact(value: object) -> bytes:
    """Give the shortest JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Odd:
    """A tar entry that is no plain file: its type, where it leads, its size where that lies."""

    kind: bytes
    target: str = ""
    size: int = 0


def tar(entries: Iterable[tuple[str, bytes | Odd]], *, end: bool = True) -> bytes:
    """Give a tar with these entries, whatever they are called and however often."""
    found = io.BytesIO()
    for name, content in entries:
        info = tarfile.TarInfo(name)
        info.size = content.size if isinstance(content, Odd) else len(content)
        data = b"" if isinstance(content, Odd) else content
        if isinstance(content, Odd):
            info.type, info.linkname = content.kind, content.target
        found.write(info.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % 512))
    return found.getvalue() + (bytes(1024) if end else b"")


def write(path: Path, files: Files) -> Path:
    """Write files as a folder, or as a tar by the ending of the name; the path."""
    ending = next((end for end in PACKED if path.name.endswith(end)), None)
    if ending is not None:
        path.write_bytes(PACKED[ending](tar(files.items())))
        return path
    for name, content in files.items():
        place = path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return path


def layout(*images: tuple[Image, Mapping[str, str] | None]) -> dict[str, bytes]:
    """Give an image layout of images with their annotations."""
    entries, blobs = [], dict[str, bytes]()
    for image, said in images:
        top = image.top
        entry = {"mediaType": top.media_type, "digest": top.digest, "size": len(top.data)}
        entries.append(entry | ({"annotations": said} if said else {}))
        for data in (*(b.data for b in image.blobs), *(m.data for m in image.manifests)):
            blobs[f"blobs/sha256/{hex_of(data)}"] = data
    index = {"schemaVersion": 2, "manifests": entries}
    return {"oci-layout": LAYOUT, "index.json": compact(index), **blobs}


def docker_save(*images: tuple[list[str] | None, list[bytes]], packed: bool = False) -> Files:
    """Give what docker save writes of images: their tags and the tars of their layers.

    As before Docker 25; with `packed` layers in gzip, as crane writes them.
    """
    files, listed = dict[str, bytes](), []
    for tags, layers in images:
        diffs = [f"sha256:{hex_of(layer)}" for layer in layers]
        config = compact(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": diffs},
            }
        )
        names = []
        for layer in layers:
            data = gzip.compress(layer, 1, mtime=0) if packed else layer
            names.append(f"{hex_of(data)}/layer.tar")
            files[names[-1]] = data
        files[f"{hex_of(config)}.json"] = config
        listed.append({"Config": f"{hex_of(config)}.json", "RepoTags": tags, "Layers": names})
    return {**files, "manifest.json": compact(listed)}


def docker_save_25(files: Files) -> dict[str, bytes]:
    """Give the same with the blobs of Docker 25: an image layout beside manifest.json."""
    found, entries, listed = dict[str, bytes](), [], []
    for image in json.loads(files["manifest.json"]):
        layers = [files[name] for name in image["Layers"]]
        config = files[image["Config"]]
        manifest = compact(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": _described("application/vnd.oci.image.config.v1+json", config),
                "layers": [
                    _described("application/vnd.oci.image.layer.v1.tar", layer) for layer in layers
                ],
            }
        )
        found |= {f"blobs/sha256/{hex_of(data)}": data for data in (*layers, config, manifest)}
        for name in image["RepoTags"] or [None]:
            entry = _described("application/vnd.oci.image.manifest.v1+json", manifest)
            if name:
                tag = name.rpartition(":")[2]
                entry["annotations"] = {IMAGE_NAME: f"docker.io/{name}", REF_NAME: tag}
            entries.append(entry)
        listed.append(
            {
                "Config": f"blobs/sha256/{hex_of(config)}",
                "RepoTags": image["RepoTags"],
                "Layers": [f"blobs/sha256/{hex_of(layer)}" for layer in layers],
            }
        )
    return {
        **found,
        "index.json": compact({"schemaVersion": 2, "manifests": entries}),
        "manifest.json": compact(listed),
        "oci-layout": LAYOUT,
    }


def _described(media_type: str, data: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": f"sha256:{hex_of(data)}", "size": len(data)}


def predecessor(
    *images: tuple[str, str, Image], top: str = "saved-image-cache/", shared: bool = True
) -> dict[str, bytes]:
    """Give what the predecessor saved: source, tag and an index of each image.

    With `shared` the layouts of 1.3 to 1.6, else those of 1.0 to 1.2.
    """
    files, listed = dict[str, bytes](), []
    for source, tag, image in images:
        blobs = {f"sha256:{hex_of(blob.data)}": blob.data for blob in image.blobs}
        stated = []
        for entry in image.leaves:
            folder = hex_of(f"{source}:{tag}{entry.digest}".encode())
            where = entry.true_platform or {}
            manifest = image.find(entry.digest).data
            value = json.loads(manifest)
            parts = [value["config"]["digest"], *(one["digest"] for one in value["layers"])]
            if shared:
                files |= {f"share/sha256/{d.removeprefix('sha256:')}": blobs[d] for d in parts}
                files[f"share/sha256/{hex_of(manifest)}"] = manifest
                index = {"schemaVersion": 2, "manifests": [entry.descriptor()]}
                files |= {f"{folder}/index.json": compact(index), f"{folder}/oci-layout": LAYOUT}
            else:
                files |= {f"{folder}/{d.removeprefix('sha256:')}": blobs[d] for d in parts}
                files |= {f"{folder}/manifest.json": manifest, f"{folder}/version": b"1.1\n"}
            one = {"Arch": where.get("architecture"), "OS": where.get("os"), "Folder": folder}
            stated.append({**one, "Variant": where.get("variant", ""), "Digest": entry.digest})
        arches = [image["Arch"] for image in stated]
        listed.append({"Source": source, "Tag": tag, "ArchList": arches, "Images": stated})
    document = {"List": listed, "Version": "v1.1.0" if shared else "1.0.0", "SavedTime": "x"}
    files["saved-images-list.json"] = compact(document)
    return {f"{top}{name}": content for name, content in files.items()}
