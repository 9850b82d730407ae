"""The canonical form of a text, as the one change that makes it."""

from __future__ import annotations

from rpcgen.compiler import formatter
from rpcgen.compiler.diagnostics import Report
from rpcgen.compiler.lint import Edit
from rpcgen.compiler.source import Source


def change(source: Source, line_end: str = "\n") -> Edit | None:
    """Gives the change to whole lines that brings a text into its form.

    Args:
        line_end: What its lines end with, where it is edited.

    Returns:
        None if it has syntax errors, or is in its form.
    """
    form = formatter.form(source, Report())
    if form is None or form == source.text:
        return None
    had, wanted = source.text.split("\n"), form.split("\n")
    shortest = min(len(had), len(wanted))
    first = 0
    while first < shortest and had[first] == wanted[first]:
        first += 1
    last = 0
    while last < shortest - first and had[-1 - last] == wanted[-1 - last]:
        last += 1
    # Lines are told apart by the ends between them: the first or last one keeps its own.
    first -= first == shortest
    last -= last == shortest - first
    start = sum(len(line) + 1 for line in had[:first])
    end = len(source.text) - sum(len(line) + 1 for line in had[len(had) - last :])
    text = "\n".join(wanted[first : len(wanted) - last])
    return Edit(start, end, text.replace("\n", line_end))
