"""Checks that a registry accepts the login and pushes, before anything is copied."""

from __future__ import annotations

from image_tools.errors import CopyFailed
from image_tools.logins.auth_file import Credentials
from image_tools.logins.credentials import Keyring
from image_tools.stores.remote.api import ApiAnswer, ApiRequest
from image_tools.stores.remote.client import RegistryClient
from image_tools.stores.remote.uploads import RemoteUpload, begin_upload
from image_tools.web.address import endpoint

_GREETED = frozenset({200, 401, 403, 404})


class Admission:
    """The admission to one registry. Belongs to the event loop of its client."""

    def __init__(self, client: RegistryClient, keyring: Keyring) -> None:
        self._client, self._keyring = client, keyring

    async def is_plain(self) -> bool:
        """Return whether the registry speaks plain HTTP; raise why it does not answer."""
        root = await self._client.root()
        return root.scheme == "http"

    @property
    def demands_login(self) -> bool:
        """Return whether the registry's greeting asked for Basic authentication only.

        Many token servers issue tokens to anyone; Basic (RFC 7617) has no anonymous access.
        """
        schemes = {challenge.scheme for challenge in self._client.challenges}
        return schemes == {"basic"}

    async def greeting(self) -> ApiAnswer:
        """Return the answer to a request of `/v2/` without a login; raise what failed."""
        root = await self._client.root()
        request = ApiRequest(
            method="GET",
            repository="",
            reference=self._client.registry,
            url=endpoint(root, ""),
            expected=_GREETED,
        )
        return await self._client.ask_other_api(request, None)

    async def login(self, repository: str = "") -> Credentials | None:
        """Return the login that the registry accepts; None when there is none for it.

        Raise Unauthorized when it is refused; a login that was refused before is not sent again.
        """
        await self._client.root()
        return await self._client.authorizer.accepted_login(repository, self._client.challenges)

    def use(self, credentials: Credentials) -> None:
        """Use `credentials` from now on."""
        self._keyring.use(credentials)
        self._client.authorizer.restart()

    async def try_push(self, repository: str) -> None:
        """Raise the registry's refusal unless `repository` accepts pushes.

        A token that says it allows pushes is believed. Otherwise an upload is begun and aborted:
        two requests that leave no trace (distribution spec, "Pushing blobs").
        """
        self._client.authorizer.expect((repository,), push=True)
        if await self._client.authorizer.grants_push(repository):
            self._client.capabilities.writable.add(repository)
            return
        answer = await begin_upload(self._client, repository, "trying to push")
        self._client.capabilities.writable.add(repository)
        await _give_up(self._client, repository, answer)


async def _give_up(client: RegistryClient, repository: str, begun: ApiAnswer) -> None:
    try:
        upload = RemoteUpload(client, repository, begun)
    except CopyFailed:
        return  # Its address is unusable: the real upload will report that.
    await upload.abort()
