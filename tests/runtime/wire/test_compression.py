"""Compressed payloads: there and back, bombs, and what is no such payload."""

from __future__ import annotations

import os
import tracemalloc

import pytest
from hypothesis import given, strategies as st

from rpcgen import runtime as rpc
from rpcgen.runtime.wire import compression
from rpcgen.runtime.wire.compression import ALGORITHMS, BY_NAME, Algorithm, compressed, expanded
from rpcgen.runtime.wire.hello import Hello, Terms
from tests.support.framed import codec_kind, frame, opened_client, opened_pair, opened_server, plain, sent  # noqa: F401

TEXT = b"what is said again and again compresses well; " * 200


@pytest.fixture(params=list(BY_NAME))
def algorithm(request: pytest.FixtureRequest) -> Algorithm:
    if request.param not in compression.understood():
        pytest.skip(f"{request.param} is not installed")
    return BY_NAME[request.param]


def claiming(algorithm: Algorithm, size: int, data: bytes) -> bytes:
    return bytes([algorithm.number]) + size.to_bytes(4, "big") + algorithm.compress(data)


@pytest.mark.parametrize("data", [b"", b"a", TEXT, os.urandom(5_000), bytes(1_000_000)])
def test_what_was_compressed_is_expanded(algorithm: Algorithm, data: bytes) -> None:
    assert expanded(claiming(algorithm, len(data), data), 1_000_000) == data


