"""The codec in C as a piece of C: bad input, leaks, threads, interpreters, values that change under it."""

from __future__ import annotations

import contextlib
import datetime
import gc
import os
import random
import subprocess
import sys
import threading
import typing
import weakref

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.wire import plain
from rpcgen.runtime.wire.choice import choice
from rpcgen.runtime.wire.codec import ReferenceCodec
from tests.support import everything
from tests.support.schemas import exception_class, normal, outcome, struct_class

_codec = pytest.importorskip("rpcgen.runtime.wire._codec")
from rpcgen.runtime.wire import native  # noqa: E402

CORRUPTED = int(os.environ.get("RPCGEN_CORRUPTED", "2000"))
ROUND_TRIPS = int(os.environ.get("RPCGEN_ROUND_TRIPS", "4000"))
SEED = int(os.environ.get("RPCGEN_SEED", "1"))


@pytest.fixture(autouse=True)
def only_once(codec_kind: str) -> None:
    if codec_kind != "c":
        pytest.skip("of the codec in C")


def messages() -> list[tuple[str, bytes]]:
    _, reference = everything.codecs()
    block = reference.encode_call(everything.arguments())[4 + 5 + 4 :]
    raised = reference.encode_raised(everything.Detailed("why", everything.Tree("top")))
    plain_one = reference.encode_raised(everything.Refused("no"))
    assert raised is not None
    assert plain_one is not None
    return [
        ("decode_args", block),
        ("decode_reply", bytes(reference.encode_reply(everything.result()))),
        ("decode_reply", raised),
        ("decode_reply", plain_one),
    ]


@pytest.mark.bulky
@pytest.mark.timeout(3600)
def test_corrupted_messages_end_as_the_reference_says() -> None:
    fast, reference = everything.codecs()
    chance = random.Random(SEED)
    found: set[typing.Any] = set()
    for number in range(CORRUPTED):
        kind, message = chance.choice(messages_made)
        spoiled = everything.corrupted(message, chance)
        got = outcome(getattr(fast, kind), spoiled)
        assert got == outcome(getattr(reference, kind), spoiled), (SEED, number, kind, spoiled.hex())
        found.add(got[0] is rpc.DecodeError)
    assert found == {True, False}


messages_made = messages()


@pytest.mark.bulky
def test_truncation_at_every_length() -> None:
    fast, reference = everything.codecs()
    for kind, message in messages_made:
        for size in range(len(message)):
            cut = message[:size]
            assert outcome(getattr(fast, kind), cut) == outcome(getattr(reference, kind), cut)


