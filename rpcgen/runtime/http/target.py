"""Where a channel over HTTP sends its calls, of its URL."""

from __future__ import annotations

import typing
import urllib.parse

from rpcgen.runtime.address import Address
from rpcgen.runtime.records import Record

if typing.TYPE_CHECKING:
    import ssl

    from rpcgen.runtime.tls import TLS


class Target(Record):
    """Where requests go."""

    url: str
    """As the program named it; errors tell it."""
    address: Address
    host: bytes
    """For the header of that name."""
    path: bytes
    is_tls: bool

    @classmethod
    def parse(cls, url: str) -> Target:
        """Gives the target of ``http://host:port/prefix`` or ``https://…``; ports are 80 and 443 where none is said.

        Raises:
            ValueError: It is no such URL.
        """
        if "@" in url.partition("://")[2].partition("/")[0]:
            raise ValueError("a token does not belong into a URL, which errors show: say credentials=")
        try:
            parts = urllib.parse.urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ValueError(f"{url!r}: {error}") from None
        scheme = parts.scheme.lower()
        if scheme not in ("http", "https") or not host:
            raise ValueError(f"{url!r} is no URL of HTTP: one is http://host:port/prefix or https://host")
        if parts.query or parts.fragment:
            raise ValueError(f"{url!r}: a query means nothing here: name what the application is mounted at")
        default = 443 if scheme == "https" else 80
        address = Address.of(host, default if port is None else port)
        try:
            name = host if host.isascii() else host.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise ValueError(f"{url!r}: {host!r} cannot be a host: {error}") from None
        said = f"[{name}]" if ":" in name else name
        path = urllib.parse.quote(parts.path.rstrip("/") + "/", safe="/%:@!$&'()*+,;=~-._")
        header = said if address.port == default else f"{said}:{address.port}"
        return cls(url, address._replace(host=name), header.encode(), path.encode(), scheme == "https")


def tls_of(
    target: Target, tls: TLS | ssl.SSLContext | bool | None
) -> tuple[ssl.SSLContext, str | None] | None:
    """Gives the settings of TLS to a target, and the name to expect if it is not the host; None for http.

    Raises:
        ValueError: There are settings for http.
        OSError, TypeError: As ``tls.client_context``.
    """
    from rpcgen.runtime.tls import client_context

    if tls and not target.is_tls:
        raise ValueError(f"{target.url} is without TLS: say https, or leave tls out")
    return client_context(True if tls is None else tls) if target.is_tls else None
