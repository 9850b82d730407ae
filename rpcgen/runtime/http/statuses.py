"""What goes wrong, as HTTP says it: the one table of statuses.

A fault has the status of its code. A declared exception has that of its ``@status``, without one 409: the
request was understood, and what it asks for is in conflict with how things are. What HTTP itself refuses is a fault, too, with a status that says more.
"""

from __future__ import annotations

import http
import typing

from rpcgen.runtime.errors import FaultCode

STATUSES: typing.Final = {
    FaultCode.UNKNOWN_METHOD: 404,
    FaultCode.BAD_REQUEST: 400,
    FaultCode.DEADLINE_EXCEEDED: 504,
    FaultCode.CANCELLED: 499,
    FaultCode.UNAVAILABLE: 503,
    FaultCode.RESOURCE_EXHAUSTED: 429,
    FaultCode.UNAUTHENTICATED: 401,
    FaultCode.PERMISSION_DENIED: 403,
    FaultCode.INTERNAL: 500,
}

HEADERS: typing.Final[dict[int, tuple[tuple[bytes, bytes], ...]]] = {
    401: ((b"www-authenticate", b"Bearer"),),
    429: ((b"retry-after", b"1"),),
    503: ((b"retry-after", b"1"),),
}
"""That go with a status."""

CODES: typing.Final = {
    405: FaultCode.BAD_REQUEST,
    408: FaultCode.DEADLINE_EXCEEDED,
    413: FaultCode.RESOURCE_EXHAUSTED,
    415: FaultCode.BAD_REQUEST,
    431: FaultCode.RESOURCE_EXHAUSTED,
}
"""The fault codes of statuses that only HTTP has."""

_TITLES = {499: "Client Closed Request"}


def code_of(status: int) -> FaultCode:
    """Gives the fault code of a refusal's status."""
    if status in CODES:
        return CODES[status]
    return next((code for code, found in STATUSES.items() if found == status), FaultCode.INTERNAL)


def title_of(status: int) -> str:
    """Gives a status's words."""
    return _TITLES.get(status) or http.HTTPStatus(status).phrase


def problem_type(name: str, *, is_declared: bool) -> str:
    """Gives the URI that identifies a kind of problem, for ``type`` in problem details.

    Args:
        name: The exception's in the IDL, or the fault code's.
        is_declared: It is an exception of the IDL.
    """
    kind = "exception" if is_declared else "fault"
    return f"urn:rpcgen:{kind}:{name}"
