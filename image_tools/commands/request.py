"""The request of a command over an image list, without a trace of the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from image_tools.commands.archives import ArchiveDestination, ArchiveSource
from image_tools.run.endpoints import RegistryEnd
from image_tools.run.options import Options
from image_tools.run.validation import Validation

AS_THE_LIST_SAYS = "as the list says"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A sigstore private key; without `passphrase_file` its passphrase is `passphrase`."""

    private_key: Path
    passphrase_file: Path | None = None
    passphrase: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest:
    """One run over an image list: two ends, what is done, and what belongs to this process.

    The run copies, unless `options.dry_run` is set or there is a `validation`: then it compares
    and writes nothing. `command` is the name that the report and the messages carry.

    `state` is the state file and `failed` the failed list, None for none. `goes_to` is the
    destination as the failed list names it: only a run to the same destination replaces the list.
    `wait_lock` is in seconds, None to give up at once when another run holds a lock.
    Without `download` no tool is downloaded; `skip_login` leaves the preflight out.
    """

    command: str = "mirror"
    source: RegistryEnd | ArchiveSource = RegistryEnd()
    destination: RegistryEnd | ArchiveDestination = RegistryEnd()
    options: Options = Options()
    validation: Validation | None = None
    state: Path | None = None
    failed: Path | None = None
    goes_to: str = AS_THE_LIST_SAYS
    wait_lock: float | None = None
    policy: Path | None = None
    insecure_policy: bool = False
    signing_key: SigningKey | None = None
    remove_signatures: bool = False
    skip_login: bool = False
    download: bool = True

    @property
    def writes(self) -> bool:
        """Return whether the run changes its destination."""
        return self.validation is None and not self.options.dry_run
