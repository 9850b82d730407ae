"""``rpcgen explain``, ``encode`` and ``decode``: bytes and JSON as they are shown, and what is said of mistakes."""

from __future__ import annotations

import argparse
import json
import pathlib
import random
import re
import shlex
import struct
import subprocess
import typing

import pytest

import rpcgen
from rpcgen import cli
from rpcgen.cli.console import Console
from rpcgen.cli.interface import opened
from rpcgen.cli.listing import listing
from rpcgen.runtime.stubs import MessageProtocol
from rpcgen.runtime.wire import frames, hello
from rpcgen.runtime.wire.capture import read
from rpcgen.runtime.wire.compression import BY_NAME
from tests.cli.command import COMMAND, FAULTY, ONE_LINE, environment, write
from tests.evolution.interfaces import random_interface
from tests.evolution.values import random_arguments, random_value

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "explain"
CALL = "000000066469766964650000000a01000000c80200000064"


class Said:
    """What a command said, and how it ended."""

    def __init__(self, status: int, captured: tuple[str, str]) -> None:
        self.status = status
        self.out, self.log = captured


Run: typing.TypeAlias = typing.Callable[..., Said]


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    write(tmp_path, {"service.idl": ONE_LINE, "bad.idl": FAULTY})
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Said:
        status = cli.main(words)
        return Said(status, capsys.readouterr())

    return run


@pytest.mark.parametrize("case", sorted(path.stem for path in GOLDEN.glob("*.txt")))
def test_golden(case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(GOLDEN)
    command, _, expected = (GOLDEN / f"{case}.txt").read_text(encoding="utf-8").partition("\n")
    status = cli.main(shlex.split(command.removeprefix("$ rpcgen ")))
    assert capsys.readouterr().out == expected
    assert status == case.startswith("bad_")


def test_inputs(run: Run, tmp_path: pathlib.Path) -> None:
    expected = run("explain", CALL, "--idl", "service.idl").out
    assert expected.splitlines()[-1].split()[:7] == ["20", "00", "00", "00", "64", "num2", "int"]
    (tmp_path / "raw").write_bytes(bytes.fromhex(CALL))
    (tmp_path / "hex").write_text("0x" + ":".join(CALL[at : at + 2] for at in range(0, len(CALL), 2)) + "\n")
    for given in ("raw", "hex", CALL.upper(), f"{CALL[:8]} {CALL[8:]}"):
        assert run("explain", given, "--idl", "service.idl").out == expected
    for data in (bytes.fromhex(CALL), CALL.encode()):
        ended = subprocess.run(
            [*COMMAND, "explain", "-", "--idl", "service.idl"],
            input=data,
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            timeout=60,
            check=True,
        )
        assert ended.stdout.decode() == expected


def test_colour_and_whole_values(run: Run) -> None:
    plain = run("explain", CALL, "--idl", "service.idl").out
    coloured = run("explain", CALL, "--idl", "service.idl", "--color", "always").out
    assert "\x1b" not in plain
    assert "\x1b[1mcall 1\x1b[0m" in coloured
    long = "01" + (100).to_bytes(4, "big").hex() + "78" * 100
    text = b"string text()\n"
    pathlib.Path("text.idl").write_bytes(text)
    assert "… 76 more" in run("explain", long, "--idl", "text.idl").out
    full = run("explain", long, "--idl", "text.idl", "--full").out
    assert "x" * 100 in full
    assert full.count("78") == 100


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "INPUT is missing"),
        (["00"], "--idl is missing"),
        (["00", "a", "b", "--idl", "service.idl"], "there is no place for 'b'"),
        (["xyz", "--idl", "service.idl"], "'xyz' is no file, and no hexadecimal digits"),
        (["000", "--idl", "service.idl"], "000: 3 hexadecimal digits: a byte has two, so one is missing"),
        (["", "--idl", "service.idl"], "INPUT is empty"),
        (
            ["01", "divde", "--idl", "service.idl"],
            "there is no method 'divde'\n  = help: did you mean divide?",
        ),
        (
            ["01", "--idl", "two.idl"],
            "does not say which method it is for\n  = help: name the METHOD: one of a, b",
        ),
    ],
)
@pytest.mark.parametrize("command", ["explain", "decode"])
def test_mistakes(command: str, words: list[str], said: str, run: Run) -> None:
    pathlib.Path("two.idl").write_text("int a()\nint b()\n")
    ended = run(command, *words)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.log


def test_a_faulty_interface_is_shown(run: Run) -> None:
    for words in (["explain", "01"], ["decode", "01"], ["encode", "{}"]):
        ended = run(*words, "--idl", "bad.idl")
        assert (ended.status, ended.log) == (1, "")
        assert ended.out.startswith("bad.idl:1:26: error[E103]")


