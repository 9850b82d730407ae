"""``rpcgen.lsp.completion``: what may be written at a place."""

from __future__ import annotations

import pathlib

import pytest

from rpcgen.compiler import tables
from rpcgen.compiler.annotate import PLACES
from rpcgen.compiler.source import Source
from rpcgen.lsp import completion, words
from tests.lsp.texts import COMMON, Files, marked

BEFORE = """\
include "common.idl"
enum Kind { HOME = 0, WORK = 1 }
typedef common.Currency Coin
const int LIMIT = 5
const string NAME = "x"
exception Bad
service Parent {}
"""
DECLARING = {"include", "const", "typedef", "enum", "struct", "union", "exception", "service", "oneway"}
TYPES = {"bool", "int", "list", "map", "Kind", "Coin", "Bad", "common"}


def proposed(folder: pathlib.Path, text: str) -> list[str] | None:
    """What is proposed at ``|``, behind declarations of all kinds."""
    whole, offset = marked(BEFORE + text)
    files = Files(folder, common=COMMON, x=whole)
    found = completion.complete(files.analyse("x"), offset)
    return None if found is None else [one.text for one in found.proposals]


@pytest.mark.parametrize(
    ("text", "some"),
    [
        ("|", DECLARING | TYPES | {"void"}),
        ("str|", DECLARING | TYPES),
        ("struct A { 1: | }", TYPES | {"A"}),
        ("struct A { 1: list<| }", TYPES),
        ("struct A { 1: map<string, | }", TYPES),
        ("const |", TYPES),
        ("typedef |", TYPES),
        ("void f(1: |)", TYPES),
        ("service S { |", TYPES | {"void", "oneway"}),
        ("void f() |", {"=> "}),
        ("nonsense here\nstruct A { 1: |", TYPES),
        ("struct A { 1: int a = 3 4: |", TYPES),
    ],
)
def test_words_that_fit(text: str, some: set[str], tmp_path: pathlib.Path) -> None:
    assert some <= set(proposed(tmp_path, text) or ())


@pytest.mark.parametrize(
    ("text", "none"),
    [
        ("struct A { 1: | }", DECLARING | {"void", "LIMIT", "Parent"}),
        ("const |", {"void"}),
        ("service S { |", DECLARING - {"oneway"}),
        ("struct A { | }", TYPES),
    ],
)
def test_words_that_do_not_fit(text: str, none: set[str], tmp_path: pathlib.Path) -> None:
    assert none.isdisjoint(proposed(tmp_path, text) or ())


@pytest.mark.parametrize(
    ("text", "all"),
    [
        ("struct A { | }", ["1: ", "reserved"]),
        ("struct A { 1: int a | 4: int b }", ["5: ", "reserved"]),
        ("struct A {\n    1: int a\n    reserved 2: int\n    |", ["3: ", "reserved"]),
        ("void f(1: int a, |)", ["2: ", "reserved"]),
        ("service S { void f(1: int a, 7: int b, |", ["8: ", "reserved"]),
        ("enum E { A = 4 B = | }", ["5"]),
        ("enum E { | B = 2 }", ["reserved"]),
        ("struct A { 1: Kind a = | }", ["Kind.HOME", "Kind.WORK", "common"]),
        ("struct A { 1: list<Kind> a = [| }", ["Kind.HOME", "Kind.WORK", "common"]),
        ("const map<string, Kind> K = {\"a\": |", ["Kind.HOME", "Kind.WORK", "common"]),
        ("struct A { 1: Kind a = Kind.| }", ["HOME", "WORK"]),
        ("struct A { 1: Kind a = Kind.WO| }", ["HOME", "WORK"]),
        ("struct A { 1: Coin a = | }", ["common.Currency.EUR", "common.Currency.USD", "common"]),
        ("struct A { 1: Coin a = Coin.| }", ["EUR", "USD"]),
        ("struct A { 1: int a = | }", ["LIMIT", "common"]),
        ("struct A { 1: bool a = | }", ["true", "false", "common"]),
        ("struct A { 1: int a = common.| }", ["MOST", "Currency"]),
        ("struct A { 1: int a = common.Currency.| }", ["EUR", "USD"]),
        ("struct A { 1: common.| }", ["Money", "Currency", "Busy"]),
        ("void f() => |", ["Bad", "common"]),
        ("void f() => common.|", ["Busy"]),
        ("void f() => Bad, common.|", ["Busy"]),
        ("service S extends |", ["Parent", "common"]),
        ("service S extends common.|", ["Base"]),
        ("@|", sorted(PLACES)),
        ("struct A { @| 1: int a }", ["allow", "deprecated"]),
        ("service S { @| void f() }", ["allow", "attempts", "deprecated", "idempotent", "priority", "timeout"]),
        ('include "|', ["common.idl", "more/"]),
        ('include "com|', ["common.idl", "more/"]),
        ('include "more/|', ["other.idl"]),
    ],
)  # fmt: skip
def test_all_that_fits(text: str, all: list[str], tmp_path: pathlib.Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "other.idl").touch()
    (tmp_path / "more" / "notes.txt").touch()
    (tmp_path / "common.idl").touch()
    assert proposed(tmp_path, text) == all


