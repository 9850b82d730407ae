"""What other interface languages write, and ours does not: reported, and read as it was meant.

Runs only over a file that has a fault. Each habit is known by its words and their place, so
that a field called ``optional`` is none; what is mended here gives no further errors.
"""

from __future__ import annotations

import typing

from rpcgen.compiler.diagnostics import diagnose
from rpcgen.compiler.expectation import NAMES, after_type
from rpcgen.compiler.lexer import Faults, Tokens
from rpcgen.compiler.tables import END

# Words before a field's type, and what stands for them here.
_BEFORE_TYPES: typing.Final = {
    "optional": "what may be absent has a `?` after its type: `{type}?`",
    "required": "leave it out: a field without default and `?` is required",
    "repeated": "write list<{type}>",
}
# Words that begin a declaration elsewhere, and the word for it here.
_DECLARATIONS: typing.Final = {
    "message": "STRUCT",
    "record": "STRUCT",
    "class": "STRUCT",
    "interface": "SERVICE",
    "error": "EXCEPTION",
}
# Words that begin a line which means nothing here.
_LINES: typing.Final = {
    "namespace": "leave it out: the name of the file is the name of the module",
    "package": "leave it out: the name of the file is the name of the module",
    "syntax": "leave it out",
    "option": "leave it out",
    "import": 'write `include "FILE.idl"`',
    "from": 'write `include "FILE.idl"`',
    "rpc": "a method is written RESULT NAME(1: TYPE NAME, …) => EXCEPTION",
    "def": "a method is written RESULT NAME(1: TYPE NAME, …) => EXCEPTION",
    "func": "a method is written RESULT NAME(1: TYPE NAME, …) => EXCEPTION",
    "fn": "a method is written RESULT NAME(1: TYPE NAME, …) => EXCEPTION",
}
_BEFORE_RAISES: typing.Final = ("throws", "raises")


class _Mended(typing.NamedTuple):
    kinds: list[str]
    starts: list[int]
    ends: list[int]

    def add(self, kind: str, start: int, end: int) -> None:
        self.kinds.append(kind)
        self.starts.append(start)
        self.ends.append(end)


def mend(tokens: Tokens, faults: Faults, lost: set[str]) -> Tokens:
    """Gives the tokens with the habits of other languages put right.

    Args:
        lost: Takes the names in what is left out.
    """
    kinds, starts, ends = tokens.kinds, tokens.starts, tokens.ends
    out = _Mended([], [], [])
    closing = _params_ends(tokens)
    number, last = 0, len(kinds) - 1
    while number < last:
        kind = kinds[number]
        following = number + 1
        if kind == "NAME":
            text = tokens.text(number)
            if text in _BEFORE_TYPES and _before_type(tokens, number):
                written = _type_text(tokens, number + 1)
                _fault(tokens, faults, number, _BEFORE_TYPES[text].format(type=written))
                number = following
                continue
            if text in _BEFORE_RAISES and _after(tokens, number, "RPAR"):
                following = _raises(tokens, faults, number, out)
            elif text in _DECLARATIONS and kinds[number + 1] in NAMES and kinds[number + 2] == "LBRACE":
                kind = _DECLARATIONS[text]
                _fault(tokens, faults, number, f"write `{kind.lower()}`")
                out.add(kind, starts[number], ends[number])
            elif text in _LINES and _foreign_line(tokens, number):
                _fault(tokens, faults, number, _LINES[text])
                following = _next_line(tokens, number)
            else:
                between = _missing_mark(tokens, number, closing)
                if between:
                    place = ends[number - 1]
                    _report_mark(tokens, faults, number, between)
                    out.add(between, place, place)
                out.add(kind, starts[number], ends[number])
            if not out.starts or out.starts[-1] < starts[number]:
                lost.update(tokens.text(at) for at in range(number, following) if kinds[at] == "NAME")
        else:
            out.add(kind, starts[number], ends[number])
        number = following
    out.add(END, starts[last], ends[last])
    tokens.kinds, tokens.starts, tokens.ends = out
    return tokens


def _type_text(tokens: Tokens, number: int) -> str:
    """Gives a type as it is written; ``T`` if that is long."""
    last = min(after_type(tokens.kinds, number), len(tokens.kinds)) - 1
    text = tokens.source.text[tokens.starts[number] : tokens.ends[last]]
    return text if len(text) <= 40 and text.isprintable() else "T"


