"""All that stands in ZooKeeper where entries do, for tools."""

from __future__ import annotations

import typing

from rpcgen.runtime.discovery.zookeeper import layout
from rpcgen.runtime.registry import Contents, Entry, Instance

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.discovery.zookeeper.session import Session


def read(session: Session, root: str) -> Contents:
    """Reads every service's entries, and the names of what is none.

    Raises:
        Away: The connection broke.
        Refused: Something may not be read.
    """
    services = session.children(f"{root}-services")
    entries: list[Entry] = []
    foreign: list[str] = []
    for service in ["", *sorted(services[0] if services is not None else ())]:
        parent = layout.parent(root, service)
        listed = session.children(parent)
        if listed is not None:
            names = layout.entries(listed[0])
            foreign += [f"{parent}/{name}" for name in sorted(set(listed[0]) - set(names))]
            entries += _entries(session, service, parent, names)
    return Contents(tuple(entries), tuple(foreign))


def _entries(
    session: Session, service: str, parent: str, names: list[str]
) -> collections.abc.Iterator[Entry]:
    for name, data, stat in session.read(parent, names):
        instance, problem = None, ""
        if stat is None:
            yield Entry(service, name, data, None, "it may not be read")
            continue
        try:
            instance = Instance.decode(data)
        except (ValueError, RecursionError) as error:
            problem = str(error)
        if len(data) > layout.LARGEST:
            problem = f"{problem or 'oversized'}; {len(data):,} bytes, where {layout.LARGEST:,} are the most"
        owner = f"{stat.owner:#x}" if stat.owner else ""
        yield Entry(service, name, data, instance, problem, owner)
