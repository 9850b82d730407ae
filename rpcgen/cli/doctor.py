"""``rpcgen doctor``: what is wrong with a registry and the servers in it.

Reads everything once, calls each server (``servers``), judges both (``registry_checks``). Nothing
is changed, in the registry or anywhere else.
"""

from __future__ import annotations

import json
import typing

from rpcgen.cli.arguments import COMMON, Parser
from rpcgen.cli.console import Console
from rpcgen.cli.ls import seconds
from rpcgen.cli.registries import URLS, open_named, read

if typing.TYPE_CHECKING:
    from rpcgen.cli.registry_checks import Finding
    from rpcgen.runtime.registry import Contents, Entry, Instance

HELP = f"""\
Finds what is wrong with a registry and the servers in it, and says what to do. Changes nothing.

Usage: rpcgen doctor [OPTIONS] [URL]

{URLS}

Found are entries that nobody keeps alive or can read, that are too large, that share an address or
announce one that clients cannot reach; what is no entry of ours; and servers that are registered
but refuse connections, do not answer, or say that they take no calls. Servers of one service with
different interfaces are a note.

Options:
  --timeout SECONDS           wait so long for each server (default: 2)
  --no-connect                look at the registry alone: from where servers cannot be reached
  --json                      one object a finding and line
{COMMON}

Examples:
  rpcgen doctor
  rpcgen doctor zk://zk1,zk2,zk3/rpc

Exit status: 0 nothing is wrong, 1 something is, 2 the registry cannot be reached, or wrong usage.
"""

REGISTRY_TIME = 5.0
"""Seconds to wait for the registry."""


def parser() -> Parser:
    """Makes the parser of the command's options."""
    found = Parser("doctor")
    found.add_argument("url", nargs="?", metavar="URL")
    found.add_argument("--timeout", type=seconds, default=2.0, metavar="SECONDS")
    found.add_argument("--no-connect", action="store_true")
    found.add_argument("--json", action="store_true")
    return found


def run(words: typing.Sequence[str]) -> int:
    """Runs the command; gives its exit status."""
    arguments = parser().read(words)
    console = Console(arguments.color)

    from rpcgen.cli.registry_checks import Place, examine, is_local, judge
    from rpcgen.cli.servers import call_all

    with open_named(arguments.url) as registry:
        contents = read(registry, REGISTRY_TIME)
        place = Place(is_local(registry.url), registry.path)
    tried = [] if arguments.no_connect else _servers(contents)
    outcomes = call_all([(entry.service, instance) for entry, instance in tried], arguments.timeout)
    found = examine(contents, place)
    for (entry, _), outcome in zip(tried, outcomes, strict=True):
        finding = judge(entry, outcome, place)
        if finding is not None:
            found.append(finding)
    for finding in found:
        console.find(_json(finding) if arguments.json else _text(finding, console.color))
    faults = sum(finding.severity == "error" for finding in found)
    console.log(f"{registry.url}: {_summary(contents, len(tried), faults)}")
    return 1 if faults else 0


def _servers(contents: Contents) -> list[tuple[Entry, Instance]]:
    """Gives the entries to call: one of each service and address that can be connected to."""
    from rpcgen.cli.registry_checks import is_wildcard

    found: dict[tuple[str, str], tuple[Entry, Instance]] = {}
    for entry in contents.entries:
        if entry.instance is not None and not is_wildcard(entry.instance):
            found.setdefault((entry.service, entry.instance.address), (entry, entry.instance))
    return list(found.values())


def _text(finding: Finding, color: bool) -> str:
    def paint(text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if color else text

    style = "1;31" if finding.severity == "error" else "1;34"
    head = paint(f"{finding.severity}[{finding.kind}]", style)
    first = f"{paint(f'{finding.place}: ', '1')}{head}{paint(f': {finding.problem}', '1')}"
    return f"{first}\n  {paint('= help:', '1;34')} {finding.help}"


def _json(finding: Finding) -> str:
    return json.dumps({"severity": finding.severity, **finding._asdict()})


def _summary(contents: Contents, tried: int, faults: int) -> str:
    from rpcgen.cli.registry_checks import counted

    entries = counted(len(contents.entries), "entry", "entries")
    services = counted(len({entry.service for entry in contents.entries}), "service", "services")
    called = counted(tried, "server was called", "servers were called")
    what = counted(faults, "fault", "faults") if faults else "nothing is wrong"
    return f"{what}; {entries} of {services} looked at, {called}"
