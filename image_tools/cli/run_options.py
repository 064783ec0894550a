"""Options of the verbs that work on image lists, by what the two ends of a run are."""

from __future__ import annotations

from dataclasses import replace

from image_tools.cli import values
from image_tools.cli.options import (
    Group,
    VerbOptions,
    changed,
    group,
    note,
    omitted,
    option,
    switch,
    word,
)
from image_tools.cli.shared_options import (
    PLATFORM_NAMES,
    DestinationOptions,
    ForeignOptions,
    ListOptions,
    PlatformOptions,
    RegistryOptions,
    ResultOptions,
    SourceOptions,
)

COPY_NAMES = f"{PLATFORM_NAMES} require-platforms keep-single force"
HARBOR_NAMES = "repo-type harbor-https harbor-public"
_WRITING_NAMES = (
    "force arch-tags dry-run state no-state wait-lock no-ahead direct no-download skip-login "
    "policy insecure-policy remove-signatures keep-digest sigstore-private-key "
    "sigstore-passphrase-file part part-size replace repair yes"
)
RESULT_NAMES = "failed report format all-rows quiet debug"
WAIT_FOR_ARCHIVE = "wait while another run works on the same archive, without DURATION for ever"

EXIT_CODES = note(
    "Exit codes",
    "0    every image is copied, unchanged or skipped, and not all of them are skipped",
    "1    some images failed, every image was skipped, or lines could not be read",
    "2    the command line or the list as a whole is wrong, or the list is empty",
    "3    this machine lacks something, such as skopeo",
    "4    another run works on the same destination",
    "5    nothing failed, but some images were put off by a pull limit",
    "70   a bug: please report it",
    "130  stopped by Ctrl-C; 143 by SIGTERM",
)


class ToolOptions(VerbOptions):
    """How many images are worked on at once, the lock, and the external tools."""

    jobs: int = option(
        "copies at the same time, 1 to 20",
        read=values.whole_number,
        default="1",
        short="j",
        metavar="N",
    )
    wait_lock: float | None = option(
        "wait while another run works on the same destination, without DURATION for ever",
        read=values.patience,
        bare="forever",
        metavar="DURATION",
        shown="do not wait",
    )
    no_ahead: bool = switch("let skopeo move every layer; place none ahead of it")
    no_download: bool = switch("do not download skopeo where it is missing")


class ListRunOptions(ListOptions, PlatformOptions, ToolOptions, ResultOptions):
    """The options of every run over an image list, whatever its two ends are."""

    failed: str = option(
        "write the lines that failed to FILE, ready to be fed in again",
        default="mirror-failed.txt",
        short="o",
        aliases=("output",),
        metavar="FILE",
    )


class RemoteRunOptions(ListRunOptions, RegistryOptions):
    """The options of a run over an image list with a registry at one end. Times are in seconds."""

    require_platforms: bool = switch("an image fails unless it has every platform you named")
    keep_single: bool = switch("publish single-platform images as they are, with their digests")
    force: bool = switch("copy even what is unchanged")
    overwrite: bool = switch(
        "leave only this run's platforms at the destination; do not merge, or read the tag"
    )
    dry_run: bool = switch("show what would be done, bytes included, and write nothing")
    timeout: float | None = option(
        "time for one image, such as 90s or 1h30m; 0 is no limit",
        read=values.limit,
        default="10m",
        metavar="DURATION",
    )
    remove_signatures: bool = switch("leave signatures, attestations and SBOMs behind")
    keep_digest: bool = switch("also store the source's index, under its digest alone")


