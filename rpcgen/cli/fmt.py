"""``rpcgen fmt``: interface files in their one form, comments kept."""

from __future__ import annotations

import argparse
import shlex
import sys
import typing

from rpcgen.cli.arguments import COMMON, Parser
from rpcgen.cli.config import read_config
from rpcgen.cli.console import Console
from rpcgen.cli.errors import CommandError
from rpcgen.cli.inputs import FILES, named_files

if typing.TYPE_CHECKING:
    from rpcgen.cli.rewrite import Change

HELP = f"""\
Writes interface files in their one canonical form. Comments stay where they stand, and blank lines
between what belongs together, one at most; what the file means stays the same.

Usage: rpcgen fmt [OPTIONS] [FILE…]

{FILES}
A lone - means standard input: the form goes to standard output, findings to standard error.

A file that cannot be read is reported and left alone; the others are written.

Options:
  --check                     write nothing; exit with 1 if a file is not in the form
  --diff                      write nothing; show what would change
  --error-format text|json|github
                              how findings are written (default: text; json: one object a line)
{COMMON}

Examples:
  rpcgen fmt service.idl
  rpcgen fmt idl --check                        in CI: is all of idl/*.idl in the form?
  rpcgen fmt - < service.idl                    what editors do

Exit status: 0 done, 1 a file that cannot be read or a difference found by --check, 2 wrong usage or
configuration.
"""


def parser() -> Parser:
    """Makes the parser of the command's options."""
    found = Parser("fmt")
    found.add_argument("files", nargs="*", metavar="FILE")
    found.add_argument("--check", action="store_true")
    found.add_argument("--diff", action="store_true")
    found.add_argument("--error-format", choices=("text", "json", "github"), default="text")
    return found


def run(words: typing.Sequence[str]) -> int:
    """Runs the command; gives its exit status."""
    arguments = parser().read(words)
    console = Console(arguments.color)
    if arguments.diff and arguments.error_format != "text":
        raise CommandError(f"--diff is text: it cannot come as {arguments.error_format}")
    if "-" in arguments.files:
        if arguments.files != ["-"]:
            raise CommandError("- is standard input: name no other FILE with it")
        return _stream(arguments, console)
    files = named_files(arguments.files, read_config())

    from rpcgen.cli.findings import Findings, render
    from rpcgen.cli.rewrite import Change
    from rpcgen.compiler import formatter
    from rpcgen.compiler.diagnostics import Report, diagnose
    from rpcgen.compiler.loader import Loader

    findings = Findings()
    changes: list[Change] = []
    for path in files:
        report = Report()
        source = Loader().read_alone(path, report)
        form = formatter.form(source, report) if source else None
        findings.add(report.diagnostics)
        if source and form is not None:
            changes.append(Change(path, source.text, form))
    due = [change for change in changes if change.is_due]
    if arguments.check:
        for change in due:
            mend = f"rpcgen fmt {shlex.quote(change.path)}"
            findings.add([diagnose("E508", None, path=change.path, help=mend)])
    render(findings.report, console, arguments.error_format)
    if arguments.diff:
        console.find("".join(change.diff() for change in due))
    if not arguments.check and not arguments.diff:
        _write(due, len(changes), console)
    return 1 if findings.report.failed else 0


def _write(due: list[Change], count: int, console: Console) -> None:
    for change in due:
        change.write()
        console.log(f"formatted {change.path}")
    if count and not due:
        console.log(f"nothing changed: {'the file is' if count == 1 else f'{count} files are'} in the form")


def _stream(arguments: argparse.Namespace, console: Console) -> int:
    """Formats standard input."""
    from rpcgen.cli.findings import render
    from rpcgen.codegen import output
    from rpcgen.compiler import formatter
    from rpcgen.compiler.diagnostics import Report, diagnose
    from rpcgen.compiler.loader import decoded
    from rpcgen.compiler.render import render_text

    report = Report()
    data = sys.stdin.buffer.read() if sys.stdin else b""
    source = decoded("<stdin>", data, report)
    form = formatter.form(source, report) if source else None
    if source is None or form is None:
        # An editor puts what comes on standard output in the place of the text.
        if arguments.check or arguments.diff:
            render(report, console, arguments.error_format)
        else:
            console.log(render_text(report).rstrip("\n"))
        return 1
    if arguments.diff:
        console.find(output.unified(source.text, form, "<stdin>", "<stdin>"))
    if arguments.check:
        if data != form.encode():
            report.add(diagnose("E508", None, path="<stdin>"))
        render(report, console, arguments.error_format)
        return 1 if report.failed else 0
    if not arguments.diff:
        console.find(form)
    return 0
