import collections.abc
import typing

from rpcgen.runtime.errors import RemoteException
from rpcgen.runtime.wire.codec import Data
from rpcgen.runtime.wire.limits import Limits
from rpcgen.runtime.wire.tailed import Message

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
    def encode_frame(self, args: collections.abc.Sequence[object], limits: Limits = ...) -> Message: ...
    def encode_block(self, args: collections.abc.Sequence[object], limits: Limits = ...) -> Message: ...
    def decode_args(self, payload: Data, limits: Limits = ...) -> list[typing.Any]: ...
    def encode_reply(self, value: object, limits: Limits = ...) -> Message: ...
    def encode_raised(self, exc: RemoteException, limits: Limits = ...) -> bytes | None: ...
    def decode_reply(self, data: Data, limits: Limits = ...) -> typing.Any: ...
    def quick_reply(self, data: Data, limits: Limits = ...) -> typing.Any: ...
    def reply_scan(self, limits: Limits = ...) -> ReplyScan: ...
    def answer(
        self,
        handler: collections.abc.Callable[..., object],
        limits: Limits,
        whole: collections.abc.Callable[[Data], Message],
        failed: collections.abc.Callable[[BaseException], bytes],
        returned: collections.abc.Callable[[object], Message],
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

class Tailed:
    """See ``tailed``."""

    def __new__(cls, head: bytes, tail: bytes) -> Tailed: ...
    @property
    def head(self) -> bytes: ...
    @property
    def tail(self) -> bytes: ...
    def __len__(self) -> int: ...
    @typing.overload
    def __getitem__(self, key: typing.SupportsIndex, /) -> int: ...
    @typing.overload
    def __getitem__(self, key: slice, /) -> bytes | Tailed: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

class Incoming:
    """Memory of at least 64 KiB to receive into, which is bytes afterwards."""

    def __new__(cls, size: int) -> Incoming: ...
    def taken(self) -> bytes: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

def tail_begin(data: bytes, pos: int, /) -> int: ...

class Flow:
    """See ``flow``, whose classes of these names do the same."""

class ClientFlow(Flow): ...
class ServerFlow(Flow): ...
