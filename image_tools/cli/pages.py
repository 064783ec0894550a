"""The commands as their users see them: options, defaults, examples."""

from __future__ import annotations

from dataclasses import replace

from image_tools.cli import values
from image_tools.cli.options import Group, Note, Option, Page
from image_tools.cli.shared_options import (
    ALLOW_EMPTY,
    ALLOW_UNKNOWN_PLATFORM,
    CA_FILE,
    DEBUG,
    DEFAULT_PROJECT,
    DESTINATION,
    DESTINATION_PROJECT,
    FORMAT,
    QUIET,
    RETRY_DELAY,
    RETRY_TIMES,
    SKIP_INVALID,
    SOURCE,
    SOURCE_PROJECT,
    SPELLING,
    TLS_VERIFY,
    switch,
)

_LIST = Group(
    "The list",
    (
        Option(
            name="file",
            short="f",
            metavar="FILE",
            help="read the image list from FILE, - is standard input; without it, lines are "
            "typed and mirrored one by one",
        ),
        SOURCE,
        DESTINATION,
        DEFAULT_PROJECT,
        SOURCE_PROJECT,
        DESTINATION_PROJECT,
        SKIP_INVALID,
        ALLOW_EMPTY,
    ),
)
_SELECTION = Group(
    "What to copy",
    (
        Option(
            name="arch",
            short="a",
            metavar="ARCH,...",
            help="architectures to copy, or all",
            read=values.words,
            default="amd64,arm64",
            repeats=True,
        ),
        Option(
            name="os",
            metavar="OS,...",
            help="operating systems to copy, or all",
            read=values.words,
            default="linux",
            repeats=True,
        ),
        Option(
            name="variant",
            metavar="VARIANT,...",
            help="variants to copy, such as v7",
            read=values.words,
            repeats=True,
            shown="all",
        ),
        ALLOW_UNKNOWN_PLATFORM,
        Option(
            name="provenance",
            help="attestations of the copied platforms come along",
            read=values.boolean,
            bare="true",
            default="true",
        ),
        switch("no-arch-os-fail", "an image without any wanted platform fails, it is not skipped"),
        switch("require-platforms", "an image fails unless it has every platform you named"),
        switch("keep-single", "publish single-platform images as they are, with their digests"),
        switch("force", "copy even what is unchanged"),
        Option(
            name="depth",
            metavar="DEPTH",
            help="digest compares indexes; tree also looks for every manifest and blob behind "
            "unchanged tags and copies what is missing",
            read=values.one_of("digest", "tree"),
            default="digest",
            choices=("digest", "tree"),
        ),
        switch(
            "overwrite",
            "leave only this run's platforms at the destination; do not merge, or read the tag",
        ),
        switch("arch-tags", "also write a tag for every platform: TAG-linux-amd64"),
        switch("dry-run", "show what would be done, bytes included, and write nothing"),
    ),
)
_HARBOR = Group(
    "Harbor",
    (
        Option(
            name="repo-type",
            metavar="TYPE",
            help="harbor: the destination is a Harbor, whose missing projects are created",
            read=values.repository_type,
            choices=("harbor",),
        ),
        Option(
            name="harbor-https",
            help="false: speak plain HTTP to Harbor's API, whatever its registry speaks",
            read=values.boolean,
            bare="true",
            default="true",
        ),
        switch("harbor-public", "the projects that are created are public, not private"),
    ),
)
_RUNNING = Group(
    "Running",
    (
        Option(
            name="jobs",
            short="j",
            metavar="N",
            help="copies at the same time, 1 to 20",
            read=values.whole_number,
            default="1",
        ),
        Option(
            name="timeout",
            metavar="DURATION",
            help="time for one image, such as 90s or 1h30m; 0 is no limit",
            read=values.limit,
            default="10m",
        ),
        RETRY_TIMES,
        RETRY_DELAY,
        Option(
            name="pull-budget",
            metavar="N",
            help="read at most N manifests (GETs, as Docker Hub counts them) of each source "
            "registry in this run; 0 is nothing but HEADs; the other images are deferred",
            read=values.count,
            shown="what the registry tells",
        ),
        switch(
            "wait-for-quota",
            "where a registry's pull limit is used up, wait until it moves instead of deferring "
            "images; the wait does not count against --timeout",
        ),
        Option(
            name="state",
            metavar="FILE",
            help="remember finished images in FILE",
            shown="in $XDG_STATE_HOME/image-tools",
        ),
        switch("no-state", "remember nothing; compare manifests instead"),
        Option(
            name="wait-lock",
            metavar="DURATION",
            help="wait while another run works on the same destination, without DURATION for ever",
            read=values.patience,
            bare="forever",
            shown="do not wait",
        ),
        switch("no-ahead", "let skopeo move every layer; place none ahead of it"),
        switch("direct", "let skopeo talk to the sources itself, under its own settings"),
        switch("no-download", "do not download skopeo where it is missing"),
    ),
)
_TRUST = Group(
    "Getting in",
    (
        replace(TLS_VERIFY, help="check the certificates of both sides"),
        Option(
            name="src-tls-verify",
            help="the same for the sources alone",
            read=values.boolean,
            bare="true",
        ),
        Option(
            name="dest-tls-verify",
            help="the same for the destinations alone",
            read=values.boolean,
            bare="true",
        ),
        CA_FILE,
        switch("skip-login", "do not try logins and pushes at the destinations before copying"),
        Option(
            name="policy",
            metavar="FILE",
            help="signature policy to apply",
            shown="the machine's policy.json, else all are accepted",
        ),
        switch("insecure-policy", "accept images whatever the signature policy says"),
    ),
)
_SIGNATURES = Group(
    "Signatures",
    (
        switch("remove-signatures", "leave signatures, attestations and SBOMs behind"),
        switch("keep-digest", "also store the source's index, under its digest alone"),
        Option(
            name="sigstore-private-key",
            metavar="KEY",
            help="sign what is copied with the key in the file KEY, as cosign does",
        ),
        Option(
            name="sigstore-passphrase-file",
            metavar="FILE",
            help="the passphrase of that key",
            shown="in $COSIGN_PASSWORD",
        ),
    ),
)
_OUTPUT = Group(
    "Output",
    (
        Option(
            name="failed",
            short="o",
            aliases=("output",),
            metavar="FILE",
            help="write the lines that failed to FILE, ready to be fed in again",
            default="mirror-failed.txt",
        ),
        Option(name="report", metavar="FILE", help="write a report to FILE (JSON)"),
        FORMAT,
        switch("all-rows", "show unchanged images one by one, however many they are"),
        QUIET,
        DEBUG,
    ),
)

