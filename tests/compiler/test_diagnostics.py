"""The report, and the table of codes."""

from __future__ import annotations

import pathlib
import re
import string

import pytest

import rpcgen
from rpcgen.compiler.diagnostics import MESSAGES, MOST, Diagnostic, Report, diagnose
from rpcgen.compiler.source import Source, Span

ONE = Source("one.idl", "abc\ndef\n")
TWO = Source("two.idl", "abc\n")


def test_a_message_is_filled_in() -> None:
    """The table gives the words, the caller what they are about."""
    found = diagnose("E103", Span(ONE, 0, 1), "again", help="do", tag=1, owner="f")
    assert found == Diagnostic("E103", "tag 1 is used twice in f", Span(ONE, 0, 1), "again", (), "do")
    assert (found.severity, found.file) == ("error", "one.idl")
    assert diagnose("W001", None, path="x.idl").severity == "warning"
    assert diagnose("W001", None, path="x.idl").file == "x.idl"
    with pytest.raises(KeyError):
        diagnose("E103", None, tag=1)
    with pytest.raises(KeyError):
        diagnose("E999", None)


def test_report_is_sorted() -> None:
    """Files as they come, then places, then codes; doubles once; what has no place first."""
    report = Report()
    places = [(TWO, 2, 3), (ONE, 4, 5), (ONE, 0, 2), (TWO, 0, 1), (ONE, 0, 1), (ONE, 0, 1)]
    for source, start, end in places:
        report.add(diagnose("E024", Span(source, start, end), what="}"))
    report.add(diagnose("E012", Span(ONE, 0, 1)))
    report.add(diagnose("W001", None, path="one.idl"))
    found = [(item.file, item.span and item.span[1:], item.code) for item in report.diagnostics]
    assert found == [
        ("two.idl", (0, 1), "E024"),
        ("two.idl", (2, 3), "E024"),
        ("one.idl", None, "W001"),
        ("one.idl", (0, 1), "E012"),
        ("one.idl", (0, 1), "E024"),
        ("one.idl", (0, 2), "E024"),
        ("one.idl", (4, 5), "E024"),
    ]


def test_so_many_errors_of_a_file_are_told() -> None:
    """The first ones as they come, warnings and other files not counted; the last says that it is so."""
    report = Report()
    for _ in range(2):
        for place in range(MOST + 5):
            report.add(diagnose("E012", Span(ONE, place, place + 1)))
    report.add(diagnose("W001", Span(ONE, 0, 1)))
    report.add(diagnose("E012", Span(TWO, 0, 1)))
    assert (report.full("one.idl"), report.full("two.idl")) == (True, False)
    codes = [item.code for item in report.diagnostics]
    assert codes == ["E012", "W001", *["E012"] * (MOST - 1), "E007", "E012"]
    assert report.diagnostics[-2].message == f"more than {MOST} errors: the others are not told"


def test_warnings_do_not_fail() -> None:
    """Only an error makes a run fail."""
    report = Report()
    report.add(diagnose("W001", Span(ONE, 0, 1)))
    assert not report.failed
    report.add(diagnose("E012", Span(ONE, 0, 1)))
    assert report.failed


def test_messages_follow_the_house_style() -> None:
    """Lower case, no full stop, one line; the table is in order."""
    for code, message in MESSAGES.items():
        assert re.fullmatch(r"[EW]\d{3}", code)
        assert not message.endswith("."), code
        assert "\n" not in message, code
        first = message[0]
        assert first in "`{@" or first.islower() or message.startswith("Python"), code
        for _, name, spec, _ in string.Formatter().parse(message):
            assert name is None or name.isidentifier(), code
            assert not spec, code
    errors = [code for code in MESSAGES if code[0] == "E"]
    assert errors == sorted(errors)


def test_every_code_of_the_syntax_is_used() -> None:
    """What nothing reports has no place in the table."""
    folder = pathlib.Path(rpcgen.__file__).parent
    text = "".join(
        path.read_text(encoding="utf-8") for path in folder.rglob("*.py") if path.name != "diagnostics.py"
    )
    unused = {code for code in MESSAGES if code.startswith(("E0", "W001")) and f'"{code}"' not in text}
    assert unused == {"E007"}, "the report's own"
