"""Behaviours of authentication: challenges, and token servers with habits of their own."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tests.helpers.endpoint import LAB_LOGIN, Login
from tests.helpers.fault_types import Reply, error_reply
from tests.helpers.token_server import TokenRequest
from tests.zoo.behaviour import READS, Behaviour, Call, json_reply, with_headers

DENIED = "requested access to the resource is denied"
PULL = frozenset({"pull"})
PUSH = frozenset({"pull", "push"})


@dataclass(slots=True)
class AsksForLogin(Behaviour):
    """Basic authentication with `login` for everything, as ECR and Nexus demand it.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html
    """

    login: Login = LAB_LOGIN

    def before(self, call: Call) -> Reply | None:
        """Refuse a request without the login."""
        if call.basic == self.login:
            return None
        headers = {"WWW-Authenticate": 'Basic realm="zoo"'}
        return error_reply(401, "UNAUTHORIZED", "Not Authorized", headers)


@dataclass(slots=True)
class AsksForTokens(Behaviour):
    """Bearer tokens of the registry's own `/token`, opaque, each good for the scopes granted.

    `login` gets all it asks for. Anonymous users get `pull` where the registry is `public`.
    `identities` are identity tokens that stand for the login, as `docker login` stores them.
    https://distribution.github.io/distribution/spec/auth/token/
    """

    public: bool = False
    login: Login = LAB_LOGIN
    identities: set[str] = field(default_factory=set)
    tokens: dict[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)

    def before(self, call: Call) -> Reply | None:
        """Answer the token server's questions, challenge who has no token for what is asked."""
        if call.asked.what == "token":
            return self._token(call)
        return None if self._allows(call) else self._challenge(call)

    def _allows(self, call: Call) -> bool:
        rights = self.tokens.get(call.bearer)
        if rights is None or not call.repository:
            return rights is not None
        return needed(call) <= rights.get(call.repository, frozenset())

    def _challenge(self, call: Call) -> Reply:
        realm = f'Bearer realm="{call.registry.endpoint.url}/token",service="zoo"'
        actions = ",".join(sorted(needed(call)))
        scope = f',scope="repository:{call.repository}:{actions}"' if call.repository else ""
        headers = {"WWW-Authenticate": f"{realm}{scope}"}
        return error_reply(401, "UNAUTHORIZED", "authentication required", headers)

    def _token(self, call: Call) -> Reply:
        grant, username = self._who(call)
        is_known = username is not None
        is_given = is_known or (grant == "anonymous" and self.public)
        log(call, grant, username, 200 if is_given else 401)
        if not is_given:
            return error_reply(401, "UNAUTHORIZED", "incorrect username or password")
        scopes = call.scopes if call.granted is None else call.granted
        token = secrets.token_hex(12)
        self.tokens[token] = rights_of(scopes, None if is_known else PULL)
        return json_reply({"token": token, "access_token": token, "expires_in": 300})

    def _who(self, call: Call) -> tuple[str, str | None]:
        if call.method == "POST":
            return self._by_form(call)
        shown = call.basic
        if shown is None:
            return "anonymous", None
        is_good = shown == self.login or shown.password in self.identities
        return "basic", self.login.username if is_good else None

    def _by_form(self, call: Call) -> tuple[str, str | None]:
        form = {name: values[0] for name, values in call.form.items()}
        if form.get("grant_type") == "refresh_token":
            is_good = form.get("refresh_token") in self.identities
            return "refresh", self.login.username if is_good else None
        shown = Login(form.get("username", ""), form.get("password", ""))
        return "password", self.login.username if shown == self.login else None


@dataclass(slots=True)
class GreetsWithPlaceholderScope(Behaviour):
    """GHCR: the greeting's challenge names a repository that nobody has.

    Tokens are given to anonymous users for repositories that exist, and for no other one
    (cloudflare/serverless-registry#148, oras#1128).
    """

    placeholder: str = "repository:user/image:pull"

    def before(self, call: Call) -> Reply | None:
        """Refuse anonymous tokens for repositories that do not exist."""
        if call.asked.what != "token" or call.basic is not None:
            return None
        names = rights_of(call.scopes, None)
        if all(call.registry.store.has_repository(name) for name in names):
            return None
        log(call, "anonymous", None, 403)
        return error_reply(403, "DENIED", DENIED)

    def after(self, call: Call, reply: Reply) -> Reply:
        """Put the placeholder into the challenge of the greeting."""
        if call.asked.what != "ping" or reply.status != 401:
            return reply
        challenge = f'{reply.headers["WWW-Authenticate"]},scope="{self.placeholder}"'
        return with_headers(reply, WWW_Authenticate=challenge)


@dataclass(slots=True)
class GrantsOneOfSeveralScopes(Behaviour):
    """A token server that grants the first scope it is asked for, and says nothing of the others.

    docker_auth#67, harbor#2411. `grants` is how many scopes are granted.
    """

    grants: int = 1

    def before(self, call: Call) -> Reply | None:
        """Let the token server grant fewer scopes."""
        if call.asked.what == "token":
            call.granted = call.scopes[: self.grants]
        return None


@dataclass(slots=True)
class Forbids(Behaviour):
    """403 in place of 401, without a challenge, where the token does not allow what is asked.

    harbor#2411; RFC 9110 section 15.5.4.
    """

    def after(self, call: Call, reply: Reply) -> Reply:
        """Forbid what the token shown does not allow."""
        return error_reply(403, "DENIED", DENIED) if is_too_narrow(call, reply) else reply


