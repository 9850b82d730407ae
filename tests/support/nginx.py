"""nginx in front of a server, as a process: it listens at a Unix socket, and needs no rights and no folder but its own."""

from __future__ import annotations

import contextlib
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


@contextlib.contextmanager
def nginx(folder: pathlib.Path, port: int) -> typing.Iterator[str]:
    """Runs nginx before a server; gives the path of its socket.

    ``/`` is handed on by HTTP/1.0, a connection for each request; ``/kept/`` by 1.1, on connections that are kept.

    Args:
        folder: Its own, of a short path.
        port: The server's, on 127.0.0.1.
    """
    program = shutil.which(
        "nginx", path="/usr/sbin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/bin:/usr/bin"
    )
    if program is None:
        pytest.skip("no nginx found: apt-get install nginx-light, or brew install nginx")
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
