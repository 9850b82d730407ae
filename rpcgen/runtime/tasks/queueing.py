"""What a queue does with its session: puts tasks there, and waits for their ends by one watch each.

Many are sent together: those of several threads, and of one that does not wait for each. A task's
name is its own, so that one whose making was not confirmed is found, and not made twice.
"""

from __future__ import annotations

import functools
import queue
import threading
import time
import typing

from rpcgen.runtime.discovery.zookeeper.asked import Commit, Create, Exists, Get, Node, Outcome, Problem
from rpcgen.runtime.discovery.zookeeper.session import Away
from rpcgen.runtime.errors import CallError, Cancelled, FaultCode, RemoteFault, Unavailable
from rpcgen.runtime.tasks.duty import Duty
from rpcgen.runtime.tasks.envelopes import Ending, Header, unpack
from rpcgen.runtime.tasks.layout import ENDS
from rpcgen.runtime.tasks.task import Awaited
from rpcgen.runtime.tasks.writes import HEAVY

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.discovery.zookeeper.session import Session, Stat
    from rpcgen.runtime.tasks.layout import Layout

    Job: typing.TypeAlias = collections.abc.Callable[[Session], None]

TOGETHER = 32
"""Tasks in one request."""

ROUND = 256
"""Tasks that are sent before anything else is looked at."""

CHECK = 60.0
"""Seconds between looks at what no event told of."""

COUNT = 1.0
"""Seconds for which a count of what waits holds."""


class Submission:
    """A task on its way into the queue.

    Args:
        name: Its name.
        data: What its node will hold.
        is_keyed: Another one may have made it, with the same call.
    """

    __slots__ = ("_lock", "_over", "data", "error", "is_keyed", "is_over", "is_sent", "is_withdrawn", "name")

    def __init__(self, name: str, data: bytes, is_keyed: bool) -> None:
        self.name = name
        self.data = data
        self.is_keyed = is_keyed
        self.is_sent = False
        self.is_withdrawn = False
        self.is_over = False
        self.error: Exception | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()

    def settle(self, error: Exception | None = None) -> None:
        """Takes that it is in the queue, or why it is not."""
        self.error, self.is_over = error, True
        self._over.set()

    def send(self) -> bool:
        """Says whether it is still wanted; from then on it cannot be withdrawn."""
        with self._lock:
            self.is_sent = not self.is_withdrawn
        return self.is_sent

    def withdraw(self) -> bool:
        """Says whether it is certain that it was not sent."""
        with self._lock:
            self.is_withdrawn = not self.is_sent
        return self.is_withdrawn

    def wait(self, timeout: float | None) -> bool:
        return self._over.wait(timeout)


