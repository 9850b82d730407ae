"""``rpcgen serve``: handlers served on both ways by one process, and what it says when it cannot."""

from __future__ import annotations

import pathlib
import re
import socket
import threading
import typing

import httpx
import pytest
from service import ClientStub, InvalidOperation

from rpcgen import cli, runtime as rpc
from tests.cli.command import Running, rpcgen, write
from tests.support.processes import ROOT
from tests.support.waiting import PATIENCE

WORK = """\
import asyncio
from service import InvalidOperation

class Handlers:
    async def divide(self, num1, num2):
        if num2 == 0:
            raise InvalidOperation("no")
        if num2 == 99:
            print("entered", flush=True)
            await asyncio.sleep(0.5)
        return num1 / num2
"""
PATHS = {"PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}", "RPCGEN_REGISTRY": ""}
SERVE = ("serve", "work:Handlers", "--stub", "service")


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """The current folder, with handlers in it."""
    return write(tmp_path, {"work.py": WORK})


@pytest.fixture
def both(folder: pathlib.Path) -> typing.Iterator[tuple[Running, str, str]]:
    """The command while it serves both ways; its two URLs."""
    command = Running(*SERVE, "--port", "0", "--http", "0", cwd=folder, **PATHS)
    try:
        said = command.until("serving at")[-1]
        found = re.match(
            r"serving at (tcp://127\.0\.0\.1:\d+) and (http://127\.0\.0\.1:\d+): process \d+, 1 method$", said
        )
        assert found, said
        yield command, found[1], found[2]
    finally:
        command.close()


def test_both_ways_are_served(both: tuple[Running, str, str]) -> None:
    command, tcp, url = both
    with rpc.connect(tcp) as channel:
        stub = ClientStub(channel)
        assert stub.divide(7, 2) == 3.5
        with pytest.raises(InvalidOperation):
            stub.divide(7, 0)
    with httpx.Client(base_url=url) as client:
        assert client.post("/divide", json={"num1": 7, "num2": 2}).json() == {"result": 3.5}
        assert client.post("/divide", json={"num1": 7, "num2": 0}).status_code == 409
        assert "server" not in client.get("/healthz").headers
    assert command.end() == 0


def test_what_runs_comes_to_its_end(both: tuple[Running, str, str]) -> None:
    command, _, url = both
    answers: list[httpx.Response] = []

    def call() -> None:
        answers.append(httpx.post(f"{url}/divide", json={"num1": 99, "num2": 99}, timeout=PATIENCE))

    thread = threading.Thread(target=call)
    thread.start()
    command.until("entered")
    assert command.end() == 0
    thread.join(PATIENCE)
    assert answers[0].json() == {"result": 1.0}


def test_http_alone(folder: pathlib.Path) -> None:
    command = Running(*SERVE, "--http", "0", "--cors", "*", cwd=folder, **PATHS)
    try:
        said = command.until("serving at")[-1]
        url = said.split()[2].rstrip(":")
        answer = httpx.get(f"{url}/healthz", headers={"origin": "https://a.example"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert command.end() == 0
    finally:
        command.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "handlers are missing: MODULE:HANDLERS"),
        (["work:Handlers"], "--stub is missing"),
        ([*SERVE[1:], "--port", "x"], "--port: 'x' is no port"),
        ([*SERVE[1:], "--http", "70000"], "--http: '70000' is no port"),
        ([*SERVE[1:], "--grace", "-1"], "--grace: -1.0 is no number of seconds"),
        ([*SERVE[1:], "--http", "0", "--registry", "zk://a"], "--registry is for --port"),
        ([*SERVE[1:], "--cors", "*"], "--cors is for --http"),
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert cli.main(["serve", *words]) == 2
    out, log = capsys.readouterr()
    assert (out, said in log) == ("", True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*SERVE, "--http", "0", "--cors", "a"], "'a' is no origin"),
        ([*SERVE, "--port", "0", "--registry", "etcd://a"], "etcd"),
        (["serve", "work:Nothing", "--stub", "service"], "has no Nothing"),
    ],
)
def test_what_cannot_be_served(folder: pathlib.Path, words: list[str], said: str) -> None:
    ended = rpcgen(*words, cwd=folder, **PATHS)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.log
    assert "Traceback" not in ended.log


def test_ports_that_are_taken(folder: pathlib.Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for option in ("--port", "--http"):
            ended = rpcgen(*SERVE, option, port, cwd=folder, **PATHS)
            assert ended.status == 2
            assert f"cannot listen at tcp://127.0.0.1:{port}" in ended.log
            assert f"{option} 0 takes a free port" in ended.log
