"""Products as lists of behaviours: what is publicly known of each, with its sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.helpers.content import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX
from tests.zoo.behaviour import Behaviour
from tests.zoo.between import BlobsRedirected, RedirectsWrites, redirects_manifests
from tests.zoo.listing import ReferrersRefused
from tests.zoo.pushing import BlobUnknown, MediaTypeRefused, SinglePutRefused
from tests.zoo.reading import (
    CVE_WORDS,
    AbsentTagForbidden,
    NotFoundPage,
    PolicyRefuses,
    SubjectUnderFallbackTag,
)
from tests.zoo.refusing import (
    QUOTA_WORDS,
    READ_ONLY_WORDS,
    UNSUPPORTED,
    DeleteByTagRefused,
    DeleteLeavesTags,
    DeleteRefused,
    DeleteWantsTagsFirst,
    ImmutableTags,
    QuotaExceeded,
    RateLimited,
    ReadOnly,
    RepositoryMissing,
    ecr_immutable,
    harbor_immutable,
    nexus_immutable,
    proxy_project,
)
from tests.zoo.tokens import (
    AsksForLogin,
    AsksForTokens,
    Forbids,
    GrantsOneOfSeveralScopes,
    GreetsWithPlaceholderScope,
    IdentityTokenByGetOnly,
    NoMoreRepositories,
    PushTokenCreatesRepository,
    TokenByPostOnly,
)

Behaviours = tuple[Behaviour, ...]
REPOSITORIES = frozenset({"team/app", "team/many", "team/signed"})
SWR_WORDS = "Invalid image, fail to parse 'manifest.json'"
# Every step that writes to a destination.
WRITES = ("cold", "changed", "filtered", "signed", "load")
# What cannot succeed where nothing was written, or nothing is shown.
AFTER_WRITES = ("again", "digest", "tree", "content", "list-tags", "inspect", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product: how it behaves, and which steps it refuses, with words of its refusal.

    `sending` are the refusals as a source, `taking` as a destination, by the name of the step.
    A `public` one is read without a login.
    """

    behaviours: Callable[[], Behaviours]
    public: bool = False
    sides: tuple[str, ...] = ("source", "destination")
    sending: Mapping[str, str] = field(default_factory=dict)
    taking: Mapping[str, str] = field(default_factory=dict)


def docker_hub() -> Behaviours:
    """Docker Hub: anonymous pulls, blobs at a CDN, no OAuth2 question, nothing is deleted.

    hub-feedback#2360, hub-feedback#1759; https://docs.docker.com/docker-hub/usage/pulls/
    """
    guards = IdentityTokenByGetOnly(404), AsksForTokens(public=True)
    return (*guards, RateLimited(), BlobsRedirected(methods="GET"), DeleteRefused())


def ghcr() -> Behaviours:
    """GHCR: a placeholder in the greeting, blobs unknown for a moment, nothing is deleted.

    Referrers are redirected to a web page. cloudflare/serverless-registry#148, konk#626,
    skopeo#1880, artifacthub/hub#4785.
    """
    guards = GreetsWithPlaceholderScope(), AsksForTokens(public=True)
    return (*guards, BlobUnknown(), DeleteRefused(), ReferrersRefused(303))


def ecr() -> Behaviours:
    """ECR: Basic logins, repositories that are created by hand.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html
    """
    return AsksForLogin(), RepositoryMissing(REPOSITORIES), BlobsRedirected(methods="GET")


def ecr_missing() -> Behaviours:
    """ECR before the repositories were created."""
    return AsksForLogin(), RepositoryMissing()


def ecr_with_immutable_tags() -> Behaviours:
    """ECR with immutable tags (buildkit#3776, containers-roadmap#2380)."""
    return AsksForLogin(), RepositoryMissing(REPOSITORIES), ImmutableTags(ecr_immutable)


def artifact_registry() -> Behaviours:
    """Artifact Registry: tags are deleted first, no referrers API.

    kube-image-keeper#636, actions/attest-build-provenance#80.
    """
    storage = BlobsRedirected(302, methods="GET")
    return AsksForTokens(), storage, DeleteWantsTagsFirst(), ReferrersRefused(404)


