"""Where tasks, workers and assignments stand in ZooKeeper, and what their nodes are called.

Others may know the plain part of it (tasks, status, workers, assign, master); what is ours alone
stands beside the root, where they do not look.
"""

from __future__ import annotations

import re
import typing
import urllib.parse
import uuid

if typing.TYPE_CHECKING:
    import collections.abc

PREFIX = "task-"

SCHEDULE, DONE, FAILED, CANCELLED = b"schedule", b"done", b"failed", b"cancelled"
"""What a task's status says."""

ENDS = (DONE, FAILED, CANCELLED)

LONGEST_KEY = 200
"""Characters, as the node's name has them."""

_FOREIGN = re.compile(r"\d{10}")
"""What ZooKeeper appends to sequential nodes."""

_OURS = re.compile(r".+-[0-9a-f]{32}")


class Layout:
    """The paths under and beside one root.

    Args:
        root: ``/rpc``.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.master = f"{root}/master"
        self.workers = f"{root}/workers"
        self.tasks = f"{root}/tasks"
        self.assign = f"{root}/assign"
        self.epoch = f"{root}-tasks/epoch"
        self.results = f"{root}-tasks/results"
        self.history = f"{root}-tasks/history"
        self.changed = f"{root}-tasks/changed"
        """Of tasks that a client has cancelled or wants to be tried again: a master looks at them anew."""

    @property
    def parents(self) -> tuple[str, ...]:
        """All that must be there before anything else can be."""
        return (
            self.workers,
            self.tasks,
            self.assign,
            self.epoch,
            self.results,
            self.history,
            self.changed,
        )

    def task(self, task: str) -> str:
        return f"{self.tasks}/{task}"

    def status(self, task: str) -> str:
        return f"{self.tasks}/{task}/status"

    def worker(self, name: str) -> str:
        return f"{self.workers}/{name}"

    def desk(self, worker: str) -> str:
        """Where a worker's assignments stand."""
        return f"{self.assign}/{worker}"

    def assignment(self, worker: str, task: str) -> str:
        return f"{self.assign}/{worker}/{task}"

    def result(self, task: str) -> str:
        return f"{self.results}/{task}"

    def attempts(self, task: str) -> str:
        return f"{self.history}/{task}"

    def change(self, task: str) -> str:
        return f"{self.changed}/{task}"


def new_task(key: str | None = None) -> str:
    """Gives a task's name.

    Args:
        key: The same key gives the same name. None: a name of its own.

    Raises:
        ValueError: The key is empty, too long, or like a number of ZooKeeper's.
    """
    if key is None:
        return f"{PREFIX}{uuid.uuid4().hex}"
    name = urllib.parse.quote(key, safe="", errors="replace")
    if not 0 < len(name) <= LONGEST_KEY or _FOREIGN.fullmatch(name):
        raise ValueError(
            f"{key[:LONGEST_KEY]!r} is no key of a task: one has 1 to {LONGEST_KEY} characters (those beyond "
            "letters, digits and _.-~ count three or more), and is not ten digits"
        )
    return f"{PREFIX}{name}"


def tasks(names: collections.abc.Iterable[str]) -> list[str]:
    """Gives those of the children of ``tasks`` that are tasks."""
    return [name for name in names if name.startswith(PREFIX)]


def new_worker(name: str) -> str:
    """Gives the name of a worker's node, which no other ever has."""
    return f"{name}-{uuid.uuid4().hex}"


def is_ours(worker: str) -> bool:
    """Says whether a worker's name is one that never comes again."""
    return _OURS.fullmatch(worker) is not None


def check_name(name: str) -> str:
    """Gives the name of a worker back.

    Raises:
        ValueError: No node can have it.
    """
    if not name or "/" in name or name in (".", "..") or not name.isprintable():
        raise ValueError(f"{name!r} is no worker's name: in ZooKeeper it is that of a node, without /")
    return name
