"""Two versions talk, in one process and without sockets: the bytes of one are given to the other.

Each way round, each method that both have: calls (as they are sent and as they are queued), replies, and
every exception that may be raised. A server that refuses an argument that it does not know is right;
so is a client that takes an exception it does not know yet for a fault.
"""

from __future__ import annotations

import functools
import json
import random
import re
import sys
import types
import typing
import unittest.mock

from rpcgen import codegen, runtime as rpc
from rpcgen.compiler import compile_file, model
from rpcgen.compiler.changes.compare import compare
from rpcgen.compiler.changes.contracts import Contract
from rpcgen.compiler.changes.findings import Change
from rpcgen.compiler.changes.rules import Level
from rpcgen.compiler.loader import Loader
from rpcgen.compiler.render import render_text
from rpcgen.runtime.signatures import Mismatch, described, judge
from rpcgen.runtime.stubs import MessageProtocol
from rpcgen.runtime.tasks.envelopes import arguments, method
from tests.evolution.values import Wrong, agree, agree_fields, random_arguments, random_value


class Faulty(Exception):
    """The interface does not compile."""


class Version:
    """One version: its model, what its module declares, and the protocols of its methods by wire name.

    Args:
        texts: Its files; the root is ``stock.idl``.
        side: A folder's name, for diagnostics.
    """

    def __init__(self, texts: typing.Mapping[str, str], side: str) -> None:
        self.texts = texts
        placed = {f"/nowhere/{side}/{name}": text for name, text in texts.items()}
        compilation = compile_file(f"/nowhere/{side}/stock.idl", loader=Loader(texts=placed))
        if compilation.module is None:
            raise Faulty(render_text(compilation.report))
        self.module: model.Module = compilation.module

    @functools.cached_property
    def declared(self) -> dict[str, typing.Any]:
        """What its module declares, without stubs and servers."""
        return declared(self.module)

    @functools.cached_property
    def protocols(self) -> dict[str, typing.Any]:
        found = self.declared.values()
        return {each.name: each for each in found if isinstance(each, MessageProtocol)}

    @functools.cached_property
    def signatures(self) -> tuple[typing.Any, typing.Any]:
        """What its methods look like: as a client knows its own, and as it hears of a server's."""
        own = described(self.protocols.values())
        return own, json.loads(json.dumps(own))


def declared(interface: model.Module) -> dict[str, typing.Any]:
    """Runs generated modules up to what is no matter here, which takes most of the time: stubs and servers."""
    made: dict[str, types.ModuleType] = {}
    for one in interface.closure():
        text = codegen.generate(one, imports="relative")
        stubs = _STUBS.search(text)
        module = types.ModuleType(f"{__name__}.{one.name}")
        module.__package__ = module.__name__
        for include in one.includes:
            setattr(module, include.module.name, made[include.module.path])
        with unittest.mock.patch.dict(sys.modules, {module.__name__: module}):
            exec(compile(text[: stubs.start() if stubs else None], one.path, "exec"), vars(module))
        made[one.path] = module
    return vars(made[interface.path])


_STUBS: typing.Final = re.compile(r"^(class \w*Handlers\(|INTERFACE = )", re.MULTILINE)


def changes(old: Version, new: Version, level: Level = "wire") -> list[Change]:
    """Gives what ``breaking`` says at a level."""
    return compare(Contract((old.module,)), Contract((new.module,)), level)


def objections(old: Version, new: Version) -> list[Mismatch]:
    """Gives what clients of either version find that connect to a server of the other one."""
    return [
        found
        for (ours, _), (_, theirs) in ((old.signatures, new.signatures), (new.signatures, old.signatures))
        for name in ours["methods"]
        if name in theirs["methods"] and (found := judge(ours, theirs, name))
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
