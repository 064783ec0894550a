"""Everything of the program that reads outside text, by name, with the pieces it looks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from yarl import URL

from image_tools.cli.redact import clean
from image_tools.exchange.api import byte_range, public_route, route
from image_tools.imagelist.convert import to_default_format, to_mirror_format
from image_tools.imagelist.reader import read_line, read_list
from image_tools.imagelist.registries import Registries
from image_tools.logins.auth_file import parse_auth_file
from image_tools.oci.manifest import Index, RawManifest, config_platform, index_bytes, parse
from image_tools.oci.reference import Reference, parse_registry, tag_key
from image_tools.stores.remote.api import ApiAnswer, retry_after
from image_tools.stores.remote.failures import failure
from image_tools.stores.remote.manifests import media_type_of, signed_payload
from image_tools.stores.remote.tokens.challenge import parse_challenges
from image_tools.stores.remote.tokens.realm import realm_of
from image_tools.stores.remote.tokens.token import parse_token
from image_tools.tools.diagnose import diagnose
from image_tools.web.address import located, next_page

SHA = "sha256:" + "0123456789abcdef" * 4
REGISTRIES = Registries(destination="registry.example:5000")
BASE = URL("https://r.example/v2/a/b/blobs/uploads/1?_state=x")
PIECES = {
    "list": "# // \\ufeff docker:// @ : / - _ . \n \r \t a A 1.25 latest r.example:5000 [::1]:5"
    " 127.1 x509 team/app nginx \\x1b \0 \x85 \u2028 é",
    "json": '{ } [ ] , : " null true 1 -1 1e999 5.5 0 "digest" "size" "manifests" "config" "layers"'
    ' "platform" "os" "urls" "mediaType" "schemaVersion" "fsLayers" "history" "signatures"'
    ' "token" "access_token" "expires_in" "errors" "code" "message" "auths" "auth" "\\ud800" "a"',
    "header": 'Bearer Basic realm= service= scope= " \\ , = ; : / ? & # % @ http:// https://'
    " r.example 127.0.0.1 :5000 :99999 [::1] .. . < > rel=next xn-- \udcff é \x01 bytes= 0-9 - ~",
    "words": 'level=fatal msg= " \\n \\x1b \\u00e9 ERROR: panic: docker:// 127.0.0.1:5 /v2/ x509:'
    " 429 EOF denied unauthorized not found uploading : . - _ / @ \x1b[ \x1b] ?token="
    " authorization:",
    "path": "/v2/ s1/ d2/ a b / - _ . .. manifests/ blobs/ uploads/ tags/list referrers/ _catalog :"
    " %2F \n \0",
}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _manifest(text: str) -> None:
    found = parse(RawManifest("", _bytes(text)))
    if isinstance(found, Index):
        index_bytes(found)


def _challenges(text: str) -> None:
    for challenge in parse_challenges([text, text[::-1]]):
        realm_of(challenge, "r.example")


def _token(text: str) -> None:
    with suppress(ValueError):
        parse_token(_bytes(text))


def _logins(text: str) -> None:
    with suppress(ValueError):
        parse_auth_file(_bytes(text))


def _refused(text: str) -> None:
    for status in (400, 401, 404, 429, 503):
        failure(
            ApiAnswer(status, {"Retry-After": text, "Content-Type": text}, _bytes(text)), "r/a:1"
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """One reader of outside text; `pieces` names the PIECES it looks for."""

    pieces: str
    read: Callable[[str], object]

    def words(self) -> list[str]:
        """Give the pieces, a digest and a blank."""
        return [*filter(None, PIECES[self.pieces].split(" ")), SHA, " "]


READINGS: Mapping[str, Reading] = {
    "list": Reading("list", lambda text: read_list(_bytes(text), "list.txt", REGISTRIES)),
    "typed-line": Reading("list", lambda text: read_line(text, 1, REGISTRIES)),
    "list-to-mirror": Reading("list", lambda text: to_mirror_format(_bytes(text), "l", REGISTRIES)),
    "list-to-default": Reading(
        "list", lambda text: to_default_format(_bytes(text), "l", REGISTRIES)
    ),
    "reference": Reading("list", Reference.parse),
    "registry": Reading("list", parse_registry),
    "tag-order": Reading("list", tag_key),
    "manifest": Reading("json", _manifest),
    "config": Reading("json", lambda text: config_platform(_bytes(text))),
    "media-type": Reading("json", lambda text: media_type_of("", _bytes(text))),
    "signed": Reading("json", lambda text: signed_payload(_bytes(text))),
    "token": Reading("json", _token),
    "logins": Reading("json", _logins),
    "refusal": Reading("json", _refused),
    "challenges": Reading("header", _challenges),
    "location": Reading("header", lambda text: located(BASE, text)),
    "next-page": Reading("header", lambda text: next_page([text])),
    "range": Reading("header", lambda text: byte_range({"Range": text})),
    "retry-after": Reading("header", lambda text: retry_after(text, 0.0)),
    "tool-words": Reading("words", lambda text: diagnose(text, "r.example/team/app:1")),
    "shown-words": Reading("words", clean),
    "route": Reading("path", lambda text: route("GET", f"/v2/s1/{text}")),
    "public-route": Reading("path", lambda text: public_route("PUT", f"/v2/{text}")),
}
