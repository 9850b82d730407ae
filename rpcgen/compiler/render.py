"""Findings as text for people, JSON for programs, annotations for GitHub.

service.idl:1:26: error[E103]: tag 1 is used twice in divide
  1 | float divide(1:int num1, 1:int num2=1)
    |              -           ^ used again here
    |              |
    |              first used here
  = help: the next free tag is 2
"""

from __future__ import annotations

import itertools
import json
import typing
import unicodedata

from rpcgen.compiler.diagnostics import Diagnostic, Report
from rpcgen.compiler.source import Source, Span

WIDTH: typing.Final = 100
"""Source lines wider than this many columns are cut around the mark."""

_TAB = " " * 4
_AROUND = 30
_COLORS: typing.Final = {"error": "1;31", "warning": "1;33", "secondary": "1;34", "bold": "1"}


class _Mark(typing.NamedTuple):
    """Something to point at: offsets in the source, within one line."""

    start: int
    end: int
    label: str
    primary: bool


def render_text(report: Report, color: bool = False) -> str:
    """Gives all findings as text, an empty line between two; empty if there is none."""
    return "\n".join(_text(found, color) for found in report.diagnostics)


def render_json(report: Report) -> str:
    """Gives all findings as JSON, one object a line.

    Its members: code, severity (``error`` or ``warning``), message, file; line, column,
    end_line, end_column (counted from 1 in characters, the end not included; all null where
    no text is to blame); label, help (empty where there is none); secondary: a list of
    objects with file, line, column, end_line, end_column and label.
    """
    return "".join(f"{json.dumps(_object(found))}\n" for found in report.diagnostics)


def render_github(report: Report) -> str:
    """Gives all findings as workflow commands, which GitHub shows beside the lines."""
    return "".join(f"{_annotation(found)}\n" for found in report.diagnostics)


# Text


def _text(found: Diagnostic, color: bool) -> str:
    def paint(text: str, style: str) -> str:
        return f"\x1b[{_COLORS[style]}m{text}\x1b[0m" if color and text else text

    place = f"{_position(found.span)}: " if found.span else f"{_visible(found.file)}: " if found.file else ""
    head = paint(f"{found.severity}[{found.code}]", found.severity)
    lines = [f"{paint(place, 'bold')}{head}{paint(f': {_visible(found.message)}', 'bold')}"]
    number_width = 1
    if found.span:
        places = _by_line(found.span, found)
        number_width = max(len(str(line)) for _, line in places)
        gutter = paint(" " * (number_width + 3) + "|", "secondary")
        before: tuple[Source, int] = found.span.source, 0
        for (source, line), marks in places.items():
            if source is not before[0]:
                arrow = paint(" " * (number_width + 2) + "-->", "secondary")
                lines.append(f"{arrow} {_position(Span(source, marks[0].start, marks[0].end))}")
            elif before[1] and line > before[1] + 1:
                lines.append(paint("  ...", "secondary"))
            before = source, line
            number = paint(f"  {line:>{number_width}} |", "secondary")
            for text, under in _snippets(source, line, marks, found.severity, paint):
                lines.append(f"{number} {text}".rstrip())
                lines.extend(f"{gutter} {row}" for row in under)
    if found.help:
        lines.append(
            f"{paint(' ' * (number_width + 1) + '=', 'secondary')} {paint('help', 'bold')}: {_visible(found.help)}"
        )
    return "\n".join(lines) + "\n"


def _position(span: Span) -> str:
    line, column = span.source.position(span.start)
    return f"{_visible(span.source.path)}:{line}:{column}"


def _by_line(span: Span, found: Diagnostic) -> dict[tuple[Source, int], list[_Mark]]:
    """Sorts marks into lines: those of the primary's file first, each file's in their order."""
    places: dict[tuple[Source, int], list[_Mark]] = {}
    sources = {span.source: 0}
    for other, label in ((span, found.label), *found.secondary):
        source = other.source
        sources.setdefault(source, len(sources))
        line, _ = source.position(other.start)
        line_end = source.text.find("\n", other.start)
        end = min(other.end, line_end if line_end >= 0 else len(source.text))
        mark = _Mark(other.start, max(end, other.start), label, other is span)
        places.setdefault((source, line), []).append(mark)
    return dict(sorted(places.items(), key=lambda place: (sources[place[0][0]], place[0][1])))


def _snippets(
    source: Source, line: int, marks: list[_Mark], severity: str, paint: typing.Callable[[str, str], str]
) -> typing.Iterator[tuple[str, list[str]]]:
    """Gives a source line and the rows under it; more than once if its marks lie far apart."""
    marks.sort()
    start = source.start_of(line)
    end = source.text.find("\n", start)
    end = end if end >= 0 else len(source.text)
    if end - start > WIDTH and marks[-1].start - marks[0].start > WIDTH - 2 * _AROUND:
        groups = [[mark] for mark in marks]
    else:
        groups = [marks]
    for group in groups:
        yield _snippet(source.text, start, end, group, severity, paint)


