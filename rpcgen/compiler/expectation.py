"""What the language would have had at a fault, in its own words, and what to do where that is plain."""

from __future__ import annotations

import typing

from rpcgen.compiler import syntax, tables
from rpcgen.compiler.diagnostics import Diagnostic, diagnose
from rpcgen.compiler.lexer import Tokens
from rpcgen.compiler.source import Span
from rpcgen.compiler.walk import CLOSING, Walk

Unit: typing.TypeAlias = typing.Literal["file", "methods", "fields", "enum", "params"]

NAMES: typing.Final = frozenset({"NAME", *tables.load().words.values()})
"""What can stand as a name: names, and words that mean something elsewhere."""

_TEXTS: typing.Final = {kind: mark for mark, kind in tables.load().marks.items()}

_AFTER: typing.Final = {
    "INCLUDE": 'the path of a file, such as `"common.idl"`',
    "CONST": "a type, as in `const int MAX = 100`",
    "TYPEDEF": "a type, as in `typedef long UserId`",
    "ENUM": "a name for the enum",
    "STRUCT": "a name for the struct",
    "UNION": "a name for the union",
    "EXCEPTION": "a name for the exception",
    "SERVICE": "a name for the service",
    "EXTENDS": "the name of a service",
    "ONEWAY": "`void`",
    "AT": "the name of an annotation",
    "ARROW": "the name of an exception",
    "RESERVED": "the number to reserve, as in `reserved 6`",
    "DOT": "a name",
    "LESSTHAN": "a type",
    "LIST": "`<`",
    "SET": "`<`",
    "MAP": "`<`",
}
_MEMBER: typing.Final[dict[Unit, tuple[str, tuple[str, ...]]]] = {
    "file": ("a declaration or a method", ("STRUCT",)),
    "methods": ("a method, such as `int count()`, or `}`", ("SCALAR", "NAME", "LPAR")),
    "fields": ("a field, such as `{tag}: int id`, or `}}`", ("INT", "COLON", "SCALAR")),
    "enum": ("a name and its number, such as `HOME = {tag}`, or `}}`", ("NAME", "EQUAL")),
    "params": ("a parameter, such as `{tag}: int id`, or `)`", ("INT", "COLON", "SCALAR")),
}
_NAMED: typing.Final[dict[Unit, str]] = {
    "file": "a name for the method",
    "methods": "a name for the method",
    "fields": "a name for the field",
    "params": "a name for the parameter",
}
_TYPE_ENDS: typing.Final = frozenset(
    {"NAME", "SCALAR", "QMARK", "MORETHAN", "type", "plain_type", "reference"}
)
_MARKS: typing.Final = (
    ("COMMA", "RPAR", "RSQB", "MORETHAN", "RBRACE"),
    ("COLON", "EQUAL", "LPAR", "LBRACE", "LESSTHAN", "ARROW"),
)


class Frame(typing.NamedTuple):
    """The innermost list of members that is open.

    Args:
        unit: What it is a list of.
        base: Where it begins on the stack: at its bracket, or 0 for the file.
        bracket: Where the innermost bracket of all stands, or 0.
    """

    unit: Unit
    base: int
    bracket: int


def member_lists() -> dict[Unit, str]:
    """Gives the names that the tables have for the lists of whole members."""
    origins = sorted({rule.origin for rule in tables.load().rules})
    rules = {
        "file": "start",
        "methods": "methods",
        "fields": "members",
        "enum": "enum_members",
        "params": "params",
    }
    found: dict[Unit, str] = {}
    for unit in typing.get_args(Unit):
        found[unit] = next(origin for origin in origins if origin.startswith(f"__{rules[unit]}_star"))
    return found


def unexpected(walk: Walk, frame: Frame, number: int) -> Diagnostic:
    """Says what could have come in place of a token."""
    kind = walk.tokens.kinds[number]
    span = walk.tokens.span(number)
    label = "the file ends here" if kind == tables.END else ""
    return diagnose("E020", span, label, help=_help(walk, frame, number), what=_expected(walk, frame))


def missing_mark(walk: Walk, frame: Frame, number: int, mark: str) -> Diagnostic:
    """Says that one mark is missing before a token."""
    secondary: tuple[tuple[Span, str], ...] = ()
    if mark in CLOSING and frame.bracket:
        secondary = ((walk.tokens.span(walk.values[frame.bracket - 1]), "opened here"),)
    return diagnose("E020", walk.tokens.span(number), secondary=secondary, what=f"`{_TEXTS[mark]}`")


def missing_tag(walk: Walk, frame: Frame, number: int) -> Diagnostic:
    """Says that a field or parameter has no tag."""
    tokens = walk.tokens
    tag = next_tag(walk, frame)
    after = tokens.kinds[number + 1]
    written = _line(tokens, number)
    if after == "COLON":
        hint = f"the tag comes first, then the type, then the name: `{tag}: int {tokens.text(number)}`"
    elif written:
        hint = f"write `{tag}: {written}`"
    else:
        hint = ""
    return diagnose("E021", tokens.span(number), help=hint, tag=tag)


def field_shape(tokens: Tokens, number: int) -> typing.Literal["whole", "part", "none"]:
    """Tells whether a field without its tag stands here: all of it, or something like it."""
    kinds = tokens.kinds
    if kinds[number] not in NAMES:
        return "none"
    after = after_type(kinds, number)
    if kinds[after] not in NAMES:
        begins = kinds[number - 1] in ("LPAR", "LBRACE", "COMMA", "SEMICOLON")
        return "part" if begins or not tokens.same_line(number) else "none"
    # `string name = 1` is how others write a tag.
    return "part" if kinds[after + 1] == "EQUAL" and kinds[after + 2] == "INT" else "whole"


