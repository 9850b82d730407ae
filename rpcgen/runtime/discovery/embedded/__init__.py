"""The embedded registry: entries that live while they are renewed, over JSON lines on TCP.

``client`` is what programs use, ``server`` what ``rpcgen registry`` runs. Both stand on
``protocol``, which does no I/O; the server's entries are kept by ``store``, what requests do
is decided in ``registrar``, and ``journal`` keeps entries on disk. Only ``server`` loads asyncio.
"""

from __future__ import annotations

import typing
import urllib.parse

from rpcgen.runtime.discovery.embedded.protocol import DEFAULT_PORT

if typing.TYPE_CHECKING:
    from rpcgen.runtime.discovery.embedded.client import EmbeddedRegistry

_OPTIONS = ("timeout", "token")


def open_url(url: str, options: dict[str, typing.Any]) -> EmbeddedRegistry:
    """Gives the registry at ``registry://[token@]host[:port][/ROOT][?timeout=10]``.

    Args:
        url: As above; the port is 2182 unless it says another.
        options: ``timeout`` and ``token``; they go before what the URL says.

    Raises:
        ValueError: It is no such URL, or an option is unknown or out of its range.
    """
    from rpcgen.runtime.discovery.embedded.client import EmbeddedRegistry  # the server has no use for it

    # The text of the URL may hold a token: no message shows it.
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        raise ValueError(f"this is no registry's URL, its host is none: one is {_EXAMPLE}") from None
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"this is no registry's URL: {error}; one is {_EXAMPLE}") from None
    if parts.scheme != "registry" or not parts.hostname or parts.password is not None or parts.fragment:
        raise ValueError(f"this is no registry's URL, at {parts.hostname or 'no host'}: one is {_EXAMPLE}")
    found: dict[str, typing.Any] = {}
    if parts.username:
        found["token"] = urllib.parse.unquote(parts.username)
    for name, value in urllib.parse.parse_qsl(parts.query, keep_blank_values=True):
        found[name] = _seconds(value) if name == "timeout" else value
    found.update(options)
    unknown = [name for name in found if name not in _OPTIONS]
    if unknown:
        raise ValueError(
            f"registry:// has no option {', '.join(unknown)}: there are {' and '.join(_OPTIONS)}"
        )
    root = urllib.parse.unquote(parts.path).strip("/")
    return EmbeddedRegistry(parts.hostname, DEFAULT_PORT if port is None else port, root=root, **found)


_EXAMPLE = "registry://127.0.0.1:2182, registry://TOKEN@host:2182/root or registry://host?timeout=10"


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"timeout={text} is no number of seconds") from None
