"""What is written becomes the syntax tree, with its places."""

from __future__ import annotations

import pathlib
import typing

import pytest

from rpcgen.compiler import lexer, parser, syntax
from rpcgen.compiler.diagnostics import Report
from rpcgen.compiler.source import Source

IDL = pathlib.Path(__file__).parents[2] / "idl"


def parse(text: str) -> syntax.File:
    """Parses text that has no fault and nothing to warn of."""
    report = Report()
    file = parser.parse(Source("test.idl", text), report)
    assert [(found.code, found.message) for found in report.diagnostics] == []
    assert file.complete
    return file


def one(text: str) -> typing.Any:
    (item,) = parse(text).items
    return item


def value(text: str) -> typing.Any:
    return one(f"const int A = {text}").value


def type_of(text: str) -> typing.Any:
    return one(f"typedef {text} A").type


def test_the_shortest_file() -> None:
    """The one-line file of the documentation gives a method with all its places."""
    method = one("float divide(1:int num1, 2:int num2=1) => InvalidOperation")
    assert isinstance(method, syntax.Method)
    first, second = method.params
    assert isinstance(first, syntax.Field)
    assert isinstance(second, syntax.Field)
    assert method.returns.span.text == "float"
    assert method.name.span.text == method.name.text == "divide"
    assert method.params_span.text == "(1:int num1, 2:int num2=1)"
    assert [found.span.text for found in method.raises] == ["InvalidOperation"]
    assert method.oneway is None
    assert (first.tag, first.tag_span.text, first.type.span.text, first.default) == (1, "1", "int", None)
    assert first.span.text == "1:int num1"
    assert second.span.text == "2:int num2=1"
    assert isinstance(second.default, syntax.IntValue)
    assert second.default.span.text == "1"


@pytest.mark.parametrize("name", ["service", "features", "common", "shop"])
def test_the_examples(name: str) -> None:
    """The interfaces in idl/ parse."""
    assert parse((IDL / f"{name}.idl").read_text(encoding="utf-8")).items


def test_declarations() -> None:
    """Every declaration, with its name and extent."""
    file = parse("""\
include "lib/common.idl"
const int MAX = 100
typedef long UserId;
enum Kind { HOME = 0, reserved 1; WORK = 0x2 }
struct Empty {}
struct Point { 1: int x, 2: int y; reserved 3: string };
union Shape { 1: Point point 2: string name }
exception Lost
exception Gone { 1: string what }
service Base { void ping() }
service Directory extends common.Base { oneway void log(1: string line), Person? get() => A, b.B; }
void bare()
""")
    assert [type(item).__name__ for item in file.items] == [
        *("Include", "Const", "Typedef", "Enum", "Struct", "Struct", "Union"),
        *("ExceptionType", "ExceptionType", "Service", "Service", "Method"),
    ]
    include, const, _, enum, empty, point, _, lost, gone, base, directory, bare = file.items
    assert isinstance(include, syntax.Include)
    assert (include.path, include.path_span.text) == ("lib/common.idl", '"lib/common.idl"')
    assert const.span.text == "const int MAX = 100"
    assert isinstance(enum, syntax.Enum)
    home, reserved, work = enum.members
    assert isinstance(home, syntax.EnumMember)
    assert (home.number, home.number_span.text, home.span.text) == (0, "0", "HOME = 0")
    assert isinstance(reserved, syntax.Reserved)
    assert (reserved.tag, reserved.type, reserved.span.text) == (1, None, "reserved 1")
    assert isinstance(work, syntax.EnumMember)
    assert work.number == 2
    assert isinstance(empty, syntax.Struct)
    assert empty.members == ()
    assert isinstance(point, syntax.Struct)
    assert [member.span.text for member in point.members] == ["1: int x", "2: int y", "reserved 3: string"]
    assert isinstance(lost, syntax.ExceptionType)
    assert lost.members is None
    assert lost.span.text == "exception Lost"
    assert isinstance(gone, syntax.ExceptionType)
    assert gone.members is not None
    assert isinstance(base, syntax.Service)
    assert base.extends is None
    assert isinstance(directory, syntax.Service)
    assert directory.extends is not None
    assert directory.extends.qualifier is not None
    assert (directory.extends.qualifier.text, directory.extends.name.text) == ("common", "Base")
    log, get = directory.methods
    assert log.oneway is not None
    assert log.oneway.text == "oneway"
    assert log.span.text == "oneway void log(1: string line)"
    assert [found.span.text for found in get.raises] == ["A", "b.B"]
    assert bare.span.text == "void bare()"


