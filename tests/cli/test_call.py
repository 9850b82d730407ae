"""``rpcgen call`` and ``rpcgen describe`` against servers that run: over every way there is, with and without the IDL."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import pathlib
import re
import sys
import time
import typing
import uuid

import common
import pytest
import service
import shop

from rpcgen import runtime as rpc
from tests.cli.command import Ended, rpcgen
from tests.cli.registry_command import run
from tests.support.certificates import authority
from tests.support.http_clients import BrokenServer, response, under_uvicorn
from tests.support.leaks import no_leaks
from tests.support.processes import ROOT

__all__ = ["no_leaks"]

ID = "0e8a3a50-9f0c-4a1e-9d0f-3f1d6f6f5a11"
IDL = ROOT / "idl"


class Handlers:
    """Answers divide, and says what it sees of the call."""

    def divide(self, num1: int, num2: int) -> float:
        if num2 == 0:
            raise service.InvalidOperation("by zero")
        if num2 == 13:
            raise RuntimeError("bad luck")
        if num2 == 14:
            time.sleep(0.3)
        context = rpc.context()
        if context.metadata:
            return float(len(context.metadata["trace"]))
        return num1 / num2


class Orders:
    """Answers what is asked in tests of the shop's orders."""

    def ping(self) -> None:
        pass

    def version(self) -> str:
        return "1.2"

    def place(self, lines: list[shop.Line], address: shop.Address, notes: dict[str, str]) -> shop.Order:
        if lines[0].quantity > 50:
            raise shop.OutOfStock(lines[0].sku, 7)
        now, total = datetime.datetime.now(datetime.UTC), common.Money(decimal.Decimal("12.50"))
        return shop.Order(uuid.UUID(ID), lines, address, now, total, notes=notes)

    def pay(self, id: uuid.UUID, payment: object) -> shop.Order:
        raise shop.PaymentRefused("no funds")

    def order(self, id: uuid.UUID) -> shop.Order:
        raise shop.NoSuchOrder(id)

    def cancel(self, id: uuid.UUID, reason: str) -> bool:
        return reason == "true"

    def viewed(self, sku: str, at: object) -> None:
        pass


def stubs() -> list[rpc.ServerStub]:
    return [service.ServerStub(Handlers()), shop.OrdersServerStub(typing.cast("typing.Any", Orders()))]


@pytest.fixture
def tcp() -> typing.Iterator[str]:
    """A server of both interfaces."""
    with rpc.ThreadServer("127.0.0.1", 0, *stubs()) as server:
        yield str(server.address)


