"""Any text at all ends in findings: no exception, no hang, and places that lie in the file."""

from __future__ import annotations

import pathlib
import random
import time
import typing

import pytest
from hypothesis import example, given, strategies as st

from rpcgen.compiler import compile_text, parser
from rpcgen.compiler.diagnostics import MOST, Report
from rpcgen.compiler.lexer import SHOWN
from rpcgen.compiler.render import render_github, render_json, render_text
from rpcgen.compiler.source import Source, decode
from rpcgen.compiler.walk import NESTING

IDL = pathlib.Path(__file__).parents[2] / "idl"
FEATURES = (IDL / "features.idl").read_text(encoding="utf-8")
COMMON = (IDL / "common.idl").read_text(encoding="utf-8")
WORDS = [
    *("struct", "enum", "union", "exception", "service", "const", "typedef", "include", "oneway", "reserved"),
    *("list", "map", "set", "int", "string", "A", "b", "A.b", "optional", "throws", "message", "namespace"),
    *("{", "}", "(", ")", "<", ">", "[", "]", ",", ";", ":", "=", "=>", "->", "?", "@", ".", "\n", "\n\n"),
    *(
        "1",
        "2:",
        "-1",
        "1.5",
        "2s",
        "0x",
        "08",
        '"x"',
        '"',
        "'x'",
        "'",
        "// x",
        "/// x\n",
        "/*",
        "*/",
        "true",
    ),
    *("é", "名", "\0", "\t", "\ud800", "$", "\\", "\u2028"),
]


def check(text: str) -> Report:
    """Compiles a text, and shows what was found in every way."""
    text = text.replace("\r", "\n")
    source = Source("test.idl", text)
    report = Report()
    file = parser.parse(source, report)
    assert file.complete == (not any(found.severity == "error" for found in report.diagnostics))
    for found in report.diagnostics:
        assert found.span is not None
        assert 0 <= found.span.start <= found.span.end <= len(text)
        for span, _ in found.secondary:
            assert 0 <= span.start <= span.end <= len(text)
    compilation = compile_text(text, "test", includes={"common.idl": COMMON})
    assert (compilation.module is None) == compilation.report.failed
    if not file.complete:
        assert compilation.report.failed
    for shown in (report, compilation.report):
        render_text(shown).encode()
        render_text(shown, color=True).encode()
        render_json(shown).encode()
        render_github(shown).encode()
    return report


@given(st.text())
@example("\ud800")
@example('include "\ud800"')
@example('include "\\n\ud800"')
@example("/// a\n\n/// b")
@example("\r\n\r")
@example('"\\')
@example("'\\")
@example("=> A,")
@example("int f() => A.")
@example("throws")
@example(") A")
def test_any_text(text: str) -> None:
    """Any text."""
    check(text)


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """Any bytes."""
    check(decode(data).text)


@given(st.lists(st.sampled_from(WORDS), max_size=60), st.sampled_from(["", " "]))
@example(["struct", "A", "{", "1", ":", "x", "a", "=", "{", "1", ":", "2", "\n", "2:", "int", "b", "}"], " ")
@example(["struct", "A", "@", "b", "{", "1", ":", "i", "\n", "2", ":"], " ")
@example(["struct", "A", "{", "2:", "int", "b", "c", ",", "2:", "int", "d", "}"], " ")
def test_any_tokens(words: list[str], between: str) -> None:
    """Tokens of the language, and others, in any order."""
    check(between.join(words))


@given(st.integers(0, len(FEATURES)))
def test_a_file_cut_anywhere(length: int) -> None:
    """A valid file that ends too early has at most two faults, the last of them at its end."""
    text = FEATURES[:length]
    errors = [found for found in check(text).diagnostics if found.severity == "error"]
    assert len(errors) <= 2
    for found in errors:
        assert found.span is not None
        assert found.span.end >= len(text) - 2 or found.code == "E013"


