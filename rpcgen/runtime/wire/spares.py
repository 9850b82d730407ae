"""Memory for large messages that come, used again for the next ones.

An allocator gives such memory back to the system and takes it anew, page by page, each time, which
costs ten times what it costs to fill it. So a few pieces are kept for the whole process; one is free
when nobody looks into it any more.

Memory that is new is asked of the system itself, which gives each page when it is first written: a
peer that announces 16 MiB and sends 100 bytes takes one page. (What comes from the allocator may be
memory that was used before, and is then cleared at once.)
"""

from __future__ import annotations

import collections
import typing

if typing.TYPE_CHECKING:
    import mmap

LARGEST: typing.Final = 4 * 1024 * 1024
"""Bytes of what is kept at most; larger memory is taken anew each time."""

_LEAST = 64 * 1024
_KEPT = 2

_spares: collections.deque[mmap.mmap] = collections.deque()


def room(size: int) -> memoryview:
    """Gives memory of so many bytes, of any content; it is the caller's for as long as a view of it exists."""
    if size < _LEAST:
        return memoryview(bytearray(size))
    if size > LARGEST:
        return memoryview(_new(size))
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
    made = _new(size)
    view = memoryview(made)
    _keep(made)
    return view


def _new(size: int) -> mmap.mmap:
    import mmap  # not before a long message comes: a short program does without

    # Not shared with processes that are forked off.
    flags: typing.Any = (
        {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    )
    return mmap.mmap(-1, size, **flags)


def _keep(made: mmap.mmap) -> None:
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


def _is_free(spare: mmap.mmap) -> bool:
    """Says whether nobody looks into it: what is looked into cannot change its size."""
    try:
        spare.resize(len(spare))
    except (BufferError, SystemError):  # the latter on systems that cannot: nothing is used again there
        return False
    return True
