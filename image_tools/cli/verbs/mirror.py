"""`image-tools mirror` and `mirror-validate`."""

from __future__ import annotations

from collections.abc import Mapping

from image_tools.cli.options import Group, Page, changed, group, narrowed, note
from image_tools.cli.run_options import (
    COPY_NAMES,
    EXIT_CODES,
    HARBOR_NAMES,
    RESULT_NAMES,
    ListRunOptions,
    MirrorOptions,
    ValidateOptions,
    comparing,
    depth_group,
)
from image_tools.cli.shared_options import SPELLING
from image_tools.errors import UsageError


class MirrorValidateOptions(ValidateOptions, MirrorOptions):
    """The options of `mirror-validate`."""

    failed: str = changed(ListRunOptions, "failed", default="mirror-validate-failed.txt")


def mirror(options: MirrorOptions, environ: Mapping[str, str]) -> int:
    """Copy the images of a list, or of lines as they are typed; return the exit code.

    ImageToolsError for what stops the whole run; a failed image is only part of the report.
    """
    from image_tools.cli.list_runs import run_list, setting_of

    if options.file is None and options.dry_run:
        raise UsageError("--dry-run needs a whole list", advice="give it with -f FILE or -f -")
    return run_list(setting_of(options, environ, MIRROR.name), options)


def mirror_validate(options: MirrorValidateOptions, environ: Mapping[str, str]) -> int:
    """Compare the images of a list with their destinations; return the exit code."""
    from image_tools.cli.list_runs import run_list, setting_of, validating
    from image_tools.cli.request import wished_depth

    # A validation writes nothing else, but its failed list is wanted.
    options = narrowed(type(options), options, dry_run=False)
    validation = wished_depth(options)
    setting = setting_of(options, environ, MIRROR_VALIDATE.name)
    return run_list(validating(setting, validation), options)


def _groups(kind: type[MirrorOptions]) -> tuple[Group, ...]:
    return (
        group(
            "The list",
            kind,
            "file source destination default-project source-project destination-project "
            "skip-invalid allow-empty",
        ),
        group("What to copy", kind, f"{COPY_NAMES} depth overwrite arch-tags dry-run"),
        group("Harbor", kind, HARBOR_NAMES),
        group(
            "Running",
            kind,
            "jobs timeout retry-times retry-delay pull-budget wait-for-quota state no-state "
            "wait-lock no-ahead direct no-download",
        ),
        group(
            "Getting in",
            kind,
            "tls-verify src-tls-verify dest-tls-verify ca-file skip-login policy insecure-policy",
        ),
        group(
            "Signatures",
            kind,
            "remove-signatures keep-digest sigstore-private-key sigstore-passphrase-file",
        ),
        group("Output", kind, RESULT_NAMES),
    )


MIRROR = Page(
    name="mirror",
    kind=MirrorOptions,
    run=mirror,
    summary="copy the images of a list from registry to registry",
    about="Copy the images of a list from registry to registry, the wanted platforms of each as "
    "one multi-platform image. Running again continues: what is there already is not copied.",
    groups=_groups(MirrorOptions),
    notes=(
        note(
            "List format",
            "SOURCE DESTINATION TAG    nginx reg.example:5000/web/nginx 1.25",
            "REFERENCE                 quay.io/coreos/etcd:v3.5 (destination from -d)",
            "# or // begin a comment",
        ),
        note(
            "Examples",
            "image-tools mirror -f list.txt -d reg.example:5000 -j 4",
            "image-tools mirror -f list.txt -d reg.example:5000/team --arch all --dry-run",
            "image-tools mirror -f mirror-failed.txt -d reg.example:5000",
            "image-tools mirror -f list.txt -d harbor.example --repo-type harbor",
            "generate-list | image-tools mirror -f - --format json > result.json",
        ),
        SPELLING,
        note(
            "Environment",
            "SOURCE_REGISTRY, DOCKER_REGISTRY    like -s and -d, which go first",
            "SOURCE_USERNAME, SOURCE_PASSWORD    login at the source",
            "DOCKER_USERNAME, DOCKER_PASSWORD    login at the destination",
            "DEST_REGISTRY, DEST_USERNAME, ...   read where the DOCKER_ ones are not set",
            "REGISTRY_AUTH_FILE                  login file, else podman's and docker's",
            "HTTPS_PROXY, NO_PROXY               proxies",
            "IMAGE_TOOLS_JOBS=4                  every option has such a variable",
            "NO_COLOR                            no colours",
        ),
        EXIT_CODES,
    ),
)

_KEPT, _IDLE = comparing(_groups(MirrorValidateOptions), "mirror")
MIRROR_VALIDATE = Page(
    name="mirror-validate",
    aliases=("mirror validate",),
    kind=MirrorValidateOptions,
    run=mirror_validate,
    summary="compare the images of a list with their destinations",
    about="Check that the destinations hold the images of a list as the options ask, by digest and "
    "platform of every entry. No registry is written to; images that differ are written to a list "
    "that mirror takes.",
    groups=(*_KEPT, depth_group(MirrorValidateOptions), _IDLE),
    notes=(
        note(
            "Examples",
            "image-tools mirror-validate -f list.txt -d reg.example:5000 -j 8",
            "image-tools mirror-validate -f list.txt -d reg.example:5000 --depth tree",
            "image-tools mirror-validate -f list.txt -d reg.example:5000 --depth content "
            "--sample 5%",
            "image-tools mirror -f mirror-validate-failed.txt -d reg.example:5000",
        ),
        EXIT_CODES,
    ),
)
