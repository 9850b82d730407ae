"""Findings as they are shown: whole texts."""

from __future__ import annotations

import json

from rpcgen.compiler.diagnostics import Report, diagnose
from rpcgen.compiler.render import WIDTH, render_github, render_json, render_text
from rpcgen.compiler.source import Source, Span


def find(source: Source, text: str, after: int = 0) -> Span:
    """Gives the place of a text in a source."""
    start = source.text.index(text, after)
    return Span(source, start, start + len(text))


def reported(*spans: tuple[Span, str], help: str = "", code: str = "E012") -> Report:
    """Gives a report of one finding: its primary place, then others."""
    report = Report()
    (span, label), *secondary = spans
    report.add(diagnose(code, span, label, secondary=tuple(secondary), help=help))
    return report


def text(*spans: tuple[Span, str], help: str = "") -> str:
    return render_text(reported(*spans, help=help))


def test_one_line_with_two_places() -> None:
    """The example of the documentation, letter for letter."""
    source = Source("service.idl", "\n\n\nfloat divide(1:int num1, 1:int num2=1)\n")
    report = Report()
    again, first = Span(source, 28, 29), Span(source, 16, 17)
    help = "the next free tag is 2"
    report.add(
        diagnose(
            *("E103", again, "used again here"),
            secondary=((first, "first used here"),),
            help=help,
            tag=1,
            owner="divide",
        )
    )
    assert (
        render_text(report)
        == """\
service.idl:4:26: error[E103]: tag 1 is used twice in divide
  4 | float divide(1:int num1, 1:int num2=1)
    |              -           ^ used again here
    |              |
    |              first used here
  = help: the next free tag is 2
"""
    )


def test_places_on_several_lines() -> None:
    """Lines in their order, a gap where some are left out, numbers in one column."""
    source = Source("a.idl", "".join(f"line {number}\n" for number in range(1, 13)))
    spans = [(find(source, "12"), "here"), (find(source, "9"), "and here"), (find(source, "8"), "first")]
    assert (
        text(*spans)
        == """\
a.idl:12:6: error[E012]: the string is not closed
   8 | line 8
     |      - first
   9 | line 9
     |      - and here
  ...
  12 | line 12
     |      ^^ here
"""
    )


def test_three_labels_on_a_line() -> None:
    """The rightmost label stands beside its mark, the others hang below."""
    source = Source("a.idl", "aa bb cc dd")
    spans = [(find(source, "bb"), "two"), (find(source, "aa"), "one"), (find(source, "cc"), "three")]
    assert (
        text(*spans)
        == """\
a.idl:1:4: error[E012]: the string is not closed
  1 | aa bb cc dd
    | -- ^^ -- three
    | |  |
    | |  two
    | one
"""
    )


def test_marks_without_labels() -> None:
    """A mark alone; one label beside a mark without; one mark within another."""
    source = Source("a.idl", "aa bb cc dd")
    assert text((find(source, "bb"), "")).endswith("  1 | aa bb cc dd\n    |    ^^\n")
    assert text((find(source, "aa"), "one"), (find(source, "cc"), "")).endswith(
        "    | ^^    --\n    | |\n    | one\n"
    )
    assert text((find(source, "bb"), "inner"), (find(source, "aa bb cc"), "outer")).endswith(
        "    | ---^^--- inner\n    | |\n    | outer\n"
    )
    assert text((find(source, "bb"), "one"), (find(source, "bb"), "two")).endswith(
        "    |    |\n    |    one\n"
    )


def test_another_file() -> None:
    """A place in another file is shown below, with where it is."""
    one, two = Source("a.idl", "aa\nbb\n"), Source("lib/b.idl", "cc\n")
    assert (
        text((find(one, "bb"), "here"), (find(two, "cc"), "there"), (find(one, "aa"), ""))
        == """\
a.idl:2:1: error[E012]: the string is not closed
  1 | aa
    | --
  2 | bb
    | ^^ here
   --> lib/b.idl:1:1
  1 | cc
    | -- there
"""
    )


def test_no_place() -> None:
    """A finding about a file, or about nothing that has a place."""
    report = Report()
    report.add(diagnose("W002", None, path="a\n.idl", help="write one"))
    report.add(diagnose("E012", None))
    assert (
        render_text(report)
        == """\
a␊.idl: warning[W002]: the file declares nothing
  = help: write one

error[E012]: the string is not closed
"""
    )


def test_empty_places() -> None:
    """A place without width has a mark; so has the end of the file."""
    source = Source("a.idl", "ab\n")
    assert text((Span(source, 1, 1), "")).endswith("  1 | ab\n    |  ^\n")
    assert text((Span(source, 3, 3), "")) == (
        "a.idl:2:1: error[E012]: the string is not closed\n  2 |\n    | ^\n"
    )
    assert text((Span(Source("a.idl", ""), 0, 0), "")).endswith("  1 |\n    | ^\n")


def test_a_place_over_several_lines() -> None:
    """Only its first line is shown."""
    source = Source("a.idl", "struct A {\n}\n")
    assert text((Span(source, 7, 12), "")).endswith("  1 | struct A {\n    |        ^^^\n")


