"""Classify a tool's failure by its stderr: exit codes say nothing, so its own words decide.

The words are found here, and freed of noise, addresses and references; the table of refusals
(`image_tools/refusals/`) says what they mean.
"""

from __future__ import annotations

import re

from image_tools.errors import ImageToolsError, UnknownFailure
from image_tools.refusals.case import GAP, HEX, TAIL, Case, Stage, names_of, place_of
from image_tools.refusals.classify import classify

_MEMORY = "the machine was probably out of memory: add memory, or lower -j"
# Recorded on skopeo 1.9.3 and buildx 0.29.1; newer ones spell a few of them differently.
_STATUS = re.compile(
    r"(?:StatusCode:|HTTP status:|status code from registry) ([1-5]\d\d)\b"
    r"|\b([45]\d\d) \(?(?:Internal|Bad|Service|Gateway|Forbidden|Not |Unauthorized|Too|Request"
    r"|Precondition|Method|Insufficient|Unsupported|Proxy|Conflict|Payment)",
    re.IGNORECASE,
)
_PUSHING = re.compile(
    r"initiating layer upload|uploading (?:layer|manifest)|writing (?:blob|manifest)"
    r"|\b(?:Patch|Put) [\"…]|(?:PUT|POST|PATCH) request|failed commit on ref|failed to push"
    r"|exists in …"
)
_READING = re.compile(r"happened during read")
_LOGIN = re.compile(
    r"requesting bearer token|retrieve auth token|failed to authorize"
    r"|failed to fetch (?:anonymous|oauth) token|logging into",
    re.IGNORECASE,
)
_PAGE = re.compile(r"<!doctype|<html", re.IGNORECASE)
# The descriptions of the error codes of the distribution spec, which tools print in their place.
_CODES = (
    "manifest blob unknown",
    "manifest unknown",
    "manifest invalid",
    "blob unknown",
    "name unknown",
    "digest invalid",
    "tag invalid",
    "toomanyrequests",
    "unsupported",
    "denied",
    "unauthorized",
)
LONGEST = 600
# Longer text is no sentence of a tool: its middle is left out before it is searched.
_MOST_READ = 4000

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.")
_FATAL = re.compile(r'level=(?:fatal|panic) msg=("(?:[^"\\]|\\.)*"?|\S+)')
_COLOURED_FATAL = re.compile(r"^FATA\[\d+\] +(.+)", re.MULTILINE)
_NOISE = re.compile(
    r"#\d+ |-{4,}$|[> ]>|time=\S+ level=(?:info|debug|warning)|Getting image |Skipping blob"
    r"|Copying (?:blob|config)|Writing manifest|Storing signatures|See '|Run '|goroutine \d|\t"
)
_GO_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))", re.DOTALL)
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "a": "", "b": "", "f": "", "v": ""}

_LOOPBACK_HOST = r"(?:127(?:\.\d{1,3}){3}|localhost|\[::1\]):\d+"
_ANY_HOST = r"(?:\[[0-9a-f:]+\]|[\w.-]+)(?::\d+)?"
_PATH = rf"/[\w./-]*\w{TAIL}"
_URL = re.compile(r"(https?)://([^\s\"/?#]*[^\s\"/?#,:)])([^\s\"]*[^\s\":;,.)])?")
_LOOPBACK_REFERENCE = re.compile(rf"(?:docker://|(?<![/@\w])){_LOOPBACK_HOST}{_PATH}")
_LOOPBACK = re.compile(rf"(?<![\w.]){_LOOPBACK_HOST}\b")
_API_PATH = re.compile(r"(?<![\w.…])/v2/[^\s\",:]*")
_DOCKER_REFERENCE = re.compile(rf"docker://{_ANY_HOST}(?:{_PATH})?")
# Each letter can match in one way only: else long nonsense would take exponential time.
_REFERENCE = re.compile(rf"(?<![\w./:-])[\w-]+[.:][\w.:-]+{_PATH}")
_NAMED = re.compile(
    r"(?P<before>(?:reading|uploading) manifest |repository |exists in )[^\s\"]+(?=:? )"
)
_FILE = re.compile(r"(?<![\w.…/])/[^\s\":,]+")
_DIGEST = re.compile(HEX)
_GENERIC = (_DOCKER_REFERENCE, _URL, _LOOPBACK_REFERENCE, _LOOPBACK, _REFERENCE, _FILE, _DIGEST)


def diagnose(
    stderr: str, reference: str, *, returncode: int | None = None, tool: str = "skopeo"
) -> ImageToolsError:
    """Return the error that `stderr` of a failed `tool` means, about the user's `reference`.

    It is used if the exchange saw no cause. The message is the reference and the tool's own words,
    without addresses of the exchange, and without path and query of URLs. A negative `returncode`
    is the signal that ended the tool.
    """
    if returncode is not None and returncode < 0:
        return UnknownFailure(
            f"{reference}: {tool} was killed by signal {-returncode}",
            advice=_MEMORY if returncode == -9 else None,
        )
    words = last_line(stderr)
    if not words:
        return UnknownFailure(f"{reference}: {tool} failed{_code(returncode)} and gave no reason")
    verdict = classify(_case(plain(words, reference), reference))
    return verdict.error(f"{reference}: {readable(words, reference)}")


