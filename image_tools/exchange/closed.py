"""Which places of one destination take no more pushes in this run, and why: without any I/O."""

from __future__ import annotations

from image_tools.errors import CopyFailed, ImageToolsError, Scope

_EVERYWHERE = ""
_SCOPES: tuple[Scope, ...] = ("tags", "repository", "project", "registry")


class Closed:
    """The places of one destination store that have refused a push for good.

    A quota closes the project (the first component of a repository, the owner at registries
    without projects), a read-only mode what it is said of, an immutable tag those tags of its
    repository that exist already. Belongs to the event loop.
    """

    def __init__(self) -> None:
        self._places: dict[tuple[Scope, str], CopyFailed] = {}

    def note(self, repository: str, error: ImageToolsError) -> None:
        """Remember what `error`, the end of a push to `repository`, closes: the first counts."""
        if isinstance(error, CopyFailed) and error.closes != "nothing":
            self._places.setdefault((error.closes, _key(error.closes, repository)), error)

    def refusal(self, repository: str, *, changes_tag: bool = False) -> CopyFailed | None:
        """Return why nothing more is pushed to `repository`, None where pushes are welcome.

        `changes_tag`: the push would change a tag that exists.
        """
        if not self._places:
            return None
        for scope in _SCOPES:
            if scope == "tags" and not changes_tag:
                continue
            known = self._places.get((scope, _key(scope, repository)))
            if known is not None:
                return known
        return None

    def check(self, place: str, repository: str, *, changes_tag: bool = False) -> None:
        """Raise the failure of `place`, which is in `repository`, where that is closed.

        It is of the kind of the first refusal, and says that this one was not tried.
        """
        known = self.refusal(repository, changes_tag=changes_tag)
        if known is not None:
            own = known.copied(f"{place}: not tried, an earlier push was refused: {known.message}")
            own.closes = "nothing"
            raise own


def _key(scope: Scope, repository: str) -> str:
    if scope == "registry":
        return _EVERYWHERE
    return repository.partition("/")[0] if scope == "project" else repository
