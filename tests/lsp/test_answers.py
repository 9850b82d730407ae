"""What stands at a place: ``hover``, ``mentions`` (definitions), ``symbols``, ``formatting`` and ``fixes``."""

from __future__ import annotations

import os
import pathlib

import pytest

from rpcgen.compiler.diagnostics import Diagnostic
from rpcgen.compiler.source import Source
from rpcgen.lsp import findings, fixes, formatting, hover, mentions, symbols
from rpcgen.lsp.workspace import Settings, Workspace
from tests.lsp.texts import COMMON, SHOP, Files


def shop(folder: pathlib.Path) -> Files:
    return Files(folder, shop=SHOP, common=COMMON)


def code(text: str) -> str:
    return f"```rpcgen\n{text}\n```"


@pytest.mark.parametrize(
    ("before", "inside", "text"),
    [
        (
            "1: common.",
            "",
            code(
                "// in common.idl\nstruct Money {\n    1: long cents\n    2: Currency currency = Currency.EUR\n}"
            )
            + "\n\nMoney of a currency.",
        ),
        ("2: ", "Kind", code("enum Kind {\n    CASH = 0\n    CARD = 1\n}") + "\n\nHow it is paid."),
        ("kind = Kind.", "", code("// in Kind\nCASH = 0")),
        ("4: Coin ", "", code("// in Order\n4: Coin coin = Coin.USD  // common.Currency")),
        ("4: Coin coin = Coin.", "", code("// in common.idl: Currency\nUSD = 2")),
        ("typedef common.Currency ", "", code("typedef common.Currency Coin")),
        (
            "list<Order> ",
            "find",
            code(
                "// in Shop\n@idempotent\nlist<Order> find(1: string query, 2: int limit = LIMIT)"
                " => NotFound, common.Busy"
            )
            + "\n\nFinds orders.",
        ),
        ("2: int limit = ", "", code("const int LIMIT = common.MOST")),
        ("2: int ", "limit", code("// in find\n2: int limit = LIMIT")),
        ("find(1: ", "", "`string`: text, in UTF-8 on the wire; `str` in Python"),
        ("2: ", "int limit", "`int`: an integer of 32 bits, signed: -2,147,483,648 to 2,147,483,647; `int` in Python"),
        ("\nservice", "", "`service`: methods that go by its name: `service Directory { … }`"),
        ("extends ", "common", code("include common.idl")),
        ("extends common.", "", code("// in common.idl\nservice Base {\n    void ping()\n}")),
        ("    @", "", "`@idempotent`: calling it twice does no more than calling it once: "),
        ("=> ", "Gone", code("exception Gone")),
        ("Order? ", "last", code("Order? last(1: Kind kind) => Gone")),
        ("last(1: Kind ", "", code("// in last\n1: Kind kind")),
        ("CASH ", "= 0", None),
    ],
)  # fmt: skip
def test_hover(before: str, inside: str, text: str | None, tmp_path: pathlib.Path) -> None:
    shown = hover.hover(*shop(tmp_path).at("shop", before, inside))
    if text is None:
        assert shown is None
        return
    assert shown is not None
    assert shown.text.startswith(text)
    assert shown.text == text or text.endswith(": ")


def test_a_long_declaration_is_cut(tmp_path: pathlib.Path) -> None:
    fields = " ".join(f"{number}: int a{number}" for number in range(1, 100))
    shown = hover.hover(*Files(tmp_path, x=f"struct Long {{ {fields} }}").at("x", "struct "))
    assert shown is not None
    assert shown.text.count("\n") == hover.LINES + 2
    assert "// … 61 more lines" in shown.text


