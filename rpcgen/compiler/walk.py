"""A walk of the LALR tables over the tokens: the parser's stack, and the moves on it."""

from __future__ import annotations

import typing

from rpcgen.compiler import syntax, tables
from rpcgen.compiler.actions import Actions, gathered
from rpcgen.compiler.lexer import Tokens

NESTING: typing.Final = 64
"""Lists, sets and maps, and the braces around them, may stand in each other so deep."""

OPENING: typing.Final = {"LBRACE": "RBRACE", "LPAR": "RPAR", "LSQB": "RSQB", "LESSTHAN": "MORETHAN"}
CLOSING: typing.Final = {closed: opened for opened, closed in OPENING.items()}


class Walk:
    """One parse. ``states`` and ``values`` are the stack; the symbol of a state is what led to it."""

    def __init__(self, tokens: Tokens, actions: Actions) -> None:
        self.tables = tables.load()
        self.tokens = tokens
        self.states = [0]
        self.values: list[typing.Any] = []
        self._words = frozenset(self.tables.words.values())
        self._rules = [(rule.size, rule.origin, _action(actions, rule)) for rule in self.tables.rules]

    def symbol(self, index: int) -> str:
        """Gives the symbol at a place of the stack."""
        return self.tables.entered_by[self.states[index]]

    def run(self, number: int, stop: int) -> int:
        """Reads tokens from ``number`` up to ``stop``; gives the number of the one that does not fit."""
        table, rules, words, final = self.tables.states, self._rules, self._words, self.tables.final
        states, values, kinds = self.states, self.values, self.tokens.kinds
        while number < stop:
            kind = kinds[number]
            while True:
                moves = table[states[-1]]
                move = moves.get(kind)
                if move is None:
                    # A word with a meaning elsewhere is a name where a name can stand.
                    if kind not in words:
                        return number
                    move = moves.get("NAME")
                    if move is None:
                        return number
                if move >= 0:
                    if len(states) > NESTING and kind in OPENING and self.too_deep():
                        return number
                    states.append(move)
                    values.append(number)
                    break
                size, origin, action = rules[-1 - move]
                if size:
                    parts = values[-size:]
                    del states[-size:], values[-size:]
                    value = action(*parts) if action else parts[0]
                else:
                    value = action() if action else None
                move = table[states[-1]][origin]
                states.append(move)
                values.append(value)
                if move == final:
                    return stop
            number += 1
        return number

    def too_deep(self) -> bool:
        """Tells whether as many brackets are open as may be."""
        entered_by = self.tables.entered_by
        return sum(entered_by[state] in OPENING for state in self.states) >= NESTING

    def expects(self, kind: str) -> bool:
        """Tells whether a token of this kind could come next for what it is, and not as a name."""
        return self._fits((kind,), frozenset())

    def accepts(self, *kinds: str) -> bool:
        """Tells whether tokens of these kinds could come next. Changes nothing."""
        return self._fits(kinds, self._words)

    def _fits(self, kinds: tuple[str, ...], words: frozenset[str]) -> bool:
        table, rules = self.tables.states, self.tables.rules
        states = self.states.copy()
        for kind in kinds:
            while True:
                moves = table[states[-1]]
                move = moves.get(kind)
                if move is None and kind in words:
                    move = moves.get("NAME")
                if move is None:
                    return False
                if move >= 0:
                    states.append(move)
                    break
                rule = rules[-1 - move]
                if rule.size:
                    del states[-rule.size :]
                states.append(table[states[-1]][rule.origin])
                if states[-1] == self.tables.final:
                    return True
        return True

    def insert(self, kind: str, offset: int) -> None:
        """Reads a token that does not stand in the file; call only if it is accepted."""
        tokens = self.tokens
        tokens.kinds.append(kind)
        tokens.starts.append(offset)
        tokens.ends.append(offset)
        self.run(len(tokens.kinds) - 1, len(tokens.kinds))

    def cut(self, height: int) -> None:
        """Drops what stands on the stack from there on."""
        del self.states[height:], self.values[height - 1 :]

    def result(self) -> tuple[syntax.Declaration, ...]:
        """Gives the declarations that were read."""
        first = self.symbol(1) if self.values else ""
        if first == "item":
            return (self.values[0],)
        return tuple(self.values[0]) if first == "start" or first.startswith("__start_star") else ()


def _action(actions: Actions, rule: tables.Rule) -> typing.Callable[..., typing.Any] | None:
    if rule.origin.startswith("__"):
        return gathered
    found: typing.Callable[..., typing.Any] | None = getattr(actions, rule.action, None)
    return found
