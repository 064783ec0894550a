"""Ask the person at the terminal for a login: `skopeo login` asks and tries it."""

from __future__ import annotations

from collections.abc import Mapping

from image_tools.errors import ToolMissing
from image_tools.logins.auth_file import Credentials, parse_auth_file
from image_tools.machine.terminal import run_in_terminal
from image_tools.machine.workspace import Workspace
from image_tools.run.endpoints import certificates_folder
from image_tools.run.preflight import Prompt
from image_tools.tools.environment import direct_environment, prepare_folders
from image_tools.tools.locate import find_skopeo
from image_tools.tools.skopeo import LoginRequest, login_argv
from image_tools.web.tls import certificate_folders


def ask_login(prompt: Prompt, environ: Mapping[str, str]) -> Credentials | None:
    """Return the login that was typed and accepted; None if skopeo ended without one.

    skopeo writes it into a private folder that is removed on return. Raise ToolMissing without
    skopeo.
    """
    try:
        skopeo = find_skopeo(environ)
    except ToolMissing as error:
        advice = f"{error.advice}; or give --username and --password-stdin"
        raise ToolMissing(error.message, advice=advice) from error
    with Workspace.create(environ) as workspace:
        path = workspace.path
        prepare_folders(path)
        folders = certificate_folders(prompt.registry, environ)
        certificates = certificates_folder(prompt.tls.ca_file, folders, path / "certificates")
        request = LoginRequest(
            skopeo=str(skopeo),
            registry=prompt.registry,
            authfile=path / "login.json",
            registries_conf=workspace.write_private("registries.conf", b""),
            certificates=certificates,
            tls_verify=not prompt.is_plain and prompt.tls.verify is not False,
            username=prompt.username,
        )
        if run_in_terminal(login_argv(request), direct_environment(path, environ)) != 0:
            return None
        file = parse_auth_file(request.authfile.read_bytes())
    key = file.login_key(prompt.registry, "")
    return None if key is None else file.auths[key]
