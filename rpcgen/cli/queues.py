"""A queue of tasks as `master`, `worker` and `tasks` take it: named by a URL; what cannot be used is explained.

What goes wrong on the way there is the user's to mend: one line that says so, and the fix.
"""

from __future__ import annotations

import collections.abc
import contextlib
import os
import signal
import typing

from rpcgen.cli.errors import CommandError
from rpcgen.cli.registries import printable

if typing.TYPE_CHECKING:
    from rpcgen.cli.console import Console

URLS = """\
URL is zk://host:port,host:port/root; without one it is RPCGEN_REGISTRY of the environment, else
zk://127.0.0.1:2181/rpc."""

_REMEDY = "start ZooKeeper there, or name another: zk://host:port/root"


def check(url: str | None) -> str | None:
    """Gives the URL of a queue back (None: of the environment).

    Raises:
        CommandError: It is the URL of something else, or none.
    """
    from rpcgen.runtime.registry import ENVIRONMENT

    said, where = url, ""
    if said is None:
        said = os.environ.get(ENVIRONMENT)
        where = f"{ENVIRONMENT}: "
        if not said:
            return None
    scheme, separator, rest = said.partition("://")
    if not separator:
        host = said.partition("/")[0]
        hint = f"did you mean zk://{host}/rpc?" if host.rpartition(":")[2].isdecimal() else ""
        raise CommandError(f"{where}{said!r} is no URL of a queue", help=hint or "one is zk://host:port/root")
    if scheme != "zk":
        shown = printable(f"{scheme}://{rest.rpartition('@')[2]}")
        raise CommandError(
            f"{where}{shown}: tasks are queued in ZooKeeper alone", help="name one: zk://host:port/root"
        )
    return url


@contextlib.contextmanager
def explained() -> collections.abc.Iterator[None]:
    """Says what is the user's to mend: a URL, an option, a package that is missing, a ZooKeeper that is away."""
    from rpcgen.runtime.errors import ConnectionLost, Unavailable

    try:
        yield
    except (Unavailable, ConnectionLost) as error:
        problem = printable(error.problem)
        url = error.peer or ""
        named = problem if not url or url in problem else f"{url}: {problem}"
        raise CommandError(named, help=_REMEDY if "out of reach" in problem else "") from error
    except ValueError as error:
        raise CommandError(printable(str(error))) from error
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("rpcgen"):
            raise
        raise CommandError(str(error)) from error
    except ImportError as error:
        raise CommandError(str(error)) from error


def log_to_standard_error() -> None:
    """Shows what the runtime and the user's own code log, from INFO on."""
    import logging

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # What it says of each connection is for its own developers; what matters we say ourselves.
    logging.getLogger("kazoo").setLevel(logging.ERROR)


def run_until_signal(
    run: collections.abc.Callable[[], None], close: collections.abc.Callable[[], None], console: Console
) -> int:
    """Runs a master or a worker until SIGINT or SIGTERM; a second one ends it at once.

    Args:
        run: Returns when it is closed.
        close: Ends it in peace.
        console: Says that it ends.

    Returns:
        The exit status.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        try:
            run()
        except KeyboardInterrupt:
            console.log("ending; a second signal ends it at once")
            close()
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0