@pytest.mark.parametrize(
    "word",
    [
        *("include", "const", "typedef", "enum", "struct", "union", "exception", "service", "extends"),
        *("oneway", "reserved", "list", "set", "map", "string", "int", "void", "date", "true", "false"),
        *("optional", "required", "throws", "message", "package"),
    ],
)
def test_words_of_the_language_as_names(word: str) -> None:
    """A word of the language is a name where only a name can stand."""
    struct = one(f"struct S {{ 1: string {word}  2: list<int> {word} = [] }}")
    assert [member.name.text for member in struct.members] == [word, word]
    assert one(f"int {word}(1: int? {word})").name.text == word
    assert one(f"struct {word} {{}}").name.text == word
    assert one(f"@acme.{word} int f()").annotations[0].name.text == f"acme.{word}"
    assert type_of(f"common.{word}").name.text == word


def test_commas_after_exceptions() -> None:
    """A comma after an exception goes on with the list, unless a method follows."""
    file = parse("""\
int a() => A, B,
list<int> b()
int c() => A, int d() => A, common.B e() => A, C.D? f() => A, @z int g() => B,
oneway void h()
service S { int i() => A, X j() => A, B, }
""")
    methods = [item for item in file.items if isinstance(item, syntax.Method)]
    assert [(method.name.text, len(method.raises)) for method in methods] == [
        *(("a", 2), ("b", 0), ("c", 1), ("d", 1), ("e", 1), ("f", 1), ("g", 1), ("h", 0)),
    ]
    (service,) = [item for item in file.items if isinstance(item, syntax.Service)]
    assert [len(method.raises) for method in service.methods] == [1, 2]


def test_types() -> None:
    """Types, nested and optional."""
    assert type_of("int") == syntax.Scalar("int", type_of("int").span) or type_of("int").name == "int"
    found = type_of("map<string, list<common.Money>>")
    assert isinstance(found, syntax.MapType)
    assert found.key.span.text == "string"
    assert isinstance(found.value, syntax.ListType)
    assert found.value.item.span.text == "common.Money"
    assert found.span.text == "map<string, list<common.Money>>"
    assert isinstance(type_of("set<int>"), syntax.SetType)
    optional = type_of("list<int?>?")
    assert isinstance(optional, syntax.OptionalType)
    assert (optional.mark.text, optional.span.text) == ("?", "list<int?>?")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("-12", -12),
        ("0x1F", 31),
        ("-0XfF", -255),
        ("1.5", 1.5),
        ("-2.5e-3", -0.0025),
        ("1e3", 1000.0),
        ("0.0", 0.0),
        ("true", True),
        ("false", False),
        ('""', ""),
        (r'"a\"b\\n\n\r\t\0\/"', 'a"b\\n\n\r\t\0/'),
        (r'"\x41\u00e9\U0001F600é名"', "Aé\U0001f600é名"),
    ],
)
def test_plain_values(text: str, expected: object) -> None:
    """Numbers, truth values and strings, with what was written."""
    found = value(text)
    assert found.value == expected
    assert type(found.value) is type(expected)
    assert found.span.text == text


def test_bytes_of_strings() -> None:
    r"""For a field of bytes \xHH is one byte, all else is UTF-8."""
    assert value(r'"\xffé\u00ff"').data == b"\xff\xc3\xa9\xc3\xbf"
    assert value('"é"').data == b"\xc3\xa9"


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("2s", 2_000_000),
        ("500ms", 500_000),
        ("1m", 60_000_000),
        ("1h", 3_600_000_000),
        ("1d", 86_400_000_000),
        ("7us", 7),
        ("-1.5h", -5_400_000_000),
        ("0.0000019s", 1),
    ],
)
def test_durations(text: str, microseconds: int) -> None:
    """Durations, in microseconds."""
    assert value(text).microseconds == microseconds


def test_composed_values() -> None:
    """Lists, maps and names."""
    assert value("[]").items == ()
    assert [item.value for item in value("[1, 2,]").items] == [1, 2]
    assert value("{}").entries == ()
    ((key, entry),) = value('{"a": [1.5]}').entries
    assert (key.value, entry.items[0].value) == ("a", 1.5)
    assert len(value("{1: 2, 3: 4,}").entries) == 2
    for text in ("MAX", "Kind.HOME", "common.Kind.HOME", "list.service"):
        assert [part.text for part in value(text).parts] == text.split(".")
        assert value(text).span.text == text


