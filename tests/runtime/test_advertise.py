"""Which address clients are told."""

from __future__ import annotations

import socket
import typing

import pytest

from rpcgen.runtime import advertise
from rpcgen.runtime.address import Address

BOUND = Address("127.0.0.1", 7000)
ALL = Address("0.0.0.0", 7000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host", "tcp://host:7000"),
        ("host.example", "tcp://host.example:7000"),
        ("host:80", "tcp://host:80"),
        ("tcp://host", "tcp://host:7000"),
        ("tcp://host:80", "tcp://host:80"),
        ("10.0.0.1", "tcp://10.0.0.1:7000"),
        ("10.0.0.1:80", "tcp://10.0.0.1:80"),
        ("::1", "tcp://[::1]:7000"),
        ("[::1]", "tcp://[::1]:7000"),
        ("[::1]:80", "tcp://[::1]:80"),
        ("tcp://[2001:db8::1]:80", "tcp://[2001:db8::1]:80"),
        ("unix:///run/rpc.sock", "unix:///run/rpc.sock"),
    ],
)
def test_what_the_program_says_is_told(text: str, expected: str) -> None:
    told = advertise.advertised(text)
    assert str(advertise.reachable(BOUND, told, "zk://127.0.0.1:1/rpc")) == expected
    assert str(advertise.reachable(ALL, told, "zk://127.0.0.1:1/rpc")) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "names no host that a client can call"),
        ("0.0.0.0", "names no host that a client can call"),
        ("0.0.0.0:80", "names no host"),
        ("::", "names no host"),
        ("[::]:80", "names no host"),
        (":80", "names no host"),
        ("tcp://", "names no host"),
        ("http://host", "names no host"),
        ("host/path", "names no host"),
        ("[::1", "names no host"),
        ("[::1]x", "names no host"),
        ("a host", "names no host"),
        ("host:", "is no port; one is a number from 1 to 65535"),
        ("[::1]:", "is no port"),
        ("host:0", "'0' is no port"),
        ("host:65536", "'65536' is no port"),
        ("host:http", "'http' is no port"),
        ("unix://relative", "names no absolute path"),
    ],
)
def test_what_no_client_could_call_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        advertise.advertised(text)


def test_advertise_is_a_text() -> None:
    with pytest.raises(TypeError, match="advertise is a text, not 7000"):
        advertise.advertised(typing.cast(str, 7000))


@pytest.mark.parametrize(
    "bound",
    [
        Address("127.0.0.1", 7000),
        Address("::1", 7000),
        Address("192.0.2.7", 7000),
        Address("", 0, "/run/rpc.sock"),
    ],
)
def test_where_it_listens_is_told_if_clients_can_call_that(bound: Address) -> None:
    assert advertise.reachable(bound, None, "zk://192.0.2.1:2181/rpc") == bound


def test_a_unix_socket_has_no_port_to_tell() -> None:
    with pytest.raises(ValueError, match="advertise='host' lacks a port: unix:///run/rpc"):
        advertise.reachable(Address("", 0, "/run/rpc.sock"), ("host", None), "memory://")
    assert advertise.reachable(Address("", 0, "/run/rpc.sock"), ("host", 80), "") == Address("host", 80)


@pytest.mark.parametrize(
    "registry",
    [
        "zk://127.0.0.1:2181/rpc",
        "zk://user:secret@127.0.0.1:2181/rpc?timeout=3",
        "registry://127.0.0.1",
        "zk://no-such-host.invalid:2181,127.0.0.1:2181",
    ],
)
def test_all_addresses_become_the_one_that_leads_to_the_registry(registry: str) -> None:
    assert advertise.reachable(ALL, None, registry) == Address("127.0.0.1", 7000)
    assert advertise.reachable(Address("::", 7000), None, registry).port == 7000
    assert advertise.reachable(Address("::", 7000), None, registry).host not in ("", "::", "0.0.0.0")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_all_addresses_become_one_of_the_registry_s_family() -> None:
    assert advertise.reachable(Address("::", 7000), None, "zk://[::1]:2181/rpc") == Address("::1", 7000)
    # Who listens at all IPv4 addresses is not there on IPv6.
    own = Address(socket.gethostname(), 7000)
    assert advertise.reachable(ALL, None, "zk://[::1]:2181/rpc") == own


@pytest.mark.parametrize("registry", ["memory://", "zk://no-such-host.invalid:2181", "registry://0.0.0.0"])
def test_without_a_way_to_the_registry_the_host_s_name_is_told(registry: str) -> None:
    told = advertise.reachable(ALL, None, registry)
    assert told.host in (socket.gethostname(), "127.0.0.1")
    assert told.port == 7000


@pytest.mark.parametrize("found", ["0.0.0.0", "::", "fe80::1%eth0", "fe80::1"])
def test_what_means_nothing_elsewhere_is_not_told(found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Lost(socket.socket):
        def connect(self, where: object) -> None:
            pass

        def getsockname(self) -> tuple[str, int]:
            return found, 0

    monkeypatch.setattr(socket, "socket", Lost)
    told = advertise.reachable(ALL, None, "zk://127.0.0.1:2181/rpc")
    assert told == Address(socket.gethostname(), 7000)
