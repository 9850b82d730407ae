"""What every test of the wire needs."""

from __future__ import annotations

import pytest

from rpcgen.runtime.wire import plain


@pytest.fixture(scope="session", autouse=True)
def compiled_at_once() -> None:
    """Lets each codec compile at its first message: the compiled functions are what is tested."""
    plain.FEW = 0
