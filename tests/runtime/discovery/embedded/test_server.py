"""The server over real sockets, as with netcat; and what clients do that none should."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import pathlib
import signal
import socket
import threading
import typing

import hypothesis
import hypothesis.strategies as st
import pytest

from rpcgen.runtime.address import Address
from rpcgen.runtime.discovery.embedded import connections
from rpcgen.runtime.discovery.embedded.server import RegistryServer, RunningClock, registry_url
from tests.support import processes, raw

QUERY = b'{"type":"query","key":"all"}\n'
EMPTY = b'{"ok":true,"services":{}}\r\n'
DEADLINE = 30.0


class Netcat:
    """A connection that sends bytes and reads lines; a read that waits for long fails."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lines = self.sock.makefile("rb")

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._lines.close()
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def line(self) -> bytes:
        return self._lines.readline()

    def ask(self, data: bytes) -> bytes:
        self.send(data)
        return self.line()


def test_a_session_by_hand(server: RegistryServer) -> None:
    with Netcat(server.port) as nc, Netcat(server.port) as watcher:
        first = watcher.ask(b'{"type":"watch","key":"rpc"}\n')
        assert first.startswith(b'{"ok":true,"services":{"rpc":[]},"settling":1')
        answer = nc.ask(b'{"type":"register","key":"rpc","values":{"host":"h","port":1},"timeout":"30"}\r\n')
        assert answer == b'{"ok":true,"key":"rpc","id":"","timeout":30,"token":null}\r\n'
        told = watcher.line()
        assert told.startswith(b'{"ok":true,"changed":"rpc","put":[{"id":"","values":{"host":"h","port":1},')
        assert nc.ask(QUERY).startswith(b'{"ok":true,"services":{"rpc":[{"id":"","values":')
        assert nc.ask(b"help\n") == b'{"ok":false,"error":"not JSON: invalid character (byte 0)"}\r\n'
        assert nc.ask(b'{"type":"destruction","key":"rpc"}\n') == b'{"ok":true,"removed":1}\r\n'
        assert watcher.line() == b'{"ok":true,"changed":"rpc","put":[],"removed":[""]}\r\n'


def test_a_client_that_ends_its_side_gets_its_answers(server: RegistryServer) -> None:
    with raw.connection(server.port) as sock:
        sock.sendall(QUERY * 200 + QUERY.strip())
        sock.shutdown(socket.SHUT_WR)
        assert raw.to_the_end(sock) == EMPTY * 201


def test_an_entry_expires_by_itself(server: RegistryServer) -> None:
    with Netcat(server.port) as nc:
        nc.ask(b'{"type":"watch","key":"k"}\n')
        nc.ask(b'{"type":"register","key":"k","id":"i","values":1,"timeout":1}\n')
        assert b'"put":[{' in nc.line()
        assert nc.line() == b'{"ok":true,"changed":"k","put":[],"removed":["i"]}\r\n'


@pytest.fixture(scope="module")
def lasting() -> typing.Iterator[int]:
    """The port of a registry for many examples."""
    with RegistryServer(port=0) as serving:
        yield serving.port


@hypothesis.given(st.lists(st.binary(max_size=50).map(lambda data: data.replace(b"\n", b"")), max_size=20))
def test_any_bytes_give_a_line_each_and_hurt_nobody(lasting: int, lines: list[bytes]) -> None:
    with raw.connection(lasting) as sock:
        sock.sendall(b"".join(line + b"\n" for line in lines))
        sock.shutdown(socket.SHUT_WR)
        answers = raw.to_the_end(sock).split(b"\r\n")
    assert answers.pop() == b""
    assert len(answers) == len(lines)
    assert all(isinstance(json.loads(answer)["ok"], bool) for answer in answers)
    with Netcat(lasting) as nc:
        assert nc.ask(QUERY).startswith(b'{"ok":true')


