"""The methods that an application serves, each in two writings: as the binary route has it, and in JSON.

Both are run the same way, by the same handler inside the same interceptors. A reply is bytes in either, and
its first byte says of which kind it is: a fault is the same in both, what is returned or raised differs.
"""

from __future__ import annotations

import functools
import struct
import typing
import urllib.parse

from rpcgen.runtime.aio.server.dispatch import AsyncDispatcher, AsyncReplies, How, Method
from rpcgen.runtime.aio.server.running import begun, resumed
from rpcgen.runtime.contracts import fingerprint_of
from rpcgen.runtime.dispatch import Replies
from rpcgen.runtime.http.messages import Refusal
from rpcgen.runtime.http.metadata import INTERFACE
from rpcgen.runtime.records import Record
from rpcgen.runtime.schema import ListOf, OptionalOf, SetOf
from rpcgen.runtime.wire.codec import RAISED, RETURNED
from rpcgen.runtime.wire.forms import MethodForms, data_of_text, text
from rpcgen.runtime.wire.types import resolved

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.aio.server.dispatch import Quick
    from rpcgen.runtime.dispatch import Protocol
    from rpcgen.runtime.errors import RemoteException
    from rpcgen.runtime.interceptors import Interceptor
    from rpcgen.runtime.stubs import ServerStub
    from rpcgen.runtime.wire.codec import Data
    from rpcgen.runtime.wire.limits import Limits

_u32 = struct.Struct(">I").unpack_from


class JsonCodec:
    """Writes replies in JSON, after the byte of their kind.

    Args:
        forms: The method's.
    """

    __slots__ = ("_forms",)

    def __init__(self, forms: MethodForms) -> None:
        self._forms = forms

    def encode_reply(self, value: object, limits: Limits) -> bytes:
        """Gives what is returned: the kind, and the result."""
        return bytes((RETURNED,)) + text(self._forms.write_result(value))

    def encode_raised(self, exc: RemoteException, limits: Limits) -> bytes | None:
        """Gives what is raised: the kind, the response's status in two bytes, and the error."""
        declared, error = self._forms.declared(exc), self._forms.write_raised(exc)
        if declared is None:
            return None
        return b"".join((bytes((RAISED,)), declared.http_status.to_bytes(2, "big"), text(error)))


class Served(Record):
    """A method.

    Args:
        binary: Run from and to plain messages.
        json: Run from arguments to JSON; ``quick`` is given those, too.
        forms: Reads its arguments.
        protocol: What it is.
    """

    binary: Method
    json: Method
    forms: MethodForms
    protocol: Protocol

    def arguments_of_query(self, query: bytes) -> tuple[typing.Any, ...]:
        """Gives the arguments that a URL's query says, by their names.

        A list or set has an item in each of the pairs of its name; what is a string in JSON stands as it is,
        everything else as JSON.

        Raises:
            Refusal: The query is not UTF-8, or says an argument twice that is no list (400).
            DecodeError: As ``MethodForms.read_arguments``.
        """
        try:
            pairs = urllib.parse.parse_qsl(
                query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=10_000
            )
        except ValueError as error:
            raise Refusal(400, f"the query cannot be read: {error}") from None
        types = {param.name: param.type for param in self.protocol.params}
        found: dict[str, typing.Any] = {}
        for name, written in pairs:
            type_ = types.get(name)
            if type_ is None:
                found[name] = written
                continue
            type_ = resolved(type_.item if isinstance(type_, OptionalOf) else type_)
            if isinstance(type_, (ListOf, SetOf)):
                found.setdefault(name, []).append(data_of_text(type_.item, written))
            elif name in found:
                raise Refusal(400, f"{self.protocol.name}: {name} stands twice in the query")
            else:
                found[name] = data_of_text(type_, written)
        return self.forms.read_arguments(found)


class Methods:
    """All methods of an application, by their names on the wire.

    Args:
        stubs: What it serves.
        limits: For arguments and results.
        interceptors: Around every handler, that of ``rpc.health`` excepted.
        inline: All plain functions run in the event loop.

    Raises:
        ValueError: Two stubs serve the same.
    """

    def __init__(
        self,
        stubs: collections.abc.Sequence[ServerStub],
        limits: Limits,
        interceptors: collections.abc.Sequence[Interceptor],
        *,
        inline: bool,
    ) -> None:
        self.dispatcher = AsyncDispatcher(stubs, limits, interceptors, inline=inline)
        self._served = {
            name: _served(method, limits, is_intercepted=bool(interceptors))
            for name, method in self.dispatcher.methods.items()
        }
        self._at = {f"/{name.replace('.', '/')}": served for name, served in self._served.items()}
        version = fingerprint_of(stubs)
        self.version = [(INTERFACE, version.encode())] if version else []
        """The header by which clients know whether to compare versions."""
        self._begun = {
            len(wire).to_bytes(4, "big") + wire: served.binary
            for name, served in self._served.items()
            if len(wire := name.encode()) <= min(limits.name, 255)
        }

    def usual(self, message: bytes) -> tuple[Method, bytes] | None:
        """Gives the method of a plain call message and the block of its arguments; None: look closer."""
        if len(message) <= 8:
            return None
        end = message[3] + 4
        method = self._begun.get(message[:end])
        begin = end + 4
        if method is None or len(message) < begin or begin + _u32(message, end)[0] != len(message):
            return None
        return method, message[begin:]

    def get(self, name: str) -> Served | None:
        """Gives a method; None if there is none of that name."""
        return self._served.get(name)

    def at(self, path: str) -> Served | None:
        """Gives the method that a path names: ``/METHOD``, ``/SERVICE/METHOD``; None if there is none."""
        return self._at.get(path)


class _JsonMethod(Method):
    """What its arguments are read from is read already."""

    __slots__ = ()

    def arguments(self, block: typing.Any) -> list[typing.Any] | bytes:
        return typing.cast("list[typing.Any]", block)


def _served(method: Method, limits: Limits, *, is_intercepted: bool) -> Served:
    protocol = method.protocol
    forms = MethodForms(protocol.codec(), limits)
    replies = Replies(protocol, limits, is_intercepted=is_intercepted, codec=JsonCodec(forms))
    how = protocol, method.handler, method.how
    binary = Method(*how, method.quick, method.replies, limits, takes_thread=method.takes_thread)
    json = _JsonMethod(*how, None, replies, limits, takes_thread=method.takes_thread)
    if method.takes_thread or method.is_oneway:
        pass
    elif method.how is How.INLINE:
        json.quick = typing.cast("Quick", json.call)
    else:
        binary.quick = beginning(binary, limits, is_intercepted=is_intercepted)
        json.quick = functools.partial(begun, json)
    return Served(binary, json, forms, protocol)


def beginning(method: Method, limits: Limits, *, is_intercepted: bool = False) -> Quick:
    """Gives what begins a coroutine function, from the arguments' block, where the task that asks goes on with it."""

    def whole(block: Data) -> typing.Any:
        args = method.arguments(block)
        return args if isinstance(args, bytes) else begun(method, args)

    replies = AsyncReplies(method.protocol, limits, is_intercepted=is_intercepted)
    codec = method.protocol.codec()
    return codec.answer(method.handler, limits, whole, replies.failed, replies.returned, resumed)
