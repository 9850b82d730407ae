"""nginx in front of a server, as a process: it listens at a Unix socket, and needs no rights and no folder but its own."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import subprocess
import typing

import pytest

from tests.support.waiting import PATIENCE, until

_CONFIGURATION = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    gzip on;
    gzip_proxied any;
    gzip_types application/json;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream application {{ server 127.0.0.1:{port}; keepalive 4; }}
    server {{
        listen unix:{folder}/nginx.sock;
        client_max_body_size 32m;
        location / {{ proxy_pass http://127.0.0.1:{port}; }}
        location /kept/ {{
            proxy_pass http://application/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""


MISSING = """\
no nginx found. It is installed by
  Debian, Ubuntu:  make programs   (apt-get; no daemon is started)
  macOS:           brew install nginx"""


def find_nginx() -> str | None:
    """Gives the nginx to run, which may be where only root has it on PATH."""
    return shutil.which(
        "nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/opt/homebrew/bin"
    )


@contextlib.contextmanager
def nginx(folder: pathlib.Path, port: int) -> typing.Iterator[str]:
    """Runs nginx before a server; gives the path of its socket.

    ``/`` is handed on by HTTP/1.0, a connection for each request; ``/kept/`` by 1.1, on connections that are kept.

    Args:
        folder: Its own, of a short path.
        port: The server's, on 127.0.0.1.
    """
    program = find_nginx()
    if program is None:
        pytest.skip(MISSING)
    configuration = folder / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder, port=port), encoding="utf-8")
    sock = folder / "nginx.sock"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-p", folder, "-c", configuration], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        until(lambda: sock.exists() or process.poll() is not None, (folder / "log").read_text)
        assert process.poll() is None, (folder / "log").read_text()
        yield str(sock)
    finally:
        process.kill()
        process.wait(PATIENCE)
