"""What ``breaking`` passes does not go wrong: random interfaces, random edits, and both versions talk.

``make soak-evolution PAIRS=100000 SEED=7`` goes on for longer, by other pairs. A counterexample is shown
with its seed, its edits and both versions.
"""

from __future__ import annotations

import os

import pytest

from rpcgen.runtime.wire import plain
from rpcgen.runtime.wire.choice import choice
from tests.evolution.pairs import run

PAIRS = int(os.environ.get("EVOLUTION_PAIRS", "2000"))
SEED = int(os.environ.get("EVOLUTION_SEED", "1"))
PARTS = max(4, PAIRS // 500)


@pytest.mark.parametrize("part", range(PARTS))
def test_what_passes_does_not_go_wrong(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """And of what is flagged, much is seen to go wrong. One part in four is by the codec in Python."""
    monkeypatch.setattr(plain, "native", choice().native and part % 4 != 3)
    monkeypatch.setattr(plain, "FEW", 0)
    seed = SEED * 1000 + part
    outcome = run(seed, -(-PAIRS // PARTS))
    print(f"seed {seed}: {outcome}")
    assert not outcome.counterexamples, "\n\n".join(outcome.counterexamples)
    assert outcome.passed > outcome.pairs // 4
    assert outcome.wrong.total() > outcome.flagged.total() // 4


def test_a_seed_gives_the_same_pairs() -> None:
    """Else a counterexample could not be looked at."""
    assert run(SEED, 8) == run(SEED, 8)