def test_tabs_and_wide_characters() -> None:
    """Marks stand under what they mean, however many columns a terminal takes for it."""
    for line, shown, marks in (
        ("\ta\tXX", "    a    XX", "         ^^"),
        ("名前 XX", "名前 XX", "     ^^"),
        ("e\u0301 XX", "e\u0301 XX", "  ^^"),
        ("é XX", "é XX", "  ^^"),
        ("\0\x1b\x7fXX", "␀␛␡XX", "   ^^"),
        ("\u202e\ud800 XX", "<U+202E><U+D800> XX", "                 ^^"),
    ):
        assert text((find(Source("a.idl", line), "XX"), "")).splitlines()[1:] == [
            f"  1 | {shown}",
            f"    | {marks}",
        ]
    assert text((find(Source("a.idl", "a名前b"), "名前"), "")).endswith("    |  ^^^^\n")


def test_long_lines_are_cut() -> None:
    """Of a long line the part around the mark is shown."""
    source = Source("a.idl", f"begin {'x' * 300} HERE {'y' * 300} end")
    lines = text((find(source, "HERE"), "here")).splitlines()
    assert lines[1] == f"  1 | …{'x' * 29} HERE {'y' * 65}…"
    assert lines[2] == f"    | {' ' * 31}^^^^ here"
    lines = text((find(source, "begin"), "here")).splitlines()
    assert lines[1] == f"  1 | begin {'x' * (WIDTH - 6)}…"
    lines = text((find(source, "end"), "here"), (find(source, "begin"), "there")).splitlines()
    assert lines[2] == "    | ----- there"
    assert lines[3] == f"  1 | …{'y' * 29} end"
    assert lines[4] == f"    | {' ' * 31}^^^ here"
    lines = text((Span(source, 0, len(source.text)), "all")).splitlines()
    assert lines[2] == f"    | {'^' * WIDTH} all"
    wide = Source("a.idl", "名" * 60 + "HERE")
    assert text((find(wide, "HERE"), "")).splitlines()[1] == "  1 | …" + "名" * 30 + "HERE"


def test_messages_are_made_visible() -> None:
    """What a file names cannot move a terminal's cursor."""
    report = Report()
    source = Source("a\x1b[2J.idl", "x")
    report.add(diagnose("E010", Span(source, 0, 1), "\x07", help="\r", what="\x1b"))
    assert render_text(report) == (
        "a␛[2J.idl:1:1: error[E010]: unexpected character ␛\n  1 | x\n    | ^ ␇\n  = help: ␍\n"
    )


def test_color() -> None:
    """Colour changes nothing but colour."""
    source = Source("a.idl", "aa bb\n\n\ncc")
    other = Source("b.idl", "dd")
    spans = [
        (find(source, "bb"), "one"),
        (find(source, "aa"), "two"),
        (find(source, "cc"), ""),
        (find(other, "dd"), ""),
    ]
    report = reported(*spans, help="do")
    colored = render_text(report, color=True)
    assert colored.splitlines()[:3] == [
        "\x1b[1ma.idl:1:4: \x1b[0m\x1b[1;31merror[E012]\x1b[0m\x1b[1m: the string is not closed\x1b[0m",
        "\x1b[1;34m  1 |\x1b[0m aa bb",
        "\x1b[1;34m    |\x1b[0m \x1b[1;34m--\x1b[0m \x1b[1;31m^^\x1b[0m \x1b[1;31mone\x1b[0m",
    ]
    for style in ("0", "1", "1;31", "1;34"):
        colored = colored.replace(f"\x1b[{style}m", "")
    assert colored == render_text(report)
    warning = render_text(reported((find(source, "bb"), ""), code="W001"), color=True)
    assert "\x1b[1;33mwarning[W001]\x1b[0m" in warning
    assert "\x1b[1;33m^^\x1b[0m" in warning


def test_nothing_to_report() -> None:
    """No finding, no output."""
    assert render_text(Report()) == render_json(Report()) == render_github(Report()) == ""


def test_json() -> None:
    """One object a line, always with the same members."""
    source = Source("a.idl", "aa\n名 bb\n")
    report = reported((find(source, "bb"), "here"), (find(source, "aa\n名"), "there"), help="do\udcff")
    report.add(diagnose("W002", None, path="b.idl"))
    lines = render_json(report).splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "code": "E012",
            "severity": "error",
            "message": "the string is not closed",
            "file": "a.idl",
            "line": 2,
            "column": 3,
            "end_line": 2,
            "end_column": 5,
            "label": "here",
            "help": "do\udcff",
            "secondary": [
                {
                    "file": "a.idl",
                    "line": 1,
                    "column": 1,
                    "end_line": 2,
                    "end_column": 2,
                    "label": "there",
                }
            ],
        },
        {
            "code": "W002",
            "severity": "warning",
            "message": "the file declares nothing",
            "file": "b.idl",
            "line": None,
            "column": None,
            "end_line": None,
            "end_column": None,
            "label": "",
            "help": "",
            "secondary": [],
        },
    ]
    assert "".join(lines).isascii()


def test_github() -> None:
    """Workflow commands, with what would end them or their parts escaped."""
    source = Source("a,b:%.idl", "aa\nbb\n")
    report = reported((find(source, "bb"), "50%\r\n"), (find(source, "aa"), "there"), help="do")
    report.add(diagnose("E013", Span(source, 0, 5)))
    report.add(diagnose("W002", None, path="b.idl"))
    report.add(diagnose("E012", None))
    assert render_github(report).splitlines() == [
        "::error file=a%2Cb%3A%25.idl,line=1,endLine=2,title=E013::the comment is not closed",
        "::error file=a%2Cb%3A%25.idl,line=2,endLine=2,col=1,endColumn=3,title=E012::"
        "the string is not closed: 50%25␍%0A%0Aa,b:%25.idl:1:1: there%0Ahelp: do",
        "::warning file=b.idl,title=W002::the file declares nothing",
        "::error title=E012::the string is not closed",
    ]
