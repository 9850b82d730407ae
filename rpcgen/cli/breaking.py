"""``rpcgen breaking``: what a new version of an interface breaks."""

from __future__ import annotations

import argparse
import json
import typing

from rpcgen.cli.arguments import COMMON, Parser
from rpcgen.cli.console import Console, plural
from rpcgen.cli.errors import CommandError, refused
from rpcgen.cli.targets import OPTIONS, add_options

if typing.TYPE_CHECKING:
    from rpcgen.cli.sides import Broken, Side
    from rpcgen.compiler.changes import Change

HELP = f"""\
Says whom the change from one version of an interface to another breaks, and what to do instead.

Usage: rpcgen breaking [OPTIONS] OLD NEW

OLD and NEW are each one of
  service.idl                  a file, or a folder: then all *.idl in it
  git:REV:PATH                 either, as a revision of git has it; PATH is from the root of the
                               repository, or from here if it begins with ./
  tcp://host:port              a server that runs, or unix:///path: it is asked
  zk://host:port/root          every server of a registry; registry:// and static:// too. Services
                               that the other side does not have are left out
OLD may also be tasks+zk://host:port/root: the calls that are queued there and have not ended.

Findings are of the wire (peers that speak bytes), of JSON (names), or of source (programs that are
compiled anew). `@allow("B012", "why")` in the new version, at the declaration or around it, holds
one back; so does a baseline.

Options:
  --level wire|json|source    errors are what breaks these and those before them; nothing else is
                              told (default: wire and json are errors, source is a warning)
  -I, --include DIR           look for included files here too; may be repeated
  --baseline FILE             leave out the findings that stand there
  --write-baseline            write all findings to the baseline's FILE instead
{OPTIONS}
  --format text|json|github   how findings are written (default: text; json: one object a line)
{COMMON}

Examples:
  rpcgen breaking git:main:idl idl                  what this branch would break
  rpcgen breaking tcp://10.0.0.1:9000 service.idl   what a new version would, for who calls it
  rpcgen breaking zk://zk1,zk2/rpc service.idl      which servers cannot live beside it

Exit status: 0 nothing breaks, 1 something does, 2 a side, or a server of a registry, cannot be had,
or wrong usage.
"""


def parser() -> Parser:
    """Makes the parser of the command's options."""
    found = Parser("breaking")
    found.add_argument("words", nargs="*", metavar="OLD NEW")
    found.add_argument("--level", choices=("wire", "json", "source"))
    found.add_argument("-I", "--include", action="append", default=[], metavar="DIR")
    found.add_argument("--baseline", metavar="FILE")
    found.add_argument("--write-baseline", action="store_true")
    add_options(found)
    found.add_argument("--format", choices=("text", "json", "github"), default="text")
    return found


def run(words: typing.Sequence[str]) -> int:
    """Runs the command; gives its exit status."""
    arguments = parser().read(words)
    console = Console(arguments.color)
    if len(arguments.words) != 2:
        raise CommandError(
            f"two versions are compared, not {len(arguments.words)}",
            help="rpcgen breaking git:main:service.idl service.idl",
        )
    if "" in arguments.words:
        raise CommandError("a version has an empty name", help="is a variable of the shell not set?")
    if arguments.write_baseline and arguments.baseline is None:
        raise CommandError("--write-baseline needs --baseline FILE: where to")

    from rpcgen.compiler.changes.sides import SideError

    try:
        return _compare(arguments, console)
    except SideError as error:
        if error.report is not None:
            from rpcgen.compiler.render import render_text

            console.log(render_text(error.report, console.color).rstrip())
        problem = error.problem or "a version has errors: nothing was compared"
        raise CommandError(problem, help=error.help) from error


def _compare(arguments: argparse.Namespace, console: Console) -> int:
    from rpcgen.cli.findings import Findings, render
    from rpcgen.cli.sides import TASKS, broken_tasks, sides
    from rpcgen.compiler.changes.compare import compare

    old_name, new_name = arguments.words
    if new_name.startswith(TASKS):
        raise CommandError("queued tasks are of an old version: name them first")
    lost: list[CommandError] = []
    new = sides(new_name, arguments, lost)
    if old_name.startswith(TASKS):
        tasks = [
            one for side in new for one in broken_tasks(old_name, side.contract, console, arguments.timeout)
        ]
        console.find("".join(f"{_task(one, arguments.format)}\n" for one in tasks))
        console.log(f"{len(tasks)} of them cannot be read by {new_name}" if tasks else "all can be read")
        return _status(bool(tasks), lost, console)
    old = sides(old_name, arguments, lost)
    found: list[Change] = []
    for one in old:
        for other in new:
            changes = compare(one.contract, other.contract, arguments.level)
            found += changes
            _name_servers(one, other, changes, console)
    if arguments.write_baseline:
        _write(arguments.baseline, found)
        console.log(f"{plural(len({*map(_line, found)}), 'finding')} written to {arguments.baseline}")
        return _status(False, lost, console)
    findings = Findings()
    findings.add(_without(found, arguments.baseline, console) if arguments.baseline else found)
    render(findings.report, console, arguments.format)
    if not findings.report.diagnostics:
        console.log(f"nothing breaks from {old_name} to {new_name}")
    return _status(findings.report.failed, lost, console)


def _status(failed: bool, lost: list[CommandError], console: Console) -> int:
    """Gives the exit status; says which servers were not compared, for whom nothing is known."""
    for error in lost:
        console.log(f"rpcgen breaking: not compared: {error.lines()}")
    return 2 if lost else int(failed)


def _name_servers(old: Side, new: Side, changes: list[Change], console: Console) -> None:
    """Says which servers are concerned, where that is not what was named."""
    from rpcgen.cli.registries import printable

    count = sum(change.severity == "error" for change in changes)
    for side in (old, new):
        if not side.contract.is_source:
            for name in side.names:
                what = plural(count, "finding") if count else "nothing breaks"
                console.log(f"{printable(name)}: {what}")


def _task(one: Broken, form: str) -> str:
    if form == "json":
        return json.dumps({"severity": "error", **one._asdict()})
    text = f"{one.task}: error: {one.method}: {one.problem}"
    return f"::error title={one.task}::{one.method}: {one.problem}" if form == "github" else text


# The baseline


def _key(change: Change) -> dict[str, str]:
    return {"code": change.code, "message": change.message}


def _line(change: Change) -> str:
    return json.dumps(_key(change), ensure_ascii=False)


def _write(path: str, changes: list[Change]) -> None:
    lines = sorted({_line(change) for change in changes})
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise refused(f"write {path}", error) from error


def _without(changes: list[Change], path: str, console: Console) -> list[Change]:
    """Gives the changes that the baseline does not hold; says what it holds in vain."""
    try:
        with open(path, encoding="utf-8") as file:
            known = [json.loads(line) for line in file if line.strip()]
    except OSError as error:
        raise refused(f"read {path}", error) from error
    except ValueError as error:
        raise CommandError(
            f"{path} is no baseline: {error}", help="`rpcgen breaking --write-baseline` writes one"
        ) from error
    kept = [change for change in changes if _key(change) not in known]
    stale = [one for one in known if one not in [_key(change) for change in changes]]
    if stale:
        console.log(f"{path} holds {plural(len(stale), 'finding')} in vain, gone by now: write it anew")
    return kept