@dataclass(slots=True)
class ForbidsWithChallenge(Behaviour):
    """403 with a challenge in place of 401 where the token does not allow what is asked.

    RFC 6750 section 3.1, `insufficient_scope`. With `always` a request without any token gets the
    same answer.
    """

    always: bool = False

    def after(self, call: Call, reply: Reply) -> Reply:
        """Turn the challenge for a token that is too narrow into a 403."""
        is_bare = self.always and reply.status == 401 and call.asked.what != "ping"
        if call.asked.what == "token" or not (is_bare or is_too_narrow(call, reply)):
            return reply
        challenge = f'{reply.headers["WWW-Authenticate"]},error="insufficient_scope"'
        return error_reply(403, "DENIED", DENIED, {"WWW-Authenticate": challenge})


@dataclass(slots=True)
class GreetsEverybody(Behaviour):
    """`/v2/` is answered with 200 whoever asks, so the greeting tells no token server.

    The specification asks for no more of a registry that lets anonymous users read
    (distribution-spec, "Determining Support").
    """

    def before(self, call: Call) -> Reply | None:
        """Answer the greeting."""
        is_greeting = call.asked.what == "ping" and call.asked.path.startswith("/v2")
        return json_reply({}) if is_greeting else None


@dataclass(slots=True)
class PushTokenCreatesRepository(Behaviour):
    """Quay: a token with `push` for a repository that does not exist creates it.

    quay/quay endpoints/v2/v2auth.py. `created` are the repositories that came to be so.
    """

    created: set[str] = field(default_factory=set)

    def before(self, call: Call) -> Reply | None:
        """Note the repositories that the question creates."""
        if call.asked.what == "token":
            rights = rights_of(call.scopes, None)
            wanted = {name for name, actions in rights.items() if "push" in actions}
            self.created |= {n for n in wanted if not call.registry.store.has_repository(n)}
        return None


@dataclass(slots=True)
class TokenByPostOnly(Behaviour):
    """ACR: the OAuth2 question alone, and `access_token` in its answer.

    https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md. GET is answered with 404 where an
    identity token could be posted; a login may still use it, as `docker login` does.
    """

    def before(self, call: Call) -> Reply | None:
        """Refuse GET from those who are not known by user name and password."""
        if call.asks("GET", "token") and (call.basic is None or not call.basic.password):
            log(call, "anonymous", None, 404)
            return error_reply(404, "UNSUPPORTED", "POST only")
        return None

    def after(self, call: Call, reply: Reply) -> Reply:
        """Name the token as OAuth2 does."""
        if call.asked.what != "token" or reply.status != 200:
            return reply
        return replace(reply, body=reply.body.replace(b'"token"', b'"unused"', 1))


@dataclass(slots=True)
class IdentityTokenByGetOnly(Behaviour):
    """Gitea (405, then 404), Docker Hub (404), Artifactory (401): no OAuth2 question by POST.

    An identity token is shown as a password, with GET (go-gitea/gitea#28457, gitea#31861).
    """

    status: int = 404

    def before(self, call: Call) -> Reply | None:
        """Refuse POST."""
        if not call.asks("POST", "token"):
            return None
        log(call, "refresh", None, self.status)
        return error_reply(self.status, "UNSUPPORTED", "not implemented")


@dataclass(slots=True)
class RepeatedScopeRefused(Behaviour):
    """400 for a question with more than one `scope` parameter (artifact-keeper#2277)."""

    def before(self, call: Call) -> Reply | None:
        """Refuse what repeats the parameter."""
        if call.asked.what != "token" or len(call.form.get("scope", [])) < 2:
            return None
        log(call, "basic", None, 400)
        return error_reply(400, "BAD_REQUEST", "scope: invalid type: sequence, expected a string")


@dataclass(slots=True)
class NoMoreRepositories(Behaviour):
    """DigitalOcean: no token with push for a repository that is one too many.

    The token server says so, with 403 (docker/build-push-action#586).
    """

    words: str = "registry contains 1 repositories, limit is 1"

    def before(self, call: Call) -> Reply | None:
        """Refuse questions for push to a repository that does not exist."""
        if call.asked.what != "token":
            return None
        rights, store = rights_of(call.scopes, None), call.registry.store
        pushed = [name for name, actions in rights.items() if "push" in actions]
        if all(store.has_repository(name) for name in pushed):
            return None
        log(call, "basic", None, 403)
        return error_reply(403, "DENIED", self.words)


def needed(call: Call) -> frozenset[str]:
    """Return the actions that a request needs."""
    if call.method in READS:
        return PULL
    return frozenset({"delete"}) if call.method == "DELETE" and not is_upload(call) else PUSH


def is_upload(call: Call) -> bool:
    """Return whether this is about an upload."""
    return call.asked.what == "blobs/uploads"


def is_too_narrow(call: Call, reply: Reply) -> bool:
    """Return whether a token was shown and did not suffice."""
    return bool(call.bearer) and reply.status == 401


def rights_of(scopes: tuple[str, ...], most: frozenset[str] | None) -> dict[str, frozenset[str]]:
    """Return the actions by repository that `scopes` name, at most those of `most`."""
    found: dict[str, frozenset[str]] = {}
    for scope in scopes:
        name, _, actions = scope.removeprefix("repository:").rpartition(":")
        asked = frozenset(actions.split(","))
        found[name] = found.get(name, frozenset()) | (asked if most is None else asked & most)
    return found


def log(call: Call, grant: str, username: str | None, status: int) -> None:
    """Note a question to the token server."""
    call.registry.token_requests.append(
        TokenRequest(
            method=call.method, grant=grant, username=username, scopes=call.scopes, status=status
        )
    )