def last_line(stderr: str) -> str:
    """Return the last meaningful words of a tool on one line; empty if there are none.

    skopeo's: the text of its last `level=fatal` line, unquoted. buildx's: what follows `ERROR: `,
    with the second line that holds the registry's own code. Progress and escapes are left out.
    """
    text = _ESCAPES.sub("", stderr).replace("\r\n", "\n").replace("\r", "\n")
    words = _fatal(text) or _buildx_error(text) or _crash(text) or _last_of_all(text)
    return _one_line(_bounded(words))


def plain(words: str, reference: str) -> str:
    """Return `words` for matching: names, URLs, digests, paths and `reference` are gaps.

    A repository may be called `x509` or `denied`.
    """
    text = words
    for pattern in _GENERIC:
        text = pattern.sub(GAP, text)
    for name in names_of(reference):
        text = re.sub(re.escape(name) + TAIL, GAP, text)
    return _NAMED.sub(rf"\g<before>{GAP}", text)


def readable(words: str, reference: str) -> str:
    """Return `words` for people: `reference` for addresses of the exchange, of URLs only the host.

    Query and path of a URL may carry a token or the state of an upload.
    """
    text = _LOOPBACK_REFERENCE.sub(lambda _: reference, words)
    text = _URL.sub(_host_only, text)
    text = _API_PATH.sub(GAP, _kept_apart(text, reference))
    return text.removeprefix(f"initializing source {reference}: ")[:LONGEST]


def _kept_apart(text: str, reference: str) -> str:
    """Return `text` without loopback addresses other than those of the user's `reference`."""
    return reference.join(_LOOPBACK.sub(GAP, part) for part in text.split(reference))


def _host_only(found: re.Match[str]) -> str:
    scheme, host, path = found.groups()
    host = host.rpartition("@")[2]
    if _LOOPBACK.fullmatch(host):
        return GAP
    return f"{scheme}://{host}/{GAP}" if path else f"{scheme}://{host}"


def _case(text: str, reference: str) -> Case:
    """Return what the words of a tool, without names, tell about what it was refused."""
    registry, repository, _ = place_of(reference)
    status = _STATUS.search(text)
    said = text.lower()
    return Case(
        stages=frozenset({Stage.TOOL, Stage.CONNECTING, _stage(text)}),
        status=int(status[1] or status[2]) if status else None,
        code=next((c.upper().replace(" ", "_") for c in _CODES if c in said), ""),
        words=text,
        is_page=_PAGE.search(text) is not None,
        registry=registry,
        repository=repository,
    )


def _stage(text: str) -> Stage:
    if _LOGIN.search(text):
        return Stage.LOGIN
    pushes = _PUSHING.search(text) and not _READING.search(text)
    return Stage.PUSHING if pushes else Stage.READING


def _code(returncode: int | None) -> str:
    return "" if returncode is None else f" with exit code {returncode}"


def _fatal(text: str) -> str:
    found = _FATAL.findall(text) or _COLOURED_FATAL.findall(text)
    return _unquoted(found[-1]) if found else ""


def _unquoted(text: str) -> str:
    """Return `text` without the quotes of Go's strconv.Quote, which logrus adds around blanks."""
    if not text.startswith('"'):
        return text
    return _GO_ESCAPE.sub(_letter, text[1:].removesuffix('"'))


def _letter(found: re.Match[str]) -> str:
    byte, short, long, letter = found.groups()
    code = byte or short or long
    if code:
        return chr(int(code, 16)) if int(code, 16) < 0x110000 else ""
    return _LETTERS.get(letter, letter)


def _buildx_error(text: str) -> str:
    start = re.search(r"^ERROR: ", text, re.MULTILINE)
    if start is None:
        return ""
    return text[start.end() :].strip().partition("\n\n")[0]


def _crash(text: str) -> str:
    """Return the first line of a Go program's panic, which stacks of its threads follow."""
    found = re.search(r"^(?:panic|fatal error|runtime): .+", text, re.MULTILINE)
    return found.group() if found else ""


def _last_of_all(text: str) -> str:
    lines = (line for line in reversed(text.splitlines()) if line.strip())
    return next((line for line in lines if not _NOISE.match(line)), "")


def _bounded(text: str) -> str:
    half = _MOST_READ // 2
    return text if len(text) <= _MOST_READ else f"{text[:half]} {GAP} {text[-half:]}"


def _one_line(text: str) -> str:
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())
