"""grammar.lark as LALR tables.

Lark reads the grammar and computes the tables; that takes 0.2 s with its import, too much
for each compile, so they are kept in grammar.json beside it. The file holds the grammar's
text as well: if that is not grammar.lark's any more, the tables are computed anew in memory.

    python -m rpcgen.compiler.tables        writes grammar.json
"""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import typing

GRAMMAR: typing.Final = pathlib.Path(__file__).with_name("grammar.lark")
KEPT: typing.Final = GRAMMAR.with_name("grammar.json")

END: typing.Final = "$END"


class Rule(typing.NamedTuple):
    """A production: ``size`` symbols become one ``origin``; ``action`` names what it makes."""

    origin: str
    action: str
    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class Tables:
    """The language as data.

    Args:
        patterns: Regular expressions of the terminals that are not fixed texts.
        marks: Punctuation to its terminal: ``{`` to LBRACE.
        words: Words with a meaning to their terminal: ``struct`` to STRUCT, ``int`` to SCALAR.
        rules: The productions.
        states: For each state, what to do at a symbol: a state to go to, or ``-1 - n`` for
            rule n.
        entered_by: For each state, the one symbol that leads to it; empty for the first.
        final: The state after everything; the first one is 0.
    """

    patterns: dict[str, str]
    marks: dict[str, str]
    words: dict[str, str]
    rules: list[Rule]
    states: list[dict[str, int]]
    entered_by: list[str]
    final: int


@functools.cache
def load() -> Tables:
    """Gives the tables of grammar.lark."""
    grammar = GRAMMAR.read_text(encoding="utf-8")
    try:
        kept = json.loads(KEPT.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = {}
    if kept.get("grammar") != grammar:
        kept = compute(grammar)
    return Tables(
        patterns=kept["patterns"],
        marks=kept["marks"],
        words=kept["words"],
        rules=[Rule(*rule) for rule in kept["rules"]],
        states=kept["states"],
        entered_by=kept["entered_by"],
        final=kept["final"],
    )


def compute(grammar: str) -> dict[str, typing.Any]:
    """Computes the content of grammar.json.

    Raises:
        lark.exceptions.GrammarError: The grammar is faulty or ambiguous.
    """
    import lark
    from lark.parsers.lalr_analysis import Shift

    built = lark.Lark(grammar, parser="lalr", lexer="basic", maybe_placeholders=False)
    table = built.parser.parser._parse_table
    rules = {rule: -1 - number for number, rule in enumerate(built.rules)}
    # Lark numbers the states differently in each run; by the way from the first one is stable.
    order = [table.start_states["start"]]
    number = {order[0]: 0}
    entered_by = [""]
    states: list[dict[str, int]] = []
    for state in order:
        moves: dict[str, int] = {}
        for symbol, (action, target) in sorted(table.states[state].items()):
            if action is not Shift:
                moves[symbol] = rules[target]
                continue
            if target not in number:
                number[target] = len(order)
                order.append(target)
                entered_by.append(symbol)
            moves[symbol] = number[target]
        states.append(moves)
    patterns: dict[str, str] = {}
    marks: dict[str, str] = {}
    words: dict[str, str] = {}
    for terminal in built.terminals:
        pattern = terminal.pattern
        if terminal.name == "SCALAR":
            words.update(dict.fromkeys(sorted(pattern.value.strip("(?:)").split("|")), terminal.name))
        elif pattern.type == "re":
            patterns[terminal.name] = pattern.value
        elif pattern.value.isalpha():
            words[pattern.value] = terminal.name
        else:
            marks[pattern.value] = terminal.name
    return {
        "grammar": grammar,
        "patterns": patterns,
        "marks": marks,
        "words": words,
        "rules": [
            (rule.origin.name, rule.alias or str(rule.origin.name), len(rule.expansion))
            for rule in built.rules
        ],
        "states": states,
        "entered_by": entered_by,
        "final": number[table.end_states["start"]],
    }


def write() -> None:
    """Writes grammar.json."""
    content = compute(GRAMMAR.read_text(encoding="utf-8"))
    lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items())
    KEPT.write_text("{\n" + lines + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    write()