@pytest.mark.parametrize(
    "text",
    [
        *("// |", "/// |", "/* | */", "/* |", 'const string A = "|', 'const string A = "a|b"', "void f(1: int a = 1.|"),
        *("struct |", "struct A { 1: int | }", "@acme.|", "enum E { A = 1|"),
    ],
)  # fmt: skip
def test_nothing_fits(text: str, tmp_path: pathlib.Path) -> None:
    assert proposed(tmp_path, text) is None


def test_behind_a_comment_there_is_a_place(tmp_path: pathlib.Path) -> None:
    assert "struct" in (proposed(tmp_path, "/* a */ |") or ())


def test_what_is_replaced_is_the_word_that_was_begun(tmp_path: pathlib.Path) -> None:
    text, offset = marked("struct A { 1: str|ing a }")
    found = completion.complete(Files(tmp_path, x=text).analyse("x"), offset)
    assert found is not None
    assert text[found.start : offset] == "str"


def test_a_long_file_is_read_from_near_the_place(tmp_path: pathlib.Path) -> None:
    methods = "".join(f"    void f{number}(1: int a)\n" for number in range(50))
    text, offset = marked(
        f"exception Bad\nservice S {{\n{methods}    void g(1: int a, |)\n}}\nstruct A {{}}\n"
    )
    found = completion.complete(Files(tmp_path, x=text).analyse("x"), offset)
    assert found is not None
    assert [one.text for one in found.proposals] == ["2: ", "reserved"]


@pytest.mark.parametrize(
    ("before", "after", "all"),
    [
        ("struct A { 1: int a }", "struct A { 1: int a 2: int b | }", ["3: ", "reserved"]),
        ("struct A { 1: int a 9: int z }", "struct A { 1: int a | 9: int z }", ["10: ", "reserved"]),
        ("struct A { 1: int a }", "struct A { 1: Kind a = | }", ["Kind.HOME", "Kind.WORK", "common"]),
        ("nothing at all", "void f() => |", ["Bad", "common"]),
        ("void f()\n" * 50, "void f()\n" * 50 + "@timeout(2s) void g(1: int a, |", ["2: ", "reserved"]),
    ],
)
def test_names_may_be_those_of_a_moment_ago(
    before: str, after: str, all: list[str], tmp_path: pathlib.Path
) -> None:
    found = Files(tmp_path, common=COMMON, x=BEFORE + before).analyse("x")
    text, offset = marked(BEFORE + after)
    proposed = completion.complete(found, offset, source=Source("x.idl", text))
    assert proposed is not None
    assert [one.text for one in proposed.proposals] == all


def test_every_word_of_the_language_is_explained() -> None:
    assert set(words.TYPES) | set(words.KEYWORDS) == set(tables.load().words)
    assert set(words.ANNOTATIONS) == set(PLACES)