@given(st.integers(0, len(FEATURES)), st.integers(0, len(FEATURES)))
def test_a_file_with_a_piece_missing(first: int, second: int) -> None:
    """A valid file from which a piece was lost."""
    check(FEATURES[: min(first, second)] + FEATURES[max(first, second) :])


@given(st.integers(0, len(FEATURES) - 1), st.characters() | st.sampled_from("{}()<>[]\"',:;=@.?/*0aA \n"))
def test_a_single_character_changed(place: int, char: str) -> None:
    """A valid file with one character replaced, or one more; one fault is no cascade."""
    for text in (
        FEATURES[:place] + char + FEATURES[place + 1 :],
        FEATURES[:place] + char + FEATURES[place:],
        FEATURES[:place] + FEATURES[place + 1 :],
    ):
        assert len([found for found in check(text).diagnostics if found.severity == "error"]) <= 6


@given(st.data())
def test_words_swapped(data: st.DataObject) -> None:
    """A valid file with some of its words replaced by others."""
    words = FEATURES.split(" ")
    for place in data.draw(st.lists(st.integers(0, len(words) - 1), max_size=5)):
        words[place] = data.draw(st.sampled_from(WORDS))
    check(" ".join(words))


def test_line_ends_and_marks() -> None:
    """Other line ends, tabs and a byte order mark change nothing but places."""
    for data in (
        FEATURES.replace("\n", "\r\n").encode(),
        FEATURES.replace("\n", "\r").encode(),
        b"\xef\xbb\xbf" + FEATURES.encode(),
        FEATURES.replace("    ", "\t").encode(),
    ):
        assert check(decode(data).text).diagnostics == ()


@pytest.mark.bulky
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("int f(1: " + "list<" * 20_000, "E027"),
        ("typedef " + "list<" * 20_000 + "int" + ">" * 20_000 + " A", "E027"),
        ("typedef " + "map<int, " * (NESTING + 1) + "int" + ">" * (NESTING + 1) + " A", "E027"),
        ("const int A = " + "[" * 20_000, "E027"),
        ("const int A = " + "[" * 20_000 + "]" * 20_000 + "\nint f()", "E027"),
        ("const int A = " + "{1: " * 20_000 + "\nint f()", "E027"),
        ("@a(" + "[" * 20_000, "E027"),
    ],
)
def test_deep_nesting(text: str, code: str) -> None:
    """Nesting of any depth is one error, and what follows is read."""
    assert [found.code for found in check(text).diagnostics] == [code]


@pytest.mark.bulky
@pytest.mark.parametrize(
    "text", ["{" * 20_000, "(" * 20_000, "struct A {" * 10_000, "@" * 20_000, ")" * 20_000]
)
def test_one_fault_however_long(text: str) -> None:
    """What makes no sense at all is said once."""
    assert len(check(text).diagnostics) == 1


def test_many_errors_are_counted() -> None:
    """The first are told, the last line says how many more there are."""
    text = "".join(f"struct S{number} {{ 1: int }}\n" for number in range(100))
    report = check(text)
    assert len(report.diagnostics) == SHOWN + 1
    last = report.diagnostics[-1]
    assert (last.code, last.message) == ("E029", f"{100 - SHOWN} more syntax errors")
    text = "".join(f"struct S{number} {{ 1: int }}\n" for number in range(5000))
    assert check(text).diagnostics[-1].message == f"at least {2000 - SHOWN} more syntax errors"