@pytest.mark.parametrize(
    ("before", "inside", "file", "place"),
    [
        ("1: common.", "", "common", "Money {"),
        ("1: ", "common", "common", "/// Money"),
        ('include "', "", "common", "/// Money"),
        ("2: ", "Kind", "shop", "Kind {"),
        ("kind = Kind.", "", "shop", "CASH"),
        ("kind = ", "Kind.", "shop", "Kind {"),
        ("coin = Coin.", "", "common", "USD"),
        ("LIMIT = common.", "", "common", "MOST"),
        ("limit = ", "", "shop", "LIMIT"),
        ("extends common.", "", "common", "Base"),
        ("=> NotFound, common.", "", "common", "Busy"),
        ("=> ", "NotFound", "shop", "NotFound\n"),
        ("=> ", "Gone", "shop", "Gone"),
        ("list<", "Order> find", "shop", "Order {"),
    ],
)
def test_definitions(before: str, inside: str, file: str, place: str, tmp_path: pathlib.Path) -> None:
    files = shop(tmp_path)
    found, offset = files.at("shop", before, inside)
    here = mentions.at(found, offset)
    assert here is not None
    node = mentions.node_of(found, here.symbol)
    assert node is not None
    span = mentions.place_of(node)
    assert (span.source.path, span.start) == (files.path(file), span.source.text.index(place))


def test_an_unsaved_include_counts(tmp_path: pathlib.Path) -> None:
    (tmp_path / "common.idl").write_text("struct Money {}\n")
    files = Files(tmp_path, shop='include "common.idl"\nvoid pay(1: common.Cash a)\n')
    assert [one.code for one in files.analyse("shop").report.diagnostics] == ["E201"]
    files.texts[files.path("common")] = "struct Cash {}\n"
    assert files.analyse("shop").report.diagnostics == ()


def test_what_has_not_changed_is_not_made_again(tmp_path: pathlib.Path) -> None:
    files = shop(tmp_path)
    first = files.analyse("shop")
    assert files.analyse("shop") is first
    files.texts[files.path("common")] += "\n"
    second = files.analyse("shop")
    assert second is not first
    assert second.file.syntax is first.file.syntax


def test_the_outline(tmp_path: pathlib.Path) -> None:
    def drawn(entries: list[symbols.Entry]) -> list[object]:
        return [(entry.kind, entry.name, entry.detail, drawn(entry.inside)) for entry in entries]

    text = "const int A = 1\nenum E { X = 0 }\nstruct S { 1: int a }\nservice D { void f(1: int x) => B }\nvoid g()"
    assert drawn(symbols.outline(Files(tmp_path, x=text).analyse("x").file.syntax)) == [
        ("constant", "A", "int", []),
        ("enum", "E", "", [("enum member", "X", "0", [])]),
        ("struct", "S", "", [("field", "a", "int", [])]),
        ("service", "D", "", [("method", "f", "void f(1: int x) => B", [])]),
        ("method", "g", "void g()", []),
    ]


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("void f()\n\n\nvoid  g()\nvoid h()\n", "\nvoid g()"),
        ("void f( )", "void f()\n"),
        ("\n\nvoid f()\n", "void f()"),
        ("void f()\n\n\n", ""),
        ("void f()\n", None),
        ("void f(", None),
        ("", None),
    ],
)
def test_formatting_is_one_change(text: str, changed: str | None) -> None:
    edit = formatting.change(Source("x.idl", text))
    if changed is None:
        assert edit is None
        return
    assert edit is not None
    made = text[: edit.start] + edit.text + text[edit.end :]
    assert formatting.change(Source("x.idl", made)) is None
    assert len(edit.text) <= len(changed) + 1


def test_formatting_keeps_the_line_ends_of_the_editor() -> None:
    edit = formatting.change(Source("x.idl", "enum E { A = 1 B = 2 }\n"), "\r\n")
    assert edit is not None
    assert edit.text == "enum E {\r\n    A = 1\r\n    B = 2\r\n}"


def told(files: Files, name: str, configured: Settings | None = None) -> list[Diagnostic]:
    """What check and lint say of a file."""
    workspace = Workspace(lambda folder: configured or Settings())
    checked = findings.check(workspace, files.path(name), files.texts)
    return (findings.judge(workspace, checked, files.texts) if checked.judgeable else checked.findings)[
        files.path(name)
    ]


