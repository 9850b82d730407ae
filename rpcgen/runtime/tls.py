"""TLS for channels and servers: certificates by file name, safe settings, mutual where it is asked for.

What is given as ``tls=`` becomes an ``ssl.SSLContext`` here; a program that has one of its own may give
that. ``ssl`` is loaded only where there is TLS.
"""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    import os
    import ssl

    File: typing.TypeAlias = "str | os.PathLike[str]"


class TLS:
    """Certificates of one end; both ends speak TLS 1.2 or newer.

    A server has a certificate and its key; with ``ca``, it lets in clients with a certificate of that
    authority alone. A client trusts ``ca``, or what the system trusts, and shows its own certificate to
    a server that asks for one. Its server's certificate must be for the host that it connects to::

        ThreadServer(host, port, Handlers(), tls=rpc.TLS(certificate="server.pem", key="server.key"))
        Channel(host, port, tls=rpc.TLS(ca="ca.pem"))

    Args:
        ca: A file of authorities' certificates (PEM), or a folder of them as OpenSSL names them.
        certificate: A file with this end's certificate, and those between it and the authority.
        key: A file with its key; None: the certificate's file holds it, too.
        password: Of the key.
        name: A client's: the name that the server's certificate is for, where that is not its host.

    Raises:
        ValueError: There is a key or a password without a certificate.
    """

    __slots__ = ("_password", "ca", "certificate", "key", "name")

    def __init__(
        self,
        *,
        ca: File | None = None,
        certificate: File | None = None,
        key: File | None = None,
        password: str | None = None,
        name: str | None = None,
    ) -> None:
        if certificate is None and (key is not None or password is not None):
            raise ValueError("a key without a certificate: name the certificate's file, too")
        self.ca = ca
        self.certificate = certificate
        self.key = key
        self._password = password
        self.name = name

    def of_client(self) -> ssl.SSLContext:
        """Gives the settings of a channel.

        Raises:
            OSError: A file cannot be read, or holds no such thing; the message names it.
        """
        import ssl

        if self.ca is None:
            context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
        else:
            # Without the system's authorities; and not as strict as Python's default is from 3.13 on, which refuses
            # those that `openssl req -x509` makes.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._trust(context)
        self._show(context)
        return context

    def of_server(self) -> ssl.SSLContext:
        """Gives the settings of a server.

        Raises:
            OSError: As ``of_client``.
            ValueError: A server needs a certificate.
        """
        import ssl

        if self.certificate is None:
            raise ValueError("a server with TLS needs a certificate: rpc.TLS(certificate=…, key=…)")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._show(context)
        if self.ca is not None:
            self._trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _trust(self, context: ssl.SSLContext) -> None:
        import os

        assert self.ca is not None
        is_folder = os.path.isdir(self.ca)
        try:
            if is_folder:
                context.load_verify_locations(capath=self.ca)
            else:
                context.load_verify_locations(cafile=self.ca)
        except OSError as error:
            raise _unreadable(error, "certificates of authorities", self.ca) from error

    def _show(self, context: ssl.SSLContext) -> None:
        import ssl

        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate is None:
            return
        try:
            context.load_cert_chain(self.certificate, self.key, self._password)
        except OSError as error:
            where = f"{self.certificate}" if self.key is None else f"{self.certificate} with {self.key}"
            raise _unreadable(error, "a certificate and its key", where) from error

    def __repr__(self) -> str:
        named = ((name, getattr(self, name)) for name in ("ca", "certificate", "key", "name"))
        return f"TLS({', '.join(f'{name}={str(value)!r}' for name, value in named if value is not None)})"


def client_context(tls: TLS | ssl.SSLContext | bool | None) -> tuple[ssl.SSLContext, str | None] | None:
    """Gives the settings of a channel, and the name to expect if it is not the host; None: there is no TLS.

    Args:
        tls: What the program said; True: the system's authorities are trusted.

    Raises:
        OSError, TypeError: As ``TLS`` and ``server_context``.
    """
    if not tls:
        return None
    if tls is True:
        tls = TLS()
    if isinstance(tls, TLS):
        return tls.of_client(), tls.name
    return _given(tls), None


def server_context(tls: TLS | ssl.SSLContext | None) -> ssl.SSLContext | None:
    """Gives the settings of a server; None: there is no TLS.

    Raises:
        OSError, ValueError: As ``TLS``.
        TypeError: It is something else.
    """
    if tls is None:
        return None
    return tls.of_server() if isinstance(tls, TLS) else _given(tls)


def _given(tls: ssl.SSLContext) -> ssl.SSLContext:
    import ssl

    if not isinstance(tls, ssl.SSLContext):
        raise TypeError(f"tls is rpc.TLS(…) or an ssl.SSLContext, not {tls!r}")
    return tls


def _unreadable(error: OSError, what: str, where: object) -> OSError:
    found = error.strerror or getattr(error, "reason", None) or str(error)
    return OSError(f"cannot load {what} from {where}: {found}")
