"""``rpcgen.lsp.checking``: what was found in a text that has changed meanwhile is not told."""

from __future__ import annotations

import asyncio
import pathlib
import typing

import pytest

from rpcgen.compiler.diagnostics import Diagnostic
from rpcgen.lsp import checking, findings
from rpcgen.lsp.checking import Checking
from rpcgen.lsp.documents import Change, Documents
from rpcgen.lsp.workspace import Workspace

COMMON = "struct Money { 1: long cents }\n"
PATIENCE = 30


class Session:
    """Open texts and their findings; ``before`` is called once, while a text is being looked at."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.documents = Documents()
        self.told: list[tuple[str, list[str]]] = []
        self.before: typing.Callable[[], None] | None = None
        self.checking = Checking(self.documents, Workspace(), self._run, self._publish)

    async def _run(self, question: typing.Callable[[], typing.Any]) -> typing.Any:
        await asyncio.sleep(0)
        if self.before is not None:
            before, self.before = self.before, None
            before()
        return question()

    def _publish(self, path: str, found: list[Diagnostic]) -> None:
        self.told.append((pathlib.Path(path).name, [one.code for one in found]))

    def open(self, name: str, text: str) -> None:
        document = self.documents.open((self.folder / name).as_uri(), text, 1)
        self.checking.changed(document.real)

    def replace(self, name: str, text: str) -> None:
        document = self.documents.get((self.folder / name).as_uri())
        assert document is not None
        document.apply([Change(text)], document.version + 1, "utf-16")
        self.checking.changed(document.real)

    async def until(self, *told: tuple[str, list[str]]) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.told[-len(told) :] != list(told):
                await asyncio.sleep(0)


@pytest.fixture
def session(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr(checking, "DELAY", 0)
    return Session(tmp_path)


def test_what_was_found_in_an_older_text_is_dropped(session: Session) -> None:
    async def run() -> None:
        session.before = lambda: session.replace("x.idl", "oneway int f()\n")
        session.open("x.idl", "void f(\n")
        await session.until(("x.idl", ["E401"]))
        assert session.told == [("x.idl", ["E401"])]

    asyncio.run(run())


def test_an_include_that_changes_meanwhile_is_not_missed(session: Session) -> None:
    async def run() -> None:
        session.open("common.idl", COMMON)
        await session.until(("common.idl", []))
        session.before = lambda: session.replace("common.idl", COMMON.replace("Money", "Cash"))
        session.open("shop.idl", 'include "common.idl"\nvoid pay(1: common.Money a)\n')
        await session.until(("shop.idl", ["E201"]))
        assert ("shop.idl", []) not in session.told

    asyncio.run(run())


def test_what_is_closed_is_taken_back(session: Session) -> None:
    async def run() -> None:
        session.open("x.idl", "void f(\n")
        await session.until(("x.idl", ["E023"]))
        document = session.documents.close((session.folder / "x.idl").as_uri())
        assert document is not None
        session.checking.closed(document)
        assert session.told[-1] == ("x.idl", [])
        session.checking.close()

    asyncio.run(run())


def test_errors_of_a_file_that_is_not_open_are_told_once(session: Session) -> None:
    (session.folder / "common.idl").write_text("struct Money { 1: Nothing a }\n")

    async def run() -> None:
        for name in ("one.idl", "two.idl"):
            session.open(name, 'include "common.idl"\nvoid pay(1: common.Money a)\n')
        await session.until(("two.idl", []))
        assert [told for told in session.told if told[0] == "common.idl"] == [("common.idl", ["E201"])]
        session.open("common.idl", COMMON)
        await session.until(("common.idl", []))

    asyncio.run(run())


def test_a_fault_of_ours_ends_nothing(
    session: Session, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*given: object) -> typing.NoReturn:
        raise RuntimeError("a fault")

    async def run() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(findings, "check", fail)
            session.open("x.idl", "void f(\n")
            async with asyncio.timeout(PATIENCE):
                while not caplog.messages:
                    await asyncio.sleep(0)
        session.replace("x.idl", "void f(\n")
        await session.until(("x.idl", ["E023"]))

    asyncio.run(run())
    assert "cannot check" in caplog.messages[0]
