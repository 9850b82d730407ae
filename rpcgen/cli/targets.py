"""A target as `call` and `describe` take it: a server or a registry, named by a URL, asked what it serves.

What goes wrong on the way has an exit status of its own, so that scripts can tell: one table says which.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import typing

from rpcgen.cli.arguments import Parser
from rpcgen.cli.console import hush
from rpcgen.cli.errors import CommandError, did_you_mean
from rpcgen.cli.ls import seconds
from rpcgen.cli.registries import OWN, open_named, printable, read
from rpcgen.cli.sides import REGISTRIES, SERVERS

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.discovery.distributed import DistributedChannel
    from rpcgen.runtime.errors import RpcError
    from rpcgen.runtime.http.channel import HttpChannel
    from rpcgen.runtime.sync.client.channel import Channel

    Channels: typing.TypeAlias = Channel | DistributedChannel | HttpChannel

URLS = """\
TARGET is a server: tcp://host:port, unix:///path, http://host:port/prefix or https://…; or a
registry, of whose servers one is asked: zk://host:port,…/root, registry://host:port or
static://host:port,…"""

OPTIONS = """\
  --timeout SECONDS           wait so long for the answer (default: 10)
  --token TOKEN               an access token, for servers that want one (default: RPCGEN_TOKEN of
                              the environment, where others of this machine do not see it)
  --tls                       speak TLS with tcp:// and registries' servers, too
  --ca FILE                   trust the authority of this certificate, instead of the system's;
                              implies --tls"""

STATUSES = """\
64 and more: the call failed, 64 + the code of the fault.

  65  there is no such method            70  too much, or too many: RESOURCE_EXHAUSTED
  66  wrong arguments: BAD_REQUEST       71  no good token: UNAUTHENTICATED
  67  no time left: DEADLINE_EXCEEDED    72  not allowed: PERMISSION_DENIED
  68  it was cancelled                   73  the method failed: INTERNAL
  69  nobody to call: UNAVAILABLE        74  the connection broke: it may have run
                                         75  what came is no answer of rpcgen"""

FAULT = 64
LOST, STRANGE = FAULT + 10, FAULT + 11


def add_options(parser: Parser) -> None:
    """Adds the options that say how a target is asked."""
    parser.add_argument("--timeout", type=seconds, default=10.0, metavar="SECONDS")
    parser.add_argument("--token", metavar="TOKEN")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--ca", metavar="FILE")


def options_of(arguments: argparse.Namespace, url: str) -> dict[str, typing.Any]:
    """Gives the options of ``rpc.connect`` that those of ``add_options`` stand for.

    Raises:
        ValueError, OSError: The certificate cannot be used.
    """
    from rpcgen import runtime as rpc

    options: dict[str, typing.Any] = {"timeout": arguments.timeout}
    token = os.environ.get("RPCGEN_TOKEN", "") if arguments.token is None else arguments.token
    if token:
        options["credentials"] = token
    if arguments.ca is not None:
        options["tls"] = rpc.TLS(ca=arguments.ca)
    elif arguments.tls and not url.startswith("https://"):
        options["tls"] = True
    return options


def connected(url: str, arguments: argparse.Namespace, *, about: str = "", **options: typing.Any) -> Channels:
    """Gives a channel to a server, or to those of a registry.

    Args:
        url: Where to.
        arguments: Of the command, with those of ``add_options``.
        about: What is said before what is wrong with the URL or the options.
        **options: More of ``rpc.connect``.

    Raises:
        CommandError: It cannot be used.
    """
    from rpcgen import runtime as rpc

    hush()
    try:
        return rpc.connect(url, **options_of(arguments, url), **options)
    except (ValueError, OSError) as error:
        raise CommandError(about + printable(str(error))) from error
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("rpcgen"):
            raise
        raise CommandError(str(error)) from error


