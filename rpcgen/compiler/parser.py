"""Interface text to syntax tree.

A walk of the LALR tables over the tokens. A faultless file is read in one go; at the first
fault it is read again from its start, by way of ``habits`` (what other languages write) and
with ``recovery`` after each fault, so that all of them are found.
"""

from __future__ import annotations

import gc
import typing

from rpcgen.compiler import habits, lexer, syntax
from rpcgen.compiler.actions import Actions
from rpcgen.compiler.diagnostics import Report, diagnose
from rpcgen.compiler.expectation import NAMES
from rpcgen.compiler.lexer import Faults, Tokens
from rpcgen.compiler.recovery import Recovery
from rpcgen.compiler.source import Source, Span
from rpcgen.compiler.walk import Walk

LARGE: typing.Final = 2_000_000
"""A file of more characters is probed first."""

PROBE: typing.Final = 300_000
"""So many tokens are looked at then: some 18,000 methods."""

MOST: typing.Final = 1_000_000
"""A file of more tokens is not compiled, so that none takes minutes and gigabytes; comments count."""


def parse(source: Source, report: Report) -> syntax.File:
    """Parses a file. Never raises, whatever the text; faults go into the report."""
    # The tree has no cycles, and the collector would walk it again and again while it grows:
    # without, a large file takes little more than half the time.
    collects = gc.isenabled()
    gc.disable()
    try:
        return _parse(source, report)
    finally:
        if collects:
            gc.enable()


def _parse(source: Source, report: Report) -> syntax.File:
    faults = Faults(report)
    tokens = _tokens(source, faults)
    if tokens.cut and not faults.partial:
        return _too_long(tokens, faults)
    docs = dict(tokens.docs)
    walk = Walk(tokens, Actions(tokens))
    last = len(tokens.kinds)
    lost: set[str] = set()
    if walk.run(0, last) < last:
        tokens.docs = docs
        tokens = habits.mend(tokens, faults, lost)
        walk = Walk(tokens, Actions(tokens))
        Recovery(walk, faults, lost).run()
    if tokens.cut:
        lost.update(lexer.NAMES.findall(source.text, tokens.starts[-1]))
    complete = not faults.count
    faults.hand_over()
    if complete:
        lexer.report_stray(tokens, report)
    return syntax.File(source, tokens.file_doc, walk.result(), complete, frozenset(lost))


def _tokens(source: Source, faults: Faults) -> Tokens:
    """Cuts a file into tokens; of a very large one that is faulty early on, only the beginning.

    10 MB of brackets would take half a minute and a gigabyte, to say what their first line does.
    """
    if len(source.text) > LARGE:
        probed = Faults(Report())
        tokens = lexer.tokens(source, probed, PROBE)
        if probed.count or _faulty(tokens):
            faults.partial = True
            return ready(lexer.tokens(source, faults, PROBE))
    return ready(lexer.tokens(source, faults, MOST))


def _too_long(tokens: Tokens, faults: Faults) -> syntax.File:
    source, stop = tokens.source, tokens.starts[-1]
    place = Span(source, stop, min(stop + 1, len(source.text)))
    faults.partial = True
    faults.add(diagnose("E028", place, help="split it: a file can include others", limit=f"{MOST:,}"))
    faults.hand_over()
    lost = frozenset(name[0] for name in lexer.NAMES.finditer(source.text))
    return syntax.File(source, "", (), False, lost)


def _faulty(tokens: Tokens) -> bool:
    docs = dict(tokens.docs)
    end = len(tokens.kinds) - 1
    faulty = Walk(ready(tokens), Actions(tokens)).run(0, end) < end
    tokens.docs = docs
    return faulty


def ready(tokens: Tokens) -> Tokens:
    """Makes a comma after exceptions a ``;`` where no further exception follows, but a method."""
    kinds = tokens.kinds
    number = 0
    while True:
        try:
            number = kinds.index("ARROW", number) + 1
        except ValueError:
            return tokens
        while True:
            number = _after_reference(kinds, number)
            if kinds[number] != "COMMA":
                break
            number += 1
            if kinds[number] != "NAME" or _is_method(kinds, number):
                kinds[number - 1] = "SEMICOLON"
                break


def _after_reference(kinds: list[str], number: int) -> int:
    """Gives the number of the token after ``A`` or ``a.A``."""
    if kinds[number] not in NAMES:
        return number
    return number + 3 if kinds[number + 1] == "DOT" and kinds[number + 2] in NAMES else number + 1


def _is_method(kinds: list[str], number: int) -> bool:
    """Tells whether ``A name(`` stands here, or ``A? name(``."""
    number = _after_reference(kinds, number)
    if kinds[number] == "QMARK":
        number += 1
    return kinds[number] in NAMES and kinds[number + 1] == "LPAR"
