"""Random pairs of versions, judged and made to talk: what soaks and the suite have in common."""

from __future__ import annotations

import collections
import random
import typing

from tests.evolution.edits import edited
from tests.evolution.interfaces import random_interface
from tests.evolution.talk import Faulty, Version, changes, objections, talk
from tests.evolution.values import Wrong

EACH: typing.Final = 4
"""New versions of one old one."""


class Outcome(typing.NamedTuple):
    """What pairs came to.

    Args:
        pairs: That compiled, both versions.
        passed: By ``breaking``, at the level of the wire.
        flagged: Rule → pairs that break by it alone.
        wrong: Rule → those of them that were seen to go wrong.
        counterexamples: Pairs that pass and go wrong, that pass and are refused at connect, or that are
            not refused and go wrong; each with all that is needed to look at it.
    """

    pairs: int
    passed: int
    flagged: collections.Counter[str]
    wrong: collections.Counter[str]
    counterexamples: list[str]

    def __str__(self) -> str:
        rules = ", ".join(
            f"{code} {self.wrong[code]}/{count}" for code, count in sorted(self.flagged.items())
        )
        return (
            f"{self.pairs} pairs: {self.passed} pass, {len(self.counterexamples)} of them go wrong; "
            f"flagged by one rule and seen to go wrong: {rules}"
        )


def run(seed: int, pairs: int, most: int = 5) -> Outcome:
    """Makes and judges so many pairs; ends early with so many counterexamples."""
    outcome = Outcome(0, 0, collections.Counter(), collections.Counter(), [])
    group = 0
    while outcome.pairs < pairs and len(outcome.counterexamples) < most:
        outcome = _group(f"{seed}/{group}", outcome)
        group += 1
    return outcome


def _group(seed: str, outcome: Outcome) -> Outcome:
    rng = random.Random(seed)
    interface = random_interface(rng)
    try:
        old = Version(interface.texts(), "old")
    except Faulty:
        return outcome
    count, passed = outcome.pairs, outcome.passed
    for _ in range(EACH):
        changed, edits = edited(rng, interface)
        try:
            new = Version(changed.texts(), "new")
        except Faulty:
            continue
        count += 1
        codes = {change.code for change in changes(old, new)}
        passed += not codes
        refused = objections(old, new)
        if refused and not codes:
            outcome.counterexamples.append(
                _told(seed, edits, old, new, f"passes, but is refused: {refused[0]}")
            )
        try:
            talk(rng, old, new)
        except Wrong as wrong:
            if not codes:
                outcome.counterexamples.append(
                    _told(seed, edits, old, new, f"passes, and goes wrong: {wrong}")
                )
            elif not refused and old.protocols.keys() <= new.protocols.keys():
                outcome.counterexamples.append(
                    _told(seed, edits, old, new, f"is called, and goes wrong: {wrong}")
                )
            failed = True
        else:
            failed = False
        if len(codes) == 1:
            outcome.flagged.update(codes)
            outcome.wrong.update(codes if failed else ())
    return outcome._replace(pairs=count, passed=passed)


def _told(seed: str, edits: list[str], old: Version, new: Version, what: str) -> str:
    files = [
        f"--- {side}/{name}\n{text}"
        for side, version in (("old", old), ("new", new))
        for name, text in version.texts.items()
    ]
    return "\n".join([f"seed {seed}, {', '.join(edits)}: {what}", *files])
