"""What may not change: every rule, with how far it reaches, what is said and what to do instead.

To add one, add a line here, a golden case under tests/golden/breaking, and a pair that goes wrong in
tests/evolution. B00x services and methods, B01x parameters, fields and members, B02x enums, B03x
exceptions, B04x names in JSON, B06x Python source.
"""

from __future__ import annotations

import typing

Level: typing.TypeAlias = typing.Literal["wire", "json", "source"]

LEVELS: typing.Final[tuple[Level, ...]] = ("wire", "json", "source")
"""Who is hurt: peers that speak bytes; those that speak JSON; those who compile anew. Each counts for the next."""


class Rule(typing.NamedTuple):
    """One rule; ``message`` and ``help`` are filled in by name."""

    level: Level
    message: str
    help: str


_KEEP_NAME: typing.Final = "keep the name {old}; a doc comment can say what it means now"
_NEW_METHOD: typing.Final = "leave it as it is, and add a new method"

RULES: typing.Final[dict[str, Rule]] = {
    # Services and methods
    "B001": Rule("wire", "service {name} is gone", "keep it until nobody calls it: @deprecated says so"),
    "B002": Rule("wire", "method {name} is gone", "keep it until nobody calls it: @deprecated says so"),
    "B003": Rule(
        "wire",
        "{name} extends {parent} no more: its servers answer no calls to {parent}",
        "keep the parent",
    ),
    "B004": Rule("wire", "{name} returns {new}, not {old}", _NEW_METHOD),
    "B005": Rule("wire", "{name} is {new}, not {old}", _NEW_METHOD),
    "B006": Rule(
        "wire",
        "{name} raises {new} where it raised {old}",
        "replies count the exceptions: leave their order, and put new ones last",
    ),
    "B007": Rule("wire", "{name} raises {old} no more", "leave it after =>: older servers may raise it"),
    # Parameters, fields, members
    "B010": Rule(
        "wire",
        "{name} is {new}, not {old}",
        "leave it, and add one with a default under tag {free}",
    ),
    "B011": Rule(
        "wire",
        "{name} {new}, but {old}",
        "leave it, and add one with a default under tag {free}",
    ),
    "B012": Rule(
        "wire",
        "the default of {name} is {new}, not {old}",
        "a default is never sent: leave it, and pass the new value where it is meant",
    ),
    "B013": Rule(
        "wire",
        "{name} is new, and its tag {tag} is not above all earlier ones",
        "older peers read past tags above theirs alone: take {free}",
    ),
    "B014": Rule(
        "wire", "{name} is new and required", "older peers do not send it: give it a default or a ?"
    ),
    "B015": Rule("wire", "{name} is gone, but was required", "older peers need it: keep it"),
    "B016": Rule("wire", "{name} is gone, and its tag is not reserved", "write: reserved {tag}: {old}"),
    "B017": Rule("wire", "tag {tag} of {name} is reserved no more", "write: reserved {tag}: {old}"),
    "B018": Rule(
        "wire", "tag {tag} of {name} is reserved as {new}, not as {old}", "write: reserved {tag}: {old}"
    ),
    "B019": Rule(
        "wire",
        "{name} takes the tag {tag}, which is reserved",
        "older peers mean something else: take {free}",
    ),
    # Enums
    "B020": Rule("wire", "{name} is {new}, not {old}", "leave its number, and add a member with the new one"),
    "B021": Rule("wire", "{name} is gone, and its number is not reserved", "write: reserved {tag}"),
    "B022": Rule("wire", "number {tag} of {name} is reserved no more", "write: reserved {tag}"),
    "B023": Rule("wire", "{name} takes the number {tag}, which is reserved", "take one that was never used"),
    # Exceptions
    "B030": Rule("wire", "{name} has {new}, not {old}", "leave it, and add a new exception"),
    # JSON
    "B040": Rule("json", "parameter {name} is called {new} now", _KEEP_NAME),
    "B041": Rule("json", "field {name} is called {new} now", _KEEP_NAME),
    "B042": Rule("json", "member {name} is called {new} now", _KEEP_NAME),
    "B043": Rule("json", "{name} is called {new} now", _KEEP_NAME),
    "B044": Rule("json", "exception {name} of {owner} is called {new} now", _KEEP_NAME),
    "B045": Rule("json", "{name} is gone: JSON that says it cannot be read", "keep it: @deprecated says so"),
    "B046": Rule(
        "json", "member {name} is gone: JSON that has it cannot be read", "keep it: @deprecated says so"
    ),
    "B047": Rule(
        "json",
        "{name} has the tag {new}, not {old}: JSON goes by the name, and takes one for the other",
        "a new one wants a new name",
    ),
    # Source
    "B060": Rule("source", "{what} {name} is gone", "keep it until no program names it: @deprecated says so"),
    "B061": Rule(
        "source",
        "{name} comes before {other}, which it did not: positional arguments mean something else",
        "leave the order, and put new ones last",
    ),
    "B062": Rule(
        "source", "{name} is gone: programs that pass or read it fail", "keep it: @deprecated says so"
    ),
    "B063": Rule("source", "{name} is {new}, not {old}", "leave it, and declare one of another name"),
    "B064": Rule("source", "the file {name} is gone: programs import its module", "keep it"),
}
"""By code."""


def counted(level: Level) -> tuple[Level, ...]:
    """Gives the levels of which findings are errors where this one matters."""
    return LEVELS[: LEVELS.index(level) + 1]
