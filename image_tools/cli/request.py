"""The request that a command line and its environment make."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from image_tools.cli import values
from image_tools.cli.options import VerbOptions
from image_tools.cli.platforms import Named, refuse_unknown
from image_tools.cli.reaching import login_from, readable_file
from image_tools.cli.redact import add_secret
from image_tools.cli.render import check_result_file
from image_tools.cli.run_options import MirrorOptions, PushOptions, ValidateOptions
from image_tools.cli.shared_options import EndOptions, PlatformOptions, ResultOptions
from image_tools.commands.request import ListRequest, SigningKey
from image_tools.commands.wiring import key_id
from image_tools.errors import UsageError
from image_tools.imagelist.registries import Registries, choose_registries, in_projects
from image_tools.oci.platform import Platform
from image_tools.plan.selection import Selection
from image_tools.retry import RetryPolicy
from image_tools.run.deep_walk import Depth
from image_tools.run.endpoints import RegistryEnd
from image_tools.run.options import Options
from image_tools.run.validation import Validation
from image_tools.state import default_state_path
from image_tools.stores.harbor import HarborSetting
from image_tools.web.tls import TlsChoice

_PASSPHRASE = "COSIGN_PASSWORD"


def chosen_registries(
    options: EndOptions | MirrorOptions, environ: Mapping[str, str]
) -> Registries:
    """Return the registries that options and environment choose.

    Raise InvalidReference if wrong.
    """
    refuse_empty(options)
    chosen = choose_registries(
        options.source, options.destination, options.default_project, environ
    )
    if not isinstance(options, MirrorOptions):
        return chosen
    return in_projects(chosen, options.source_project, options.destination_project)


def refuse_empty(options: VerbOptions) -> None:
    """Raise UsageError for `-s` or `-d` without a registry: a shell variable that is not set.

    All images would come from docker.io, or go there.
    """
    for side in ("source", "destination"):
        stated = getattr(options, side, None)
        if side in options.given and stated is not None and not stated.strip():
            raise UsageError(f"-{side[0]} is empty", advice="name a registry, or leave it out")


def list_request(
    options: MirrorOptions,
    registries: Registries,
    environ: Mapping[str, str],
    command: str = "mirror",
) -> ListRequest:
    """Return the request of `command`; raise UsageError where options or variables contradict.

    Passwords are added to the secrets of the redaction here, before anything is logged.
    """
    ca_file = readable_file("--ca-file", options.ca_file)
    key = signing_key(options, environ)
    return ListRequest(
        command=command,
        source=RegistryEnd(
            registry=registries.source,
            login=login_from(environ, "SOURCE"),
            tls=TlsChoice(_verify(options.src_tls_verify, options), ca_file),
        ),
        destination=RegistryEnd(
            registry=registries.destination,
            login=login_from(environ, "DOCKER") or login_from(environ, "DEST"),
            tls=TlsChoice(_verify(options.dest_tls_verify, options), ca_file),
            harbor=_harbor(options),
        ),
        options=_run_options(options, key),
        state=_state(options, environ),
        failed=_failed(options),
        wait_lock=options.wait_lock,
        policy=_policy(options),
        insecure_policy=options.insecure_policy,
        download=not options.no_download,
        skip_login=options.skip_login,
        remove_signatures=options.remove_signatures,
        signing_key=key,
    )


def _run_options(options: MirrorOptions, key: SigningKey | None) -> Options:
    """Return the options of the run; raise EnvironmentProblem when `key` cannot be read."""
    return Options(
        selection=selection(options),
        jobs=values.jobs_in_range(options.jobs),
        timeout=options.timeout,
        retry=RetryPolicy(times=options.retry_times, delay=options.retry_delay),
        force=options.force,
        overwrite=options.overwrite,
        missing_platform_fails=options.no_arch_os_fail,
        arch_tags=options.arch_tags,
        require_platforms=options.require_platforms,
        keep_single=options.keep_single,
        look_behind=options.depth == "tree",
        ahead=not options.no_ahead,
        direct=options.direct,
        dry_run=options.dry_run,
        keep_digest=options.keep_digest,
        pull_budget=options.pull_budget,
        wait_for_quota=options.wait_for_quota,
        key_id=key_id(key),
    )


def _policy(options: MirrorOptions) -> Path | None:
    if (
        options.insecure_policy
        and options.policy
        and {"policy", "insecure_policy"} <= {*options.given}
    ):
        raise UsageError("--policy and --insecure-policy contradict each other")
    return None if options.insecure_policy else readable_file("--policy", options.policy)


def _harbor(options: PushOptions) -> HarborSetting | None:
    if options.repo_type != "harbor":
        return None
    return HarborSetting(https=options.harbor_https, public=options.harbor_public)


def signing_key(options: PushOptions, environ: Mapping[str, str]) -> SigningKey | None:
    """Return the key to sign with; raise UsageError when it or its passphrase is missing.

    Without a file the passphrase is in cosign's own variable, and may be empty.
    """
    key = readable_file("--sigstore-private-key", options.sigstore_private_key)
    file = readable_file("--sigstore-passphrase-file", options.sigstore_passphrase_file)
    if key is None:
        if file is not None and "sigstore_passphrase_file" in options.given:
            raise UsageError("--sigstore-passphrase-file is of no use without a key")
        return None
    if file is not None:
        return SigningKey(private_key=key, passphrase_file=file)
    passphrase = environ.get(_PASSPHRASE)
    if passphrase is None:
        raise UsageError(
            "--sigstore-private-key: its passphrase is missing",
            advice=f"name a file with --sigstore-passphrase-file, or set {_PASSPHRASE}",
        )
    add_secret(passphrase)
    return SigningKey(private_key=key, passphrase=passphrase)


def selection(options: PlatformOptions) -> Selection:
    """Return the platforms that the options choose; `x86_64` and the like become `amd64`.

    InvalidPlatform for names that no image has, unless the options allow them.
    """
    if not options.allow_unknown_platform:
        refuse_unknown(
            architectures=Named("arch", options.arch),
            systems=Named("os", options.os),
            variants=Named("variant", options.variant or ()),
            given=options.given,
        )
    architectures = values.chosen(options.arch)
    variants = values.chosen(options.variant)
    return Selection(
        architectures=architectures and frozenset(map(_architecture, architectures)),
        systems=values.chosen(options.os),
        variants=variants and frozenset(map(_variant, variants)),
        attestations=options.provenance,
    )


def _architecture(word: str) -> str:
    return Platform(architecture=word).normalized.architecture


def _variant(word: str) -> str:
    return Platform(architecture="arm", variant=word).normalized.variant


def report_file(options: ResultOptions) -> Path | None:
    """Return the file of the report; raise UsageError when it cannot be written."""
    if not options.report:
        return None
    path = Path(options.report)
    check_result_file("--report", path)
    return path


def _verify(one_side: bool | None, options: MirrorOptions) -> bool | None:
    return options.tls_verify if one_side is None else one_side


def _state(options: PushOptions, environ: Mapping[str, str]) -> Path | None:
    asked = "state" in options.given
    if options.no_state and asked and "no_state" in options.given:
        raise UsageError("--state and --no-state contradict each other")
    # The command line wins over a variable that says the opposite.
    if options.no_state and not asked:
        return None
    return Path(options.state) if options.state else default_state_path(environ)


def _failed(options: MirrorOptions) -> Path | None:
    if not options.failed or options.dry_run:
        return None
    path = Path(options.failed)
    check_result_file("--failed", path)
    return path


def wished_depth(options: ValidateOptions) -> Validation:
    """Return how deep a comparison looks; UsageError for a sample where no blob is read."""
    if "sample" in options.given and options.depth != "content":
        raise UsageError(
            "--sample is of no use without --depth content", advice="add it, or leave --sample out"
        )
    return Validation(depth=Depth(options.depth), sample=options.sample)