@pytest.fixture(params=["tcp", "unix", "http", "static"])
def target(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> typing.Iterator[str]:
    """A server of both interfaces, on each way."""
    if request.param == "http":
        with under_uvicorn(rpc.http.asgi(*stubs())) as port:
            yield f"http://127.0.0.1:{port}"
        return
    host = f"unix://{tmp_path}/s" if request.param == "unix" else "127.0.0.1"
    with rpc.ThreadServer(host, None if request.param == "unix" else 0, *stubs()) as server:
        url = str(server.address)
        yield url.replace("tcp://", "static://") if request.param == "static" else url


Capture: typing.TypeAlias = pytest.CaptureFixture[str]


def test_a_call_s_result_is_json(target: str, capsys: Capture) -> None:
    assert run(capsys, "call", target, "divide", "num1=200", "num2=100") == Ended(0, "2.0\n", "")
    assert run(capsys, "call", target, "divide", "num1=3") == Ended(0, "3.0\n", "")
    assert run(capsys, "call", target, "Orders.version") == Ended(0, '"1.2"\n', "")
    assert run(capsys, "call", target, "Orders.ping") == Ended(0, "null\n", "")
    assert run(capsys, "call", target, "rpc.health") == Ended(0, "true\n", "")
    # A string is taken as it stands, JSON or not; a uuid needs no quotes.
    assert run(capsys, "call", target, "Orders.cancel", f"id={ID}", "reason=true") == Ended(0, "true\n", "")


def test_declared_exceptions_are_json_with_a_status(target: str, capsys: Capture) -> None:
    ended = run(capsys, "call", target, "divide", "num1=1", "num2=0")
    assert ended == Ended(1, '{"type":"InvalidOperation","message":"by zero"}\n', "")
    ended = run(capsys, "call", target, "Orders.order", f"id={ID}")
    assert (ended.status, ended.log) == (1, "")
    assert json.loads(ended.out)["fields"] == {"id": ID}


def test_what_the_server_serves(target: str, capsys: Capture) -> None:
    ended = run(capsys, "describe", target)
    assert (ended.status, ended.log) == (0, "")
    files = re.findall("^// file: (.*)$", ended.out, re.MULTILINE)
    assert files == ["service.idl", "common.idl", "shop.idl"]
    assert "float divide(1: int num1, 2: int num2 = 1) => InvalidOperation\n" in ended.out
    ended = run(capsys, "describe", target, "Orders")
    assert re.findall("^// file: (.*)$", ended.out, re.MULTILINE) == ["common.idl", "shop.idl"]
    ended = run(capsys, "describe", target, "-")
    assert ended == Ended(0, "float divide(1: int num1, 2: int num2 = 1) => InvalidOperation\n", "")


@pytest.mark.parametrize("how", ["here", "file", "standard input", "words"])
def test_arguments_in_json(
    tcp: str, capsys: Capture, how: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = {"name": "Ann", "street": "S 1", "city": "Graz", "postcode": "8010"}
    lines = [{"sku": "a", "quantity": 99}, {"sku": "b"}]
    data = json.dumps({"lines": lines, "address": address})
    words = ["-d", data]
    if how == "file":
        (tmp_path / "x.json").write_text(data)
        words = ["--data", f"@{tmp_path}/x.json"]
    elif how == "standard input":
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data.encode())))
        words = ["-d", "-"]
    elif how == "words":
        words = [f"lines={json.dumps(lines)}", f"address={json.dumps(address)}"]
    ended = run(capsys, "call", tcp, "Orders.place", *words)
    assert (ended.status, ended.log) == (1, ""), ended
    assert json.loads(ended.out) == {
        "type": "OutOfStock",
        "message": "sku='a', left=7",
        "fields": {"sku": "a", "left": 7},
    }


def test_words_go_before_data(tcp: str, capsys: Capture) -> None:
    words = ("-d", '{"num1": 6, "num2": 0}', "num2=4")
    assert run(capsys, "call", tcp, "divide", *words) == Ended(0, "1.5\n", "")


def test_structs_come_as_objects(tcp: str, capsys: Capture) -> None:
    address = '{"name":"Ann","street":"S 1","city":"Graz","postcode":"8010"}'
    ended = run(capsys, "call", tcp, "Orders.place", 'lines=[{"sku":"a"}]', f"address={address}")
    assert (ended.status, ended.log) == (0, "")
    order = json.loads(ended.out)
    assert order["lines"] == [{"sku": "a", "quantity": 1}]
    assert (order["id"], order["total"], order["state"]) == (
        ID,
        {"amount": "12.50", "currency": "EUR"},
        "OPEN",
    )


def test_the_interface_from_a_file(tcp: str, capsys: Capture, tmp_path: pathlib.Path) -> None:
    assert run(capsys, "call", tcp, "divide", "num1=3", "--idl", str(IDL / "service.idl")).out == "3.0\n"
    ended = run(capsys, "call", tcp, "Orders.version", "--idl", str(IDL / "shop.idl"))
    assert ended == Ended(0, '"1.2"\n', "")
    (tmp_path / "bad.idl").write_text("float divide(")
    ended = run(capsys, "call", tcp, "divide", "--idl", str(tmp_path / "bad.idl"))
    assert (ended.status, ended.out) == (2, "")
    assert (
        f"{tmp_path}/bad.idl has errors\n  = help: `rpcgen check {tmp_path}/bad.idl` shows them" in ended.log
    )
    assert run(capsys, "call", tcp, "divide", "--idl", str(tmp_path / "none.idl")).status == 2