@pytest.mark.parametrize(
    ("text", "code", "title", "fixed"),
    [
        ("void f(1: int a, 1: int b)", "E103", "write 2", "void f(1: int a, 2: int b)"),
        ("enum E { A = 0, B = 0 }", "E105", "write 1", "enum E { A = 0, B = 1 }"),
        ("void f(1: strin a)", "E201", "write string", "void f(1: string a)"),
        ('include "common.idl"\nvoid f(1: common.Mony a)', "E201", "write Money", 'include "common.idl"\nvoid f(1: common.Money a)'),
        ('include "comon.idl"\nvoid f()', "E001", 'write "common.idl"', 'include "common.idl"\nvoid f()'),
        ("@idempotnet\nvoid f()", "E410", "write idempotent", "@idempotent\nvoid f()"),
        ("enum E { A = 0 }\nvoid f(1: E e = E.AA)", "E304", None, ""),
        ("enum E { HOME = 0 }\nvoid f(1: E e = HOME)", "E303", "write E.HOME", "enum E { HOME = 0 }\nvoid f(1: E e = E.HOME)"),
        ("void f(1: list<int?> a)", "E204", "leave the `?` out", "void f(1: list<int> a)"),
        ("oneway int f()", "E401", "write void", "oneway void f()"),
        ("void f() -> Bad", "E025", "write =>", "void f() => Bad"),
        ("const string A = 'a'", "E015", 'write "a"', 'const string A = "a"'),
        ("const int A = 007", "E016", "write 7", "const int A = 7"),
        ("void f() => Gone\n", "L001", "declare the exception", "void f() => Gone\n\nexception Gone\n"),
        ('include "common.idl"\nvoid f()\n', "L007", None, ""),
        ('@allow("L002", "why not")\nvoid f()\n', "L015", "remove the annotation", "void f()\n"),
    ],
)  # fmt: skip
def test_fixes(text: str, code: str, title: str | None, fixed: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "common.idl").write_text(COMMON)
    found = next(one for one in told(Files(tmp_path, x=text), "x") if one.code == code)
    fix = fixes.fix(found)
    assert (fix and fix.title) == title
    if fix is not None:
        assert text[: fix.edit.start] + fix.edit.text + text[fix.edit.end :] == fixed


def test_findings_are_sorted_by_file(tmp_path: pathlib.Path) -> None:
    files = Files(
        tmp_path,
        x='include "common.idl"\nvoid f(1: int a, 1: common.Money b)',
        common="struct Money { 1: Foo a }",
    )
    checked = findings.check(files.workspace, files.path("x"), files.texts)
    assert {
        os.path.basename(path): [one.code for one in found] for path, found in checked.findings.items()
    } == {
        "x.idl": ["E103"],
        "common.idl": ["E201"],
    }
    assert checked.read == {files.path("x"), files.path("common")}


def test_names_that_collide_in_python_are_found(tmp_path: pathlib.Path) -> None:
    assert "E501" in [
        one.code
        for one in told(Files(tmp_path, x="struct A { 1: int class 2: int class_ }\nvoid f(1: A a)"), "x")
    ]


def test_a_file_that_cannot_be_read_is_told(tmp_path: pathlib.Path) -> None:
    assert [one.code for one in told(Files(tmp_path), "x")] == ["E001"]
    assert [one.code for one in told(Files(tmp_path, x="\ud800"), "x")] == ["E002"]


def test_lint_asks_what_the_configuration_says(tmp_path: pathlib.Path) -> None:
    files = Files(tmp_path, x="double price() => Gone\n")
    assert [one.code for one in told(files, "x")] == ["L001", "L002"]
    options = Settings().lint
    without = Settings((), type(options)(options.codes - {"L001"}))
    assert [one.code for one in told(files, "x", without)] == ["L002"]


def test_includes_are_looked_for_where_the_configuration_says(tmp_path: pathlib.Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "common.idl").write_text(COMMON)
    files = Files(tmp_path, x='include "common.idl"\nvoid f(1: common.Money a)\n')
    assert [one.code for one in told(files, "x")] == ["E001"]
    assert told(files, "x", Settings((str(tmp_path / "lib"),))) == []
