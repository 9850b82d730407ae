"""The checker: what a valid file means. What it says of others is under tests/golden/bad."""

from __future__ import annotations

import datetime
import decimal
import math
import random
import time
import uuid

import pytest
from hypothesis import given, strategies as st

from rpcgen.compiler import checker, compile_text, model
from rpcgen.compiler.diagnostics import MOST, Report
from rpcgen.compiler.loader import Loader
from tests.support.interfaces import Interface, compile_interface, interfaces


def module_of(text: str, **includes: str) -> model.Module:
    """Compiles a text that must be valid."""
    compilation = compile_text(text, includes={f"{name}.idl": body for name, body in includes.items()})
    assert compilation.module is not None, compilation.report.diagnostics
    return compilation.module


def codes(text: str, **includes: str) -> list[str]:
    """Gives the codes of the findings about a text."""
    compilation = compile_text(text, includes={f"{name}.idl": body for name, body in includes.items()})
    return [found.code for found in compilation.report.diagnostics]


def value_of(type: str, written: str, before: str = "") -> model.Literal:
    """Gives a default as the model has it."""
    (field,) = (
        module_of(f"{before}\nstruct Only {{ 1: {type} field = {written} }}").of(model.Struct)[0].fields
    )
    assert field.default is not None
    return field.default.value


@pytest.mark.parametrize(
    ("type", "written", "value"),
    [
        ("bool", "true", True),
        ("byte", "-128", -128),
        ("ulong", "0xFFFFFFFFFFFFFFFF", 2**64 - 1),
        ("float", "0.1", 0.10000000149011612),
        ("float", "3.4028234e38", 3.4028234663852886e38),
        ("double", "0.1", 0.1),
        ("double", "1", 1.0),
        ("string", '"a\\n\\u00e9"', "a\né"),
        ("bytes", '"a\\xff\\u00e9"', b"a\xff\xc3\xa9"),
        (
            "timestamp",
            '"1970-01-01T01:00:00.5+01:00"',
            datetime.datetime(1970, 1, 1, 0, 0, 0, 500000, datetime.UTC),
        ),
        ("timestamp", '"2026-01-31t12:00:00z"', datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)),
        ("date", '"0001-01-01"', datetime.date(1, 1, 1)),
        ("duration", "-1.5h", datetime.timedelta(hours=-1.5)),
        ("uuid", '"6BA7B810-9dad-11d1-80b4-00c04fd430c8"', uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")),
        ("decimal", "1.50", decimal.Decimal("1.50")),
        ("decimal", "-3", decimal.Decimal(-3)),
        ("decimal", "1e6144", decimal.Decimal("1e6144")),
        ("list<float>", "[0.1, 1]", (0.10000000149011612, 1.0)),
        ("set<string>", '["b", "a"]', ("b", "a")),
        ("map<string, list<int>>", '{"a": [1], "b": []}', (("a", (1,)), ("b", ()))),
    ],
)
def test_defaults_are_converted_and_rounded(type: str, written: str, value: object) -> None:
    """A default is a value of its type."""
    found = value_of(type, written)
    assert (found, repr(found)) == (value, repr(value))


def test_minus_zero_stays() -> None:
    """Its bytes differ from those of zero."""
    assert math.copysign(1, value_of("double", "-0.0")) < 0  # type: ignore[arg-type]


def test_constants_are_seen_through() -> None:
    """A constant is fitted to the type that uses it; the text keeps its name."""
    before = "const int N = 3\nconst float TENTH = 0.1\nconst list<int> L = [N, 4]\nconst map<int, float> M = {N: 1}"
    assert value_of("ulong", "N", before) == 3
    assert repr(value_of("double", "N", before)) == "3.0"
    assert value_of("decimal", "N", before) == decimal.Decimal(3)
    assert value_of("double", "TENTH", before) == 0.10000000149011612
    assert value_of("float", "TENTH", before) == 0.10000000149011612
    assert value_of("list<long>", "L", before) == (3, 4)
    assert repr(value_of("map<long, double>", "M", before)) == "((3, 1.0),)"
    assert value_of("list<list<int>>", "[L, []]", before) == ((3, 4), ())
    (field,) = (
        module_of(f"{before}\nstruct S {{ 1: list<int> f = [ N,L2 ] }}\nconst int L2 = N")
        .of(model.Struct)[0]
        .fields
    )
    assert field.default == model.Default((3, 3), "[N, L2]")


