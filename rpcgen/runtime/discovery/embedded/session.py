"""What a client wants of its registry, over all its connections: a state machine without I/O.

Each registration and each service is in a state; ``due`` says what to send now, ``received``
takes an answer. Answers come in the order of requests, changes in between. Not thread-safe:
the client calls it under its lock, and publishes what it gives back without it.
"""

from __future__ import annotations

import collections
import collections.abc
import enum
import logging
import random
import time
import typing

import msgspec

from rpcgen.runtime.discovery.embedded.protocol import Answer, Item, read_answer, request
from rpcgen.runtime.registry import Instance, Snapshot, Watch

_log = logging.getLogger("rpcgen")

WINDOW = 256
"""Requests on their way at once."""
RETRY = 5.0
"""Seconds until a registration that was refused is tried again."""

Publish: typing.TypeAlias = "collections.abc.Callable[[], None]"


class Stand(enum.Enum):
    """Where a registration stands.

    ABSENT ──▶ ASKED ──▶ STANDING ◀──▶ RENEWING      (a lost connection: back to ABSENT)
    any ──(closed)──▶ LEAVING ──▶ WITHDRAWING ──▶ GONE
    """

    ABSENT = "to be registered"
    ASKED = "register was sent"
    STANDING = "registered"
    RENEWING = "registered; a renewal was sent"
    LEAVING = "to be withdrawn"
    WITHDRAWING = "destruction was sent"
    GONE = "over"


STANDS = (Stand.STANDING, Stand.RENEWING)


class Enrolment(msgspec.Struct, eq=False):
    """A registration, as the session keeps it.

    Args:
        key: Of its service.
        id: Its own.
        token: Its own.
        timeout: Seconds.
        values: What clients are told, as JSON.
        stand: See there.
        due: When the next request for it is to be sent.
        was_asked: Whether it may stand in the registry.
        is_confirmed: Whether the registry said that it is withdrawn.
        problem: Why it was refused.
    """

    key: str
    id: str
    token: str
    timeout: float
    values: msgspec.Raw
    stand: Stand = Stand.ABSENT
    due: float = 0.0
    was_asked: bool = False
    is_confirmed: bool = False
    problem: str = ""


