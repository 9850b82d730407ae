"""No rule is there in vain: for each one of the wire, a pair that it flags is seen to go wrong.

Some rules look ahead: what they forbid does harm once more a version has followed, or while a still
older one lives on. Their chains are given here: each step but the flagged one passes, and the ends of
the chain do not understand each other.
"""

from __future__ import annotations

import itertools
import pathlib
import random
import typing

import pytest

from rpcgen.compiler.changes.rules import RULES
from rpcgen.loading import module_of
from tests.evolution.talk import Version, changes, talk
from tests.evolution.values import Wrong

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "breaking"
ATTEMPTS = 200

AT_ONCE = (
    "B001",
    "B002",
    "B004",
    "B005",
    "B006",
    "B010",
    "B011",
    "B012",
    "B013",
    "B014",
    "B015",
    "B018",
    "B020",
    "B030",
)
ITEM = "struct Item {{\n    1: string sku\n    {}\n}}\n\nItem find(1: string sku)\n"
KIND = "enum Kind {{ HOME = 0, {} }}\n\nKind kind()\n"

CHAINS: typing.Final[dict[str, tuple[str, ...]]] = {
    "B007": (
        "int left() => NotFound, OutOfStock\n",
        "int left() => NotFound\n",
        "int left() => NotFound, Forbidden\n",
    ),
    "B016": (ITEM.format("2: int left = 0"), ITEM.format(""), ITEM.format('2: string name = ""')),
    "B017": (
        ITEM.format("2: int left = 0"),
        ITEM.format("reserved 2: int"),
        ITEM.format(""),
        ITEM.format('2: string name = ""'),
    ),
    "B019": (
        ITEM.format("2: int left = 0"),
        ITEM.format("reserved 2: int"),
        ITEM.format('2: string name = ""'),
    ),
    "B021": (KIND.format("WORK = 1"), KIND.format(""), KIND.format("MOBILE = 1")),
    "B022": (KIND.format("WORK = 1"), KIND.format("reserved 1"), KIND.format(""), KIND.format("MOBILE = 1")),
    "B023": (KIND.format("WORK = 1"), KIND.format("reserved 1"), KIND.format("MOBILE = 1")),
}

MISTAKEN: typing.Final = {
    "B007": ("OutOfStock", "left", "Forbidden"),
    "B021": ("WORK", "kind", "MOBILE"),
    "B022": ("WORK", "kind", "MOBILE"),
    "B023": ("WORK", "kind", "MOBILE"),
}
"""Rule → what the first version says, by which method, and what the last one reads."""


def goes_wrong(
    old: Version, new: Version, speak: typing.Callable[[random.Random, Version, Version], None] = talk
) -> bool:
    rng = random.Random(1)
    try:
        for _ in range(ATTEMPTS):
            speak(rng, old, new)
    except Wrong:
        return True
    return False


def golden(case: str, side: str) -> Version:
    return Version({"stock.idl": (GOLDEN / case / side / "stock.idl").read_text()}, side)


def golden_pairs(code: str) -> list[tuple[Version, Version]]:
    """Gives both versions of every golden case of a rule; there is one at least."""
    cases = [path.name for path in GOLDEN.iterdir() if path.name.startswith(code)]
    assert cases
    return [(golden(case, "old"), golden(case, "new")) for case in cases]


@pytest.mark.parametrize("code", AT_ONCE)
def test_a_flagged_pair_goes_wrong(code: str) -> None:
    """Every case of it that breaks by this rule alone."""
    for old, new in golden_pairs(code):
        assert {change.code for change in changes(old, new)} == {code}
        assert goes_wrong(old, new)


@pytest.mark.parametrize("code", CHAINS)
def test_a_flagged_step_of_a_chain_goes_wrong(code: str) -> None:
    """Each other step passes; what the first version means, the last one takes for something else."""
    texts = CHAINS[code]
    found = []
    for one, other in itertools.pairwise(texts):
        found += [
            change.code
            for change in changes(Version({"stock.idl": one}, "old"), Version({"stock.idl": other}, "new"))
        ]
    assert found == [code]
    first, last = Version({"stock.idl": texts[0]}, "old"), Version({"stock.idl": texts[-1]}, "new")
    if code in MISTAKEN:
        meant, method, taken = MISTAKEN[code]
        home = first.declared
        codecs = [version.protocols[method].codec() for version in (first, last)]
        if code == "B007":
            read = codecs[1].decode_reply(codecs[0].encode_raised(home[meant]()))
            assert type(read).__name__ == taken
        else:
            assert codecs[1].decode_reply(codecs[0].encode_reply(home["Kind"][meant])).name == taken
        return
    assert goes_wrong(first, last)


def test_a_server_answers_no_calls_to_a_parent_that_it_has_lost() -> None:
    """Those of clients that were generated for the parent."""
    old, new = (module_of(golden("B003-parent", side).module).StockServerStub for side in ("old", "new"))
    assert "Base.ping" in {protocol.name for protocol in old.protocols}
    assert "Base.ping" not in {protocol.name for protocol in new.protocols}


def test_every_rule_of_the_wire_is_shown() -> None:
    """Here, one way or the other."""
    of_wire = {code for code, rule in RULES.items() if rule.level == "wire"}
    assert of_wire == {*AT_ONCE, *CHAINS, "B003"}
