"""Every failure text recorded in facts/libraries.md sections 11 and 12, and what it must mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.errors import (
    AccessDenied,
    CertificateExpired,
    ConnectionRefused,
    DigestMismatch,
    DiskFull,
    ImageToolsError,
    InvalidManifest,
    NameUnknown,
    NotFound,
    PlatformMissing,
    PolicyRejected,
    RateLimited,
    ReadOnly,
    RepositoryMissing,
    TagImmutable,
    TimedOut,
    TlsProblem,
    ToolTooOld,
    Unauthorized,
    Unavailable,
    UnknownFailure,
)
from image_tools.tools.diagnose import diagnose, last_line

HEX = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
DIGEST = f"sha256:{HEX}"
# Names that would each match a rule, were they not cut out.
REPOSITORY = "x509/toomanyrequests/denied"
USERS = f"registry.example/{REPOSITORY}:unauthorized"
EXCHANGE = "127.0.0.1:40507"
# What a tool is given: the exchange, or the registry itself with --direct.
PLACES = (
    (EXCHANGE, f"s12/{REPOSITORY}"),
    ("registry.example", REPOSITORY),
    ("[::1]:5000", REPOSITORY),
)

S = "initializing source docker://{host}/{repo}:unauthorized: "
P = "copying system image from manifest list: "
PING = S + "pinging container registry {host}: "
MANIFEST = S + "reading manifest unauthorized in {host}/{repo}: "
CHILD = P + (
    "determining manifest MIME type for docker://{host}/{repo}@{digest}: "
    "reading manifest {digest} in {host}/{repo}: "
)
BLOB = P + "reading blob {digest}: "
BODY = P + "writing blob: happened during read: "
CONFIG = P + "reading config blob {digest}: "
REUSE = P + (
    "trying to reuse blob {digest} at destination: checking whether a blob {digest} "
    "exists in {host}/{repo}: "
)
POST = P + "writing blob: initiating layer upload to /v2/{repo}/blobs/uploads/ in {host}: "
PATCH = P + "writing blob: uploading layer chunked: "
PUT = "writing blob: uploading layer to http://{host}/v2/{repo}/blobs/uploads/1?_state=denied: "
TAGGED = "writing manifest: uploading manifest unauthorized to {host}/{repo}: "
GET = 'Get "http://{host}/v2/{repo}/manifests/unauthorized": '
RESET = "read tcp 10.0.0.1:40000->10.0.0.2:443: read: connection reset by peer"
DIAL = 'Get "http://{host}/v2/": dial tcp '
STATUS = "invalid status code from registry "
HTTP = "received unexpected HTTP status: "

SKOPEO: tuple[tuple[str, type[ImageToolsError]], ...] = (
    (PING + STATUS + "403 (Forbidden)", AccessDenied),
    (PING + STATUS + "404 (Not Found)", Unavailable),
    (PING + STATUS + "500 (Internal Server Error)", Unavailable),
    (PING + STATUS + "502 (Bad Gateway)", Unavailable),
    (PING + STATUS + "503 (Service Unavailable)", Unavailable),
    (PING + STATUS + "504 (Gateway Timeout)", Unavailable),
    (PING + "too many requests to registry", RateLimited),
    (PING + 'Get "http://{host}/v2/": ' + RESET, Unavailable),
    (PING + 'Get "http://{host}/v2/": EOF', Unavailable),
    (PING + DIAL + "10.0.0.2:443: connect: connection refused", ConnectionRefused),
    (PING + DIAL + "lookup denied.example on 10.0.0.53:53: no such host", NameUnknown),
    (PING + GET + "tls: first record does not look like a TLS handshake", TlsProblem),
    (PING + GET + "x509: certificate signed by unknown authority", TlsProblem),
    (
        PING + GET + "x509: certificate has expired or is not yet valid: current time "
        "2026-01-01T00:00:00Z is after 2025-01-01T00:00:00Z",
        CertificateExpired,
    ),
    (
        PING + GET + "x509: cannot validate certificate for 10.0.0.2 because it doesn't contain "
        "any IP SANs",
        TlsProblem,
    ),
    (MANIFEST + "unauthorized: authentication required", Unauthorized),
    (S + "unable to retrieve auth token: invalid username/password: unauthorized", Unauthorized),
    (S + "Requesting bearer token: " + STATUS + "403 (Forbidden)", Unauthorized),
    (S + "Requesting bearer token: " + STATUS + "404 (Not Found)", Unauthorized),
    (S + "Requesting bearer token: " + STATUS + "500 (Internal Server Error)", Unavailable),
    (S + "Requesting bearer token: " + STATUS + "503 (Service Unavailable)", Unavailable),
    (S + "too many requests to registry", RateLimited),
    (S + 'Get "http://{host}/token?scope=repository:{repo}:pull&service=x": ' + RESET, Unavailable),
    (MANIFEST + "unauthorized", Unauthorized),
    # skopeo 1.18 and 1.22.
    (MANIFEST + "authentication required", Unauthorized),
    # Harbor's code NOT_FOUND, which skopeo does not know.
    (MANIFEST + "unknown: artifact {repo}:unauthorized not found", NotFound),
    (MANIFEST + "denied", AccessDenied),
    (MANIFEST + "denied: requested access to the resource is not yours", AccessDenied),
    (MANIFEST + "StatusCode: 403, <html><head><title>403 Forbidden</title></head>", Unavailable),
    (MANIFEST + 'StatusCode: 403, "<html><head><title>no</title></head>"', Unavailable),
    (MANIFEST + "manifest unknown", NotFound),
    (MANIFEST + "manifest unknown: manifest unknown", NotFound),
    (MANIFEST + "name unknown", NotFound),
    (MANIFEST + "StatusCode: 404, 404 page not found\n", NotFound),
    (MANIFEST + "toomanyrequests: You have reached your pull rate limit", RateLimited),
    (MANIFEST + HTTP + "500 Internal Server Error", Unavailable),
    (MANIFEST + HTTP + "502 Bad Gateway", Unavailable),
    (MANIFEST + HTTP + "503 Service Unavailable", Unavailable),
    (MANIFEST + HTTP + "504 Gateway Timeout", Unavailable),
    (S + GET + RESET, Unavailable),
    (S + GET + "EOF", Unavailable),
    (S + "unexpected EOF", Unavailable),
    (
        "initializing image from source docker://{host}/{repo}:unauthorized: "
        "invalid character '<' looking for beginning of value",
        Unavailable,
    ),
    (
        "parsing manifest list docker://{host}/{repo}:unauthorized: unexpected end of JSON input",
        InvalidManifest,
    ),
    ("unsupported schema version 2", InvalidManifest),
    ("no FSLayers in manifest", InvalidManifest),
    (CHILD + "manifest unknown", NotFound),
    (CHILD + HTTP + "503 Service Unavailable", Unavailable),
    (CHILD + GET + RESET, Unavailable),
    (CHILD + "unexpected EOF", Unavailable),
    (CHILD + "Manifest does not match provided manifest digest {digest}", DigestMismatch),
    (
        "choosing an image from manifest list docker://{host}/{repo}:unauthorized: no image found "
        'in image index for architecture s390x, variant "", OS linux',
        PlatformMissing,
    ),
    (
        "choosing an image from manifest list docker://{host}/{repo}:unauthorized: no image found "
        'in manifest list for architecture "s390x", variant "", OS "linux"',
        PlatformMissing,
    ),
    (
        BLOB + "unable to retrieve auth token: invalid username/password: unauthorized",
        Unauthorized,
    ),
    (BLOB + "Error fetching blob: " + STATUS + "403 (Forbidden)", AccessDenied),
    (BLOB + "Error fetching blob: " + STATUS + "404 (Not Found)", NotFound),
    (BLOB + "Error fetching blob: " + STATUS + "500 (Internal Server Error)", Unavailable),
    (BLOB + "Error fetching blob: " + STATUS + "502 (Bad Gateway)", Unavailable),
    (BLOB + "Error fetching blob: " + STATUS + "503 (Service Unavailable)", Unavailable),
    (BLOB + "fetching blob: " + HTTP + "503 Service Unavailable", Unavailable),
    (BLOB + 'fetching blob: StatusCode: 403, "<html>..."', Unavailable),
    (BODY + "(after reconnecting, fetching blob: StatusCode: 404, ...): " + RESET, Unavailable),
    (BLOB + "too many requests to registry", RateLimited),
    (BLOB + 'Get "http://{host}/v2/{repo}/blobs/{digest}": ' + RESET, Unavailable),
    (BODY + RESET, Unavailable),
    (BODY + "unexpected EOF", Unavailable),
    (BODY + "Digest did not match, expected {digest}, got {digest}", DigestMismatch),
    (CONFIG + "Error fetching blob: " + STATUS + "404 (Not Found)", NotFound),
    (CONFIG + "Error fetching blob: " + STATUS + "500 (Internal Server Error)", Unavailable),
    (CONFIG + "unexpected EOF", Unavailable),
    (
        CONFIG + "Download config.json digest {digest} does not match expected {digest}",
        DigestMismatch,
    ),
    (
        BLOB + 'Get "https://cdn.example/denied?token=x509": dial tcp 10.0.0.2:443: connect: '
        "connection refused",
        ConnectionRefused,
    ),
    (
        BLOB + 'Get "https://cdn.example/a": dial tcp: lookup cdn.example on 10.0.0.53:53: no such '
        "host",
        NameUnknown,
    ),
    (S + GET + "context deadline exceeded", TimedOut),
    (P + "copying layer: context deadline exceeded", TimedOut),
    (PING + GET + "net/http: TLS handshake timeout", TimedOut),
    (PING + DIAL + "10.0.0.2:443: i/o timeout", TimedOut),
    (REUSE + "unauthorized: authentication required", Unauthorized),
    (
        REUSE + "failed to read from destination repository {repo}: 403 (Forbidden)",
        AccessDenied,
    ),
    (
        REUSE + "failed to read from destination repository {repo}: 500 (Internal Server Error)",
        Unavailable,
    ),
    *(
        case
        for step in (POST, PATCH)
        for case in (
            (step + "unauthorized", Unauthorized),
            (step + "denied", AccessDenied),
            (step + "unsupported", ReadOnly),
            (step + "StatusCode: 413, <html><head><title>413", UnknownFailure),
            (step + "toomanyrequests: slow down", RateLimited),
            (step + HTTP + "503 Service Unavailable", Unavailable),
        )
    ),
    (POST + "name unknown", RepositoryMissing),
    (PUT + "digest invalid", DigestMismatch),
    (PUT + HTTP + "500 Internal Server Error", Unavailable),
    (
        P + 'writing blob: Patch "http://{host}/v2/{repo}/blobs/uploads/1?s=x509": ' + RESET,
        Unavailable,
    ),
    (P + 'writing blob: Patch "http://{host}/v2/{repo}/blobs/uploads/1?s=x509": EOF', Unavailable),
    (
        P + "Uploading manifest failed, attempted the following formats: "
        "application/vnd.oci.image.manifest.v1+json(writing manifest: uploading manifest {digest} "
        "to {host}/{repo}: manifest invalid), application/vnd.docker.distribution.manifest.v2+json("
        "writing manifest: uploading manifest {digest} to {host}/{repo}: manifest invalid)",
        InvalidManifest,
    ),
    (TAGGED + "manifest blob unknown", UnknownFailure),
    (TAGGED + "unauthorized", Unauthorized),
    (TAGGED + "denied", AccessDenied),
    (TAGGED + "unsupported", ReadOnly),
    (TAGGED + "unknown: Failed to process request due to tag immutable", TagImmutable),
    (TAGGED + "StatusCode: 413, <html>", UnknownFailure),
    (TAGGED + HTTP + "503 Service Unavailable", Unavailable),
    ("writing blob: write /var/tmp/x509/denied: no space left on device", DiskFull),
    (
        " (dest: write /tmp/a.tar: no space left on device): writing blob: io: read/write on "
        "closed pipe",
        DiskFull,
    ),
    (
        "Invalid destination name dir:/nope/x: lstat /nope: no such file or directory",
        UnknownFailure,
    ),
    (
        "determining manifest MIME type for dir:/nope: open /nope/manifest.json: no such file or "
        "directory",
        UnknownFailure,
    ),
    (
        'initializing source oci:/tmp/a: no descriptor found for reference "nope"',
        UnknownFailure,
    ),
    (
        "Invalid source name docker://{host}/Big: invalid reference format: repository name must "
        "be lowercase",
        UnknownFailure,
    ),
    (
        "Docker references with both a tag and digest are currently not supported",
        UnknownFailure,
    ),
    ('unknown transport "foo"', UnknownFailure),
    ("unknown flag: --nope\nSee 'skopeo copy --help'", ToolTooOld),
    (
        "Source image rejected: Running image docker://{host}/{repo}:unauthorized is rejected by "
        "policy.",
        PolicyRejected,
    ),
    (
        "Error loading trust policy: open /etc/containers/policy.json: no such file or directory",
        PolicyRejected,
    ),
    (
        "getting username and password: 1 error occurred:\n\t* reading JSON file "
        '"/home/a/auth.json": unmarshaling JSON at "/home/a/auth.json": unexpected end of JSON '
        "input\n\n",
        Unauthorized,
    ),
    (
        "Error listing repository tags: fetching tags list: " + STATUS + "404 (Not Found)",
        NotFound,
    ),
    ('logging into "{host}": invalid username/password', Unauthorized),
    (
        'authenticating creds for "{host}": can\'t talk to a V1 container registry',
        Unavailable,
    ),
    ("getting username and password: reading username: EOF", Unauthorized),
    ("open /run/containers/auth.json: permission denied", UnknownFailure),
    ("writing blob: open /tmp/x: too many open files", UnknownFailure),
)

URL = "http://{host}/v2/{repo}/manifests/unauthorized"
HEAD = f"unexpected status from HEAD request to {URL}: "
READ = f"httpReadSeeker: failed open: unexpected status from GET request to {URL}: "
COMMIT = 'failed commit on ref "index-{digest}": '
SENT = COMMIT + f"unexpected status from PUT request to {URL}: "
MOUNT = (
    "unexpected status from POST request to http://{host}/v2/{repo}/blobs/uploads/"
    "?mount={digest}&from={repo}: "
)
TOKEN = "failed to authorize: failed to fetch anonymous token: unexpected status from GET request "
ASK = f'failed to do request: Head "{URL}": '

BUILDX: tuple[tuple[str, type[ImageToolsError]], ...] = (
    ("{host}/{repo}:unauthorized: not found", NotFound),
    (
        "pull access denied, repository does not exist or may require authorization: authorization "
        "failed: no basic auth credentials",
        Unauthorized,
    ),
    (HEAD + "401 Unauthorized", Unauthorized),
    (TOKEN + "to http://{host}/token?a=b: 401 Unauthorized", Unauthorized),
    (TOKEN + "to http://{host}/token?a=b: 403 Forbidden", Unauthorized),
    (TOKEN + "to http://{host}/token?a=b: 429 Too Many Requests", RateLimited),
    (TOKEN + "to http://{host}/token?a=b: 500 Internal Server Error", Unavailable),
    (HEAD + "403 Forbidden", AccessDenied),
    (HEAD + "429 Too Many Requests", RateLimited),
    (HEAD + "500 Internal Server Error", Unavailable),
    (HEAD + "502 Bad Gateway", Unavailable),
    (HEAD + "503 Service Unavailable", Unavailable),
    (READ + "503 Service Unavailable\nunavailable", Unavailable),
    (READ + "403 Forbidden\ndenied", AccessDenied),
    (READ + "429 Too Many Requests\ntoomanyrequests: slow down", RateLimited),
    (f"httpReadSeeker: failed open: content at {URL} not found: not found", NotFound),
    (ASK + RESET, Unavailable),
    (ASK + "EOF", Unavailable),
    ("unexpected EOF", Unavailable),
    (RESET, Unavailable),
    ("short read: expected 1203 bytes but got 601: unexpected EOF", Unavailable),
    ("failed to parse index: invalid character 'X' after object key", InvalidManifest),
    (
        'failed commit on ref "layer-{digest}": got digest {digest}, expected {digest}',
        DigestMismatch,
    ),
    (
        "{host}/{repo}:unauthorized: could not fetch content descriptor {digest} (text/html) from "
        "remote: not found",
        Unavailable,
    ),
    (ASK + "dial tcp 10.0.0.2:443: connect: connection refused", ConnectionRefused),
    (ASK + "dial tcp: lookup denied.example on 10.0.0.53:53: no such host", NameUnknown),
    (
        ASK + "tls: failed to verify certificate: x509: certificate signed by unknown authority",
        TlsProblem,
    ),
    (ASK + "http: server gave HTTP response to HTTPS client", TlsProblem),
    (HEAD + "400 Bad Request", UnknownFailure),
    (SENT + "400 Bad Request\nunknown: manifest invalid", InvalidManifest),
    (SENT + "403 Forbidden\ndenied", AccessDenied),
    (SENT + "404 Not Found\nunknown: blob unknown to registry", UnknownFailure),
    (SENT + "405 Method Not Allowed\nunsupported", ReadOnly),
    (
        SENT + "412 Precondition Failed\nunknown: Failed to process request due to tag immutable",
        TagImmutable,
    ),
    (SENT + "413 Request Entity Too Large\n<html>", UnknownFailure),
    (SENT + "429 Too Many Requests\ntoomanyrequests: slow down", RateLimited),
    (SENT + "500 Internal Server Error", Unavailable),
    (SENT + "507 Insufficient Storage", DiskFull),
    (COMMIT + "authorization failed: no basic auth credentials", Unauthorized),
    (COMMIT + f'failed to do request: Put "{URL}": ' + RESET, Unavailable),
    (COMMIT + f'failed to do request: Put "{URL}": EOF', Unavailable),
    (MOUNT + "403 Forbidden\ndenied", AccessDenied),
    (MOUNT + "503 Service Unavailable", Unavailable),
    (
        'error getting credentials - err: exec: "docker-credential-nope": executable file not '
        "found in $PATH, out: ``",
        Unauthorized,
    ),
    ("can't push with no tags specified, please set --tag or --dry-run", UnknownFailure),
    ("no sources specified", UnknownFailure),
    ("invalid reference format: repository name (X/y) must be lowercase", UnknownFailure),
    ("none of the manifests match the provided platforms", PlatformMissing),
    ("unknown flag: --nope\n\nUsage:  docker buildx imagetools create", ToolTooOld),
    ("unknown shorthand flag: 't' in -t", ToolTooOld),
    ("failed to solve: context canceled", UnknownFailure),
)


def fatal(text: str) -> str:
    quoted = (
        text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    )
    return f'time="2026-07-01T11:22:33+02:00" level=fatal msg="{quoted}"\n'


def fill(text: str, host: str, repository: str) -> str:
    parts = {"{host}": host, "{repo}": repository, "{digest}": DIGEST}
    for name, value in parts.items():
        text = text.replace(name, value)
    return text


@pytest.mark.parametrize(("text", "kind"), SKOPEO)
def test_diagnose_recorded_skopeo_text_is_its_kind(text, kind):
    errors = [diagnose(fatal(fill(text, *place)), USERS, returncode=1) for place in PLACES]

    assert [type(error) for error in errors] == [kind] * len(PLACES), errors
    assert all(error.message.startswith(f"{USERS}: ") for error in errors)
    assert EXCHANGE not in errors[0].message
    assert errors[0].advice


@pytest.mark.parametrize(("text", "kind"), BUILDX)
def test_diagnose_recorded_buildx_text_is_its_kind(text, kind):
    progress = "#1 [internal] pushing {host}/{repo}\n#1 ERROR: denied\n------\n > [internal]\n"
    stderr = f"{progress}------\nERROR: {text}\n"

    errors = [diagnose(fill(stderr, *place), USERS) for place in PLACES]

    assert [type(error) for error in errors] == [kind] * len(PLACES), errors
    assert EXCHANGE not in errors[0].message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            MANIFEST + "manifest unknown",
            f"reading manifest unauthorized in {USERS}: manifest unknown",
        ),
        (
            PING + 'Get "http://{host}/v2/": EOF',
            'pinging container registry …: Get "…": EOF',
        ),
        (
            BLOB + 'Get "https://cdn.example/a?token=secret": dial tcp: no such host',
            f'{P}reading blob {DIGEST}: Get "https://cdn.example/…": dial tcp: no such host',
        ),
        (POST + "denied", f"{P}writing blob: initiating layer upload to … in …: denied"),
        (PUT + "digest invalid", "writing blob: uploading layer to …: digest invalid"),
        ('Get "https://me:secret@cdn.example/": EOF', 'Get "https://cdn.example/…": EOF'),
    ],
)
def test_diagnose_message_names_the_users_reference_only(text: str, message: str) -> None:
    error = diagnose(fatal(fill(text, EXCHANGE, f"s12/{REPOSITORY}")), USERS)

    assert error.message == f"{USERS}: {message}"


@pytest.mark.parametrize(
    ("text", "temporary"),
    [
        (POST + "unsupported", False),
        (TAGGED + "manifest blob unknown", True),
        (TAGGED + HTTP + "503 Service Unavailable", True),
        (PING + STATUS + "404 (Not Found)", False),
        ("something nobody has seen", True),
        ("writing blob: open /tmp/x: too many open files", True),
    ],
)
def test_diagnose_text_tells_whether_it_may_pass(text: str, temporary: bool) -> None:
    assert diagnose(fatal(text), USERS).temporary is temporary


def test_diagnose_killed_by_signal_names_it_and_the_memory() -> None:
    error = diagnose(fatal("denied"), USERS, returncode=-9, tool="buildx")

    assert (type(error), error.message) == (
        UnknownFailure,
        f"{USERS}: buildx was killed by signal 9",
    )
    assert "out of memory" in error.advice


@pytest.mark.parametrize(
    ("returncode", "message"),
    [
        (None, "skopeo failed and gave no reason"),
        (1, "skopeo failed with exit code 1 and gave no reason"),
    ],
)
def test_diagnose_silent_tool_says_so(returncode: int | None, message: str) -> None:
    assert str(diagnose("#1 pushing\n\n", USERS, returncode=returncode)) == f"{USERS}: {message}"


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        pytest.param(fatal("first") + fatal('a "b"\n\tc\\d'), 'a "b" c\\d', id="last-fatal"),
        pytest.param("time=1 level=fatal msg=EOF\n", "EOF", id="unquoted"),
        pytest.param('level=fatal msg="caf\\u00e9 \\x1b[0m"', "café [0m", id="go-escapes"),
        pytest.param('level=fatal msg="cut off', "cut off", id="cut-off"),
        pytest.param("\x1b[31mFATA\x1b[0m[0003] no space left", "no space left", id="coloured"),
        pytest.param(
            'time="1" level=warning msg="Failed, retrying in 1s"\n' + fatal("denied"),
            "denied",
            id="retries",
        ),
        pytest.param("ERROR: 403 Forbidden\ndenied\n", "403 Forbidden denied", id="second-line"),
        pytest.param("ERROR: unknown flag: --x\n\nUsage: y\n", "unknown flag: --x", id="usage"),
        pytest.param(
            "fatal error: runtime: out of memory\n\ngoroutine 1 [running]:\n\tmain.go:1",
            "fatal error: runtime: out of memory",
            id="crash",
        ),
        pytest.param("Error: gone\r\n#1 DONE\n------\n\n", "Error: gone", id="progress-after"),
        pytest.param("Getting image source signatures\n", "", id="noise-only"),
        pytest.param("", "", id="empty"),
    ],
)
def test_last_line_output_gives_the_tools_own_words(stderr: str, words: str) -> None:
    assert last_line(stderr) == words


@given(st.text(), st.text(min_size=1))
def test_diagnose_any_text_never_fails(stderr: str, reference: str) -> None:
    assert isinstance(diagnose(stderr, reference), ImageToolsError)


@pytest.mark.parametrize("name", ["x509", "denied", "toomanyrequests", "not-found", "immutable"])
@pytest.mark.parametrize("registry", ["docker.io/library", "127.0.0.1:5000/s1", "quay.io/a/b"])
def test_diagnose_name_like_an_error_changes_nothing(name: str, registry: str) -> None:
    reference = f"{registry}/{name}:{name}"
    text = f"reading manifest {name} in {registry}/{name}: manifest unknown"

    assert type(diagnose(fatal(text), reference)) is NotFound
    assert type(diagnose(f"ERROR: {reference}: unexpected EOF", reference)) is Unavailable


# What took exponential time once, or would take quadratic time were it read to its end.
TEDIOUS = ("a.", "x:y", "-", "https://a", "/v2/", "uploading ", "::", "[::1]:5", "\x1b[", "a/b:")


@pytest.mark.parametrize("part", TEDIOUS)
def test_diagnose_long_nonsense_is_soon_an_error(part: str) -> None:
    error = diagnose(f"x {part * (60_000 // len(part))}", "registry.example/app:1")

    assert len(error.message) < 700
