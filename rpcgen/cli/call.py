"""``rpcgen call``: one call to a server, its arguments and its result in JSON; the server says what it serves.

An interface is compiled in memory, from what the server tells of itself or from a file, and the call made by
what comes of it, as any client makes it. Values are read and written as the JSON of HTTP is.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import typing

from rpcgen.cli.arguments import COMMON, Parser
from rpcgen.cli.console import Console
from rpcgen.cli.errors import CommandError, did_you_mean, refused
from rpcgen.cli.registries import printable
from rpcgen.cli.sides import live, methods, modules
from rpcgen.cli.targets import FAULT, OPTIONS, STATUSES, URLS, Target, add_options

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.cli.sides import Protocol

HELP = f"""\
Calls a method of a server, and shows what it returns as JSON.

Usage: rpcgen call [OPTIONS] TARGET METHOD [NAME=VALUE …]

{URLS}
METHOD is named as in the interface: divide, or Orders.find in a service; `rpcgen describe TARGET`
shows what there is. Each NAME=VALUE is an argument: text stands as it is, everything else as JSON.
The interface is what the server says that it is; --idl is for one that says nothing.

Options:
  -d, --data JSON|@FILE|-     the arguments as one JSON object, here, in a file, or on standard
                              input; NAME=VALUE beside it go before it
  --idl FILE                  the interface, instead of asking the server
  -I, --include DIR           where to look for its includes; may be repeated
  --metadata NAME=VALUE       goes with the call; may be repeated
{OPTIONS}
{COMMON}

Examples:
  rpcgen call tcp://127.0.0.1:7000 divide num1=200 num2=100
  rpcgen call http://127.0.0.1:8080 Orders.find id=7 'tags=["new", "paid"]'
  rpcgen call zk://zk1,zk2/rpc Orders.place -d @order.json --timeout 2
  rpcgen call tcp://127.0.0.1:7000 rpc.health

Exit status: 0 it returned, and the result is shown; 1 it raised an exception of its interface,
which is shown as JSON, with its type; 2 wrong usage;
{STATUSES}
"""

_UNKNOWN, _BAD = FAULT + 1, FAULT + 2


def parser() -> Parser:
    """Makes the parser of the command's options."""
    found = Parser("call")
    found.add_argument("words", nargs="*", metavar="TARGET METHOD NAME=VALUE")
    found.add_argument("-d", "--data", metavar="JSON|@FILE|-")
    found.add_argument("--idl", metavar="FILE")
    found.add_argument("-I", "--include", action="append", default=[], metavar="DIR")
    found.add_argument("--metadata", action="append", default=[], metavar="NAME=VALUE")
    add_options(found)
    return found


def run(words: typing.Sequence[str]) -> int:
    """Runs the command; gives its exit status."""
    arguments = parser().read(words)
    console = Console(arguments.color)
    if len(arguments.words) < 2:
        missing = "a METHOD" if arguments.words else "a TARGET"
        raise CommandError(
            f"{missing} is missing", help="such as rpcgen call tcp://127.0.0.1:7000 divide num1=1"
        )
    url, name, *pairs = arguments.words
    target = Target(url, arguments)
    named = [_pair(each, "an argument is NAME=VALUE") for each in pairs]
    metadata = {
        key: value.encode()
        for key, value in (_pair(each, "--metadata takes NAME=VALUE") for each in arguments.metadata)
    }
    data = None if arguments.data is None else _data(arguments.data)
    protocol = _method(_known(target, name, arguments), name, target)
    args = _read(protocol, data, named)
    if protocol.deprecated is not None:
        console.log(f"rpcgen call: {protocol.name} is deprecated: {printable(protocol.deprecated)}")
    status, said = _call(target, protocol, args, metadata)
    console.find(_shown(said, console))
    return status


