"""What a reader accepts."""

from __future__ import annotations

from rpcgen.runtime.records import Record


class Limits(Record):
    """What a reader of messages accepts; set on a server or a channel.

    Args:
        name: Bytes of a method's name.
        message: Bytes of a message.
        items: List items, set items, map entries and structs in a message, together.
        nesting: Structs, unions and containers inside each other; checked when encoding too.
        receive_time: Seconds from a message's first byte to its last; a server's new connection has as many until
            its first one has begun, HELLO with framed messages.
        idle_time: Seconds that a server keeps a connection without a call.
        connections: Connections that a server keeps at once.
        metadata: Bytes of a message's metadata; framed messages alone have some.
        unsent: Bytes of replies that a server keeps for a connection whose client does not take them; when
            there are more and another is ready, it closes the connection.
    """

    name: int = 255
    message: int = 16 * 1024 * 1024
    items: int = 1_000_000
    nesting: int = 64
    receive_time: float = 30.0
    idle_time: float = 600.0
    connections: int = 10_000
    metadata: int = 16 * 1024
    unsent: int = 64 * 1024 * 1024


DEFAULT_LIMITS = Limits()

ALIKE = 64
"""Keys of one hash beyond which a set or map is refused, where who sends it can choose the hashes (of uuids).

Python compares each with all those before it, which takes time by their square. In C: decode.c, ALIKE.
"""
