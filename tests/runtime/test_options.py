"""Deadlines around blocks, options of stubs, addresses and URLs."""

from __future__ import annotations

import threading
import time

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.address import Address
from rpcgen.runtime.options import current_deadline, current_received
from tests.support import services


def test_a_deadline_holds_inside_its_block() -> None:
    assert current_deadline.get() is None
    before = time.monotonic()
    with rpc.deadline(5):
        end = current_deadline.get()
        assert end is not None
        assert before + 5 <= end <= time.monotonic() + 5
    assert current_deadline.get() is None


def test_of_nested_deadlines_the_earlier_counts() -> None:
    with rpc.deadline(5):
        outer = current_deadline.get()
        with rpc.deadline(50):
            assert current_deadline.get() == outer
        with rpc.deadline(1):
            assert current_deadline.get() != outer
        assert current_deadline.get() == outer


def test_a_deadline_is_left_on_an_error() -> None:
    with pytest.raises(ZeroDivisionError), rpc.deadline(5):
        1 / 0  # noqa: B018
    assert current_deadline.get() is None


def test_a_deadline_is_not_another_thread_s() -> None:
    seen: list[float | None] = []
    with rpc.deadline(5):
        thread = threading.Thread(target=lambda: seen.append(current_deadline.get()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_a_deadline_is_a_number() -> None:
    with pytest.raises(ValueError, match="not NaN"):
        rpc.deadline(float("nan"))


def test_options_make_another_stub() -> None:
    stub = services.ClientStub(rpc.Channel("127.0.0.1", 1))
    fast = rpc.with_options(stub, timeout=0.5)
    assert type(fast) is services.ClientStub
    assert (stub._timeout, fast._timeout) == (None, 0.5)
    assert rpc.with_options(fast, timeout=None)._timeout is None


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_is_above_zero(timeout: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        rpc.with_options(services.ClientStub(rpc.Channel("127.0.0.1", 1)), timeout=timeout)
    with pytest.raises(ValueError, match="above 0"):
        rpc.Channel("127.0.0.1", 1, timeout=timeout)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("tcp://127.0.0.1:80", Address("127.0.0.1", 80)),
        ("tcp://localhost:0", Address("localhost", 0)),
        ("tcp://[::1]:7000", Address("::1", 7000)),
        ("unix:///run/a.sock", Address("", 0, "/run/a.sock")),
    ],
)
def test_addresses_as_urls(url: str, address: Address) -> None:
    assert Address.parse(url) == address
    assert str(address) == url
    channel = rpc.connect(url)
    assert isinstance(channel, rpc.Channel)
    assert channel.address == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:80",
        "tcp://",
        "tcp://:80",
        "tcp://host",
        "tcp://host:x",
        "tcp://::1:80",
        "udp://host:80",
        "tcp://h:-1",
    ],
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        rpc.connect(url)


def test_urls_out_of_range() -> None:
    with pytest.raises(ValueError, match="99999 is no port"):
        rpc.connect("tcp://host:99999")
    with pytest.raises(ValueError, match="no absolute path"):
        rpc.connect("unix://a.sock")
    with pytest.raises(ValueError, match="too long"):
        rpc.connect("unix:///" + "a" * 200)


@pytest.mark.parametrize(
    ("host", "port", "problem"),
    [
        ("127.0.0.1", None, "a port is missing"),
        ("127.0.0.1", True, "True is no port"),
        ("127.0.0.1", 65536, "65536 is no port"),
        ("unix:///a.sock", 1, "takes no port"),
        ("tcp://127.0.0.1", 1, "rpc.connect takes URLs"),
    ],
)
def test_hosts_and_ports_that_name_nothing(host: str, port: int | None, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        rpc.Channel(host, port)


def test_a_bracketed_host_is_taken_as_meant() -> None:
    assert Address.of("[::1]", 1) == Address("::1", 1)


class Recorder:
    """A channel that notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    def call(self, protocol: object, *asked: object) -> float:
        self.asked.append(asked)
        return 1.0


def test_options_reach_the_channel() -> None:
    channel = Recorder()
    stub = services.ClientStub(channel)
    marked = rpc.with_options(stub, metadata={"trace": "7", "raw": b"\xff"})
    both = rpc.with_options(marked, retry=2, timeout=3)
    neither = rpc.with_options(both, retry=None, metadata=None, timeout=None)
    for each in (stub, marked, both, neither):
        each.divide(1)
    args, metadata = (1, 1), {"trace": b"7", "raw": b"\xff"}
    assert channel.asked == [
        (args, None),
        (args, None, None, metadata),
        (args, 3, 2, metadata),
        (args, None),
    ]
    assert repr(both).endswith(", at most 2 tries, metadata trace, raw)")
    assert "7" not in repr(both).partition("metadata")[2]


@pytest.mark.parametrize("metadata", [{"a": 1}, {1: b""}, {"a": None}])
def test_metadata_are_bytes_or_texts_by_name(metadata: dict[str, bytes]) -> None:
    with pytest.raises(TypeError, match="metadata are bytes or texts by name, not"):
        rpc.with_options(services.ClientStub(Recorder()), metadata=metadata)


def test_what_is_received_belongs_to_its_block() -> None:
    assert current_received.get() is None
    with rpc.reply_metadata() as outer:
        with rpc.reply_metadata() as inner:
            assert current_received.get() is inner
        assert current_received.get() is outer
    assert current_received.get() is None