SIGNATURE = "\n  = help: it is float divide(1: int num1, 2: int num2 = 1) => InvalidOperation\n"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["dvide"], 65, "there is no method 'dvide'\n  = help: did you mean divide?\n"),
        (
            ["ping"],
            65,
            "there is no method 'ping'\n  = help: did you mean Base.ping or Catalogue.ping or Orders.ping?\n",
        ),
        (["Ordres.order"], 65, "there is no method 'Ordres.order'\n  = help: did you mean Orders.order?\n"),
        (["zzz"], 65, "there is no method 'zzz'\n  = help: there are: divide, "),
        (["divide"], 66, f"divide: num1: is required but missing{SIGNATURE}"),
        (["divide", "num1=x"], 66, f'divide: num1: int must be -2147483648..2147483647, not "x"{SIGNATURE}'),
        (["divide", "num1=1.5"], 66, "divide: num1: int must be"),
        (["divide", "num1=1", "nmu2=3"], 66, "divide: there is no argument 'nmu2'; did you mean 'num2'?"),
        (["divide", "num1=1", "num1=2"], 66, f"divide: num1 stands twice{SIGNATURE}"),
        (["divide", "-d", "[1]"], 66, "divide: arguments must be an object, by their names, not"),
        (["divide", "-d", '{"num1": NaN}'], 66, "divide: "),
        (["divide", "-d", '{"num1": 1, "num1": 2}'], 66, "divide: "),
        (["Orders.place", "-d", '{"lines": [{"sku": 1}]}'], 66, "Orders.place: lines[0].sku: "),
        (["divide", "num1=1", "num2=13"], 73, "divide at tcp://127.0.0.1:"),
        (["divide", "num1=1", "num2=14", "--timeout", "0.05"], 67, "divide at tcp://127.0.0.1:"),
        (["divide", "num1"], 2, "an argument is NAME=VALUE, not 'num1'\n  = help: such as num1=1\n"),
        (["divide", "num1=1", "--metadata", "x"], 2, "--metadata takes NAME=VALUE, not 'x'"),
        (["divide", "-d", "@/nowhere/x"], 2, "cannot read /nowhere/x: No such file"),
        ([], 2, "a METHOD is missing"),
        (["divide", "--timeout", "0"], 2, "--timeout"),
        (["divide", "--ca", "/nowhere/ca.pem"], 2, "cannot load certificates"),
    ],
)
def test_what_goes_wrong(tcp: str, capsys: Capture, words: list[str], status: int, said: str) -> None:
    ended = run(capsys, "call", tcp, *words)
    assert (ended.status, ended.out) == (status, "")
    assert ended.log.startswith(f"rpcgen call: {said}"), ended.log


def test_a_method_by_its_last_name(tcp: str, capsys: Capture) -> None:
    assert run(capsys, "call", tcp, "cancel", f"id={ID}") == Ended(0, "false\n", "")


@pytest.mark.parametrize(
    ("url", "status", "said"),
    [
        (
            "tcp://127.0.0.1:1",
            69,
            "rpc.describe at tcp://127.0.0.1:1: cannot connect: the connection was refused",
        ),
        ("http://127.0.0.1:1", 69, "rpc.describe at http://127.0.0.1:1: cannot connect"),
        ("registry://127.0.0.1:1", 69, "rpc.describe: "),
        (
            "127.0.0.1:7000",
            2,
            "'127.0.0.1:7000' is no TARGET\n  = help: did you mean tcp://127.0.0.1:7000 or http",
        ),
        ("divide", 2, "'divide' is no TARGET\n  = help: one is tcp://host:port"),
        ("htp://h", 2, "htp:// is no TARGET\n  = help: did you mean http://…?\n"),
        ("tcp://h", 2, "'tcp://h' is no address"),
    ],
)
def test_targets_that_are_none(capsys: Capture, url: str, status: int, said: str) -> None:
    for command in (["call", url, "divide", "num1=1", "--timeout", "2"], ["describe", url, "--timeout", "2"]):
        if command[0] == "describe" and url.startswith("registry://"):
            continue  # it reads the registry first, and says what `rpcgen ls` says
        ended = run(capsys, *command)
        assert (ended.status, ended.out) == (status, "")
        assert ended.log.startswith(f"rpcgen {command[0]}: {said}"), ended.log
        assert "Traceback" not in ended.log


