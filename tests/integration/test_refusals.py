"""What people are told of an expired certificate, a proxy's page and a limit on pushes."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from tests.helpers.certificates import issue_certificates
from tests.helpers.fault_types import ALWAYS, Fault, Stage
from tests.helpers.faults import FaultOptions, FaultRegistry
from tests.helpers.images import docker_list
from tests.helpers.running import image_tools, mirror


@pytest.mark.parametrize(
    ("begins", "ends", "said", "hint"),
    [
        (2001, 2024, "expired on 2024-05-01", "advice: renew the certificate on 127.0.0.1"),
        (2090, 2091, "is not valid yet", "advice: check this machine's clock"),
    ],
)
def test_certificate_that_is_not_valid_today_is_dated(
    tmp_path: Path, begins: int, ends: int, said: str, hint: str
) -> None:
    good = issue_certificates(tmp_path / "ca")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    server = authority.issue_cert(
        "127.0.0.1",
        not_before=datetime.datetime(begins, 5, 1, tzinfo=datetime.timezone.utc),
        not_after=datetime.datetime(ends, 5, 1, tzinfo=datetime.timezone.utc),
    )
    server.cert_chain_pems[0].write_to_path(tmp_path / "server.crt")
    server.private_key_pem.write_to_path(tmp_path / "server.key")
    certificates = replace(
        good,
        authority=tmp_path / "ca.crt",
        server_certificate=tmp_path / "server.crt",
        server_key=tmp_path / "server.key",
    )
    with FaultRegistry(FaultOptions(certificates=certificates)) as double:
        where = f"{double.address}/team/app"
        ran = image_tools("list-tags", where, "--ca-file", tmp_path / "ca.crt", "--tls-verify=true")

    assert ran.code == 1
    assert f"the certificate of {double.address} {said}" in ran.stderr
    assert hint in ran.stderr


def test_limit_on_pushes_is_said_to_be_the_destinations(
    fault_registry: FaultRegistry, tmp_path: Path
) -> None:
    fault_registry.load("team/app", "1.0", docker_list(1))
    with FaultRegistry() as destination:
        destination.add(Fault(Stage.PUT_MANIFEST, 429, ALWAYS, retry_after=0))
        lines = f"{fault_registry.address}/team/app:1.0\n"
        ran = mirror(tmp_path, lines, "-d", destination.address, "--retry-times", "0")

    outcome = ran.only()
    assert outcome["kind"] == "rate-limited", ran.stderr
    assert "the destination limits pushes" in outcome["advice"]
