"""The commands around `mirror` as their users see them: looking, deleting, converting."""

from __future__ import annotations

from dataclasses import replace

from image_tools.cli import values
from image_tools.cli.options import Group, Note, Operand, Option, Page
from image_tools.cli.shared_options import (
    ALLOW_EMPTY,
    ALLOW_UNKNOWN_PLATFORM,
    DEBUG,
    DEFAULT_PROJECT,
    DESTINATION,
    FORMAT,
    GETTING_IN,
    SKIP_INVALID,
    SOURCE,
    SPELLING,
    format_option,
    switch,
)

SHELLS = ("bash", "zsh", "fish")

IMAGE = Operand(
    name="reference",
    metavar="REF",
    help="the image: REGISTRY/REPOSITORY:TAG, or @sha256:... behind it; docker.io and latest "
    "may be left out",
)
_READ_LOGIN = Note(
    "Environment",
    (
        "SOURCE_USERNAME, SOURCE_PASSWORD    login, for SOURCE_REGISTRY where that is set",
        "DOCKER_USERNAME, DOCKER_PASSWORD    login for DOCKER_REGISTRY alone",
        "REGISTRY_AUTH_FILE                  login file, else podman's and docker's",
    ),
)

LIST_TAGS = Page(
    name="list-tags",
    summary="list the tags of a repository in the order of their versions",
    about="List the tags of a repository, versions first and counted as versions are: 1.9 before "
    "1.10, release candidates before their release.",
    operands=(
        Operand(name="repository", metavar="REPOSITORY", help="REGISTRY/REPOSITORY, without a tag"),
    ),
    groups=(
        Group(
            "Options",
            (
                Option(
                    name="filter",
                    metavar="REGEX",
                    help="only tags in which this regular expression is found",
                    read=values.pattern,
                    once=True,
                ),
                FORMAT,
                DEBUG,
            ),
        ),
        GETTING_IN,
    ),
    notes=(
        Note(
            "Examples",
            (
                "image-tools list-tags nginx",
                "image-tools list-tags reg.example:5000/team/api --filter '^v?2[.]' --format json",
            ),
        ),
        _READ_LOGIN,
    ),
)

INSPECT = Page(
    name="inspect",
    summary="show platforms, digests, sizes and signatures of an image",
    about="Show what a registry tells of an image without pulling it: its platforms with digest, "
    "size, layers, date and attestations, and what is attached to it, such as signatures.",
    operands=(IMAGE,),
    groups=(
        Group(
            "Options",
            (
                switch("raw", "write the manifest's bytes exactly as the registry holds them"),
                switch("config", "write the image's config; with --raw its exact bytes"),
                Option(name="override-arch", metavar="ARCH", help="only this architecture"),
                Option(name="override-os", metavar="OS", help="only this operating system"),
                Option(name="override-variant", metavar="VARIANT", help="only this variant"),
                ALLOW_UNKNOWN_PLATFORM,
                FORMAT,
                DEBUG,
            ),
        ),
        GETTING_IN,
    ),
    notes=(
        Note(
            "Which platform",
            (
                "--raw shows the index itself, or with --override-... the manifest of one platform",
                "--config shows the platform of this machine, or the one --override-... names",
            ),
        ),
        Note(
            "Examples",
            (
                "image-tools inspect nginx:1.25",
                "image-tools inspect --raw reg.example:5000/team/api:2.1.0",
                "image-tools inspect --config --override-arch arm64 nginx:1.25",
                "image-tools inspect list -f list.txt --format csv",
            ),
        ),
        _READ_LOGIN,
    ),
)

INSPECT_LIST = Page(
    name="inspect list",
    summary="show the images of a list, one row for each line",
    about="Show the images a list names, one row for each line: whether it is there, its digest "
    "and its platforms. Of SOURCE DESTINATION TAG lines the source is looked at.",
    groups=(
        Group(
            "Options",
            (
                Option(
                    name="file",
                    short="f",
                    metavar="FILE",
                    help="read the image list from FILE, - is standard input",
                    required=True,
                ),
                SOURCE,
                SKIP_INVALID,
                ALLOW_EMPTY,
                switch("sizes", "also read every platform's manifest, for the sizes"),
                format_option("table", "json", "csv"),
                DEBUG,
            ),
        ),
        GETTING_IN,
    ),
    notes=(
        Note(
            "Examples",
            (
                "image-tools inspect list -f list.txt -s reg.example:5000",
                "image-tools inspect list -f list.txt --sizes --format csv > images.csv",
            ),
        ),
        _READ_LOGIN,
        Note(
            "Exit codes",
            (
                "0    every image was found",
                "1    some images were not, or lines could not be read",
                "2    the command line is wrong, or the list is empty",
            ),
        ),
    ),
)

