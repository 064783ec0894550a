"""Behaviours of lists: pages in every form that RFC 8288 allows, missing keys, referrers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.helpers.content import OCI_INDEX
from tests.helpers.fault_types import Reply, error_reply
from tests.zoo.behaviour import Behaviour, Call, json_reply, page, with_headers

# From the address of a list and the number of the next page to the Link fields of an answer.
Form = Callable[[str, int], tuple[str, ...]]


@dataclass(slots=True)
class TagsKeyMissing(Behaviour):
    """A Go server with `omitempty`: a repository without tags has no key `tags`.

    https://pkg.go.dev/encoding/json#Marshal
    """

    def after(self, call: Call, reply: Reply) -> Reply:
        """Leave the key out."""
        is_list = call.asks("GET", "tags") and reply.status == 200
        return json_reply({"name": call.repository}) if is_list else reply


@dataclass(slots=True)
class TagsNull(Behaviour):
    """A Go server without `omitempty`: the tags of a repository without any are null.

    distribution registry/handlers/tags.go.
    """

    def after(self, call: Call, reply: Reply) -> Reply:
        """Say null."""
        is_list = call.asks("GET", "tags") and reply.status == 200
        return json_reply({"name": call.repository, "tags": None}) if is_list else reply


def _absolute(base: str, number: int) -> tuple[str, ...]:
    return (f'<{base}?page={number}>; rel="next"',)


def _path(base: str, number: int) -> str:
    return f"/v2/{base.partition('/v2/')[2]}?page={number}"


FORMS: dict[str, Form] = {
    "relative": lambda base, n: (f'<{_path(base, n)}>; rel="next"',),
    "absolute": _absolute,
    "query-only": lambda base, n: (f'<?page={n}>; rel="next"',),
    "several-fields": lambda base, n: (
        f'<{_path(base, 0)}>; rel="first"',
        f'<{_path(base, n)}>; rel="next"',
    ),
    "several-links": lambda base, n: (
        f'<{_path(base, 0)}>; rel="first", <{_path(base, n)}>; rel="next"',
    ),
    "unquoted": lambda base, n: (f"<{_path(base, n)}>; rel=next",),
    "several-values": lambda base, n: (f'<{_path(base, n)}>; rel="last next"',),
    "parameters-before": lambda base, n: (f'<{_path(base, n)}>; title="a, b"; rel="next"',),
    "upper-case": lambda base, n: (f'<{_path(base, n)}>; REL="NEXT"',),
    "comma-in-url": lambda base, n: (f'<{_path(base, n)}&last=a,b;c>; rel="next"',),
    "next-in-title": lambda base, n: (
        f'<{_path(base, 0)}>; title="; rel=next"; rel="first", <{_path(base, n)}>; rel="next"',
    ),
    "blanks": lambda base, n: (f'<{_path(base, n)}> ; rel = "next"',),
}


@dataclass(slots=True)
class Pagination(Behaviour):
    """Tags come in pages of `size`; `form` is how the next page is named (RFC 8288).

    With `gap` the second page is empty and a page follows, as a filter behind the pages leaves it.
    """

    form: Form = _absolute
    size: int = 2
    gap: bool = False

    def before(self, call: Call) -> Reply | None:
        """Answer with one page."""
        store, name = call.registry.store, call.repository
        if not call.asks("GET", "tags") or not store.has_repository(name):
            return None
        pages = list(self._pages(sorted(store.tags.get(name, {}))))
        number = int(call.asked.query.get("page", "0"))
        reply = json_reply({"name": name, "tags": pages[number]})
        if number + 1 == len(pages):
            return reply
        base = f"{call.registry.endpoint.url}{call.asked.path}"
        return with_headers(reply, Link=self.form(base, number + 1))

    def _pages(self, names: list[str]) -> Iterator[list[str]]:
        yield names[: self.size]
        if self.gap:
            yield []
        for at in range(self.size, len(names), self.size):
            yield names[at : at + self.size]


@dataclass(slots=True)
class ReferrersRefused(Behaviour):
    """The referrers API answers anything but a list of referrers.

    harbor#18305, ggcr#1962, artifacthub/hub#4785 (303). `answer` is a status, or one of "page",
    "errors" (200 with `{"errors":[]}`), "empty" (200 without a body).
    """

    answer: int | str = 404

    def before(self, call: Call) -> Reply | None:
        """Refuse to list referrers."""
        return self._refusal() if call.asks("GET", "referrers") else None

    def _refusal(self) -> Reply:
        if self.answer == "page":
            return page(200, "Welcome")
        if self.answer == "errors":
            return json_reply({"errors": []})
        if self.answer == "empty":
            return Reply(200, b"", {"Content-Type": OCI_INDEX})
        if self.answer == 303:
            return Reply(303, b"", {"Location": "/login"})
        return error_reply(int(self.answer), "UNSUPPORTED", "404 page not found")


REFERRERS_ANSWERS: tuple[int | str, ...] = (
    *(400, 401, 403, 404, 405, 406, 410, 422, 500, 501, 303),
    *("page", "errors", "empty"),
)


@dataclass(slots=True)
class TagsRefused(Behaviour):
    """The list of tags is refused, as for users who may only pull by name.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/security_iam_id-based-policy-examples.html
    """

    status: int = 403

    def before(self, call: Call) -> Reply | None:
        """Refuse to list."""
        refusal = error_reply(self.status, "DENIED", "not authorized to perform: ListImages")
        return refusal if call.asks("GET", "tags") else None
