"""A registry in this process's memory, whose owner decides what it says and when it is away."""

from __future__ import annotations

import threading

from rpcgen.runtime.errors import Unavailable
from rpcgen.runtime.registry import Changed, Contents, Entry, Instance, Registration, Registry, Watch


class MemoryRegistry(Registry):
    """Publishes at once, on the thread that changes it."""

    def __init__(self) -> None:
        self.url = "memory://"
        self.away = ""
        """Why it cannot be reached; ``""``: it can."""
        self.log: list[str] = []
        """What was asked of it: ``register SERVICE ADDRESS``, ``withdraw …``, ``watch SERVICE``."""
        self._lock = threading.RLock()
        self._entries: dict[int, tuple[str, Instance]] = {}
        self._watches: list[tuple[str, Watch]] = []
        self._next = 0

    def path(self, service: str) -> str:
        return f"memory:{service or 'rpc'}"

    def register(self, service: str, instance: Instance) -> Registration:
        with self._lock:
            self._next += 1
            self.log.append(f"register {service} {instance.address}")
            self._entries[self._next] = (service, instance)
            self._tell(service)
            return _MemoryRegistration(self, self._next)

    def watch(self, service: str, on_change: Changed | None = None) -> Watch:
        with self._lock:
            self.log.append(f"watch {service}")
            watch = Watch(on_change, lambda: self._watches.remove(pair))
            pair = (service, watch)
            self._watches.append(pair)
        self._tell(service)
        return watch

    def contents(self, timeout: float = 10.0) -> Contents:
        if self.away:
            raise Unavailable(self.away)
        with self._lock:
            entries = [
                Entry(service, str(name), instance.encode(), instance, owner="memory")
                for name, (service, instance) in self._entries.items()
            ]
        return Contents(tuple(entries))

    def close(self) -> None:
        for _, watch in list(self._watches):
            watch.close()

    def set(self, service: str, *instances: Instance) -> None:
        """Makes these the service's entries."""
        with self._lock:
            for name in [name for name, entry in self._entries.items() if entry[0] == service]:
                del self._entries[name]
            for instance in instances:
                self._next += 1
                self._entries[self._next] = (service, instance)
        self._tell(service)

    def go_away(self, problem: str) -> None:
        """Cannot be reached from now on; ``""``: can again."""
        self.away = problem
        for service in {service for service, _ in self._watches}:
            self._tell(service)

    def registered(self, service: str) -> list[str]:
        """The addresses that stand there."""
        with self._lock:
            return [instance.address for name, instance in self._entries.values() if name == service]

    def remove(self, key: int) -> bool:
        with self._lock:
            found = self._entries.pop(key, None)
            if found is not None:
                self.log.append(f"withdraw {found[0]} {found[1].address}")
                self._tell(found[0])
        return found is not None

    def has(self, key: int) -> bool:
        return key in self._entries

    def _tell(self, service: str) -> None:
        with self._lock:
            instances = [instance for name, instance in self._entries.values() if name == service]
            watches = [watch for name, watch in self._watches if name == service]
        for watch in watches:
            if self.away:
                watch.lost(self.away)
            else:
                watch.found(instances)


class _MemoryRegistration(Registration):
    def __init__(self, registry: MemoryRegistry, key: int) -> None:
        self._registry = registry
        self._key = key

    @property
    def is_registered(self) -> bool:
        return self._registry.has(self._key)

    def wait(self, timeout: float | None) -> bool:
        return self.is_registered

    def close(self, timeout: float = 2.0) -> bool:
        self._registry.remove(self._key)
        return True
