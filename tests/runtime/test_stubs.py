"""The calls of the original tutorial, client stubs, and server stubs held against the IDL."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import pathlib
import pickle
import socket
import threading
import typing
import warnings

import pytest
import service
from hypothesis import given, strategies as st

from rpcgen import runtime as rpc
from tests.support import services
from tests.support.services import DivideProtocol, InvalidOperation

CALL = bytes.fromhex("00000006 646976696465 0000000a 01 000000c8 02 00000064")
SHORT_CALL = bytes.fromhex("00000006 646976696465 00000005 01 000000c8")
RETURNED = bytes.fromhex("01 40000000")
RAISED = bytes.fromhex("02 00000001 78")
INTS = st.integers(-(2**31), 2**31 - 1)


class Answers:
    """A channel that answers every call with what it was given."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.calls: list[tuple[str, tuple[object, ...], float | None]] = []

    def call(
        self, protocol: type[rpc.MessageProtocol[object]], args: tuple[object, ...], timeout: float | None
    ) -> object:
        self.calls.append((protocol.name, args, timeout))
        return self.answer


def dripping(data: bytes) -> socket.socket:
    """A socket whose other end sends the data byte by byte and closes."""
    ours, theirs = socket.socketpair()

    def drip() -> None:
        with theirs, contextlib.suppress(BrokenPipeError):
            for index in range(len(data)):
                theirs.sendall(data[index : index + 1])

    threading.Thread(target=drip, daemon=True).start()
    return ours


def test_the_wire_s_examples_are_encoded_as_written() -> None:
    proto = DivideProtocol()
    assert proto.args_encode(200, 100) == CALL
    assert proto.args_encode(200) == SHORT_CALL
    assert proto.args_encode(200, 1) == SHORT_CALL
    assert proto.args_encode(num2=100, num1=200) == CALL
    assert proto.result_encode(2.0) == RETURNED
    assert proto.result_encode(2) == RETURNED
    assert proto.result_encode(InvalidOperation("x")) == RAISED
    assert proto.result_encode(services.Narrower("x")) == RAISED


def test_a_call_is_read_from_a_file() -> None:
    conn = io.BytesIO(SHORT_CALL + b"next")
    assert rpc.MethodProtocol(conn).get_method_name() == "divide"
    assert DivideProtocol().args_decode(conn) == {"num1": 200, "num2": 1}
    assert conn.read() == b"next"


def test_a_call_is_read_from_a_socket_byte_by_byte() -> None:
    with dripping(CALL) as conn:
        assert rpc.MethodProtocol(conn).get_method_name() == "divide"
        assert DivideProtocol().args_decode(conn) == {"num1": 200, "num2": 100}


def test_a_reply_is_read_from_a_file_and_no_byte_beyond_it() -> None:
    conn = io.BytesIO(RETURNED + RAISED + b"\0\0\0\0\x08INTERNAL" + b"next")
    proto = DivideProtocol()
    assert proto.result_decode(conn) == 2.0
    raised = proto.result_decode(conn)
    assert type(raised) is InvalidOperation
    assert raised.message == "x"


def test_a_reply_is_read_from_a_socket_byte_by_byte() -> None:
    with dripping(RETURNED + RAISED) as conn:
        assert DivideProtocol().result_decode(conn) == 2.0
        assert isinstance(DivideProtocol().result_decode(conn), InvalidOperation)


@given(INTS, INTS)
def test_arguments_come_back_as_they_were(num1: int, num2: int) -> None:
    conn = io.BytesIO(DivideProtocol().args_encode(num1, num2))
    assert rpc.MethodProtocol(conn).get_method_name() == "divide"
    assert DivideProtocol().args_decode(conn) == {"num1": num1, "num2": num2}


@given(st.binary(max_size=64))
def test_garbage_ends_in_an_error_of_ours(data: bytes) -> None:
    for read in (
        lambda: rpc.MethodProtocol(io.BytesIO(data)).get_method_name(),
        lambda: DivideProtocol().args_decode(io.BytesIO(data)),
        lambda: DivideProtocol().result_decode(io.BytesIO(data)),
    ):
        with contextlib.suppress(rpc.ProtocolError, rpc.ConnectionLost):
            read()


