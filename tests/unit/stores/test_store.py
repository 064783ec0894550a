"""Each store says which abilities it has beyond the distribution spec."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, cast

import pytest

from image_tools.logins.credentials import Keyring
from image_tools.stores.archive.store import ArchiveStore
from image_tools.stores.harbor import Harbor, HarborSetting
from image_tools.stores.mirrored import Mirrored
from image_tools.stores.remote.registries_conf import RegistriesConf
from image_tools.stores.remote.registry import Remote, RemoteOptions
from image_tools.stores.store import Store

KEYRING = Keyring({"HOME": "/nowhere"})
OF_A_REGISTRY = {"announcing", "admission", "tag_lists", "referrers_doubt"}


def remote() -> Remote:
    return Remote("r.example", KEYRING, RemoteOptions(), {})


def harbor() -> Harbor:
    return Harbor("r.example", KEYRING, RemoteOptions(), {}, HarborSetting())


def mirrored() -> Mirrored:
    return Mirrored("r.example", RegistriesConf(), lambda *_: remote())


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        (remote(), OF_A_REGISTRY),
        (harbor(), OF_A_REGISTRY | {"projects"}),
        (mirrored(), {"mirrors"}),
        (ArchiveStore(cast(Any, None), "r.example"), {"archive"}),
    ],
    ids=["registry", "harbor", "mirrors", "archive"],
)
def test_abilities_are_those_of_the_kind_of_store(store: Store, expected: set[str]) -> None:
    abilities = store.abilities

    assert {one.name for one in fields(abilities) if getattr(abilities, one.name)} == expected
