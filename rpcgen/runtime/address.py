"""Where a server listens, as an address and as text."""

from __future__ import annotations

from rpcgen.runtime.records import Record


class Address(Record):
    """A TCP address (``host`` and ``port``) or that of a Unix socket (``path``).

    ``str()`` gives it as a URL, ``tcp://host:port`` or ``unix:///path``.
    """

    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"

    @property
    def lookup(self) -> str | bytes:
        """The host as ``getaddrinfo`` takes it: a plain name or number in bytes, which loads no tables of IDNA."""
        return self.host.encode() if self.host.isascii() else self.host

    @classmethod
    def of(cls, host: str, port: int | None) -> Address:
        """Gives the address that a program names by host and port.

        Args:
            host: A name, an IPv4 or IPv6 address, or ``unix:///path``.
            port: 0 to 65535; None with ``unix:///path``.

        Raises:
            ValueError: They name no address; the message says what would.
        """
        if host.startswith("unix://"):
            if port is not None:
                raise ValueError(f"{host} takes no port: give None, not {port!r}")
            return cls._unix(host)
        if "://" in host:
            raise ValueError(f"{host!r} is a URL where a host stands: rpc.connect takes URLs")
        if port is None:
            raise ValueError(f"a port is missing for host {host!r}: only unix:///path has none")
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
            raise ValueError(f"{port!r} is no port: one is a number from 0 to 65535")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        return cls(host, port)

    @classmethod
    def parse(cls, url: str) -> Address:
        """Gives the address of ``tcp://host:port``, ``tcp://[::1]:port`` or ``unix:///path``.

        Raises:
            ValueError: It is no such URL.
        """
        if url.startswith("unix://"):
            return cls._unix(url)
        scheme, separator, rest = url.partition("://")
        host, colon, port = rest.rpartition(":")
        bare = ":" in host and not (host.startswith("[") and host.endswith("]"))
        if scheme != "tcp" or not separator or not colon or not host or bare or not port.isdecimal():
            raise ValueError(
                f"{url!r} is no address: one is tcp://host:port, tcp://[::1]:port or unix:///path"
            )
        return cls.of(host, int(port))

    @classmethod
    def _unix(cls, url: str) -> Address:
        path = url.removeprefix("unix://")
        if not path.startswith("/"):
            raise ValueError(f"{url!r} names no absolute path: unix:///tmp/service.sock has three slashes")
        # sun_path has room for 108 bytes on Linux and 104 on macOS, the closing zero included.
        if len(path.encode()) > 103:
            raise ValueError(f"{path!r} is too long for a Unix socket: at most 103 bytes")
        return cls("", 0, path)
