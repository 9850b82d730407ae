"""``rpcgen registry``: what it prints, how it ends, what it refuses."""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import signal
import socket
import subprocess
import typing

import pytest

from rpcgen.runtime.registry import Instance, open_registry
from tests.cli.command import COMMAND, environment, rpcgen

DEADLINE = 30.0


class Running(typing.NamedTuple):
    """The command while it runs, its first line, and where it listens."""

    process: subprocess.Popen[str]
    said: str
    host: str
    port: int

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Sends a signal; gives the exit status and what came on standard error."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE), self.process.communicate()[1]


@contextlib.contextmanager
def registry(*words: str, cwd: pathlib.Path, **changes: str) -> typing.Iterator[Running]:
    with subprocess.Popen(
        [*COMMAND, "registry", "--port", "0", *words],
        cwd=cwd,
        env=environment(RPCGEN_REGISTRY_TOKEN="") | changes,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            said = process.stdout.readline().rstrip("\n")
            found = re.fullmatch(r"registry at tcp://(.*):(\d+); export RPCGEN_REGISTRY=registry://\S+", said)
            assert found, said + process.stderr.read()
            yield Running(process, said, found[1], int(found[2]))
        finally:
            process.kill()


def query(port: int, **more: str) -> dict[str, typing.Any]:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as sock,
        sock.makefile("rb") as lines,
    ):
        sock.sendall(json.dumps({"type": "query", "key": "all", **more}).encode() + b"\n")
        answer: dict[str, typing.Any] = json.loads(lines.readline())
        return answer


def test_it_says_where_it_listens_and_what_to_set(tmp_path: pathlib.Path) -> None:
    with registry(cwd=tmp_path) as running:
        url = f"registry://127.0.0.1:{running.port}"
        assert running.said == f"registry at tcp://127.0.0.1:{running.port}; export RPCGEN_REGISTRY={url}"
        with open_registry(url) as found:
            assert found.register("", Instance("127.0.0.1", 1)).wait(DEADLINE)
            assert len(query(running.port)["services"]["rpc"]) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(tmp_path: pathlib.Path, number: signal.Signals) -> None:
    with (
        registry("--data", "data", cwd=tmp_path) as running,
        socket.create_connection(("127.0.0.1", running.port)),
    ):
        assert running.end(number) == (0, "")


def test_data_are_there_after_kill_9_and_one_registry_has_them(tmp_path: pathlib.Path) -> None:
    entry = b'{"type":"register","key":"k","values":1,"timeout":600}\n'
    with registry("--data", "data", cwd=tmp_path) as running:
        with socket.create_connection(("127.0.0.1", running.port)) as sock:
            sock.sendall(entry)
            assert sock.recv(1000).startswith(b'{"ok":true')
        second = rpcgen("registry", "--port", "0", "--data", "data", cwd=tmp_path)
        assert (second.status, second.out) == (2, "")
        assert second.log == (
            f"rpcgen registry: the folder data is in use by another registry, process {running.process.pid}: "
            "stop that one, or name another folder\n"
        )
        running.end(signal.SIGKILL)
    with registry("--data", "data", cwd=tmp_path) as running:
        assert list(query(running.port)["services"]) == ["k"]


@pytest.mark.parametrize("way", ["environment", "option", "both"])
def test_a_token_is_asked_for_and_never_shown(tmp_path: pathlib.Path, way: str) -> None:
    words = [] if way == "environment" else ["--token", "secret"]
    changes = {"environment": "secret", "option": "", "both": "other"}[way]
    with registry("--host", "0.0.0.0", *words, cwd=tmp_path, RPCGEN_REGISTRY_TOKEN=changes) as running:
        assert query(running.port)["error"].startswith("auth: this registry has a token")
        assert query(running.port, auth="secret")["ok"]
        assert "secret" not in running.said
        assert running.end(signal.SIGTERM) == (0, "")


def test_without_a_token_it_warns_where_others_can_reach_it(tmp_path: pathlib.Path) -> None:
    with registry("--host", "0.0.0.0", cwd=tmp_path) as running:
        assert running.said.endswith(f"registry://{socket.gethostname()}:{running.port}")
        assert running.end(signal.SIGTERM) == (
            0,
            f"rpcgen registry: warning: whoever reaches tcp://0.0.0.0:{running.port} can register and remove "
            "servers\n  = help: set RPCGEN_REGISTRY_TOKEN, here and for servers and clients\n",
        )


def test_a_taken_port_is_named_with_the_way_out(tmp_path: pathlib.Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = rpcgen("registry", "--port", str(port), cwd=tmp_path)
    assert (ended.status, ended.out) == (2, "")
    assert ended.log == (
        f"rpcgen registry: cannot listen at tcp://127.0.0.1:{port}: Address already in use\n"
        "  = help: is one running already? --port 0 takes a free port\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "x"], "--port: 'x' is no port\n  = help: one is a number from 0 to 65535\n"),
        (["--port", "65536"], "--port: '65536' is no port\n"),
        (["--port", "9" * 5000], "--port: '999"),
        (["--port", "-1"], "--port: '-1' is no port\n"),
        (["--token", ""], "--token is empty\n"),
        (["--data", ""], "--data is empty\n"),
        (["--host", "tcp://h"], "'tcp://h' is a URL where a host stands"),
        (["--host", "no.such.host.invalid"], "cannot listen at tcp://no.such.host.invalid:0: "),
        (["--data", "file"], "cannot use the folder file: file: File exists\n"),
        (["--prot", "1"], "there is no option --prot\n  = help: did you mean --port?\n"),
        (["extra"], "there is no place for 'extra'\n"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: pathlib.Path, words: list[str], said: str) -> None:
    (tmp_path / "file").write_text("")
    port = [] if "--port" in words else ["--port", "0"]
    ended = rpcgen("registry", *port, *words, cwd=tmp_path)
    assert (ended.status, ended.out) == (2, "")
    assert ended.log.startswith(f"rpcgen registry: {said}")
