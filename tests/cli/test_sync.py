"""``rpcgen sync``: what is added to a class of handlers, and that nothing else changes, however it is written."""

from __future__ import annotations

import ast
import pathlib
import textwrap
import typing

import pytest
from hypothesis import given, strategies as st

from rpcgen import cli
from rpcgen.cli.errors import CommandError
from rpcgen.cli.handler_source import HandlerSource
from rpcgen.cli.sync import wanted
from rpcgen.compiler import compile_text
from tests.cli.command import FAULTY, write

IDL = '''\
include "base.idl"

struct Item {
    1: string name
}

/// Divides.
///
/// As "usual" \\ or """not""".
float divide(1: int num1, 2: int num2 = 1) => InvalidOperation
/// Ends with "quote"
list<Item> items(1: map<string, uuid> class, 2: base.Page? page)
oneway void seen()
'''
BASE = "struct Page {\n    1: int offset = 0\n}\n\nservice Base {\n    void ping()\n}\n"
SHOP = 'include "base.idl"\n\nservice Stock extends base.Base {\n    int left(1: string sku)\n}\n\nservice Cart {\n    void add(1: string sku)\n}\n'


class Said(typing.NamedTuple):
    status: int
    out: str
    log: str
    text: str
    """Of the file, afterwards."""


Run: typing.TypeAlias = typing.Callable[..., Said]


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    write(tmp_path, {"service.idl": IDL, "base.idl": BASE, "shop.idl": SHOP, "bad.idl": FAULTY})
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "handlers.py"

    def run(text: str, *words: str, idl: str = "service.idl") -> Said:
        path.write_bytes(text.encode())
        status = cli.main(["sync", "handlers.py", "--idl", idl, *words])
        out, log = capsys.readouterr()
        return Said(status, out, log, path.read_bytes().decode())

    return run


def test_what_is_added(run: Run) -> None:
    said = run(
        "import service\n\n\nclass Handlers:\n    def seen(self) -> None:\n        pass\n\n\nlast = 1\n"
    )
    assert (said.status, said.out) == (0, "")
    assert said.log == "added to Handlers in handlers.py: divide, items\n"
    assert said.text == textwrap.dedent(
        '''\
        import service


        class Handlers:
            def seen(self) -> None:
                pass

            def divide(self, num1: int, num2: int) -> float:
                """Divides.

                As "usual" \\\\ or \\"\\"\\"not\\"\\"\\".

                float divide(1: int num1, 2: int num2 = 1) => InvalidOperation
                """
                raise NotImplementedError

            def items(self, class_: "dict[str, uuid.UUID]", page: "base.Page | None") -> list[service.Item]:
                """Ends with "quote"

                list<Item> items(1: map<string, uuid> class, 2: base.Page? page)
                """
                raise NotImplementedError


        last = 1
        '''
    )
    again = run(said.text)
    assert (again.status, again.text) == (0, said.text)
    assert again.log == "nothing to add: Handlers in handlers.py has all 3 methods\n"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("from service import Item\n", "-> list[Item]:"),
        ("from generated import service as gen\n", "-> list[gen.Item]:"),
        ("import generated.service\n", "-> list[generated.service.Item]:"),
        ("import uuid\n", 'class_: dict[str, uuid.UUID], page: "base.Page | None") -> "list[Item]":'),
    ],
)
def test_names_that_the_file_has(head: str, expected: str, run: Run) -> None:
    assert expected in run(f"{head}class Handlers:\n    x = 1\n").text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class H:\n    async def seen(self): pass\n", "    async def divide(self, num1: int,"),
        ("class AsyncHandlers: ...\n", "class AsyncHandlers:\n    ...\n\n    async def divide(self, "),
        (
            "class H:\n  @staticmethod\n  def seen(): pass\n",
            "\n\n  @staticmethod\n  def divide(num1: int, num2",
        ),
        ("class H:\n\tdef seen(self): pass\n\t# last\n# after\n", "\t# last\n\n\tdef divide(self"),
        ("class H: pass # why\n", "class H:\n    pass # why\n\n    def divide(self"),
    ],
)
def test_the_class_s_own_ways(text: str, expected: str, run: Run) -> None:
    said = run(text)
    assert said.status == 0
    assert expected in said.text
    ast.parse(said.text)


def test_check(run: Run) -> None:
    text = (
        "class Base:\n    items = print\n\n\nclass Handlers(Base):\n"
        "    def divide(self, num2, num1): pass\n    async def seen(self, extra): pass\n"
    )
    said = run(text, "--check", "--class", "Handlers")
    assert (said.status, said.text) == (1, text)
    assert said.out.splitlines() == [
        "handlers.py:6: Handlers.divide takes num2, num1 in this order, the IDL has num1, num2; its IDL is: "
        "float divide(1: int num1, 2: int num2 = 1) => InvalidOperation",
        "handlers.py:7: Handlers.seen requires 1 argument, the IDL has 0; its IDL is: oneway void seen()",
    ]
    said = run("class Handlers:\n    def divide(self, num1, *rest): pass\n", "--check")
    assert said.status == 1
    assert [line.partition(";")[0] for line in said.out.splitlines()] == [
        "handlers.py:1: Handlers lacks items",
        "handlers.py:1: Handlers lacks seen",
    ]
    fitting = "class Handlers:\n    divide = items = 1\n    @wrapped\n    def seen(self, a, b): pass\n"
    said = run(fitting, "--check")
    assert (said.status, said.out, said.log) == (0, "", "Handlers in handlers.py has all 3 methods\n")
    said = run("class Carts:\n    def add(self, sku): pass\n", "--check", idl="shop.idl")
    assert (said.status, said.log) == (0, "Carts in handlers.py has its one method\n")
    said = run("class Handlers:\n    def divide(self): pass\n")
    assert said.status == 1
    assert "Handlers.divide takes 0 arguments, the IDL has 2" in said.out
    assert "added to Handlers in handlers.py: items, seen" in said.log
    said = run("class Handlers:\n    def divide(self, a, b, *, c): pass\n", "--check")
    assert "requires c by keyword" in said.out


