"""The error for an answer that is no success.

The table of refusals (`image_tools/refusals/`) decides what an answer means.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from image_tools.errors import CopyFailed, ImageToolsError, RateLimited
from image_tools.refusals.case import Case, Stage, place_of, without_names
from image_tools.refusals.classify import classify
from image_tools.stores.remote.api import ApiAnswer, ApiRequest, json_of, one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The refused request, as far as it explains the refusal; of a manifest its type and bytes too.

    `proxied`: a proxy that can read the request is between here and the registry.
    """

    stage: Stage = Stage.READING
    media_type: str = ""
    manifest: bytes = field(default=b"", repr=False)
    proxied: bool = False

    @classmethod
    def by(cls, request: ApiRequest, *, proxied: bool) -> Asked:
        """Return what matters of `request`."""
        if request.method == "DELETE":
            return cls(stage=Stage.DELETING, proxied=proxied)
        if not request.push:
            return cls(proxied=proxied)
        return cls(
            stage=Stage.PUSHING,
            media_type=request.headers.get("Content-Type", ""),
            manifest=request.body if isinstance(request.body, bytes) else b"",
            proxied=proxied,
        )


def failure(
    refusal: ApiAnswer,
    reference: str,
    *,
    doing: str = "",
    pushing: bool = False,
    asked: Asked | None = None,
) -> ImageToolsError:
    """Return the error for `refusal` of a request about `reference`; `doing` names the action.

    `asked` tells more about the request than whether it was `pushing`.
    """
    asked = asked or Asked(stage=Stage.PUSHING if pushing else Stage.READING)
    registry, repository, _ = place_of(reference)
    verdict = classify(
        Case(
            stages=frozenset({asked.stage}),
            status=refusal.status,
            code=refusal.code,
            words=without_names(refusal.everything, reference),
            is_page=refusal.is_page,
            by_proxy=asked.proxied or refusal.is_of_a_proxy,
            registry=registry,
            repository=repository,
            media_type=asked.media_type,
            foreign=_foreign_layers(asked.manifest),
        )
    )
    tried, wish = f"{doing}: " if doing else "", refusal.retry_after
    said = f"{verdict.said} ({refusal.words})"
    if wish is not None and issubclass(verdict.row.kind, RateLimited):
        said = f"{said}, retry after {wish:.0f} s"
    error = verdict.error(f"{reference}: {tried}{said}", status=refusal.status)
    if isinstance(error, CopyFailed):
        error.retry_after, error.code = wish, refusal.code
    return error


def permanent(error: CopyFailed) -> CopyFailed:
    """Return `error`, marked as one that no repetition changes."""
    error.temporary = False
    return error


def about(error: ImageToolsError, reference: str, registry: str) -> ImageToolsError:
    """Return a copy of `error`, which all images of `registry` share, for one `reference`."""
    return error.copied(f"{reference}: {error.message.removeprefix(f'{registry}: ')}")


def _foreign_layers(manifest: bytes) -> tuple[str, ...]:
    """Return the digests of a manifest's layers that have `urls`: they are stored elsewhere."""
    document = json_of(manifest)
    layers = document.get("layers") if isinstance(document, dict) else None
    return tuple(
        one_line(layer["digest"])
        for layer in (layers if isinstance(layers, list) else ())
        if isinstance(layer, dict) and layer.get("urls") and isinstance(layer.get("digest"), str)
    )
