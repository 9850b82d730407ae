"""Real HTTP servers as processes, each on a free port of 127.0.0.1."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import typing

from tests.support.processes import ROOT
from tests.support.waiting import PATIENCE, until

_APP = "tests.support.http_service:app"
_UVICORN = ["-m", "uvicorn", "--port", "0", "--log-level", "warning"]
COMMANDS = {
    "uvicorn-h11": [*_UVICORN, "--http", "h11", "--loop", "asyncio"],
    "uvicorn": _UVICORN,
    "granian": ["-m", "granian", "--interface", "asgi", "--port", "0", "--no-access-log"],
    "hypercorn": ["-m", "hypercorn", "--bind", "127.0.0.1:0", "--log-level", "warning"],
}


@contextlib.contextmanager
def server(kind: str, app: str = _APP) -> typing.Iterator[int]:
    """Runs an application under a server of a kind; gives its port once it listens."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, *COMMANDS[kind], app],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "generated")])},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # so that its own processes can be ended with it
        )
        try:
            until(lambda: process.poll() is not None or _ports(process.pid))
            log.seek(0)
            assert process.poll() is None, log.read().decode()
            (port,) = _ports(process.pid)
            yield port
            process.terminate()
            process.wait(PATIENCE)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)


def _ports(session: int) -> set[int]:
    """Gives the ports at which the processes of a session listen."""
    listening = {}
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *rest = line.split()
        if state == "0A":
            listening[f"socket:[{rest[5]}]"] = int(local.rpartition(":")[2], 16)
    found = set()
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it may be gone, or another's
            if int(process.joinpath("stat").read_text().rpartition(")")[2].split()[3]) == session:
                links = [os.readlink(link) for link in process.joinpath("fd").iterdir()]
                found |= {listening[link] for link in links if link in listening}
    return found
