"""Memory for large messages that come, used again for the next ones.

An allocator gives such memory back to the system and takes it anew, page by page, each time, which
costs ten times what it costs to fill it. So a few pieces are kept for the whole process; one is free
when nobody looks into it any more.
"""

from __future__ import annotations

import collections
import typing

LARGEST: typing.Final = 4 * 1024 * 1024
"""Bytes of what is kept at most; larger memory is taken anew each time."""

_LEAST = 64 * 1024
_KEPT = 2

_spares: collections.deque[bytearray] = collections.deque()


def room(size: int) -> memoryview:
    """Gives memory of so many bytes, of any content; it is the caller's for as long as a view of it exists."""
    if not _LEAST <= size <= LARGEST:
        return memoryview(bytearray(size))
    for _ in range(_KEPT):
        # In other threads' way for as long as it is taken out: they take memory of their own then.
        try:
            spare = _spares.popleft()
        except IndexError:
            break
        if len(spare) >= size and _is_free(spare):
            view = memoryview(spare)[:size]
            _spares.append(spare)
            return view
        _spares.append(spare)
    made = bytearray(size)
    view = memoryview(made)
    _keep(made)
    return view


def _keep(made: bytearray) -> None:
    """Keeps it, instead of a smaller one that is free if there are enough."""
    if len(_spares) >= _KEPT:
        try:
            spare = _spares.popleft()
        except IndexError:
            pass
        else:
            if len(spare) >= len(made) or not _is_free(spare):
                _spares.append(spare)
                return
    _spares.append(made)


def _is_free(spare: bytearray) -> bool:
    """Says whether nobody looks into it: what is looked into cannot change its size."""
    try:
        spare.append(spare.pop())
    except BufferError:
        return False
    return True
