"""docs/evolution.md is true: each row of its table is tried over real connections, and its examples are what is said."""

from __future__ import annotations

import pathlib
import re
import subprocess
import typing

import pytest

from rpcgen import cli, runtime as rpc
from tests.evolution.json_talk import talk_in_json
from tests.evolution.talk import changes, objections
from tests.evolution.test_channels import TIME, Answers, Raising, Whole, stubs
from tests.evolution.test_rules import goes_wrong

TEXT = (pathlib.Path(__file__).parent.parent.parent / "docs" / "evolution.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| (.+?) \| (yes.*?|no) \|", TEXT, re.MULTILINE))
"""What changes → whether it may on the wire."""


class Pair:
    """Two versions of an interface."""

    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = Whole({"stock.idl": old}, "old"), Whole({"stock.idl": new}, "new")

    def call(
        self, clients: Whole, name: str, *args: object, gives: object = 1, raises: bool = False
    ) -> tuple[typing.Any, typing.Any]:
        """Lets one version call a server of the other one; gives what the handler got, and the client."""
        servers = self.new if clients is self.old else self.old
        answers = Answers(servers)
        answers.planned = Raising(gives) if raises else gives
        with (
            rpc.ThreadServer("127.0.0.1", 0, *stubs(servers, answers.handlers)) as server,
            rpc.Channel("127.0.0.1", server.address.port, timeout=TIME) as channel,
        ):
            found: object
            try:
                found = channel.call(clients.protocols[name], args)
            except rpc.RpcError as error:
                found = error
        return answers.came, found


def fault(found: object) -> str:
    assert isinstance(found, rpc.RemoteFault)
    return found.code.name


def a_new_method(pair: Pair) -> None:
    for name in ("more", "Carts.add"):
        assert fault(pair.call(pair.new, name)[1]) == "UNKNOWN_METHOD"


def a_new_parameter(pair: Pair) -> None:
    left_out = (rpc.DEFAULT, None)
    assert pair.call(pair.new, "left", "a", *left_out)[1] == 1
    for given in ((5, None), (rpc.DEFAULT, "x")):
        assert fault(pair.call(pair.new, "left", "a", *given)[1]) == "BAD_REQUEST"


def a_new_field(pair: Pair) -> None:
    old, new = pair.old.declared, pair.new.declared
    assert pair.call(pair.old, "find", gives=new["Item"]("a", 5, "x"))[1].sku == "a"
    found = pair.call(pair.new, "find", gives=old["Item"]("a"))[1]
    assert (found.sku, found.left, found.note) == ("a", 0, None)
    assert pair.call(pair.old, "find", gives=new["Gone"]("a", 5), raises=True)[1].sku == "a"


def an_enum_value(pair: Pair) -> None:
    for clients, servers in ((pair.old, pair.new), (pair.new, pair.old)):
        if "WORK" in servers.declared["Kind"].__members__:
            found = pair.call(clients, "kind", gives=servers.declared["Kind"].WORK)[1]
            assert (int(found), found.name) == (1, "")


def a_union_member(pair: Pair) -> None:
    for clients, servers in ((pair.old, pair.new), (pair.new, pair.old)):
        if hasattr(servers.declared["Key"], "Sku"):
            found = pair.call(clients, "key", gives=servers.declared["Key"].Sku("a"))[1]
            assert isinstance(found, clients.declared["Key"].Unknown)
            assert (found.tag, found.raw) == (2, b"\0\0\0\1a")


def a_new_exception(pair: Pair) -> None:
    found = pair.call(pair.old, "left", gives=pair.new.declared["OutOfStock"](), raises=True)[1]
    assert fault(found) == "INTERNAL"


def a_field_goes(pair: Pair) -> None:
    sent = pair.old.declared["Item"]("a", 5)
    (came,), _ = pair.call(pair.old, "put", sent, rpc.DEFAULT)
    assert (came.sku, hasattr(came, "left")) == ("a", False)
    assert fault(pair.call(pair.old, "put", sent, True)[1]) == "BAD_REQUEST"


def programs_change(pair: Pair) -> None:
    assert changes(pair.old, pair.new, "source")
    assert not goes_wrong(pair.old, pair.new)


def one_is_taken_for_the_other(pair: Pair) -> None:
    assert goes_wrong(pair.old, pair.new, talk_in_json)
    assert not goes_wrong(pair.old, pair.new)


def it_goes_wrong(pair: Pair) -> None:
    assert goes_wrong(pair.old, pair.new)


ENUM = "enum Kind {{ HOME = 0 {} }}\nKind kind()\n"
UNION = "union Key {{ 1: int id {} }}\nKey key()\n"
ITEM = "struct Item {{ {} }}\nItem find()\n"

Case: typing.TypeAlias = "tuple[typing.Callable[[Pair], None], str, str]"