def test_services(run: Run) -> None:
    said = run("class Stocks:\n    def left(self, sku): pass\n\nclass Carts:\n    x = 1\n", idl="shop.idl")
    assert said.log == "added to Stocks in handlers.py: ping\n"
    said = run("class Carts:\n    x = 1\n", "--service", "Cart", idl="shop.idl")
    assert said.log == "added to Carts in handlers.py: add\n"
    said = run("class Both:\n    x = 1\n", "--service", "Cart", "--service", "Stock", idl="shop.idl")
    assert said.log == "added to Both in handlers.py: add, ping, left\n"


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("class H: pass\n", ["--class", "G"], "handlers.py has no class G"),
        ("class A: pass\nclass B: pass\n", [], "which class of handlers.py has the handlers is not clear"),
        ("x = 1\n", [], "is not clear\n  = help: --class NAME; it has no class"),
        ("class H: pass\n", ["--service", "No"], "there is no service 'No'"),
        ("class H(:\n", [], "handlers.py:1: it is no Python"),
        ("class H:\n  x=1\n  \\\n  y=1\n", [], "handlers.py:3: libcst does not keep this line as it is"),
    ],
)
def test_mistakes(text: str, words: list[str], said: str, run: Run) -> None:
    ended = run(text, *words)
    assert (ended.status, ended.out, ended.text) == (2, "", text)
    assert said in ended.log


def test_other_mistakes(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    ended = run("class H: pass\n", idl="shop.idl")
    assert "which service H handles is not clear\n  = help: --service NAME: Stock, Cart" in ended.log
    ended = run("class H: pass\n", idl="bad.idl")
    assert (ended.status, ended.out[:7]) == (1, "bad.idl")
    for words, said in (
        ([], "HANDLERS.py is missing"),
        (["handlers.py"], "--idl is missing"),
        (["no.py", "--idl", "service.idl"], "cannot read no.py"),
        ([".", "--idl", "service.idl"], ". is not a file\n  = help: name the module"),
    ):
        assert cli.main(["sync", *words]) == 2
        assert said in capsys.readouterr().err


_lines = st.sampled_from(
    [
        "def other(self):\n{0}{0}return  1 ;",
        "x   =   [1,\n 2]  # odd",
        "# a comment",
        "",
        "   ",
        '"""text\n  with lines"""',
        "def seen ( self ) : pass",
        "@property\n{0}def odd(self): return (\n1)",
        "class Inner : y=2",
        "if True:\n{0}{0}z = 1\n{0}else:\n{0}{0}z=2",
        "\\\n{0}w = 3",
        "async def run(self): await  x",
    ]
)
_METHODS = wanted(
    typing.cast("typing.Any", compile_text(IDL, "service", {"base.idl": BASE}).module),
)["-"].values()


@given(
    lines=st.lists(_lines, min_size=1, max_size=6),
    indent=st.sampled_from(["    ", "\t", " ", "  \t", "       "]),
    newline=st.sampled_from(["\n", "\r\n"]),
    before=st.sampled_from(
        ["", "# head\n\n", "import  os ;  import sys\n", '"""doc"""\n', "\ufeff", "if 1:\n  a=1\n"]
    ),
    after=st.sampled_from(
        ["", "\n\n\nlast=1", "# end", "\n# end\n\n", "   \n", "\nclass After :  pass", "\f\nx=1\n"]
    ),
)
def test_nothing_else_changes(lines: list[str], indent: str, newline: str, before: str, after: str) -> None:
    body = "".join(f"{indent}{line.format(indent)}\n" for line in [*lines, "seen_too = 1"])
    text = f"{before}class  Handlers ( ):\n{body}{after}".replace("\n", newline)
    try:
        source = HandlerSource("handlers.py", text)
        source.added("Handlers", list(_METHODS))
    except CommandError:
        assert any(line.startswith("\\") for line in lines)  # what libcst does not read, or keep
        return
    gaps = [gap for gap in source.gaps("Handlers", _METHODS) if gap.is_missing]
    made = source.added("Handlers", [gap.wanted for gap in gaps])
    inserted = len(made) - len(text)
    assert any(made[:at] + made[at + inserted :] == text for at in range(len(text) + 1))
    if newline == "\r\n":
        assert made.count("\n") == made.count("\r\n")
    old, new = (ast.parse(each.removeprefix("\ufeff")) for each in (text, made))
    olds, news = (
        next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Handlers")
        for tree in (old, new)
    )
    assert [ast.dump(node) for node in news.body[: len(olds.body)]] == [ast.dump(node) for node in olds.body]
    added = news.body[len(olds.body) :]
    assert [node.name for node in added if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)] == [
        gap.wanted.name for gap in gaps
    ]
    assert [ast.dump(each) for each in new.body if each is not news] == [
        ast.dump(each) for each in old.body if each is not olds
    ]
    for node, gap in zip(added, gaps, strict=True):
        assert ast.get_docstring(typing.cast("ast.FunctionDef", node)) == gap.wanted.doc
    assert not [
        gap for gap in HandlerSource("handlers.py", made).gaps("Handlers", _METHODS) if gap.is_missing
    ]
