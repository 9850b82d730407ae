"""Servers, a registry and links that fail at random, callers that go on, and the judge.

What fails, when and for how long comes from a seed; what the callers saw and what the servers
wrote down is judged afterwards. At any moment at most two of the four servers are in trouble:
three tries can always reach a third.
"""

from __future__ import annotations

import collections
import collections.abc
import contextlib
import dataclasses
import pathlib
import random
import threading
import time
import typing

from rpcgen import runtime as rpc
from tests.support.ledger import ClientStub, LedgerServer, runs
from tests.support.proxy import Proxy

SERVERS = 4
CALLERS = 8
IN_TROUBLE = 2
"""Servers that may be in trouble at once, if nobody says otherwise."""

CALL_TIME = 2.0
"""Seconds that a call may take."""

PACE = 0.002
"""Seconds between the calls of one caller: the failures are what is tested, not the speed."""

Heal: typing.TypeAlias = "collections.abc.Callable[[], None]"


@dataclasses.dataclass(frozen=True)
class Trouble:
    """Something that fails and heals.

    Args:
        name: What happens, for the account of a run.
        server: The number of the server that it befalls; None: the registry.
        begin: Makes it happen; gives what heals it.
        seconds: The shortest and the longest time that it lasts.
    """

    name: str
    server: int | None
    begin: collections.abc.Callable[[], Heal]
    seconds: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A call, as its caller saw it: ``error`` is "" if it returned."""

    call: int
    idempotent: bool
    error: str
    text: str = ""


class Cluster:
    """Four servers; two of them are reached through links that can be cut.

    Args:
        registry: The URL for servers.
        folder: For what they write.
    """

    def __init__(self, registry: str, folder: pathlib.Path) -> None:
        self.folder = folder
        self.proxies: list[Proxy] = []
        self.servers = [LedgerServer(registry, folder, f"server{number}") for number in range(SERVERS)]
        self._registry = registry
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> typing.Self:
        with self._stack:
            for number, server in enumerate(self.servers):
                if number % 2:
                    proxy = self._stack.enter_context(Proxy(1))
                    self.proxies.append(proxy)
                    server.advertise = f"127.0.0.1:{proxy.port}"
                self._stack.enter_context(server)
                if number % 2:
                    proxy.target = server.port
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def addresses(self) -> set[str]:
        """What the registry should list."""
        return {f"tcp://{server.advertise or f'127.0.0.1:{server.port}'}" for server in self.servers}

    def troubles(self) -> list[Trouble]:
        """What can befall each server."""
        found = []
        for number, server in enumerate(self.servers):
            found += [
                Trouble(f"kill {number}", number, self._ending(server.kill, server), (0.1, 1.5)),
                Trouble(f"restart {number}", number, self._ending(server.terminate, server), (0.0, 0.3)),
                Trouble(f"pause {number}", number, self._pausing(server), (0.2, 3.0)),
            ]
        found += [
            Trouble(f"cut {2 * index + 1}", 2 * index + 1, self._cutting(proxy), (0.1, 0.1))
            for index, proxy in enumerate(self.proxies)
        ]
        return found

    def _ending(self, end: Heal, server: LedgerServer) -> collections.abc.Callable[[], Heal]:
        def begin() -> Heal:
            end()
            return server.start

        return begin

    def _pausing(self, server: LedgerServer) -> collections.abc.Callable[[], Heal]:
        def begin() -> Heal:
            server.pause()
            return server.resume

        return begin

    def _cutting(self, proxy: Proxy) -> collections.abc.Callable[[], Heal]:
        def begin() -> Heal:
            proxy.cut()
            return lambda: None

        return begin


class Callers:
    """Threads that call without pause while ``with`` lasts, each outcome noted.

    Args:
        channel: They share it.
    """

    def __init__(self, channel: rpc.DistributedChannel) -> None:
        self.outcomes: list[Outcome] = []
        self._stub = ClientStub(channel)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(CALLERS)]

    def __enter__(self) -> typing.Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a call hangs"

    def _call(self, number: int) -> None:
        call = number
        while not self._stop.wait(PACE):
            self.outcomes.append(self.one(call, idempotent=call // CALLERS % 2 == 0))
            call += CALLERS

    def one(self, call: int, *, idempotent: bool) -> Outcome:
        """Makes one call."""
        try:
            (self._stub.read if idempotent else self._stub.append)(call)
        except rpc.RpcError as error:
            return Outcome(call, idempotent, type(error).__name__, str(error))
        return Outcome(call, idempotent, "")


class Mischief:
    """Lets troubles begin and end by chance, one thread for the plan, for so many seconds.

    Args:
        troubles: What can happen.
        seed: Of the plan.
        at_once: Servers that may be in trouble at once.
        pause: The shortest and the longest time from one trouble to the next, in seconds.
    """

    def __init__(
        self,
        troubles: list[Trouble],
        seed: int,
        at_once: int = IN_TROUBLE,
        pause: tuple[float, float] = (0.05, 0.6),
    ) -> None:
        self.happened: list[str] = []
        self._pause = pause
        self._at_once = at_once
        self._random = random.Random(seed)
        self._troubles = troubles
        self._running: list[tuple[float, Trouble, Heal]] = []

    def play(self, seconds: float) -> None:
        """Makes trouble for so long, then heals everything."""
        end = time.monotonic() + seconds
        never = threading.Event()
        try:
            while (now := time.monotonic()) < end:
                self._heal(now)
                self._begin(now)
                never.wait(self._random.uniform(*self._pause))
        finally:
            self._heal(float("inf"))

    def _begin(self, now: float) -> None:
        befallen = {trouble.server for _, trouble, _ in self._running}
        open_to = [
            trouble
            for trouble in self._troubles
            if trouble.server not in befallen
            and (trouble.server is None or len(befallen - {None}) < self._at_once)
        ]
        if not open_to:
            return
        self.begin(self._random.choice(open_to), now)

    def begin(self, trouble: Trouble, now: float | None = None) -> None:
        """Lets one begin; ``play`` heals it."""
        now = time.monotonic() if now is None else now
        self.happened.append(trouble.name)
        heal = trouble.begin()
        self._running.append((now + self._random.uniform(*trouble.seconds), trouble, heal))

    def _heal(self, now: float) -> None:
        for entry in [entry for entry in self._running if entry[0] <= now]:
            self._running.remove(entry)
            entry[2]()


ALLOWED = {
    True: {"", "DeadlineExceeded"},
    False: {"", "DeadlineExceeded", "ConnectionLost"},
}
"""Is it idempotent → how a call may end while at least two servers are well.

A paused server takes calls and does not answer: their time runs out. A connection that breaks
after a call was sent is the end of it, unless it may run again. Nothing else is anybody's fault.
"""


def judge(outcomes: list[Outcome], folder: pathlib.Path) -> list[str]:
    """Gives every rule that was broken, by call."""
    ran = runs(folder)
    broken = []
    for outcome in outcomes:
        count = ran[outcome.call]
        if outcome.error not in ALLOWED[outcome.idempotent]:
            broken.append(f"{outcome} is no way for it to end")
        if not outcome.idempotent and count > 1:
            broken.append(f"{outcome} ran {count} times")
        if not outcome.error and not count:
            broken.append(f"{outcome} returned and never ran")
        if outcome.error in ("Unavailable", "NoServers") and not outcome.idempotent and count:
            broken.append(f"{outcome} ran, and was said not to have")
    return broken


def tally(outcomes: list[Outcome]) -> collections.Counter[str]:
    """How many calls ended how."""
    return collections.Counter(
        f"{'read' if outcome.idempotent else 'append'} {outcome.error or 'returned'}" for outcome in outcomes
    )
