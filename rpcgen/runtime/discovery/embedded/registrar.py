"""What requests do: to the store, the journal and the watchers. Lines in, lines out; no socket, no clock.

Changes are gathered until ``flush``, which encodes each key's once; what it gives for a key is
the same bytes for all its watchers.
"""

from __future__ import annotations

import collections.abc

from rpcgen.runtime.discovery.embedded import protocol
from rpcgen.runtime.discovery.embedded.journal import SETTLING, Journal
from rpcgen.runtime.discovery.embedded.protocol import ALL, BadRequest, Item, Listed, Request
from rpcgen.runtime.discovery.embedded.store import PLAIN, Entry, Store, same

REUSED = 0.5
"""Seconds for which a watch's first list is given to others: after a restart all ask at once."""
MAX_WATCHES = 1000
"""Of one connection."""


class Peer:
    """One connection, as far as requests go; only the registrar changes it.

    Args:
        tell: Sends a change to it.
    """

    def __init__(self, tell: collections.abc.Callable[[bytes], None]) -> None:
        self.tell = tell
        self.is_admitted = False
        self.watched: set[tuple[str, bool]] = set()
        """What it watches: a key, or a prefix (True)."""


class Registrar:
    """Answers requests.

    Args:
        token: Which every connection must show; None: none need to.
        journal: Where changes are written; None: nowhere. It is read first.
        now: On the clock that is passed in everywhere.
        store: What is registered.
    """

    def __init__(
        self, token: str | None, journal: Journal | None, now: float, store: Store | None = None
    ) -> None:
        self._token = token
        self._journal = journal
        self._store = Store() if store is None else store
        self._watchers: dict[bool, dict[str, set[Peer]]] = {False: {}, True: {}}
        """Those of keys, and those of prefixes."""
        self._changes: dict[str, dict[str, Entry | None]] = {}
        self._lists: dict[tuple[str, bool], tuple[float, bytes]] = {}
        self._settled = now + SETTLING
        if journal is not None:
            kept, is_whole = journal.read()
            for entry, left in kept:
                self._store.add(entry, now, left)
            if is_whole:
                self._settled = now
            journal.rewrite(self._store, now)

    @property
    def store(self) -> Store:
        """What is registered."""
        return self._store

    @property
    def is_guarded(self) -> bool:
        """Whether it has a token."""
        return self._token is not None

    @property
    def has_changes(self) -> bool:
        """Whether there is something to flush."""
        return bool(self._changes)

    def answer(self, line: bytes, peer: Peer, now: float) -> bytes:
        """Does what a line asks and gives the line to send back, its end included."""
        try:
            self._expire(now)
            request = protocol.read_request(line)
            self._admit(request, peer)
            return _ANSWERS[request.type](self, request, peer, now)
        except BadRequest as error:
            return protocol.refused(str(error))

    def _admit(self, request: Request, peer: Peer) -> None:
        if self._token is None:
            peer.is_admitted = True
        elif request.auth is not None:
            peer.is_admitted = same(self._token, request.auth)
            if not peer.is_admitted:
                raise BadRequest("auth: it is not this registry's token")
        elif not peer.is_admitted:
            raise BadRequest('auth: this registry has a token: add "auth" to the first request')

    def _register(self, request: Request, peer: Peer, now: float) -> bytes:
        key, id = _key(request), request.id or PLAIN
        entry, is_change = self._store.register(key, id, request.values, request.timeout, request.token, now)
        if is_change:
            self._note(key, id, entry)
        if self._journal is not None:
            self._journal.put(entry, entry.timeout)
        return protocol.registered(key, id, entry.timeout, request.token)

    def _query(self, request: Request, peer: Peer, now: float) -> bytes:
        return protocol.listing(self._list(*_selection(request), now, request.id))

    def _watch(self, request: Request, peer: Peer, now: float) -> bytes:
        watched = name, is_prefix = _selection(request)
        if len(peer.watched) >= MAX_WATCHES and watched not in peer.watched:
            raise BadRequest(f"watch: a connection may have {MAX_WATCHES:,}, and this one has: open another")
        self._watchers[is_prefix].setdefault(name, set()).add(peer)
        peer.watched.add(watched)
        made, line = self._lists.get(watched, (now, b""))
        if not line or now - made > REUSED:
            line = protocol.watched(self._list(*watched, now), self._settled - now)
            self._lists[watched] = (now, line)
        return line

    def _destroy(self, request: Request, peer: Peer, now: float) -> bytes:
        gone = self._store.destroy(_key(request), request.id, request.token)
        for entry in gone:
            self._drop(entry)
        return protocol.removed(len(gone))

    def _list(self, name: str, is_prefix: bool, now: float, id: str | None = None) -> Listed:
        keys = self._store.keys(name) if is_prefix else [name]
        return {
            key: [_item(entry, now) for entry in self._store.entries(key) if id is None or entry.id == id]
            for key in keys
        }

    def _expire(self, now: float) -> None:
        for entry in self._store.expire(now):
            self._drop(entry)

    def _drop(self, entry: Entry) -> None:
        self._note(entry.key, entry.id, None)
        if self._journal is not None:
            self._journal.removed(entry)

    def _note(self, key: str, id: str, entry: Entry | None) -> None:
        self._lists.clear()
        if any(self._watchers.values()):
            self._changes.setdefault(key, {})[id] = entry

    def tick(self, now: float) -> None:
        """Ends what is due; call it a few times a second."""
        self._expire(now)
        if self._lists and all(now - made > REUSED for made, _ in self._lists.values()):
            self._lists.clear()
        if self._journal is not None:
            self._journal.tend(self._store, now)

    def flush(self, now: float) -> list[tuple[bytes, set[Peer]]]:
        """Gives what is to be sent about changes since the last time, and to whom."""
        changes, self._changes = self._changes, {}
        told = []
        for key, entries in changes.items():
            peers = self._watching(key)
            if peers:
                put = [_item(entry, now) for entry in entries.values() if entry is not None]
                gone = [id for id, entry in entries.items() if entry is None]
                told.append((protocol.changed(key, put, gone), peers))
        return told

    def _watching(self, key: str) -> set[Peer]:
        return set(self._watchers[False].get(key, ())).union(
            *(peers for prefix, peers in self._watchers[True].items() if key.startswith(prefix))
        )

    def leave(self, peer: Peer) -> None:
        """Forgets a connection. What it registered stays until it expires."""
        for name, is_prefix in peer.watched:
            peers = self._watchers[is_prefix][name]
            peers.discard(peer)
            if not peers:
                del self._watchers[is_prefix][name]
        peer.watched = set()

    def close(self) -> None:
        """Closes the journal."""
        if self._journal is not None:
            self._journal.close()


def _key(request: Request) -> str:
    assert request.key is not None  # read_request sees to it
    return request.key


def _selection(request: Request) -> tuple[str, bool]:
    """Gives the key or prefix that is asked for, and whether it is a prefix."""
    if request.prefix is not None:
        return request.prefix, True
    return ("", True) if request.key == ALL else (_key(request), False)


def _item(entry: Entry, now: float) -> Item:
    return protocol.item(entry.id, entry.values, entry.deadline - now)


_ANSWERS: dict[str, collections.abc.Callable[[Registrar, Request, Peer, float], bytes]] = {
    "register": Registrar._register,
    "query": Registrar._query,
    "destruction": Registrar._destroy,
    "watch": Registrar._watch,
}
