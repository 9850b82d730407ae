import collections.abc
import typing

from rpcgen.runtime.errors import RemoteException
from rpcgen.runtime.wire.codec import Data
from rpcgen.runtime.wire.limits import Limits

Rest: typing.TypeAlias = collections.abc.Callable[
    [collections.abc.Coroutine[object, object, object], object], collections.abc.Awaitable[object]
]

class Shape:
    def __new__(
        cls,
        kind: str,
        item: Shape | None = None,
        value: Shape | None = None,
        of: type | None = None,
        to_wire: collections.abc.Callable[..., object] | None = None,
        from_wire: collections.abc.Callable[..., object] | None = None,
        members: collections.abc.Mapping[int, object] | None = None,
        name: str | None = None,
        acyclic: bool = False,
        direct: bool = False,
    ) -> Shape: ...
    def fill(self, fields: tuple[object, ...], direct: bool, highest: int, /) -> None: ...

class Method:
    def __new__(
        cls,
        name: bytes,
        arguments: Shape,
        result: Shape | None,
        optional: bool,
        raises: tuple[Shape, ...],
        raised: dict[type[RemoteException], int],
        slow: tuple[collections.abc.Callable[..., typing.Any], ...],
        default: object,
        limits: Limits,
        /,
    ) -> Method: ...
    def encode_call(self, args: collections.abc.Sequence[object], limits: Limits = ...) -> bytes: ...
    def encode_frame(self, args: collections.abc.Sequence[object], limits: Limits = ...) -> bytes: ...
    def encode_block(self, args: collections.abc.Sequence[object], limits: Limits = ...) -> bytes: ...
    def decode_args(self, payload: Data, limits: Limits = ...) -> list[typing.Any]: ...
    def encode_reply(self, value: object, limits: Limits = ...) -> bytes: ...
    def encode_raised(self, exc: RemoteException, limits: Limits = ...) -> bytes | None: ...
    def decode_reply(self, data: Data, limits: Limits = ...) -> typing.Any: ...
    def quick_reply(self, data: Data, limits: Limits = ...) -> typing.Any: ...
    def reply_scan(self, limits: Limits = ...) -> ReplyScan: ...
    def answer(
        self,
        handler: collections.abc.Callable[..., object],
        limits: Limits,
        whole: collections.abc.Callable[[Data], bytes],
        failed: collections.abc.Callable[[BaseException], bytes],
        returned: collections.abc.Callable[[object], bytes],
        rest: Rest | None,
        /,
    ) -> collections.abc.Callable[[Data], typing.Any] | None: ...

class ReplyScan:
    @property
    def end(self) -> int: ...
    @property
    def needs(self) -> int: ...
    @property
    def steps(self) -> int: ...
    def advance(self, data: bytes | bytearray | memoryview, /) -> bool: ...

class Flow:
    """See ``flow``, whose classes of these names do the same."""

class ClientFlow(Flow): ...
class ServerFlow(Flow): ...
