"""``rpcgen master``: assigns queued tasks to workers, in the foreground until a signal ends it."""

from __future__ import annotations

import typing

from rpcgen.cli.arguments import COMMON, Parser
from rpcgen.cli.console import Console
from rpcgen.cli.queues import URLS, check, explained, log_to_standard_error, run_until_signal

HELP = f"""\
Assigns queued tasks to workers. Several may run: one leads, the others take over when it is gone.

Usage: rpcgen master [OPTIONS] [URL]

{URLS}
Ctrl-C or SIGTERM ends it. Tasks that run go on without a master; new ones wait for the next.
`rpcgen worker --contend` is a worker that stands for master, too: a cluster needs no other command.

Options:
  --keep-foreign SECONDS      how long tasks of other programs stay after their end (default: 3600)
{COMMON}

Examples:
  rpcgen master zk://zk1,zk2,zk3/work
  rpcgen master                                at RPCGEN_REGISTRY

Exit status: 0 ended by a signal, 2 wrong usage, or ZooKeeper's package is missing. While ZooKeeper
cannot be reached it says so and waits.
"""


def parser() -> Parser:
    """Makes the parser of the command's options."""
    found = Parser("master")
    found.add_argument("url", nargs="?", metavar="URL")
    found.add_argument("--keep-foreign", type=float, default=3600.0, metavar="SECONDS")
    return found


def run(words: typing.Sequence[str]) -> int:
    """Runs the command; gives its exit status."""
    arguments = parser().read(words)
    console = Console(arguments.color)
    url = check(arguments.url)
    with explained():
        from rpcgen.runtime.tasks.master import Master

        master = Master(url, keep_foreign=arguments.keep_foreign)

    log_to_standard_error()

    def serve() -> None:
        master.start()
        console.find(f"master at {master.url}: it stands for election")
        master.serve()

    return run_until_signal(serve, master.close, console)
