"""Fixtures of the zoo: real tools, and an environment without anybody's settings."""

from __future__ import annotations

from tests.integration.conftest import (  # noqa: F401
    _versions_asked_once,
    clean_environment,
    docker_registry,
)
