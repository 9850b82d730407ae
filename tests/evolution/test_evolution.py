"""What ``breaking`` passes does not go wrong: random interfaces, random edits, and versions talk.

``make soak-evolution PAIRS=100000 SEED=7`` goes on for longer, by other pairs. A counterexample is shown
with its seed, its edits and both versions.
"""

from __future__ import annotations

import pytest

from tests.evolution.edits import ALLOWED, ANY
from tests.evolution.pairs import run, run_part

SEED = 1
PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_what_passes_does_not_go_wrong(part: int) -> None:
    """And of what is flagged, much is seen to go wrong; most edits are tried."""
    outcome = run_part(SEED, part)
    print(f"seed {SEED}, part {part}: {outcome}")
    assert not outcome.counterexamples, "\n\n".join(outcome.counterexamples)
    assert outcome.passed > outcome.passed_json > outcome.pairs // 4
    assert outcome.wrong.total() > outcome.flagged.total() // 4
    tried = {edit for edit, _ in outcome.edits}
    assert len(tried) > len({*ALLOWED, *ANY}) * 3 // 4


def test_a_seed_gives_the_same_pairs() -> None:
    """Else a counterexample could not be looked at."""
    assert run(SEED, 8) == run(SEED, 8)
