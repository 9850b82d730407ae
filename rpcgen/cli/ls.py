"""``rpcgen ls``: who serves what, as a registry says it."""

from __future__ import annotations

import json
import time
import typing

from rpcgen.cli.arguments import COMMON, Parser
from rpcgen.cli.console import Console
from rpcgen.cli.errors import CommandError, did_you_mean
from rpcgen.cli.registries import OWN, URLS, open_named, printable, read

if typing.TYPE_CHECKING:
    from rpcgen.runtime.registry import Contents, Instance, Registry

HELP = f"""\
Lists the live instances in a registry: of one service, or of all with their names.

Usage: rpcgen ls [OPTIONS] [URL] [SERVICE]

{URLS}
SERVICE is the name in the interface; `{OWN}` is a file's own service, that of the methods outside
of any service. What no instance says gets no column.

Options:
  --watch                     show each change as it comes, until Ctrl-C: on a terminal the table
                              anew, otherwise one line a change (+ came, - went, ~ changed)
  --json                      one object an instance and line; with --watch, one a change
  --timeout SECONDS           wait so long for the registry (default: 5)
{COMMON}

Examples:
  rpcgen ls                                    all that the registry of RPCGEN_REGISTRY knows
  rpcgen ls registry://127.0.0.1:2182          what the registry of this machine knows
  rpcgen ls zk://zk1,zk2,zk3/rpc Orders        who serves Orders
  rpcgen ls Orders --watch                     how that changes

Exit status: 0 instances are listed, 1 there is none, 2 the registry cannot be reached, or wrong
usage.
"""


def parser() -> Parser:
    """Makes the parser of the command's options."""
    found = Parser("ls")
    found.add_argument("words", nargs="*", metavar="URL SERVICE")
    found.add_argument("--watch", action="store_true")
    found.add_argument("--json", action="store_true")
    found.add_argument("--timeout", type=seconds, default=5.0, metavar="SECONDS")
    return found


def seconds(text: str) -> float:
    """Reads a number of seconds above 0, for options."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError
    return number


def run(words: typing.Sequence[str]) -> int:
    """Runs the command; gives its exit status."""
    arguments = parser().read(words)
    console = Console(arguments.color)
    url, service = _named(arguments.words)
    with open_named(url) as registry:
        if service is not None and registry.url.startswith("static://"):
            service = ""  # there is one list, for every service
        if arguments.watch:
            from rpcgen.cli.follow import follow

            return follow(registry, service, arguments.timeout, console, as_json=arguments.json)
        contents = read(registry, arguments.timeout)
    return _list(registry, contents, service, console, as_json=arguments.json)


def _named(words: list[str]) -> tuple[str | None, str | None]:
    """Tells URL and service apart; either may be missing. A file's own service is ``""``."""
    if len(words) > 2:
        raise CommandError(
            f"there is no place for {words[2]!r}", help="`rpcgen ls --help` says how it is used"
        )
    url, service = None, None
    if words and ("://" in words[0] or len(words) == 2):
        url, *words = words
    if words:
        service = words[0]
        if service != OWN and not service.replace(".", "_").isidentifier():
            if "://" in service:
                raise CommandError("the service comes after the URL", help=f"rpcgen ls {service} {url}")
            if url is None:
                open_named(service)
            raise CommandError(
                f"{service!r} cannot be a service", help="one is named as in its interface: Orders"
            )
    return url, "" if service == OWN else service


def _list(
    registry: Registry, contents: Contents, service: str | None, console: Console, *, as_json: bool
) -> int:
    from rpcgen.cli.table import order, table

    readable = [(entry.service, entry.instance) for entry in contents.entries if entry.instance is not None]
    rows = sorted([row for row in readable if service in (None, row[0])], key=order)
    if not rows:
        _explain_none(registry, [name for name, _ in readable], service, console)
    elif as_json:
        console.find("".join(f"{json.dumps(members(name, one))}\n" for name, one in rows))
    else:
        console.find("\n".join(table(rows, time.time(), service=service is None)))
    broken = [one for one in contents.entries if one.instance is None and service in (None, one.service)]
    if broken:
        what = "1 entry cannot" if len(broken) == 1 else f"{len(broken)} entries cannot"
        console.log(f"{what} be read: `rpcgen doctor {registry.url}` says why")
    return 0 if rows else 1


def _explain_none(registry: Registry, known: list[str], service: str | None, console: Console) -> None:
    if service is None:
        console.log(f"no server is registered in {registry.url}")
        return
    services = sorted({name or OWN for name in known})
    meant = did_you_mean(service, services) or (f"there are: {', '.join(services)}" if services else "")
    what = service or "a file's own service"
    console.log(f"no server is registered for {what} in {registry.url}, at {registry.path(service)}")
    if meant:
        console.log(f"  = help: {printable(meant)}")


def members(service: str, one: Instance) -> dict[str, object]:
    """Gives an instance for JSON: its service, its address, and all that it says."""
    said = {name: getattr(one, name) for name in one.__struct_fields__}
    return {"service": service, "address": one.address, **said}