def test_enum_members_are_values() -> None:
    """By name, through a typedef, and of another file."""
    text = 'include "common.idl"\ntypedef common.Sort S\nstruct P { 1: S a = S.UP  2: common.Sort b = common.Sort.UP  3: S c = common.BEST }'
    module = module_of(text, common="enum Sort { UP = 7 }\nconst Sort BEST = Sort.UP")
    up = model.EnumValue(model.Named("enum", "Sort", "common"), "UP", 7)
    fields = module.of(model.Struct)[0].fields
    assert [field.default and field.default.value for field in fields] == [up, up, up]
    assert [field.alias for field in fields] == ["S", "", "S"]


def test_annotations_become_attributes() -> None:
    """The compiler's own are read, the user's kept."""
    module = module_of(
        '@retryable @status(503) @deprecated("x") exception Busy\n'
        '@idempotent @timeout(1.5s) @attempts(5) @priority(-1) @acme.owner("me", [1, 2s], KIND.A, {"a": 1.5}, true) void put(@deprecated("y") 1: int a)\n'
        "enum KIND { A = 1 }"
    )
    (busy,) = module.of(model.ExceptionType)
    assert (busy.retryable, busy.status, busy.deprecated) == (True, 503, "x")
    (method,) = module.of(model.Service)[0].methods
    assert (method.idempotent, method.timeout, method.params[0].deprecated) == (True, 1.5, "y")
    assert (method.attempts, method.priority) == (5, -1)
    member = model.EnumValue(model.Named("enum", "KIND"), "A", 1)
    assert [(found.name, found.arguments) for found in method.annotations] == [
        ("idempotent", ()),
        ("timeout", (datetime.timedelta(seconds=1.5),)),
        ("attempts", (5,)),
        ("priority", (-1,)),
        ("acme.owner", ("me", (1, datetime.timedelta(seconds=2)), member, (("a", 1.5),), True)),
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("InvalidOperation", "invalid operation"),
        ("HTTPError", "HTTP error"),
        ("NotFound404", "not found 404"),
        ("not_found", "not found"),
        ("Aborted", "aborted"),
        ("IOError", "IO error"),
        ("TooHTTP", "too HTTP"),
        ("A", "a"),
        ("_", "_"),
    ],
)
def test_the_message_of_an_exception_without_a_body(name: str, message: str) -> None:
    """It comes from the name."""
    assert checker.default_message(name) == message


def test_declarations_stand_in_order() -> None:
    """An implicit exception before its first use, the own service at its first method."""
    module = module_of(
        "struct A { 1: list<Late> all }\nvoid one()\nstruct B {}\nvoid two() => Early\n"
        "service S { void put() => Late, Later }\nconst int C = 1\ntypedef list<Other> T\n"
        "service Z { void put(1: Fifth? a, reserved 2: Sixth) => Fifth, Other  Sixth get() => Sixth }"
    )
    assert [found.name for found in module.declarations] == [
        *("Late", "A", "Early", "", "B", "Later", "S", "C", "Other", "T", "Fifth", "Sixth", "Z"),
    ]
    assert [found.name for found in module.of(model.ExceptionType) if not found.implicit] == []


def test_recursive_types_are_marked() -> None:
    """Those whose values can hold another of their own, whatever lies between."""
    module = module_of(
        "struct Tree { 1: list<Tree> children }\nstruct A { 1: map<int, U> b }\nunion U { 1: A a  2: int i }\n"
        "struct Flat { 1: Tree tree }\nexception E { 1: E? cause }"
    )
    records: list[model.Struct | model.Union] = [*module.of(model.Struct), *module.of(model.Union)]
    assert [(found.name, found.recursive) for found in records] == [
        ("Tree", True),
        ("A", True),
        ("Flat", False),
        ("U", True),
    ]


