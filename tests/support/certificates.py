"""Certificates for tests, made once a run by the ``openssl`` command."""

from __future__ import annotations

import functools
import pathlib
import shutil
import subprocess
import tempfile
import typing

import pytest

from rpcgen import runtime as rpc

if typing.TYPE_CHECKING:
    import os


class Authority:
    """An authority and what it has signed: ``server`` and ``client``, both for 127.0.0.1 and localhost.

    Args:
        folder: Where the files are made.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost\n")
        ca = ("-x509", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority")
        self._openssl(*new, *ca)
        for name in ("server", "client"):
            self._openssl(*new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
            self._openssl(
                *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
                *("-CAcreateserial", "-days", "2", "-extfile", "names", "-out", f"{name}.pem"),
            )

    @property
    def ca(self) -> pathlib.Path:
        """The authority's own certificate."""
        return self.folder / "ca.pem"

    def server(self, *, ca: os.PathLike[str] | None = None) -> rpc.TLS:
        """Gives a server's TLS; with ``ca`` it wants certificates of that authority from its clients."""
        return rpc.TLS(certificate=self.folder / "server.pem", key=self.folder / "server.key", ca=ca)

    def client(self, *, shows: Authority | None = None, name: str | None = None) -> rpc.TLS:
        """Gives a client's TLS, which trusts this authority, and shows the certificate of one."""
        if shows is None:
            return rpc.TLS(ca=self.ca, name=name)
        certificate, key = shows.folder / "client.pem", shows.folder / "client.key"
        return rpc.TLS(ca=self.ca, certificate=certificate, key=key, name=name)

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)


_made = tempfile.TemporaryDirectory(prefix="rpcgen-certificates-")
"""Removed when the process ends."""


@functools.cache
def authority(name: str = "ours") -> Authority:
    """Gives an authority, made when it is asked for first; two names are two that know nothing of each other."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificates of this test")
    folder = pathlib.Path(_made.name) / name
    folder.mkdir()
    return Authority(folder)
