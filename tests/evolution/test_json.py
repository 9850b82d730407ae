"""JSON goes by names: what ``breaking`` passes at its level does not go wrong there, and what it flags does.

In JSON an old version cannot read the name of an enum value or union member that only the new one has:
that is allowed, and not asked for here.
"""

from __future__ import annotations

import functools
import random

import pytest

from rpcgen.compiler.changes.rules import RULES
from tests.evolution.edits import add_enum_value, add_union_member, change_enum, edited
from tests.evolution.interfaces import random_interface
from tests.evolution.json_talk import talk_in_json
from tests.evolution.talk import Faulty, Version, changes
from tests.evolution.test_rules import GOLDEN, goes_wrong, golden
from tests.evolution.values import Wrong

GROUPS = 300
NEWS = {edit.__name__ for edit in (add_enum_value, add_union_member, change_enum)}
OF_JSON = sorted(code for code, rule in RULES.items() if rule.level == "json")


@pytest.mark.parametrize("code", OF_JSON)
def test_a_flagged_pair_goes_wrong_in_json(code: str) -> None:
    """Every case of it; by this rule alone, and not in bytes."""
    cases = [path.name for path in GOLDEN.iterdir() if path.name.startswith(code)]
    assert cases
    for case in cases:
        old, new = golden(case, "old"), golden(case, "new")
        assert {change.code for change in changes(old, new, "json")} == {code}
        assert not changes(old, new)
        assert goes_wrong(old, new, functools.partial(talk_in_json, news=False))


def test_what_passes_does_not_go_wrong_in_json() -> None:
    """Random interfaces and edits, as of the wire."""
    passed = 0
    for group in range(GROUPS):
        rng = random.Random(f"json/{group}")
        interface = random_interface(rng)
        changed, edits = edited(rng, interface)
        try:
            old, new = Version(interface.texts(), "old"), Version(changed.texts(), "new")
        except Faulty:
            continue
        if changes(old, new, "json"):
            continue
        passed += 1
        try:
            talk_in_json(rng, old, new, news=not NEWS & set(edits))
        except Wrong as wrong:
            texts = "\n---\n".join([*old.texts.values(), *new.texts.values()])
            raise AssertionError(f"group {group}, {edits}: {wrong}\n{texts}") from wrong
    assert passed > GROUPS // 3
