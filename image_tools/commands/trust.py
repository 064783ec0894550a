"""What a run trusts and what it vouches for: the signature policy, the key to sign with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from loguru import logger

from image_tools.commands.request import MirrorRequest, SigningKey
from image_tools.errors import EnvironmentProblem
from image_tools.machine.workspace import Workspace
from image_tools.tools.policy import SignaturePolicy, read_policy
from image_tools.tools.skopeo import SigstoreKey


def policy_of(request: MirrorRequest, environ: Mapping[str, str]) -> SignaturePolicy:
    """The policy of a run, which says once when it is to accept everything."""
    if request.insecure_policy:
        logger.info("--insecure-policy: no signature policy is applied to any source")
        return SignaturePolicy()
    policy = read_policy(request.policy, environ)
    if policy.path is None:
        logger.info(
            "this machine has no signature policy: images are accepted, signed or not"
            " (--policy FILE applies one)"
        )
    else:
        logger.debug("the signature policy is {}", policy.path)
    return policy


def key_of(key: SigningKey, workspace: Workspace) -> SigstoreKey:
    """The key as skopeo is given it; a passphrase from a variable lies in the private folder."""
    file = key.passphrase_file
    if file is None:
        file = workspace.write_private("passphrase", key.passphrase.encode())
    return SigstoreKey(key.private_key.absolute(), file.absolute())


def key_id(key: SigningKey | None) -> str:
    """A short word that stands for `key`; empty without one.

    EnvironmentProblem when it cannot be read.
    """
    if key is None:
        return ""
    try:
        return hashlib.sha256(key.private_key.read_bytes()).hexdigest()[:12]
    except OSError as error:
        raise EnvironmentProblem(f"{key.private_key}: {error.strerror}") from error
