"""Random pairs of versions, judged and made to talk: what soaks and the suite have in common."""

from __future__ import annotations

import collections
import dataclasses
import gc
import random
import typing
import unittest.mock

from rpcgen.runtime.wire import plain
from rpcgen.runtime.wire.choice import choice
from tests.evolution.edits import add_enum_value, add_union_member, change_enum, edited
from tests.evolution.interfaces import random_interface
from tests.evolution.json_talk import talk_in_json
from tests.evolution.talk import Faulty, Version, changes, objections, talk
from tests.evolution.values import Wrong

NEWS: typing.Final = {edit.__name__ for edit in (add_enum_value, add_union_member, change_enum)}
"""Edits whose names the old version cannot read in JSON, which is allowed."""

STEPS: typing.Final = 6
"""Versions that follow each other: each is held against the one before it, and against the first."""

PART: typing.Final = 500
"""Pairs of one seed. One part in four is by the codec in Python."""


@dataclasses.dataclass
class Outcome:
    """What pairs came to.

    Args:
        pairs: Of versions that compiled and are not the same text.
        passed: By ``breaking``, at the level of the wire.
        passed_json: Those of them that pass for JSON, too.
        flagged: Rule → pairs that break by it alone.
        wrong: Rule → those of them that were seen to go wrong.
        edits: Edit, and what became of the version that it made: passes, is flagged, or is flagged and seen
            to go wrong.
        counterexamples: Pairs that pass and go wrong, in bytes or in JSON, that pass and are refused at
            connect, or that are not refused and go wrong; each with all that is needed to look at it.
    """

    pairs: int = 0
    passed: int = 0
    passed_json: int = 0
    flagged: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    wrong: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    edits: collections.Counter[tuple[str, str]] = dataclasses.field(default_factory=collections.Counter)
    counterexamples: list[str] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        rules = ", ".join(
            f"{code} {self.wrong[code]}/{count}" for code, count in sorted(self.flagged.items())
        )
        return (
            f"{self.pairs} pairs: {self.passed} pass, {self.passed_json} for JSON; "
            f"{len(self.counterexamples)} counterexamples; "
            f"flagged by one rule and seen to go wrong: {rules}"
        )

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.pairs + other.pairs,
            self.passed + other.passed,
            self.passed_json + other.passed_json,
            self.flagged + other.flagged,
            self.wrong + other.wrong,
            self.edits + other.edits,
            self.counterexamples + other.counterexamples,
        )


def run_part(seed: int, part: int, pairs: int = PART) -> Outcome:
    """Makes and judges the pairs of one part of all that a seed stands for."""
    native = choice().native and part % 4 != 3
    with (
        unittest.mock.patch.object(plain, "native", native),
        unittest.mock.patch.object(plain, "FEW", 0),
    ):
        return run(seed * 1000 + part, pairs)


def run(seed: int, pairs: int, most: int = 5) -> Outcome:
    """Makes and judges so many pairs; ends early with so many counterexamples."""
    outcome = Outcome()
    group = 0
    try:
        while outcome.pairs < pairs and len(outcome.counterexamples) < most:
            # Classes are garbage in circles, which is looked for at every turn otherwise.
            gc.disable()
            _Group(f"{seed}/{group}", outcome).run()
            group += 1
            if group % 20 == 0:
                gc.collect()
    finally:
        gc.enable()
    return outcome


class _Group:
    """The versions of one interface. What passes is what the next one is made of, what does not is left."""

    def __init__(self, seed: str, outcome: Outcome) -> None:
        self._seed = seed
        self._rng = random.Random(seed)
        self._outcome = outcome

    def run(self) -> None:
        interface = random_interface(self._rng)
        try:
            first = last = Version(interface.texts(), "v0")
        except Faulty:
            return
        since: list[str] = []
        for step in range(1, STEPS + 1):
            changed, edits = edited(self._rng, interface)
            texts = changed.texts()
            if texts == last.texts:
                continue
            try:
                new = Version(texts, f"v{step}")
            except Faulty:
                continue
            verdict = self._judge(edits, last, new)
            self._outcome.edits.update((edit, verdict) for edit in edits)
            if first is not last:
                self._judge([*since, *edits], first, new)
            if verdict == "passes":
                interface, last, since = changed, new, [*since, *edits]

    def _judge(self, edits: list[str], old: Version, new: Version) -> str:
        outcome = self._outcome
        found = changes(old, new, "json")
        codes = {change.code for change in found if change.level == "wire"}
        outcome.pairs += 1
        outcome.passed += not codes
        refused = objections(old, new)
        if refused and not codes:
            self._tell(edits, old, new, f"passes, but is refused: {refused[0]}")
        wrong = None
        try:
            talk(self._rng, old, new)
        except Wrong as error:
            wrong = error
            if not codes:
                self._tell(edits, old, new, f"passes, and goes wrong: {wrong}")
            elif not refused and old.protocols.keys() <= new.protocols.keys():
                self._tell(edits, old, new, f"is called, and goes wrong: {wrong}")
        if not found:
            outcome.passed_json += 1
            try:
                talk_in_json(self._rng, old, new, news=NEWS.isdisjoint(edits))
            except Wrong as error:
                self._tell(edits, old, new, f"passes, and goes wrong in JSON: {error}")
        if len(codes) == 1:
            outcome.flagged.update(codes)
            outcome.wrong.update(codes if wrong else ())
        return "passes" if not codes else "wrong" if wrong else "flagged"

    def _tell(self, edits: list[str], old: Version, new: Version, what: str) -> None:
        files = [
            f"--- {side}/{name}\n{text}"
            for side, version in (("old", old), ("new", new))
            for name, text in version.texts.items()
        ]
        told = f"seed {self._seed}, {', '.join(edits)}: {what}"
        self._outcome.counterexamples.append("\n".join([told, *files]))
