"""The commands about getting in, as their users see them: login, logout, doctor."""

from __future__ import annotations

from dataclasses import replace

from image_tools.cli.options import Group, Note, Operand, Option, Page
from image_tools.cli.shared_options import (
    CA_FILE,
    DEBUG,
    DEFAULT_PROJECT,
    DESTINATION,
    FORMAT,
    GETTING_IN,
    RETRY_DELAY,
    RETRY_TIMES,
    SOURCE,
    TLS_VERIFY,
    switch,
)

_REGISTRY = Operand(
    name="registry", metavar="REGISTRY", help="the registry: HOST or HOST:PORT, such as docker.io"
)
_PLACES = Note(
    "Where logins are kept",
    (
        "$REGISTRY_AUTH_FILE where that is set, else docker's config.json ($DOCKER_CONFIG or "
        "~/.docker): docker, buildx, skopeo and podman read it",
        "with a helper, where credHelpers or credsStore of that file name one",
        "files that are read before it are kept in line: auth.json of skopeo and podman",
    ),
)

LOGIN = Page(
    name="login",
    summary="try a login at a registry, and keep it",
    about="Try a login at a registry and keep it for all later commands. At a terminal skopeo "
    "asks for user name and password. A login that is refused is not kept.",
    operands=(_REGISTRY,),
    groups=(
        Group(
            "Options",
            (
                Option(name="username", short="u", metavar="NAME", help="the user name"),
                switch("password-stdin", "read the password from standard input"),
                Option(
                    name="password",
                    metavar="PASSWORD",
                    help="the password; others on this machine can see it while this runs",
                ),
                DEBUG,
            ),
        ),
        GETTING_IN,
    ),
    notes=(
        _PLACES,
        Note(
            "Examples",
            (
                "image-tools login reg.example:5000",
                "cat password.txt | image-tools login reg.example:5000 -u robot --password-stdin",
            ),
        ),
        Note(
            "Exit codes",
            (
                "0    the registry lets the login in, and it is kept",
                "1    it does not, or the registry cannot be reached",
                "3    this machine lacks something, such as skopeo, or a file cannot be written",
            ),
        ),
    ),
)

LOGOUT = Page(
    name="logout",
    summary="forget the login for a registry",
    about="Forget the login for a registry, or all of them, in all files and with all helpers "
    "where logins are looked for.",
    operands=(replace(_REGISTRY, optional=True),),
    groups=(Group("Options", (switch("all", "forget all logins", short="a"), DEBUG)),),
    notes=(
        Note("Examples", ("image-tools logout reg.example:5000", "image-tools logout --all")),
        Note("Exit codes", ("0    there is no login any more, or there was none",)),
    ),
)

DOCTOR = Page(
    name="doctor",
    summary="say what is wrong here, and the command that mends it",
    about="Look at all that a mirror needs: skopeo and buildx, the signature policy, login files, "
    "certificates, proxies, room on disks, and the registries there are logins for: whether they "
    "answer, whether they let the login in, whether the clocks agree. Nothing is changed.",
    groups=(
        Group(
            "Options",
            (
                Option(
                    name="file",
                    short="f",
                    metavar="FILE",
                    help="also look at the registries of the image list in FILE",
                ),
                SOURCE,
                DESTINATION,
                DEFAULT_PROJECT,
                FORMAT,
                DEBUG,
            ),
        ),
        Group("Getting in", (TLS_VERIFY, CA_FILE, replace(RETRY_TIMES, default="0"), RETRY_DELAY)),
    ),
    notes=(
        Note(
            "Examples",
            (
                "image-tools doctor",
                "image-tools doctor -f list.txt -d reg.example:5000 --format json",
            ),
        ),
        Note("Exit codes", ("0    nothing is wrong", "1    something is")),
    ),
)
