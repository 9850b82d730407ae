"""Where entries stand in ZooKeeper, and what their nodes are called.

``server-GUID-NNNNNNNNNN``: the number is ZooKeeper's. The GUID begins with a digest of the
address, so that an entry of the same address is found among thousands by its name, without
reading them; the rest is random, so that a node whose making was not confirmed is found.
"""

from __future__ import annotations

import hashlib
import os
import re
import typing

if typing.TYPE_CHECKING:
    import collections.abc

LARGEST = 65536
"""Bytes of an entry. ZooKeeper takes sixteen times as much, but every client reads every entry."""

_DIGEST = 12
_OURS = re.compile(r"server-[0-9a-f]{32}-\d{10}")


def parent(root: str, service: str) -> str:
    """Gives the node whose children are a service's entries."""
    return f"{root}-services/{service}" if service else root


def check_service(service: str) -> None:
    """
    Raises:
        ValueError: No node can have the service's name.
    """
    if "/" in service or service in (".", "..") or not service.isprintable():
        raise ValueError(f"{service!r} is no service: in ZooKeeper its name is that of a node, without /")


def prefix(address: str) -> str:
    """Gives a new entry's name up to its number."""
    return f"server-{_digest(address)}{os.urandom(16 - _DIGEST // 2).hex()}-"


def entries(names: collections.abc.Iterable[str]) -> list[str]:
    """Gives those of the children that are entries, in the order in which they were made."""
    return sorted((name for name in names if name.startswith("server")), key=lambda name: name[-10:])


def suspects(address: str, names: collections.abc.Iterable[str]) -> list[str]:
    """Gives those of the children that can be entries of the address: by their name, or by having another."""
    start = f"server-{_digest(address)}"
    return [name for name in entries(names) if name.startswith(start) or not _OURS.fullmatch(name)]


def _digest(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()[:_DIGEST]