def gcr() -> Behaviours:
    """GCR: as Artifact Registry, with anonymous pulls (reg#136, containers/image#1616)."""
    return AsksForTokens(public=True), DeleteWantsTagsFirst(), ReferrersRefused(404)


def acr() -> Behaviours:
    """ACR: OAuth2 answers, blobs at a storage account.

    https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
    """
    return TokenByPostOnly(), AsksForTokens(), BlobsRedirected(methods="GET")


def quay() -> Behaviours:
    """Quay: a token with push creates the repository (endpoints/v2/v2auth.py)."""
    storage = BlobsRedirected(302, methods="GET")
    return PushTokenCreatesRepository(), AsksForTokens(public=True), storage


def quay_without_pushes() -> Behaviours:
    """Quay with DISABLE_PUSHES: 405 for what would be written (quay/quay#2755)."""
    words = "Pushes to the registry are currently disabled."
    return (*quay(), ReadOnly(405, words))


def harbor() -> Behaviours:
    """Harbor: of several scopes a token may be good for one, the others are 403 (harbor#2411)."""
    return GrantsOneOfSeveralScopes(), Forbids(), AsksForTokens()


def harbor_with_quota() -> Behaviours:
    """Harbor with a project whose quota is used up (harbor#11508, harbor#17390)."""
    return AsksForTokens(), QuotaExceeded()


def harbor_with_immutable_tags() -> Behaviours:
    """Harbor with a rule for immutable tags (harbor#9427)."""
    return AsksForTokens(), ImmutableTags(harbor_immutable)


def harbor_with_cve_policy() -> Behaviours:
    """Harbor that shows no vulnerable image (harbor#15283, harbor#19408)."""
    return AsksForTokens(), PolicyRefuses()


def harbor_proxy() -> Behaviours:
    """Harbor's proxy project: it can be read only."""
    return AsksForTokens(), proxy_project()


def harbor_read_only() -> Behaviours:
    """Harbor in read-only mode (harbor#4650, ovh/public-cloud-roadmap#242)."""
    return AsksForTokens(), ReadOnly()


def gitlab() -> Behaviours:
    """GitLab: the fallback tag is the subject itself, no OAuth2 question by POST.

    oras-go#1396, vscode-docker#2735.
    """
    guards = IdentityTokenByGetOnly(404), AsksForTokens()
    return (*guards, SubjectUnderFallbackTag(), ReferrersRefused(404))


def gitea() -> Behaviours:
    """Gitea: no OAuth2 question by POST, no referrers API (go-gitea/gitea#28457, gitea#31861)."""
    return IdentityTokenByGetOnly(405), AsksForTokens(), ReferrersRefused(404)


def artifactory() -> Behaviours:
    """Artifactory: 403 for absent tags, no single PUT (cosign#2973, containerd#3533)."""
    guards = IdentityTokenByGetOnly(401), AsksForTokens()
    return (*guards, AbsentTagForbidden(), SinglePutRefused())


def nexus() -> Behaviours:
    """Nexus: Basic logins, blobs unknown for a moment (manifest-tool#191)."""
    return AsksForLogin(), BlobUnknown(), ReferrersRefused(404)


def nexus_without_redeploy() -> Behaviours:
    """Nexus with "Disable redeploy" (jib#3057)."""
    return AsksForLogin(), ImmutableTags(nexus_immutable)


def swr() -> Behaviours:
    """SWR: OCI indexes are refused (vllm-ascend#16117)."""
    refused = MediaTypeRefused((OCI_INDEX,), 400, words=SWR_WORDS)
    return AsksForTokens(), refused, ReferrersRefused(404)


def tcr() -> Behaviours:
    """TCR, personal edition: tokens and the old API of Docker alone (harbor#13605)."""
    return AsksForTokens(), ReferrersRefused(404)


def digitalocean() -> Behaviours:
    """DigitalOcean: tokens, as docker-registry behind them."""
    return (AsksForTokens(),)


def digitalocean_full() -> Behaviours:
    """DigitalOcean with as many repositories as are paid for (docker/build-push-action#586)."""
    return NoMoreRepositories(), AsksForTokens()


def zot() -> Behaviours:
    """zot without `http.compat`: Docker's media types are refused.

    project-zot/zot examples/config-docker-compat.json.
    """
    return (MediaTypeRefused((DOCKER_MANIFEST, DOCKER_LIST)),)


