"""The registry's protocol: JSON lines to requests and answers, and back. No I/O, no clock.

A line is framed first and read after. ``read_request`` takes any bytes and gives a request or
raises ``BadRequest`` with what is wrong and where; which members a request has is a table.
"""

from __future__ import annotations

import collections.abc
import re
import typing

import msgspec

DEFAULT_PORT = 2182
MAX_LINE = 65536
"""Bytes of a request, without its end."""
DEFAULT_TIMEOUT = 30.0
SHORTEST, LONGEST = 1.0, 86400.0
"""Seconds that an entry may live without being renewed."""
MAX_NAME = 512
"""Characters of a key or prefix; of ids and tokens, half as many."""
ALL = "all"
"""The key that stands for every one in a query or watch; nothing registers under it."""


class BadRequest(Exception):
    """A request that cannot be done; its text is what the answer says."""


class Oversized(Exception):
    """A line without an end in sight: there is no way back into step with its sender."""


class Lines:
    """Bytes in, lines out, whatever pieces the bytes come in.

    Args:
        limit: Bytes that a line may have, without its end.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data = bytearray()
        self._start = 0
        self._searched = 0

    def feed(self, data: bytes) -> None:
        """Adds what was received. Call ``next`` until it gives None before feeding more."""
        if self._start:
            del self._data[: self._start]
            self._searched -= self._start
            self._start = 0
        self._data += data

    def next(self) -> bytes | None:
        """Gives the next line without its LF or CRLF; None: it has not come whole.

        Raises:
            Oversized: It is longer than the limit. Nothing can be read after it.
        """
        end = self._data.find(b"\n", self._searched)
        size = (end if end >= 0 else len(self._data)) - self._start
        # One more byte while there is no end: it may be the CR before it.
        if size > self._limit + 1 or (size == self._limit + 1 and end >= 0 and self._data[end - 1] != 13):
            raise Oversized
        if end < 0:
            self._searched = len(self._data)
            return None
        last = end - 1 if end > self._start and self._data[end - 1] == 13 else end
        line = bytes(self._data[self._start : last])
        self._start = self._searched = end + 1
        return line

    @property
    def has_part(self) -> bool:
        """Whether something has come of a line whose end has not."""
        return bool(self._data) and self._data[-1] != 10


class Request(msgspec.Struct, frozen=True):
    """A request that is well-formed. What it lacks is None.

    Args:
        type: A key of ``_MEMBERS``.
        values: As JSON.
        auth: What lets it in, if the server has a token.
    """

    type: str
    key: str | None = None
    prefix: str | None = None
    id: str | None = None
    values: bytes | None = None
    timeout: float | None = None
    token: str | None = None
    auth: str | None = None


_MEMBERS = {
    "register": ("key", "id", "values", "timeout", "token", "auth"),
    "query": ("key", "prefix", "id", "auth"),
    "destruction": ("key", "id", "token", "auth"),
    "watch": ("key", "prefix", "auth"),
}
"""Type → the members that count; others are passed over, so that newer clients can be answered."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SECONDS = re.compile(r"\s*\d{1,9}(\.\d{0,9})?\s*", re.ASCII)

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def read_request(line: bytes) -> Request:
    """Reads a line, without its end.

    Raises:
        BadRequest: It is no request; the text says what is wrong, and where.
    """
    members = _object(line)
    kind = members.get("type")
    wanted = _MEMBERS.get(kind) if isinstance(kind, str) else None
    if not isinstance(kind, str) or wanted is None:
        came = "it is missing" if "type" not in members else f"got {_shown(kind)}"
        raise BadRequest(f"type: expected {', '.join(_MEMBERS)}; {came}")
    given = {name: _READERS[name](name, members[name]) for name in wanted if members.get(name) is not None}
    key, prefix = given.get("key"), given.get("prefix")
    if "prefix" in wanted:
        if (key is None) == (prefix is None):
            raise BadRequest(f"{kind}: give it a key or a prefix{'' if key is None else ', not both'}")
    elif key is None:
        raise BadRequest(f"{kind}: its key is missing")
    if kind == "register" and key == ALL:
        raise BadRequest("key: 'all' stands for every key in a query: register under another")
    return Request(kind, **given)


def _object(line: bytes) -> dict[str, typing.Any]:
    try:
        members = _decode(line)
    except msgspec.MsgspecError as error:
        said = _CONTROL.sub("?", str(error)).removeprefix("JSON is malformed: ")
        raise BadRequest(f"not JSON: {said}" if line else "the line is empty") from None
    except UnicodeDecodeError:
        raise BadRequest("not JSON: a text in it is not UTF-8") from None
    except RecursionError:
        raise BadRequest("not JSON that can be read: it is nested too deep") from None
    if not isinstance(members, dict):
        raise BadRequest(f'expected a JSON object, {{"type":…}}; got {_shown(members)}')
    return members


