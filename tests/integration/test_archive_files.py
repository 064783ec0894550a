"""Archive files as others read them, and as a killed process leaves them."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import FILE_FORMS, Form
from image_tools.stores.archive.file.archive_file import FileContent, file_form
from image_tools.stores.archive.verify import verify
from tests.helpers.archive_files import add, blobs_of, by_digest

ROOT = Path(__file__).resolve().parent.parent.parent
UNPACK = {Form.TAR: ("xf",), Form.GZIP: ("xzf",), Form.ZSTD: ("--zstd", "-xf")}
CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
LAYERS = tuple(random.Random(n).randbytes(size) for n, size in enumerate((0, 1, 65_536, 3_000_000)))
REFERENCE = "docker.io/library/nginx:1.25"


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def descriptor(kind: str, content: bytes) -> dict[str, object]:
    media_type = f"application/vnd.oci.image.{kind}"
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}


MANIFEST = compact(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", CONFIG),
        "layers": [descriptor("layer.v1.tar+gzip", layer) for layer in LAYERS],
    }
)
ENTRY = descriptor("manifest.v1+json", MANIFEST)
NAMED = ENTRY | {"annotations": {"org.opencontainers.image.ref.name": REFERENCE}}
INDEX = compact({"schemaVersion": 2, "manifests": [NAMED]})


@pytest.fixture(params=FILE_FORMS, ids=lambda form: form.name)
def form(request: pytest.FixtureRequest) -> Form:
    return request.param


@pytest.fixture
def archive(tmp_path: Path, form: Form) -> Path:
    """Give an archive of one image, half of it added later."""
    path = tmp_path / f"images{form.suffix}"
    with closing(FileContent.create(path, form)) as content:
        for layer in LAYERS[:2]:
            add(content, layer)
        content.publish(b"{}")
    with closing(FileContent.adding(path)) as content:
        for layer in LAYERS[2:]:
            add(content, layer, known=False)
        for blob in (CONFIG, MANIFEST):
            add(content, blob, compressible=True)
        content.publish(INDEX)
    return path


def run(*words: str | Path) -> bytes:
    done = subprocess.run(words, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def test_archive_is_unpacked_by_tar_to_an_image_layout(
    archive: Path, form: Form, tmp_path: Path
) -> None:
    folder = tmp_path / "unpacked"
    folder.mkdir()

    run("tar", *UNPACK[form], archive, "-C", folder)

    blobs = {f"blobs/sha256/{Digest.of(b).hex}": b for b in (*LAYERS, CONFIG, MANIFEST)}
    found = {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }
    assert found.pop("contents.jsonl").startswith(b'{"image-tools":"contents"')
    assert json.loads(found.pop("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    assert found == {"index.json": INDEX, **blobs}


def test_archive_is_read_by_skopeo(archive: Path, form: Form, skopeo: Path) -> None:
    found = run(skopeo, "inspect", "--raw", f"oci-archive:{archive}:{REFERENCE}")

    assert found == MANIFEST


@pytest.mark.parametrize(
    ("form", "words"), [(Form.GZIP, ("gzip", "-t")), (Form.ZSTD, ("zstd", "-qt"))], ids=str
)
def test_archive_is_found_whole_by_its_compressor(archive: Path, words: tuple[str, ...]) -> None:
    assert run(*words, archive) == b""


WRITER = """
import random, sys
from pathlib import Path
from image_tools.stores.archive.file.archive_file import FileContent
from image_tools.stores.archive.content import Form
from tests.helpers.archive_files import INDEX, add

path, form, how = Path(sys.argv[1]), Form(sys.argv[2]), sys.argv[3]
content = FileContent.create(path, form) if how == "create" else FileContent.adding(path)
print("begun", flush=True)
number = 0
while True:
    blob = random.Random(number).randbytes(number * 7919 % 400_000)
    failing = content.begin(len(blob), compressible=False) if number % 5 == 0 else None
    add(content, blob, known=number % 3 > 0, compressible=number % 4 == 0)
    print(number, flush=True)
    if failing:
        failing.drop()
    number += 1
    if how == "adding" and number % 10 == 0:
        content.publish(INDEX)
"""


def killed(path: Path, form: Form, how: str, after: float) -> list[bytes]:
    """The blobs that a process said it had finished before it was killed."""
    words = [sys.executable, "-c", WRITER, str(path), form.value, how]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
        numbers = [int(line) for line in process.stdout if line.endswith("\n")]
    return [random.Random(n).randbytes(n * 7919 % 400_000) for n in numbers]


@pytest.mark.parametrize("moment", range(20))
def test_archive_of_a_killed_process_goes_on_with_all_that_was_finished(
    tmp_path: Path, moment: int
) -> None:
    form = FILE_FORMS[moment % 3]
    path, how = tmp_path / "images", ("create", "adding")[moment % 2]
    if how == "adding":
        with closing(FileContent.create(path, form)) as content:
            add(content, b"old")
            content.publish(INDEX)

    finished = killed(path, form, how, random.Random(moment).uniform(0, 0.5))

    if how == "create":
        assert not path.exists()
        assert file_form(path.with_name("images.partial")) is None
    else:
        with closing(FileContent.reading(path)) as content:
            assert b"old" in blobs_of(content).values()
    begin = FileContent.create if how == "create" else lambda path, _form: FileContent.adding(path)
    with closing(begin(path, form)) as content:
        assert by_digest(*finished).items() <= blobs_of(content).items()
        add(content, b"last")
        content.publish(INDEX)
    with closing(FileContent.reading(path)) as content:
        assert {problem for _, problem in verify(content)} == {None}
        assert by_digest(*finished, b"last").items() <= blobs_of(content).items()
    assert [name.name for name in tmp_path.iterdir()] == ["images"]
