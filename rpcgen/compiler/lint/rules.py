"""What most likely is a mistake: every rule, with what is said, why, and what to do.

To add one, add a line here, a golden case under tests/golden/lint, and a line to docs/lint.md.
"""

from __future__ import annotations

import dataclasses
import typing


class Rule(typing.NamedTuple):
    """One rule; ``message`` and ``help`` are filled in by name.

    Args:
        title: What it looks for.
        why: Why that is a mistake more often than not.
    """

    title: str
    message: str
    help: str
    why: str


RULES: typing.Final[dict[str, Rule]] = {
    "L001": Rule(
        "an exception that nothing declares but its use after =>",
        "exception {name} is declared by this use alone",
        "write: exception {name}",
        "a slip in its name would declare another exception; a declaration can say what it means",
    ),
    "L002": Rule(
        "money in a float or double",
        "{what} {name} looks like money, and {type} cannot hold cents exactly",
        "make it a decimal, or an integer of the smallest unit",
        "0.1 + 0.2 is not 0.3 there, and float is rounded to some seven digits on the way",
    ),
    "L003": Rule(
        "no doc comment (where `docs` asks for one)",
        "{what} {name} has no doc comment",
        "say on the lines before it what it is: /// ...",
        "it is the only text that callers and the generated Python have",
    ),
    "L004": Rule(
        "a tag left out",
        "{owner} leaves out {tags}",
        "write reserved {first}: TYPE for what was ever in use, or number on without a gap",
        "a tag that was removed and comes again with another type is misread by older peers",
    ),
    "L005": Rule(
        "a name against PEP 8",
        "{what} {name} is not written as {style}",
        "{better} would be",
        "names go into Python as they are; to rename what is in use breaks programs, and peers in JSON",
    ),
    "L006": Rule(
        "a declaration that no method reaches",
        "{what} {name} is used by no method",
        "use it, or remove it",
        "what was forgotten: a field of its type, or its name after =>",
    ),
    "L007": Rule(
        "an include of which nothing is used",
        "nothing of {name} is used",
        "remove the include",
        "the module imports another one for nothing",
    ),
    "L008": Rule(
        "many parameters",
        "{name} takes {count} parameters, more than {most}",
        "make a struct of those that belong together",
        "calls of many arguments are hard to read, and easy to get wrong",
    ),
    "L009": Rule(
        "a use of what is deprecated, by what is not",
        "{name} uses {other}, which is deprecated",
        "{why}",
        "whoever calls this has to use what is to go",
    ),
    "L010": Rule(
        "names that differ in case or underscores alone",
        "{name} is almost {other}",
        "give one of them another name",
        "readers take them for one, and programs pass the wrong one",
    ),
    "L011": Rule(
        "a time or duration as a number or string",
        "{what} {name} looks like a {better}, and is {type}",
        "make it a {better}",
        "a type says the unit and the time zone, a number leaves them to be guessed",
    ),
    "L012": Rule(
        "a service without methods",
        "service {name} has no methods",
        "give it one, let it extend another service, or remove it",
        "nothing can be called",
    ),
    "L013": Rule(
        "a doc comment that stands twice among neighbours",
        "{name} has the doc comment of {other}",
        "say what is different",
        "it was copied and not changed",
    ),
    "L014": Rule(
        "a name that is a word of Python",
        "{name} is a word of Python",
        "programs write {name}_; another name would stay as it is",
        "the name in Python is another one than on the wire",
    ),
    "L015": Rule(
        "an @allow that holds nothing back",
        "{code} is not found here",
        "remove it",
        "it would hide the next mistake",
    ),
    "L016": Rule(
        "a method that reads, by its name, but is not @idempotent",
        "{name} reads, by its name, but is not @idempotent",
        "write @idempotent if calling it twice does no harm",
        "without it no call is sent again when a server dies while it works",
    ),
}
"""By code."""

PARAMETERS: typing.Final = 7
"""More parameters are many, unless said otherwise."""

DOCUMENTED: typing.Final = (
    *("service", "method", "parameter", "struct", "field", "union", "member", "enum", "enum member"),
    *("exception", "typedef", "const"),
)
"""Kinds that can be asked to have a doc comment."""


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """How to judge.

    Args:
        codes: The rules that are asked.
        docs: Kinds of ``DOCUMENTED`` that must have a doc comment.
        max_parameters: More are many.
    """

    codes: frozenset[str] = frozenset(RULES)
    docs: frozenset[str] = frozenset()
    max_parameters: int = PARAMETERS
