"""TLS between blocking sockets: bytes both ways, times, ends and refusals."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import socket
import ssl
import time
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.sync.client.dial import set_timeout
from rpcgen.runtime.sync.tls import TlsSocket, said
from rpcgen.runtime.tls import client_context, server_context
from tests.support.certificates import Authority, authority
from tests.support.waiting import PATIENCE


@pytest.fixture
def ours() -> Authority:
    return authority()


@contextlib.contextmanager
def ends(
    client: rpc.TLS, server: rpc.TLS, name: str = "127.0.0.1"
) -> typing.Iterator[tuple[TlsSocket, TlsSocket]]:
    """Two ends, not yet agreed."""
    one, other = socket.socketpair()
    settings = client_context(client)
    assert settings is not None
    near = TlsSocket(one, settings[0], server_side=False, name=settings[1] or name)
    their_settings = server_context(server)
    assert their_settings is not None
    far = TlsSocket(other, their_settings, server_side=True)
    try:
        yield near, far
    finally:
        near.close()
        far.close()


def agree(near: TlsSocket, far: TlsSocket) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        theirs = pool.submit(far.handshake, time.monotonic() + PATIENCE)
        near.handshake(time.monotonic() + PATIENCE)
        theirs.result(PATIENCE)


@contextlib.contextmanager
def agreed(ours: Authority) -> typing.Iterator[tuple[TlsSocket, TlsSocket]]:
    with ends(ours.client(), ours.server()) as (near, far):
        agree(near, far)
        yield near, far


def refused(near: TlsSocket, far: TlsSocket) -> tuple[str, str]:
    """What each end says of why they do not agree."""

    def reason(end: TlsSocket) -> str:
        try:
            end.handshake(time.monotonic() + PATIENCE)
            end.recv(1)
        except OSError as error:
            return said(error)
        return ""

    with concurrent.futures.ThreadPoolExecutor() as pool:
        theirs = pool.submit(reason, far)
        mine = reason(near)
        near.close()
        return mine, theirs.result(PATIENCE)


def exactly(end: TlsSocket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += end.recv(size - len(data))
    return data


def test_bytes_pass_both_ways(ours: Authority) -> None:
    with agreed(ours) as (near, far):
        assert near.send(b"ping") == 4
        assert far.recv(100) == b"ping"
        assert far.send(b"pong") == 4
        assert near.recv(2) == b"po"
        assert near.pending() == 2
        room = bytearray(10)
        assert near.recv_into(room) == 2
        assert room[:2] == b"ng"
        assert near.pending() == 0
        assert near.send(b"") == 0


def test_one_thread_receives_while_another_sends(ours: Authority) -> None:
    data = os.urandom(3_000_000)

    def send(end: TlsSocket) -> None:
        view = memoryview(data)
        while view:
            view = view[end.send(view) :]

    def receive(end: TlsSocket) -> bytes:
        room, filled = bytearray(len(data)), 0
        while filled < len(data):
            count = end.recv_into(memoryview(room)[filled:])
            assert count
            filled += count
        return bytes(room)

    with agreed(ours) as (near, far), concurrent.futures.ThreadPoolExecutor() as pool:
        sent = [pool.submit(send, end) for end in (near, far)]
        received = [pool.submit(receive, end) for end in (near, far)]
        assert all(call.result(PATIENCE) == data for call in received)
        assert all(call.result(PATIENCE) is None for call in sent)


def test_what_does_not_come_in_time_can_be_waited_for_again(ours: Authority) -> None:
    with agreed(ours) as (near, far):
        set_timeout(typing.cast(socket.socket, near), socket.SO_RCVTIMEO, 0.01)
        with pytest.raises(BlockingIOError):
            near.recv(1)
        with pytest.raises(BlockingIOError):
            near.recv(1, socket.MSG_DONTWAIT)
        far.send(b"x")
        assert near.recv(1) == b"x"


def test_a_record_that_trickles_does_not_begin_the_time_anew(ours: Authority) -> None:
    with agreed(ours) as (near, far):
        far._tls.write(bytes(1000))
        record = far._going.read()
        far._sock.send(record[:500])
        set_timeout(typing.cast(socket.socket, near), socket.SO_RCVTIMEO, 0.02)
        with pytest.raises(BlockingIOError):
            near.recv(1)
        far._sock.send(record[500:])
        assert exactly(near, 1000) == bytes(1000)


def test_what_does_not_go_in_time_can_be_sent_again(ours: Authority) -> None:
    data = os.urandom(1_000_000)
    with agreed(ours) as (near, far), concurrent.futures.ThreadPoolExecutor() as pool:
        set_timeout(typing.cast(socket.socket, near), socket.SO_SNDTIMEO, 0.01)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < len(data):
                sent += near.send(memoryview(data)[sent:])
        assert sent < len(data)
        received = pool.submit(exactly, far, len(data))
        while sent < len(data):
            with contextlib.suppress(BlockingIOError):
                sent += near.send(memoryview(data)[sent:])
        assert received.result(PATIENCE) == data


def test_the_end_is_an_end_with_a_farewell_or_without(ours: Authority) -> None:
    with agreed(ours) as (near, far):
        far.send(b"last")
        far.shutdown(socket.SHUT_WR)
        assert exactly(near, 4) == b"last"
        assert near.recv(1) == b""
        assert near.recv(1) == b""
    with agreed(ours) as (near, far):
        far.close()
        assert near.recv(1) == b""
        assert near.recv_into(bytearray(1)) == 0
        assert near.fileno() >= 0 > far.fileno()


def test_another_thread_can_end_a_receive(ours: Authority) -> None:
    with agreed(ours) as (near, far), concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(near.recv, 1)
        near.shutdown(socket.SHUT_RDWR)
        assert waiting.result(PATIENCE) == b""
        assert far.recv(1) == b""


def test_bytes_that_are_no_tls_end_the_connection(ours: Authority) -> None:
    with agreed(ours) as (near, far):
        near.send(b"good")
        near._sock.send(b"this is no record at all")
        assert far.recv(4) == b"good"
        for _ in range(2):
            with pytest.raises(ssl.SSLError):
                far.recv(1)
        with pytest.raises(ssl.SSLError):
            near.recv(1)


def test_a_handshake_has_its_time(ours: Authority) -> None:
    with ends(ours.client(), ours.server()) as (near, far):
        for end in (near, far):
            with pytest.raises(BlockingIOError, match="was not done in time"):
                end.handshake(time.monotonic() + 0.02)
        agree(near, far)
        assert near.send(b"late") == 4
        assert far.recv(9) == b"late"


def test_an_end_during_the_handshake_says_so(ours: Authority) -> None:
    with ends(ours.client(), ours.server()) as (near, far):
        far.close()
        with pytest.raises(OSError, match=r"ended the connection|Broken pipe"):
            near.handshake(None)


def test_what_comes_with_the_last_of_the_handshake_is_not_lost(ours: Authority) -> None:
    with ends(ours.client(), ours.server()) as (near, far):
        with pytest.raises(BlockingIOError):
            near.handshake(0.0)
        far._take(far._sock.recv(10_000))
        with pytest.raises(BlockingIOError):
            far.handshake(0.0)
        near.handshake(time.monotonic() + PATIENCE)
        near.send(b"early")
        far.handshake(time.monotonic() + PATIENCE)
        assert far.pending() == 5
        assert far.recv(9) == b"early"


def test_a_peer_without_tls_is_told_apart(ours: Authority) -> None:
    with ends(ours.client(), ours.server()) as (near, far):
        far._sock.send(b"\1\x40\0\0\0" * 3)
        with pytest.raises(ssl.SSLError) as caught:
            near.handshake(time.monotonic() + PATIENCE)
        assert said(caught.value) in (
            "wrong version number",
            "packet length too long",
            "record layer failure",
        )


def test_a_client_knows_whom_it_calls(ours: Authority) -> None:
    stranger = authority("strangers")
    with ends(stranger.client(), ours.server()) as (near, far):
        mine, theirs = refused(near, far)
        assert mine == "the certificate is not accepted: unable to get local issuer certificate"
        assert theirs == "the peer refuses: unknown ca"
    with ends(ours.client(name="elsewhere.example"), ours.server()) as (near, far):
        mine, _ = refused(near, far)
        assert mine.startswith("the certificate is not accepted: Hostname mismatch")


def test_a_server_knows_who_calls(ours: Authority) -> None:
    stranger = authority("strangers")
    with ends(ours.client(shows=ours), ours.server(ca=ours.ca)) as (near, far):
        agree(near, far)
        certificate = far.certificate()
        assert certificate is not None
        assert certificate["subject"] == ((("commonName", "client"),),)
    with ends(ours.client(), ours.server(ca=ours.ca)) as (near, far):
        mine, theirs = refused(near, far)
        assert theirs == "peer did not return a certificate"
        assert mine.startswith("the peer refuses")
    with ends(ours.client(shows=stranger), ours.server(ca=ours.ca)) as (near, far):
        mine, theirs = refused(near, far)
        assert theirs.startswith("the certificate is not accepted")
        assert mine.startswith("the peer refuses")
    with agreed(ours) as (_, far):
        assert far.certificate() is None
