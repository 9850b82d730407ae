"""Docstrings: whatever an IDL's doc comment says, as Python text that means just that."""

from __future__ import annotations

import collections.abc
import re

from rpcgen.codegen.literals import escape

_HARMLESS = re.compile(r"[ !#-\[\]-~]*")
_ENDS_BARE = re.compile(r'(?<!\\)(?:\\\\)*"$')


def clean(doc: str) -> list[str]:
    """Gives a doc comment's lines, without blank ones around it and common indentation."""
    if "\n" not in doc and "\t" not in doc:
        line = doc.strip()
        return [line] if line else []
    lines = [line.rstrip() for line in doc.expandtabs(4).split("\n")]
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        return []
    lines[0] = lines[0].lstrip()
    margin = min((len(line) - len(line.lstrip(" ")) for line in lines[1:] if line), default=0)
    return [lines[0], *(line[margin:] for line in lines[1:])]


def docstring(lines: collections.abc.Sequence[str], indent: int) -> str:
    """Gives a docstring in its quotes; its first line is given without indentation.

    Args:
        lines: Its text, at least one line, the first not blank.
        indent: How far in it stands.
    """
    if len(lines) == 1:
        return f'"""{_bounded(lines[0])}"""'
    margin = " " * indent
    first, *rest = lines
    if all(not line or line.startswith(" ") for line in rest):
        # A formatter would take it for common indentation, and away.
        rest = clean("\n".join(lines))[1:]
    text = "".join(f"{margin}{_escaped(line)}\n" if line else "\n" for line in rest)
    return f'"""{_bounded(first)}\n{text}{margin}"""'


def block(text: str) -> str:
    """Gives a text of many lines as a literal that begins on the next line."""
    lines = text.split("\n")
    return '"""\\\n' + "\n".join([*map(_escaped, lines[:-1]), _bounded(lines[-1])]) + '"""'


def _bounded(line: str) -> str:
    """Escapes a line that stands next to the quotes around it."""
    text = _escaped(line)
    if text.startswith('"'):
        text = "\\" + text
    if text.endswith('"') and _ENDS_BARE.search(text):
        text = text[:-1] + '\\"'
    return text


def _escaped(line: str) -> str:
    if _HARMLESS.fullmatch(line):
        return line
    text = line.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return text if text.isascii() and text.isprintable() else "".join(map(escape, text))