def _fault(tokens: Tokens, faults: Faults, number: int, help: str) -> None:
    if faults.full:
        faults.count += 1
    else:
        faults.add(diagnose("E026", tokens.span(number), help=help, what=tokens.text(number)))


def _after(tokens: Tokens, number: int, *kinds: str) -> bool:
    return number > 0 and tokens.kinds[number - 1] in kinds


def _before_type(tokens: Tokens, number: int) -> bool:
    """Tells whether a word stands before a type and a name, where a field's type begins."""
    kinds = tokens.kinds
    if not _after(tokens, number, "COLON", "LPAR", "LBRACE", "COMMA", "SEMICOLON") and tokens.same_line(
        number
    ):
        return False
    after = kinds[number + 2] if number + 2 < len(kinds) else END
    return kinds[number + 1] in NAMES and (after in NAMES or after in ("DOT", "LESSTHAN", "QMARK"))


def _raises(tokens: Tokens, faults: Faults, number: int, out: _Mended) -> int:
    """Reads ``throws A`` as ``=> A``, and passes over ``throws (1: A a)``."""
    kinds = tokens.kinds
    _fault(tokens, faults, number, "write `=> A, B` after the parameters")
    if kinds[number + 1] != "LPAR":
        out.add("ARROW", tokens.starts[number], tokens.ends[number])
        return number + 1
    while kinds[number] not in ("RPAR", "RBRACE", END):
        number += 1
    return number + 1 if kinds[number] == "RPAR" else number


def _foreign_line(tokens: Tokens, number: int) -> bool:
    """Tells whether what follows is no method whose result is a type of this name."""
    kinds = tokens.kinds
    after = kinds[number + 1]
    if tokens.same_line(number) and not _after(tokens, number, "LBRACE", "RBRACE", "SEMICOLON"):
        return False
    if tokens.text(number) in ("rpc", "def", "func", "fn"):
        return after in NAMES and kinds[min(number + 2, len(kinds) - 1)] == "LPAR"
    if after not in NAMES:
        return after in ("EQUAL", "STRING", "LPAR", "DOT") and tokens.same_line(number + 1)
    return tokens.same_line(number + 1) and kinds[min(number + 2, len(kinds) - 1)] != "LPAR"


def _next_line(tokens: Tokens, number: int) -> int:
    number += 1
    while tokens.kinds[number] != END and tokens.same_line(number) and tokens.kinds[number] != "RBRACE":
        number += 1
    return number


def _missing_mark(tokens: Tokens, number: int, closing: set[int]) -> typing.Literal["ARROW", "COMMA"] | None:
    """Finds the mark that is missing before an exception: a name that ends its line or statement."""
    kinds = tokens.kinds
    if number < 1 or not tokens.same_line(number) or kinds[number - 1] not in ("RPAR", "NAME"):
        return None
    after = number + 3 if kinds[number + 1] == "DOT" and kinds[number + 2] in NAMES else number + 1
    ends = kinds[after] in (END, "SEMICOLON", "RBRACE") or not tokens.same_line(after)
    ends = ends or (kinds[after] == "COMMA" and kinds[after + 1] != "INT")
    if not ends:
        return None
    if kinds[number - 1] == "RPAR":
        return "ARROW" if number - 1 in closing else None
    return "COMMA" if _after(tokens, number - 1, "ARROW") else None


def _params_ends(tokens: Tokens) -> set[int]:
    """Gives the numbers of the brackets that close a method's parameters, not an annotation's arguments."""
    kinds = tokens.kinds
    found: set[int] = set()
    opened: list[int] = []
    for number, kind in enumerate(kinds):
        if kind == "LPAR":
            opened.append(number)
        elif kind == "RPAR" and opened:
            first = opened.pop()
            if first >= 2 and kinds[first - 2] not in ("AT", "DOT"):
                found.add(number)
    return found


def _report_mark(tokens: Tokens, faults: Faults, number: int, mark: str) -> None:
    if faults.full:
        faults.count += 1
    elif mark == "ARROW":
        faults.add(diagnose("E025", tokens.span(number), help=f"write `=> {tokens.text(number)[:40]}`"))
    else:
        span = tokens.span(number)._replace(start=tokens.ends[number - 1], end=tokens.ends[number - 1])
        faults.add(diagnose("E022", span, help="write a `,` here", what="exceptions"))