class Target:
    """A server, or a registry whose servers are asked.

    Args:
        url: As it was named.
        arguments: The options of ``add_options``.

    Raises:
        CommandError: It is no such URL.
    """

    def __init__(self, url: str, arguments: argparse.Namespace) -> None:
        self.url = url
        self.timeout: float = arguments.timeout
        self._arguments = arguments
        scheme, separator, _ = url.partition("://")
        if not separator:
            raise CommandError(f"{printable(url)!r} is no TARGET", help=_meant(url))
        if not url.startswith((*SERVERS, *REGISTRIES)):
            schemes = [known.removesuffix("://") for known in (*SERVERS, *REGISTRIES)]
            near = did_you_mean(scheme, schemes).replace("?", "://…?")
            raise CommandError(
                f"{printable(scheme)}:// is no TARGET", help=near or f"one of {', '.join(schemes)}"
            )
        self.is_registry = url.startswith(REGISTRIES)

    @contextlib.contextmanager
    def channel(self, service: str | None = None) -> collections.abc.Iterator[Channels]:
        """Connects, for a while.

        Args:
            service: Whose servers are called, of a registry's; None: each method's.

        Raises:
            CommandError: It cannot be used, or a call inside failed.
        """
        from rpcgen import runtime as rpc

        chosen = {"service": service} if self.is_registry and service is not None else {}
        with connected(self.url, self._arguments, **chosen) as channel:
            try:
                yield channel
            except rpc.RemoteException:
                raise
            except rpc.NoServers as error:
                raise self._nobody(error, service) from error
            except rpc.RpcError as error:
                found = failed(error)
                if found.status == STRANGE:
                    found.help = self._otherwise()
                raise found from error

    def describe(self, service: str | None = None) -> str:
        """Asks for the interface, as canonical text.

        Args:
            service: Of whose servers one is asked, where it is a registry; ``""``: a file's own.

        Raises:
            CommandError: It does not answer, or has no interface to tell.
        """
        from rpcgen.runtime.dispatch import Describe

        with self.channel(service or "") as channel:
            text: str = channel.call(Describe, ())
        if not text:
            raise CommandError(
                f"{printable(self.url)} does not say what it serves", help="name its file: --idl FILE"
            )
        return text

    def services(self) -> list[str]:
        """Gives the services that a registry lists; ``""`` is a file's own.

        Raises:
            CommandError: It cannot be reached.
        """
        with open_named(self.url) as registry:
            contents = read(registry, self.timeout)
            if registry.url.startswith("static://"):
                return [""]  # there is one list, for every service
        return sorted({entry.service for entry in contents.entries if entry.instance is not None})

    def _otherwise(self) -> str:
        """Says how else the server may want to be spoken to."""
        scheme, _, rest = printable(self.url).partition("://")
        if scheme == "tcp":
            return f"if that is the port for HTTP, say http://{rest}; if it speaks TLS, --tls"
        return f"if that is not the port for HTTP, say tcp://{rest}" if scheme == "http" else ""

    def _nobody(self, error: RpcError, service: str | None) -> CommandError:
        found = failed(error)
        with contextlib.suppress(CommandError):
            there = [name or OWN for name in self.services() if name != service]
            found.help = f"there are servers of {', '.join(map(printable, there))}" if there else ""
        return found


def failed(error: RpcError) -> CommandError:
    """Says what became of a call, with the exit status of that."""
    from rpcgen import runtime as rpc

    table: tuple[tuple[type[RpcError], int], ...] = (
        (rpc.Unavailable, FAULT + rpc.FaultCode.UNAVAILABLE),
        (rpc.DeadlineExceeded, FAULT + rpc.FaultCode.DEADLINE_EXCEEDED),
        (rpc.Cancelled, FAULT + rpc.FaultCode.CANCELLED),
        (rpc.ContractMismatch, FAULT + rpc.FaultCode.BAD_REQUEST),
        (rpc.EncodeError, FAULT + rpc.FaultCode.BAD_REQUEST),
        (rpc.ConnectionLost, LOST),
        (rpc.ProtocolError, STRANGE),
    )
    if isinstance(error, rpc.RemoteFault):
        status = FAULT + error.code
    else:
        status = next(status for kind, status in table if isinstance(error, kind))
    return CommandError(printable(str(error)), status=status)


def _meant(word: str) -> str:
    if os.path.exists(word):
        return f"did you mean unix://{os.path.abspath(word)}?" if not os.path.isfile(word) else ""
    host, _, port = word.partition("/")[0].rpartition(":")
    if host and port.isdecimal():
        return f"did you mean tcp://{printable(word)} or http://{printable(word)}?"
    return "one is tcp://host:port, http://host:port, or registry://host:port"
