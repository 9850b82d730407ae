"""What mends a finding: the linter's own fixes, and what the help of an error says to write."""

from __future__ import annotations

import os
import re
import typing

from rpcgen.compiler.diagnostics import Diagnostic
from rpcgen.compiler.lint import Edit, Finding

_MEANT: typing.Final = re.compile(r"did you mean (@?[A-Za-z_][\w.]*)(?:;|$)")
_FILE: typing.Final = re.compile(r"did you mean (.+\.idl)$")
_FREE: typing.Final = re.compile(r"the next free (?:tag|number) is (-?\d+)$")
_MEMBER: typing.Final = re.compile(r"the member is ([\w.]+)$")
_WRITTEN: typing.Final = re.compile(r"""write (?:`([^`]+)`|("[^"…]*")|([^\s;…]+))(?:;|$)""")
_WRITABLE: typing.Final = frozenset({"E015", "E016", "E025", "E401"})
"""Errors whose help is what should stand in their place."""


class Fix(typing.NamedTuple):
    """A change to the file of a finding, and what it is called."""

    title: str
    edit: Edit


def fix(found: Diagnostic) -> Fix | None:
    """Gives what mends a finding, if that is known."""
    if isinstance(found, Finding):
        return Fix(_TITLES.get(found.code, found.help), found.fix) if found.fix else None
    span = found.span
    if span is None:
        return None
    text = _replacement(found)
    if text is None:
        return None
    title = f"write {text.strip()}" if text else found.help
    return Fix(title, Edit(span.start, span.end, text))


_TITLES: typing.Final = {
    "L001": "declare the exception",
    "L007": "remove the include",
    "L015": "remove the annotation",
}


def _replacement(found: Diagnostic) -> str | None:
    """Gives what should stand in the place of an error."""
    span, help = found.span, found.help
    assert span is not None
    if found.code == "E001":
        match = _FILE.match(help)
        folder = os.path.dirname(span.source.path)
        return f'"{os.path.relpath(match[1], folder or ".")}"' if match else None
    if found.code == "E204":
        return ""
    for form in (_MEANT, _FREE, _MEMBER):
        match = form.match(help)
        if match:
            return _unqualified(match[1].lstrip("@"), span.source.text[: span.start])
    match = _WRITTEN.match(help) if found.code in _WRITABLE else None
    return match[match.lastindex or 0] if match else None


def _unqualified(name: str, before: str) -> str:
    """Leaves out the qualifier of a name that stands there already."""
    qualifier, dot, last = name.rpartition(".")
    return last if dot and before.endswith(f"{qualifier}.") else name
