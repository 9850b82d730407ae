"""Masters and workers against a ZooKeeper in memory: everything that can happen, in every order, broken off anywhere."""

from __future__ import annotations

import collections
import typing

import hypothesis
from hypothesis import strategies as st

from rpcgen.runtime.discovery.zookeeper.asked import Commit, Create, Delete, Put
from rpcgen.runtime.discovery.zookeeper.session import Away
from rpcgen.runtime.errors import FaultCode
from rpcgen.runtime.tasks import inspection
from rpcgen.runtime.tasks.envelopes import MICROS, Entry, Header, pack
from rpcgen.runtime.tasks.layout import DONE, ENDS, SCHEDULE, Layout, new_worker
from rpcgen.runtime.tasks.master import Mastering
from rpcgen.runtime.tasks.picture import Picture
from rpcgen.runtime.tasks.running import Run
from rpcgen.runtime.tasks.working import Working
from rpcgen.runtime.wire.plain import encode_fault
from tests.support.tree import Tree

LAYOUT = Layout("/rpc")
RETURNED, RAISED, FAULT = b"\x01", b"\x02\0\0\0\0", encode_fault(FaultCode.INTERNAL, "broken")
REPLIES = (RETURNED, RAISED, FAULT)
KEEP = 100.0
STALE = -1
"""The session of a master that wakes up."""
ATTEMPTS = 3

METHODS: list[dict[str, tuple[int, ...]]] = [{"a": (1,)}, {"a": (1,), "b": (1, 2)}, {"b": (1, 2)}]
CALLS = [("a", b"\1"), ("b", b"\1"), ("b", b"\1\2")]


def call(name: str) -> bytes:
    return len(name).to_bytes(4, "big") + name.encode() + bytes(4)


class Hands:
    """A worker's threads, which the test moves."""

    def __init__(self) -> None:
        self.runs: list[Run] = []

    def start(self, run: Run) -> None:
        self.runs.append(run)

    def expire(self, run: Run) -> None:
        raise AssertionError("nothing here has a time")


class Player:
    """One process with a session."""

    def __init__(self, tree: Tree, duty: Mastering | Working) -> None:
        self.tree = tree
        self.duty = duty
        self.session = tree.session()

    def turn(self, breaks_after: int | None = None) -> None:
        """Lets it do what is due; its connection breaks after so many writes."""
        self.session.breaks_after = breaks_after
        self.session.writes = 0
        try:
            self.duty.turn(self.session)  # type: ignore[arg-type]
        except Away:
            self.reconnect()
        self.session.breaks_after = None

    def reconnect(self) -> None:
        if self.session.is_over:
            self.session = self.tree.session()
        self.duty.void()


class Master(Player):
    def __init__(self, tree: Tree) -> None:
        self.mastering = Mastering(
            "zk://tree/rpc", LAYOUT, lambda: Picture(keep_foreign=KEEP), lambda: tree.now
        )
        super().__init__(tree, self.mastering)


class Worker(Player):
    def __init__(self, tree: Tree, number: int) -> None:
        self.number = number
        self.hands = Hands()
        self.entry = Entry(host=new_worker(f"w{number}"), methods=METHODS[number], concurrency=2)
        self.working = Working("zk://tree/rpc", LAYOUT, self.entry, 1000)
        self.working.runner = self.hands  # type: ignore[assignment]
        super().__init__(tree, self.working)

    def finish(self, number: int, reply: bytes) -> None:
        """Ends one of its runs."""
        if self.hands.runs:
            run = self.hands.runs.pop(number % len(self.hands.runs))
            run.reply, run.ended = reply, self.tree.now
            self.working.ended(run)


