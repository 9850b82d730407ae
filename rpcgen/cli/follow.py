"""``rpcgen ls --watch``: the list as it changes.

The registry's watches put what they see into one queue; this thread alone keeps the lists and
shows them. A watch is of one service, so new services are looked for now and then.
"""

from __future__ import annotations

import json
import queue
import time
import typing

from rpcgen.cli.console import Console, plural
from rpcgen.cli.errors import CommandError
from rpcgen.cli.ls import members
from rpcgen.cli.registries import OWN, printable, read
from rpcgen.cli.table import details, order, table

if typing.TYPE_CHECKING:
    from rpcgen.runtime.registry import Instance, Registry, Snapshot

LOOK = 3.0
"""Seconds between two looks for new services, which read the whole registry."""

LOOKING = 0.05
"""The part of the time that looking may take: a large registry is read less often."""

REDRAW = 1.0
"""Seconds after which a terminal is drawn anew: ages grow."""

_SIGNS = {"added": "+", "removed": "-", "changed": "~", "lost": "!", "back": "!"}


class Change(typing.NamedTuple):
    """What happened: ``added``, ``removed``, ``changed`` to an instance; ``lost``, ``back`` to the registry."""

    event: str
    service: str = ""
    instance: Instance | None = None
    problem: str = ""


class Lists:
    """What is known of each service, and how it changes."""

    def __init__(self) -> None:
        self.problem = ""
        """Why the registry is away; ``""``: it is there."""
        self._known: dict[str, dict[str, Instance]] = {}

    def take(self, service: str, snapshot: Snapshot) -> list[Change]:
        """Takes a new list of a service; gives what changed. Lists of a registry that is away change nothing."""
        if not snapshot.live:
            known, self.problem = self.problem, snapshot.problem or "it has not answered yet"
            return [Change("lost", problem=self.problem)] if known != self.problem else []
        changes = [Change("back")] if self.problem else []
        self.problem = ""
        before = self._known.get(service, {})
        after = self._known[service] = {one.address: one for one in snapshot.instances}
        changes += [
            Change("removed", service, one) for address, one in before.items() if address not in after
        ]
        for address, one in after.items():
            if before.get(address) != one:
                changes.append(Change("changed" if address in before else "added", service, one))
        return changes

    def rows(self) -> list[tuple[str, Instance]]:
        """Gives every instance with its service, in order."""
        return sorted(
            ((name, one) for name, known in self._known.items() for one in known.values()), key=order
        )


def follow(
    registry: Registry, service: str | None, timeout: float, console: Console, *, as_json: bool
) -> int:
    """Shows the list and its changes until Ctrl-C, or until nobody reads them; gives the exit status.

    Args:
        service: None follows all, those that come later too.
        timeout: Seconds to wait for the registry at the beginning.

    Raises:
        CommandError: The registry cannot be reached at the beginning.
    """
    news: queue.SimpleQueue[tuple[str, Snapshot]] = queue.SimpleQueue()
    followed: set[str] = set()

    def add(name: str) -> None:
        if name not in followed:
            followed.add(name)
            registry.watch(name, lambda snapshot: news.put((name, snapshot)))

    lists = Lists()
    drawn = not as_json and console.redraws
    try:
        for entry in read(registry, timeout).entries:
            if service is None:
                add(entry.service)
        if service is not None:
            add(service)
        look = time.monotonic() + LOOK
        while console.is_heard:
            changes = _next(news, lists, REDRAW if drawn else LOOK)
            if drawn:
                _draw(registry, lists, service, console)
            else:
                for change in changes:
                    console.find(_line(change, named=service is None, as_json=as_json))
            begin = time.monotonic()
            if service is None and not lists.problem and begin >= look:
                for name in _services(registry, timeout):
                    add(name)
                end = time.monotonic()
                look = end + max(LOOK, (end - begin) / LOOKING)
    except KeyboardInterrupt:
        pass
    return 0


def _next(news: queue.SimpleQueue[tuple[str, Snapshot]], lists: Lists, wait: float) -> list[Change]:
    """Waits for news, for at most so many seconds; gives what changed in all that has come."""
    changes: list[Change] = []
    try:
        changes += lists.take(*news.get(timeout=wait))
        while True:
            changes += lists.take(*news.get_nowait())
    except queue.Empty:
        return changes


def _services(registry: Registry, timeout: float) -> set[str]:
    try:
        return {entry.service for entry in read(registry, timeout).entries}
    except CommandError:
        return set()  # the watches say so


def _line(change: Change, *, named: bool, as_json: bool) -> str:
    one = change.instance
    if as_json:
        what = members(change.service, one) if one is not None else {"problem": change.problem}
        return json.dumps({"event": change.event, **what})
    sign = _SIGNS[change.event]
    if one is None:
        return f"{sign} the registry is {f'away: {printable(change.problem)}' if change.problem else 'back'}"
    words = [sign, printable(one.address), printable(change.service) or OWN if named else ""]
    if change.event != "removed":
        words.append(details(one, time.time()))
    return " ".join(word for word in words if word)


def _draw(registry: Registry, lists: Lists, service: str | None, console: Console) -> None:
    rows = lists.rows()
    count = plural(len(rows), "instance")
    head = f"{count} in {registry.url}{f' of {service or OWN}' if service is not None else ''}; Ctrl-C ends"
    state = f"the registry is away: {printable(lists.problem)}" if lists.problem else ""
    console.draw([head, state, *(table(rows, time.time(), service=service is None) if rows else [])])
