"""`merge-manifest` as its users see it."""

from __future__ import annotations

from dataclasses import replace

from image_tools.cli.options import Group, Note, Operand, Page
from image_tools.cli.pages_around import IMAGE
from image_tools.cli.shared_options import DEBUG, GETTING_IN, switch

MERGE_MANIFEST = Page(
    name="merge-manifest",
    summary="compose one multi-platform image of several images",
    about="Compose one index of several images or indexes, each platform once, and publish it at "
    "DEST. What it lists is copied there; what lay under the tag before is replaced, unless it is "
    "one of the sources. The index is written to standard output.",
    operands=(
        Operand(
            name="destination",
            metavar="DEST",
            help="the tag to write: REGISTRY/REPOSITORY:TAG",
        ),
        replace(IMAGE, name="first", metavar="SRC"),
        Operand(
            name="sources",
            metavar="SRC...",
            help="more images, in the order their platforms are to have",
            several=True,
        ),
    ),
    groups=(
        Group(
            "Options",
            (
                switch("dry-run", "show the index and write nothing"),
                switch(
                    "overwrite",
                    "where two sources have different images of one platform, take the later one",
                ),
                switch("insecure-policy", "accept images whatever the signature policy says"),
                switch("no-download", "do not download skopeo where it is missing"),
                DEBUG,
            ),
        ),
        GETTING_IN,
    ),
    notes=(
        Note(
            "Examples",
            (
                "image-tools merge-manifest reg.example:5000/team/api:2.1 "
                "reg.example:5000/team/api:2.1-amd64 reg.example:5000/team/api:2.1-arm64",
                "image-tools merge-manifest --dry-run reg.example:5000/web/nginx:1.25 "
                "nginx:1.25 reg.example:5000/web/nginx:1.25-riscv64",
            ),
        ),
        Note(
            "Environment",
            (
                "SOURCE_USERNAME, SOURCE_PASSWORD    login, for SOURCE_REGISTRY where that is set",
                "DOCKER_USERNAME, DOCKER_PASSWORD    login, for DOCKER_REGISTRY where that is set",
                "REGISTRY_AUTH_FILE                  login file, else podman's and docker's",
            ),
        ),
        Note(
            "Exit codes",
            (
                "0    the index is published, was there already, or with --dry-run is possible",
                "1    it is not: a source is missing, or a registry refused",
                "2    the sources do not fit together",
                "3    this machine lacks something, such as skopeo",
            ),
        ),
    ),
)