@hypothesis.given(st.lists(st.integers(0, 300), max_size=5))
def test_any_split_of_the_bytes_gives_the_same_answers(lasting: int, cuts: list[int]) -> None:
    data = (
        b'{"type":"register","key":"split","id":"i","values":{"a":"\xc3\xa4"},"timeout":"9"}\r\n'
        b'sense\n\n{"type":"register","key":"split","id":"i"}\n{"type":"destruction","key":"split"}\n'
        b'{"type":"query","key":"split"}\n'
    )
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    with raw.connection(lasting) as sock:
        for start, end in itertools.pairwise(places):
            sock.sendall(data[start:end])
        sock.shutdown(socket.SHUT_WR)
        answers = raw.to_the_end(sock)
    assert answers == (
        b'{"ok":true,"key":"split","id":"i","timeout":9,"token":null}\r\n'
        b'{"ok":false,"error":"not JSON: invalid character (byte 0)"}\r\n'
        b'{"ok":false,"error":"the line is empty"}\r\n'
        b'{"ok":true,"key":"split","id":"i","timeout":9,"token":null}\r\n'
        b'{"ok":true,"removed":1}\r\n'
        b'{"ok":true,"services":{"split":[]}}\r\n'
    )


@pytest.mark.parametrize("ending", [b"\n", b""])
def test_a_line_over_64_kib_is_answered_and_ends_the_connection(
    server: RegistryServer, ending: bytes
) -> None:
    with raw.connection(server.port) as sock:
        sock.sendall(QUERY + b"x" * 300_000 + ending + QUERY)
        assert raw.to_the_end(sock) == EMPTY + (
            b'{"ok":false,"error":"the line is longer than 65536 bytes; the connection is closed"}\r\n'
        )


def test_a_line_of_64_kib_is_taken(server: RegistryServer) -> None:
    with Netcat(server.port) as nc:
        assert nc.ask(b'{"type":"query","key":"all"' + b" " * (65536 - 28) + b"}\r\n") == EMPTY


def test_slow_lines_are_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LINE_TIME", 0.5)
    with RegistryServer(port=0) as server, Netcat(server.port) as quiet, Netcat(server.port) as slow:
        assert quiet.ask(QUERY) == EMPTY
        assert slow.ask(b'{"type":') == (
            b'{"ok":false,"error":"the line\'s end did not come within 0.5 s; the connection is closed"}\r\n'
        )
        assert slow.line() == b""
        assert quiet.ask(QUERY) == EMPTY


def test_who_does_not_show_the_token_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LINE_TIME", 0.5)
    with (
        RegistryServer(port=0, token="t") as server,
        Netcat(server.port) as one,
        Netcat(server.port) as other,
    ):
        assert one.ask(QUERY.replace(b"}", b',"auth":"t"}')) == EMPTY
        assert b"auth, this registry's token, did not come within 0.5 s" in other.line()
        assert other.line() == b""
        assert one.ask(QUERY) == EMPTY


def test_one_connection_too_many_is_told_so() -> None:
    with RegistryServer(port=0, max_connections=2) as server, contextlib.ExitStack() as stack:
        kept = [stack.enter_context(Netcat(server.port)) for _ in range(2)]
        assert [nc.ask(QUERY) for nc in kept] == [EMPTY] * 2
        with Netcat(server.port) as third:
            assert third.line() == b'{"ok":false,"error":"the registry is full: it serves 2 connections"}\r\n'
            assert third.line() == b""
        assert kept[0].ask(QUERY) == EMPTY


BIG = b'{"type":"register","key":"k","id":"%d","values":"' + b"v" * 60_000 + b'"}\n'


def test_answers_that_are_not_read_pile_up_nowhere(server: RegistryServer) -> None:
    """A client asks for gigabytes and reads none: it is not listened to any more; others are."""
    with Netcat(server.port) as nc, raw.connection(server.port) as greedy:
        for number in range(100):
            nc.ask(BIG % number)
        greedy.settimeout(2)
        with contextlib.suppress(TimeoutError):
            for _ in range(100_000):
                greedy.sendall(QUERY * 100)
        assert nc.ask(QUERY).startswith(b'{"ok":true')


def test_a_watcher_that_does_not_read_is_let_go(
    server: RegistryServer, caplog: pytest.LogCaptureFixture
) -> None:
    with Netcat(server.port) as nc, Netcat(server.port) as deaf:
        deaf.ask(b'{"type":"watch","key":"k"}\n')
        for number in range(2000):
            nc.ask(BIG % number)
            nc.ask(b'{"type":"destruction","key":"k"}\n')
            if "bytes of changes wait for it" in caplog.text:
                break
        assert "bytes of changes wait for it" in caplog.text
        assert nc.ask(b'{"type":"query","key":"j"}\n') == b'{"ok":true,"services":{"j":[]}}\r\n'