@pytest.mark.bulky
def test_scans_of_corrupted_replies_end_as_the_references() -> None:
    fast, reference = everything.codecs()
    chance = random.Random(SEED)
    limits = rpc.Limits(message=5000, items=40)
    for _ in range(CORRUPTED // 4):
        spoiled = everything.corrupted(messages_made[1][1], chance)
        ends = []
        for codec in (fast, reference):
            scan = codec.reply_scan(limits)
            said: list[typing.Any] = []
            try:
                for size in (1, len(spoiled) // 2, len(spoiled)):
                    done = scan.advance(spoiled[:size])
                    said.append((done, scan.end, scan.needs, scan.steps))
            except rpc.ProtocolError as error:
                said.append(str(error))
            ends.append(said)
        assert ends[0] == ends[1], spoiled.hex()


@pytest.mark.bulky
@pytest.mark.timeout(1200)
def test_nothing_leaks() -> None:
    """Neither on the usual ways nor on those that end in the reference, nor a single reference."""
    fast, _ = everything.codecs()
    args, result = everything.arguments(), everything.result()
    call, reply = fast.encode_call(args), bytes(fast.encode_reply(result))
    block = call[13:]
    refused, detailed = everything.Refused("no"), everything.Detailed("why", everything.Tree("top"))
    raised = fast.encode_raised(detailed)
    assert raised is not None
    bad_args = [*args[:-1], "no bytes"]
    watched = (None, True, everything.Kind.WORK, everything.Scalars, rpc.DEFAULT, args[0][0].f12)

    def round_trip() -> None:
        fast.decode_args(fast.encode_call(args)[13:])
        fast.encode_block(args)
        fast.decode_reply(fast.encode_reply(result))
        fast.encode_raised(refused)
        fast.decode_reply(raised)
        fast.reply_scan().advance(reply)

    def failure() -> None:
        for function, value in (
            (fast.encode_call, bad_args),
            (fast.encode_block, bad_args),
            (fast.decode_args, block[:-3]),
            (fast.decode_reply, reply + b"x"),
            (fast.quick_reply, reply[:9]),
        ):
            outcome(function, value)

    def run(times: int) -> tuple[int, list[int]]:
        for number in range(times):
            round_trip()
            if number % 100 == 0:
                failure()
        gc.collect()
        return sys.getallocatedblocks(), [sys.getrefcount(each) for each in watched]

    run(1_000)  # Python itself keeps things at first
    blocks, counts = run(1_000)
    after_blocks, after_counts = run(ROUND_TRIPS)
    assert after_blocks - blocks < 100
    assert max(abs(after - before) for after, before in zip(after_counts, counts, strict=True)) < 50


NUMBERS = (
    rpc.BOOL, rpc.BYTE, rpc.UBYTE, rpc.SHORT, rpc.USHORT, rpc.INT, rpc.UINT, rpc.LONG, rpc.ULONG, rpc.FLOAT, rpc.DOUBLE
)  # fmt: skip


@pytest.mark.parametrize("nested", [False, True], ids=["alone", "in a list"])
def test_records_of_numbers_alone(nested: bool) -> None:
    """They have a way of their own, which ends where anything is not as it should be."""
    fields = [rpc.Field(tag, f"f{tag}", type_) for tag, type_ in enumerate(NUMBERS, 1)]
    even = struct_class("Even", fields)
    returns = rpc.ListOf(even) if nested else even
    fast, reference = (kind("m", (), (), returns, ()) for kind in (plain.MethodCodec, ReferenceCodec))

    def agree(value: typing.Any) -> None:
        given = [value] if nested else value
        assert outcome(fast.encode_reply, given) == outcome(reference.encode_reply, given)

    good = [True, -1, 1, -2, 2, -3, 3, -(1 << 62), 1 << 63, 0.5, 0.25]
    agree(even(*good))
    for place in range(len(good)):
        for bad in (None, "x", -1, 1 << 40, 1 << 70, 1e300, True, 2):
            agree(even(*good[:place], bad, *good[place + 1 :]))
    agree(object())
    empty = even(*good)
    del empty.f3
    with pytest.raises((AttributeError, rpc.EncodeError)):
        fast.encode_reply([empty] if nested else empty)
    assert outcome(fast.encode_reply, even(*good), rpc.Limits(nesting=0)) == outcome(
        reference.encode_reply, even(*good), rpc.Limits(nesting=0)
    )

    data = bytes(fast.encode_reply([even(*good)] if nested else even(*good)))
    assert outcome(fast.decode_reply, data) == outcome(reference.decode_reply, data)
    for place in range(len(data)):
        for byte in (0, 1, 2, 5, 255):
            spoiled = data[:place] + bytes((byte,)) + data[place + 1 :]
            assert outcome(fast.decode_reply, spoiled) == outcome(reference.decode_reply, spoiled)
        for odd in (data[:place], data[:place] + data[place + 1 :], data[:place] + b"\3" + data[place:]):
            assert outcome(fast.decode_reply, odd) == outcome(reference.decode_reply, odd)


def test_records_of_numbers_alone_do_not_leak() -> None:
    even = struct_class("Even", [rpc.Field(1, "a", rpc.ULONG), rpc.Field(2, "b", rpc.BOOL)])
    codec = plain.MethodCodec("m", (), (), even, ())
    good, bad = even(1 << 60, True), even(1 << 60, "no")
    data = bytes(codec.encode_reply(good))
    spoiled = data[:-1] + b"\2"

    def run(times: int) -> tuple[int, int]:
        for _ in range(times):
            codec.decode_reply(codec.encode_reply(good))
            outcome(codec.encode_reply, bad)
            outcome(codec.decode_reply, spoiled)
        gc.collect()
        return sys.getallocatedblocks(), sys.getrefcount(even)

    run(100)
    before, after = run(100), run(1000)
    assert after[0] - before[0] < 50
    assert after[1] == before[1]


def test_a_codec_and_its_classes_can_be_collected() -> None:
    inner = struct_class("Inner", [rpc.Field(1, "a", rpc.INT)])
    outer = struct_class("Outer", [rpc.Field(1, "inner", rpc.ListOf(inner))])
    codec = plain.MethodCodec("m", (rpc.Param(1, "a", outer),), (), outer, (exception_class("E", None),))
    assert codec.decode_reply(codec.encode_reply(outer([inner(1)]))) == outer([inner(1)])
    ends = [weakref.ref(codec), weakref.ref(outer), weakref.ref(inner)]
    del codec, inner, outer
    gc.collect()
    assert [end() for end in ends] == [None, None, None]


def test_what_holds_no_others_is_not_the_collectors() -> None:
    fast, _ = everything.codecs()
    scalars, _, _, tree, _, _, numbers, *_ = fast.decode_args(fast.encode_call(everything.arguments())[13:])
    assert not gc.is_tracked(numbers)
    assert not gc.is_tracked(scalars)
    assert not gc.is_tracked(scalars[0])
    assert gc.is_tracked(tree)
    assert gc.is_tracked(tree.below)


@pytest.mark.bulky
def test_many_threads_from_the_first_message_on() -> None:
    fast, reference = everything.codecs()
    args = everything.arguments()
    expected = reference.encode_call(args)
    wrong: list[object] = []
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        for _ in range(200):
            message = fast.encode_call(args)
            if message != expected or normal(fast.decode_args(message[13:])) != decoded:
                wrong.append(message)

    decoded = normal(reference.decode_args(expected[13:]))
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


INTERPRETER = """
import sys
sys.path[:] = {path!r}
from rpcgen import runtime as rpc
from rpcgen.runtime.wire.plain import MethodCodec, native
assert native
codec = MethodCodec("m", (rpc.Param(1, "a", rpc.ListOf(rpc.STRING)),), (), rpc.LONG, ())
assert codec.decode_args(codec.encode_call([["x"]])[9:]) == [["x"]]
assert codec.decode_reply(codec.encode_reply(5)) == 5
"""


def test_several_interpreters_and_a_module_imported_again() -> None:
    """In a process of its own: what goes wrong there ends it."""
    program = f"""
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
code = {INTERPRETER.format(path=sys.path)!r}
exec(code)
for _ in range(3):
    one, other = interpreters.create(), interpreters.create()
    for each in (one, other, one):
        error = interpreters.run_string(each, code)
        assert error is None, error
    interpreters.destroy(one)
    interpreters.destroy(other)
import sys
for name in [name for name in sys.modules if name.startswith("rpcgen")]:
    del sys.modules[name]
exec(code)
print("done")
"""
    environment = {**os.environ, "RPCGEN_CODEC": "c"}
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "done\n", "")


class Meddler(datetime.date):
    """A date whose conversion runs code of its own."""

    meddle: typing.ClassVar[typing.Callable[[], object]]

    def toordinal(self) -> int:
        Meddler.meddle()
        return super().toordinal()


def test_values_that_change_while_they_are_written() -> None:
    """What comes of it is nobody's promise; that the process goes on is."""
    Holder = struct_class("Holder", [rpc.Field(1, "when", rpc.DATE), rpc.Field(2, "text", rpc.STRING)])
    day = Meddler(2020, 1, 1)
    dates: list[typing.Any] = [day] * 50
    days: dict[typing.Any, typing.Any] = dict.fromkeys(range(50), day)
    keys: dict[typing.Any, typing.Any] = {Meddler(2020, 1, number): "x" * 50 for number in range(1, 29)}
    members = {Meddler(2020, 1, number) for number in range(1, 29)}
    holder = Holder(day, "".join(["te", "xt"]))
    cases: list[tuple[typing.Any, typing.Any, typing.Callable[[], object]]] = [
        (rpc.ListOf(rpc.DATE), dates, dates.clear),
        (rpc.ListOf(rpc.DATE), dates, lambda: dates.extend(range(1000))),
        (rpc.MapOf(rpc.INT, rpc.DATE), days, days.clear),
        (rpc.MapOf(rpc.INT, rpc.DATE), days, lambda: days.update(dict.fromkeys(range(5000)))),
        (rpc.MapOf(rpc.DATE, rpc.STRING), keys, keys.clear),
        (rpc.SetOf(rpc.DATE), members, members.clear),
        (Holder, holder, lambda: setattr(holder, "text", 5)),
    ]
    for type_, value, meddle in cases:
        codec = plain.MethodCodec("m", (rpc.Param(1, "a", type_),), (), type_, ())
        Meddler.meddle = meddle
        for function, given in ((codec.encode_reply, value), (codec.encode_call, [value])):
            with contextlib.suppress(rpc.EncodeError, RuntimeError):
                function(given)


def test_what_makes_no_shape_or_method_is_refused() -> None:
    Shape, Method = _codec.Shape, _codec.Method
    for kind in ("", "nothing", "list", "map", "enum", "uuid", "message", "union"):
        with pytest.raises((TypeError, ValueError)):
            Shape(kind)
    with pytest.raises(TypeError):
        Shape("list", 5)
    with pytest.raises(TypeError):
        Shape("record", of=5)
    number = Shape("int")
    with pytest.raises(TypeError):
        number.fill((), False, 0)
    row = (1, "required", False, 0, "a", number, None, None, None)
    for rows in (
        (5,),
        ((1, 2),),
        (row, row),
        ((1, "required", False, 1, "a", number, None, None, None),),
        ((0, "required", False, 0, "a", number, None, None, None),),
        ((1, "sometimes", False, 0, "a", number, None, None, None),),
        ((1, "required", False, 0, "a", None, None, None, None),),
        ((1, "required", False, 0, "a", number, None, "text", None),),
    ):
        with pytest.raises((TypeError, ValueError)):
            Shape("record").fill(rows, False, 0)
    record = Shape("record")
    record.fill((row,), True, 1)
    with pytest.raises(TypeError):
        record.fill((row,), True, 1)
    good: tuple[typing.Any, ...] = (
        b"m",
        record,
        None,
        False,
        (),
        {},
        (len,) * len(plain.MESSAGES),
        None,
        rpc.Limits(),
    )
    Method(*good)
    for place, bad in enumerate(("m", number, 5, None, [], (), (len,), None, 5)):
        if place not in (3, 7):
            with pytest.raises(TypeError):
                Method(*(bad if at == place else value for at, value in enumerate(good)))
    with pytest.raises(TypeError):
        Method(*good, more=1)
    with pytest.raises(TypeError):
        _codec.ReplyScan()


def test_calls_with_too_much_or_too_little() -> None:
    codec, _ = everything.codecs()
    codec.reply_scan()
    for name in plain.MESSAGES:
        function: typing.Any = getattr(codec, name)
        with pytest.raises(TypeError):
            function(1, 2, 3)
        with pytest.raises(TypeError):
            function(b"", what=5)
        if name != "reply_scan":
            with pytest.raises(TypeError):
                function()
    assert codec.decode_reply(b"\x01\x00", limits=rpc.Limits()) is None
    assert codec.reply_scan(limits=rpc.Limits()).needs == 1


@pytest.mark.parametrize(
    "limits",
    [
        rpc.Limits(nesting=-1),
        rpc.Limits(items=-1),
        rpc.Limits(message=2**70, items=2**70, nesting=2**70),
        rpc.Limits(items=typing.cast(int, float("inf"))),
    ],
)
def test_strange_limits_mean_what_they_mean_to_the_reference(limits: rpc.Limits) -> None:
    fast, reference = everything.codecs()
    for codec_args in ([], ["x"]):
        params = (rpc.Param(1, "a", rpc.ListOf(rpc.STRING)),)
        one, other = (
            kind("m", params, (), rpc.ListOf(rpc.STRING), ()) for kind in (plain.MethodCodec, ReferenceCodec)
        )
        message = other.encode_call([codec_args])
        assert outcome(one.encode_call, [codec_args], limits) == outcome(
            other.encode_call, [codec_args], limits
        )
        assert outcome(one.decode_args, message[9:], limits) == outcome(
            other.decode_args, message[9:], limits
        )
    kind, message = messages_made[0]
    assert outcome(getattr(fast, kind), message, limits) == outcome(getattr(reference, kind), message, limits)


def test_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(value: str | None) -> str:
        environment = {name: text for name, text in os.environ.items() if name != "RPCGEN_CODEC"}
        environment |= {} if value is None else {"RPCGEN_CODEC": value}
        program = "from rpcgen.runtime.wire.choice import codec_in_use as u; print(u())"
        ran = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
        )
        return (ran.stdout or ran.stderr).strip().splitlines()[-1]

    assert told(None) == told("") == told("c") == "C codec"
    assert told("python") == "Python codec: RPCGEN_CODEC says so"
    assert told("rust") == "RuntimeError: RPCGEN_CODEC is c, python or unset; not 'rust'"
    monkeypatch.setitem(sys.modules, "rpcgen.runtime.wire._codec", None)
    monkeypatch.delenv("RPCGEN_CODEC", raising=False)
    assert choice.__wrapped__().why == "the one in C is not built, which takes a C compiler"
    monkeypatch.setenv("RPCGEN_CODEC", "c")
    with pytest.raises(RuntimeError, match="RPCGEN_CODEC=c, but the codec in C is not there: install rpcgen"):
        choice.__wrapped__()


def test_exceptions_are_made_as_their_own_classes_would() -> None:
    made: list[str] = []

    class Counted(rpc.RemoteException):
        def __init__(self, message: str | None = None) -> None:
            made.append(str(message))
            super().__init__(message)

    class Usual(rpc.RemoteException):
        default_message = "usual"

    for cls in (Counted, Usual):
        codec = plain.MethodCodec("m", (), (), rpc.VOID, (cls,))
        raised = codec.decode_reply(b"\x02\x00\x00\x00\x02no")
        assert (type(raised), raised.args, raised.message, vars(raised)) == (
            cls,
            ("no",),
            "no",
            {"message": "no"},
        )
        assert str(raised) == "no"
    assert made == ["no"]
    assert native._is_plain_message(Usual)
    assert not native._is_plain_message(Counted)
