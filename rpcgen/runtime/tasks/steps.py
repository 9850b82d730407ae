"""What a master does next, as values: each step is one write that happens as a whole, or not at all."""

from __future__ import annotations

import typing

from rpcgen.runtime.records import Record


class Assign(Record):
    """Gives a task to a worker.

    Args:
        task: Its name.
        worker: Its name.
        version: Of the task's status, as it was seen; -1: it has none yet.
        body: What the task's node holds; ``b""``: the worker reads that itself; None: the task is not ours.
        leaves: The worker that had it and is gone; None: nobody had.
        error: Why the last attempt came to nothing; ``""``: this is the first, or it has been noted.
    """

    task: str
    worker: str
    version: int
    body: bytes | None = None
    leaves: str | None = None
    error: str = ""


class GiveUp(Record):
    """Ends a task whose attempts are used up.

    Args:
        task: Its name.
        version: Of its status, as it was seen.
        is_foreign: It is not ours: nobody looks for a result.
        leaves: As for ``Assign``.
        error: Why the last attempt came to nothing; ``""``: it has been noted.
    """

    task: str
    version: int
    is_foreign: bool
    leaves: str | None
    error: str


class Sweep(Record):
    """Takes an assignment away that means nothing any more."""

    task: str
    worker: str


class Remove(Record):
    """Removes a task whose time is up, and all that stands beside it.

    Args:
        task: Its name.
        version: Of its status, as it was seen.
        is_usual: It has a status and a result, and no history.
    """

    task: str
    version: int
    is_usual: bool


class Open(Record):
    """Makes the node under which a worker's assignments stand."""

    worker: str


class Shut(Record):
    """Removes that node: its worker is gone and never comes again."""

    worker: str


class Noted(Record):
    """Takes away the note that a task was changed: it has been looked at."""

    task: str


Step: typing.TypeAlias = Assign | GiveUp | Sweep | Remove | Open | Shut | Noted


class Look(Record):
    """Wants a task to be read.

    Args:
        task: Its name.
        whole: The task itself is not known yet.
        status: Its status is wanted, too; else it is taken to have none.
    """

    task: str
    whole: bool
    status: bool