def is_typed_name(kinds: list[str], number: int) -> bool:
    """Tells whether a type and a name seem to stand here."""
    return kinds[number] in NAMES and kinds[after_type(kinds, number)] in NAMES


def is_annotated(kinds: list[str], number: int) -> bool:
    """Tells whether what is annotated here is no field, as far as one can see."""
    number += 2
    while kinds[number - 1] != tables.END and kinds[number] == "DOT":
        number += 2
    if number < len(kinds) and kinds[number] == "LPAR":
        stop = min(number + 40, len(kinds) - 2)
        while number < stop and kinds[number] != "RPAR":
            number += 1
        number += 1
    return number < len(kinds) and (kinds[number] in NAMES or kinds[number] == "AT")


def after_type(kinds: list[str], number: int) -> int:
    """Gives the number of the token after a type, if one stands here."""
    number += 1
    if kinds[number] == "DOT" and kinds[number + 1] in NAMES:
        number += 2
    elif kinds[number] == "LESSTHAN":
        depth, stop = 1, min(number + 40, len(kinds) - 3)
        while depth and number < stop:
            number += 1
            depth += {"LESSTHAN": 1, "MORETHAN": -1}.get(kinds[number], 0)
        number += 1
    return number + 1 if kinds[number] == "QMARK" else number


def _line(tokens: Tokens, number: int) -> str:
    """Gives a field without tag as it is written, up to its name; empty if that is long."""
    kinds = tokens.kinds
    last = after_type(kinds, number)
    if kinds[last] not in NAMES:
        return ""
    text = tokens.source.text[tokens.starts[number] : tokens.ends[last]]
    return text if len(text) <= 40 and text.isprintable() else ""


def next_tag(walk: Walk, frame: Frame) -> int:
    """Gives the tag that a next member would have."""
    members: list[object] = []
    for value in walk.values[frame.base :]:
        members.extend(value if type(value) is list else [value])
    tags = [
        found.tag if isinstance(found, (syntax.Field, syntax.Reserved)) else found.number
        for found in members
        if isinstance(found, (syntax.Field, syntax.Reserved, syntax.EnumMember))
    ]
    # The last one may not be whole yet: its tag is still a token.
    for index in range(frame.base + 1, len(walk.states) - 1):
        if walk.symbol(index) == "INT" and walk.symbol(index + 1) == "COLON":
            text = walk.tokens.text(walk.values[index - 1])
            tags.append(int(text) if text.isdecimal() and len(text) < 4 else None)
            break
    first = 0 if frame.unit == "enum" else 1
    return max([first - 1, *(tag for tag in tags if tag is not None)]) + 1 + tags.count(None)


def _expected(walk: Walk, frame: Frame) -> str:
    top, below = walk.symbol(-1), walk.symbol(-2) if len(walk.states) > 1 else ""
    direct = frame.bracket == frame.base
    if top in _AFTER:
        return _AFTER[top]
    if top == "EQUAL":
        return "a number" if direct and frame.unit == "enum" else "a value"
    if top == "COLON":
        return "a type" if below == "INT" and direct else "a value"
    if top == "INT" and direct and walk.accepts("COLON"):
        tag = walk.tokens.text(walk.values[-1])[:40]
        if below == "RESERVED":
            return f"`:` and the type that the member had, as in `reserved {tag}: int`"
        return f"`:` and the type, as in `{tag}: int id`"
    if top in _TYPE_ENDS and walk.accepts("NAME") and direct:
        if frame.unit == "file" and below in ("CONST", "TYPEDEF"):
            return f"a name for the {'constant' if below == 'CONST' else 'type'}"
        return _NAMED.get(frame.unit, "a name")
    if top == "NAME" and direct and frame.unit == "enum":
        return f"`=` and a number, as in `{walk.tokens.text(walk.values[-1])[:40]} = {next_tag(walk, frame)}`"
    phrase, start = _MEMBER[frame.unit]
    if direct and walk.accepts(*start):
        return phrase.format(tag=next_tag(walk, frame)) if "{" in phrase else phrase
    if not direct and walk.accepts("STRING"):
        return "a value"
    if not direct and walk.accepts("SCALAR"):
        return "a type"
    for marks in _MARKS:
        found = [f"`{_TEXTS[mark]}`" for mark in marks if walk.accepts(mark)]
        if found:
            return " or ".join(found)
    return "something else"


def _help(walk: Walk, frame: Frame, number: int) -> str:
    kind, top = walk.tokens.kinds[number], walk.symbol(-1)
    below = walk.symbol(-2) if len(walk.states) > 1 else ""
    if top in ("LIST", "SET"):
        return f"write {top.lower()}<T>, with the type of its items"
    if top == "MAP":
        return "write map<K, V>, with the types of its keys and values"
    if kind == "LSQB" and top in _TYPE_ENDS:
        return "a list is written list<T>"
    if kind == "LESSTHAN" and top == "NAME":
        return "only list, set and map take types in `<>`; what may be absent is written `T?`"
    if kind == "EXTENDS":
        return "only a service extends another one"
    if kind == "EQUAL" and below == "CONST":
        return "the type comes before the name, as in `const int MAX = 100`"
    if kind == "LBRACE" and frame.unit == "methods" and top == "NAME":
        return "a service holds methods alone: what else is declared stands outside"
    if kind == "LBRACE" and frame.unit in ("file", "methods") and "RPAR" in (top, below):
        return "a method has no body: what it does is written in its handler"
    return ""
