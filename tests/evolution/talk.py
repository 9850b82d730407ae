"""Two versions talk, in one process and without sockets: the bytes of one are given to the other.

Each way round, each method that both have: calls (as they are sent and as they are queued), replies, and
every exception that may be raised. A server that refuses an argument that it does not know is right;
so is a client that takes an exception it does not know yet for a fault.
"""

from __future__ import annotations

import json
import random
import typing

from rpcgen import runtime as rpc
from rpcgen.compiler import compile_file, model
from rpcgen.compiler.changes.compare import compare
from rpcgen.compiler.changes.contracts import Contract
from rpcgen.compiler.changes.findings import Change
from rpcgen.compiler.changes.rules import Level
from rpcgen.compiler.loader import Loader
from rpcgen.compiler.render import render_text
from rpcgen.loading import module_of
from rpcgen.runtime.signatures import Mismatch, described, judge
from rpcgen.runtime.stubs import MessageProtocol
from rpcgen.runtime.tasks.envelopes import arguments, method
from tests.evolution.values import Wrong, agree, agree_fields, random_arguments, random_value

Protocols: typing.TypeAlias = "dict[str, typing.Any]"


class Faulty(Exception):
    """The interface does not compile."""


class Version:
    """One version: its model, and the protocols of its methods by wire name.

    Args:
        texts: Its files; the root is ``stock.idl``.
        side: ``old`` or ``new``: those of one side follow each other under the same paths.
    """

    def __init__(self, texts: typing.Mapping[str, str], side: str) -> None:
        self.texts = texts
        placed = {f"/nowhere/{side}/{name}": text for name, text in texts.items()}
        compilation = compile_file(f"/nowhere/{side}/stock.idl", loader=Loader(texts=placed))
        if compilation.module is None:
            raise Faulty(render_text(compilation.report))
        self.module: model.Module = compilation.module
        self._protocols: Protocols | None = None

    @property
    def protocols(self) -> Protocols:
        if self._protocols is None:
            found = vars(module_of(self.module)).values()
            self._protocols = {each.name: each for each in found if isinstance(each, MessageProtocol)}
        return self._protocols


def changes(old: Version, new: Version, level: Level = "wire") -> list[Change]:
    """Gives what ``breaking`` says at a level."""
    return compare(Contract((old.module,)), Contract((new.module,)), level)


def objections(old: Version, new: Version) -> list[Mismatch]:
    """Gives what clients of either version find that connect to a server of the other one."""
    both = described(old.protocols.values()), described(new.protocols.values())
    return [
        found
        for ours, theirs in (both, both[::-1])
        for name in ours["methods"]
        if name in theirs["methods"] and (found := judge(ours, json.loads(json.dumps(theirs)), name))
    ]


def talk(rng: random.Random, old: Version, new: Version, rounds: int = 2) -> None:
    """Lets old call new, and new call old.

    Raises:
        Wrong: A value, a method or an error was not what was meant.
    """
    for name in old.protocols:
        if name not in new.protocols:
            raise Wrong(f"{name}: the new version has no such method")
    for clients, servers in ((old, new), (new, old)):
        for name, client in clients.protocols.items():
            server = servers.protocols.get(name)
            if server is not None:
                for _ in range(rounds):
                    _call(rng, client, server)
                    _reply(rng, client, server)


def _call(rng: random.Random, client: typing.Any, server: typing.Any) -> None:
    args = random_arguments(rng, client)
    message = client.codec().encode_call(args)
    block = client.codec().encode_block(args)
    if method(message) != server.name or bytes(arguments(message)) != bytes(block):
        raise Wrong(f"{client.name}: the queued call is another")
    tags = {param.tag for param in server.params}
    sent = {param.tag: (param, value) for param, value in zip(client.params, args, strict=True)}
    try:
        read = server.codec().decode_args(block)
    except rpc.DecodeError as error:
        unknown = [tag for tag, (param, value) in sent.items() if tag not in tags and _is_sent(param, value)]
        if not unknown:
            raise Wrong(f"{client.name}: refused, {error}") from error
        return
    received = {param.tag: (param, value) for param, value in zip(server.params, read, strict=True)}
    agree_fields(sent, received, client.name)


def _is_sent(param: typing.Any, value: typing.Any) -> bool:
    """Tells whether a value goes on the wire: it is not the default."""
    if param.default is rpc.schema.REQUIRED:
        return True
    try:
        agree(value, param.type, param.fill(rpc.DEFAULT), param.type, "")
    except Wrong:
        return True
    return False


def _reply(rng: random.Random, client: typing.Any, server: typing.Any) -> None:
    if client.oneway != server.oneway:
        raise Wrong(f"{client.name}: one end waits for the method's end, and the other does not")
    returned = random_value(rng, server.returns)
    read = _read(client, server.codec().encode_reply(returned))
    agree(returned, server.returns, read, client.returns, f"{client.name} returned")
    for place, kind in enumerate(server.raises):
        raised = random_value(rng, kind)
        read = _read(client, server.codec().encode_raised(raised))
        if place >= len(client.raises):
            if not isinstance(read, rpc.RemoteFault):
                raise Wrong(f"{client.name}: {raised!r}, which is unknown, was read as {read!r}")
            continue
        at = f"{client.name} raised"
        names = [each.__name__ for each in client.raises]
        if kind.__name__ != names[place] and kind.__name__ in names:
            raise Wrong(f"{at} {kind.__name__}, which was read as {names[place]}")
        if not isinstance(read, client.raises[place]):
            raise Wrong(f"{at} {raised!r}, which was read as {read!r}")
        agree(raised, kind, read, client.raises[place], at)


def _read(client: typing.Any, reply: bytes) -> typing.Any:
    """Reads a reply as a client does: first where it ends, then what it says."""
    scan = client.codec().reply_scan()
    try:
        if not scan.advance(bytearray(reply)):
            raise Wrong(f"{client.name}: the client would wait for more of {reply.hex()}")
        return client.codec().decode_reply(reply)
    except rpc.ProtocolError as error:
        raise Wrong(f"{client.name}: the reply cannot be read: {error}") from error
