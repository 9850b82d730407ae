"""``rpcgen compile``: a Python module of each interface file."""

from __future__ import annotations

import argparse
import shlex
import typing

from rpcgen.cli.arguments import COMMON, Parser
from rpcgen.cli.console import Console
from rpcgen.cli.errors import CommandError
from rpcgen.cli.inputs import FILES, Settings, add_inputs, settings

if typing.TYPE_CHECKING:
    from rpcgen.cli.build import Build

HELP = f"""\
Makes a Python module of each interface file, and of each one that it includes.

Usage: rpcgen compile [OPTIONS] [FILE…]

{FILES}

Options:
  -o, --output DIR            write there; made if missing (default: beside each FILE)
  -I, --include DIR           look for included files here too; may be repeated
  --check                     write nothing; exit with 1 if the output is not what FILE gives
  --diff                      write nothing; show what would change
  --watch                     compile again at each change, until Ctrl-C
  --templates DIR             templates that replace rpcgen's own of the same name
  --imports auto|relative|absolute
                              how modules import each other (default: auto, which is relative
                              if the output folder is a package)
  --error-format text|json|github
                              how findings are written (default: text; json: one object a line)
{COMMON}

Examples:
  rpcgen compile service.idl                    writes service.py beside it
  rpcgen compile idl -o generated               all of idl/*.idl, into generated/
  rpcgen compile idl -o generated --check       in CI: is generated/ up to date?
  rpcgen compile                                what [tool.rpcgen] in pyproject.toml says:

    [tool.rpcgen]
    files = ["idl/*.idl"]
    output = "generated"
    include = ["vendor/idl"]
    templates = "templates"
    imports = "auto"

Exit status: 0 done, 1 errors in the input or a difference found by --check, 2 wrong usage or
configuration.
"""


def parser() -> Parser:
    """Makes the parser of the command's options."""
    found = Parser("compile")
    add_inputs(found)
    found.add_argument("--check", action="store_true")
    found.add_argument("--diff", action="store_true")
    found.add_argument("--watch", action="store_true")
    return found


def run(words: typing.Sequence[str]) -> int:
    """Runs the command; gives its exit status."""
    arguments = parser().read(words)
    console = Console(arguments.color)
    if arguments.watch:
        if arguments.check or arguments.diff:
            raise CommandError(
                f"--watch writes, --{'check' if arguments.check else 'diff'} does not: choose one"
            )

        from rpcgen.cli.watch import watch

        return watch(arguments, console)
    if arguments.diff and arguments.error_format != "text":
        raise CommandError(f"--diff is text: it cannot come as {arguments.error_format}")
    wanted = settings(arguments)

    from rpcgen.cli.build import build

    built = build(wanted, console)
    if (arguments.check or arguments.diff) and not built.report.failed:
        return _compare(built, wanted, words, arguments, console)
    return built.finish(console, arguments.error_format)


def _compare(
    built: Build,
    wanted: Settings,
    words: typing.Sequence[str],
    arguments: argparse.Namespace,
    console: Console,
) -> int:
    """Says how the output differs from what it should be; 1 if ``--check`` minds."""
    from rpcgen.cli.findings import render

    render(built.report, console, arguments.error_format)
    if arguments.diff:
        console.find(built.diff())
    if not arguments.check:
        return 0
    mend = ["rpcgen", "compile", *(word for word in words if word not in ("--check", "--diff"))]
    differences = built.differences(shlex.join(mend), wanted.sources)
    render(differences, console, arguments.error_format)
    return 1 if differences.failed else 0