def test_inherited_methods_come_nearest_first() -> None:
    """Each with the service that declares it; wire names stay theirs."""
    module = module_of(
        "service C extends B { void c() }\nservice B extends A { void b() }\nservice A { void a1() void a2() }"
    )
    (c, _, _) = module.of(model.Service)
    assert [(origin.name, method.wire_name) for origin, method in c.inherited] == [
        ("B", "B.b"),
        ("A", "A.a1"),
        ("A", "A.a2"),
    ]
    assert c.extends == model.ServiceName("B")


def test_reserved_keeps_the_type_without_its_question_mark() -> None:
    """What an old peer sends is the same either way."""
    module = module_of(
        "struct P { reserved 6: string?  1: int a  reserved 7: list<int> }\nenum K { A = 1, reserved 3 }"
    )
    (person,) = module.of(model.Struct)
    assert [(kept.tag, kept.type) for kept in person.reserved] == [
        (6, model.Scalar("string")),
        (7, model.ListOf(model.Scalar("int"))),
    ]
    assert module.of(model.Enum)[0].reserved == (3,)


def test_signatures_and_docs() -> None:
    """A signature is the method in canonical form on one line, without docs and annotations."""
    module = module_of(
        '/// Of the file.\n\n/// Of the method.\n@idempotent\nlist< int >? get (\n/// Of a.\n@deprecated("x") 1:UserId a,'
        'reserved 3 : string, 2 : map<int,string>b={1:"x"} )=>A,B;\ntypedef long UserId'
    )
    (method,) = module.of(model.Service)[0].methods
    assert (
        method.signature
        == 'list<int>? get(1: UserId a, reserved 3: string, 2: map<int, string> b = {1: "x"}) => A, B'
    )
    assert (module.doc, method.doc, method.params[0].doc) == ("Of the file.", "Of the method.", "Of a.")
    assert method.params[0].alias == "UserId"
    assert module.interface == (
        "/// Of the file.\n\n/// Of the method.\n@idempotent\nlist<int>? get(\n    /// Of a.\n"
        '    @deprecated("x") 1: UserId a,\n    reserved 3: string,\n    2: map<int, string> b = {1: "x"}\n) => A, B\n'
        "\ntypedef long UserId\n"
    )


def test_an_empty_file_compiles() -> None:
    """With a warning: it may be a file saved too early."""
    compilation = compile_text("")
    assert compilation.module is not None
    assert [found.code for found in compilation.report.diagnostics] == ["W002"]


def test_exceptions_are_types_too() -> None:
    """Declared or implied, here or there."""
    text = 'include "common.idl"\nstruct Log { 1: list<Bad> all  2: common.Worse? worst }\nvoid put() => Bad, common.Worse, common.Known'
    fields = module_of(text, common="exception Known\nvoid put() => Worse").of(model.Struct)[0].fields
    assert fields[0].type == model.ListOf(model.Named("exception", "Bad"))
    assert fields[1].type == model.OptionalOf(model.Named("exception", "Worse", "common"))


@pytest.mark.parametrize(
    "text",
    [
        "exception NotFound\nvoid a() => UserNotFound, Found",
        "exception Error1\nvoid a() => Error2, Error10",
        "exception InvalidName\nvoid a() => InvalidNode",
        "void a() => NotFound, NotFonud",
    ],
)
def test_names_that_are_not_slips(text: str) -> None:
    """Only what is very near a declared exception is an error."""
    assert codes(text) == []


def test_a_file_with_syntax_errors_is_checked_all_the_same() -> None:
    """What was lost is not called undeclared."""
    text = "struct Lost { 1 }\nstruct Kept { 1: Lost lost  2: Unknown other }\nenum Colour { RED }\nvoid a(1: Colour c = Colour.RED)"
    found = [diagnostic for diagnostic in compile_text(text).report.diagnostics if diagnostic.code >= "E1"]
    assert [diagnostic.message for diagnostic in found] == ["no type Unknown is declared"]


def test_long_names_do_not_fill_the_screen() -> None:
    """They are errors, and are cut in messages."""
    long = "x" * 10_000
    for found in compile_text(f"struct {long} {{ 1: {long}y a }}\nvoid put() => {long}").report.diagnostics:
        assert len(found.message) < 500


