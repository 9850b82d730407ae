"""More pairs than the suite has, on all cores: ``make soak-evolution PAIRS=100000 SEED=7``.

Parts are judged by themselves, so that the same seed gives the same pairs on any machine. What a part
found is shown when it ends, what edits came to at the end. Exit status 1 with a counterexample.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import functools
import sys
import time

from tests.evolution.pairs import PART, Outcome, run_part


def table(outcome: Outcome) -> str:
    """Gives what became of the versions that each edit made."""
    verdicts = ("passes", "flagged", "wrong")
    lines = [f"{'edit':20}{'passes':>9}{'flagged':>9}{'of these wrong':>16}"]
    for edit in sorted({edit for edit, _ in outcome.edits}):
        passes, flagged, wrong = (outcome.edits[edit, verdict] for verdict in verdicts)
        lines.append(f"{edit:20}{passes:9}{flagged + wrong:9}{wrong:16}")
    return "\n".join(lines)


def main() -> int:
    """Judges the pairs; gives the exit status."""
    parser = argparse.ArgumentParser(description="lets random versions of interfaces talk")
    parser.add_argument("pairs", type=int)
    parser.add_argument("seed", type=int)
    arguments = parser.parse_args()
    outcome, started = Outcome(), time.monotonic()
    with concurrent.futures.ProcessPoolExecutor() as pool:
        parts = range(-(-arguments.pairs // PART))
        for part, found in enumerate(pool.map(functools.partial(run_part, arguments.seed), parts)):
            outcome += found
            print(f"{time.monotonic() - started:6.0f} s, part {part}: {found}", flush=True)
            print("\n\n".join(found.counterexamples), end="", flush=True)
    print(f"\n{table(outcome)}\n\nseed {arguments.seed}: {outcome}")
    return 1 if outcome.counterexamples else 0


if __name__ == "__main__":
    sys.exit(main())
