"""``rpcgen check``: what is wrong with interface files; writes nothing."""

from __future__ import annotations

import typing

from rpcgen.cli.arguments import COMMON, Parser
from rpcgen.cli.console import Console
from rpcgen.cli.inputs import FILES, add_inputs, settings

HELP = f"""\
Reports what is wrong with interface files, and writes nothing.

Usage: rpcgen check [OPTIONS] [FILE…]

{FILES}

Options:
  -I, --include DIR           look for included files here too; may be repeated
  --templates DIR             check with these templates in place of rpcgen's own
  --error-format text|json|github
                              how findings are written (default: text; json: one object a line)
{COMMON}

What `compile` takes besides is accepted, and changes nothing.

Examples:
  rpcgen check service.idl
  rpcgen check idl --error-format github

Exit status: 0 no errors, 1 errors, 2 wrong usage or configuration.
"""


def parser() -> Parser:
    """Makes the parser of the command's options."""
    found = Parser("check")
    add_inputs(found)
    return found


def run(words: typing.Sequence[str]) -> int:
    """Runs the command; gives its exit status."""
    arguments = parser().read(words)
    console = Console(arguments.color)
    wanted = settings(arguments)

    from rpcgen.cli.build import build
    from rpcgen.cli.findings import render

    built = build(wanted, console)
    render(built.report, console, arguments.error_format)
    if built.report.failed:
        return 1
    files = wanted.files
    console.log(f"no errors in {files[0] if len(files) == 1 else f'{len(files)} files'}")
    return 0
