"""``rpcgen encode``: the bytes of a message that JSON says."""

from __future__ import annotations

import sys
import typing

from rpcgen.cli.arguments import COMMON, Parser
from rpcgen.cli.console import Console
from rpcgen.cli.errors import CommandError, refused
from rpcgen.cli.interface import OPTIONS, add_options, opened
from rpcgen.cli.messages import only_method
from rpcgen.cli.registries import printable

HELP = f"""\
Writes the bytes of a plain message: of a call, or with --reply of a reply.

Usage: rpcgen encode [OPTIONS] JSON --idl FILE [METHOD]

JSON is an object, a file that holds it, or - for standard input. With METHOD it is the call's
arguments by name; without it, the whole call: {{"name": …, "params": {{…}}}}. With --reply it is
{{"result": …}} or {{"error": {{"type": …, "message": …, "fields": {{…}}}}}}, where type is an exception
that METHOD declares, or the code of a fault; METHOD may be left out where there is but one.

Options:
{OPTIONS}
  --reply                     write a reply
  --raw                       write the bytes themselves, not their hexadecimal digits
{COMMON}

Examples:
  rpcgen encode '{{"num1": 200, "num2": 100}}' --idl service.idl divide
  rpcgen encode '{{"result": 2.0}}' --reply --idl service.idl divide
  rpcgen encode call.json --idl shop.idl --raw | nc 127.0.0.1 7000 | rpcgen decode - --idl shop.idl

Exit status: 0 written, 1 the JSON does not fit or the interface is faulty, 2 wrong usage.
"""


def parser() -> Parser:
    """Makes the parser of the command's options."""
    found = Parser("encode")
    found.add_argument("words", nargs="*", metavar="JSON METHOD")
    add_options(found)
    found.add_argument("--reply", action="store_true")
    found.add_argument("--raw", action="store_true")
    return found


def run(words: typing.Sequence[str]) -> int:
    """Runs the command; gives its exit status."""
    arguments = parser().read(words)
    console = Console(arguments.color)
    if not arguments.words:
        raise CommandError("JSON is missing", help="""such as rpcgen encode '{"num1": 200}' --idl …""")
    if len(arguments.words) > 2:
        raise CommandError(f"there is no place for {arguments.words[2]!r}", help="put JSON into quotes")
    said = _read(arguments.words[0])
    interface = opened(arguments, console)
    if interface is None:
        return 1
    name = arguments.words[1] if len(arguments.words) == 2 else None
    method = None if name is None else interface.method(name)
    if method is None and arguments.reply:
        method = only_method(interface)

    from rpcgen.cli.json_messages import call_of, reply_of, whole_call
    from rpcgen.runtime.errors import CallError
    from rpcgen.runtime.wire.forms import parse

    try:
        data = parse(said)
        if method is None:
            called, params = whole_call(data)
            message = call_of(interface.method(called), params)
        else:
            message = reply_of(method, data) if arguments.reply else call_of(method, data)
    except CallError as error:
        console.log(f"rpcgen encode: {printable(str(error))}")
        return 1
    if not arguments.raw:
        console.find(message.hex())
        return 0
    try:
        sys.stdout.buffer.write(message)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise refused("write to standard output", error) from error
    return 0


def _read(said: str) -> bytes:
    if said == "-":
        return sys.stdin.buffer.read() if sys.stdin else b""
    if not said.strip():
        raise CommandError("JSON is empty", help="a call without arguments is {}")
    if said.lstrip()[0] in '{["':
        return said.encode(errors="surrogateescape")
    try:
        with open(said, "rb") as file:
            return file.read()
    except OSError as error:
        raise refused(f"read {printable(said, 60)}", error) from error
