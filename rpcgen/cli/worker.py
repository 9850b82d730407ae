"""``rpcgen worker``: runs queued tasks by a user's handlers, in the foreground until a signal ends it."""

from __future__ import annotations

import os
import typing

from rpcgen.cli.arguments import COMMON, Parser
from rpcgen.cli.console import Console, plural
from rpcgen.cli.errors import CommandError
from rpcgen.cli.queues import URLS, check, explained, log_to_standard_error, run_until_signal

HELP = f"""\
Runs queued tasks by your handlers, as many at once as it says. It needs a master somewhere.

Usage: rpcgen worker [OPTIONS] [URL] MODULE:HANDLERS --stub MODULE

{URLS}
MODULE:HANDLERS is a module and what handles the methods in it: an instance, a class with static
methods, or a class that is made without arguments. Modules are looked for in the current folder
first, then where Python looks.
Ctrl-C or SIGTERM ends it: it takes nothing new, and lets what runs come to its end.

Options:
  --stub MODULE[:STUB]        the module that rpcgen compiled, and its server stub (default:
                              ServerStub); may be repeated: the handlers then handle them all
  --concurrency N             tasks at once, a thread each (default: 8)
  --contend                   stand for master, too, so that a cluster needs no other command
  --name NAME                 how its name begins (default: the host's name)
  --weight NUMBER             its share of the tasks against others' (default: 1)
  --grace SECONDS             for what runs when it is ended; what runs longer is given to another
                              worker (default: 30)
{COMMON}

Examples:
  rpcgen worker zk://zk1,zk2,zk3/work jobs:Handlers --stub service
  rpcgen worker jobs:Handlers --stub service --concurrency 2 --contend
  rpcgen worker jobs:handlers --stub shop:OrdersServerStub --stub shop:CatalogueServerStub

Exit status: 0 ended by a signal, 2 wrong usage, handlers that cannot be used, or ZooKeeper's
package is missing. While ZooKeeper cannot be reached it says so and waits.
"""


def parser() -> Parser:
    """Makes the parser of the command's options."""
    found = Parser("worker")
    found.add_argument("words", nargs="*", metavar="URL MODULE:HANDLERS")
    found.add_argument("--stub", action="append", default=[], metavar="MODULE")
    found.add_argument("--concurrency", type=int, default=8, metavar="N")
    found.add_argument("--contend", action="store_true")
    found.add_argument("--name")
    found.add_argument("--weight", type=float, default=1.0, metavar="NUMBER")
    found.add_argument("--grace", type=float, default=30.0, metavar="SECONDS")
    return found


def run(words: typing.Sequence[str]) -> int:
    """Runs the command; gives its exit status."""
    arguments = parser().read(words)
    console = Console(arguments.color)
    url, handlers = _named(arguments.words)
    if not 0 <= arguments.grace < float("inf"):
        raise CommandError(f"--grace: {arguments.grace} is no number of seconds", help="one is 0 or more")

    from rpcgen.cli.handlers import bound

    stubs = bound(handlers, arguments.stub)
    with explained():
        from rpcgen.runtime.tasks.worker import Worker

        try:
            worker = Worker(
                url,
                *stubs,
                concurrency=arguments.concurrency,
                contend=arguments.contend,
                name=arguments.name,
                weight=arguments.weight,
            )
        except TypeError as error:
            raise CommandError(str(error)) from error

    log_to_standard_error()

    def serve() -> None:
        worker.start()
        worker.wait(None)
        count = sum(len(stub.protocols) for stub in stubs)
        console.find(
            f"worker {worker.name} at {worker.url}: process {os.getpid()}, {plural(count, 'method')}, "
            f"{arguments.concurrency} at once"
        )
        worker.serve()

    return run_until_signal(serve, lambda: worker.close(arguments.grace), console)


def _named(words: list[str]) -> tuple[str | None, str]:
    """Tells the URL, which may be missing, and the handlers apart."""
    pointer = "`rpcgen worker --help` says how it is used"
    url = None
    if words and ("://" in words[0] or len(words) > 1):
        url, *words = words
    if not words:
        raise CommandError("handlers are missing: MODULE:HANDLERS", help=pointer)
    if len(words) > 1:
        raise CommandError(f"there is no place for {words[1]!r}", help=pointer)
    if "://" in words[0]:
        raise CommandError("handlers come after the URL", help=f"rpcgen worker {words[0]} {url}")
    return check(url), words[0]
