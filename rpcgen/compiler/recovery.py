"""Going on after a syntax error: report it, mend the parse, read on.

Three ways, in this order: put in what is missing, where one mark or a tag is; keep the member
as far as it is whole and pass over what follows it; drop the member. Every round ends behind
the fault or at a token that fits now, so that any text takes linear time. A fault on the line
of the one before, and not yet clear of it, is taken for the same and not reported.
"""

from __future__ import annotations

import typing

from rpcgen.compiler import expectation
from rpcgen.compiler.diagnostics import Diagnostic, diagnose
from rpcgen.compiler.expectation import Frame, Unit
from rpcgen.compiler.lexer import ENOUGH, Faults
from rpcgen.compiler.source import Span
from rpcgen.compiler.tables import END
from rpcgen.compiler.walk import CLOSING, NESTING, OPENING, Walk

DECLARING: typing.Final = frozenset(
    {"INCLUDE", "CONST", "TYPEDEF", "ENUM", "STRUCT", "UNION", "EXCEPTION", "SERVICE"}
)
_BODIES: typing.Final[dict[str, Unit]] = {
    "ENUM": "enum",
    "STRUCT": "fields",
    "UNION": "fields",
    "EXCEPTION": "fields",
    "SERVICE": "methods",
}
_ENDS: typing.Final[dict[Unit, str]] = {
    "file": END,
    "methods": "RBRACE",
    "fields": "RBRACE",
    "enum": "RBRACE",
    "params": "RPAR",
}
_STARS: typing.Final = expectation.member_lists()
# What may be missing: put in, if both it and the token at the fault then fit.
_MISSING: typing.Final = ("COMMA", "COLON", "EQUAL", "MORETHAN", "RSQB", "RPAR", "LPAR", "LBRACE")
_LITERALS: typing.Final = frozenset({"INT", "FLOAT", "STRING", "DURATION", "TRUE", "FALSE"})
# A fault so few tokens after the last one, on its line, is taken for the same.
_CLEAR: typing.Final = 3


