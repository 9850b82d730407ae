"""The last lists on disk: a client that starts while the registry is away begins with them.

One JSON file, replaced as a whole, so that who reads it sees the old or the new one. What
goes wrong with it is logged and fails no call.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import threading
import time
import zlib

import msgspec

from rpcgen.runtime.registry import Instance

_log = logging.getLogger("rpcgen")


class _List(msgspec.Struct):
    saved: float
    instances: list[Instance]


class _File(msgspec.Struct):
    registry: str
    services: dict[str, _List] = {}


class ListCache:
    """The lists of a registry's services.

    The file is read once; of several programs that share one, the last to write is kept.

    Args:
        path: A file; or a folder (one that is there, or ends in a slash), where the registry
            has a file of its own.
        registry: Its URL: lists of another one are not taken for its own.
    """

    def __init__(self, path: str | os.PathLike[str], registry: str) -> None:
        name = os.fspath(path)
        if name.endswith(os.sep) or os.path.isdir(name):
            name = os.path.join(name, f"rpcgen-{zlib.crc32(registry.encode()):08x}.json")
        self.path = os.path.abspath(name)
        self._registry = registry
        self._lock = threading.Lock()
        self._content: _File | None = None

    def load(self, service: str) -> list[Instance]:
        """Gives the list that was saved last; an empty one where there is none to be had."""
        with self._lock:
            self._content = self._content or self._read()
            found = self._content.services.get(service)
        if found is None or not found.instances:
            return []
        _log.warning(
            "the registry %s cannot be reached: living from the list of %s",
            self._registry,
            f"{self.path}, {len(found.instances)} servers, saved {time.time() - found.saved:.0f} s ago",
        )
        return found.instances

    def save(self, service: str, instances: list[Instance]) -> None:
        """Keeps a list. An empty one is not kept: it would help nobody who starts."""
        if not instances:
            return
        with self._lock:
            content = self._content = self._content or self._read()
            content.services[service] = _List(time.time(), instances)
            try:
                self._replace(msgspec.json.encode(content))
            except OSError as error:
                _log.warning("cannot write the list of servers to %s: %s", self.path, error.strerror or error)

    def _read(self) -> _File:
        try:
            with open(self.path, "rb") as file:
                content = msgspec.json.decode(file.read(), type=_File)
            if content.registry == self._registry:
                return content
            _log.warning("%s has lists of %s, not of %s", self.path, content.registry, self._registry)
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            _log.warning("ignored the list of servers in %s: %s", self.path, error)
        return _File(self._registry)

    def _replace(self, data: bytes) -> None:
        folder = os.path.dirname(self.path)
        os.makedirs(folder, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=".rpcgen-", dir=folder)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(data)
            os.replace(name, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