def pulp() -> Behaviours:
    """Pulp: blobs at a storage that is signed for GET, no single PUT.

    pulp_container#579, pulp_container#1274.
    """
    return AsksForTokens(), BlobsRedirected(302), SinglePutRefused(404)


def crane() -> Behaviours:
    """crane's registry: no logins, and no tag is ever deleted (ggcr#1578, reg#136)."""
    return DeleteByTagRefused(), DeleteLeavesTags()


def s3() -> Behaviours:
    """A registry over a bucket without the right to list (ggcr#1691, cosign#2973)."""
    return AsksForLogin(), AbsentTagForbidden(blobs=True), BlobsRedirected()


def behind_nginx() -> Behaviours:
    """docker-registry behind nginx, with an error page for 404.

    https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_intercept_errors
    """
    return NotFoundPage(), AsksForLogin(), ReferrersRefused("page")


def behind_a_gateway() -> Behaviours:
    """A registry whose writes are served by another host (containerd#11949, spec#299, spec#607)."""
    return AsksForTokens(), RedirectsWrites(307), redirects_manifests(308)


def _refused(words: str, *steps: str) -> dict[str, str]:
    return dict.fromkeys(steps, words)


def _writes(words: str) -> dict[str, str]:
    """Return the refusal of every write, and the failures that follow from it, without words."""
    return {**_refused("", *AFTER_WRITES), **_refused(words, *WRITES)}


DELETE = _refused(UNSUPPORTED, "delete")
PRODUCTS: dict[str, Product] = {
    "docker-hub": Product(behaviours=docker_hub, public=True, sending=DELETE, taking=DELETE),
    "ghcr": Product(behaviours=ghcr, public=True, sending=DELETE, taking=DELETE),
    "ecr": Product(behaviours=ecr),
    "ecr-missing": Product(behaviours=ecr_missing, taking=_writes("does not exist")),
    "ecr-immutable": Product(
        behaviours=ecr_with_immutable_tags, taking=_refused("is immutable", "changed")
    ),
    "artifact-registry": Product(behaviours=artifact_registry),
    "gcr": Product(behaviours=gcr, public=True),
    "acr": Product(behaviours=acr),
    "quay": Product(behaviours=quay, public=True),
    "quay-disabled": Product(
        behaviours=quay_without_pushes, public=True, taking=_writes("currently disabled")
    ),
    "harbor": Product(behaviours=harbor),
    "harbor-quota": Product(behaviours=harbor_with_quota, taking=_writes(QUOTA_WORDS[-40:])),
    "harbor-immutable": Product(
        behaviours=harbor_with_immutable_tags,
        taking=_refused("configured as immutable", "changed"),
    ),
    "harbor-cve": Product(
        behaviours=harbor_with_cve_policy,
        sides=("source",),
        sending={
            **_refused("", "digest", "tree", "content", "again", "delete"),
            **_refused(CVE_WORDS[:40], "cold", "changed", "filtered", "signed", "save", "inspect"),
        },
    ),
    "harbor-proxy": Product(behaviours=harbor_proxy, taking=_writes("proxy project")),
    "harbor-read-only": Product(behaviours=harbor_read_only, taking=_writes(READ_ONLY_WORDS)),
    "gitlab": Product(behaviours=gitlab),
    "gitea": Product(behaviours=gitea),
    "artifactory": Product(behaviours=artifactory),
    "nexus": Product(behaviours=nexus),
    "nexus-no-redeploy": Product(
        behaviours=nexus_without_redeploy, taking=_refused("updating assets", "changed")
    ),
    "swr": Product(behaviours=swr, taking=_refused(SWR_WORDS, "filtered")),
    "zot": Product(behaviours=zot, public=True),
    "pulp": Product(behaviours=pulp),
    "crane": Product(
        behaviours=crane, public=True, sending=_refused("", "delete"), taking=_refused("", "delete")
    ),
    "s3": Product(behaviours=s3),
    "nginx": Product(behaviours=behind_nginx),
    "gateway": Product(behaviours=behind_a_gateway),
    "tcr": Product(behaviours=tcr),
    "digitalocean": Product(behaviours=digitalocean),
    "digitalocean-full": Product(
        behaviours=digitalocean_full, taking=_writes("registry contains 1 repositories")
    ),
}
