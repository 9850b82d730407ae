"""Large messages that C writes into the memory of earlier ones: none changes while anybody has it."""

from __future__ import annotations

import random
import threading

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.wire.plain import MethodCodec

SIZES = (10, 65_000, 70_000, 300_000, 1 << 20, (4 << 20) + 1)


def blob_codec() -> MethodCodec:
    # Text: of long bytes no copy is made that could be kept.
    return MethodCodec("blob", (rpc.Param(1, "data", rpc.STRING),), (), rpc.STRING, ())


def encoded(codec: MethodCodec, data: bytes) -> bytes:
    message = codec.encode_reply(data.decode())
    assert isinstance(message, bytes)
    return message


def expected_reply(data: bytes) -> bytes:
    return b"\x01" + len(data).to_bytes(4, "big") + data


def test_a_message_that_is_held_stays_what_it_is() -> None:
    codec = blob_codec()
    choices = random.Random(1)
    held: list[tuple[bytes, bytes, int]] = []
    for number in range(120):
        data = bytes((number,)) * choices.choice(SIZES)
        message = encoded(codec, data)
        assert message == expected_reply(data)
        held.append((message, data, hash(message)))
        if choices.random() < 0.7:
            del held[choices.randrange(len(held))]
        for kept, was, hashed in held[-3:]:
            assert kept == expected_reply(was)
            assert hash(kept) == hashed
    assert all(kept == expected_reply(was) for kept, was, _ in held)


def test_the_hash_is_that_of_the_message_and_not_of_the_one_before() -> None:
    codec = blob_codec()
    for number in range(6):
        data = bytes((number,)) * 100_000
        message = encoded(codec, data)
        assert hash(message) == hash(expected_reply(data))
        assert message[-1:] == bytes((number,))
        del message


@pytest.mark.parametrize("size", SIZES)
def test_a_view_holds_a_message_too(size: int) -> None:
    codec = blob_codec()
    view = memoryview(encoded(codec, b"a" * size))[5:]
    for _ in range(4):
        encoded(codec, b"b" * size)
    assert view == b"a" * size


def test_small_messages_after_large_ones() -> None:
    codec = blob_codec()
    for size in (1 << 20, 3, 1 << 20, 0, 66_000, 1):
        data = b"x" * size
        assert encoded(codec, data) == expected_reply(data)
        assert codec.decode_reply(encoded(codec, data)) == data.decode()


def test_a_message_that_does_not_fit_leaves_what_is_kept_in_order() -> None:
    codec = MethodCodec(
        "both", (rpc.Param(1, "data", rpc.BYTES), rpc.Param(2, "n", rpc.INT)), (), rpc.VOID, ()
    )
    for number in range(5):
        data = bytes((number,)) * 200_000
        with pytest.raises(rpc.EncodeError):
            codec.encode_call((data, 1 << 40))
        message = codec.encode_call((data, number))
        assert codec.decode_args(message[12:]) == [data, number]


def test_threads_share_what_is_kept_and_nothing_of_messages() -> None:
    codec = blob_codec()
    wrong: list[int] = []
    begin = threading.Barrier(4)

    def work(number: int) -> None:
        data = bytes((number,)) * 150_000
        begin.wait(30)
        for _ in range(100):
            if encoded(codec, data) != expected_reply(data):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
