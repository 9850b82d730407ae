"""Two versions talk in JSON, in one process: what one writes by names, as HTTP has it, is given to the other.

As in ``talk``, but for what is only JSON's: who is new may say names that the old one does not know yet.
"""

from __future__ import annotations

import random
import typing

from rpcgen import runtime as rpc
from rpcgen.cli.json_messages import reply_of
from rpcgen.runtime.wire.forms import MethodForms, parse, text
from tests.evolution.talk import Version
from tests.evolution.values import Wrong, agree, agree_fields, random_arguments, random_value


def talk_in_json(rng: random.Random, old: Version, new: Version, *, news: bool = True) -> None:
    """Lets old call new, and new call old.

    Args:
        news: What the new version alone says is read by the old one, too.

    Raises:
        Wrong: A value or an error was not what was meant.
    """
    for clients, servers in ((old, new), (new, old)):
        for name, client in clients.protocols.items():
            server = servers.protocols.get(name)
            if server is None:
                continue
            if news or clients is old:
                _call(rng, client, server)
            if (news or clients is new) and not server.oneway:
                _reply(rng, client, server)


def _call(rng: random.Random, client: typing.Any, server: typing.Any) -> None:
    args = random_arguments(rng, client)
    sent = {param.tag: (param, value) for param, value in zip(client.params, args, strict=True)}
    names = MethodForms(client).write_arguments(args)
    try:
        read = MethodForms(server).read_arguments(parse(text(names)))
    except rpc.DecodeError as error:
        known = {*(param.tag for param in server.params), *(param.name for param in server.params)}
        if not any(
            param.name in names and known.isdisjoint((param.tag, param.name)) for param in client.params
        ):
            raise Wrong(f"{client.name}: {names} is refused, {error}") from error
        return
    received = {param.tag: (param, value) for param, value in zip(server.params, read, strict=True)}
    agree_fields(sent, received, client.name)


def _reply(rng: random.Random, client: typing.Any, server: typing.Any) -> None:
    forms = MethodForms(server)
    returned = random_value(rng, server.returns)
    read = _read(client, {"result": forms.write_result(returned)})
    agree(returned, server.returns, read, client.returns, f"{client.name} returned")
    for place, kind in enumerate(server.raises[: len(client.raises)]):
        raised = random_value(rng, kind)
        read = _read(client, {"error": forms.write_raised(raised)})
        if not isinstance(read, client.raises[place]):
            raise Wrong(f"{client.name} raised {raised!r}, which was read as {read!r}")
        agree(raised, kind, read, client.raises[place], f"{client.name} raised")


def _read(client: typing.Any, answer: dict[str, typing.Any]) -> typing.Any:
    written = text(answer)
    try:
        return client.codec().decode_reply(reply_of(client.codec(), parse(written)))
    except rpc.ProtocolError as error:
        raise Wrong(f"{client.name}: {written.decode()} cannot be read: {error}") from error
