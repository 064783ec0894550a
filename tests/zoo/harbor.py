"""A Harbor with its projects: the API that creates them, and tokens that end at their borders.

It answers as Harbor's core does (goharbor/harbor src/server/middleware/v2auth): what is asked of a
repository in a missing project is refused with 401 and no challenge, whoever asks; a token grants
nothing there, and stays as it was given.
"""

from __future__ import annotations

import http.client
import json
import secrets
from dataclasses import dataclass, field

from tests.helpers.certificates import Certificates
from tests.helpers.content import compact
from tests.helpers.endpoint import LAB_LOGIN, Login
from tests.helpers.fault_types import CUT, Reply, error_reply
from tests.helpers.faults import FaultOptions
from tests.helpers.keys import base64url
from tests.zoo.behaviour import Behaviour, Call, json_reply
from tests.zoo.registry import ZooRegistry

API = "/api/v2.0/projects"
TOKEN = "/service/token"
DROPPED = 0


@dataclass(frozen=True, slots=True)
class ProjectCall:
    """One request to the API; `status` is its answer, 0 a connection that was cut."""

    method: str
    project: str
    status: int


@dataclass(slots=True, kw_only=True)
class HarborPolicy:
    """What the server allows; change it at any time.

    `projects` maps each project to whether it is public. `may_create` is the right of the login to
    create more. `refusals` answer the next calls that would create one, in order. `unknown` is the
    status for a look at a missing project: versions differ.
    """

    login: Login = LAB_LOGIN
    projects: dict[str, bool] = field(default_factory=dict)
    may_create: bool = True
    refusals: list[int] = field(default_factory=list)
    unknown: int = 404


@dataclass(slots=True)
class HasProjects(Behaviour):
    """Harbor's projects and tokens (https://goharbor.io/docs/main/working-with-projects/).

    `calls` are those of its API, `tokens` the projects' repositories that each token opens.
    """

    policy: HarborPolicy
    calls: list[ProjectCall] = field(default_factory=list)
    tokens: dict[str, frozenset[str]] = field(default_factory=dict)

    def before(self, call: Call) -> Reply | None:
        """Answer the API and the token server, and guard the registry."""
        if call.asked.path == API:
            return self._projects(call)
        return self._token(call) if call.asked.path == TOKEN else self._refusal(call)

    def _projects(self, call: Call) -> Reply:
        if call.method == "POST":
            wish = json.loads(call.body)
            project = str(wish["project_name"])
            status = self._created(call, project, wish["metadata"]["public"] == "true")
        else:
            project = call.asked.query["project_name"]
            status = 200 if project in self.policy.projects else self.policy.unknown
            status = status if self._knows(call) else 401
        self.calls.append(ProjectCall(call.method, project, status))
        if status == DROPPED:
            return CUT
        return Reply(status) if status in (200, 201) else _said(status)

    def _created(self, call: Call, project: str, public: bool) -> int:
        policy = self.policy
        if policy.refusals:
            return policy.refusals.pop(0)
        if not self._knows(call):
            return 401
        if not policy.may_create:
            return 403
        if project in policy.projects:
            return 409
        policy.projects[project] = public
        return 201

    def _token(self, call: Call) -> Reply:
        if not self._knows(call):
            return error_reply(401, "UNAUTHORIZED", "wrong user name or password")
        scopes = [scope.split(":") for scope in call.scopes]
        access = [
            {"type": kind, "name": name, "actions": actions.split(",") if self._has(name) else []}
            for kind, name, actions in scopes
        ]
        claims = base64url(compact({"access": access}))
        token = f"{base64url(b'{}')}.{claims}.{secrets.token_hex(8)}"
        self.tokens[token] = frozenset(str(one["name"]) for one in access if one["actions"])
        return json_reply({"token": token, "expires_in": 1800})

    def _refusal(self, call: Call) -> Reply | None:
        """Return why a request may not pass to the registry, None if it may."""
        name = call.repository
        if "Authorization" not in call.asked.headers:
            realm = f"{call.registry.endpoint.url}{TOKEN}"
            return _refused("unauthorized", f'Bearer realm="{realm}",service="harbor-registry"')
        if name and not self._has(name):
            return _refused(f"project {name.partition('/')[0]} not found", "")
        granted = self.tokens.get(call.bearer)
        if self._knows(call) or (granted is not None and (not name or name in granted)):
            return None
        return _refused(f"unauthorized to access repository: {name}", 'Basic realm="harbor"')

    def _has(self, name: str) -> bool:
        return name.partition("/")[0] in self.policy.projects

    def _knows(self, call: Call) -> bool:
        return call.basic == self.policy.login


class Harbor(ZooRegistry):
    """Context manager of a Harbor on a random loopback port."""

    def __init__(
        self, policy: HarborPolicy | None = None, certificates: Certificates | None = None
    ) -> None:
        """Listen, over TLS with `certificates`; answers come inside the context."""
        self.projects = HasProjects(policy or HarborPolicy())
        options = FaultOptions(certificates=certificates, referrers=True)
        super().__init__(self.projects, options=options)

    @property
    def policy(self) -> HarborPolicy:
        """Return what it allows."""
        return self.projects.policy

    @property
    def calls(self) -> list[ProjectCall]:
        """Return the calls of its API."""
        return self.projects.calls

    @property
    def created(self) -> list[str]:
        """Return the projects that calls have created, in order."""
        return [call.project for call in self.calls if call.status == http.client.CREATED]


def _said(status: int) -> Reply:
    return error_reply(status, f"LAB_{status}", "said by the lab")


def _refused(words: str, challenge: str) -> Reply:
    return error_reply(401, "UNAUTHORIZED", words, {"WWW-Authenticate": challenge})
