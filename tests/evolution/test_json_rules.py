"""No rule of JSON is there in vain: for each one, a pair that it flags is seen to go wrong in JSON.

In JSON an old version cannot read the name of an enum value or union member that only the new one has:
that is allowed, and not asked for here. That what passes does not go wrong is seen with ``test_evolution``.
"""

from __future__ import annotations

import functools

import pytest

from rpcgen.compiler.changes.rules import RULES
from tests.evolution.json_talk import talk_in_json
from tests.evolution.talk import changes
from tests.evolution.test_rules import goes_wrong, golden_pairs

OF_JSON = sorted(code for code, rule in RULES.items() if rule.level == "json")


@pytest.mark.parametrize("code", OF_JSON)
def test_a_flagged_pair_goes_wrong_in_json(code: str) -> None:
    """Every case of it; by this rule alone, and not in bytes."""
    for old, new in golden_pairs(code):
        assert {change.code for change in changes(old, new, "json")} == {code}
        assert not changes(old, new)
        assert goes_wrong(old, new, functools.partial(talk_in_json, news=False))
