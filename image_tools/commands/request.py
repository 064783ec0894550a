"""What a command is asked to do: typed, complete, without a trace of the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from image_tools.oci.reference import Reference
from image_tools.plan.selection import Selection
from image_tools.stores.archive.content import Form
from image_tools.stores.archive.inventory import Inventory
from image_tools.stores.archive.others.cache import Foreign
from image_tools.stores.harbor import HarborSetting
from image_tools.web.tls import TlsChoice

AS_THE_LIST_SAYS = "as the list says"


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and a password given for one run; the password never shows in a repr."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """How to reach one end of the copies.

    `registry` is the registry the flags or the environment chose, None where the list decides;
    `login` is meant for that registry, or for the only one the list names on this side.
    """

    registry: str | None = None
    login: Login | None = None
    tls: TlsChoice = TlsChoice()


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A sigstore private key, and its passphrase: in a file, else as it is here."""

    private_key: Path
    passphrase_file: Path | None = None
    passphrase: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveChoice:
    """The archive of a run. `form` is that of a new one; with `replace` a new one is made anyway.

    A new one takes the place of whatever lies there; with `part_size` in bytes it is in volumes.
    With `repair` only what it has lost is brought again.
    """

    path: Path
    form: Form = Form.GZIP
    replace: bool = False
    part_size: int | None = None
    repair: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorRequest:
    """One run of `mirror`; times in seconds, None where there is no limit.

    `harbor` is there when every destination is a Harbor, `archive` when one end is no registry,
    `source_archive` when none is; `foreign` is how an archive of others is opened. An archive
    leaves out what `base` has; `archived_to` says where an image of that base was loaded to.
    `names_platforms` is False where an archive is loaded without --arch, --os and --variant.
    `pull_budget` bounds how many manifests of one registry are read. `goes_to` is what the failed
    list calls the destination: only a run to the same one replaces it.
    """

    source: Side = Side()
    destination: Side = Side()
    selection: Selection = Selection()
    names_platforms: bool = True
    jobs: int = 1
    timeout: float | None = 600.0
    retries: int = 3
    retry_delay: float = 1.0
    state: Path | None = None
    failed: Path | None = None
    wait_lock: float | None = None
    force: bool = False
    overwrite: bool = False
    missing_platform_fails: bool = False
    arch_tags: bool = False
    require_platforms: bool = False
    keep_single: bool = False
    look_behind: bool = False
    ahead: bool = True
    direct: bool = False
    policy: Path | None = None
    insecure_policy: bool = False
    download: bool = True
    dry_run: bool = False
    skip_login: bool = False
    harbor: HarborSetting | None = None
    remove_signatures: bool = False
    keep_digest: bool = False
    signing_key: SigningKey | None = None
    pull_budget: int | None = None
    wait_for_quota: bool = False
    archive: ArchiveChoice | None = None
    source_archive: Path | None = None
    base: Inventory | None = None
    archived_to: Callable[[Reference], Reference] | None = None
    foreign: Foreign = Foreign()
    goes_to: str = AS_THE_LIST_SAYS
