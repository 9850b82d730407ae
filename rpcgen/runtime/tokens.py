"""Access tokens: what a client shows, and what a server makes of it.

A token may be shown once a connection (``credentials=`` of a channel, ``authenticate=`` of a server) or
with each call, in its metadata, by interceptors. Who may know it is kept out of all texts and logs.
"""

from __future__ import annotations

import contextlib
import typing

from rpcgen.runtime.errors import FaultCode
from rpcgen.runtime.interceptors import Refused

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.interceptors import Call, Interceptor

_NAME = "authorization"
_SCHEME = b"Bearer "
"""As in HTTP (RFC 6750), so that gateways need not translate."""


class Tokens:
    """Knows tokens and whose they are; for ``authenticate=`` and ``rpc.require_token``.

    Looking one up takes as long for a wrong token as for a right one, whatever they have in common.

    Args:
        identities: Token → who has it, for ``rpc.context().identity``.

    Raises:
        ValueError: One is empty: a client without a token would be let in.
    """

    def __init__(self, identities: collections.abc.Mapping[str, str]) -> None:
        if "" in identities:
            raise ValueError("an empty token lets everybody in")
        self._identities = [(token.encode(), name) for token, name in identities.items()]

    def __call__(self, token: str) -> str:
        """Gives whose token it is.

        Raises:
            PermissionError: Nobody's.
        """
        import hmac

        shown = token.encode(errors="replace")
        found: str | None = None
        for known, name in self._identities:
            if hmac.compare_digest(known, shown):
                found = name
        if found is None:
            raise PermissionError("the access token is not known" if token else "an access token is required")
        return found

    def __repr__(self) -> str:
        return f"<{len(self._identities)} access tokens>"


def send_token(token: str | collections.abc.Callable[[], str]) -> Interceptor:
    """Gives a client's interceptor that shows a token with each call.

    Args:
        token: It, or what gives the present one: asked before each call, it must not wait.
    """

    @contextlib.contextmanager
    def token_sent(call: Call) -> collections.abc.Iterator[None]:
        shown = token if isinstance(token, str) else token()
        call.metadata[_NAME] = _SCHEME + shown.encode()
        yield

    return token_sent


def require_token(
    identify: collections.abc.Callable[[str], str],
    allow: collections.abc.Callable[[str, str], bool] | None = None,
) -> Interceptor:
    """Gives a server's interceptor that lets calls with a good token through to their handlers.

    Other calls are answered UNAUTHENTICATED. Handlers find in ``rpc.context().identity`` who calls.

    Args:
        identify: Gives whose token it is, or raises PermissionError: ``rpc.Tokens({…})``. It must not wait.
        allow: Given who calls and the method's wire name, says whether he may; others are answered
            PERMISSION_DENIED. None: everybody with a token may call everything.
    """

    @contextlib.contextmanager
    def token_required(call: Call) -> collections.abc.Iterator[None]:
        shown = call.metadata.get(_NAME, b"")
        scheme, token = shown[: len(_SCHEME)], shown[len(_SCHEME) :]
        try:
            if scheme.lower() != _SCHEME.lower():
                raise PermissionError("an access token is required")
            identity = identify(token.decode(errors="replace"))
        except PermissionError as error:
            raise Refused(FaultCode.UNAUTHENTICATED, str(error)) from None
        if allow is not None and not allow(identity, call.method):
            raise Refused(FaultCode.PERMISSION_DENIED, f"{identity} may not call {call.method}")
        if call.context is not None:
            call.context.identity = identity
        yield

    return token_required
