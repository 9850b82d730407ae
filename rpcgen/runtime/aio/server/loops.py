"""Which event loop a server's own program runs in."""

from __future__ import annotations

import importlib
import importlib.util
import typing

if typing.TYPE_CHECKING:
    import asyncio
    import collections.abc


def quickest_loop() -> collections.abc.Callable[[], asyncio.AbstractEventLoop] | None:
    """Gives what makes uvloop's event loops, where that is installed; else None, for asyncio's own."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    make: collections.abc.Callable[[], asyncio.AbstractEventLoop]
    make = importlib.import_module("uvloop").new_event_loop
    return make
