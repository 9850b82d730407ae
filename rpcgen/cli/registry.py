"""``rpcgen registry``: the registry for one machine, in the foreground until a signal ends it."""

from __future__ import annotations

import contextlib
import os
import resource
import typing

from rpcgen.cli.arguments import COMMON, Parser
from rpcgen.cli.console import Console
from rpcgen.cli.errors import CommandError

HELP = f"""\
Runs the registry for one machine: servers register there, clients find them.

Usage: rpcgen registry [OPTIONS]

Prints where it listens and what servers and clients need to be told. Ctrl-C or SIGTERM ends it;
servers go on, register again when it is back, and clients keep their lists meanwhile.

Options:
  --host HOST                 where to listen (default: 127.0.0.1; 0.0.0.0 is everywhere)
  --port PORT                 0 takes a free one (default: 2182)
  --data FOLDER               keep the entries there, through kill -9 and restarts
  --token TOKEN               what clients must show; better given as RPCGEN_REGISTRY_TOKEN in
                              the environment, for everybody sees the command's options
{COMMON}

Examples:
  rpcgen registry
  rpcgen registry --port 0
  RPCGEN_REGISTRY_TOKEN=secret rpcgen registry --host 0.0.0.0 --data /var/lib/rpcgen

Exit status: 0 ended by a signal, 2 wrong usage, or it cannot listen or use the folder.
"""


def parser() -> Parser:
    """Makes the parser of the command's options."""
    found = Parser("registry")
    found.add_argument("--host", default="127.0.0.1")
    found.add_argument("--port", default="2182")
    found.add_argument("--data", metavar="FOLDER")
    found.add_argument("--token")
    return found


def run(words: typing.Sequence[str]) -> int:
    """Runs the command; gives its exit status."""
    arguments = parser().read(words)
    console = Console(arguments.color)
    token = arguments.token if arguments.token is not None else os.environ.get("RPCGEN_REGISTRY_TOKEN", "")
    if arguments.token == "":
        raise CommandError("--token is empty", help="leave it out for a registry without a token")
    if arguments.data == "":
        raise CommandError("--data is empty", help="name a folder, or leave it out to keep entries in memory")
    port = arguments.port
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 65535):
        raise CommandError(f"--port: {port!r} is no port", help="one is a number from 0 to 65535")

    from rpcgen.runtime.discovery.embedded.journal import FolderInUse
    from rpcgen.runtime.discovery.embedded.server import RegistryServer, is_loopback

    _raise_limit()
    try:
        server = RegistryServer(arguments.host, int(port), data=arguments.data, token=token)
        server.bind()
    except (ValueError, FolderInUse) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise _refused(error, arguments.data) from error
    if not token and not is_loopback(server.address.host):
        console.log(
            f"rpcgen registry: warning: whoever reaches {server.address} can register and remove servers\n"
            "  = help: set RPCGEN_REGISTRY_TOKEN, here and for servers and clients"
        )
    server.serve(lambda: console.find(f"registry at {server.address}; export RPCGEN_REGISTRY={server.url}"))
    return 0


def _refused(error: OSError, folder: str | None) -> CommandError:
    import errno

    if error.filename is not None:
        return CommandError(
            f"cannot use the folder {folder}: {os.fsdecode(error.filename)}: {error.strerror}"
        )
    help = "is one running already? --port 0 takes a free port" if error.errno == errno.EADDRINUSE else ""
    return CommandError(error.strerror or str(error), help=help)


def _raise_limit() -> None:
    """Lets the process have as many files as the system allows it: a connection is one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
