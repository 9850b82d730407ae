"""What every test of the wire needs: it runs with both codecs."""

from __future__ import annotations

import collections.abc

import pytest

from rpcgen.runtime.wire import plain
from rpcgen.runtime.wire.choice import choice


@pytest.fixture(params=["c", "python"], scope="module", autouse=True)
def codec_kind(request: pytest.FixtureRequest) -> collections.abc.Iterator[str]:
    """Lets MethodCodec use one codec or the other, from each method's first message on."""
    kind: str = request.param
    if kind == "c" and not choice().native:
        pytest.skip("the codec in C is not built")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain, "native", kind == "c")
        patch.setattr(plain, "FEW", 0)
        yield kind
