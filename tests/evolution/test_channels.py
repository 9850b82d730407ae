"""Pairs that pass talk over real connections, too: each version's server, called by the other's client."""

from __future__ import annotations

import functools
import random
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.loading import module_of
from tests.evolution.edits import edited
from tests.evolution.interfaces import random_interface
from tests.evolution.talk import Faulty, Version, changes
from tests.evolution.values import agree, agree_fields, random_arguments, random_value

PAIRS = 6
TIME = 30.0


class Whole(Version):
    """A version with its stubs and servers."""

    @functools.cached_property
    def declared(self) -> dict[str, typing.Any]:
        return vars(module_of(self.module))


def passing(seed: int) -> typing.Iterator[tuple[random.Random, Version, Version]]:
    """Gives pairs that ``breaking`` passes."""
    for group in range(10_000):
        rng = random.Random(f"{seed}/{group}")
        interface = random_interface(rng)
        try:
            old = Whole(interface.texts(), "old")
            new = Whole(edited(rng, interface)[0].texts(), "new")
        except Faulty:
            continue
        if not changes(old, new) and old.texts != new.texts:
            yield rng, old, new


class Answers:
    """Handlers of every method: they keep what came, and return or raise what is planned."""

    def __init__(self, version: Version) -> None:
        self.came: typing.Any = None
        self.planned: typing.Any = None
        names = {protocol.python_name() for protocol in version.protocols.values()}
        self.handlers = type("Handlers", (), {name: staticmethod(self._answer) for name in names})

    def _answer(self, *args: typing.Any) -> typing.Any:
        self.came = args
        if isinstance(self.planned, Raising):
            raise self.planned.error
        return self.planned


class Raising(typing.NamedTuple):
    error: typing.Any


def stubs(version: Version, handlers: object) -> list[rpc.ServerStub]:
    found = version.declared.values()
    kinds = [kind for kind in found if isinstance(kind, type) and issubclass(kind, rpc.ServerStub)]
    return [kind(handlers) for kind in dict.fromkeys(kinds) if kind.protocols]


def talk_over_connections(rng: random.Random, clients: Version, servers: Version) -> int:
    """Lets one version call the other; gives how many calls were answered."""
    answers, count = Answers(servers), 0
    with (
        rpc.ThreadServer("127.0.0.1", 0, *stubs(servers, answers.handlers)) as server,
        rpc.Channel("127.0.0.1", server.address.port, timeout=TIME) as channel,
    ):
        for name, client in clients.protocols.items():
            protocol = servers.protocols.get(name)
            if protocol is None or protocol.oneway:
                continue
            for kind in (None, *protocol.raises[: len(client.raises)]):
                args = random_arguments(rng, client)
                value = random_value(rng, protocol.returns if kind is None else kind)
                answers.planned = value if kind is None else Raising(value)
                try:
                    read = channel.call(client, tuple(args))
                except rpc.RemoteFault as fault:
                    if fault.code is not rpc.FaultCode.BAD_REQUEST:
                        raise
                    continue  # an argument that the server does not know
                except rpc.RemoteException as raised:
                    assert kind is not None
                    place = protocol.raises.index(kind)
                    agree(value, kind, raised, client.raises[place], name)
                else:
                    assert kind is None
                    agree(value, protocol.returns, read, client.returns, name)
                sent = {param.tag: (param, arg) for param, arg in zip(client.params, args, strict=True)}
                came = zip(protocol.params, answers.came, strict=True)
                agree_fields(sent, {param.tag: (param, arg) for param, arg in came}, name)
                count += 1
    return count


@pytest.mark.parametrize("seed", range(PAIRS))
def test_versions_that_pass_talk_over_connections(seed: int) -> None:
    """No call is refused for its version, and nothing is taken for something else."""
    count = 0
    for rng, old, new in passing(seed):
        count += talk_over_connections(rng, old, new) + talk_over_connections(rng, new, old)
        if count > 3:
            return


def test_a_oneway_that_was_none_hides_failures() -> None:
    """Why `oneway` may not change: the old client takes a failed call for one that went well."""
    old = Whole({"stock.idl": "void log(1: string line)\n"}, "old")
    new = Whole({"stock.idl": "oneway void log(1: string line)\n"}, "new")
    answers = Answers(new)
    answers.planned = Raising(ValueError("it did not go well"))
    with rpc.ThreadServer("127.0.0.1", 0, *stubs(new, answers.handlers)) as server:
        port = server.address.port
        with rpc.Channel("127.0.0.1", port, timeout=TIME, contract="off") as channel:
            assert channel.call(old.protocols["log"], ("a",)) is None
        with rpc.Channel("127.0.0.1", port, timeout=TIME) as channel, pytest.raises(rpc.ContractMismatch):
            channel.call(old.protocols["log"], ("a",))