def test_calls_there_and_back(run: Run) -> None:
    assert run("encode", '{"num1": 200, "num2": 100}', "--idl", "service.idl", "divide").out == f"{CALL}\n"
    said = run("decode", CALL, "--idl", "service.idl").out
    assert json.loads(said) == {"name": "divide", "params": {"num1": 200, "num2": 100}}
    assert run("encode", said, "--idl", "service.idl").out == f"{CALL}\n"
    both = run("decode", CALL + CALL, "--idl", "service.idl").out
    assert both == said + said


@pytest.mark.parametrize(
    ("reply", "data"),
    [
        ("0140000000", '{"result":2.0}'),
        ("020000000178", '{"error":{"type":"InvalidOperation","message":"x"}}'),
        ("000000000c494e5445524e414c3a206e6f", '{"error":{"type":"INTERNAL","message":"no"}}'),
    ],
)
def test_replies_there_and_back(reply: str, data: str, run: Run) -> None:
    assert run("encode", data, "--reply", "--idl", "service.idl").out == f"{reply}\n"
    assert run("decode", reply, "--idl", "service.idl").out == f"{data}\n"


def test_faults_of_bytes_end_decode_with_1(run: Run) -> None:
    ended = run("decode", CALL + CALL[:-2], "--idl", "service.idl")
    assert ended.status == 1
    assert len(ended.out.splitlines()) == 1
    assert ended.log.startswith("rpcgen decode: num2: 4 bytes are needed, but 3 are left (at byte 44)")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{}", "divide"], "divide: num1: is required but missing"),
        (['{"num1": "x"}', "divide"], "divide: num1: int must be"),
        (['{"num1": 1, "other": 2}', "divide"], "other"),
        (['{"num1": 1', "divide"], "no JSON"),
        (['{"num1": 1}'], "without METHOD, a call is"),
        (['{"name": "divide", "params": {"num1": 1}, "more": 1}'], "'more' is unknown here"),
        (['{"result": 1, "error": {}}', "--reply"], 'a reply is {"result": …} or {"error": {…}}'),
        (['{"error": 1}', "--reply"], 'error is {"type": …, "message": …}, not 1'),
        (['{"error": {"type": "No"}}', "--reply"], "error.type: 'No' is none of InvalidOperation, UNKNOWN"),
        (['{"error": {"type": "InvalidOperation", "message": 1}}', "--reply"], "InvalidOperation: "),
    ],
)
def test_json_that_does_not_fit(words: list[str], said: str, run: Run) -> None:
    ended = run("encode", *words, "--idl", "service.idl")
    assert (ended.status, ended.out) == (1, "")
    assert said in ended.log


def test_mistakes_of_encode(run: Run) -> None:
    for words, said in (
        (["encode"], "JSON is missing"),
        (
            ["encode", "", "a", "--idl", "service.idl"],
            "JSON is empty\n  = help: a call without arguments is {}",
        ),
        (["encode", "{}", "a", "b", "--idl", "service.idl"], "there is no place for 'b'"),
        (["encode", "nowhere.json", "--idl", "service.idl"], "cannot read nowhere.json"),
        (["encode", '{"name": "x"}', "--idl", "service.idl"], "there is no method 'x'"),
        (["encode", "{}", "--reply", "--idl", "two.idl"], "METHOD is missing"),
    ):
        pathlib.Path("two.idl").write_text("int a()\nint b()\n")
        ended = run(*words)
        assert (ended.status, ended.out) == (2, "")
        assert said in ended.log


def test_raw_bytes_through_pipes(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {"service.idl": ONE_LINE, "call.json": '{"name": "divide", "params": {"num1": 1}}'})
    ends = ["--idl", "service.idl"]
    options = {"cwd": tmp_path, "env": environment(), "capture_output": True, "timeout": 60, "check": True}
    raw = subprocess.run([*COMMAND, "encode", "call.json", "--raw", *ends], **options).stdout  # type: ignore[call-overload]
    assert raw == bytes.fromhex("00000006 646976696465 00000005 01 00000001")
    told = subprocess.run([*COMMAND, "decode", "-", *ends], input=raw, **options).stdout  # type: ignore[call-overload]
    assert json.loads(told) == {"name": "divide", "params": {"num1": 1, "num2": 1}}


