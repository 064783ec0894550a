"""Whether a registry lets us in and takes pushes, found out before anything is moved."""

from __future__ import annotations

from image_tools.errors import CopyFailed
from image_tools.logins.auth_file import Credentials
from image_tools.logins.credentials import Keyring
from image_tools.stores.remote.client import RegistryClient
from image_tools.stores.remote.questions import Answer, Question
from image_tools.stores.remote.uploads import RemoteUpload
from image_tools.web.address import endpoint, named

_GREETED = frozenset({200, 401, 403, 404})


class Admission:
    """The door of one registry. Belongs to the event loop of its client."""

    def __init__(self, client: RegistryClient, keyring: Keyring) -> None:
        self._client, self._keyring = client, keyring

    async def is_plain(self) -> bool:
        """Whether the registry speaks plain HTTP; raises why it does not answer at all."""
        root = await self._client.root()
        return root.scheme == "http"

    @property
    def demands_login(self) -> bool:
        """Whether the registry, once greeted, asked for a user name and nothing else.

        Tokens are given to anybody by many servers; Basic (RFC 7617) knows no such way.
        """
        schemes = {challenge.scheme for challenge in self._client.challenges}
        return schemes == {"basic"}

    async def greeting(self) -> Answer:
        """The answer to a greeting without a login (`/v2/`), refusal or not; raises what failed."""
        root = await self._client.root()
        question = Question(
            method="GET",
            repository="",
            reference=self._client.registry,
            url=endpoint(root, ""),
            expected=_GREETED,
        )
        return await self._client.beside(question, None)

    async def login(self, repository: str = "") -> Credentials | None:
        """The login the registry lets in; None when there is none for it.

        Unauthorized when it is refused; one refused before is not shown again.
        """
        await self._client.root()
        return await self._client.authorizer.proven(repository, self._client.challenges)

    def use(self, credentials: Credentials) -> None:
        """Work with `credentials` from now on."""
        self._keyring.use(credentials)
        self._client.authorizer.restart()

    async def try_push(self, repository: str) -> None:
        """Nothing when pushes to `repository` are taken; raises the registry's refusal.

        A token that says it allows pushes is believed. Else an upload is begun and given up: two
        requests, and no trace of them (distribution spec, "Pushing blobs").
        """
        self._client.authorizer.expect((repository,), push=True)
        if await self._client.authorizer.grants_push(repository):
            self._client.capabilities.writable.add(repository)
            return
        answer = await self._client.ask(
            Question(
                method="POST",
                repository=repository,
                reference=named(self._client.registry, repository),
                path=f"{repository}/blobs/uploads/",
                expected=frozenset({202}),
                doing="trying to push",
                push=True,
            )
        )
        self._client.capabilities.writable.add(repository)
        await _given_up(self._client, repository, answer)


async def _given_up(client: RegistryClient, repository: str, begun: Answer) -> None:
    try:
        upload = RemoteUpload(client, repository, begun)
    except CopyFailed:
        # It leads nowhere: who uploads in earnest will say so.
        return
    await upload.abort()
