from __future__ import annotations

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.contexts import Context
from rpcgen.runtime.interceptors import through
from tests.support.services import DivideProtocol

TOKENS = rpc.Tokens({"s3cret": "billing", "0ther": "reports"})


def answered(shown: dict[str, bytes], check: rpc.Interceptor) -> str:
    """What the server makes of a call with this metadata: who calls, or the fault."""
    context = Context("127.0.0.1:1", shown)
    call = rpc.Call(DivideProtocol, (), metadata=shown, reply_metadata={}, context=context)
    try:
        identity: str = through([check], call, lambda: context.identity)
    except rpc.Refused as refused:
        return str(refused)
    return identity


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (b"Bearer s3cret", "billing"),
        (b"bearer 0ther", "reports"),
        (b"Bearer s3cre", "UNAUTHENTICATED: the access token is not known"),
        (b"Bearer s3cret ", "UNAUTHENTICATED: the access token is not known"),
        (b"Bearer \xff\xfe", "UNAUTHENTICATED: the access token is not known"),
        (b"Bearer ", "UNAUTHENTICATED: an access token is required"),
        (b"Basic s3cret", "UNAUTHENTICATED: an access token is required"),
        (b"s3cret", "UNAUTHENTICATED: an access token is required"),
        (b"", "UNAUTHENTICATED: an access token is required"),
    ],
)
def test_a_call_passes_with_a_known_token_alone(shown: bytes, expected: str) -> None:
    assert answered({"authorization": shown}, rpc.require_token(TOKENS)) == expected
    assert answered({}, rpc.require_token(TOKENS)).startswith("UNAUTHENTICATED")


def test_who_may_call_what_is_asked() -> None:
    check = rpc.require_token(TOKENS, lambda who, method: (who, method) == ("reports", "divide"))
    assert answered({"authorization": b"Bearer 0ther"}, check) == "reports"
    refused = "PERMISSION_DENIED: billing may not call divide"
    assert answered({"authorization": b"Bearer s3cret"}, check) == refused


def test_a_client_shows_its_present_token() -> None:
    tokens = iter(["first", "second"])
    for sender, expected in [
        (rpc.send_token("fixed"), b"Bearer fixed"),
        (given := rpc.send_token(lambda: next(tokens)), b"Bearer first"),
        (given, b"Bearer second"),
    ]:
        call = rpc.Call(DivideProtocol, (), metadata={}, reply_metadata={})
        sent: dict[str, bytes] = through([sender], call, lambda made=call: dict(made.metadata))  # type: ignore[misc]
        assert sent == {"authorization": expected}


def test_no_text_shows_a_token() -> None:
    assert repr(TOKENS) == "<2 access tokens>"
    with pytest.raises(PermissionError, match=r"^the access token is not known$"):
        TOKENS("s3cret2")


def test_an_empty_token_is_refused() -> None:
    with pytest.raises(ValueError, match="lets everybody in"):
        rpc.Tokens({"": "anybody"})