def _pair(text: str, what: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise CommandError(f"{what}, not {printable(text)!r}", help=f"such as {name or 'num1'}=1")
    return name, value


def _data(said: str) -> bytes:
    """Reads the arguments where they are."""
    if said == "-":
        return sys.stdin.buffer.read()
    if not said.startswith("@"):
        return said.encode(errors="surrogateescape")
    try:
        with open(said[1:], "rb") as file:
            return file.read()
    except OSError as error:
        raise refused(f"read {said[1:]}", error) from error


def _known(target: Target, name: str, arguments: argparse.Namespace) -> dict[str, Protocol]:
    """Gives the methods that can be called, by name.

    Raises:
        CommandError: The server does not say, or the interface has errors.
    """
    from rpcgen.compiler.changes.sides import SideError, read_side
    from rpcgen.runtime.dispatch import Describe, Health

    own: dict[str, Protocol] = {each.name: each for each in (Describe, Health)}
    if name in own:
        return own
    if arguments.idl is None:
        contract = live(target.url, target.describe(name.rpartition(".")[0]), is_partial=False)
    else:
        try:
            contract = read_side(arguments.idl, arguments.include)
        except SideError as error:
            shown = printable(arguments.idl)
            help = "" if error.report is None else f"`rpcgen check {shown}` shows them"
            raise CommandError(error.problem or f"{shown} has errors", help=help) from error
    found: dict[str, Protocol] = {}
    for module in modules(contract):
        found |= methods(module)
    return found | own


def _method(known: dict[str, Protocol], name: str, target: Target) -> Protocol:
    if name in known:
        return known[name]
    # A method of a service may be named without it, if no other has one of that name.
    ends = [wire for wire in known if wire.rpartition(".")[2] == name and not wire.startswith("rpc.")]
    if len(ends) == 1 and not target.is_registry:
        return known[ends[0]]
    theirs = [wire for wire in known if not wire.startswith("rpc.")]
    meant = f"did you mean {' or '.join(sorted(ends))}?" if ends else did_you_mean(name, known)
    there = f"there are: {', '.join(theirs[:20])}{', …' if len(theirs) > 20 else ''}" if theirs else ""
    raise CommandError(f"there is no method {printable(name)!r}", help=meant or there, status=_UNKNOWN)


def _read(protocol: Protocol, data: bytes | None, named: list[tuple[str, str]]) -> tuple[typing.Any, ...]:
    """Gives the arguments of the call.

    Raises:
        CommandError: They are not what the method takes.
    """
    from rpcgen.runtime.errors import DecodeError
    from rpcgen.runtime.wire.forms import MethodForms, data_of_text, parse

    types = {param.name: param.type for param in protocol.params}
    signature = printable(" ".join((protocol.__doc__ or "").split()))
    try:
        given: typing.Any = {} if data is None else parse(data)
        if isinstance(given, dict):
            for name, value in named:
                if any(name == other for other, _ in named[: named.index((name, value))]):
                    raise DecodeError(f"{name} stands twice", method=protocol.name)
                given[name] = data_of_text(types[name], value) if name in types else value
        return MethodForms(protocol).read_arguments(given)
    except DecodeError as error:
        where = "" if error.method else f"{protocol.name}: "
        raise CommandError(
            f"{where}{printable(str(error))}", help=signature and f"it is {signature}", status=_BAD
        ) from error


def _call(
    target: Target,
    protocol: Protocol,
    args: tuple[typing.Any, ...],
    metadata: collections.abc.Mapping[str, bytes],
) -> tuple[int, typing.Any]:
    """Makes the call; gives the exit status, and what is to be shown."""
    from rpcgen.runtime.errors import RemoteException
    from rpcgen.runtime.wire.forms import MethodForms

    forms = MethodForms(protocol)
    service = "" if protocol.name.startswith("rpc.") else None
    try:
        with target.channel(service) as channel:
            return 0, forms.write_result(channel.call(protocol, args, None, None, metadata or None))
    except RemoteException as error:
        return 1, forms.write_raised(error)


def _shown(said: typing.Any, console: Console) -> str:
    """Gives JSON for a reader: on one line, on a terminal with one line a member."""
    from rpcgen.runtime.wire.forms import text

    line = text(said).decode()
    if not console.redraws:
        return line
    with contextlib.suppress(ValueError, RecursionError):
        return json.dumps(json.loads(line), indent=2, ensure_ascii=False)
    return line