def _snippet(
    text: str,
    start: int,
    end: int,
    marks: list[_Mark],
    severity: str,
    paint: typing.Callable[[str, str], str],
) -> tuple[str, list[str]]:
    """Draws the part of a line that holds the marks, and the marks under it."""
    first, last, ahead, behind = start, end, "", ""
    if sum(map(_width, text[start : min(end, start + WIDTH + 1)])) > WIDTH:
        middle = marks[0].start
        if middle - start > WIDTH - 2 * _AROUND:
            first, ahead = middle - _AROUND, "…"
        last, room = first, WIDTH
        while last < end and room >= _width(text[last]):
            room -= _width(text[last])
            last += 1
        behind = "…" if last < end else ""
    shown = ahead + "".join(map(_cell, text[first:last])) + behind
    columns = list(itertools.accumulate((_width(char) for char in text[first:last]), initial=len(ahead)))

    def column(offset: int) -> int:
        return columns[min(max(offset, first), last) - first]

    cells: dict[int, bool] = {}
    for mark in sorted(marks, key=lambda mark: mark.primary):
        left = column(mark.start)
        cells.update(dict.fromkeys(range(left, max(column(mark.end), left + 1)), mark.primary))
    styles = {True: severity, False: "secondary"}
    row = ""
    for primary, group in itertools.groupby(range(max(cells) + 1), cells.get):
        marks_here = {None: " ", False: "-", True: "^"}[primary] * len(list(group))
        row += marks_here if primary is None else paint(marks_here, styles[primary])
    labelled = [mark for mark in marks if mark.label]
    if labelled and labelled[-1] is marks[-1]:
        row += " " + paint(_visible(labelled[-1].label), styles[labelled.pop().primary])
    rows = [row]
    if labelled:
        rows.append(_hang([(column(mark.start), "|", styles[mark.primary]) for mark in labelled], paint))
    while labelled:
        mark = labelled.pop()
        hung = [(column(left.start), "|", styles[left.primary]) for left in labelled]
        hung = [bar for bar in hung if bar[0] < column(mark.start)]
        rows.append(_hang([*hung, (column(mark.start), _visible(mark.label), styles[mark.primary])], paint))
    return shown, rows


def _hang(pieces: list[tuple[int, str, str]], paint: typing.Callable[[str, str], str]) -> str:
    row, at = "", 0
    for column, text, style in pieces:
        if column < at:
            continue
        row += " " * (column - at) + paint(text, style)
        at = column + len(text)
    return row


def _cell(char: str) -> str:
    """Gives what stands for a character: itself, unless a terminal would act on it or hide it."""
    if " " <= char <= "~":
        return char
    if char == "\t":
        return _TAB
    if char < " ":
        return chr(0x2400 + ord(char))
    if char == "\x7f":
        return "\u2421"
    return char if char.isprintable() else f"<U+{ord(char):04X}>"


def _width(char: str) -> int:
    """Gives the columns that a terminal takes for what stands for a character."""
    if " " <= char <= "~":
        return 1
    cell = _cell(char)
    if len(cell) > 1:
        return len(cell)
    if unicodedata.category(cell) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(cell) in "WF" else 1


def _visible(text: str) -> str:
    return text if text.isprintable() else "".join(map(_cell, text))


# JSON


class _Range(typing.TypedDict):
    file: str
    line: int | None
    column: int | None
    end_line: int | None
    end_column: int | None


def _range(span: Span | None, path: str = "") -> _Range:
    if span is None:
        return {"file": path, "line": None, "column": None, "end_line": None, "end_column": None}
    line, column = span.source.position(span.start)
    end_line, end_column = span.source.position(span.end)
    return {
        "file": span.source.path,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    }


def _object(found: Diagnostic) -> dict[str, object]:
    return {
        "code": found.code,
        "severity": found.severity,
        "message": found.message,
        **_range(found.span, found.path),
        "label": found.label,
        "help": found.help,
        "secondary": [{**_range(span), "label": label} for span, label in found.secondary],
    }


# GitHub


def _annotation(found: Diagnostic) -> str:
    properties: dict[str, object] = {}
    place = _range(found.span, found.path)
    if place["file"]:
        properties["file"] = place["file"]
    if place["line"] is not None:
        properties |= {"line": place["line"], "endLine": place["end_line"]}
        if place["line"] == place["end_line"]:
            # GitHub takes columns only where the annotation stays on one line.
            properties |= {"col": place["column"], "endColumn": place["end_column"]}
    properties["title"] = found.code
    written = ",".join(f"{key}={_escaped(str(value), True)}" for key, value in properties.items())
    lines = [found.message + (f": {found.label}" if found.label else "")]
    for span, label in found.secondary:
        lines.append(f"{_position(span)}: {label}")
    if found.help:
        lines.append(f"help: {found.help}")
    return f"::{found.severity} {written}::{_escaped(chr(10).join(lines), False)}"


def _escaped(text: str, in_property: bool) -> str:
    text = "".join(char if char == "\n" else _cell(char) for char in text)
    text = text.replace("%", "%25").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if in_property else text
