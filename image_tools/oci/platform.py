"""Platforms: operating system, architecture, variant (OCI image spec image-index.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from image_tools.errors import InvalidPlatform

_WORD = re.compile(r"[A-Za-z0-9_.-]+")
_DEFAULT_VARIANT = {"arm64": "v8", "aarch64": "v8", "arm": "v7", "armhf": "v7", "armel": "v6"}
_BARE_VARIANT = re.compile(r"[5-9]")
_SAME_ARCHITECTURE = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "armel": "arm",
    "i386": "386",
}


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """A platform; an empty string is a field that is not stated."""

    os: str = ""
    architecture: str = ""
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Return the platform in `os/architecture[/variant]`, or raise InvalidPlatform."""
        parts = text.strip().split("/")
        if not 2 <= len(parts) <= 3 or not all(_WORD.fullmatch(part) for part in parts):
            raise InvalidPlatform(f"{text!r} is not a platform: write os/architecture[/variant]")
        return cls(parts[0], parts[1], "".join(parts[2:]))

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Platform:
        """Return the platform of a descriptor or image config; what is not text is empty."""
        features = fields.get("os.features")
        return cls(
            os=_text(fields, "os"),
            architecture=_text(fields, "architecture"),
            variant=_text(fields, "variant"),
            os_version=_text(fields, "os.version"),
            os_features=tuple(f for f in features if _is_text(f))
            if isinstance(features, list)
            else (),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object, without empty fields, in the order of the specification."""
        fields = {
            "architecture": self.architecture,
            "os": self.os,
            "os.version": self.os_version,
            "os.features": list(self.os_features),
            "variant": self.variant,
        }
        return {name: value for name, value in fields.items() if value}

    @property
    def normalized(self) -> Platform:
        """Return the platform with its default variant: arm64 v8, arm v7, amd64 none.

        These are the defaults of containerd's platforms package.
        """
        architecture = _SAME_ARCHITECTURE.get(self.architecture, self.architecture)
        variant = self.variant or _DEFAULT_VARIANT.get(self.architecture, "")
        if architecture in _DEFAULT_VARIANT and _BARE_VARIANT.fullmatch(variant):
            variant = f"v{variant}"
        if architecture == "amd64" and variant == "v1":
            variant = ""
        return replace(self, architecture=architecture, variant=variant)

    @property
    def is_known(self) -> bool:
        """Return whether architecture and operating system are stated and not `unknown`."""
        return all(part not in ("", "unknown") for part in (self.os, self.architecture))

    def completed_from(self, config: Platform) -> Platform:
        """Return this platform with its empty fields filled in from the image's `config`."""
        return Platform(
            os=self.os or config.os,
            architecture=self.architecture or config.architecture,
            variant=self.variant or config.variant,
            os_version=self.os_version or config.os_version,
            os_features=self.os_features or config.os_features,
        )

    def __str__(self) -> str:
        named = "/".join(part for part in (self.os, self.architecture, self.variant) if part)
        return f"{named or 'unknown'}:{self.os_version}" if self.os_version else named or "unknown"


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if _is_text(value) else ""


def _is_text(value: object) -> TypeGuard[str]:
    """Return whether it is text that is safe as a tool's argument and on a terminal."""
    return isinstance(value, str) and value.isprintable()