DELETE = Page(
    name="delete",
    summary="delete an image from a registry, with all its tags",
    about="Delete an image from a registry. A registry deletes by digest: all tags that lead to "
    "the same digest go with it, and they are shown first.",
    operands=(
        Operand(
            name="reference",
            metavar="REF",
            help="the image: REGISTRY/REPOSITORY:TAG, or REGISTRY/REPOSITORY@sha256:...",
        ),
    ),
    groups=(
        Group(
            "Options",
            (
                switch("yes", "do not ask; needed where there is no terminal", short="y"),
                FORMAT,
                DEBUG,
            ),
        ),
        GETTING_IN,
    ),
    notes=(
        Note(
            "Examples",
            (
                "image-tools delete reg.example:5000/team/api:2.0.0",
                "image-tools delete -y reg.example:5000/team/api:2.0.0",
            ),
        ),
        Note(
            "Environment",
            (
                "DOCKER_USERNAME, DOCKER_PASSWORD    login, for DOCKER_REGISTRY where that is set",
                "DEST_REGISTRY, DEST_USERNAME, ...   read where the DOCKER_ ones are not set",
                "REGISTRY_AUTH_FILE                  login file, else podman's and docker's",
            ),
        ),
        Note(
            "Exit codes",
            (
                "0    the image is deleted",
                "1    it is not: not found, not allowed, or the answer was no",
            ),
        ),
    ),
)

CONVERT_LIST = Page(
    name="convert-list",
    summary="convert an image list to the mirror format, or back",
    about="Convert an image list to the mirror format, SOURCE DESTINATION TAG, or with --reverse "
    "to the default format, one REFERENCE a line. Comments and blank lines stay where they are.",
    groups=(
        Group(
            "Options",
            (
                Option(
                    name="input",
                    short="i",
                    metavar="FILE",
                    help="read the image list from FILE, - is standard input",
                    required=True,
                ),
                Option(
                    name="output",
                    short="o",
                    metavar="FILE",
                    help="write the new list to FILE, - is standard output",
                    default="-",
                ),
                SOURCE,
                replace(
                    DESTINATION,
                    help="destination of all images, with a path if you like; with --reverse "
                    "the one that is left out of the lines",
                ),
                DEFAULT_PROJECT,
                ALLOW_EMPTY,
                switch("reverse", "to the default format; what that cannot say stays as it is"),
                DEBUG,
            ),
        ),
    ),
    notes=(
        Note(
            "Examples",
            (
                "image-tools convert-list -i list.txt -d reg.example:5000 -o mirror-list.txt",
                "image-tools convert-list -i mirror-list.txt --reverse",
            ),
        ),
        SPELLING,
        Note(
            "Exit codes",
            (
                "0    all lines were read",
                "1    some could not be: they stand in the new list",
                "2    the command line is wrong, or the list is empty: nothing is written",
            ),
        ),
    ),
)

COMPLETION = Page(
    name="completion",
    summary="write a completion script for a shell",
    about="Write a script to standard output that lets a shell complete the commands, options "
    "and values of image-tools.",
    operands=(Operand(name="shell", metavar="SHELL", help="bash, zsh or fish", choices=SHELLS),),
    groups=(Group("Options", (DEBUG,)),),
    notes=(
        Note(
            "To have it in every session",
            (
                "bash: echo 'source <(image-tools completion bash)' >> ~/.bashrc",
                "zsh:  echo 'source <(image-tools completion zsh)' >> ~/.zshrc, after compinit",
                "fish: image-tools completion fish > ~/.config/fish/completions/image-tools.fish",
            ),
        ),
    ),
)
