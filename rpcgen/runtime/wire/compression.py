"""Compressed payloads: gzip from the standard library, zstd and lz4 where they are installed.

An algorithm's library is imported when it is first used; which there are is found out without.
Expanding stops one byte after the length that the payload claims, so a bomb takes no more
memory than an honest payload of that length, which has been held against the limits before.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
import typing

from rpcgen.runtime.errors import ProtocolError
from rpcgen.runtime.records import Record
from rpcgen.runtime.wire.frames import pack_u32, u32
from rpcgen.runtime.wire.spares import room

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.wire.frames import Buffer

    class _Decompressor(typing.Protocol):
        """What all three libraries give."""

        @property
        def eof(self) -> bool: ...
        @property
        def unused_data(self) -> bytes | None: ...
        def decompress(self, data: Buffer, max_length: int, /) -> bytes: ...


OVERHEAD: typing.Final = 5
"""Bytes before the compressed ones: the algorithm's number and the raw length."""

_ZSTD = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"

_PIECE = 256 * 1024
"""Bytes that a decompressor is given, and gives, at a time."""

_WINDOW = 23
"""zstd takes 2 to this many bytes at most, whatever a payload asks for; what every decoder should take."""


class Algorithm(Record):
    """One way to compress.

    Args:
        number: In a compressed payload.
        name: In a HELLO.
        library: The module that tells whether it is installed; looking for it must import nothing large.
        compress: From bytes to bytes, in the algorithm's own frame format.
        decompressor: Gives a new one.
    """

    number: int
    name: str
    library: str
    compress: collections.abc.Callable[[bytes], bytes]
    decompressor: collections.abc.Callable[[], _Decompressor]


def _gzip(data: bytes) -> bytes:
    import zlib

    # Quick rather than small: a network slower than this is rare.
    made = zlib.compressobj(level=1, wbits=31)
    return made.compress(data) + made.flush()


def _gunzip() -> _Decompressor:
    import zlib

    return zlib.decompressobj(wbits=31)


def _zstd(data: bytes) -> bytes:
    compressed: bytes = importlib.import_module(_ZSTD).compress(data, level=3)
    return compressed


def _unzstd() -> _Decompressor:
    zstd = importlib.import_module(_ZSTD)
    made: _Decompressor = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW})
    return made


def _lz4(data: bytes) -> bytes:
    compressed: bytes = importlib.import_module("lz4.frame").compress(data, store_size=False)
    return compressed


def _unlz4() -> _Decompressor:
    made: _Decompressor = importlib.import_module("lz4.frame").LZ4FrameDecompressor()
    return made


ALGORITHMS = (
    Algorithm(1, "gzip", "zlib", _gzip, _gunzip),
    Algorithm(2, "zstd", _ZSTD, _zstd, _unzstd),
    Algorithm(3, "lz4", "lz4", _lz4, _unlz4),
)
BY_NAME = {algorithm.name: algorithm for algorithm in ALGORITHMS}
_BY_NUMBER = {algorithm.number: algorithm for algorithm in ALGORITHMS}


@functools.cache
def understood() -> tuple[str, ...]:
    """Gives the names of the algorithms whose libraries are installed."""
    return tuple(algorithm.name for algorithm in ALGORITHMS if _is_installed(algorithm.library))


def checked_names(names: collections.abc.Iterable[str]) -> tuple[str, ...]:
    """Gives algorithms back that a program names to compress by.

    Raises:
        ValueError: There is none of that name, or its library is not installed.
    """
    names = tuple(names)
    for name in names:
        if name not in BY_NAME:
            raise ValueError(f"there is no compression {name!r}: there are {', '.join(BY_NAME)}")
        if name not in understood():
            raise ValueError(f"compression {name} is not installed: pip install 'rpcgen[{name}]'")
    return names


def compressed(algorithm: Algorithm, payload: bytes) -> bytes | None:
    """Gives the payload compressed; None where that is not smaller."""
    data = algorithm.compress(payload)
    if len(data) + OVERHEAD >= len(payload):
        return None
    return b"".join((bytes((algorithm.number,)), pack_u32(len(payload)), data))


def expanded(payload: Buffer, largest: int) -> Buffer:
    """Gives what was compressed.

    Args:
        payload: As ``compressed`` gives it.
        largest: Bytes that it may have when expanded.

    Raises:
        ProtocolError: It would be larger, is not as long as it says, or is not of an
            algorithm that is understood here.
    """
    if len(payload) < OVERHEAD:
        raise ProtocolError(f"a compressed payload of {len(payload)} bytes; it has {OVERHEAD} or more")
    algorithm = _BY_NUMBER.get(payload[0])
    if algorithm is None or algorithm.name not in understood():
        name = f" ({algorithm.name})" if algorithm else ""
        raise ProtocolError(f"compression {payload[0]}{name}, which this end's HELLO does not list")
    (size,) = u32(payload, 1)
    if size > largest:
        raise ProtocolError(f"a compressed payload of {size} bytes when expanded; the limit is {largest}")
    data, is_whole = _expand(algorithm, memoryview(payload)[OVERHEAD:], size + 1, "a payload that is not")
    if len(data) != size or not is_whole:
        came = f"more than {size}" if len(data) > size else f"{len(data)}"
        raise ProtocolError(f"a compressed payload says {size} bytes, but holds {came}, or more than one end")
    return data


def whole(name: str, data: Buffer, largest: int) -> bytes | None:
    """Gives what was compressed alone, as HTTP bodies are; None: it would be larger.

    Args:
        name: Of an algorithm that is understood here.
        data: All of it, and nothing else.
        largest: Bytes that it may have when expanded.

    Raises:
        ProtocolError: It is no such thing, is cut, or something follows it.
    """
    made, is_whole = _expand(BY_NAME[name], memoryview(data), largest + 1, "the body is not")
    if len(made) > largest:
        return None
    if not is_whole:
        raise ProtocolError(f"the body is not {name} alone, and whole")
    return bytes(made)


def _expand(algorithm: Algorithm, data: memoryview, most: int, wrong: str) -> tuple[Buffer, bool]:
    """Gives the first so many bytes, and whether the data are one whole thing that holds no more.

    Raises:
        ProtocolError: They are none of the algorithm's; with these words.
    """
    memory, filled, begin = memoryview(b""), 0, 0
    try:
        decompressor = algorithm.decompressor()
        while begin < len(data) and filled < most and not decompressor.eof:
            fed: Buffer = data[begin : begin + _PIECE]
            begin += _PIECE
            while piece := decompressor.decompress(fed, min(most - filled, _PIECE)):
                if not filled:
                    if decompressor.eof and begin >= len(data):
                        return piece, not decompressor.unused_data
                    # Of its own: a heap that has held a bomb need not give its memory back.
                    memory = room(most)
                memory[filled : filled + len(piece)] = piece
                filled += len(piece)
                if filled == most or decompressor.eof:
                    break
                # zlib has what it did not come to here; the others keep it.
                fed = getattr(decompressor, "unconsumed_tail", b"")
        is_whole = decompressor.eof and begin >= len(data) and not decompressor.unused_data
    except Exception as error:  # each library has its own
        raise ProtocolError(f"{wrong} {algorithm.name}: {error}") from error
    return memory[:filled], is_whole


def _is_installed(library: str) -> bool:
    try:
        return importlib.util.find_spec(library) is not None
    except ImportError:
        return False
