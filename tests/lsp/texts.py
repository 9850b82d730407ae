"""Texts with a place in them, and files to analyse: what the tests of ``rpcgen.lsp`` begin with."""

from __future__ import annotations

import pathlib

from rpcgen.lsp.workspace import Analysis, Workspace

COMMON = """\
/// Money of a currency.
struct Money { 1: long cents  2: Currency currency = Currency.EUR }
enum Currency { EUR = 1, USD = 2 }
exception Busy
const int MOST = 3
service Base { void ping() }
"""

SHOP = """\
include "common.idl"

/// How it is paid.
enum Kind { CASH = 0, CARD = 1 }
typedef common.Currency Coin
const int LIMIT = common.MOST

struct Order {
    1: common.Money price
    2: Kind kind = Kind.CASH
    3: list<Order> parts = []
    4: Coin coin = Coin.USD
}

exception NotFound

service Shop extends common.Base {
    /// Finds orders.
    @idempotent
    list<Order> find(1: string query, 2: int limit = LIMIT) => NotFound, common.Busy
}

Order? last(1: Kind kind) => Gone
"""


class Files:
    """Interface files in memory, in a folder that exists."""

    def __init__(self, folder: pathlib.Path, **texts: str) -> None:
        self.folder = folder
        self.texts = {self.path(name): text for name, text in texts.items()}
        self.workspace = Workspace()

    def path(self, name: str) -> str:
        return str(self.folder / f"{name}.idl")

    @property
    def paths(self) -> list[str]:
        return list(self.texts)

    def analyse(self, name: str) -> Analysis:
        found = self.workspace.analyse(self.path(name), self.texts)
        assert found is not None
        return found

    def at(self, name: str, before: str, inside: str = "") -> tuple[Analysis, int]:
        """The place behind the first ``before``, or at the beginning of what follows it and is ``inside``."""
        found = self.analyse(name)
        text = found.source.text
        offset = text.index(before) + len(before)
        return found, text.index(inside, offset) if inside else offset


def marked(text: str) -> tuple[str, int]:
    """A text without its ``|``, and where that stood."""
    offset = text.index("|")
    return text[:offset] + text[offset + 1 :], offset