class PullOptions(RemoteRunOptions, SourceOptions):
    """The options of a run whose source is a registry."""

    source_project: str | None = option(
        "take all images from PROJECT: only the last part of their names stays", metavar="PROJECT"
    )
    pull_budget: int | None = option(
        "read at most N manifests (GETs, as Docker Hub counts them) of each source "
        "registry in this run; 0 is nothing but HEADs; the other images are deferred",
        read=values.count,
        metavar="N",
        shown="what the registry tells",
    )
    wait_for_quota: bool = switch(
        "where a registry's pull limit is used up, wait until it moves instead of deferring "
        "images; the wait does not count against --timeout"
    )
    direct: bool = switch("let skopeo talk to the sources itself, under its own settings")
    policy: str | None = option(
        "signature policy to apply",
        metavar="FILE",
        shown="the machine's policy.json, else all are accepted",
    )
    insecure_policy: bool = switch("accept images whatever the signature policy says")


class PushOptions(RemoteRunOptions, DestinationOptions):
    """The options of a run whose destination is a registry."""

    depth: str = word(
        "digest compares indexes; tree also looks for every manifest and blob behind "
        "unchanged tags and copies what is missing",
        "digest",
        "tree",
        metavar="DEPTH",
        default="digest",
    )
    arch_tags: bool = switch("also write a tag for every platform: TAG-linux-amd64")
    repo_type: str | None = option(
        "harbor: the destination is a Harbor, whose missing projects are created",
        read=values.repository_type,
        choices=("harbor",),
        metavar="TYPE",
    )
    harbor_https: bool = option(
        "false: speak plain HTTP to Harbor's API, whatever its registry speaks",
        read=values.boolean,
        bare="true",
        default="true",
    )
    harbor_public: bool = switch("the projects that are created are public, not private")
    state: str | None = option(
        "remember finished images in FILE", metavar="FILE", shown="in $XDG_STATE_HOME/image-tools"
    )
    no_state: bool = switch("remember nothing; compare manifests instead")
    skip_login: bool = switch("do not try logins and pushes at the destinations before copying")
    sigstore_private_key: str | None = option(
        "sign what is copied with the key in the file KEY, as cosign does", metavar="KEY"
    )
    sigstore_passphrase_file: str | None = option(
        "the passphrase of that key", metavar="FILE", shown="in $COSIGN_PASSWORD"
    )


class MirrorOptions(PullOptions, PushOptions):
    """The options of a run between registries."""

    file: str | None = option(
        "read the image list from FILE, - is standard input; without it, lines are "
        "typed and mirrored one by one",
        short="f",
        metavar="FILE",
    )
    destination_project: str | None = option(
        "copy all images to PROJECT: only the last part of their names stays", metavar="PROJECT"
    )
    tls_verify: bool | None = changed(
        RegistryOptions, "tls_verify", help="check the certificates of both sides"
    )
    src_tls_verify: bool | None = option(
        "the same for the sources alone", read=values.boolean, bare="true"
    )
    dest_tls_verify: bool | None = option(
        "the same for the destinations alone", read=values.boolean, bare="true"
    )


class NewArchiveOptions(VerbOptions):
    """The archive that is written: its form, and whether it may replace another one."""

    compress: str | None = word(
        "form of a new archive: gzip, zstd or none for a file, dir for a folder",
        "gzip",
        "zstd",
        "none",
        "dir",
        short="c",
        metavar="FORM",
        shown="gzip",
    )
    part: bool = switch("write a new archive in volumes, FILE.part1 and so on, that FAT32 can hold")
    part_size: int | None = option(
        "volumes of at most SIZE: 4G, 500M (in 1024s), 4GB (in 1000s), or bytes",
        read=values.size,
        metavar="SIZE",
        shown="4G",
    )
    replace: bool = switch("make the archive anew: what it holds and the list does not, goes")
    yes: bool = option(
        "do not ask before something is replaced",
        short="y",
        aliases=("auto-yes",),
        read=values.boolean,
        bare="true",
        default="false",
    )


class IntoArchiveOptions(NewArchiveOptions):
    """The archive that is written, and its name."""

    destination: str | None = option(
        "the archive, a file or a folder; by the ending of a new one's name its form is chosen",
        short="d",
        metavar="FILE",
        shown="saved-images.tar.gz, or by the form",
        stands_for="archive",
    )