class Queueing(Duty):
    """Puts tasks into a queue and waits for their ends.

    Args:
        url: For messages.
        layout: Where things stand.
        max_waiting: Tasks beyond which the queue is full.
    """

    def __init__(self, url: str, layout: Layout, max_waiting: int) -> None:
        super().__init__(f"the queue {url}")
        self._url = url
        self._layout = layout
        self._max_waiting = max_waiting
        self._submitted: queue.SimpleQueue[Submission] = queue.SimpleQueue()
        self._sending: list[Submission] = []
        """Sent, or to be sent, and not confirmed."""
        self._wanted: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._came: queue.SimpleQueue[str] = queue.SimpleQueue()
        """Tasks whose results are there, as an event said."""
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._awaited: dict[str, Awaited] = {}
        self._is_void = False
        self._check_at = time.monotonic() + CHECK
        self._counted_at = 0.0
        self._room = 0
        """Tasks that the queue may still take, as of the last count."""

    # From any thread.

    def submit(self, submission: Submission) -> None:
        """Puts a task into the queue, soon."""
        self._submitted.put(submission)
        self.wake()

    def await_end(self, name: str, *, is_fresh: bool = False) -> Awaited:
        """Gives what tells of a task's end.

        Args:
            name: The task's.
            is_fresh: It has just been put into the queue: it needs not be seen whether it is there.
        """
        with self._lock:
            awaited = self._awaited.get(name)
            if awaited is not None:
                return awaited
            awaited = self._awaited[name] = Awaited(name)
            awaited.is_doubtful = not is_fresh
            awaited.watcher = functools.partial(self._result_came, name)
        self._wanted.put(name)
        self.wake()
        return awaited

    def do(self, job: Job) -> None:
        """Does it on the thread, once there is a connection; again after the connection broke meanwhile."""
        self._jobs.put(job)
        self.wake()

    def close(self) -> None:
        """Ends all waiting, after the thread has ended."""
        over = Cancelled("the queue was closed", peer=self._url)
        with self._lock:
            waiting, self._awaited = list(self._awaited.values()), {}
        for awaited in waiting:
            awaited.settle(b"", over)
        while not self._submitted.empty():
            self._sending.append(self._submitted.get())
        for submission in self._sending:
            submission.settle(over)

    def void(self) -> None:
        super().void()
        self._is_void = True

    # On the session's thread.

    def turn(self, session: Session) -> float:
        if self._is_void:
            self._is_void = False
            self._want_all()
        while self._submit(session) or self._watch(session) or self._fetch(session) or self._work(session):
            pass
        if time.monotonic() >= self._check_at:
            self._want_all()
            return 0.0
        return self._check_at - time.monotonic()

    def _want_all(self) -> None:
        self._check_at = time.monotonic() + CHECK
        with self._lock:
            for name, awaited in self._awaited.items():
                awaited.is_doubtful = True
                self._wanted.put(name)

    def _submit(self, session: Session) -> bool:
        self._sending = [one for one in self._sending if not one.is_over]
        for _ in range(min(ROUND, self._submitted.qsize())):
            self._sending.append(self._submitted.get())
        if not self._sending:
            return False
        self._count(session)
        wanted = []
        for submission in self._sending:
            if self._room <= 0 and not submission.is_sent:
                submission.settle(
                    Unavailable(
                        f"the queue is full: {self._max_waiting:,} tasks wait; try again later",
                        peer=self._url,
                    )
                )
            elif submission.send():
                wanted.append(submission)
                self._room -= 1
        self._sending = wanted
        self._put(session, wanted)
        self._sending = []
        return True

    def _put(self, session: Session, submissions: list[Submission]) -> None:
        batches: list[list[Submission]] = []
        weight = HEAVY
        for submission in submissions:
            heavy = len(submission.data) + 200
            if weight + heavy > HEAVY or len(batches[-1]) == TOGETHER:
                batches.append([])
                weight = 0
            batches[-1].append(submission)
            weight += heavy
        outcomes: list[Outcome] = session.gather([self._creation(batch) for batch in batches])
        again: list[Submission] = []
        for batch, outcome in zip(batches, outcomes, strict=True):
            if outcome.is_done:
                for submission in batch:
                    submission.settle()
            else:
                again += batch
        while again:
            # One of them was refused, and so were all: each is tried by itself.
            outcomes = session.gather([self._creation([submission]) for submission in again])
            missing = [
                submission
                for submission, outcome in zip(again, outcomes, strict=True)
                if not self._settled(session, submission, outcome)
            ]
            if missing:
                for path in self._layout.parents:
                    session.make(path)
            again = missing

    def _creation(self, submissions: list[Submission]) -> Commit:
        return Commit(tuple(Create(self._layout.task(one.name), one.data) for one in submissions))

    def _settled(self, session: Session, submission: Submission, outcome: Outcome) -> bool:
        """Says whether it is known what became of a submission."""
        if outcome.problem is Problem.NO_NODE:
            return False
        if outcome.is_done:
            submission.settle()
        elif outcome.problem is not Problem.EXISTS:
            submission.settle(Unavailable(f"ZooKeeper says {outcome.said}", peer=self._url))
        elif not submission.is_keyed:
            submission.settle()  # ours, of a request whose answer was lost
        else:
            node: Node | None
            (node,) = session.gather([Get(self._layout.task(submission.name))])
            submission.settle(None if node is None else self._clash(submission, node))
        return True

    def _clash(self, submission: Submission, node: Node) -> Exception | None:
        there, ours = unpack(Header, node.data), unpack(Header, submission.data)
        if there is not None and ours is not None and there[1] == ours[1]:
            return None
        return ValueError(
            f"{self._url}: there is a task {submission.name} with another call: give it another key"
        )

    def _count(self, session: Session) -> None:
        now = time.monotonic()
        if now < self._counted_at + COUNT and self._room > 0:
            return
        tasks: Stat | None
        results: Stat | None
        tasks, results = session.gather([Exists(self._layout.tasks), Exists(self._layout.results)])
        # What has ended has a result, and stays for a time.
        waiting = (tasks.count if tasks else 0) - (results.count if results else 0)
        self._room = self._max_waiting - waiting
        self._counted_at = now

    def _watch(self, session: Session) -> bool:
        """Asks for results that somebody waits for; those that are not there yet are watched."""
        waiting = self._drain(self._wanted)
        if not waiting:
            return False
        layout = self._layout
        stats: list[Stat | None] = session.gather(
            [Exists(layout.result(awaited.name), awaited.watcher) for awaited in waiting]
        )
        for awaited, stat in zip(waiting, stats, strict=True):
            if stat is not None:
                self._came.put(awaited.name)
        doubtful = [one for one, stat in zip(waiting, stats, strict=True) if one.is_doubtful and stat is None]
        asks = [
            ask for one in doubtful for ask in (Get(layout.status(one.name)), Exists(layout.task(one.name)))
        ]
        found = iter(session.gather(asks))
        for awaited in doubtful:
            status: Node | None = next(found)
            task: Stat | None = next(found)
            if task is None:
                problem = "there is no such task, or no more: its result has been removed"
            elif status is not None and status.data in ENDS:
                problem = f"the task ended without a result, or it has been removed: {status.data.decode()}"
            else:
                continue
            # It may have ended between the two questions.
            (result,) = session.gather([Exists(layout.result(awaited.name))])
            if result is None:
                self._settle(awaited.name, b"", RemoteFault(FaultCode.BAD_REQUEST, problem, peer=self._url))
        return True

    def _settle(self, name: str, reply: bytes, error: CallError | None = None) -> None:
        with self._lock:
            awaited = self._awaited.pop(name, None)
        if awaited is not None:
            awaited.settle(reply, error)

    def _result_came(self, name: str, _: object) -> None:
        """On any thread."""
        self._came.put(name)
        self.wake()

    def _fetch(self, session: Session) -> bool:
        waiting = self._drain(self._came)
        if not waiting:
            return False
        try:
            nodes: list[Node | None] = session.gather([Get(self._layout.result(one.name)) for one in waiting])
        except BaseException:
            for awaited in waiting:
                self._came.put(awaited.name)
            raise
        for awaited, node in zip(waiting, nodes, strict=True):
            told = None if node is None else unpack(Ending, node.data)
            if told is not None:
                self._settle(awaited.name, told[1])
            elif node is not None:
                problem = RemoteFault(FaultCode.INTERNAL, "its result cannot be read", peer=self._url)
                self._settle(awaited.name, b"", problem)
            else:
                awaited.is_doubtful = True  # it was there, and has been taken away
                self._wanted.put(awaited.name)
        return True

    def _drain(self, source: queue.SimpleQueue[str]) -> list[Awaited]:
        names = dict.fromkeys(source.get() for _ in range(source.qsize()))
        with self._lock:
            return [self._awaited[name] for name in names if name in self._awaited]

    def _work(self, session: Session) -> bool:
        for _ in range(self._jobs.qsize()):
            job = self._jobs.get()
            try:
                job(session)
            except Away:
                self._jobs.put(job)
                raise
        return False