def _read_text(name: str, value: object) -> str:
    limit = MAX_NAME if name in ("key", "prefix") else MAX_NAME // 2
    if not isinstance(value, str):
        raise BadRequest(f"{name}: expected a text; got {_shown(value)}")
    if len(value) > limit:
        raise BadRequest(f"{name}: expected at most {limit} characters; got {len(value)}")
    if not value and name == "key":
        raise BadRequest("key: expected a name; got an empty text")
    found = _CONTROL.search(value)
    if found is not None:
        raise BadRequest(
            f"{name}: expected no control characters; got U+{ord(found[0]):04X} at character {found.start()}"
        )
    return value


def _read_timeout(name: str, value: object) -> float:
    seconds = -1.0
    if isinstance(value, str):
        if _SECONDS.fullmatch(value):
            seconds = float(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value) if abs(value) < 1e9 else -1.0
    if not SHORTEST <= seconds <= LONGEST:
        raise BadRequest(
            f"timeout: expected {SHORTEST:g} to {LONGEST:g} seconds, as a number or a text; got {_shown(value)}"
        )
    return seconds


def _read_values(name: str, value: object) -> bytes:
    try:
        return _encode(value)
    except RecursionError:
        raise BadRequest("values: nested too deep") from None


_READERS: dict[str, collections.abc.Callable[[str, object], typing.Any]] = {
    "key": _read_text,
    "prefix": _read_text,
    "id": _read_text,
    "token": _read_text,
    "auth": _read_text,
    "timeout": _read_timeout,
    "values": _read_values,
}


def _shown(value: object) -> str:
    """Shows what came in a few characters."""
    kind = {dict: "an object", list: "a list", type(None): "null"}.get(type(value))
    if kind is not None:
        return kind
    text = _encode(value).decode()
    return text if len(text) <= 60 else f"{text[:60]}…"


class Item(msgspec.Struct):
    """An entry as lists and changes show it: ``expires`` in seconds from now."""

    id: str
    values: msgspec.Raw
    expires: float


class _Registered(msgspec.Struct):
    ok: bool
    key: str
    id: str
    timeout: float
    token: str | None


class _Listing(msgspec.Struct):
    ok: bool
    services: dict[str, list[Item]]


class _Watched(_Listing):
    settling: float


class _Removed(msgspec.Struct):
    ok: bool
    removed: int


class _Changed(msgspec.Struct):
    ok: bool
    changed: str
    put: list[Item]
    removed: list[str]


class _Refused(msgspec.Struct):
    ok: bool
    error: str


Listed: typing.TypeAlias = "dict[str, list[Item]]"


def _line(answer: msgspec.Struct) -> bytes:
    return _encode(answer) + b"\r\n"


def registered(key: str, id: str, timeout: float, token: str | None) -> bytes:
    """Answers a registration; the token is the one that the request had."""
    return _line(_Registered(True, key, id, _whole(timeout), token))


def listing(services: Listed) -> bytes:
    """Answers a query."""
    return _line(_Listing(True, services))


def watched(services: Listed, settling: float) -> bytes:
    """Answers a watch.

    Args:
        settling: Seconds in which entries may still be missing that stood in the registry before
            it started.
    """
    return _line(_Watched(True, services, _whole(settling))) if settling > 0 else listing(services)


def removed(count: int) -> bytes:
    """Answers a destruction."""
    return _line(_Removed(True, count))


def changed(key: str, put: list[Item], gone: list[str]) -> bytes:
    """Tells a watcher what changed under a key."""
    return _line(_Changed(True, key, put, gone))


def refused(error: str) -> bytes:
    """Answers what cannot be done."""
    return _line(_Refused(False, error))


def _whole(seconds: float) -> float:
    """Whole seconds without a fraction, others to the millisecond."""
    seconds = round(seconds, 3)
    whole = int(seconds)
    return whole if whole == seconds else seconds


def item(id: str, values: bytes, expires: float) -> Item:
    """Makes an entry's item of its JSON and the seconds that it has left."""
    return Item(id, msgspec.Raw(values), _whole(max(expires, 0.0)))


class Answer(msgspec.Struct):
    """Any line from a server, as a client reads it: which members are there says what it is."""

    ok: bool
    error: str = ""
    id: str | None = None
    timeout: float | None = None
    services: dict[str, list[Item]] | None = None
    settling: float = 0.0
    changed: str | None = None
    put: list[Item] = []
    removed: list[str] | int | None = None


_decode_answer = msgspec.json.Decoder(Answer).decode


def read_answer(line: bytes) -> Answer:
    """Reads a server's line, without its end.

    Raises:
        ValueError: It is none.
    """
    try:
        return _decode_answer(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        shown = line[:60].decode("ascii", "backslashreplace")
        raise ValueError(f"it answered {shown!r}, which is no line of a registry's ({error})") from None


def request(**members: object) -> bytes:
    """Makes a request's line; members that are None are left out.

    Raises:
        ValueError: It is longer than a server takes.
    """
    line = _encode({name: value for name, value in members.items() if value is not None})
    if len(line) > MAX_LINE:
        raise ValueError(f"it takes {len(line):,} bytes, and a registry takes {MAX_LINE:,}")
    return line + b"\n"