class PullIntoArchiveOptions(PullOptions):
    """The options of a run from a registry into an archive."""

    file: str = changed(ListOptions, "file", required=True)
    overwrite: bool = changed(
        RemoteRunOptions,
        "overwrite",
        help="leave only this run's platforms in the archive, do not merge",
    )
    tls_verify: bool | None = changed(
        RegistryOptions, "tls_verify", help="check the certificates of the sources"
    )
    wait_lock: float | None = changed(ToolOptions, "wait_lock", help=WAIT_FOR_ARCHIVE)


class OutOfArchiveOptions(ListRunOptions):
    """The options of a run over an image list whose source is an archive."""

    source: str = option(
        "the archive, a file or a folder",
        required=True,
        short="s",
        metavar="FILE",
        stands_for="archive",
    )
    allow_empty: bool = switch("accept a list or an archive without images: exit with 0")
    arch: tuple[str, ...] = changed(PlatformOptions, "arch", default="all")
    os: tuple[str, ...] = changed(PlatformOptions, "os", default="all")


class LoadOptions(ForeignOptions, OutOfArchiveOptions, PushOptions):
    """The options of a run from an archive into a registry."""

    compress: str | None = changed(
        NewArchiveOptions, "compress", help="accepted; the form is told by the content", shown=""
    )
    file: str | None = changed(
        ListOptions, "file", help="load only the images that the list in FILE names"
    )
    source_registry: str | None = option(
        "look for the images of that list under REGISTRY, whatever the list says",
        metavar="REGISTRY",
    )
    project: str | None = option(
        "load all images into PROJECT: only the last part of their names stays",
        aliases=("destination-project",),
        metavar="PROJECT",
    )
    tls_verify: bool | None = changed(
        RegistryOptions, "tls_verify", help="check the certificate of the destination"
    )
    failed: str = changed(ListRunOptions, "failed", default="load-failed.txt")


class ArchiveCopyOptions(ForeignOptions, NewArchiveOptions, OutOfArchiveOptions):
    """The options of a run between archives."""

    destination: str = changed(
        IntoArchiveOptions,
        "destination",
        help="the archive to write, a new one or one to add to",
        shown="",
        required=True,
    )
    file: str | None = changed(
        ListOptions, "file", help="copy only the images that the list in FILE names"
    )
    wait_lock: float | None = changed(ToolOptions, "wait_lock", help=WAIT_FOR_ARCHIVE)
    failed: str = changed(ListRunOptions, "failed", default="archive-export-failed.txt")


class ValidateOptions(VerbOptions):
    """How deep a comparison looks; `sample` is a part from 0 to 1."""

    depth: str = word(
        "digest compares indexes; tree also looks for every manifest and blob behind "
        "them; content also reads and hashes the blobs",
        "digest",
        "tree",
        "content",
        metavar="DEPTH",
        default="digest",
    )
    sample: float = option(
        "read only this part of the blobs at depth content",
        read=values.percentage,
        default="100%",
        metavar="PERCENT",
    )


def depth_group(kind: type[ValidateOptions]) -> Group:
    """Return how deep a validation looks."""
    return group("How deep to look", kind, "depth sample")


def comparing(groups: tuple[Group, ...], verb: str) -> tuple[tuple[Group, ...], Group]:
    """Return the `groups` of `verb` for its validation: what has an effect there, and the rest.

    The rest is accepted, so that a command line can be used for both.
    """
    writing = _WRITING_NAMES.split()
    idle = tuple(
        replace(option, help=f"accepted, so that the options of a {verb} can be used again")
        for group in groups
        for option in group.options
        if option.name in writing
    )
    kept = omitted(groups, [*writing, "depth"])
    return kept, Group(f"Of {verb}, without effect here", idle)
