"""``rpcgen.lsp.rename``: all uses of a name, and another name for it."""

from __future__ import annotations

import os
import pathlib

import pytest

from rpcgen.lsp import mentions, rename
from rpcgen.lsp.workspace import interface_files
from tests.lsp.texts import COMMON, SHOP, Files

OTHER = 'include "shop.idl"\nshop.Order copy(1: shop.Order order, 2: shop.Kind kind = shop.Kind.CARD)\n'


def files(folder: pathlib.Path) -> Files:
    return Files(folder, shop=SHOP, common=COMMON, other=OTHER)


def renamed(ours: Files, name: str, before: str, inside: str, new: str) -> dict[str, str]:
    """The texts that change, by file, once a name has changed."""
    found, offset = ours.at(name, before, inside)
    changed: dict[str, str] = {}
    for path, spans in rename.rename(ours.workspace, found, offset, new, ours.texts, ours.paths).items():
        text = ours.texts[path]
        for span in reversed(spans):
            text = text[: span.start] + new + text[span.end :]
        changed[os.path.basename(path).removesuffix(".idl")] = text
    return changed


@pytest.mark.parametrize(
    ("name", "before", "inside", "new", "counts"),
    [
        ("shop", "struct ", "Order", "Purchase", {"shop": 4, "other": 2}),
        ("other", "shop.", "Order", "Purchase", {"shop": 4, "other": 2}),
        ("shop", "enum ", "Kind", "Way", {"shop": 4, "other": 2}),
        ("shop", "enum Kind { CASH = 0, ", "CARD", "PLASTIC", {"shop": 1, "other": 1}),
        ("shop", "1: common.", "Money", "Amount", {"common": 1, "shop": 1}),
        ("shop", "coin = Coin.", "USD", "DOLLAR", {"common": 1, "shop": 1}),
        ("shop", "LIMIT = common.", "MOST", "MANY", {"common": 1, "shop": 1}),
        ("shop", "extends common.", "Base", "Root", {"common": 1, "shop": 1}),
        ("shop", "=> NotFound, common.", "Busy", "Full", {"common": 1, "shop": 1}),
        ("shop", "=> ", "NotFound", "Unknown", {"shop": 2}),
        ("shop", "=> ", "Gone", "Left", {"shop": 1}),
        ("shop", "list<Order> ", "find", "seek", {"shop": 1}),
        ("shop", "1: string ", "query", "text", {"shop": 1}),
        ("shop", "2: Kind ", "kind", "way", {"shop": 1}),
        ("shop", "typedef common.Currency ", "Coin", "Piece", {"shop": 3}),
        ("shop", "limit = ", "LIMIT", "BOUND", {"shop": 2}),
        ("shop", "struct ", "Order", "Order", {}),
    ],
)
def test_all_uses_change(
    name: str, before: str, inside: str, new: str, counts: dict[str, int], tmp_path: pathlib.Path
) -> None:
    ours = files(tmp_path)
    changed = renamed(ours, name, before, inside, new)
    assert {file: text.count(new) for file, text in changed.items()} == counts
    after = Files(tmp_path, **{"shop": SHOP, "common": COMMON, "other": OTHER, **changed})
    for each in ("shop", "other"):
        assert after.analyse(each).report.diagnostics == ()


@pytest.mark.parametrize(
    ("before", "inside", "new", "why"),
    [
        ("find(1: ", "string", "x", "string is a word of the language"),
        ("\nservice", "", "x", "service is a word of the language"),
        ("CASH ", "= 0", "x", "nothing is named here"),
        ('include "', "common", "x", "common is the name of the file common.idl: rename that"),
        ("1: ", "common.", "x", "common is the name of the file common.idl: rename that"),
        ("@", "idempotent", "x", "@idempotent is an annotation, which is declared nowhere"),
        ("struct ", "Order", "struct", "struct is a word of the language"),
        ("struct ", "Order", "a b", "'a b' is no name: names are made of the letters a to z and A to Z, digits and _"),
        ("struct ", "Order", "é", "'é' is no name: names are made of the letters a to z and A to Z, digits and _"),
        ("struct ", "Order", "", "'' is no name: names are made of the letters a to z and A to Z, digits and _"),
        ("struct ", "Order", "a" * 256, "a name has at most 255 bytes"),
        ("struct ", "Order", "Kind", "Kind is declared twice (shop.idl:8, shop.idl:4)"),
        ("struct ", "Order", "common", "common is the name of an include (shop.idl:8, shop.idl:1)"),
        ("struct ", "Order", "__x", "the name __x is Python's own (shop.idl:8)"),
        ("2: Kind ", "kind", "price", "field price stands twice in Order (shop.idl:10, shop.idl:9)"),
        ("CASH = 0, ", "CARD", "CASH", "member CASH stands twice in Kind (shop.idl:4, shop.idl:4)"),
        ("list<Order> ", "find", "ping", "Shop inherits a method ping (shop.idl:20, common.idl:6)"),
        ("service ", "Shop", "rpc", "the service name rpc is reserved (shop.idl:17)"),
        ("exception ", "NotFound", "Gone", "Gone is used already, and would come to mean this (shop.idl:23)"),
    ],
)  # fmt: skip
def test_refused(before: str, inside: str, new: str, why: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(rename.Refused) as refusal:
        renamed(files(tmp_path), "shop", before, inside, new)
    assert str(refusal.value) == why


def test_refused_where_a_file_that_includes_it_would_break(tmp_path: pathlib.Path) -> None:
    ours = Files(
        tmp_path, common=COMMON, shop='include "common.idl"\nservice S extends common.Base { void stop() }\n'
    )
    with pytest.raises(rename.Refused, match=r"S inherits a method stop \(shop.idl:2, common.idl:6\)"):
        renamed(ours, "common", "void ", "ping", "stop")


def test_refused_where_uses_cannot_be_read(tmp_path: pathlib.Path) -> None:
    ours = Files(tmp_path, x="struct Old {}\nvoid f(1: Old a)\nvoid g(Old Old Old\n")
    with pytest.raises(rename.Refused, match="has syntax errors near a Old: mend them first"):
        renamed(ours, "x", "struct ", "Old", "New")


def test_a_file_with_other_errors_can_be_changed(tmp_path: pathlib.Path) -> None:
    ours = Files(tmp_path, x="struct Old {}\nvoid f(1: Old a, 1: Nothing b)\n")
    assert renamed(ours, "x", "struct ", "Old", "New") == {
        "x": "struct New {}\nvoid f(1: New a, 1: Nothing b)\n"
    }


def test_files_on_disk_change_too(tmp_path: pathlib.Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "user.idl").write_text('include "../common.idl"\nvoid f(1: common.Money a)\n')
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "user.idl").write_text('include "../common.idl"\nvoid f(1: common.Money a)\n')
    ours = Files(tmp_path, common=COMMON)
    found, offset = ours.at("common", "struct ")
    paths = interface_files([str(tmp_path)], str(tmp_path / "deep"))
    places = rename.rename(ours.workspace, found, offset, "Amount", ours.texts, paths)
    assert sorted(os.path.relpath(path, tmp_path) for path in places) == ["common.idl", "deep/user.idl"]


def test_uses_tell_the_declaration_apart(tmp_path: pathlib.Path) -> None:
    ours = files(tmp_path)
    found, offset = ours.at("shop", "=> ", "NotFound")
    here = mentions.at(found, offset)
    assert here is not None
    (places,) = rename.uses(ours.workspace, here.symbol, ours.texts, ours.paths).values()
    assert [(place.span.source.position(place.span.start)[0], place.declares) for place in places] == [
        (15, True),
        (20, False),
    ]
