"""A task and a worker, as a master knows them."""

from __future__ import annotations

import enum
import typing

from rpcgen.runtime.tasks.envelopes import ATTEMPTS, KEEP
from rpcgen.runtime.tasks.layout import is_ours

if typing.TYPE_CHECKING:
    from rpcgen.runtime.tasks.envelopes import Entry
    from rpcgen.runtime.tasks.lines import Shape


class Stage(enum.Enum):
    """Of a task, as far as the master knows."""

    UNREAD = enum.auto()
    WAITING = enum.auto()
    RUNNING = enum.auto()
    DOUBTED = enum.auto()
    """What was known does not hold: it is looked at before anything else is done."""
    ENDED = enum.auto()
    LEFT = enum.auto()
    """It cannot be worked with, and is left alone."""


class Record:
    """A task, as far as it is known."""

    __slots__ = (
        "attempts",
        "body",
        "due",
        "error",
        "is_changed",
        "is_tried",
        "keep",
        "name",
        "rank",
        "shape",
        "stage",
        "version",
        "worker",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.stage = Stage.UNREAD
        self.shape: Shape | None = None
        self.rank = (0, 0)
        self.attempts = ATTEMPTS
        self.keep = KEEP
        self.due = 0.0
        """Not before; of an ended one, when it is removed. Seconds since 1970."""
        self.version = -1
        """Of the status: one less than the assignments that there were; -1: it has none."""
        self.worker: str | None = None
        """Under whose name an assignment stands."""
        self.error = ""
        self.body: bytes | None = None
        self.is_changed = False
        """Somebody has left a note that it is not as it was."""
        self.is_tried = False
        """An attempt came to nothing: it has a history."""


class Desk:
    """A worker, or what one has left: its assignments.

    Args:
        name: Under which they stand.
    """

    __slots__ = ("_able", "assigned", "entry", "given", "is_missing", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.entry: Entry | None = None
        """None: it is gone."""
        self.assigned: set[str] = set()
        self.given = 0
        self.is_missing = False
        self._able: tuple[Entry | None, dict[Shape, bool]] = (None, {})

    @property
    def free(self) -> int:
        return 0 if self.entry is None or self.is_missing else self.entry.concurrency - len(self.assigned)

    @property
    def is_done_with(self) -> bool:
        """Whether its worker is gone, never comes again, and has left nothing."""
        return not self.assigned and self.entry is None and is_ours(self.name)

    def takes(self, shape: Shape) -> bool:
        """Says whether the worker can run such a task."""
        entry, able = self._able
        if entry is not self.entry:
            entry, able = self._able = (self.entry, {})
        if shape not in able:
            able[shape] = entry is not None and entry.takes(shape.method, shape.tags)
        return able[shape]

    @property
    def load(self) -> tuple[float, int]:
        """What it would have to do, against its weight; the least loaded one gets the next task."""
        assert self.entry is not None
        weight = self.entry.weight
        return ((len(self.assigned) + 1) / weight if weight else float("inf"), self.given)