def test_a_server_that_speaks_otherwise(tcp: str, capsys: Capture) -> None:
    ended = run(capsys, "call", tcp.replace("tcp://", "http://"), "divide", "num1=1")
    assert ended.status == 75
    assert f"if that is not the port for HTTP, say {tcp}\n" in ended.log
    with BrokenServer(b"") as server:
        ended = run(capsys, "call", f"{server.url}", "divide", "num1=1")
        assert (ended.status, ended.out) == (74, "")
    with BrokenServer(response(b"", "401 Unauthorized")) as server:
        assert run(capsys, "call", f"{server.url}", "divide", "num1=1").status == 71


def test_a_server_that_does_not_say_what_it_serves(capsys: Capture) -> None:
    class Silent(service.ServerStub):
        interface = typing.cast("typing.Any", None)

    with rpc.ThreadServer("127.0.0.1", 0, Silent(Handlers())) as server:
        url = str(server.address)
        ended = run(capsys, "call", url, "divide", "num1=1")
        assert (ended.status, ended.out) == (2, "")
        assert ended.log.endswith("does not say what it serves\n  = help: name its file: --idl FILE\n")
        assert run(capsys, "call", url, "divide", "num1=1", "--idl", str(IDL / "service.idl")).out == "1.0\n"


def test_a_service_that_is_not_there(tcp: str, capsys: Capture) -> None:
    ended = run(capsys, "describe", tcp, "Order")
    assert (ended.status, ended.out) == (2, "")
    assert ended.log == f"rpcgen describe: {tcp} serves no Order\n  = help: did you mean Orders?\n"
    assert run(capsys, "describe", tcp, "a", "b").status == 2
    assert run(capsys, "describe").status == 2


def test_metadata_tokens_and_tls(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = authority()
    tokens = rpc.Tokens({"secret": "ann"})
    with rpc.ThreadServer("127.0.0.1", 0, *stubs(), authenticate=tokens, tls=ours.server()) as server:
        url = str(server.address)
        call = ("call", url, "divide", "num1=1", "--ca", str(ours.ca))
        assert run(capsys, *call, "--token", "secret", "--metadata", "trace=abcd").out == "4.0\n"
        assert run(capsys, *call).status == 71
        monkeypatch.setenv("RPCGEN_TOKEN", "secret")
        assert run(capsys, *call).out == "1.0\n"
        assert run(capsys, "describe", url, "-", "--ca", str(ours.ca)).status == 0
        assert run(capsys, "call", url, "divide", "num1=1", "--tls").status == 69
    with under_uvicorn(rpc.http.asgi(*stubs(), authenticate=tokens)) as port:
        over = ("call", f"http://127.0.0.1:{port}", "divide", "num1=1")
        assert run(capsys, *over, "--metadata", "trace=abcd").out == "4.0\n"
        assert run(capsys, *over, "--token", "wrong").status == 71


def test_servers_of_registries(capsys: Capture, zk_url: str) -> None:
    with rpc.RegistryServer("127.0.0.1", 0) as registry:
        for url in (f"registry://127.0.0.1:{registry.address.port}", zk_url):
            with rpc.ThreadServer("127.0.0.1", 0, *stubs(), registry=url):
                assert run(capsys, "call", url, "divide", "num1=1") == Ended(0, "1.0\n", "")
                assert run(capsys, "call", url, "Orders.version") == Ended(0, '"1.2"\n', "")
                assert run(capsys, "call", url, "rpc.health").out == "true\n"
                text = run(capsys, "describe", url)
                assert text.status == 0
                assert text.out.count("service Orders") == 1
                assert "service Orders" in run(capsys, "describe", url, "Orders").out
                ended = run(capsys, "call", url, "Carts.add", "--timeout", "20")
                assert (ended.status, ended.out) == (69, "")
                assert ended.log.endswith("\n  = help: there are servers of -, Orders\n"), ended.log


def test_as_a_command(tcp: str, tmp_path: pathlib.Path) -> None:
    """As a process: its streams are bytes, nothing but the result goes to standard output."""
    ended = rpcgen("call", tcp, "Orders.cancel", f"id={ID}", "reason=größer", cwd=tmp_path)
    assert ended == Ended(0, "false\n", "")
    ended = rpcgen("describe", tcp, "-", cwd=tmp_path)
    (tmp_path / "again.idl").write_text(ended.out)
    assert rpcgen("check", "again.idl", cwd=tmp_path).status == 0
