"""`image-tools load` and `load-validate`: from an archive into a registry."""

from __future__ import annotations

from collections.abc import Mapping

from image_tools.cli.options import Group, Page, changed, group, narrowed, note
from image_tools.cli.run_options import (
    COPY_NAMES,
    EXIT_CODES,
    HARBOR_NAMES,
    RESULT_NAMES,
    ListRunOptions,
    LoadOptions,
    ValidateOptions,
    comparing,
    depth_group,
)
from image_tools.cli.shared_options import FOREIGN_NAMES, FOREIGN_TITLE, SPELLING


class LoadValidateOptions(ValidateOptions, LoadOptions):
    """The options of `load-validate`."""

    failed: str = changed(ListRunOptions, "failed", default="load-validate-failed.txt")


def load(options: LoadOptions, environ: Mapping[str, str]) -> int:
    """Load the images of an archive into a registry; return the exit code."""
    from image_tools.cli.archive_runs import loading, run_out_of_archive

    return run_out_of_archive(loading(options, environ, LOAD.name), options)


def load_validate(options: LoadValidateOptions, environ: Mapping[str, str]) -> int:
    """Compare an archive with a registry; return the exit code."""
    from image_tools.cli.archive_runs import loading, run_out_of_archive
    from image_tools.cli.list_runs import validating
    from image_tools.cli.request import wished_depth

    # A validation writes nothing else, but its failed list is wanted.
    options = narrowed(type(options), options, dry_run=False)
    validation = wished_depth(options)
    setting = loading(options, environ, LOAD_VALIDATE.name)
    return run_out_of_archive(validating(setting, validation), options)


def _groups(kind: type[LoadOptions]) -> tuple[Group, ...]:
    return (
        group("The archive", kind, "source compress file source-registry skip-invalid allow-empty"),
        group("The registry", kind, "destination default-project project"),
        group("What to load", kind, f"{COPY_NAMES} overwrite depth arch-tags dry-run"),
        group(FOREIGN_TITLE, kind, FOREIGN_NAMES),
        group("Harbor", kind, HARBOR_NAMES),
        group(
            "Running",
            kind,
            "jobs timeout retry-times retry-delay state no-state wait-lock no-ahead no-download",
        ),
        group("Getting in", kind, "tls-verify ca-file skip-login"),
        group(
            "Signatures",
            kind,
            "remove-signatures keep-digest sigstore-private-key sigstore-passphrase-file",
        ),
        group("Output", kind, RESULT_NAMES),
    )


LOAD = Page(
    name="load",
    kind=LoadOptions,
    run=load,
    summary="load the images of an archive into a registry",
    about="Load the images of an archive, all of them or those of a list, into a registry. Nothing "
    "is unpacked, and every digest is checked before it is there. Running again goes on: what is "
    "there already is not sent again. Archives of docker save, skopeo, crane, oras and of this "
    "program's predecessor are loaded, too, through a private folder.",
    groups=_groups(LoadOptions),
    notes=(
        note(
            "Examples",
            "image-tools load -s images.tar.gz -d reg.example:5000 -j 4",
            "image-tools load -s saved-image-cache -d reg.example:5000/team -f list.txt",
            "image-tools load -s images.tar.gz -d harbor.example --repo-type harbor",
            "image-tools load -s images.tar.gz -d reg.example:5000 -f load-failed.txt",
        ),
        SPELLING,
        EXIT_CODES,
    ),
)

(*_KEPT, _OUTPUT), _IDLE = comparing(_groups(LoadValidateOptions), "load")
LOAD_VALIDATE = Page(
    name="load-validate",
    aliases=("load validate",),
    kind=LoadValidateOptions,
    run=load_validate,
    summary="compare the images of an archive with those in a registry",
    about="Check that a registry holds the images of an archive as the options ask, by digest and "
    "platform of every entry. Nothing is written; images that differ are written to a list that "
    "load takes.",
    groups=(*_KEPT, depth_group(LoadValidateOptions), _OUTPUT, _IDLE),
    notes=(
        note(
            "Examples",
            "image-tools load-validate -s images.tar.gz -d reg.example:5000 -j 8",
            "image-tools load-validate -s saved-image-cache -d reg.example:5000 --depth tree",
            "image-tools load -s images.tar.gz -d reg.example:5000 -f load-validate-failed.txt",
        ),
        EXIT_CODES,
    ),
)
