"""The language server as editors start it: a process, spoken to by a client over its pipes."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import sys
import typing

import pytest
from lsprotocol import types
from pygls.lsp.client import LanguageClient

from tests.cli.command import environment, write
from tests.lsp.texts import COMMON

PATIENCE = 30
"""Seconds before what should come is given up."""

# pygls asks asyncio, which is to be asked no more from Python 3.14 on.
pytestmark = pytest.mark.filterwarnings(
    "ignore:'asyncio.iscoroutinefunction' is deprecated:DeprecationWarning"
)


class Editor(LanguageClient):
    """A client that keeps what it is told."""

    def __init__(self, folder: pathlib.Path) -> None:
        super().__init__("editor", "1")
        self.folder = folder
        self.told: dict[str, list[types.Diagnostic]] = {}
        self.messages: list[str] = []
        self.watched: list[types.Registration] = []
        self._news = asyncio.Event()
        self._versions: dict[str, int] = {}

        @self.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)  # type: ignore[untyped-decorator]
        def published(params: types.PublishDiagnosticsParams) -> None:
            self.told[params.uri] = list(params.diagnostics)
            self._news.set()

        @self.feature(types.WINDOW_SHOW_MESSAGE)  # type: ignore[untyped-decorator]
        def shown(params: types.ShowMessageParams) -> None:
            self.messages.append(params.message)
            self._news.set()

        @self.feature(types.CLIENT_REGISTER_CAPABILITY)  # type: ignore[untyped-decorator]
        def registered(params: types.RegistrationParams) -> None:
            self.watched.extend(params.registrations)

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._server is not None
        return self._server

    def uri(self, name: str) -> str:
        return (self.folder / name).as_uri()

    def document(self, name: str) -> types.TextDocumentIdentifier:
        return types.TextDocumentIdentifier(self.uri(name))

    def open(self, name: str, text: str) -> None:
        self._versions[name] = 1
        item = types.TextDocumentItem(self.uri(name), "rpcgen", 1, text)
        self.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def change(self, name: str, *changes: types.TextDocumentContentChangeEvent) -> None:
        self._versions[name] += 1
        self.text_document_did_change(
            types.DidChangeTextDocumentParams(
                types.VersionedTextDocumentIdentifier(self._versions[name], self.uri(name)), changes
            )
        )

    def replace(self, name: str, text: str) -> None:
        self.change(name, types.TextDocumentContentChangeWholeDocument(text))

    async def until(self, condition: typing.Callable[[], bool]) -> None:
        """Waits until what was told fulfils a condition."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def until_codes(self, name: str, *codes: str) -> None:
        """Waits until a file has these findings and no others."""
        uri = self.uri(name)
        await self.until(
            lambda: uri in self.told and sorted(str(one.code) for one in self.told[uri]) == sorted(codes)
        )


@contextlib.asynccontextmanager
async def editor(
    folder: pathlib.Path, capabilities: types.ClientCapabilities | None = None
) -> typing.AsyncIterator[Editor]:
    """An editor whose server has been initialized; on leaving, that must end well by itself."""
    found = Editor(folder)
    await found.start_io(
        sys.executable, *("-m", "rpcgen", "lsp"), cwd=str(folder), env=environment(PYTHONWARNINGS="default")
    )
    try:
        await asyncio.wait_for(
            found.initialize_async(
                types.InitializeParams(
                    capabilities=capabilities or types.ClientCapabilities(), root_uri=folder.as_uri()
                )
            ),
            PATIENCE,
        )
        found.initialized(types.InitializedParams())
        yield found
        await asyncio.wait_for(found.shutdown_async(None), PATIENCE)
        found.exit(None)
        assert await asyncio.wait_for(found.process.wait(), PATIENCE) == 0
        assert found.process.stderr is not None
        assert (await found.process.stderr.read()).decode() == ""
    finally:
        if found.process.returncode is None:
            found.process.kill()
        await found.stop()  # type: ignore[no-untyped-call]


def test_from_errors_to_the_end(tmp_path: pathlib.Path) -> None:
    """All that an editor does, one after the other, in one server."""
    write(
        tmp_path,
        {"common.idl": COMMON, "unopened.idl": 'include "common.idl"\nvoid keep(1: common.Money a)\n'},
    )
    text = 'include "common.idl"\n\nvoid pay(1: common.Money a, 1: int b)\n'

    async def session() -> None:
        async with editor(tmp_path) as ours:
            shop = ours.document("shop.idl")
            ours.open("shop.idl", text)
            await ours.until_codes("shop.idl", "E103")
            (error,) = ours.told[ours.uri("shop.idl")]
            assert error.range == types.Range(types.Position(2, 28), types.Position(2, 29))
            assert (
                error.message == "tag 1 is used twice in pay: used again here\nhelp: the next free tag is 2"
            )
            assert error.related_information is not None
            (other,) = error.related_information
            assert (other.message, other.location.range.start) == ("first used here", types.Position(2, 9))

            actions = await ours.text_document_code_action_async(
                types.CodeActionParams(shop, error.range, types.CodeActionContext([error]))
            )
            assert [action.title for action in actions or ()] == ["write 2"]

            ours.change("shop.idl", types.TextDocumentContentChangePartial(error.range, "2"))
            await ours.until_codes("shop.idl")

            on_money = types.Position(2, 20)
            hover = await ours.text_document_hover_async(types.HoverParams(shop, on_money))
            assert hover is not None
            assert isinstance(hover.contents, types.MarkupContent)
            assert "struct Money" in hover.contents.value
            assert hover.contents.value.endswith("Money of a currency.")

            definition = await ours.text_document_definition_async(types.DefinitionParams(shop, on_money))
            assert isinstance(definition, types.Location)
            assert definition == types.Location(
                ours.uri("common.idl"), types.Range(types.Position(1, 7), types.Position(1, 12))
            )

            proposed = await ours.text_document_completion_async(
                types.CompletionParams(shop, types.Position(2, 19))
            )
            assert isinstance(proposed, types.CompletionList)
            assert [item.label for item in proposed.items] == ["Money", "Currency", "Busy"]

            renamed = await ours.text_document_rename_async(types.RenameParams(shop, on_money, "Amount"))
            assert renamed is not None
            assert renamed.changes is not None
            assert {uri: len(edits) for uri, edits in renamed.changes.items()} == {
                ours.uri("common.idl"): 1,
                ours.uri("unopened.idl"): 1,
                ours.uri("shop.idl"): 1,
            }
            with pytest.raises(Exception, match=r"Busy is declared twice \(common.idl:4, common.idl:2\)"):
                await ours.text_document_rename_async(types.RenameParams(shop, on_money, "Busy"))

            formatted = await ours.text_document_formatting_async(
                types.DocumentFormattingParams(shop, types.FormattingOptions(4, True))
            )
            assert not formatted
            outline = await ours.text_document_document_symbol_async(types.DocumentSymbolParams(shop))
            assert [symbol.name for symbol in outline or ()] == ["pay"]

    asyncio.run(session())
