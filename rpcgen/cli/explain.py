"""``rpcgen explain``: what each byte of a message, or of a captured stream, is."""

from __future__ import annotations

import typing

from rpcgen.cli.arguments import COMMON, Parser
from rpcgen.cli.console import Console
from rpcgen.cli.messages import OPTIONS, SAID, add_options, capture_of

HELP = f"""\
Explains each byte of a message, or of a captured stream: field, type, value, line of the interface.

Usage: rpcgen explain [OPTIONS] INPUT --idl FILE [METHOD]

{SAID}
It is a plain call or several, or plain replies, or what one end of a framed connection sent: its
beginning tells which. What is broken is explained up to the fault, which is named.

METHOD is what replies are for, which they do not say themselves; not needed where the interface has
but one, nor with --calls.

Options:
{OPTIONS}
  --full                      show long values and their bytes whole
  --show-secrets              show credentials, and metadata that are called like some: else hidden
{COMMON}

Examples:
  rpcgen explain '00000006 646976696465 00000005 01 000000c8' --idl service.idl
  rpcgen explain 0140000000 --idl service.idl divide
  rpcgen explain server.bin --calls client.bin --idl shop.idl | less

Exit status: 0 explained, 1 the bytes or the interface are faulty, 2 wrong usage.
"""


def parser() -> Parser:
    """Makes the parser of the command's options."""
    found = Parser("explain")
    add_options(found)
    found.add_argument("--full", action="store_true")
    found.add_argument("--show-secrets", action="store_true")
    return found


def run(words: typing.Sequence[str]) -> int:
    """Runs the command; gives its exit status."""
    arguments = parser().read(words)
    console = Console(arguments.color)
    found = capture_of(arguments, console, "rpcgen explain 0140000000 --idl service.idl divide")
    if found is None:
        return 1
    data, interface, capture = found

    from rpcgen.cli.listing import listing

    shown = {"full": arguments.full, "secrets": arguments.show_secrets, "color": console.color}
    console.find(listing(data, capture, interface.lines, **shown))
    return 1 if capture.faults else 0