def test_who_reads_nothing_for_long_is_let_go(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "READ_TIME", 0.5)
    with RegistryServer(port=0) as server, Netcat(server.port) as nc, Netcat(server.port) as deaf:
        for number in range(200):
            nc.ask(BIG % number)
        deaf.send(QUERY)
        deaf.sock.settimeout(DEADLINE)
        while "it read nothing in 0.5 s" not in caplog.text:
            assert nc.ask(b'{"type":"query","key":"j"}\n') == b'{"ok":true,"services":{"j":[]}}\r\n'


def test_a_taken_port_is_named(server: RegistryServer) -> None:
    with pytest.raises(
        OSError, match=rf"cannot listen at tcp://127.0.0.1:{server.port}: Address already in use"
    ):
        RegistryServer(port=server.port).bind()


def test_two_registries_on_one_folder(tmp_path: pathlib.Path) -> None:
    with RegistryServer(port=0, data=tmp_path):
        other = RegistryServer(port=0, data=tmp_path)
        with pytest.raises(OSError, match="in use by another registry, process"):
            other.start()
        other.close()


def test_entries_are_there_after_a_restart(tmp_path: pathlib.Path) -> None:
    for number in range(3):
        with RegistryServer(port=0, data=tmp_path) as server, Netcat(server.port) as nc:
            assert nc.ask(QUERY).count(b'"id"') == number
            nc.ask(b'{"type":"register","key":"k","id":"%d","values":1}\n' % number)


def test_states_are_kept_in_order() -> None:
    server = RegistryServer(port=0)
    with pytest.raises(RuntimeError, match="is not bound yet"):
        _ = server.url
    address = server.bind()
    assert server.bind() == address
    with server:
        assert server.url == f"registry://127.0.0.1:{address.port}"
        assert "serving" in repr(server)
        with pytest.raises(RuntimeError, match="serves already"):
            server.start()
    server.close()
    with pytest.raises(RuntimeError, match="is closed"):
        server.start()
    bound = RegistryServer(port=0)
    bound.bind()
    bound.close()


def test_it_closes_under_clients_of_every_kind(server: RegistryServer) -> None:
    with contextlib.ExitStack() as stack:
        idle, half, deaf = [stack.enter_context(Netcat(server.port)) for _ in range(3)]
        for number in range(50):
            idle.ask(BIG % number)
        half.send(b'{"type"')
        deaf.send(QUERY * 100)
        idle.ask(QUERY)
        server.close()
        assert idle.line() == b""


def test_a_failed_start_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(main: typing.Coroutine[object, object, object]) -> None:
        main.close()
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(asyncio, "run", fail)
    with pytest.raises(OSError, match="Too many open files"):
        RegistryServer(port=0).start()


def test_time_in_which_the_process_was_stopped_does_not_count() -> None:
    now = 100.0
    clock = RunningClock(lambda: now)
    start = clock()
    for now, passed in ((100.25, 0.25), (101.25, 1.25), (161.25, 1.25), (161.5, 1.5)):  # noqa: B007
        assert clock() - start == passed


def test_a_registry_that_was_stopped_lets_nothing_expire_meanwhile() -> None:
    with processes.RegistryProcess() as registry, Netcat(registry.port) as nc:
        nc.ask(b'{"type":"watch","key":"k"}\n')
        nc.ask(b'{"type":"register","key":"k","values":1,"timeout":2}\n')
        nc.line()
        registry.pause()
        threading.Event().wait(3)  # longer than the entry lives
        nc.send(b'{"type":"register","key":"k","values":1,"timeout":60}\n')
        registry.resume()
        assert nc.line().startswith(b'{"ok":true,"key":"k"')


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (Address("127.0.0.1", 1), "registry://127.0.0.1:1"),
        (Address("::1", 1), "registry://[::1]:1"),
        (Address("0.0.0.0", 1), f"registry://{socket.gethostname()}:1"),
        (Address("::", 1), f"registry://{socket.gethostname()}:1"),
    ],
)
def test_the_url_is_one_to_connect_to(address: Address, url: str) -> None:
    assert registry_url(address) == url


def test_signals_are_those_of_before_after_it_served() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    server = RegistryServer(port=0)
    server.serve(ready=lambda: signal.raise_signal(signal.SIGTERM))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
