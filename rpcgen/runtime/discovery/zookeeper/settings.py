"""What a ``zk://`` URL and its options say, checked before anything is connected."""

from __future__ import annotations

import difflib
import os
import re
import typing
import urllib.parse

import msgspec

if typing.TYPE_CHECKING:
    import ssl

PORT = 2181
ROOT = "/rpc"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a ZooKeeper registry can be told.

    Args:
        hosts: ``host:port``, each.
        root: Where the entries of a file's own service stand; those of NAME are under ``ROOT-services/NAME``.
        timeout: Seconds of a session: how long an entry outlives its server. ZooKeeper may grant others.
        check: Seconds between looks at what no watch told of.
        user: Of digest authentication.
        password: Of digest authentication.
        tls: Speak TLS; ``ca``, ``cert`` and ``key`` alone say so, too.
        ca: A PEM file that vouches for ZooKeeper; without it the system's do.
        cert: A PEM file with our certificate.
        key: A PEM file with our key; without it ``cert`` holds it.
        key_password: Of the key.
        verify: Check ZooKeeper's certificate, and the host's name in it.
    """

    hosts: tuple[str, ...]
    root: str = ROOT
    timeout: float = 10.0
    check: float = 15.0
    user: str = ""
    password: str = ""
    tls: bool = False
    ca: str = ""
    cert: str = ""
    key: str = ""
    key_password: str = ""
    verify: bool = True

    @property
    def url(self) -> str:
        """The URL without options and secrets."""
        return f"zk://{','.join(self.hosts)}{self.root}"

    def context(self) -> ssl.SSLContext | None:
        """Gives what TLS needs; None without it.

        Raises:
            ValueError: A file cannot be read, or is not what it should be.
        """
        if not (self.tls or self.ca or self.cert):
            return None
        import ssl

        from rpcgen.runtime.tls import TLS

        for option in ("ca", "cert", "key"):
            path = getattr(self, option)
            if path and not os.access(path, os.R_OK):
                raise ValueError(f"{self.url}: {option}={path} is no file that can be read")
        tls = TLS(
            ca=self.ca or None,
            certificate=self.cert or None,
            # Those of no certificate count for nothing.
            key=(self.cert and self.key) or None,
            password=(self.cert and self.key_password) or None,
        )
        try:
            context = tls.of_client()
        except OSError as error:
            raise ValueError(f"{self.url}: ca, cert or key is no PEM file of its kind: {error}") from error
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


OPTIONS = tuple(name for name in Settings.__struct_fields__ if name not in ("hosts", "root"))

# RFC 3986, appendix B. Python's own reads one host, and from 3.13 on refuses several with brackets among them.
_URL: typing.Final = re.compile(r"(?:([^:/?#]*)://)?([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL)


def read(url: str, options: typing.Mapping[str, object]) -> Settings:
    """Reads ``zk://user:password@host:port,host:port/root?option=value``.

    Args:
        url: The scheme may be left out: ``host:port,host:port``.
        options: Count before those in the URL.

    Raises:
        ValueError: A host, a port or an option is none; the message names it.
    """
    parts = _URL.fullmatch(url)
    assert parts is not None
    scheme, authority, path, query = parts.groups("")
    # Whatever a message quotes, the password is not in it.
    credentials, _, hosts = authority.rpartition("@")
    shown = f"zk://{hosts}{path}"
    if scheme.lower() not in ("zk", ""):
        raise ValueError(f"{shown}: a ZooKeeper registry is zk://host:port,host:port/root")
    told: dict[str, object] = {
        "hosts": tuple(_host(host, shown) for host in hosts.split(",")),
        "root": _root(urllib.parse.unquote(path), shown),
    }
    if credentials:
        user, _, password = credentials.partition(":")
        told |= {"user": urllib.parse.unquote(user), "password": urllib.parse.unquote(password)}
    for name, value in [*urllib.parse.parse_qsl(query, keep_blank_values=True), *options.items()]:
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(OPTIONS)}"
            raise ValueError(f"{shown} has no option {name}: {hint}")
        told[name] = value
    return _checked(told, shown)


def _checked(told: dict[str, object], shown: str) -> Settings:
    for name in ("tls", "verify"):
        if isinstance(value := told.get(name), str):
            told[name] = {"yes": True, "on": True, "no": False, "off": False}.get(value.lower(), value)
    try:
        settings = msgspec.convert(told, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"{shown}: an option has the wrong type: {error}") from None
    for name in ("timeout", "check"):
        if not 0 < getattr(settings, name) <= 86400:
            raise ValueError(f"{shown}: {name} is seconds, more than 0: {getattr(settings, name)!r}")
    if ":" in settings.user or bool(settings.user) != bool(settings.password):
        raise ValueError(f"{shown}: user (without a colon) and password belong together")
    return settings


def _host(text: str, shown: str) -> str:
    try:
        parts = urllib.parse.urlsplit(f"//{text.strip()}")
        name, port = parts.hostname, PORT if parts.port is None else parts.port
    except ValueError:
        name, port = None, 0
    if not name or port == 0:
        raise ValueError(f"{shown}: {text!r} is no host: one is name:port, the port from 1 to 65535")
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _root(path: str, shown: str) -> str:
    root = path.rstrip("/")
    if not root:
        return ROOT
    steps = root.split("/")[1:]
    if any(step in ("", ".", "..") for step in steps) or not root.isprintable():
        raise ValueError(f"{shown}: {path!r} is no path of ZooKeeper: one is /name/name")
    return root
