"""A registry in ZooKeeper, for servers and clients on more than one machine.

    zk://host:port,host:port/root?timeout=10&tls=yes&ca=…

Entries are ephemeral nodes: they last as long as their server's session, and come back
whatever happens to that. ``settings`` reads URLs, ``session`` is the seam to kazoo, and one
thread (``worker``) keeps ``entries`` and ``lists`` as they should be.
"""

from __future__ import annotations

import os
import threading
import time
import typing
import weakref

from rpcgen.runtime.discovery.zookeeper import contents, layout, settings
from rpcgen.runtime.discovery.zookeeper.entries import ZooKeeperRegistration
from rpcgen.runtime.discovery.zookeeper.lists import ServiceList
from rpcgen.runtime.discovery.zookeeper.session import Away, Refused, Session
from rpcgen.runtime.discovery.zookeeper.worker import Worker
from rpcgen.runtime.errors import Unavailable
from rpcgen.runtime.registry import Changed, Contents, Instance, Registration, Registry, Watch

_registries: weakref.WeakSet[ZooKeeperRegistry] = weakref.WeakSet()
_abandoned: list[Worker] = []
"""Those of this process's parents: collecting them would close what is not ours."""


def open_url(url: str, options: dict[str, typing.Any]) -> ZooKeeperRegistry:
    """Gives the registry at a URL; see ``ZooKeeperRegistry``."""
    return ZooKeeperRegistry(url, **options)


class ZooKeeperRegistry(Registry):
    """A registry in ZooKeeper. Nothing is connected, and no thread started, before its first use.

    Entries of a file's own service are children of the root, those of a service NAME are
    children of ``ROOT-services/NAME``. With a user, what is made belongs to that user alone,
    and everybody may read it.

    Args:
        url: ``zk://host:port,host:port/root``, with ``user:password@`` and ``?option=value``;
            or ``host:port,…/root`` alone. The port is 2181, the root ``/rpc`` if it is not said.
        **options: As in the URL: ``timeout`` (10: seconds of a session, that is how long an
            entry outlives its server), ``check`` (15: seconds between looks at what no watch
            told of), ``user`` and ``password`` (digest), ``tls``, ``ca``, ``cert``, ``key``,
            ``key_password`` (PEM files), ``verify`` (yes: check ZooKeeper's certificate).

    Raises:
        ValueError: The URL or an option is none; the message says which.
        ImportError: The package kazoo is missing.
    """

    def __init__(self, url: str, **options: object) -> None:
        self._settings = settings.read(url, options)
        self._context = self._settings.context()
        self.url = self._settings.url
        self._is_closed = False
        self._begin()
        _registries.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._lists: dict[str, ServiceList] = {}
        self._registrations: list[ZooKeeperRegistration] = []

    @property
    def session_timeout(self) -> float:
        """Seconds of a session: as ZooKeeper granted it; before it was asked, as it will be."""
        worker = self._worker
        return self._settings.timeout if worker is None else worker.session.timeout

    @property
    def session(self) -> tuple[int, bytes] | None:
        """The session's number and password, as kazoo's ``client_id``; None without a connection."""
        worker = self._worker
        return None if worker is None else worker.session.identity

    def path(self, service: str) -> str:
        return layout.parent(self._settings.root, service)

    def register(self, service: str, instance: Instance) -> Registration:
        layout.check_service(service)
        if (size := len(instance.encode())) > layout.LARGEST:
            raise ValueError(
                f"{self.url}: the entry of {instance.address} has {size:,} bytes, and {layout.LARGEST:,} "
                "are the most: leave out methods or metadata"
            )
        with self._lock:
            worker = self._working()
            made = ZooKeeperRegistration(self.url, self.path(service), instance, worker.wake)
            self._registrations = [*(old for old in self._registrations if not old.is_over), made]
            worker.keep(made)
        return made

    def watch(self, service: str, on_change: Changed | None = None) -> Watch:
        layout.check_service(service)
        watch = Watch(on_change, lambda: self._forget(service, watch))
        with self._lock:
            worker = self._working()
            known = self._lists.get(service)
            if known is None:
                known = self._lists[service] = ServiceList(self.url, self.path(service), worker.wake)
                known.watches = (watch,)
                worker.keep(known)
            else:
                known.watches = (*known.watches, watch)
                known.due = 0.0
                worker.wake()
        return watch

    def contents(self, timeout: float = 10.0) -> Contents:
        found: list[Contents | Refused] = []
        is_done = threading.Event()
        deadline = time.monotonic() + timeout

        def job(session: Session) -> bool:
            if time.monotonic() > deadline:
                return True
            try:
                found.append(contents.read(session, self._settings.root))
            except Away:
                return False
            except Refused as refused:
                found.append(refused)
            is_done.set()
            return True

        with self._lock:
            worker = self._working()
            worker.do(job)
        if not is_done.wait(timeout):
            raise Unavailable(f"{self.url} did not answer in {timeout:g} s: {worker.problem or 'it is slow'}")
        if isinstance(found[0], Refused):
            raise Unavailable(f"{self.url}: {found[0]}")
        return found[0]

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            worker, self._worker = self._worker, None
            watches = [watch for known in self._lists.values() for watch in known.watches]
            registrations, self._registrations = self._registrations, []
        if worker is not None:
            worker.close()
        for watch in watches:
            watch.close()
        for registration in registrations:
            registration.end()

    def _working(self) -> Worker:
        if self._is_closed:
            raise RuntimeError(f"the registry {self.url} is closed: make another")
        if self._worker is None:
            self._worker = Worker(self._settings, self._context)
        return self._worker

    def _forget(self, service: str, watch: Watch) -> None:
        with self._lock:
            known = self._lists.get(service)
            if known is None:
                return
            known.watches = tuple(other for other in known.watches if other is not watch)
            if not known.watches:
                del self._lists[service]

    def _fork(self) -> None:
        worker = self._worker
        if worker is not None:
            worker.session.abandon()
            _abandoned.append(worker)
        for registration in self._registrations:
            registration.abandon()
        self._begin()


def _forked() -> None:
    for registry in list(_registries):
        registry._fork()


os.register_at_fork(after_in_child=_forked)
