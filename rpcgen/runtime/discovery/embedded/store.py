"""The registry's entries: who may change them, and when they end. The clock is passed in.

An entry ends at its deadline, exactly: every look at the store first drops what is due. A
renewal only moves the deadline; a heap holds one place an entry, put right when it comes up.
"""

from __future__ import annotations

import collections.abc
import heapq
import hmac

import msgspec

from rpcgen.runtime.discovery.embedded.protocol import DEFAULT_TIMEOUT, BadRequest

PLAIN = ""
"""The id of what is registered without one: a key has one such value, the last."""


class Entry(msgspec.Struct, eq=False):
    """What is registered.

    Args:
        key: A service.
        id: Of the entry, under its key.
        values: As JSON.
        timeout: Seconds that it lives after a renewal.
        token: Needed to change or remove it; None: nothing is.
        deadline: On the store's clock.
        written: Until when it lives as its journal has it, in seconds since 1970; 0: it is not in
            there as it is now.
        place: Its number in the heap; other places there are left from before.
        due: The deadline at that place.
    """

    key: str
    id: str
    values: bytes
    timeout: float
    token: str | None
    deadline: float = 0.0
    written: float = 0.0
    place: int = 0
    due: float = 0.0


class Store:
    """Entries by key and id.

    Args:
        max_entries: Of all keys.
        max_bytes: Of all values.
    """

    def __init__(self, max_entries: int = 100_000, max_bytes: int = 512 << 20) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._keys: dict[str, dict[str, Entry]] = {}
        self._due: list[tuple[float, int, Entry]] = []
        self._pushed = 0
        self._count = 0
        self._bytes = 0

    def __len__(self) -> int:
        return self._count

    def register(
        self,
        key: str,
        id: str,
        values: bytes | None,
        timeout: float | None,
        token: str | None,
        now: float,
    ) -> tuple[Entry, bool]:
        """Registers or renews.

        Args:
            values: None renews what is there.
            timeout: None: what it has already if ``values`` is None too, else the default.

        Returns:
            The entry, and whether others see a change.

        Raises:
            BadRequest: The token is not the entry's, there is nothing to renew, or the registry is full.
        """
        entry = self._keys.get(key, {}).get(id)
        if entry is None:
            if values is None:
                raise BadRequest(
                    f"id: there is no entry {id!r} of key {key!r} to renew: register it with values"
                )
            entry = Entry(key, id, values, timeout or DEFAULT_TIMEOUT, token)
            self.add(entry, now, entry.timeout)
            return entry, True
        if not allows(entry, token):
            raise BadRequest(f"token: entry {id!r} of key {key!r} has one, and it is not this")
        before = (entry.timeout, entry.token)
        seen = False
        if values is not None:
            if values != entry.values:
                self._make_room(len(values) - len(entry.values))
                entry.values = values
                seen = True
            entry.token = token
            entry.timeout = timeout or DEFAULT_TIMEOUT
        elif timeout is not None:
            entry.timeout = timeout
        if seen or before != (entry.timeout, entry.token):
            entry.written = 0.0
        entry.deadline = now + entry.timeout
        if entry.deadline < entry.due:
            self._push(entry)
        return entry, seen

    def add(self, entry: Entry, now: float, lifetime: float) -> None:
        """Puts an entry there, in place of one with its key and id, for so many seconds.

        Raises:
            BadRequest: The registry is full.
        """
        self.remove(entry.key, entry.id)
        if self._count >= self._max_entries:
            raise BadRequest(f"the registry is full: it holds {self._max_entries:,} entries")
        self._make_room(len(entry.values))
        self._count += 1
        self._keys.setdefault(entry.key, {})[entry.id] = entry
        entry.deadline = now + lifetime
        self._push(entry)

    def _make_room(self, size: int) -> None:
        if self._bytes + size > self._max_bytes:
            raise BadRequest(f"the registry is full: its values take {self._max_bytes:,} bytes")
        self._bytes += size

    def _push(self, entry: Entry) -> None:
        if len(self._due) > 2 * self._count + 1000:
            # Places of what was removed long before its time would pile up.
            self._due = [place for place in self._due if self._is_current(place)]
            heapq.heapify(self._due)
        self._pushed += 1
        entry.place, entry.due = self._pushed, entry.deadline
        heapq.heappush(self._due, (entry.due, entry.place, entry))

    def _is_current(self, place: tuple[float, int, Entry]) -> bool:
        _, number, entry = place
        return number == entry.place and self._keys.get(entry.key, {}).get(entry.id) is entry

    def destroy(self, key: str, id: str | None, token: str | None) -> list[Entry]:
        """Removes an entry; without an id, those of the key that the token lets go. Gives what was there.

        Raises:
            BadRequest: Something is there, and the token lets nothing go.
        """
        entries = self._keys.get(key, {})
        found = list(entries.values()) if id is None else [entries[id]] if id in entries else []
        allowed = [entry for entry in found if allows(entry, token)]
        if found and not allowed:
            which = f"entry {id!r}" if id is not None else "each entry"
            raise BadRequest(f"token: {which} of key {key!r} has one, and it is not this")
        for entry in allowed:
            self.remove(entry.key, entry.id)
        return allowed

    def remove(self, key: str, id: str) -> Entry | None:
        """Removes an entry whoever asks; gives it."""
        entries = self._keys.get(key, {})
        entry = entries.pop(id, None)
        if entry is not None:
            self._count -= 1
            self._bytes -= len(entry.values)
            if not entries:
                del self._keys[key]
        return entry

    def expire(self, now: float) -> list[Entry]:
        """Drops what is due, and gives it."""
        ended: list[Entry] = []
        while self._due and self._due[0][0] <= now:
            place = heapq.heappop(self._due)
            if not self._is_current(place):
                continue
            entry = place[2]
            if entry.deadline <= now:
                self.remove(entry.key, entry.id)
                ended.append(entry)
            else:
                self._push(entry)
        return ended

    def entries(self, key: str) -> list[Entry]:
        """Gives the entries of a key, the oldest first."""
        return list(self._keys.get(key, {}).values())

    def keys(self, prefix: str) -> list[str]:
        """Gives the keys that have entries and begin so."""
        return [key for key in self._keys if key.startswith(prefix)]

    def __iter__(self) -> collections.abc.Iterator[Entry]:
        for entries in self._keys.values():
            yield from entries.values()


def allows(entry: Entry, token: str | None) -> bool:
    """Whether a token, or none, may change the entry."""
    return entry.token is None or (token is not None and same(entry.token, token))


def same(wanted: str, given: str) -> bool:
    """Compares secrets in a time that does not tell how much of them is right."""
    return hmac.compare_digest(wanted.encode(), given.encode())