class Recovery:
    """A parse that goes on after faults. ``lost`` gathers the names in what is passed over."""

    def __init__(self, walk: Walk, faults: Faults, lost: set[str]) -> None:
        self.walk = walk
        self.tokens = walk.tokens
        self.kinds = walk.tokens.kinds
        self.faults = faults
        self.lost = lost
        self.end = len(self.kinds) - 1

    def run(self) -> None:
        """Parses to the end, or until there are too many faults to be of use."""
        number = clear_from = 0
        last = -1
        while (number := self.walk.run(number, self.end + 1)) <= self.end:
            frame = self._frame()
            remedy = self._remedy(frame, number)
            near = last >= 0 and number - clear_from < _CLEAR and self._one_line(last, number)
            if not near and not self._excused(number) and not (number == self.end and self.tokens.cut):
                self._report(frame, number, remedy)
            if self.faults.count >= ENOUGH:
                self._note(0, self.end)
                self.faults.partial = True
                return
            last = number
            clear_from = number = self._mend(frame, number, remedy)

    # Where it is

    def _frame(self) -> Frame:
        walk = self.walk
        bracket = closed = 0
        for index in range(len(walk.states) - 1, 0, -1):
            symbol = walk.symbol(index)
            if symbol in CLOSING:
                closed += 1
            elif symbol in OPENING:
                if closed:
                    closed -= 1
                    continue
                bracket = bracket or index
                unit = self._unit(index)
                if unit:
                    return Frame(unit, index, bracket)
        return Frame("file", 0, bracket)

    def _unit(self, index: int) -> Unit | None:
        """Tells which list of members an open bracket begins; None for a type's or a value's."""
        walk = self.walk
        before = walk.symbol(index - 1)
        if walk.symbol(index) == "LPAR":
            return "params" if before == "NAME" else None
        if walk.symbol(index) == "LBRACE" and before in ("NAME", "extends"):
            return _BODIES.get(walk.symbol(index - (3 if before == "extends" else 2)))
        return None

    def _one_line(self, first: int, second: int) -> bool:
        starts = self.tokens.starts
        return self.tokens.source.text.find("\n", starts[first], starts[second]) < 0

    def _excused(self, number: int) -> bool:
        """Tells whether the text at a fault was reported already: it could not be read."""
        starts, tokens = self.tokens.starts, self.tokens
        near = (starts[number - 1], starts[number]) if number else (starts[number],)
        return any(start in tokens.poor or start in tokens.gaps for start in near)

    # What is wrong

    def _remedy(self, frame: Frame, number: int) -> str:
        """Decides what to do: the terminal to put in, or one of the words in lower case."""
        kind, walk, tokens = self.kinds[number], self.walk, self.tokens
        if kind in OPENING and walk.accepts(kind):
            return "shallow"
        if frame.bracket and (kind == END or (frame.base and self._declares(number))):
            return "close"
        if frame.bracket != frame.base and not tokens.same_line(number) and self._begins(frame.unit, number):
            return "close"
        if kind in CLOSING and not frame.bracket:
            return "drop"
        after = self.kinds[min(number + 1, self.end)]
        direct = frame.bracket == frame.base
        for mark in _MISSING:
            if mark == "RPAR" and tokens.same_line(number) and kind not in ("ARROW", "SEMICOLON"):
                continue
            if mark == "COMMA" and direct and frame.unit != "params":
                continue
            if mark == "EQUAL" and kind not in _LITERALS:
                continue
            if kind != END and walk.accepts(mark, kind, *(() if after == END else (after,))):
                return mark
        if direct and frame.unit in ("fields", "params") and walk.accepts("INT", "COLON", kind):
            shape = expectation.field_shape(tokens, number)
            return {"whole": "INT", "part": "untagged", "none": "pass"}[shape]
        return "pass"

    def _report(self, frame: Frame, number: int, remedy: str) -> None:
        if self.faults.full:
            self.faults.count += 1
        else:
            self.faults.add(self._diagnosis(frame, number, remedy))

    def _diagnosis(self, frame: Frame, number: int, remedy: str) -> Diagnostic:
        walk, tokens, kind = self.walk, self.tokens, self.kinds[number]
        span = tokens.span(number)
        if remedy == "shallow":
            return diagnose("E027", span, limit=NESTING)
        if remedy == "close":
            opened = tokens.span(walk.values[frame.bracket - 1])
            begins = "a declaration" if self._declares(number) else "another member"
            label = "the file ends here" if kind == END else f"{begins} begins here"
            return diagnose("E023", span, label, secondary=((opened, "opened here"),), what=opened.text)
        if remedy == "drop":
            return diagnose("E024", span, what=span.text)
        if remedy in ("INT", "untagged"):
            return expectation.missing_tag(walk, frame, number)
        if remedy == "COMMA":
            end = tokens.ends[number - 1]
            between = "types" if walk.symbol(frame.bracket) == "LESSTHAN" else "values"
            between = "parameters" if frame.bracket == frame.base else between
            return diagnose("E022", Span(tokens.source, end, end), help="write a `,` here", what=between)
        if remedy != "pass":
            return expectation.missing_mark(walk, frame, number, remedy)
        return expectation.unexpected(walk, frame, number)

    # What is done

    def _mend(self, frame: Frame, number: int, remedy: str) -> int:
        """Puts the parse into a state to go on; gives the number of the token to go on with."""
        walk, tokens = self.walk, self.tokens
        offset = tokens.ends[number - 1] if number else 0
        if remedy == "INT":
            walk.insert("INT", tokens.starts[number])
            walk.insert("COLON", tokens.starts[number])
            return number
        if remedy.isupper():
            walk.insert(remedy, offset)
            return number
        separator = "COMMA" if frame.unit == "params" else "SEMICOLON"
        height = self._members(frame)
        # What an open bracket of a value would accept says nothing about the list around it.
        nested = remedy == "close" and frame.bracket != frame.base
        whole = not nested and (walk.accepts(separator) or walk.accepts(_ENDS[frame.unit]))
        if remedy == "shallow" or not whole:
            self._lose(height, number)
            walk.cut(height)
        if remedy != "close":
            number = self._pass_over(frame, number)
        self._leave(frame, number)
        if not walk.accepts(self.kinds[number]) and walk.accepts(separator, self.kinds[number]):
            walk.insert(separator, offset)
        return number

    def _members(self, frame: Frame) -> int:
        """Gives the height of the stack after the last whole member of a list."""
        walk = self.walk
        height = frame.base + 1
        if height < len(walk.states) and walk.symbol(height) in ("param", _STARS[frame.unit]):
            height += 1
        while (
            frame.unit == "params"
            and height < len(walk.states)
            and walk.symbol(height) in ("COMMA", _STARS["params"])
        ):
            height += 1
        return height

    def _lose(self, height: int, number: int) -> None:
        """Notes the names in what is cut off the stack."""
        cut = self.walk.values[height - 1 :]
        first = next((value for value in cut if type(value) is int and value < number), number)
        for node in cut:
            start = getattr(node, "span", None)
            while start and first and self.tokens.starts[first - 1] >= start.start:
                first -= 1
        self._note(first, number)

    def _note(self, first: int, stop: int) -> None:
        for number in range(first, stop):
            if self.kinds[number] == "NAME":
                self.lost.add(self.tokens.text(number))

    def _pass_over(self, frame: Frame, number: int) -> int:
        """Finds the token to go on with: where a member ends or begins, or its list does."""
        first, depth, kinds = number, 0, self.kinds
        wide = frame.unit in ("file", "methods")
        while number < self.end:
            kind = kinds[number]
            if kind in DECLARING and self._declares(number):
                break
            if kind in ("LPAR", "LBRACE", "LSQB"):
                depth += 1
            elif kind in ("RPAR", "RBRACE", "RSQB"):
                if not depth and self._ends(frame, kind):
                    break
                depth = max(depth - 1, 0)
                if not depth and kind == "RBRACE" and wide and not self.tokens.same_line(number + 1):
                    number += 1
                    break
            elif not depth:
                if kind == "SEMICOLON" or (kind == "COMMA" and not wide):
                    number += not self.walk.accepts(kind)
                    break
                if number > first and self._begins(frame.unit, number):
                    break
            number += 1
        self._note(first, number)
        return number

    def _declares(self, number: int) -> bool:
        """Tells whether a declaration begins here: its word begins a line, and no field follows."""
        if self.kinds[number] not in DECLARING or self.tokens.same_line(number):
            return False
        return self.kinds[number + 1] in expectation.NAMES or self.kinds[number + 1] == "STRING"

    def _ends(self, frame: Frame, kind: str) -> bool:
        return kind == _ENDS[frame.unit] or (kind == "RBRACE" and frame.unit != "file")

    def _begins(self, unit: Unit, number: int) -> bool:
        """Tells whether a member seems to begin here."""
        kind, after = self.kinds[number], self.kinds[number + 1]
        if unit in ("fields", "params"):
            return (kind == "INT" and after == "COLON") or (kind == "RESERVED" and after == "INT")
        if unit == "enum":
            return kind in ("NAME", "RESERVED") and not self.tokens.same_line(number)
        if self.tokens.same_line(number):
            return False
        if kind == "AT":
            return expectation.is_annotated(self.kinds, number)
        return kind == "ONEWAY" or kind in DECLARING or expectation.is_typed_name(self.kinds, number)

    def _leave(self, frame: Frame, number: int) -> None:
        """Closes the lists that the text leaves open: before a declaration, a brace or the end."""
        walk, kind = self.walk, self.kinds[number]
        offset = self.tokens.ends[number - 1] if number else 0
        while frame.base and (kind == END or kind in CLOSING or self._declares(number)):
            if kind in CLOSING and walk.accepts(kind):
                return
            close = _ENDS[frame.unit]
            if not walk.accepts(close):
                walk.cut(self._members(frame))
            walk.insert(close, offset)
            frame = self._frame()