class _Service:
    """What is watched under a key."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.watches: list[Watch] = []
        self.greeted: set[Watch] = set()
        """Those that know the list as it is."""
        self.is_asked = False
        self.is_live = False
        self.entries: dict[str, Instance] = {}
        self.kept: dict[str, Instance] = {}
        """Entries from before the registry started anew, which may come back."""
        self.kept_until = 0.0
        self.at = 0.0

    def instances(self) -> list[Instance]:
        return list((self.kept | self.entries if self.kept else self.entries).values())


class Session:
    """See the module.

    Args:
        timeout: Seconds that entries live without renewal.
        token: The registry's own.
        patience: Seconds that an answer may take.
    """

    def __init__(self, timeout: float, token: str | None, patience: float) -> None:
        self._timeout = timeout
        self._token = token
        self._patience = patience
        self._enrolments: dict[str, Enrolment] = {}
        self._services: dict[str, _Service] = {}
        self._awaited: collections.deque[tuple[float, _Service | Enrolment | None]] = collections.deque()
        """What was asked and when, in order; None: only to hear something."""
        self._heard = 0.0
        self._is_new = True
        self._problem = ""
        self._problems_logged: set[str] = set()

    @property
    def enrolments(self) -> list[Enrolment]:
        """What is kept in the registry, or being withdrawn."""
        return list(self._enrolments.values())

    @property
    def watches(self) -> list[Watch]:
        """What is published to."""
        return [watch for service in self._services.values() for watch in service.watches]

    def enrol(self, enrolment: Enrolment) -> None:
        """Keeps an entry in the registry from now on."""
        self._enrolments[enrolment.id] = enrolment

    def withdraw(self, enrolment: Enrolment) -> None:
        """Takes an entry out of the registry, if it may stand there."""
        if enrolment.stand is Stand.GONE:
            return
        if enrolment.was_asked:
            enrolment.stand, enrolment.due = Stand.LEAVING, 0.0
        else:
            self.forget(enrolment, is_confirmed=True)

    def forget(self, enrolment: Enrolment, *, is_confirmed: bool = False) -> None:
        """Has nothing more to do with an entry."""
        if enrolment.stand is not Stand.GONE:
            enrolment.stand, enrolment.is_confirmed = Stand.GONE, is_confirmed
            self._enrolments.pop(enrolment.id, None)

    def watch(self, key: str, watch: Watch) -> None:
        """Publishes the list of a key to the watch from now on."""
        self._services.setdefault(key, _Service(key)).watches.append(watch)

    def unwatch(self, key: str, watch: Watch) -> None:
        """Publishes to it no more."""
        service = self._services.get(key)
        if service is not None and watch in service.watches:
            service.watches.remove(watch)
            service.greeted.discard(watch)

    def connected(self, now: float) -> None:
        """A connection was made: everything is asked for anew on it."""
        self._is_new = True
        self._heard = now
        self._awaited.clear()

    def lost(self, problem: str, *, was_connected: bool) -> list[Publish]:
        """The connection broke, or could not be made: then nobody can be waited for."""
        self._problem = problem
        self._awaited.clear()
        for enrolment in list(self._enrolments.values()):
            if enrolment.stand in (Stand.LEAVING, Stand.WITHDRAWING):
                if was_connected:
                    enrolment.stand = Stand.LEAVING
                else:
                    self.forget(enrolment)
            else:
                enrolment.stand, enrolment.due = Stand.ABSENT, 0.0
        self._services = {key: service for key, service in self._services.items() if service.watches}
        for service in self._services.values():
            service.is_asked = service.is_live = False
            service.greeted.clear()
        return self.greet()

    def greet(self) -> list[Publish]:
        """Gives what tells watches made while the registry is away what is known."""
        return [told for service in self._services.values() for told in self._publish(service)]

    def due(self, now: float) -> tuple[list[bytes], float, list[Publish]]:
        """Gives the lines to send now, until when there is nothing more to do, and what to publish.

        Raises:
            TimeoutError: An answer is missing for too long: the connection is of no use.
        """
        wake = now + 3600.0
        told: list[Publish] = []
        lines: list[bytes] = []
        for service in self._services.values():
            if not service.is_asked and service.watches:
                service.is_asked = True
                self._ask(lines, now, service, type="watch", key=service.key)
            if service.kept:
                if service.kept_until <= now:
                    service.kept = {}
                    service.greeted.clear()
                else:
                    wake = min(wake, service.kept_until)
            if service.is_live and len(service.greeted) < len(service.watches):
                told += self._publish(service)
        for enrolment in self._enrolments.values():
            if enrolment.stand in _NEXT:
                if enrolment.due > now:
                    wake = min(wake, enrolment.due)
                elif len(self._awaited) < WINDOW:
                    self._send(lines, now, enrolment)
        if not self._awaited and (self._services or self._enrolments):
            # What only watches would not notice a registry that stands still.
            if now - self._heard >= self._timeout / 3:
                self._ask(lines, now, None, type="query", key="rpc", id="-")
            else:
                wake = min(wake, self._heard + self._timeout / 3)
        if self._awaited:
            late = max(self._awaited[0][0], self._heard) + self._patience
            if late <= now:
                raise TimeoutError(f"it has not answered for {self._patience:g} s")
            wake = min(wake, late)
        return lines, wake, told

    def _send(self, lines: list[bytes], now: float, enrolment: Enrolment) -> None:
        """Asks for what is next for an entry."""
        stand, enrolment.stand = enrolment.stand, _NEXT[enrolment.stand]
        named = {"key": enrolment.key, "id": enrolment.id, "token": enrolment.token}
        if stand is Stand.LEAVING:
            self._ask(lines, now, enrolment, type="destruction", **named)
        elif stand is Stand.STANDING:
            self._ask(lines, now, enrolment, type="register", **named)
        else:
            enrolment.was_asked = True
            self._ask(
                lines, now, enrolment,
                type="register", **named, timeout=enrolment.timeout, values=enrolment.values,
            )  # fmt: skip

    def _ask(
        self, lines: list[bytes], now: float, about: _Service | Enrolment | None, **members: object
    ) -> None:
        if self._is_new:
            members["auth"] = self._token
            self._is_new = False
        lines.append(request(**members))
        self._awaited.append((now, about))

    def received(self, lines: collections.abc.Iterable[bytes], now: float) -> list[Publish]:
        """Takes lines of the registry's, without their ends; gives what to publish.

        Raises:
            ValueError: They are none, or the registry does not let us in.
        """
        self._heard = now
        touched: dict[str, _Service] = {}
        for line in lines:
            answer = read_answer(line)
            if answer.changed is not None:
                service = self._services.get(answer.changed)
                if service is not None and service.is_live:
                    self._apply(service, answer)
                    touched[service.key] = service
                continue
            if not self._awaited:
                raise ValueError(f"it said what was not asked: {answer.error or 'an answer'}")
            _, about = self._awaited.popleft()
            if isinstance(about, Enrolment):
                self._answered(about, answer, now)
            elif not answer.ok:
                raise ValueError(answer.error)
            elif about is not None:
                self._list(about, answer, now)
                touched[about.key] = about
        told: list[Publish] = []
        for service in touched.values():
            service.at = time.monotonic()
            service.greeted.clear()
            told += self._publish(service)
        return told

    def _answered(self, enrolment: Enrolment, answer: Answer, now: float) -> None:
        stand = enrolment.stand
        if stand is Stand.WITHDRAWING:
            self.forget(enrolment, is_confirmed=answer.ok)
        elif stand in (Stand.ASKED, Stand.RENEWING):
            if answer.ok:
                third = enrolment.timeout / 3
                enrolment.stand, enrolment.due = Stand.STANDING, now + third * random.uniform(0.8, 1.0)
                if enrolment.problem:
                    _log.info("registered %s again", enrolment.key)
                enrolment.problem = ""
            else:
                # The registry does not know it any more: everything is said again, at once.
                enrolment.due = now if stand is Stand.RENEWING else now + RETRY
                enrolment.stand = Stand.ABSENT
                if stand is Stand.ASKED and answer.error != enrolment.problem:
                    enrolment.problem = answer.error
                    _log.warning("the registry refuses the entry of %r: %s", enrolment.key, answer.error)

    def _list(self, service: _Service, answer: Answer, now: float) -> None:
        """A whole list; a registry that has just started may not know all servers yet."""
        before = service.kept | service.entries
        items = (answer.services or {}).get(service.key, [])
        service.entries = {}
        self._put(service, items)
        service.kept = {}
        if answer.settling > 0:
            service.kept = {id: known for id, known in before.items() if id not in service.entries}
            service.kept_until = now + answer.settling
        service.is_live = True

    def _apply(self, service: _Service, answer: Answer) -> None:
        for id in answer.removed if isinstance(answer.removed, list) else ():
            service.entries.pop(id, None)
            service.kept.pop(id, None)
        self._put(service, answer.put)

    def _put(self, service: _Service, items: list[Item]) -> None:
        for item in items:
            try:
                service.entries[item.id] = Instance.decode(bytes(item.values))
            except ValueError as error:
                service.entries.pop(item.id, None)
                problem = f"passing over an entry of {service.key!r} in the registry, {item.id!r}: {error}"
                if problem not in self._problems_logged and len(self._problems_logged) < 1000:
                    self._problems_logged.add(problem)
                    _log.warning("%s", problem)
            else:
                service.kept.pop(item.id, None)

    def _publish(self, service: _Service) -> list[Publish]:
        """Gives what tells the watches that do not know it yet."""
        told: list[Publish] = []
        fresh = [watch for watch in service.watches if watch not in service.greeted]
        instances = service.instances()
        snapshot = Snapshot(tuple(instances), live=False, problem=self._problem, at=service.at)
        for watch in fresh:
            service.greeted.add(watch)
            if service.is_live:
                told.append(_bound(watch.found, instances))
            elif service.at:
                told.append(_bound(watch.publish, snapshot))
            else:
                told.append(_bound(watch.lost, self._problem))
        return told


_NEXT = {Stand.ABSENT: Stand.ASKED, Stand.STANDING: Stand.RENEWING, Stand.LEAVING: Stand.WITHDRAWING}
"""Where a request for an entry is next, and where it stands once that was sent."""

_Told = typing.TypeVar("_Told")


def _bound(tell: collections.abc.Callable[[_Told], None], what: _Told) -> Publish:
    return lambda: tell(what)