@pytest.mark.parametrize("kind", ["noise", "zeros", "text"])
def test_what_comes_in_many_pieces_is_expanded(algorithm: Algorithm, kind: str) -> None:
    most = 5 * compression._PIECE
    data = {"noise": os.urandom(most), "zeros": bytes(most), "text": (TEXT * (most // len(TEXT) + 1))[:most]}[
        kind
    ]
    for size in (compression._PIECE, 2 * compression._PIECE, most):
        for length in (size - 1, size, size + 1):
            payload = claiming(algorithm, len(data[:length]), data[:length])
            assert expanded(payload, most) == data[:length]
            for wrong in (payload[:-1], payload + b"x", payload + bytes(compression._PIECE)):
                with pytest.raises(rpc.ProtocolError):
                    expanded(wrong, most)


def test_what_ends_where_a_piece_ends_and_is_followed_is_refused() -> None:
    algorithm, size = BY_NAME["gzip"], compression._PIECE
    while (
        len(payload := claiming(algorithm, size, os.urandom(size)))
        != compression.OVERHEAD + compression._PIECE
    ):
        size -= len(payload) - compression.OVERHEAD - compression._PIECE
    assert len(expanded(payload, size)) == size
    with pytest.raises(rpc.ProtocolError, match="or more than one end"):
        expanded(payload + b"x", size)


def test_what_does_not_become_smaller_is_left_as_it_is(algorithm: Algorithm) -> None:
    assert compressed(algorithm, os.urandom(5_000)) is None
    data = compressed(algorithm, TEXT)
    assert data is not None
    assert len(data) < len(TEXT) / 10


def test_a_gzip_payload_of_another_s_making_is_expanded() -> None:
    data = bytes.fromhex("01 00000003 1f8b0800000000000003 4b4c4a0600c241243503000000")
    assert expanded(data, 10) == b"abc"


def test_a_claim_beyond_the_limit_is_refused_before_anything_is_expanded(algorithm: Algorithm) -> None:
    with pytest.raises(rpc.ProtocolError, match="1000 bytes when expanded; the limit is 999"):
        expanded(claiming(algorithm, 1_000, bytes(1_000)), 999)


def test_a_bomb_is_stopped_while_expanding(algorithm: Algorithm) -> None:
    bomb = claiming(algorithm, 1_000, bytes(64 * 1024 * 1024))
    tracemalloc.start()
    try:
        with pytest.raises(rpc.ProtocolError, match="says 1000 bytes, but holds more"):
            expanded(bomb, 10_000)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_a_bomb_that_may_be_long_leaves_the_heap_alone(algorithm: Algorithm) -> None:
    size = 16 * 1024 * 1024
    bomb, honest = (claiming(algorithm, size, bytes(length)) for length in (size + 1, size))
    tracemalloc.start()
    try:
        with pytest.raises(rpc.ProtocolError, match="but holds more"):
            expanded(bomb, size)
        assert len(expanded(honest, size)) == size
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_what_is_no_compressed_payload_is_refused(algorithm: Algorithm) -> None:
    good = claiming(algorithm, len(TEXT), TEXT)
    wrong = [
        good[:4],
        good[:-1],
        good[:5],
        good + b"x",
        good + algorithm.compress(b"more"),
        claiming(algorithm, len(TEXT) - 1, TEXT),
        claiming(algorithm, len(TEXT) + 1, TEXT),
        good[:5] + b"\0" + good[5:],
        b"\x09" + good[1:],
        b"\x00" + good[1:],
    ]
    for payload in wrong:
        with pytest.raises(rpc.ProtocolError):
            expanded(payload, 1_000_000)


@given(st.data())
def test_damage_raises_protocol_errors_alone(data: st.DataObject) -> None:
    payload = bytearray(claiming(data.draw(st.sampled_from([ALGORITHMS[0]])), 200, TEXT[:200]))
    for place in data.draw(st.lists(st.integers(5, len(payload) - 1), max_size=3)):
        payload[place] ^= data.draw(st.integers(1, 255))
    try:
        found = expanded(bytes(payload), 1_000)
    except rpc.ProtocolError:
        return
    assert len(found) == 200


def test_names_that_cannot_be_used_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="there is no compression 'rar': there are gzip, zstd, lz4"):
        Terms(compress=["rar"])
    monkeypatch.setattr(compression, "understood", lambda: ("gzip",))
    with pytest.raises(ValueError, match=r"pip install 'rpcgen\[zstd\]'"):
        Terms(compress=["zstd"])
    with pytest.raises(rpc.ProtocolError, match=r"compression 2 \(zstd\)"):
        expanded(b"\x02\x00\x00\x00\x00\x00", 10)


def test_a_library_that_is_not_there_is_not_understood() -> None:
    assert not compression._is_installed("rpcgen_none.at_all")
    assert "gzip" in compression.understood()


def test_the_first_that_the_peer_lists_is_used(algorithm: Algorithm) -> None:
    terms = Terms(compress=[algorithm.name, "gzip"])
    assert terms.algorithm(Hello(compressions=["lzma", algorithm.name])) is algorithm
    assert terms.algorithm(Hello(compressions=["gzip"])) is BY_NAME["gzip"]
    assert terms.algorithm(Hello()) is None


def test_calls_and_replies_are_compressed_where_it_pays(algorithm: Algorithm) -> None:
    terms = Terms(compress=[algorithm.name])
    client, server = opened_pair(terms, terms)
    client.send_call("f", TEXT, 500, {"k": b"v"}, caller="me")
    data = sent(client)
    assert len(data) < len(TEXT) / 5
    assert data[4:6] == b"\x01\x03"
    assert plain(server.receive(data)) == [(1, 1, "f", 0.5, TEXT, {"k": b"v"}, False)]
    server.send_reply(1, b"\x01" + TEXT)
    data = sent(server)
    assert data[4:6] == b"\x02\x01"
    assert plain(client.receive(data)) == [(2, "me", b"\x01" + TEXT, None)]

    noise = os.urandom(2_000)
    client.send_call("f", noise)
    client.send_call("f", TEXT[:500])
    assert [event[4] for event in server.receive(sent(client)) if event[0] == 1] == [noise, TEXT[:500]]
    server.send_reply(2, b"\x01" + noise)
    assert sent(server)[4:6] == b"\x02\x00"
    server.send_fault(3, rpc.FaultCode.INTERNAL, TEXT.decode())
    data = sent(server)
    assert data[4:6] == b"\x03\x01"
    assert plain(client.receive(data))[0][2] == ("RemoteFault", f"INTERNAL: {TEXT.decode()}")


def test_nothing_is_compressed_before_the_peer_s_hello_nor_for_one_that_lists_nothing() -> None:
    client = opened_client(Terms(compress=["gzip"]))
    client.send_call("f", TEXT)
    assert TEXT in sent(client)
    from rpcgen.runtime.wire.client import ClientSession

    client = ClientSession(Terms(compress=["gzip"]))
    client.send_call("f", TEXT)
    assert TEXT in sent(client)


def test_a_bomb_in_a_call_ends_its_connection() -> None:
    server = opened_server(Terms(rpc.Limits(message=10_000)))
    bomb = claiming(BY_NAME["gzip"], 80_000, bytes(10_000_000))
    events = server.receive(frame(1, 1, 1, bomb))
    assert plain(events)[0][1][0] == "ProtocolError"
    assert "80000 bytes when expanded; the limit is 75530" in str(events[0][1])


def test_a_message_above_its_limit_once_expanded_is_refused_alone() -> None:
    server = opened_server(Terms(rpc.Limits(message=10_000)))
    payload = b"\x01f\0\0\0\0" + bytes(20_000)
    assert server.receive(frame(1, 1, 1, claiming(BY_NAME["gzip"], len(payload), payload))) == []
    assert b"a call of 20000 bytes; the limit is 10000" in sent(server)
    assert not server.is_closed
