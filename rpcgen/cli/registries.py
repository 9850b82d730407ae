"""A registry as `ls` and `doctor` take it: named by a URL, read once, shown without surprises.

What goes wrong on the way there is the user's to mend: one line that says so, and the fix.
"""

from __future__ import annotations

import typing

from rpcgen.cli.console import hush
from rpcgen.cli.errors import CommandError, did_you_mean

if typing.TYPE_CHECKING:
    from rpcgen.runtime.registry import Contents, Registry

OWN = "-"
"""How a file's own service, which has no name, is written."""

URLS = """\
URL is zk://host:port,host:port/root, registry://host:port or static://host:port,host:port;
without one it is RPCGEN_REGISTRY of the environment, else zk://127.0.0.1:2181/rpc."""


def open_named(url: str | None) -> Registry:
    """Gives the registry at a URL (None: of the environment); nothing is connected yet.

    Raises:
        CommandError: It is no URL of a registry, or its package is not installed.
    """
    from rpcgen.runtime.registry import open_registry

    hush()
    if url is not None and "://" not in url:
        host = url.partition("/")[0]
        is_host = host.rpartition(":")[2].isdecimal()
        hint = f"did you mean registry://{host} or zk://{host}/rpc?" if is_host else ""
        raise CommandError(
            f"{url!r} is no URL of a registry",
            help=hint or "one is zk://host:port/root, registry://host:port or static://host:port",
        )
    try:
        return open_registry(url)
    except ValueError as error:
        schemes = ("zk", "registry", "static")
        scheme = (url or "").partition("://")[0]
        meant = did_you_mean(scheme, schemes) if scheme not in schemes else ""
        raise CommandError(printable(str(error)), help=meant.replace("?", "://…?")) from error
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("rpcgen"):
            raise
        raise CommandError(str(error)) from error
    except ImportError as error:
        raise CommandError(str(error)) from error


def read(registry: Registry, timeout: float) -> Contents:
    """Reads everything, within so many seconds.

    Raises:
        CommandError: The registry cannot be reached, or does not let us in.
    """
    from rpcgen.runtime.errors import Unavailable

    try:
        return registry.contents(timeout)
    except Unavailable as error:
        problem = printable(error.problem)
        named = problem if registry.url in problem else f"{registry.url}: {problem}"
        raise CommandError(named, help=_remedy(registry.url, problem, error)) from error


def _remedy(url: str, problem: str, error: Exception) -> str:
    scheme, _, rest = url.partition("://")
    refused = isinstance(error.__cause__, ValueError)  # it answers, but not as is wanted
    if scheme == "registry" and refused:
        if "auth" in problem:
            return f"set RPCGEN_REGISTRY_TOKEN, or name the token in the URL: registry://TOKEN@{rest}"
        return "another program may listen there"
    if scheme == "registry":
        host, _, port = rest.partition("/")[0].rpartition(":")
        return f"start it, `rpcgen registry --host {host.strip('[]')} --port {port}`, or name another URL"
    if scheme == "zk" and "did not answer" in problem:
        return "start ZooKeeper there, or name another: zk://host:port/root"
    return ""


def printable(text: str, width: int | None = None) -> str:
    """Makes what others wrote safe on a terminal: escapes for what is not printed, at most so many characters."""
    shown = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text[:width]
    )
    return shown if width is None or len(text) <= width else f"{shown[: width - 1]}…"
