"""Each fault of syntax: its code, its exact place, and what is still read around it."""

from __future__ import annotations

import pytest

from rpcgen.compiler import parser
from rpcgen.compiler.diagnostics import Report
from rpcgen.compiler.source import Source

Found = tuple[str, str, str]

# What is faulty; for each finding its code, LINE:COLUMN and message; the names still declared.
CASES: list[tuple[str, list[Found], str]] = [
    # what is missing is named, and read as if it were there
    ("int f(int a, 2: int b)", [("E021", "1:7", "expected a tag, such as `1:`")], "f"),
    ("int f(1: int a, list<b.C>? c)", [("E021", "1:17", "expected a tag, such as `2:`")], "f"),
    ("int f(a: int, b: str)", [("E021", "1:7", "expected a tag, such as `1:`")], "f"),
    ("struct A { 4: int a\n string b = 1\n}", [("E021", "2:2", "expected a tag, such as `5:`")], "A"),
    ("int f(1: int a 2: int b)", [("E022", "1:15", "expected `,` between two parameters")], "f"),
    ("const list<int> A = [1 2]", [("E022", "1:23", "expected `,` between two values")], "A"),
    ("typedef map<int int> A", [("E022", "1:16", "expected `,` between two types")], "A"),
    ("int f() => A B", [("E022", "1:13", "expected `,` between two exceptions")], "f"),
    ("struct A { 1 int a }", [("E020", "1:14", "expected `:`")], "A"),
    ('const map<string, int> A = {"a" 1}', [("E020", "1:33", "expected `:`")], "A"),
    ("enum E { A 0, B = 1 }", [("E020", "1:12", "expected `=`")], "E"),
    ("const int A 5", [("E020", "1:13", "expected `=`")], "A"),
    ("struct A { 1: list<int b }", [("E020", "1:24", "expected `>`")], "A"),
    ("int f(1: int a\nint g()", [("E020", "2:1", "expected `)`")], "f g"),
    ("int f(1: int a => B", [("E020", "1:16", "expected `)`")], "f"),
    ("int f 1: int a)", [("E020", "1:7", "expected `(`")], "f"),
    ("struct A 1: int a }", [("E020", "1:10", "expected `{`")], "A"),
    ("int f() B\nint g()", [("E025", "1:9", "expected `=>` before the exceptions of a method")], "f g"),
    ("int f() -> B", [("E025", "1:9", "expected `=>` before the exceptions of a method")], "f"),
    # what was expected
    ("include common", [("E020", "1:9", 'expected the path of a file, such as `"common.idl"`')], ""),
    ("const", [("E020", "1:6", "expected a type, as in `const int MAX = 100`")], ""),
    ("typedef =", [("E020", "1:9", "expected a type, as in `typedef long UserId`")], ""),
    ("const MAX = 5", [("E020", "1:11", "expected a name for the constant")], ""),
    ("typedef int", [("E020", "1:12", "expected a name for the type")], ""),
    ("struct {\n 1: int a\n}\nint f()", [("E020", "1:8", "expected a name for the struct")], "f"),
    ("union 5 {}", [("E020", "1:7", "expected a name for the union")], ""),
    ("enum", [("E020", "1:5", "expected a name for the enum")], ""),
    ("exception\n", [("E020", "2:1", "expected a name for the exception")], ""),
    ("service {}", [("E020", "1:9", "expected a name for the service")], ""),
    ("service S extends {}", [("E020", "1:19", "expected the name of a service")], ""),
    ("oneway (", [("E020", "1:8", "expected `void`")], ""),
    ("@1 int f()", [("E020", "1:2", "expected the name of an annotation")], ""),
    ("int f() =>", [("E020", "1:11", "expected the name of an exception")], ""),
    ("int f() => 5", [("E020", "1:12", "expected the name of an exception")], ""),
    ("const int A =", [("E020", "1:14", "expected a value")], ""),
    ("const int A = [1, =]", [("E020", "1:19", "expected a value")], ""),
    ("const int A = a.", [("E020", "1:17", "expected a name")], ""),
    ("struct A { 1: }", [("E020", "1:15", "expected a type")], "A"),
    ("struct A { 1: int }", [("E020", "1:19", "expected a name for the field")], "A"),
    ("struct A { 1 }", [("E020", "1:14", "expected `:` and the type, as in `1: int id`")], "A"),
    ("struct A { = }", [("E020", "1:12", "expected a field, such as `1: int id`, or `}`")], "A"),
    ("struct A { 3: int a b }", [("E020", "1:21", "expected a field, such as `4: int id`, or `}`")], "A"),
    ("struct A { reserved }", [("E020", "1:21", "expected the number to reserve, as in `reserved 6`")], "A"),
    (
        "struct A { reserved 5 }",
        [("E020", "1:23", "expected `:` and the type that the member had, as in `reserved 5: int`")],
        "A",
    ),
    ("struct A { 1: list x }", [("E020", "1:20", "expected `<`")], "A"),
    ("struct A { 1: list<> x }", [("E020", "1:20", "expected a type")], "A"),
    ("struct A { 1: map<int, =", [("E020", "1:24", "expected a type")], "A"),
    ("struct A { 1: string[] x }", [("E020", "1:21", "expected a name for the field")], "A"),
    ("struct A { 1: Optional<int> x }", [("E020", "1:23", "expected a name for the field")], "A"),
    ("enum E { 5 }", [("E020", "1:10", "expected a name and its number, such as `HOME = 0`, or `}`")], "E"),
    ("enum E { A, B = 4 }", [("E020", "1:11", "expected `=` and a number, as in `A = 0`")], "E"),
    ("enum E { A = x }", [("E020", "1:14", "expected a number")], "E"),
    ("int f(1: int)", [("E020", "1:13", "expected a name for the parameter")], "f"),
    (
        "int f(1: int a,, 2: int b)",
        [("E020", "1:16", "expected a parameter, such as `2: int id`, or `)`")],
        "f",
    ),
    ("int f(1: int a b)", [("E020", "1:16", "expected `,` or `)`")], "f"),
    ("service S { 5 }", [("E020", "1:13", "expected a method, such as `int count()`, or `}`")], "S"),
    ("service S { int }", [("E020", "1:17", "expected a name for the method")], "S"),
    ("int f(1: int a) { }", [("E020", "1:17", "expected a declaration or a method")], "f"),
    ("int f() 5", [("E020", "1:9", "expected a declaration or a method")], "f"),
    ("struct A extends B { 1: int a }\nint f()", [("E020", "1:10", "expected `{`")], "f"),
    ("@a(1", [("E023", "1:5", "`(` is never closed")], ""),
    # brackets
    ("struct A {\n 1: int a\n\nstruct B {\n}", [("E023", "4:1", "`{` is never closed")], "A B"),
    ("service S {\n int f(1: int a,", [("E023", "2:17", "`(` is never closed")], "S"),
    ("service S {\n int f(1: int a,\n@x\nservice T {}", [("E023", "4:1", "`(` is never closed")], "S T"),
    (
        "struct A {\n 1: map<int, int> a\n 3: list<int> c = [1, 2\n 2: int b\n}",
        [("E023", "4:2", "`[` is never closed")],
        "A",
    ),
    ("int f(", [("E023", "1:7", "`(` is never closed")], "f"),
    ("enum E { A = 0,", [("E023", "1:16", "`{` is never closed")], "E"),
    ("int f()\n}\nint g()", [("E024", "2:1", "`}` closes nothing")], "f g"),
    (")))", [("E024", "1:1", "`)` closes nothing")], ""),
    # several
    (
        "struct A { 1: }\nint f(1 int a)\nenum E { A }\nint g()",
        [
            ("E020", "1:15", "expected a type"),
            ("E020", "2:9", "expected `:`"),
            ("E020", "3:12", "expected `=` and a number, as in `A = 0`"),
        ],
        "A f E g",
    ),
    ("int f(1: int a; 2: int b)\nint g()", [("E020", "1:15", "expected `,` or `)`")], "f g"),
    # other languages
    (
        "namespace py x\nint f()",
        [("E026", "1:1", "`namespace` is not part of the language")],
        "f",
    ),
    (
        'syntax = "proto3"; import "a.proto"\npackage a.b;\nint f()',
        [
            ("E026", "1:1", "`syntax` is not part of the language"),
            ("E026", "2:1", "`package` is not part of the language"),
        ],
        "f",
    ),
    (
        "struct A { 1: optional string a\n 2: required list<int> b\n 3: string optional }",
        [
            ("E026", "1:15", "`optional` is not part of the language"),
            ("E026", "2:5", "`required` is not part of the language"),
        ],
        "A",
    ),
    (
        "int f() throws (1: A a)\nint g() raises B, C\nint h() throws (1: A",
        [
            ("E026", "1:9", "`throws` is not part of the language"),
            ("E026", "2:9", "`raises` is not part of the language"),
            ("E026", "3:9", "`throws` is not part of the language"),
        ],
        "f g h",
    ),
    (
        "message A { 1: int a }\ninterface B { int f() }",
        [
            ("E026", "1:1", "`message` is not part of the language"),
            ("E026", "2:1", "`interface` is not part of the language"),
        ],
        "A B",
    ),
    (
        "service S { rpc Find (Req) returns (Res);\n int f() }",
        [("E026", "1:13", "`rpc` is not part of the language")],
        "S",
    ),
    # text
    ("int $f()", [("E010", "1:5", "unexpected character `$`")], "f"),
    ("int \u00a0f()", [("E010", "1:5", "unexpected character U+00A0")], "f"),
    ("int f(1: string naïve)", [("E010", "1:19", "unexpected character `ï`")], "f"),
    ("# no\nint f()", [("E010", "1:1", "unexpected character `#`")], "f"),
    ("int f() * ;", [("E010", "1:9", "unexpected character `*`")], "f"),
    (
        "// \x07\nint f()",
        [("E011", "1:4", "the control character U+0007 cannot stand in an interface file")],
        "f",
    ),
    ("// \ud800", [("E011", "1:4", "the lone surrogate U+D800 cannot stand in an interface file")], ""),
    ('const string A = "abc\nint f()', [("E012", "1:18", "the string is not closed")], "A f"),
    ("int f() /* abc", [("E013", "1:9", "the comment is not closed")], "f"),
    (
        r'const string A = "\q \x4 \ud800 \U00110000"',
        [
            ("E014", "1:19", r"unknown escape `\q`"),
            ("E014", "1:22", r"unknown escape `\x4`"),
            ("E014", "1:26", r"unknown escape `\ud800`"),
            ("E014", "1:33", r"unknown escape `\U00110000`"),
        ],
        "A",
    ),
    ("const string A = 'abc'", [("E015", "1:18", "strings are written in double quotes")], "A"),
    ("const string A = 'abc\nint f()", [("E015", "1:18", "strings are written in double quotes")], "A f"),
    *[
        (f"const int A = {text}", [("E016", "1:15", f"`{text}` is not a number")], "A")
        for text in (
            "007",
            "+1",
            ".5",
            "5.",
            "1_000",
            "2x",
            "0x",
            "1.2.3",
            "1e",
            "0b1",
            "1.e5",
            "-08",
            "2sec",
        )
    ],
    ("const int A = " + "9" * 500, [("E016", "1:15", f"`{'9' * 37}…` is not a number")], "A"),
    ("const double A = 0." + "9" * 500, [("E016", "1:18", f"`0.{'9' * 35}…` is not a number")], "A"),
    ("const duration A = " + "9" * 500 + "s", [("E016", "1:20", f"`{'9' * 37}…` is not a number")], "A"),
    ("struct A { 0x: int a\n 1: int b }", [("E016", "1:12", "`0x` is not a number")], "A"),
    ("enum E { A = 08 }", [("E016", "1:14", "`08` is not a number")], "E"),
]


