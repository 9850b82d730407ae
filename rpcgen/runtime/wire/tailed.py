"""Long messages in two pieces: a head, and as its tail the bytes of the last value.

The codec in C writes a call whose last argument is long ``bytes``, or a reply that returns some, in this
way, and a session receives into such a tail what may be one. So long bytes are not copied between where
the program has them and the system. Who looks at a message as a whole may: it is like ``bytes``, and is
joined then. In plain Python, where ``bytes`` cannot be received into, there are none of these.
"""

from __future__ import annotations

import typing

from rpcgen.runtime.wire.choice import choice

if typing.TYPE_CHECKING or choice().native:
    from rpcgen.runtime.wire._codec import Incoming as Incoming, Tailed as Tailed, tail_begin as tail_begin
else:

    class Tailed:
        """Nothing is one."""

    Incoming = None

    def tail_begin(data, pos):
        return 0


WRITTEN: typing.Final = (bytes, Tailed)
"""What a message is that was written here."""

if typing.TYPE_CHECKING:
    Message: typing.TypeAlias = bytes | Tailed
    """One of those."""

    Piece: typing.TypeAlias = bytes | bytearray | memoryview
    """To be sent as it is."""


def pieces(message: Piece | Tailed) -> list[Piece]:
    """Gives what is to be sent of it, in order."""
    return [message.head, message.tail] if isinstance(message, Tailed) else [message]
