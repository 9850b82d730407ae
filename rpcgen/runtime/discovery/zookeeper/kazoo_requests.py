"""What is asked, as kazoo's requests; and what kazoo says of writes that belong together."""

from __future__ import annotations

import typing

from rpcgen.runtime.discovery.zookeeper.asked import (
    DONE,
    Check,
    Children,
    Create,
    Delete,
    Exists,
    Get,
    Outcome,
    Problem,
    Put,
)
from rpcgen.runtime.discovery.zookeeper.client import zk

if typing.TYPE_CHECKING:
    from rpcgen.runtime.discovery.zookeeper.asked import Ask, Operation

_PROBLEMS = {
    zk.NoNodeError: Problem.NO_NODE,
    zk.NodeExistsError: Problem.EXISTS,
    zk.BadVersionError: Problem.VERSION,
    zk.NotEmptyError: Problem.NOT_EMPTY,
    zk.NoAuthError: Problem.NOT_ALLOWED,
}

_UNDONE = (zk.RolledBackError, zk.RuntimeInconsistency)
"""What is said of operations that were not done because another one was refused."""


def send(client: typing.Any, ask: Ask) -> typing.Any:
    """Sends it and gives kazoo's promise of an answer."""
    match ask:
        case Get(path, watch):
            return client.get_async(path, watch)
        case Exists(path, watch):
            return client.exists_async(path, watch)
        case Children(path, watch):
            return client.get_children_async(path, watch)
    transaction = client.transaction()
    for operation in ask.operations:
        _add(transaction, operation)
    return transaction.commit_async()


def outcome(results: list[object]) -> Outcome:
    """Says what became of a transaction: kazoo gives what was refused in the list, it does not raise it."""
    for at, result in enumerate(results):
        if isinstance(result, Exception) and not isinstance(result, _UNDONE):
            return Outcome(_PROBLEMS.get(type(result), Problem.OTHER), at, type(result).__name__)
    return DONE


def _add(transaction: typing.Any, operation: Operation) -> None:
    match operation:
        case Create(path, data, ephemeral):
            transaction.create(path, data, ephemeral=ephemeral)
        case Put(path, data, version):
            transaction.set_data(path, data, version)
        case Delete(path, version):
            transaction.delete(path, version)
        case Check(path, version):
            transaction.check(path, version)
