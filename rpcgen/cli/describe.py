"""``rpcgen describe``: the interface of a server that runs, as it tells it itself."""

from __future__ import annotations

import typing

from rpcgen.cli.arguments import COMMON, Parser
from rpcgen.cli.console import Console
from rpcgen.cli.errors import CommandError, did_you_mean
from rpcgen.cli.registries import OWN, printable
from rpcgen.cli.sides import live, methods, modules
from rpcgen.cli.targets import OPTIONS, STATUSES, URLS, Target, add_options

HELP = f"""\
Shows the interface of a server that runs: what it serves, as interface text.

Usage: rpcgen describe [OPTIONS] TARGET [SERVICE]

{URLS}
With SERVICE, only the files of that service are shown; `{OWN}` is a file's own service, that of the
methods outside of any service. Of several files, each comes after those that it includes.

Options:
{OPTIONS}
{COMMON}

Examples:
  rpcgen describe tcp://127.0.0.1:7000
  rpcgen describe http://127.0.0.1:8080 > service.idl      and then: rpcgen compile service.idl
  rpcgen describe zk://zk1,zk2,zk3/rpc Orders

Exit status: 0 it is shown, 2 wrong usage, or there is no such service;
{STATUSES}
"""


def parser() -> Parser:
    """Makes the parser of the command's options."""
    found = Parser("describe")
    found.add_argument("words", nargs="*", metavar="TARGET SERVICE")
    add_options(found)
    return found


def run(words: typing.Sequence[str]) -> int:
    """Runs the command; gives its exit status."""
    arguments = parser().read(words)
    if not arguments.words:
        raise CommandError("a TARGET is missing", help="such as tcp://127.0.0.1:7000")
    if len(arguments.words) > 2:
        raise CommandError(
            f"there is no place for {arguments.words[2]!r}",
            help="`rpcgen describe --help` says how it is used",
        )
    target = Target(arguments.words[0], arguments)
    service = arguments.words[1] if len(arguments.words) == 2 else None
    Console(arguments.color).find(_text(target, "" if service == OWN else service))
    return 0


def _text(target: Target, service: str | None) -> str:
    if not target.is_registry:
        text = target.describe()
        return text if service is None else _of_service(target, text, service)
    if service is not None:
        return _of_service(target, target.describe(service), service)
    services = target.services()
    if not services:
        raise CommandError(f"no server is registered in {printable(target.url)}")
    # Servers of several services, or several services with the same servers: each text once.
    return "\n".join(dict.fromkeys(target.describe(name) for name in services))


def _of_service(target: Target, text: str, service: str) -> str:
    """Gives the files of a service alone.

    Raises:
        CommandError: There is none of that name.
    """
    from rpcgen.runtime.schema import canonical_text

    found = []
    known: set[str] = set()
    for module in modules(live(target.url, text, is_partial=False)):
        names = {name.rpartition(".")[0] for name in methods(module)}
        known |= names
        if service in names:
            found.append(module.INTERFACE)
    if not found:
        there = [name or OWN for name in sorted(known)]
        raise CommandError(
            f"{printable(target.url)} serves no {service or 'methods outside of services'}",
            help=did_you_mean(service, there) or f"there are: {', '.join(there)}",
        )
    return canonical_text(found)
