"""What a server listens with."""

from __future__ import annotations

import contextlib
import pathlib
import socket

import pytest

from rpcgen.runtime.address import Address
from rpcgen.runtime.sync.server.listen import listen


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_accepted_connections_say_that_they_are_tcp(host: str) -> None:
    """asyncio turns Nagle's algorithm off where the protocol says so, and nowhere else."""
    if host == "::1":
        with contextlib.closing(socket.socket(socket.AF_INET6)) as probe:
            try:
                probe.bind((host, 0))
            except OSError:
                pytest.skip("this machine has no IPv6")
    with (
        contextlib.closing(listen(Address(host, 0), 8)) as listener,
        socket.create_connection(listener.getsockname()[:2]),
    ):
        listener.setblocking(True)
        accepted, _ = listener.accept()
        with accepted:
            assert (listener.proto, accepted.proto) == (socket.IPPROTO_TCP, socket.IPPROTO_TCP)


def test_a_socket_of_this_machine_has_no_such_protocol(tmp_path: pathlib.Path) -> None:
    with contextlib.closing(listen(Address("", 0, str(tmp_path / "s")), 8)) as listener:
        assert (listener.family, listener.proto) == (socket.AF_UNIX, 0)