GARBAGE: dict[str, typing.Callable[[int], str]] = {
    "bytes": lambda size: decode(random.Random(7).randbytes(size)).text,
    "words": lambda size: " ".join(random.Random(7).choices(WORDS, k=size // 4)),
    "brackets": lambda size: "[" * size,
    "quotes": lambda size: "'" * (size - 1),
    "slashes": lambda size: "/ " * (size // 2),
    "controls": lambda size: "\0 x" * (size // 3),
    "nulls": lambda size: "\0" * size,
    "escapes": lambda size: 'const string A = "' + "\\q" * (size // 2),
    "fields": lambda size: "struct A {" + "int a\n" * (size // 6),
    "methods": lambda size: "service S { int f(\n" * (size // 19),
    "results": lambda size: ") X\n" * (size // 4),
    "digits": lambda size: "9" * size,
    "docs": lambda size: "/// a\n\n" * (size // 7),
}


@pytest.mark.bulky
@pytest.mark.parametrize("name", GARBAGE)
def test_garbage(name: str) -> None:
    """Garbage of any kind takes time in proportion to its size, and no stack."""
    check_time(GARBAGE[name](300_000), 6)


@pytest.mark.bulky
@pytest.mark.parametrize("name", ["bytes", "brackets", "nulls"])
def test_garbage_of_10_mb(name: str) -> None:
    """10 MB of garbage take seconds."""
    check_time(GARBAGE[name](10_000_000), 30)


ENDLESS: dict[str, typing.Callable[[int], str]] = {
    "annotations": lambda tokens: "@a " * (tokens // 2) + "void f()",
    "dotted names": lambda tokens: "const int A = a" + ".a" * (tokens // 2),
    "values": lambda tokens: "const list<int> A = [" + "1, " * (tokens // 2) + "]",
    "exceptions": lambda tokens: "void f() => A" + ", A" * (tokens // 2),
    "methods": lambda tokens: "void f()\n" * (tokens // 4),
    "includes": lambda tokens: 'include "a.idl"\n' * (tokens // 2),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_file_without_end(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is all right as far as one can see is read so far, and no further."""
    monkeypatch.setattr(parser, "MOST", 10_000)
    (found,) = compile_text(ENDLESS[name](11_000)).report.diagnostics
    assert (found.code, found.message) == ("E028", "more than 10,000 tokens in one file")
    compilation = compile_text(
        'include "endless.idl"\nint f(1: endless.A a)', includes={"endless.idl": ENDLESS[name](11_000)}
    )
    assert compilation.report.diagnostics[0].code == "E028"


@pytest.mark.parametrize("name", ENDLESS)
def test_a_file_that_almost_has_no_end(name: str) -> None:
    """What is below the limit takes time in proportion to its size, and ends in errors to be read."""
    start = time.process_time()
    report = compile_text(ENDLESS[name](25_000)).report
    render_text(report)
    assert time.process_time() - start < 10
    assert len(report.diagnostics) <= MOST + 1
    assert report.failed or name == "values"


def check_time(text: str, seconds: float) -> None:
    """Bounds the processor's time; on an idle machine it takes a fifth of this."""
    start = time.process_time()
    report = Report()
    parser.parse(Source("test.idl", text), report)
    render_text(report)
    assert time.process_time() - start < seconds
    assert report.diagnostics
    assert len(report.diagnostics) <= 2 * SHOWN + 1


@pytest.mark.bulky
def test_the_end_of_a_large_file_is_not_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large file that is faulty early on the rest is not read, and its names are not missed."""
    monkeypatch.setattr(parser, "LARGE", 10_000)
    monkeypatch.setattr(parser, "PROBE", 5_000)
    text = "struct A { 1: int }\nint f(1: Later a)\n" + "int g()\n" * 2_500 + "struct Later {}"
    report = Report()
    file = parser.parse(Source("test.idl", text), report)
    assert [found.code for found in report.diagnostics] == ["E020"]
    assert not file.complete
    assert "Later" in file.lost


@pytest.mark.bulky
def test_a_large_file_is_read_whole() -> None:
    """A large file without faults is no matter; nor is a fault far behind."""
    text = "int f(1: int a) // " + "x" * 80 + "\n"
    text *= 5_000
    report = Report()
    assert len(parser.parse(Source("test.idl", text), report).items) == 5_000
    assert not report.diagnostics
    assert not parser.parse(Source("test.idl", text + "int f("), report).complete
    assert len(report.diagnostics) == 1