def test_annotations() -> None:
    """Annotations, with arguments of every kind, wherever a declaration or a member stands."""
    struct = one('@a @b.c("x", 1, 2s, true, MAX, [1]) struct S { @d 1: int x @e reserved 2: int }')
    assert [found.name.text for found in struct.annotations] == ["a", "b.c"]
    assert [found.span.text for found in struct.annotations] == ["@a", '@b.c("x", 1, 2s, true, MAX, [1])']
    assert len(struct.annotations[1].arguments) == 6
    assert struct.span.text.startswith("struct S")
    assert [member.annotations[0].name.text for member in struct.members] == ["d", "e"]
    assert one("enum E { @a() A = 0 @b reserved 1 }").members[0].annotations[0].arguments == ()
    method = one("@a int f(@b 1: int x, @c reserved 2: int)")
    assert [param.annotations[0].name.text for param in method.params] == ["b", "c"]


def test_docs() -> None:
    """Doc comments belong to what follows them."""
    file = parse("""\
/// The file.
/// Its second line.

/// A struct.
///
///   indented
@a
struct S {
    /// A field.
    1: int x  // no doc
    /// Another.
    @b 2: int y
}
//// no doc
/** no doc */
enum E {
    /// A value.
    A = 0
}
/// A constant.
const int C = 1
/// A type.
typedef int T
@a
/// A method.
oneway void f(
    /// A parameter.
    1: int x
)
/// A service.
service V {
    /// Its method.
    void g()
}
/// An exception.

exception X
""")
    assert file.doc == "The file.\nIts second line."
    struct, enum, const, typedef, method, service, exception = typing.cast("typing.Any", file.items)
    assert struct.doc == "A struct.\n\n  indented"
    assert [member.doc for member in struct.members] == ["A field.", "Another."]
    assert (enum.doc, enum.members[0].doc) == ("", "A value.")
    assert (const.doc, typedef.doc, exception.doc) == ("A constant.", "A type.", "An exception.")
    assert (method.doc, method.params[0].doc) == ("A method.", "A parameter.")
    assert (service.doc, service.methods[0].doc) == ("A service.", "Its method.")


def test_doc_of_the_file() -> None:
    """The first doc comment is the file's before an empty line, an include, or nothing."""
    assert parse("/// A.\n\nint f()").doc == "A."
    assert parse('/// A.\ninclude "b.idl"').doc == "A."
    assert parse("/// A.").doc == "A."
    assert parse("/// A.\nint f()").doc == ""
    assert parse("/// A.\nint f()").items[0].doc == "A."
    assert parse('include "a.idl"\n/// B.\ninclude "b.idl"').items[1].doc == "B."


@pytest.mark.parametrize(
    ("text", "place", "help"),
    [
        ("int f() /// trailing\nint g()", 8, "write it on the lines before what it describes, or as `//`"),
        ("int f()\n/// at the end", 8, "nothing follows it; write it as `//`"),
        ("int f()\n/// one\n\n/// two\nint g()", 8, "another one follows it"),
        ("struct S {\n/// in vain\n}", 11, "a doc comment stands before a declaration or a member of one"),
        ("int f(1:\n/// in vain\nint a)", 9, "a doc comment stands before a declaration or a member of one"),
    ],
)
def test_stray_docs(text: str, place: int, help: str) -> None:
    """A doc comment that belongs to nothing is a warning."""
    report = Report()
    assert parser.parse(Source("test.idl", text), report).complete
    ((code, span, found),) = [(found.code, found.span, found.help) for found in report.diagnostics]
    assert span is not None
    assert (code, span.start, found) == ("W001", place, help)
    assert not report.failed


def test_many_stray_docs() -> None:
    """Not every one of thousands is worth a warning."""
    for text in ("int f()" + "\n\n/// no" * 1000, "struct S {" + "1: int /// no\n\n a\n" * 1000 + "}"):
        report = Report()
        parser.parse(Source("test.idl", text), report)
        assert len(report.diagnostics) == lexer.SHOWN


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \t\n",
        "// only a comment",
        "/* a * / ** */",
        "/**/",
        "struct\tA\n{\n}\n",
        "int/**/f(/* a *///b\n)",
        'const string A = "// no comment /* here"',
    ],
)
def test_spaces_and_comments(text: str) -> None:
    """Spaces and comments stand anywhere between tokens."""
    parse(text)


def test_nesting_up_to_the_limit() -> None:
    """Reasonable nesting is no matter."""
    type_of("list<" * 60 + "int" + ">" * 60)
    value("[" * 60 + "]" * 60)
