"""Every wording of a refusal that is known, with where it is recorded, and what it must mean."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.errors import (
    AccessDenied,
    CopyFailed,
    DiskFull,
    ImageToolsError,
    InvalidManifest,
    NotFound,
    ProxyRefused,
    QuotaExceeded,
    RateLimited,
    ReadOnly,
    RepositoryMissing,
    Scope,
    TagImmutable,
    TypeRefused,
    Unauthorized,
    Unavailable,
    UnknownFailure,
)
from image_tools.refusals.case import Case, Stage
from image_tools.refusals.classify import ROWS, classify
from image_tools.refusals.row import RefusalRow
from image_tools.stores.remote.api import ApiAnswer
from image_tools.stores.remote.failures import Asked, failure

HTML = {"Content-Type": "text/html"}
V2S2 = "application/vnd.docker.distribution.manifest.v2+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:1.0"
PUSH, READ = Asked(stage=Stage.PUSHING), Asked()
DOCKER = Asked(stage=Stage.PUSHING, media_type=V2S2, manifest=b"{}")
INDEX = Asked(stage=Stage.PUSHING, media_type=OCI_INDEX, manifest=b"{}")
FOREIGN = Asked(
    stage=Stage.PUSHING,
    media_type=V2S2,
    manifest=b'{"layers": [{"digest": "sha256:aa", "urls": ["https://mcr.example/l"]},'
    b' {"digest": "sha256:bb"}]}',
)


@dataclass(frozen=True)
class Wording:
    """One answer, its source, and the kind and a part of the hint that belong to it."""

    source: str
    status: int
    code: str
    message: str
    kind: type[ImageToolsError]
    hint: str = ""
    asked: Asked = PUSH
    detail: object = None
    reference: str = "registry.example/team/app:1.0"

    @property
    def refusal(self) -> ApiAnswer:
        """Give the answer as the registry sends it."""
        error = {"code": self.code, "message": self.message, "detail": self.detail}
        return ApiAnswer(self.status, {}, json.dumps({"errors": [error]}).encode())


QUOTAS = (
    Wording(
        "goharbor/harbor#11508, harbor-cli#96",
        403,
        "DENIED",
        "adding 151.7 MiB of storage resource, which when updated to current usage of 100.0 GiB"
        " will exceed the configured upper limit of 100.0 GiB.",
        QuotaExceeded,
        "raise its quota",
    ),
    Wording(
        "goharbor/harbor#8802",
        412,
        "DENIED",
        "Quota exceeded when processing the request of adding 1.3 MiB, which when added to current"
        " usage of 235.9 MiB will exceed the configured upper limit of 100.0 MiB.",
        QuotaExceeded,
    ),
    Wording(
        "goharbor/harbor#8802, older",
        500,
        "UNKNOWN",
        "Not enough quota available to process the request, add 1.3MiB of storage resource overflow"
        " the hard limit",
        QuotaExceeded,
    ),
    Wording(
        "goharbor/harbor#8693",
        400,
        "DENIED",
        "over the quota: used 12 but only hard 10",
        QuotaExceeded,
    ),
    Wording(
        "quay/quay endpoints/v2/errors.py QuotaExceeded",
        403,
        "DENIED",
        "Quota has been exceed on namespace",
        QuotaExceeded,
    ),
    Wording(
        "IBM Cloud Container Registry, ibm-cloud-cli-release#105",
        403,
        "DENIED",
        "You have exceeded your storage quota. Delete one or more images.",
        QuotaExceeded,
    ),
    Wording(
        "GitLab, namespace storage",
        403,
        "DENIED",
        "the namespace storage limit has been reached",
        QuotaExceeded,
    ),
    Wording("Docker Hub", 403, "DENIED", "repository has reached its storage limit", QuotaExceeded),
    Wording(
        "docker/hub-feedback#1249",
        403,
        "DENIED",
        "No more private repositories available",
        QuotaExceeded,
        "limit of repositories",
    ),
    Wording(
        "DigitalOcean, docker/build-push-action#586",
        403,
        "DENIED",
        "registry contains 1 repositories, limit is 1",
        QuotaExceeded,
        "limit of repositories",
    ),
    Wording(
        "ECR LimitExceededException",
        403,
        "DENIED",
        "The repository with name 'team/app' in registry with id '1' already has the maximum"
        " allowed number of images which is '10000'",
        QuotaExceeded,
        "delete images",
        reference=ECR,
    ),
    Wording("payment required", 402, "", "upgrade your plan", QuotaExceeded),
    Wording("Artifactory, full storage", 413, "", "Datastore disk usage is too high.", DiskFull),
    Wording(
        "docker-registry on a full disk",
        500,
        "UNKNOWN",
        "write /var: no space left on device",
        DiskFull,
    ),
)
READ_ONLY = (
    Wording(
        "goharbor/harbor#4650",
        403,
        "DENIED",
        "The system is in read only mode. Any modification is prohibited.",
        ReadOnly,
        "read-only mode of registry.example",
    ),
    Wording(
        "quay/quay endpoints/v2/errors.py ReadOnlyMode",
        405,
        "DENIED",
        "System is currently read-only. Pulls will succeed but all write operations are currently"
        " suspended.",
        ReadOnly,
    ),
    Wording(
        "quay/quay#2746",
        405,
        "METHOD NOT ALLOWED",
        "Pushes to the registry are currently disabled. Please contact the administrator.",
        ReadOnly,
    ),
    Wording(
        "quay/quay endpoints/v2/errors.py NamespaceDisabled",
        405,
        "DENIED",
        "This namespace is disabled. Please contact your system administrator.",
        ReadOnly,
    ),
    Wording(
        "distribution/distribution#1718, maintenance.readonly",
        405,
        "UNSUPPORTED",
        "The operation is unsupported.",
        ReadOnly,
        "mirror or pull-through cache",
    ),
    Wording(
        "Nexus, deployment policy",
        400,
        "BLOB_UPLOAD_INVALID",
        "blob upload invalid",
        ReadOnly,
        detail="Repository is read only: docker-hosted",
    ),
    Wording(
        "Nexus, group repository",
        403,
        "DENIED",
        "Deploying to groups is a PRO-licensed feature.",
        ReadOnly,
        "hosted repository",
    ),
)
IMMUTABLE = (
    Wording(
        "ECR ImageTagAlreadyExistsException, moby/buildkit#3776",
        400,
        "TAG_INVALID",
        "The image tag '1.0' already exists in the 'team/app' repository and cannot be overwritten"
        " because the repository is immutable.",
        TagImmutable,
        "another tag",
        reference=ECR,
    ),
    Wording(
        "goharbor/harbor src/pkg/immutable",
        412,
        "PRECONDITION",
        "Failed to process request due to 'team/app:1.0' configured as immutable.",
        TagImmutable,
    ),
    Wording(
        "Quay 3.17, PROJQUAY-10859",
        409,
        "TAG_IMMUTABLE",
        "tag is immutable and cannot be overwritten",
        TagImmutable,
    ),
    Wording(
        "quay/quay endpoints/v2/errors.py TagAlreadyExists",
        409,
        "TAG_ALREADY_EXISTS",
        "tag was already pushed",
        TagImmutable,
    ),
    Wording(
        "Artifact Registry, docker/troubleshoot#push",
        400,
        "MANIFEST_INVALID",
        "cannot update tag 1.0. The repository has enabled tag immutability",
        TagImmutable,
    ),
    Wording(
        "Alibaba ACR, turn-on-immutable-image-version",
        400,
        "DENIED",
        "The requested tag already exists and cannot be overwritten.",
        TagImmutable,
    ),
    Wording(
        "Nexus, GoogleContainerTools/jib#3057",
        400,
        "BLOB_UPLOAD_INVALID",
        "blob upload invalid",
        TagImmutable,
        detail="Repository does not allow updating assets: docker-hosted",
    ),
    Wording(
        "ACR lock, Azure/azure-sdk-for-net#22827",
        405,
        "REGISTRY_DISALLOWED_OPERATION",
        "The operation is disallowed on this registry, repository or image. View troubleshooting"
        " steps at https://aka.ms/acr/faq/#why-does-my-pull-or-push-request-fail",
        TagImmutable,
        "az acr repository update",
    ),
    Wording("Harbor without words", 412, "", "", TagImmutable),
    Wording(
        "Artifactory, no right to overwrite",
        403,
        "DENIED",
        "Not enough permissions to overwrite artifact 'x' (user 'ci' needs DELETE permission).",
        AccessDenied,
        "permission to overwrite",
    ),
)
MISSING = (
    Wording(
        "ECR, drone-plugins/drone-ecr#52",
        404,
        "NAME_UNKNOWN",
        "The repository with name 'team/app' does not exist in the registry with id '1'",
        RepositoryMissing,
        "aws ecr create-repository --repository-name team/app --region eu-west-1",
        reference=ECR,
    ),
    Wording(
        "ECR Public, amazon-ecr-login#202",
        404,
        "NAME_UNKNOWN",
        "does not exist",
        RepositoryMissing,
        "aws ecr-public create-repository --repository-name app",
        reference="public.ecr.aws/alias/app:1",
    ),
    Wording(
        "Artifact Registry",
        404,
        "NAME_UNKNOWN",
        'Repository "images" not found',
        RepositoryMissing,
        "gcloud artifacts repositories create images --repository-format=docker"
        " --location=europe-west1 --project=proj",
        reference="europe-west1-docker.pkg.dev/proj/images/app:1",
    ),
    Wording("any other", 404, "NAME_UNKNOWN", "", RepositoryMissing, "create the project"),
    Wording("reading stays", 404, "NAME_UNKNOWN", "", NotFound, "spelling", READ),
    Wording(
        "a lost upload stays",
        404,
        "BLOB_UPLOAD_UNKNOWN",
        "blob upload unknown to registry",
        NotFound,
    ),
)
TYPES = (
    Wording(
        "zot without compat, project-zot/zot#4290",
        400,
        "MANIFEST_INVALID",
        "manifest invalid",
        TypeRefused,
        '["docker2s2"]',
        DOCKER,
        {"mediaType": V2S2},
    ),
    Wording("zot, pull 596", 415, "MANIFEST_INVALID", "", TypeRefused, "docker2s2", DOCKER),
    Wording(
        "SWR, regclient/regclient#720",
        400,
        "SVCSTG.SWR",
        "Invalid image, fail to parse 'manifest.json'",
        TypeRefused,
        "Docker manifest list",
        INDEX,
    ),
    Wording("415 of an artifact", 415, "", "", TypeRefused),
    Wording("manifest invalid", 400, "MANIFEST_INVALID", "manifest invalid", InvalidManifest),
    Wording(
        "docker-registry, distribution/distribution#2795",
        500,
        "UNKNOWN",
        "unknown error",
        TypeRefused,
        "validation.manifests.urls.allow",
        FOREIGN,
    ),
    Wording(
        "docker-registry, any other image", 500, "UNKNOWN", "unknown error", Unavailable, "", DOCKER
    ),
    Wording(
        "GHCR, Nexus: konk#626, manifest-tool#191",
        404,
        "BLOB_UNKNOWN",
        "blob unknown",
        UnknownFailure,
        "uploaded again",
        DOCKER,
    ),
)
LIMITS = (
    Wording(
        "on an upload",
        429,
        "TOOMANYREQUESTS",
        "slow down",
        RateLimited,
        "the destination limits pushes",
    ),
    Wording(
        "Docker Hub",
        429,
        "TOOMANYREQUESTS",
        "You have reached your pull rate limit.",
        RateLimited,
        "log in to the source",
        READ,
    ),
    Wording("ECR, amazon-ecr-user-guide#11", 400, "", "Rate exceeded", RateLimited),
    Wording(
        "Artifact Registry",
        403,
        "DENIED",
        "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute'",
        RateLimited,
    ),
    Wording(
        "Harbor policy, goharbor/harbor#15283",
        412,
        "PROJECTPOLICYVIOLATION",
        "current image with 5 vulnerabilities cannot be pulled due to configured policy",
        AccessDenied,
        "CVE allowlist",
        READ,
    ),
    Wording("Harbor policy, HEAD", 412, "", "", UnknownFailure, "policies", READ),
    Wording("a plain refusal", 403, "DENIED", "requested access is denied", AccessDenied),
    Wording(
        "a token that may only read",
        403,
        "DENIED",
        "this read-only token may not push",
        AccessDenied,
    ),
    Wording("401 stays", 401, "UNAUTHORIZED", "authentication required", Unauthorized),
)
WORDINGS = (*QUOTAS, *READ_ONLY, *IMMUTABLE, *MISSING, *TYPES, *LIMITS)
TEMPORARY = (RateLimited, Unavailable)


@pytest.mark.parametrize("wording", WORDINGS, ids=lambda one: one.source)
def test_failure_recorded_wording_is_its_kind_with_its_hint(wording: Wording) -> None:
    found = failure(wording.refusal, wording.reference, asked=wording.asked)

    assert type(found) is wording.kind, found
    assert wording.hint in found.advice
    assert "{" not in found.advice
    assert wording.message in str(found)
    assert found.temporary is (isinstance(found, TEMPORARY) or "uploaded again" in wording.hint)


@pytest.mark.parametrize("name", ["quota-exceeded", "read-only", "immutable", "toomanyrequests"])
def test_failure_name_like_a_refusal_changes_nothing(name: str) -> None:
    said = f"The repository with name 'team/{name}' is closed to '{name}'"
    wording = Wording("", 403, "DENIED", said, AccessDenied)

    found = failure(wording.refusal, f"r.example/team/{name}:{name}", pushing=True)

    assert type(found) is AccessDenied


SQUID = b"<html><title>ERROR: Cache Access Denied</title><body id=ERR_CACHE_ACCESS_DENIED>Squid"


@pytest.mark.parametrize(
    ("refusal", "proxied", "kind", "temporary"),
    [
        (ApiAnswer(407, {}), False, ProxyRefused, False),
        (ApiAnswer(407, HTML, SQUID), True, ProxyRefused, False),
        (ApiAnswer(403, HTML, b"<html>blocked"), True, ProxyRefused, False),
        (ApiAnswer(200, HTML, b"<html>sign in"), True, ProxyRefused, False),
        (ApiAnswer(403, HTML, SQUID), False, ProxyRefused, False),
        (
            ApiAnswer(403, {"X-Squid-Error": "ERR_ACCESS_DENIED 0", **HTML}),
            False,
            ProxyRefused,
            False,
        ),
        (ApiAnswer(403, HTML, b"<html>Zscaler"), False, ProxyRefused, False),
        (ApiAnswer(403, HTML, b"<html>nginx"), False, Unavailable, False),
        (ApiAnswer(200, HTML, b"<html>nginx"), False, Unavailable, True),
        (ApiAnswer(503, HTML, b"<html>squid"), True, Unavailable, True),
    ],
)
def test_failure_page_of_a_proxy_is_not_the_registrys(
    refusal: ApiAnswer, proxied: bool, kind: type[ImageToolsError], temporary: bool
) -> None:
    found = failure(refusal, "r.example/a:1", asked=Asked(proxied=proxied))

    assert (type(found), found.temporary) == (kind, temporary)
    assert ("NO_PROXY" in found.advice) is (kind is ProxyRefused)


def test_failure_page_shows_its_title() -> None:
    found = failure(ApiAnswer(403, HTML, SQUID), "r.example/a:1")

    assert "403, answered with a web page: ERROR: Cache Access Denied" in str(found)


def test_failure_foreign_layers_are_named() -> None:
    found = failure(
        ApiAnswer(500, {}, b'{"errors":[{"code":"UNKNOWN"}]}'), "r.example/a", asked=FOREIGN
    )

    assert "sha256:aa" in str(found)
    assert "sha256:bb" not in str(found)


@pytest.mark.parametrize(
    ("wording", "scope"),
    [
        (QUOTAS[0], "project"),
        (QUOTAS[9], "nothing"),
        (QUOTAS[10], "repository"),
        (READ_ONLY[0], "registry"),
        (READ_ONLY[4], "repository"),
        (READ_ONLY[5], "project"),
        (IMMUTABLE[0], "tags"),
        (LIMITS[6], "nothing"),
    ],
    ids=lambda one: getattr(one, "source", one),
)
def test_failure_closes_as_much_as_it_speaks_of(wording: Wording, scope: Scope) -> None:
    found = failure(wording.refusal, wording.reference, asked=wording.asked)

    assert isinstance(found, CopyFailed)
    assert found.closes == scope


STAGES = st.frozensets(st.sampled_from(Stage))
TEXTS = st.text() | st.sampled_from([one.message for one in WORDINGS])


@given(STAGES, TEXTS, st.none() | st.integers(0, 999), st.text(), st.booleans(), st.booleans())
def test_classify_any_case_never_fails(
    stages: frozenset[Stage],
    words: str,
    status: int | None,
    code: str,
    is_page: bool,
    by_proxy: bool,
) -> None:
    verdict = classify(
        Case(
            stages=stages,
            words=words,
            status=status,
            code=code,
            is_page=is_page,
            by_proxy=by_proxy,
            registry=words,
            repository=code,
            media_type=code,
            foreign=(words,),
        )
    )

    assert isinstance(verdict.error("said", status=status), ImageToolsError)


@given(
    st.integers(200, 599), st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=80)
)
def test_failure_of_any_message_keeps_the_registrys_words(status: int, message: str) -> None:
    wording = Wording("", status, "DENIED", message, AccessDenied)

    assert message in str(failure(wording.refusal, "r.example/a", pushing=True))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.kind.__name__} {row.words[:30]}")
def test_row_of_the_table_has_a_condition_and_a_hint(row: RefusalRow) -> None:
    error = row.error("x", status=None, hint=row.hint)

    assert error.advice
    assert row.stages or row.statuses or row.codes or row.words
    assert not (error.temporary and row.closes not in (None, "nothing"))