EXIT_CODES = Note(
    "Exit codes",
    (
        "0    every image is copied, unchanged or skipped, and not all of them are skipped",
        "1    some images failed, every image was skipped, or lines could not be read",
        "2    the command line or the list as a whole is wrong, or the list is empty",
        "3    this machine lacks something, such as skopeo",
        "4    another run works on the same destination",
        "5    nothing failed, but some images were put off by a pull limit",
        "70   a bug: please report it",
        "130  stopped by Ctrl-C; 143 by SIGTERM",
    ),
)

MIRROR = Page(
    name="mirror",
    summary="copy the images of a list from registry to registry",
    about="Copy the images of a list from registry to registry, the wanted platforms of each as "
    "one multi-platform image. Running again continues: what is there already is not copied.",
    groups=(_LIST, _SELECTION, _HARBOR, _RUNNING, _TRUST, _SIGNATURES, _OUTPUT),
    notes=(
        Note(
            "List format",
            (
                "SOURCE DESTINATION TAG    nginx reg.example:5000/web/nginx 1.25",
                "REFERENCE                 quay.io/coreos/etcd:v3.5 (destination from -d)",
                "# or // begin a comment",
            ),
        ),
        Note(
            "Examples",
            (
                "image-tools mirror -f list.txt -d reg.example:5000 -j 4",
                "image-tools mirror -f list.txt -d reg.example:5000/team --arch all --dry-run",
                "image-tools mirror -f mirror-failed.txt -d reg.example:5000",
                "image-tools mirror -f list.txt -d harbor.example --repo-type harbor",
                "generate-list | image-tools mirror -f - --format json > result.json",
            ),
        ),
        SPELLING,
        Note(
            "Environment",
            (
                "SOURCE_REGISTRY, DOCKER_REGISTRY    like -s and -d, which go first",
                "SOURCE_USERNAME, SOURCE_PASSWORD    login at the source",
                "DOCKER_USERNAME, DOCKER_PASSWORD    login at the destination",
                "DEST_REGISTRY, DEST_USERNAME, ...   read where the DOCKER_ ones are not set",
                "REGISTRY_AUTH_FILE                  login file, else podman's and docker's",
                "HTTPS_PROXY, NO_PROXY               proxies",
                "IMAGE_TOOLS_JOBS=4                  every option has such a variable",
                "NO_COLOR                            no colours",
            ),
        ),
        EXIT_CODES,
    ),
)


VERSION = Page(
    name="version",
    summary="show the versions of this program and of its tools",
    about="Show the versions of image-tools and of the tools it works with, and where they are.",
    groups=(Group("Options", (FORMAT, DEBUG)),),
)