CASES: typing.Final[dict[str, list[Case]]] = {
    "a new method, service, type": [
        (a_new_method, "int a()\n", "int a()\nint more()\nservice Carts { int add() }\nstruct New {}\n"),
    ],
    "a new parameter with a default or `?`, tag above all earlier ones": [
        (
            a_new_parameter,
            "int left(1: string sku)\n",
            "int left(1: string sku, 2: int shop = 0, 3: string? note)\n",
        ),
    ],
    "a new field of a struct or exception, the same way": [
        (
            a_new_field,
            "struct Item { 1: string sku }\nexception Gone { 1: string sku }\nItem find() => Gone\n",
            "struct Item { 1: string sku 2: int left = 0 3: string? note }\n"
            "exception Gone { 1: string sku 2: int left = 0 }\nItem find() => Gone\n",
        ),
    ],
    "a new enum value": [(an_enum_value, ENUM.format(""), ENUM.format(", WORK = 1"))],
    "a new union member": [(a_union_member, UNION.format(""), UNION.format("2: string sku"))],
    "a new exception, last after `=>`": [
        (a_new_exception, "int left() => Gone\n", "int left() => Gone, OutOfStock\n"),
    ],
    "a field or parameter with a default or `?` goes, `reserved TAG: TYPE` stays": [
        (
            a_field_goes,
            "struct Item { 1: string sku 2: int left = 0 }\nint put(1: Item item, 2: bool sold = false)\n",
            "struct Item { 1: string sku reserved 2: int }\nint put(1: Item item, reserved 2: bool)\n",
        ),
    ],
    "an enum value or union member goes, `reserved` stays": [
        (an_enum_value, ENUM.format(", WORK = 1"), ENUM.format(", reserved 1")),
        (a_union_member, UNION.format("2: string sku"), UNION.format("reserved 2: string")),
    ],
    "another name of a field, parameter, member or exception": [
        (programs_change, ITEM.format("1: string sku"), ITEM.format("1: string article")),
        (programs_change, "int left(1: string sku)\n", "int left(1: string article)\n"),
        (programs_change, UNION.format("2: string sku"), UNION.format("2: string article")),
        (programs_change, ENUM.format(", WORK = 1"), ENUM.format(", OFFICE = 1")),
        (programs_change, "int left() => Gone\n", "int left() => OutOfStock\n"),
    ],
    "a name that is gone, for a new field, parameter or member": [
        (
            one_is_taken_for_the_other,
            ITEM.format("1: int left = 0"),
            ITEM.format('reserved 1: int 2: string left = ""'),
        ),
        (
            one_is_taken_for_the_other,
            "int left(1: int shop = 0)\n",
            'int left(reserved 1: int, 2: string shop = "")\n',
        ),
        (
            one_is_taken_for_the_other,
            UNION.format("2: string sku"),
            UNION.format("reserved 2: string 3: int sku"),
        ),
    ],
    "another name of a struct, union, enum, constant or typedef; another order of parameters or fields": [
        (programs_change, ITEM.format("1: int id"), ITEM.format("1: int id").replace("Item", "Article")),
        (programs_change, UNION.format(""), UNION.format("").replace("Key", "Name")),
        (programs_change, ENUM.format(""), ENUM.format("").replace("Kind", "Sort")),
        (programs_change, "const int MOST = 1\nint a()\n", "const int LIMIT = 1\nint a()\n"),
        (programs_change, "typedef int Id\nint a(1: Id id)\n", "typedef int Key\nint a(1: Key id)\n"),
        (programs_change, "int a(1: int b, 2: int c)\n", "int a(2: int c, 1: int b)\n"),
        (programs_change, ITEM.format("1: int b 2: int c"), ITEM.format("2: int c 1: int b")),
    ],
    "another type, default, `?`, number, result, `oneway`, order after `=>`; a name of a service or method": [
        (it_goes_wrong, ITEM.format("1: int id"), ITEM.format("1: long id")),
        (it_goes_wrong, "int a(1: int b = 1)\n", "int a(1: int b = 2)\n"),
        (it_goes_wrong, ITEM.format("1: int id = 1"), ITEM.format("1: int? id")),
        (it_goes_wrong, ENUM.format(", WORK = 1"), ENUM.format(", WORK = 2")),
        (it_goes_wrong, "int a()\n", "long a()\n"),
        (it_goes_wrong, "void a()\n", "oneway void a()\n"),
        (it_goes_wrong, "int a() => Gone, Sold\n", "int a() => Sold, Gone\n"),
        (it_goes_wrong, "service Carts { int a() }\n", "service Basket { int a() }\n"),
        (it_goes_wrong, "int a()\n", "int b()\n"),
    ],
}
"""Row of the table → what the other end sees, and two versions; those of a row cover all that it names."""


def test_the_table_has_a_case_for_each_row() -> None:
    """And none for others."""
    assert list(CASES) == list(ROWS)


@pytest.mark.parametrize(("row", "case"), [(row, case) for row, cases in CASES.items() for case in cases])
def test_the_table_is_true(row: str, case: Case) -> None:
    """What it says of the wire and of JSON, and what the other end sees."""
    sees, old, new = case
    pair = Pair(old, new)
    assert bool(changes(pair.old, pair.new)) == (ROWS[row] == "no")
    assert bool(changes(pair.old, pair.new, "json")) == (ROWS[row] != "yes")
    sees(pair)


def block(beginning: str) -> str:
    """Gives the block of code that begins so, without its first words."""
    found = re.search(rf"^```\n{re.escape(beginning)}(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


FIND = "list<string> find(1: string query, 2: int limit = {})\n"


def test_its_listing_is_what_the_command_says(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the letter."""
    (tmp_path / "idl").mkdir()
    file = tmp_path / "idl" / "stock.idl"
    file.write_text(FIND.format(20))
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "one"]):
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)
    file.write_text(FIND.format(50))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["breaking", "git:main:idl", "idl"]) == 1
    assert capsys.readouterr().out == block("$ rpcgen breaking git:main:idl idl\n")


def test_its_error_is_what_is_raised() -> None:
    """To the letter, whitespace apart."""
    pair = Pair(FIND.format(20), FIND.format(50))
    error = objections(pair.old, pair.new)[0].error(pair.old.protocols["find"], "tcp://10.0.0.1:9000")
    assert str(error).split() == block("rpc.ContractMismatch: ").split()
