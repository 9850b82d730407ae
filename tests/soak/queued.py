"""Masters and workers that fail at random, tasks that go on being queued, and the judge.

A worker writes down each run before it answers, and each end of its that ZooKeeper has accepted:
what it did is known even after SIGKILL. Each run answers with a word of its own, so that a result
tells which run it is of.

``python -m tests.soak.queued master URL FOLDER`` and ``… worker URL FOLDER`` run until they are told to end.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import logging
import os
import pathlib
import random
import signal
import sys
import threading
import time
import typing

from rpcgen import runtime as rpc
from rpcgen.runtime.tasks.working import Working
from tests.soak.survival import Trouble
from tests.support.ledger import AppendProtocol, ServerStub
from tests.support.processes import Process
from tests.support.waiting import until

if typing.TYPE_CHECKING:
    from rpcgen.runtime.discovery.zookeeper.asked import Outcome
    from rpcgen.runtime.discovery.zookeeper.session import Session
    from rpcgen.runtime.tasks.running import Run

WORKERS = 4
MASTERS = 2
ATTEMPTS = 1000
"""However often a task's worker dies, the task goes on."""

SHORT = 2.0
"""Seconds that every third task is kept: those are removed while masters die."""

PATIENCE = 240.0
"""Seconds that the end of a task may take; a failure beyond, never a measure."""

TOGETHER = 20
"""Tasks that a feeder queues at once, at most."""

SECONDS = (0.05, 0.05, 0.05, 0.05, 0.05, 2.0)
"""That a run takes at most: some take longer than a session."""


class Member(Process):
    """A master or a worker of its own process.

    Args:
        role: ``master`` or ``worker``.
        url: Of the queue.
        folder: Where workers write what they did.
    """

    def __init__(self, role: str, url: str, folder: pathlib.Path) -> None:
        super().__init__()
        self.role = role
        self._arguments = (role, url, str(folder))

    def start(self) -> None:
        """Starts it; it may die before it has begun."""
        self._spawn("tests.soak.queued", *self._arguments)

    def holds(self) -> tuple[int, int]:
        """How many threads and descriptors it has now."""
        return tuple(len(os.listdir(f"/proc/{self.pid}/{what}")) for what in ("task", "fd"))  # type: ignore[return-value]

    def troubles(self, name: str, number: int, session: float) -> list[Trouble]:
        """What can befall it: it dies, or it stops for shorter or longer than its session."""

        def die() -> typing.Callable[[], None]:
            self.kill()
            return self.start

        def stop() -> typing.Callable[[], None]:
            self.pause()
            return self.resume

        return [
            Trouble(f"kill {name}", number, die, (0.1, 2.0)),
            Trouble(f"stop {name}", number, stop, (0.2, 2.5 * session)),
        ]


@dataclasses.dataclass
class Queued:
    """A task, as its caller sees it: ``word`` is its result, ``error`` why there is none."""

    number: int
    is_short: bool
    task: rpc.Task[str]
    word: str = ""
    error: str = ""


class Feeder:
    """A thread that queues tasks, a few together, and takes each result as it comes.

    Args:
        queue: Where they go.
        count: Of tasks, over ``seconds`` in all.
        seed: Of how they are queued.
    """

    def __init__(self, queue: rpc.TaskQueue, count: int, seconds: float, seed: int) -> None:
        self.queued: list[Queued] = []
        self.problem: BaseException | None = None
        self._queue = queue
        self._count = count
        self._seconds = seconds
        self._random = random.Random(seed)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> typing.Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.join(PATIENCE + self._seconds)
        assert not self._thread.is_alive(), "queuing hangs"

    def _run(self) -> None:
        try:
            self._feed()
        except BaseException as error:
            self.problem = error

    def _feed(self) -> None:
        begun, numbers = time.monotonic(), iter(range(self._count))
        while some := list(itertools.islice(numbers, self._random.randint(1, TOGETHER))):
            with self._queue.batch():
                made = [self._one(number) for number in some]
            for queued in made:
                queued.task.done()  # its end is asked for from now on
            self.queued += made
            time.sleep(max(0.0, begun + self._seconds * some[-1] / self._count - time.monotonic()))

    def _one(self, number: int) -> Queued:
        is_short = number % 3 == 0
        task = self._queue.call(
            AppendProtocol,
            (number,),
            key=f"{number}" if number % 3 == 1 else None,
            priority=self._random.choice((0, 0, 0, 1, -1)),
            delay=self._random.choice((0.0, 0.0, 0.0, 0.5)),
            attempts=ATTEMPTS,
            keep=SHORT if is_short else 24 * 3600.0,
        )
        return Queued(number, is_short, task)

    def collect(self) -> None:
        """Waits for all results."""
        deadline = time.monotonic() + PATIENCE
        for queued in self.queued:
            try:
                queued.word = queued.task.result(max(0.0, deadline - time.monotonic()))
            except rpc.RpcError as error:
                queued.error = f"{type(error).__name__}: {error}"


