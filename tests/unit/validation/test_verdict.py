"""What a validation says of one fault, word for word as users search for it."""

from __future__ import annotations

import json

from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.validation.verdict import (
    Names,
    elsewhere,
    left_over,
    not_chosen,
    spec,
    unreadable,
)
from tests.helpers.descriptors import attestation, entry

NAMES = Names(source="docker.io/library/nginx:1", destination="reg:5000/library/nginx", tag="1")
PLACE = "reg:5000/library/nginx:1"
AMD, ARM = entry("amd"), entry("arm", "linux/arm64")


def test_unreadable_destination_lies_behind_and_is_replaced_by_feeding_back() -> None:
    verdict = unreadable(ValueError("gone"), NAMES)

    assert verdict.problems == (f"[{PLACE}]: destination manifest cannot be read: gone",)
    assert verdict.advice == "feed the failed list to mirror: it replaces the destination's index"
    assert verdict.behind


def test_spec_leaves_out_what_is_not_stated() -> None:
    assert json.loads(spec((AMD, entry("x", "")))) == [
        {"digest": str(AMD.digest), "platform": {"architecture": "amd64", "os": "linux"}},
        {"digest": str(entry("x").digest)},
    ]


def test_entry_that_is_too_much_is_called_by_platform_and_digest() -> None:
    about = attestation("amd")
    assert left_over(ARM) == (
        f"the destination has linux/arm64 ({ARM.digest}), which was chosen and is not at the source"
    )
    assert not_chosen(about) == (
        f"the destination has an attestation ({about.digest}), which was not chosen, and "
        "--overwrite is given"
    )


def test_elsewhere_shows_the_first_address_and_commands_no_terminal() -> None:
    urls = ["https://far.example/\x1b[2Jlayer", "https://other.example/layer"]
    layer = Descriptor(media_type="", digest=Digest.of(b"layer"), size=5, fields={"urls": urls})

    assert elsewhere(layer, NAMES).endswith("download it from https://far.example/?[2Jlayer")