@pytest.mark.parametrize("part", range(4))
def test_random_interfaces(part: int, tmp_path: pathlib.Path, run: Run) -> None:
    """Every message of random interfaces: to JSON and back to the same bytes; explained without faults."""
    rng = random.Random(f"explain {part}")
    for number in range(4):
        idl = str(write(tmp_path / f"{number}", random_interface(rng).texts()) / "stock.idl")
        try:
            module = rpcgen.load(idl)
        except rpcgen.IdlError:
            continue
        for protocol in [each for each in vars(module).values() if isinstance(each, MessageProtocol)]:
            codec = protocol.codec()
            call = codec.encode_call(random_arguments(rng, protocol)).hex()
            assert run("explain", call, "--idl", idl).status == 0
            said = run("decode", call, "--idl", idl)
            assert (said.status, said.log) == (0, "")
            assert run("encode", said.out, "--idl", idl).out.strip() == call
            replies = [bytes(codec.encode_reply(random_value(rng, codec.returns)))]
            replies += [
                made for each in codec.raises if (made := codec.encode_raised(random_value(rng, each)))
            ]
            for reply in replies:
                assert run("explain", reply.hex(), protocol.name, "--reply", "--idl", idl).status == 0
                said = run("decode", reply.hex(), protocol.name, "--reply", "--idl", idl)
                assert (said.status, said.log) == (0, "")
                again = run("encode", said.out, protocol.name, "--reply", "--idl", idl)
                assert again.out.strip() == reply.hex(), (said.out, again.log)


SECRET = "s3cr3t-of-ann"


def captured(*, compressed: bool = False) -> bytes:
    """Gives what a client sent: HELLO, and a call with metadata; both hold the secret, under two names each."""
    said = hello.Hello({"agent": "test", "session-token": SECRET}, credentials=SECRET)
    metadata = {"trace": b"4f2a", "Authorization": SECRET.encode(), "X-Api-Key": SECRET.encode()}
    call = bytes.fromhex("06 646976696465 00000000 01 000000c8 02 00000064")
    payload, flags = frames.encode_map(metadata) + call, frames.METADATA
    if compressed:
        gzip = BY_NAME["gzip"]
        payload = struct.pack(">BI", gzip.number, len(payload)) + gzip.compress(payload)
        flags |= frames.COMPRESSED
    head = frames.pack_head(len(payload) + frames.OVERHEAD, frames.CALL << 8 | flags, 1)
    return frames.PREFACE + hello.encode_hello(said) + head + payload


@pytest.mark.parametrize("compressed", [False, True])
def test_credentials_are_hidden_unless_they_are_asked_for(compressed: bool, run: Run) -> None:
    """Those of HELLO, and what metadata hold under names like theirs; the rest is shown."""
    words = ("explain", captured(compressed=compressed).hex(), "--idl", "service.idl", "--full")
    said, whole = run(*words), run(*words, "--show-secrets")
    assert (said.status, whole.status) == (0, 0)
    assert (said.out.count(SECRET), whole.out.count(SECRET)) == (0, 4)
    assert SECRET.encode()[:8].hex(" ") not in said.out
    assert said.out.count(f"{len(SECRET)} hidden") == 4
    assert said.out.count(" hidden") == 4 + compressed
    for text in (said.out, whole.out):
        assert all(each in text for each in ('"session-token"', '"X-Api-Key"', "b'4f2a'", "num1", '"test"'))
    assert SECRET not in run("decode", *words[1:4]).out


def test_credentials_are_hidden_where_they_are_cut() -> None:
    """Wherever the capture ends."""
    data = captured()
    for length in range(1, len(data)):
        text = listing(data[:length], read(data[:length], {}), {}, full=True)
        assert SECRET[:4] not in text
        assert SECRET.encode()[:4].hex(" ") not in text


def test_whatever_it_is_given_is_listed_whole() -> None:
    """Every byte of the golden cases' messages, corrupted, stands in the listing once, in its order."""
    rng = random.Random("listing")
    interface = opened(argparse.Namespace(idl=str(GOLDEN / "stock.idl"), include=[]), Console())
    assert interface is not None
    for path in sorted(GOLDEN.glob("*.txt")):
        data = bytearray.fromhex(path.read_text(encoding="utf-8").split()[3])
        for _ in range(30):
            broken = data[: rng.randrange(1, len(data) + 1)]
            broken[rng.randrange(len(broken))] = rng.randrange(256)
            capture = read(bytes(broken), interface.methods, method="Stock.find")
            text = listing(bytes(broken), capture, interface.lines, full=True, secrets=True)
            titles, *lines = text.splitlines()
            begin, end = titles.index("BYTES"), titles.index("FIELD")
            shown = [line[begin:end] for line in lines if re.match(" *[0-9]+  ", line[:begin])]
            assert bytes.fromhex("".join(shown)) == broken
            assert all(line.isprintable() for line in lines)
