"""Why a ZooKeeper cannot be worked with: asked on a connection of its own, by ``srvr``.

What kazoo says is the same for a server that is full, one that lost its data and one without
a quorum: "connection broken". Their answers to ``srvr`` differ.
"""

from __future__ import annotations

import contextlib
import enum
import re
import socket
import typing

import msgspec

if typing.TYPE_CHECKING:
    import collections.abc
    import ssl

TIMEOUT = 0.5
"""Seconds for a server to answer."""

MOST = 5
"""Servers that are asked, of many."""


class Health(enum.Enum):
    """What an answer, or none, means; the value says it to people."""

    UNREACHABLE = "cannot be connected to"
    FULL = (
        "closes connections at once: it has as many from this address as its maxClientCnxns allows "
        "(60 by default), or it does not speak this protocol"
    )
    SILENT = "accepts connections and does not answer: it hangs, or is no ZooKeeper"
    STARTING = "does not serve: it is starting, or has no quorum"
    OLDER = "lost data: what it has is older than what this process has seen"
    SERVING = "answers, but has not taken our session yet"


class Answer(msgspec.Struct, frozen=True):
    """What a server answered.

    Args:
        host: ``host:port``.
        health: What that means.
        detail: The system's word, if there is one.
    """

    host: str
    health: Health
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.host} {self.health.value}{self.detail and f' ({self.detail})'}"


def connect(
    address: tuple[str, int], name: str, timeout: float | None, context: ssl.SSLContext | None
) -> socket.socket:
    """Gives a connection, through TLS if there is a context.

    Raises:
        OSError: There is none.
    """
    connection = socket.create_connection(address, timeout)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is None:
            return connection
        return context.wrap_socket(connection, server_hostname=name)
    except BaseException:
        connection.close()
        raise


def probe(
    hosts: collections.abc.Iterable[str],
    seen: int,
    context: ssl.SSLContext | None,
    is_over: collections.abc.Callable[[], bool],
) -> list[Answer]:
    """Asks each server how it is.

    Args:
        hosts: ``host:port``, each.
        seen: The last transaction that this process has seen.
        context: For TLS.
        is_over: Whether to ask no more.
    """
    answers = []
    for host in list(hosts)[:MOST]:
        if is_over():
            break
        answers.append(_ask(host, seen, context))
    return answers


def _ask(host: str, seen: int, context: ssl.SSLContext | None) -> Answer:
    name, _, port = host.rpartition(":")
    name = name.strip("[]")
    try:
        connection = connect((name, int(port)), name, TIMEOUT, context)
    except OSError as error:
        return Answer(host, Health.UNREACHABLE, str(error.strerror or error))
    with contextlib.closing(connection):
        try:
            connection.sendall(b"srvr")
            text = b"".join(iter(lambda: connection.recv(4096), b"")).decode("utf-8", "replace")
        except TimeoutError:
            return Answer(host, Health.SILENT)
        except OSError:
            text = ""
    return Answer(host, judge(text, seen))


def judge(text: str, seen: int) -> Health:
    """Says what an answer to ``srvr`` means.

    Args:
        text: The answer.
        seen: The last transaction that this process has seen.
    """
    if not text:
        return Health.FULL
    if "not currently serving" in text:
        return Health.STARTING
    newest = re.search(r"^Zxid: 0x([0-9a-f]+)$", text, re.MULTILINE)
    if newest is not None and int(newest[1], 16) < seen:
        return Health.OLDER
    return Health.SERVING
