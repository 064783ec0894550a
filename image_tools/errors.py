"""Every failure that the program can explain, with its exit code and its advice.

::

    ImageToolsError                 1
      UsageError                    2   InvalidReference InvalidPlatform InvalidList
      EnvironmentProblem            3   ToolMissing ToolTooOld
      AlreadyRunning                4
      CopyFailed                    1   NotFound AccessDenied Unauthorized RateLimited Unavailable
                                        TimedOut TlsProblem PlatformMissing PolicyRejected DiskFull
                                        ManifestUnsupported QuotaExceeded ReadOnly TypeRefused
                                        UnknownFailure
        of these                        RepositoryMissing TagImmutable ConnectionRefused
                                        NameUnknown ProxyRefused CertificateExpired
        Deferred                    5   put off by a pull limit, not failed
      IntegrityError                1   DigestMismatch Different ArchiveDamaged InvalidManifest
      Interrupted                   130 SIGINT, 143 SIGTERM

Whatever else reaches the boundary is a bug: exit code 70.
"""

from __future__ import annotations

import copy
import errno
import re
from typing import ClassVar, Literal, TypeVar

BUG_EXIT_CODE = 70
# Where a refused push ends all pushes of a run; `tags`: existing tags of a repository.
Scope = Literal["nothing", "tags", "repository", "project", "registry"]
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
E = TypeVar("E", bound="ImageToolsError")


class ImageToolsError(Exception):
    """A failure with an explanation: one sentence, and what to do next in `advice`.

    `temporary`: another attempt may succeed; `exhausted`: the retry policy has been applied, so
    that no caller repeats it. `another_way`: nothing was stored, and the next attempt sends the
    same content to another place.
    """

    exit_code: ClassVar[int] = 1
    temporary: bool = False
    exhausted: bool = False
    another_way: bool = False
    advice: str = ""

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if advice is not None:
            self.advice = advice

    @property
    def own_advice(self) -> str:
        """Return the advice given to this error; empty if `advice` is that of its class."""
        return str(vars(self).get("advice", ""))

    @property
    def kind(self) -> str:
        """Return the stable word for this failure in reports: `not-found`, `rate-limited`, …"""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", type(self).__name__).lower()

    def copied(self: E, message: str | None = None, *, advice: str | None = None) -> E:
        """Return a copy without traceback, with another `message` and `advice` where given.

        An error that many share is raised as a copy: raising an error changes it.
        """
        own = copy.copy(self)
        if message is not None:
            own.message = message
            own.args = (message,)
        if advice is not None:
            own.advice = advice
        return own

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        """Return how to unpickle the error: a transfer may fail in another process."""
        return _unpickled, (type(self), self.args, vars(self))


def _unpickled(kind: type[E], args: tuple[object, ...], state: dict[str, object]) -> E:
    error = kind.__new__(kind, *args)
    vars(error).update(state)
    return error


class UsageError(ImageToolsError):
    """The command line or the list is wrong."""

    exit_code = 2


class InvalidReference(UsageError):
    """The text is not an image reference."""


class InvalidPlatform(UsageError):
    """The text is not a platform, architecture or operating system."""


class InvalidList(UsageError):
    """The image list as a whole is not usable."""


class EnvironmentProblem(ImageToolsError):
    """This machine lacks something that the program needs."""

    exit_code = 3


class ToolMissing(EnvironmentProblem):
    """skopeo or the buildx plugin is not installed."""


class ToolTooOld(EnvironmentProblem):
    """The installed tool lacks an option that the program needs."""


class AlreadyRunning(ImageToolsError):
    """Another run holds the lock of the same state and destination."""

    exit_code = 4


class CopyFailed(ImageToolsError):
    """A request or a run of a tool failed for one reference.

    `status` is the registry's HTTP status, None without one; `retry_after` are the seconds that it
    asks to wait; `code` is its error code in capitals. `closes` says what not to try again in this
    run. `answered`: the registry itself refused this very request, not a token server, and the
    connection did not break.
    """

    closes: Scope = "nothing"
    code: str = ""
    answered: bool = False

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        exhausted: bool = False,
        advice: str | None = None,
    ) -> None:
        super().__init__(message, advice=advice)
        self.status = status
        self.retry_after = retry_after
        self.exhausted = exhausted


class NotFound(CopyFailed):
    """The registry does not have this manifest, blob, tag or repository."""

    advice = "check the spelling, and that the registry has it"


class RepositoryMissing(NotFound):
    """The destination does not have the repository, and a push does not create it."""


class AccessDenied(CopyFailed):
    """The login is accepted but lacks the right (403)."""

    advice = "ask for the right on this repository, or for the project to be created"


class TagImmutable(AccessDenied):
    """The destination does not allow this tag to change."""

    closes: Scope = "tags"