def parse(text: str) -> tuple[list[Found], str, Report]:
    report = Report()
    file = parser.parse(Source("test.idl", text), report)
    assert not file.complete
    found: list[Found] = []
    for item in report.diagnostics:
        assert item.span is not None
        line, column = item.span.source.position(item.span.start)
        found.append((item.code, f"{line}:{column}", item.message))
    names = [item.name.text for item in file.items if not hasattr(item, "path")]
    return found, " ".join(names), report


@pytest.mark.parametrize(("text", "expected", "names"), CASES, ids=[text[:40] for text, _, _ in CASES])
def test_faults(text: str, expected: list[Found], names: str) -> None:
    """Every fault is found once, at its place, and the rest is read."""
    found, declared, _ = parse(text)
    assert found == expected
    assert declared == names


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ("int f(int a)", "write `1: int a`"),
        ("int f(1: list<b.C>? a, map<int, b.C>? c)", "write `2: map<int, b.C>? c`"),
        ("int f(a: int)", "the tag comes first, then the type, then the name: `1: int a`"),
        (f"int f({'a' * 99} b)", ""),
        ("struct A { 1: list x }", "write list<T>, with the type of its items"),
        ("struct A { 1: map x }", "write map<K, V>, with the types of its keys and values"),
        ("struct A { 1: string[] x }", "a list is written list<T>"),
        (
            "struct A { 1: Optional<int> x }",
            "only list, set and map take types in `<>`; what may be absent is written `T?`",
        ),
        ("struct A extends B {}", "only a service extends another one"),
        ("const MAX = 5", "the type comes before the name, as in `const int MAX = 100`"),
        ("int f() {}", "a method has no body: what it does is written in its handler"),
        ("service S { struct A {} }", "a service holds methods alone: what else is declared stands outside"),
        ("int f() B", "write `=> B`"),
        ("struct A { 1: optional b.C a }", "what may be absent has a `?` after its type: `b.C?`"),
        ("struct A { repeated int a }", "write list<int>"),
        ("const string A = 'abc'", 'write "abc"'),
        ("const string A = 'a\"c'", 'write "…"'),
        ("const string A = “abc”", 'strings stand in straight double quotes: "text"'),
        ("const int A = 007", "write 7; there are no octal numbers"),
        ("const int A = -00", "write -0; there are no octal numbers"),
        ("const int A = +1", "write 1"),
        ("const double A = .5", "write 0.5"),
        ("const double A = -5.", "write -5.0"),
        ("const int A = 1_000", "write 1000"),
        ("const duration A = 2sec", "the units of a duration are us, ms, s, m, h and d"),
        ("const int A = " + "9" * 500, "a number has at most 400 characters"),
    ],
)
def test_help(text: str, help: str) -> None:
    """Where there is one way to mend it, it is told."""
    _, _, report = parse(text)
    assert report.diagnostics[0].help == help


def test_both_ends_of_a_bracket() -> None:
    """What is not closed is shown together with where it was opened."""
    for text in ("struct A {", "typedef list<int A", "struct A {\nenum B {}"):
        _, _, report = parse(text)
        (found,) = report.diagnostics
        ((span, label),) = found.secondary
        assert (span.text in "{<", label) == (True, "opened here")


def test_names_that_were_lost() -> None:
    """A checker can know what is not to be missed."""
    report = Report()
    file = parser.parse(
        Source("test.idl", "struct { 1: Lost a }\nenum E { GONE, A = 1 }\noption x = y\nint f(1: Kept k)"),
        report,
    )
    assert {"Lost", "GONE", "x"} <= file.lost
    assert "Kept" not in file.lost