def test_chains_of_any_length() -> None:
    """No stage recurses over what a file can make long."""
    size = 3000
    assert codes("".join(f"typedef T{i + 1} T{i}\n" for i in range(size)) + f"typedef int T{size}") == []
    assert (
        codes("".join(f"const int C{i} = C{i + 1}\n" for i in range(size)) + f"const int C{size} = 1") == []
    )
    assert (
        codes("".join(f"struct S{i} {{ 1: S{i + 1} a }}\n" for i in range(size)) + f"struct S{size} {{}}")
        == []
    )
    assert codes("".join(f"struct S{i} {{ 1: S{(i + 1) % size} a }}\n" for i in range(size))) == ["E111"]
    assert codes("".join(f"typedef T{(i + 1) % size} T{i}\n" for i in range(size))) == ["E207"]


def test_many_faults_are_found_quickly() -> None:
    """Suggestions have a budget."""
    text = "".join(
        f"struct Name{i} {{ 1: Nmae{i} a }}\nvoid m{i}() => Broken{i}\nexception Brokn{i}\n"
        for i in range(1000)
    )
    begin = time.process_time()
    assert len(codes(text)) == MOST + 1
    assert time.process_time() - begin < 20


@given(interfaces(), st.randoms(use_true_random=False))
def test_no_edit_of_a_valid_file_raises(interface: Interface, chance: random.Random) -> None:
    """Words are dropped, doubled, swapped and replaced; each ends in a model or in findings."""
    words = [*interface.text.split(" ")]
    for _ in range(chance.randint(1, 6)):
        place, other = chance.randrange(len(words)), chance.randrange(len(words))
        match chance.randrange(4):
            case 0:
                words[place] = ""
            case 1:
                words[place] += f" {words[place]}"
            case 2:
                words[place], words[other] = words[other], words[place]
            case _:
                words[place] = words[other]
    compilation = compile_interface(Interface(" ".join(words), interface.includes))
    assert (compilation.module is None) == compilation.report.failed


@pytest.mark.bulky
def test_thousands_of_methods_are_checked_in_linear_time() -> None:
    """A quarter of a second on the machine that this was written on; many times that is a fault."""

    def seconds(count: int) -> float:
        text = "".join(
            f"struct S{i} {{ 1: int id  2: list<S{i}> more = [] }}\nS{i} get{i}(1: int a, 2: int b = 1) => Bad{i}\n"
            for i in range(count)
        )
        report = Report()
        files = Loader(texts={"large.idl": text}).load("large.idl", report)
        begin = time.process_time()
        checker.check(files, report)
        assert not report.failed
        return time.process_time() - begin

    small, large = seconds(500), seconds(5_000)
    assert large < 10
    assert large < 30 * max(small, 0.02)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('void a(1: timestamp t = "2026-01-01T00:00:00+25:00")', ["E301"]),
        ('void a(1: timestamp t = "0001-01-01T00:00:00+01:00")', ["E301"]),
        ("void a(1: decimal d = 1e99999999999999999999999)", ["E302"]),
        ("void a(1: list<map<int, float>> m = [{1: 1e39, 2.5: 1.0}])", ["E302", "E301"]),
        ("typedef Nothing N\nvoid a(1: int b = N.A, 2: N c = N.A)", ["E201"]),
        (
            "const Nothing N = 1\nconst list<Nothing> L = []\nvoid a(1: int b = N, 2: list<int> c = L)",
            ["E201", "E201"],
        ),
        ("const set<int> S = [1, 1]\nvoid a(1: set<int> b = S)", ["E307"]),
        ('@acme.x(NO, [NO], {"a": NO}, {NO: 1}) void a()', ["E303"] * 4),
        ("struct S { 1: S? s = 1, 2: T t }\nstruct T { 1: S s }", ["E111", "E306", "E112"]),
        ("void a() => no.Bad\nservice S extends no.T {}", ["E203", "E203"]),
        (
            'include "no.idl"\nservice S extends no.T {}\nvoid a(1: int a = no.A, 2: no.K k = no.K.X) => no.Bad',
            ["E001"],
        ),
        ("service S { void a() void b() void a() }\nservice T extends S { void c() }", ["E102"]),
        ("struct S { reserved 1: Nothing, 2: list<void?> a }", ["E201", "E205", "E204"]),
    ],
)
def test_one_fault_is_one_finding(text: str, expected: list[str]) -> None:
    """Nothing is said of what rests on a fault."""
    assert codes(text) == expected
