"""Nothing may be left by a test here; most want a registry in this process."""

from __future__ import annotations

import typing

import pytest

from rpcgen.runtime.discovery.embedded.server import RegistryServer
from tests.support.leaks import no_leaks

__all__ = ["no_leaks"]


@pytest.fixture
def server() -> typing.Iterator[RegistryServer]:
    with RegistryServer(port=0) as serving:
        yield serving
