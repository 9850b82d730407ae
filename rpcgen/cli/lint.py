"""``rpcgen lint``: what compiles, and yet most likely is a mistake."""

from __future__ import annotations

import argparse
import dataclasses
import typing

from rpcgen.cli.arguments import COMMON, Parser
from rpcgen.cli.config import Config, read_config
from rpcgen.cli.console import Console
from rpcgen.cli.errors import CommandError, did_you_mean
from rpcgen.cli.inputs import FILES, named_files

if typing.TYPE_CHECKING:
    from rpcgen.compiler.diagnostics import Report
    from rpcgen.compiler.lint import Options

HELP = f"""\
Finds what compiles, and yet most likely is a mistake.

Usage: rpcgen lint [OPTIONS] [FILE…]

{FILES}

`@allow("L002", "why")` before a declaration or member holds findings in it back. The rules, why
they are, and what [tool.rpcgen.lint] in pyproject.toml can say: --rules, and docs/lint.md.

Options:
  --fix                       mend what can be mended without a change for any program or peer
  --select CODE               ask these rules alone; may be repeated, or L001,L002
  --ignore CODE               do not ask these rules; as --select
  --rules                     list the rules
  -I, --include DIR           look for included files here too; may be repeated
  --format text|json|github   how findings are written (default: text; json: one object a line)
{COMMON}

Examples:
  rpcgen lint service.idl
  rpcgen lint idl --ignore L001,L016 --format github

Exit status: 0 nothing found, 1 something found, 2 wrong usage or configuration.
"""


def parser() -> Parser:
    """Makes the parser of the command's options."""
    found = Parser("lint")
    found.add_argument("files", nargs="*", metavar="FILE")
    found.add_argument("--fix", action="store_true")
    found.add_argument("--select", action="append", default=[], metavar="CODE")
    found.add_argument("--ignore", action="append", default=[], metavar="CODE")
    found.add_argument("--rules", action="store_true")
    found.add_argument("-I", "--include", action="append", default=[], metavar="DIR")
    found.add_argument("--format", choices=("text", "json", "github"), default="text")
    return found


def run(words: typing.Sequence[str]) -> int:
    """Runs the command; gives its exit status."""
    arguments = parser().read(words)
    console = Console(arguments.color)
    if arguments.rules:
        console.find(_rules())
        return 0
    config = read_config()
    if "" in arguments.include:
        raise CommandError("a path is empty")
    files = named_files(arguments.files, config)
    folders = (*arguments.include, *config.include)
    options = _options(arguments, config)

    from rpcgen.cli.findings import render
    from rpcgen.compiler.lint import lint

    report = lint(files, folders, options)
    if arguments.fix and _fix(report, console):
        report = lint(files, folders, options)
    render(report, console, arguments.format)
    if report.diagnostics:
        return 1
    console.log(f"nothing found in {files[0] if len(files) == 1 else f'{len(files)} files'}")
    return 0


def _options(arguments: argparse.Namespace, config: Config) -> Options:
    """Joins the command line and the configuration."""
    from rpcgen.compiler.lint.rules import RULES, Options

    options = config.lint or Options()
    codes = options.codes
    for name, given in (("select", arguments.select), ("ignore", arguments.ignore)):
        named = [code.strip() for word in given for code in word.split(",")]
        for code in named:
            if code not in RULES:
                meant = did_you_mean(code, RULES) or "`rpcgen lint --rules` lists them"
                raise CommandError(f"--{name}: there is no rule {code!r}", help=meant)
        if given:
            codes = frozenset(named) if name == "select" else codes.difference(named)
    return dataclasses.replace(options, codes=codes)


def _fix(report: Report, console: Console) -> bool:
    """Writes the files that can be mended; says whether there was one."""
    from rpcgen.cli.rewrite import Change
    from rpcgen.compiler.lint import Finding, fixed
    from rpcgen.compiler.source import Source

    found: dict[Source, list[Finding]] = {}
    for finding in report.diagnostics:
        if isinstance(finding, Finding) and finding.fix and finding.span:
            found.setdefault(finding.span.source, []).append(finding)
    for source, findings in found.items():
        Change(source.path, source.text, fixed(source, findings)).write()
        codes = ", ".join(sorted({finding.code for finding in findings}))
        console.log(f"mended {codes} in {source.path}")
    return bool(found)


def _rules() -> str:
    from rpcgen.compiler.lint.rules import RULES

    return "".join(f"{code}  {rule.title}\n      {rule.why}\n" for code, rule in RULES.items())
