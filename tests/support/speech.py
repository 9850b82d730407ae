"""The ways in which a blocking channel can speak, and what servers made by hand say in them."""

from __future__ import annotations

import typing

from rpcgen.runtime.errors import FaultCode
from rpcgen.runtime.wire import frames, plain
from rpcgen.runtime.wire.hello import Hello, encode_hello


class Spoken(typing.TypedDict, total=False):
    """The options of a channel that say how it speaks."""

    protocol: typing.Required[typing.Literal["framed", "plain"]]
    multiplex: bool


RETURNED = bytes.fromhex("01 40000000")
"""2.0"""


class Speech:
    """A way to speak.

    Args:
        name: For the test's name.
        options: Of a channel that speaks so.
    """

    def __init__(self, name: str, options: Spoken) -> None:
        self.name = name
        self.options = options
        self.is_framed = options["protocol"] == "framed"
        self.is_shared = bool(options.get("multiplex"))

    @property
    def opening(self) -> bytes:
        """What a server says first."""
        return encode_hello(Hello(largest=16 << 20)) if self.is_framed else b""

    def reply(self, reply: bytes = RETURNED, call_id: int = 1) -> bytes:
        """Gives the reply to a call."""
        if not self.is_framed:
            return reply
        return frames.pack_head(len(reply) + frames.OVERHEAD, frames.REPLY << 8, call_id) + reply

    def fault(self, code: FaultCode, message: str, call_id: int = 1) -> bytes:
        """Gives a fault as the answer to a call; id 0: to all of them, before the end."""
        if not self.is_framed:
            return plain.encode_fault(code, message)
        payload = frames.encode_fault(code, message)
        return frames.pack_head(len(payload) + frames.OVERHEAD, frames.FAULT << 8, call_id) + payload

    def __repr__(self) -> str:
        return self.name


PLAIN = Speech("plain", {"protocol": "plain"})
FRAMED = Speech("framed", {"protocol": "framed"})
MULTIPLEXED = Speech("multiplexed", {"protocol": "framed", "multiplex": True})

ALL = (PLAIN, FRAMED, MULTIPLEXED)
