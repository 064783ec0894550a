"""`image-tools save`, `sync` and `save-validate`: from registries into an archive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from image_tools.cli.options import Group, Page, changed, group, narrowed, note, option, switch
from image_tools.cli.run_options import (
    COPY_NAMES,
    EXIT_CODES,
    RESULT_NAMES,
    IntoArchiveOptions,
    ListRunOptions,
    PullIntoArchiveOptions,
    ValidateOptions,
    comparing,
    depth_group,
)
from image_tools.cli.shared_options import SPELLING


class SyncOptions(PullIntoArchiveOptions):
    """The options of `sync`."""

    destination: str = changed(
        IntoArchiveOptions, "destination", help="the archive", shown="", required=True
    )
    failed: str = changed(ListRunOptions, "failed", default="sync-failed.txt")


class SaveOptions(IntoArchiveOptions, PullIntoArchiveOptions):
    """The options of `save`."""

    base: str | None = option(
        "leave out what is there already: an inventory, an archive, or REGISTRY[/PATH]",
        metavar="WHAT",
    )
    repair: bool = switch("fetch again what the archive has lost, lost volumes too, nothing else")
    failed: str = changed(ListRunOptions, "failed", default="save-failed.txt")


class SaveValidateOptions(ValidateOptions, SaveOptions):
    """The options of `save-validate`."""

    failed: str = changed(ListRunOptions, "failed", default="save-validate-failed.txt")


def save(options: SaveOptions, environ: Mapping[str, str]) -> int:
    """Save the images of a list; return the exit code, 1 too where nothing may be replaced."""
    from loguru import logger

    from image_tools.cli.archive_choice import chosen_archive, may_begin, repaired_archive
    from image_tools.cli.archive_runs import saving
    from image_tools.cli.list_runs import run_list

    choice = chosen_archive(options)
    if options.repair:
        choice = repaired_archive(choice, dry_run=options.dry_run)
        setting = saving(options, environ, choice, SAVE.name, options.base)
        request = setting.request
        request = replace(request, options=replace(request.options, force=True))
        return run_list(replace(setting, request=request), options)
    setting = saving(options, environ, choice, SAVE.name, options.base)
    if not may_begin(choice, options, asks=not options.dry_run):
        logger.warning("nothing was saved")
        return 1
    return run_list(setting, options)


def sync(options: SyncOptions, environ: Mapping[str, str]) -> int:
    """Add the images of a list to an archive that is there; return the exit code."""
    from image_tools.cli.archive_choice import existing_archive
    from image_tools.cli.archive_runs import saving
    from image_tools.cli.list_runs import run_list

    choice = existing_archive(options.destination)
    return run_list(saving(options, environ, choice, SYNC.name), options)


def save_validate(options: SaveValidateOptions, environ: Mapping[str, str]) -> int:
    """Compare the images of a list with those of an archive; return the exit code."""
    from image_tools.cli.archive_choice import chosen_archive
    from image_tools.cli.archive_runs import saving
    from image_tools.cli.list_runs import run_list, validating
    from image_tools.cli.request import wished_depth

    # A validation writes nothing else, but its failed list is wanted.
    options = narrowed(type(options), options, dry_run=False, replace=False, repair=False)
    choice = chosen_archive(options)
    setting = saving(options, environ, choice, SAVE_VALIDATE.name, options.base)
    return run_list(validating(setting, wished_depth(options)), options)


def _groups(kind: type[PullIntoArchiveOptions], archive: str) -> tuple[Group, ...]:
    return (
        group("The list", kind, "file source source-project skip-invalid allow-empty"),
        group("The archive", kind, archive),
        group("What to save", kind, f"{COPY_NAMES} overwrite dry-run"),
        group(
            "Running",
            kind,
            "jobs timeout retry-times retry-delay pull-budget wait-for-quota no-ahead direct "
            "no-download wait-lock",
        ),
        group("Getting in", kind, "tls-verify ca-file policy insecure-policy"),
        group("Signatures", kind, "remove-signatures keep-digest"),
        group("Output", kind, RESULT_NAMES),
    )


_NEW_ARCHIVE = "destination compress part part-size base replace repair yes"
SAVE = Page(
    name="save",
    kind=SaveOptions,
    run=save,
    summary="save the images of a list into an archive",
    about="Save the images of a list into an archive, one file or a folder, that load brings into "
    "a registry elsewhere and that other tools can read (OCI image layout). Running again goes on: "
    "what has arrived is not fetched again, and what is in the archive and unchanged costs one "
    "request. Images of the archive that the list does not name stay, unless --replace is given.",
    groups=_groups(SaveOptions, _NEW_ARCHIVE),
    notes=(
        note(
            "Examples",
            "image-tools save -f list.txt -d images.tar.gz -j 4",
            "image-tools save -f list.txt -d images.tar.zst --arch all --os all",
            "image-tools save -f list.txt --compress dir -d saved-image-cache",
            "image-tools save -f list.txt -d images.tar.gz --part-size 4G",
            "image-tools save -f list.txt -d images.tar.gz --repair",
            "image-tools save -f save-failed.txt -d images.tar.gz",
            "image-tools save -f list.txt -d friday.tar.gz --base monday.tar.gz",
        ),
        SPELLING,
        EXIT_CODES,
    ),
)

SYNC = Page(
    name="sync",
    kind=SyncOptions,
    run=sync,
    summary="add the images of a list to an archive that is there",
    about="Add to an archive what it lacks of the images of a list, or has in another version, "
    "without writing again what it holds. The archive is as it was until the end, and then whole.",
    groups=_groups(SyncOptions, "destination"),
    notes=(note("Examples", "image-tools sync -f more.txt -d images.tar.gz"), EXIT_CODES),
)

(*_KEPT, _OUTPUT), _IDLE = comparing(_groups(SaveValidateOptions, _NEW_ARCHIVE), "save")
SAVE_VALIDATE = Page(
    name="save-validate",
    aliases=("save validate", "sync-validate", "sync validate"),
    kind=SaveValidateOptions,
    run=save_validate,
    summary="compare the images of a list with those in an archive",
    about="Check that an archive holds the images of a list as the options ask, by digest and "
    "platform of every entry. Nothing is written; images that differ are written to a list that "
    "save and sync take.",
    groups=(*_KEPT, depth_group(SaveValidateOptions), _OUTPUT, _IDLE),
    notes=(
        note(
            "Examples",
            "image-tools save-validate -f list.txt -d images.tar.gz",
            "image-tools save-validate -f list.txt -d images.tar.gz --depth content",
        ),
        EXIT_CODES,
    ),
)