@pytest.mark.parametrize(
    ("args", "named", "problem"),
    [
        ((), {}, "divide lacks its argument num1"),
        ((1, 2, 3), {}, "divide takes 2 arguments, 3 were given"),
        ((1,), {"num1": 1}, "divide got two values for num1"),
        ((1,), {"num3": 1}, "divide has no argument num3"),
    ],
)
def test_arguments_that_do_not_bind(args: tuple[int, ...], named: dict[str, int], problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        DivideProtocol().args_encode(*args, **named)


def test_an_undeclared_exception_is_not_encoded() -> None:
    with pytest.raises(TypeError, match="divide does not declare Undeclared"):
        DivideProtocol().result_encode(services.Undeclared("x"))
    with pytest.raises(TypeError, match="divide does not declare ZeroDivisionError"):
        DivideProtocol().result_encode(ZeroDivisionError())


def test_names_in_python_are_used_where_they_differ() -> None:
    proto = services.DirectoryClassProtocol()
    conn = io.BytesIO(proto.args_encode(if_=5))
    assert rpc.MethodProtocol(conn).get_method_name() == "Directory.class"
    assert proto.args_decode(conn) == {"if_": 5}


def test_an_inherited_protocol_has_a_codec_of_its_own() -> None:
    assert services.BasePingProtocol.codec().name == "Base.ping"
    assert services.DirectoryPingProtocol.codec().name == "Directory.ping"
    assert services.DirectoryPingProtocol.codec() is services.DirectoryPingProtocol.codec()


def test_a_protocol_answers_as_class_and_instance() -> None:
    proto = DivideProtocol()
    assert isinstance(proto, DivideProtocol)
    assert isinstance(proto, rpc.MessageProtocol)
    assert issubclass(DivideProtocol, rpc.MessageProtocol)
    assert issubclass(services.DirectoryPingProtocol, services.BasePingProtocol)
    assert not issubclass(services.BasePingProtocol, services.DirectoryPingProtocol)
    assert not isinstance(proto, services.BasePingProtocol)
    assert not isinstance(5, DivideProtocol)
    assert DivideProtocol.__name__ == "DivideProtocol"
    assert repr(proto) == "<protocol tests.support.services.DivideProtocol>"
    assert DivideProtocol.__doc__ == "float divide(1: int num1, 2: int num2 = 1) => InvalidOperation"


def test_a_protocol_is_copied_and_pickled_as_itself() -> None:
    proto = DivideProtocol()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(proto, protocol)) is proto
    assert copy.deepcopy([proto]) == [copy.copy(proto)] == [proto]


def test_a_protocol_is_subclassed_with_other_data() -> None:
    class Hurried(DivideProtocol):
        timeout = 0.5

    assert Hurried.codec() is not DivideProtocol.codec()
    assert (Hurried.name, Hurried.timeout, DivideProtocol.timeout) == ("divide", 0.5, None)
    assert Hurried.__doc__ == DivideProtocol.__doc__


def test_a_protocol_is_not_subclassed_with_methods() -> None:
    with pytest.raises(TypeError, match="Counted defines args_encode: a protocol holds data alone"):

        class Counted(DivideProtocol):
            def args_encode(self, *args: object, **named: object) -> bytes:
                return b""


def test_a_protocol_has_one_base_that_says_its_result() -> None:
    with pytest.raises(TypeError, match=r"Bare needs its result's type: rpc.MessageProtocol\[float\]"):

        class Bare(rpc.MessageProtocol):  # type: ignore[type-arg]
            name = "bare"

    with pytest.raises(TypeError, match="Both has 2 bases: a protocol has one"):

        class Both(DivideProtocol, services.EchoProtocol):  # type: ignore[misc]
            name = "both"


def test_a_name_that_cannot_be() -> None:
    with pytest.raises(rpc.ProtocolError, match="at most 255"):
        rpc.MethodProtocol(io.BytesIO(b"GET / HTTP/1.1")).get_method_name()
    with pytest.raises(rpc.ProtocolError, match="not UTF-8"):
        rpc.MethodProtocol(io.BytesIO(b"\0\0\0\1\xff")).get_method_name()
    with pytest.raises(rpc.ConnectionLost, match="2 bytes early"):
        rpc.MethodProtocol(io.BytesIO(b"\0\0\0\3a")).get_method_name()


def test_a_stub_hands_protocol_and_arguments_to_its_channel() -> None:
    channel = Answers(2.5)
    stub = services.ClientStub(channel)
    assert stub.divide(5, 2) == 2.5
    assert channel.calls == [("divide", (5, 2), None)]
    assert [name for name in dir(rpc.ClientStub(channel)) if not name.startswith("_")] == []


def test_a_deprecated_method_warns_its_caller() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        services.ClientStub(Answers(None)).old()
    assert [(str(w.message), w.category) for w in caught] == [
        ("old is deprecated: use new", DeprecationWarning)
    ]
    assert pathlib.Path(caught[0].filename) == pathlib.Path(__file__)