class Unauthorized(CopyFailed):
    """The registry requires a login, or refuses this one (401)."""

    advice = "log in (image-tools login), or set the user name and password variables"


class RateLimited(CopyFailed):
    """The registry limits the rate of requests (429)."""

    temporary = True
    advice = "wait until the limit resets, or log in to the source registry for a higher limit"


class Deferred(CopyFailed):
    """Put off, because the pull limit of the registry or of the user does not allow it now.

    `retry_after` are the seconds until the limit resets, None if waiting does not help. `registry`
    is the one with the limit, `needed` the number of pulls that it has to allow.
    """

    exit_code = 5
    advice = "run again then (--wait-for-quota waits for it), or log in for a higher limit"

    def __init__(
        self,
        message: str,
        *,
        registry: str = "",
        needed: int = 1,
        retry_after: float | None = None,
        advice: str | None = None,
    ) -> None:
        super().__init__(message, retry_after=retry_after, advice=advice)
        self.registry = registry
        self.needed = needed


class Unavailable(CopyFailed):
    """The registry or the network failed, perhaps only now (5xx, a broken connection)."""

    temporary = True
    advice = "try again later"


class ConnectionRefused(Unavailable):
    """No program listens at the registry's address and port."""


class NameUnknown(Unavailable):
    """The host name of the registry does not resolve."""


class ProxyRefused(Unavailable):
    """A proxy between here and the registry refused the request."""

    temporary = False
    advice = "check HTTP_PROXY and HTTPS_PROXY (user and password too), or exempt it with NO_PROXY"


class TimedOut(CopyFailed):
    """The time for this image is over, or the server sent nothing for too long."""

    temporary = True
    advice = "raise --timeout, or check the network connection to the registry"


class TlsProblem(CopyFailed):
    """The TLS handshake failed: an unknown authority, a wrong name, or no TLS."""

    advice = "trust its CA with --ca-file, or skip verification with --tls-verify=false"


class CertificateExpired(TlsProblem):
    """The certificate of the registry has expired."""

    advice = "renew the certificate on the registry"


class PlatformMissing(CopyFailed):
    """The source has none of the chosen platforms."""

    advice = "choose other platforms with --arch, --os and --variant"


class PolicyRejected(CopyFailed):
    """The machine's signature policy does not accept this image."""

    advice = "see containers-policy.json(5)"


class DiskFull(CopyFailed):
    """No space left on this machine or in the registry's storage."""

    advice = "make room and run again: what has arrived stays"


class ManifestUnsupported(CopyFailed):
    """A tool cannot parse a manifest that is correct."""

    advice = "install a newer skopeo and docker buildx: newer versions may parse it"


class QuotaExceeded(CopyFailed):
    """The push would exceed the quota of the destination: of storage or of images."""

    closes: Scope = "project"


class ReadOnly(CopyFailed):
    """The destination is read-only, now or always."""

    closes: Scope = "project"


class TypeRefused(CopyFailed):
    """The destination does not store manifests of this media type."""


class UnknownFailure(CopyFailed):
    """A failure that no row of the table knows; the tool's own words are in the message."""

    temporary = True
    advice = "run again with --debug for the whole output"


class IntegrityError(ImageToolsError):
    """Content is not what its digest or its manifest says."""


class DigestMismatch(IntegrityError):
    """The bytes that arrived do not have the requested digest."""

    temporary = True
    advice = "a proxy or the registry's storage changes content: try again, then look there"


class Different(IntegrityError):
    """A validation found another image than the list asks for.

    `behind`: the difference is, or may be, behind the index.
    """

    behind: bool = False

    def __init__(self, message: str, *, advice: str | None = None, behind: bool = False) -> None:
        super().__init__(message, advice=advice)
        self.behind = behind


class ArchiveDamaged(IntegrityError):
    """An archive is incomplete or damaged."""

    advice = "save it anew (--replace), or get another copy of it"


class InvalidManifest(IntegrityError):
    """A manifest or index does not follow the specification."""

    advice = "the image is broken at the source"


class Interrupted(ImageToolsError):
    """The user or the system stopped the program: 130 for SIGINT, 143 for SIGTERM."""

    def __init__(self, signal_number: int) -> None:
        super().__init__("interrupted")
        self.signal_number = signal_number

    @property
    def signal_exit_code(self) -> int:
        """Return 128 plus the number of the signal, as shells do."""
        return 128 + self.signal_number


def refused_by_system(
    error: OSError, subject: str, *, advice: str | None = None
) -> DiskFull | EnvironmentProblem:
    """Return what the operating system refused as an error of ours, about `subject`.

    Raise DiskFull where there is no space, which has its own advice; else EnvironmentProblem.
    """
    place = f"{error.filename}: " if error.filename else ""
    message = f"{subject}: {place}{error.strerror or error}"
    if error.errno in NO_SPACE:
        return DiskFull(message)
    return EnvironmentProblem(message, advice=advice)