class World:
    """Two masters, three workers of ours, one of another kind, and clients."""

    def __init__(self) -> None:
        self.tree = Tree()
        self.client = self.tree.session()
        for path in LAYOUT.parents:
            self.client.make(path)
        self.masters = [Master(self.tree), Master(self.tree)]
        self.workers = [Worker(self.tree, number) for number in range(3)]
        self.foreign = self.tree.session()
        self.foreign_stands = False
        self.tasks: dict[str, tuple[str, bytes] | None] = {}
        self.retried: collections.Counter[str] = collections.Counter()
        self.logged = 0
        self.ends: collections.Counter[str] = collections.Counter()

    # What happens.

    def submit(self, number: int) -> None:
        name = f"task-{len(self.tasks)}"
        if number % 4 == 3:
            self.tasks[name] = None
            data = b"bytes of another kind"
        else:
            method, tags = CALLS[number % 4]
            header = Header(attempts=ATTEMPTS, keep=int(KEEP * MICROS), tags=tags, priority=number % 3)
            if number % 5 == 0:
                header.not_before = int((self.tree.now + 2) * MICROS)
            data = pack(header, call(method))
            self.tasks[name] = (method, tags)
        self.client.gather([Commit((Create(LAYOUT.task(name), data),))])

    def master_turns(self, number: int) -> None:
        self.masters[number % 2].turn()

    def master_breaks(self, number: int) -> None:
        self.masters[number % 2].turn(breaks_after=number // 2)

    def master_is_killed(self, number: int) -> None:
        """In the middle of its writes; the session ends later."""
        master = self.masters[number % 2]
        master.turn(breaks_after=number // 2)
        self.tree.expire(master.session)
        self.masters[number % 2] = Master(self.tree)

    def master_is_paused(self, number: int) -> None:
        """It does not know yet that its session is over, or that another leads."""
        master = self.masters[number % 2]
        self.tree.expire(master.session)
        self.masters[1 - number % 2].turn()
        if number % 3:
            self.submit(number)
        master.session.is_over = False  # it still believes so, and so writes in vain
        master.session.id = STALE
        if (leading := master.mastering.leading) is not None:
            leading._dirty |= {"tasks", "workers"}
        master.turn()
        assert all(session != STALE for session, _ in self.tree.log)
        master.session = self.tree.session()
        master.reconnect()

    def worker_turns(self, number: int) -> None:
        self.workers[number % 3].turn()

    def worker_breaks(self, number: int) -> None:
        self.workers[number % 3].turn(breaks_after=number // 3)

    def worker_finishes(self, number: int) -> None:
        self.workers[number % 3].finish(number // 3, REPLIES[number % len(REPLIES)])

    def worker_is_killed(self, number: int) -> None:
        worker = self.workers[number % 3]
        worker.turn(breaks_after=number // 3 % 3)
        self.tree.expire(worker.session)
        self.workers[number % 3] = Worker(self.tree, number % 3)

    def worker_expires(self, number: int) -> None:
        """It goes on with what it runs, and finds out later."""
        worker = self.workers[number % 3]
        self.tree.expire(worker.session)
        if number % 2:
            worker.reconnect()

    def foreign_comes_or_goes(self, number: int) -> None:
        if self.foreign_stands:
            self.tree.expire(self.foreign)
            self.foreign = self.tree.session()
        else:
            data = b'{"host": "plain", "port": 8001}'
            self.foreign.gather([Commit((Create(LAYOUT.worker("one"), data, ephemeral=True),))])
        self.foreign_stands = not self.foreign_stands

    def foreign_works(self, number: int) -> None:
        """It sets the status, whatever its version, and deletes its assignment; or gets no further."""
        if not self.foreign_stands:
            return
        for task in self.tree.children(LAYOUT.desk("plain"))[: 1 + number % 2]:
            if self.tree.get(LAYOUT.status(task)) == SCHEDULE:
                self.foreign.gather([Commit((Put(LAYOUT.status(task), DONE, -1),))])
                if number % 3:
                    self.foreign.gather([Commit((Delete(LAYOUT.assignment("plain", task)),))])

    def client_cancels(self, number: int) -> None:
        if self.tasks:
            task = sorted(self.tasks)[number % len(self.tasks)]
            inspection.cancel(self.client, LAYOUT, task, self.tree.now)  # type: ignore[arg-type]

    def client_retries(self, number: int) -> None:
        if self.tasks:
            task = sorted(self.tasks)[number % len(self.tasks)]
            self.judge()
            if inspection.retry(self.client, LAYOUT, task):  # type: ignore[arg-type]
                self.retried[task] += 1
                self.ends[task] = 0
                self.logged = len(self.tree.log)

    def time_passes(self, number: int) -> None:
        self.tree.now += number % 7

    # What must hold.

    def judge(self) -> None:
        """Nothing is accepted twice, nothing is given to who cannot do it, or too much."""
        for _, operation in self.tree.log[self.logged :]:
            if isinstance(operation, Create | Put) and operation.path.endswith("/status"):
                task = operation.path.split("/")[-2]
                if operation.data in ENDS and self.tasks[task] is not None:
                    self.ends[task] += 1
                    assert self.ends[task] == 1, f"{task} has ended twice"
        self.logged = len(self.tree.log)
        held: collections.Counter[str] = collections.Counter()
        for desk in self.tree.children(LAYOUT.assign):
            names = self.tree.children(LAYOUT.desk(desk))
            held.update(names)
            for worker in self.workers:
                if worker.entry.host == desk:
                    assert len(names) <= worker.entry.concurrency
                    for name in names:
                        wanted = self.tasks[name]
                        assert wanted is not None
                        assert worker.entry.takes(*wanted)
            if desk == "plain":
                assert all(self.tasks[name] is None for name in names)
        assert all(count == 1 for count in held.values()), held
        for task in self.tree.children(LAYOUT.tasks):
            status = self.tree.get(LAYOUT.status(task))
            has_result = self.tree.get(LAYOUT.result(task)) is not None
            if self.tasks[task] is not None:
                assert has_result == (status in ENDS), f"{task}: {status!r}, a result: {has_result}"

    def settle(self) -> None:
        """Everything is well from now on: all that was queued comes to its end, and goes in its time."""
        if not self.foreign_stands:
            self.foreign_comes_or_goes(0)
        for player in (*self.masters, *self.workers):
            player.reconnect()
        for number in range(40):
            for master in self.masters:
                if master.mastering.leading is not None:
                    master.mastering.leading._check_at = 0.0  # as it does every few seconds
                master.turn()
            for worker in self.workers:
                worker.turn()
                while worker.hands.runs:
                    worker.finish(0, RETURNED)
                worker.turn()
            self.foreign_works(number)
            self.judge()
            self.tree.now += 1
        for task, wanted in self.tasks.items():
            status = self.tree.get(LAYOUT.status(task))
            if self.tree.get(LAYOUT.task(task)) is not None:
                assert status in ENDS, f"{task} ({wanted}) is {status!r}"
                if self.tree.get(LAYOUT.attempts(task)) is not None:
                    assert wanted is None or self.tree.version(LAYOUT.status(task)) > 0
        self.tree.now += 2 * KEEP
        for master in self.masters:
            master.turn()
        assert self.tree.children(LAYOUT.tasks) == []
        assert self.tree.children(LAYOUT.results) == []
        assert self.tree.children(LAYOUT.history) == []
        assert self.tree.children(LAYOUT.changed) == []
        alive = {worker.entry.host for worker in self.workers} | {"plain"}
        assert set(self.tree.children(LAYOUT.assign)) <= alive
        assert set(self.tree.children(LAYOUT.workers)) == alive - {"plain"} | {"one"}


HAPPENINGS: list[typing.Callable[[World, int], None]] = [
    World.submit,
    World.submit,
    World.submit,
    World.master_turns,
    World.master_turns,
    World.master_breaks,
    World.master_is_killed,
    World.master_is_paused,
    World.worker_turns,
    World.worker_turns,
    World.worker_turns,
    World.worker_breaks,
    World.worker_finishes,
    World.worker_finishes,
    World.worker_is_killed,
    World.worker_expires,
    World.foreign_comes_or_goes,
    World.foreign_works,
    World.client_cancels,
    World.client_retries,
    World.time_passes,
]


@hypothesis.given(
    st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 30)), min_size=30, max_size=60)
)
def test_whatever_happens(happenings: list[tuple[typing.Callable[[World, int], None], int]]) -> None:
    world = World()
    for happen, number in happenings:
        happen(world, number)
        world.judge()
    world.settle()
