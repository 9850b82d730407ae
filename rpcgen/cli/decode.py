"""``rpcgen decode``: messages as JSON."""

from __future__ import annotations

import typing

from rpcgen.cli.arguments import COMMON, Parser
from rpcgen.cli.console import Console
from rpcgen.cli.messages import OPTIONS, SAID, add_options, capture_of
from rpcgen.cli.registries import printable

HELP = f"""\
Writes messages as JSON, one object a line: calls as {{"name": …, "params": {{…}}}}, replies as
{{"result": …}} or {{"error": {{"type": …, "message": …}}}}; those of frames with their "id".

Usage: rpcgen decode [OPTIONS] INPUT --idl FILE [METHOD]

{SAID}
It is a plain call or several, or plain replies, or what one end of a framed connection sent: its
beginning tells which. METHOD is what replies are for; not needed where the interface has but one.

Options:
{OPTIONS}
{COMMON}

Examples:
  rpcgen decode '00000006 646976696465 00000005 01 000000c8' --idl service.idl
  rpcgen decode 0140000000 --idl service.idl divide
  rpcgen decode client.bin --idl shop.idl | jq .params

Exit status: 0 decoded, 1 the bytes or the interface are faulty (`rpcgen explain` shows where),
2 wrong usage.
"""


def parser() -> Parser:
    """Makes the parser of the command's options."""
    found = Parser("decode")
    add_options(found)
    return found


def run(words: typing.Sequence[str]) -> int:
    """Runs the command; gives its exit status."""
    arguments = parser().read(words)
    console = Console(arguments.color)
    found = capture_of(arguments, console, "rpcgen decode 0140000000 --idl service.idl divide")
    if found is None:
        return 1
    _, interface, capture = found

    from rpcgen.cli.json_messages import to_json
    from rpcgen.runtime.wire.forms import text

    lines = [text(to_json(message, interface.methods)).decode() for message in capture.messages]
    console.find("\n".join(lines))
    for fault in capture.faults:
        console.log(f"rpcgen decode: {printable(fault.value)}")
    return 1 if capture.faults else 0