def test_a_stub_is_not_pickled_with_its_channel() -> None:
    with pytest.raises(TypeError, match="a channel cannot be pickled"):
        pickle.dumps(services.ClientStub(rpc.Channel("127.0.0.1", 1)))


def test_every_fault_of_handlers_is_told_with_its_line() -> None:
    class Faulty:
        echo = 3

        def divde(self) -> None: ...
        def wait(self) -> int: ...  # type: ignore[empty-body]
        async def log(self, line: str) -> typing.Any:
            yield

        def run(self, what: str, *, how: str) -> int: ...  # type: ignore[empty-body]
        def old(self, more: int) -> None: ...
        def hurry(self, more: int = 1, *, less: int = 2) -> int: ...  # type: ignore[empty-body]

    with pytest.raises(TypeError) as caught:
        services.ServerStub(Faulty())
    assert str(caught.value) == "\n  ".join(
        [
            "Faulty does not handle the service:",
            "divide is missing (there is divde); its IDL is: "
            "float divide(1: int num1, 2: int num2 = 1) => InvalidOperation",
            "echo is a int, not a method; its IDL is: bytes echo(1: bytes data)",
            "wait takes 0 arguments, the IDL has 1; its IDL is: int wait(1: int number)",
            "log is an asynchronous generator, which no server runs: return the result, do not yield; "
            "its IDL is: oneway void log(1: string line)",
            "run requires how by keyword, but arguments are given positionally; its IDL is: "
            "int run(1: string what)",
            "old requires 1 arguments, the IDL has 0; its IDL is: void old()",
        ]
    )


def test_what_is_inherited_from_the_generated_handlers_is_not_written_yet() -> None:
    class Empty(service.Handlers):
        pass

    class Whole(service.Handlers):
        def divide(self, num1: int, num2: int) -> float: ...  # type: ignore[empty-body]

    with pytest.raises(
        TypeError,
        match=r"(?s)Empty .*divide is missing: .*what it takes, not what it does; its IDL is: float",
    ):
        service.ServerStub(Empty())  # type: ignore[abstract]
    assert len(service.ServerStub(Whole()).methods) == 1


def test_a_class_of_instance_methods_needs_an_instance() -> None:
    with pytest.raises(
        TypeError, match=r"divide needs an instance: pass Handlers\(\), or make it a @staticmethod"
    ):
        services.ServerStub(services.Handlers)


def test_a_class_of_static_and_class_methods_handles() -> None:
    class Static(services.BaseHandlers):
        @staticmethod
        def ping() -> str:
            return "static"

        @classmethod
        def class_(cls, *anything: int) -> int:
            return 1

    stub = services.DirectoryServerStub(Static)
    assert [(protocol.name, handler(*[0] * len(protocol.params))) for protocol, handler in stub.methods] == [
        ("Base.ping", "static"),
        ("Directory.ping", "static"),
        ("Directory.class", 1),
    ]


def test_handlers_that_inherit_complain_once() -> None:
    with pytest.raises(TypeError) as caught:
        services.DirectoryServerStub(object())
    assert str(caught.value).count("ping is missing") == 1


# What is registered of it


def test_a_stub_says_its_own_service() -> None:
    assert services.ServerStub(services.Handlers()).service == ""
    assert services.BaseServerStub(services.BaseHandlers()).service == "Base"
    assert services.DirectoryServerStub(services.DirectoryHandlers()).service == "Directory"
    assert rpc.ServerStub(object()).service == ""


def test_a_fingerprint_is_that_of_the_canonical_text_with_what_it_includes() -> None:
    one = rpc.Interface("one.idl", "int f()\n")
    assert one.fingerprint == hashlib.sha256(b"int f()\n").hexdigest()[:32]
    assert one.fingerprint == rpc.Interface("other.idl", "int f()\n").fingerprint
    assert one.fingerprint != rpc.Interface("one.idl", "int g()\n").fingerprint
    two = rpc.Interface("two.idl", 'include "one.idl"\n', includes=(one, one))
    text = '// file: one.idl\nint f()\n\n// file: two.idl\ninclude "one.idl"\n'
    assert two.fingerprint == hashlib.sha256(text.encode()).hexdigest()[:32]
    changed = rpc.Interface("two.idl", 'include "one.idl"\n', (rpc.Interface("one.idl", "int g()\n"),))
    assert two.fingerprint != changed.fingerprint