class Ledger:
    """What workers wrote down.

    Args:
        folder: Where.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.ran: dict[int, list[str]] = collections.defaultdict(list)
        """Number of a task → the words of its runs."""
        self.accepted: dict[str, list[str]] = collections.defaultdict(list)
        """Task → the words of its accepted ends."""
        for path in folder.glob("*.ran"):
            for number, word in map(str.split, path.read_text().splitlines()):
                self.ran[int(number)].append(word)
        for path in folder.glob("*.accepted"):
            for task, word in map(str.split, path.read_text().splitlines()):
                self.accepted[task].append(word)


def tally(folder: pathlib.Path) -> str:
    """Says what masters and workers went through."""
    logs = "".join(path.read_text() for path in folder.glob("*.log"))
    again = sum(len(words) - 1 for words in Ledger(folder).ran.values())
    return (
        f"{again} runs were not the first of their task, {logs.count('was refused')} ends were refused, "
        f"{logs.count('this master leads, with')} masters elected"
    )


def judge(queued: list[Queued], ledger: Ledger) -> list[str]:
    """Gives every rule that was broken, by task."""
    broken = []
    for one in queued:
        ran, accepted = ledger.ran[one.number], ledger.accepted[one.task.id]
        what = f"{one.number} ({one.task.id}; ran {ran}, accepted {accepted}, said {one.word or one.error})"
        # One that is kept for so short may be gone before a client hears of its end.
        is_removed = one.is_short and "removed" in one.error
        if one.error and not is_removed:
            broken.append(f"{what}: no result")
        if not ran:
            broken.append(f"{what}: it never ran")
        if len(accepted) > 1:
            broken.append(f"{what}: more than one end was accepted")
        if one.word and one.word not in ran:
            broken.append(f"{what}: its result is of no run of it")
        if one.word and accepted not in ([], [one.word]):
            broken.append(f"{what}: its result is not the end that was accepted")
    return broken


def judge_nodes(operator: typing.Any, root: str, queued: list[Queued]) -> list[str]:
    """Gives every task whose nodes do not say that it ended once, as it did."""
    broken = []
    for one in queued:
        if one.is_short:
            continue
        status, stat = operator.get(f"{root}/tasks/{one.task.id}/status")
        result, written = operator.get(f"{root}-tasks/results/{one.task.id}")
        if status != b"done" or one.word.encode() not in result:
            broken.append(f"{one.number}: {status!r}, {result!r}")
        if stat.mzxid != written.czxid or written.version:
            broken.append(f"{one.number}: its status and its result are not of one request")
    return broken


def left(operator: typing.Any, root: str) -> list[str]:
    """Gives all nodes beneath the queue's that something left there."""
    import kazoo.exceptions

    parents = [f"{root}/{name}" for name in ("tasks", "assign", "workers")]
    parents += [f"{root}-tasks/{name}" for name in ("results", "history", "changed")]
    found = [f"{parent}/{child}" for parent in parents for child in operator.get_children(parent)]
    for node in list(found):
        try:
            found += [f"{node}/{child}" for child in operator.get_children(node)]
        except kazoo.exceptions.NoNodeError:
            continue
    return sorted(found)


def wait_until_lean(members: list[Member]) -> None:
    """Waits until no process has more threads and descriptors than one of its kind that has just begun."""
    for role in ("master", "worker"):
        of_role = [member for member in members if member.role == role]
        fresh, *old = of_role
        fresh.kill()
        fresh.start()
        until(
            lambda old=old, fresh=fresh: all(  # type: ignore[misc]
                mine <= most
                for member in old
                for mine, most in zip(member.holds(), fresh.holds(), strict=True)
            ),
            lambda of_role=of_role: [member.holds() for member in of_role],  # type: ignore[misc]
        )


class Handlers:
    """Writes down each run.

    Args:
        path: The file; it is made.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._numbers = itertools.count()

    def append(self, call: int) -> str:
        word = f"{os.getpid()}-{next(self._numbers)}"
        os.write(self._file, f"{call} {word}\n".encode())
        chance = random.Random(call)
        time.sleep(chance.uniform(0, chance.choice(SECONDS)))
        return word

    read = append


def note_accepted(path: pathlib.Path) -> None:
    """Has each accepted end of this process's worker written down."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    settled = Working._settled

    def note(self: Working, session: Session, run: Run, outcome: Outcome) -> None:
        before = self.done
        settled(self, session, run, outcome)
        if self.done > before:
            reply = AppendProtocol.codec().decode_reply(run.reply or b"")
            os.write(file, f"{run.task} {reply}\n".encode())

    Working._settled = note  # type: ignore[method-assign]


def main(role: str, url: str, folder: str) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    logging.basicConfig(filename=f"{folder}/{role}-{os.getpid()}.log", level=logging.INFO)
    if role == "master":
        member: rpc.Master | rpc.Worker = rpc.Master(url)
    else:
        path = pathlib.Path(folder)
        note_accepted(path / f"{os.getpid()}.accepted")
        member = rpc.Worker(url, ServerStub(Handlers(path / f"{os.getpid()}.ran")), concurrency=4)
    with member:
        signal.sigwait({signal.SIGTERM})


if __name__ == "__main__":
    main(*sys.argv[1:])
