"""The registry's entries on disk: a file of JSON lines that grows with changes and is rewritten whole.

A change is written before it is answered, so that kill -9 loses none; renewals are written once a
minute. What survives a power cut is what the system had written: the file is synced when it is
rewritten and closed. A registry that cannot read or write its file says so and goes on, since
servers register again by themselves and a registry that refuses to start helps nobody.
"""

from __future__ import annotations

import collections.abc
import contextlib
import fcntl
import logging
import os
import time
import typing

import msgspec

from rpcgen.runtime.discovery.embedded.store import Entry, Store

_log = logging.getLogger("rpcgen")

SETTLING = 15.0
"""Seconds from its start in which a registry's list may lack servers: clients come back within 10."""
COARSE = 60.0
"""Seconds by which an entry may live longer than is written."""
_RETRY = 10.0
"""Seconds until a file that could not be written is tried again."""
_FORMAT = 1
_FILE = "registry.journal"
_LOCK = "registry.lock"

Kept: typing.TypeAlias = "tuple[Entry, float]"
"""An entry that was read, and the seconds that it has left."""


class _Record(msgspec.Struct, omit_defaults=True):
    """A line: an entry as it is now (values), one that lives longer (until), or one that is gone."""

    key: str
    id: str
    values: typing.Any = None
    timeout: float = 0.0
    token: str | None = None
    until: float = 0.0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Record).decode
_HEADER = _encode({"rpcgen registry": _FORMAT}) + b"\n"


class FolderInUse(OSError):
    """Another registry has the folder; the text names its process."""


class Journal:
    """A folder that one registry at a time keeps its entries in. It is made if it is not there.

    Args:
        folder: For this alone; what is in it can be read by its owner only.
        wall: Seconds since 1970.

    Raises:
        FolderInUse: Another registry has it.
        OSError: It cannot be made or written to.
    """

    def __init__(
        self, folder: str | os.PathLike[str], wall: collections.abc.Callable[[], float] = time.time
    ) -> None:
        self._folder = os.fspath(folder)
        self._path = os.path.join(self._folder, _FILE)
        self._wall = wall
        self._file = -1
        self._records = 0
        self._retry = 0.0
        self._is_broken = False
        """Whether it was said that the file cannot be written."""
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        self._lock = self._take()

    def _take(self) -> int:
        path = os.path.join(self._folder, _LOCK)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(lock, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(lock)
            if not isinstance(error, BlockingIOError):
                raise
            raise FolderInUse(
                f"the folder {self._folder} is in use by another registry, process {holder}: "
                "stop that one, or name another folder"
            ) from None
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        return lock

    def read(self) -> tuple[list[Kept], bool]:
        """Reads what was kept, and whether that is all there was.

        A file with a line that cannot be read is set aside, with a line in the log; what could
        be read of it is kept. An end that was cut off, as kill -9 may do, is passed over.
        """
        try:
            with open(self._path, "rb") as file:
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return [], False
        except OSError as error:
            _log.warning("cannot read %s: %s; going on without it", self._path, error.strerror)
            return [], False
        lines.pop()  # "" after the last LF, or what was cut off
        found: dict[tuple[str, str], _Record] = {}
        problem = "" if lines and lines[0] + b"\n" == _HEADER else "line 1 is not this version's"
        for number, line in enumerate(lines[1:] if not problem else [], 2):
            try:
                _apply(_decode(line), found)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
                problem = problem or f"line {number} cannot be read: {error}"
        if problem and lines:
            aside = f"{self._path}.unreadable"
            with contextlib.suppress(OSError):
                os.replace(self._path, aside)
            _log.warning(
                "%s: %s; going on with %d entries of it, and it is now %s",
                self._path, problem, len(found), aside,
            )  # fmt: skip
        now = self._wall()
        return [_kept(record, now) for record in found.values()], bool(lines) and not problem

    def put(self, entry: Entry, left: float) -> None:
        """Writes that an entry is there for so many seconds, if the file does not say so, nearly."""
        until = self._wall() + left
        if not entry.written:
            self._append(_full(entry, until))
        elif until - entry.written > COARSE:
            self._append(_Record(entry.key, entry.id, until=until))
        else:
            return
        entry.written = until

    def removed(self, entry: Entry) -> None:
        """Writes that an entry is gone."""
        self._append(_Record(entry.key, entry.id))

    def _append(self, record: _Record) -> None:
        if self._file < 0:
            return
        data = _encode(record) + b"\n"
        self._records += 1
        try:
            if os.write(self._file, data) != len(data):
                raise OSError("it was written in part")  # the next write would say why
        except OSError as error:
            self._fail(error)

    def tend(self, store: Store, now: float) -> None:
        """Rewrites the file when it has grown, or could not be written; call it now and then.

        Args:
            store: All that is there.
            now: On the clock of its deadlines, on which it tries again, too.
        """
        if self._records > 2 * len(store) + 1000 or (self._file < 0 and now >= self._retry):
            try:
                self.rewrite(store, now)
            except OSError as error:
                self._fail(error)
                self._retry = now + _RETRY

    def rewrite(self, store: Store, now: float) -> None:
        """Writes everything anew; until this was done once, nothing is written.

        Raises:
            OSError: It cannot be written; what was there stays.
        """
        wall = self._wall()
        lines = [_HEADER]
        records = 0
        for entry in store:
            until = wall + entry.deadline - now
            lines.append(_encode(_full(entry, until)) + b"\n")
            entry.written = until
            records += 1
        fresh = f"{self._path}.new"
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            with open(file, "wb", closefd=False) as stream:
                stream.writelines(lines)
            os.fsync(file)
            os.replace(fresh, self._path)
            _sync_folder(self._folder)
        except BaseException:
            os.close(file)
            raise
        self._let_go()
        self._file, self._records = file, records
        if self._is_broken:
            self._is_broken = False
            _log.warning("%s is written again", self._path)

    def _fail(self, error: OSError) -> None:
        if not self._is_broken:
            self._is_broken = True
            _log.warning(
                "cannot write %s: %s; going on without it, and trying again",
                self._path, error.strerror or error,
            )  # fmt: skip
        self._let_go()

    def _let_go(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def close(self) -> None:
        """Syncs the file and gives the folder free. Again is harmless."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.fsync(self._file)
        self._let_go()
        if self._lock >= 0:
            # A process forked from this one would hold the lock on.
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            os.close(self._lock)
            self._lock = -1


def _apply(record: _Record, found: dict[tuple[str, str], _Record]) -> None:
    name = (record.key, record.id)
    if record.values is not None:
        if not record.timeout > 0:
            raise ValueError("an entry without a timeout")
        # The oldest comes first: an entry that changes keeps its place, as in the store.
        found[name] = record
    elif record.until:
        if name in found:
            found[name].until = record.until
    else:
        found.pop(name, None)


def _full(entry: Entry, until: float) -> _Record:
    return _Record(entry.key, entry.id, msgspec.Raw(entry.values), entry.timeout, entry.token, until)


def _kept(record: _Record, now: float) -> Kept:
    entry = Entry(record.key, record.id, _encode(record.values), record.timeout, record.token)
    # Its owner could not renew it meanwhile; and the clock may have been set since.
    left = min(record.until + COARSE - now, record.timeout)
    return entry, max(left, SETTLING)


def _sync_folder(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
