"""The language server as editors start it: a process, spoken to by a client over its pipes."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import subprocess
import sys
import typing

import pytest
from lsprotocol import types
from pygls.lsp.client import LanguageClient

from rpcgen.lsp import stdio
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
        self._versions[name] = self._versions.get(name, 0) + 1
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
        sys.executable,
        *("-m", "rpcgen", "lsp"),
        cwd=str(folder),
        env=environment(PYTHONWARNINGS="default::ResourceWarning"),
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

            references = await ours.text_document_references_async(
                types.ReferenceParams(types.ReferenceContext(False), shop, on_money)
            )
            assert [place.uri for place in references or ()] == [
                ours.uri("unopened.idl"),
                ours.uri("shop.idl"),
            ]

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


def test_what_is_included_counts_as_it_is_in_the_editor(tmp_path: pathlib.Path) -> None:
    """Findings follow the text of an include: unsaved, closed again, and changed on disk."""
    write(tmp_path, {"common.idl": COMMON, "pyproject.toml": '[tool.rpcgen.lint]\nignore = ["L002"]\n'})
    watching = types.ClientCapabilities(
        workspace=types.WorkspaceClientCapabilities(
            did_change_watched_files=types.DidChangeWatchedFilesClientCapabilities(dynamic_registration=True)
        )
    )

    async def session() -> None:
        async with editor(tmp_path, watching) as ours:
            common = types.TextDocumentIdentifier(ours.uri("common.idl"))
            ours.open("shop.idl", 'include "common.idl"\ndouble price(1: common.Money a)\n')
            await ours.until_codes("shop.idl")

            ours.open("common.idl", COMMON)
            ours.change(
                "common.idl", types.TextDocumentContentChangeWholeDocument(COMMON.replace("Money", "Cash"))
            )
            await ours.until_codes("shop.idl", "E201")

            ours.text_document_did_close(types.DidCloseTextDocumentParams(common))
            await ours.until_codes("shop.idl")
            assert ours.told[common.uri] == []

            (tmp_path / "common.idl").write_text("struct Money { 1: Nothing a }\n")
            changed = types.FileEvent(common.uri, types.FileChangeType.Changed)
            ours.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([changed]))
            await ours.until_codes("common.idl", "E201")

            (tmp_path / "common.idl").write_text(COMMON)
            ours.text_document_did_save(types.DidSaveTextDocumentParams(ours.document("shop.idl")))
            await ours.until_codes("common.idl")

            (tmp_path / "pyproject.toml").write_text("[tool.rpcgen.lint]\n")
            project = types.FileEvent(ours.uri("pyproject.toml"), types.FileChangeType.Changed)
            ours.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([project]))
            await ours.until_codes("shop.idl", "L002")

            (tmp_path / "pyproject.toml").write_text("[tool.rpcgen]\nnonsense = 1\n")
            ours.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([project]))
            await ours.until(lambda: bool(ours.messages))
            assert "there is no key 'nonsense' in [tool.rpcgen]" in ours.messages[0]
            assert [one.method for one in ours.watched] == [types.WORKSPACE_DID_CHANGE_WATCHED_FILES]

    asyncio.run(session())


def test_places_are_those_of_the_editor(tmp_path: pathlib.Path) -> None:
    """UTF-8, a byte order mark, other line ends, a wide character, and what only Python takes for a line end."""
    general = types.GeneralClientCapabilities(position_encodings=[types.PositionEncodingKind.Utf8])
    text = "\ufeffstruct A {}\r\n/* \u2028\U0001f600 */ void f(1: A a, 1: A b)\r\n"

    def column(part: str) -> int:
        line = text.split("\r\n")[1]
        return len(line[: line.index(part)].encode())

    async def session() -> None:
        async with editor(tmp_path, types.ClientCapabilities(general=general)) as ours:
            document = ours.document("x.idl")
            ours.open("x.idl", text)
            await ours.until_codes("x.idl", "E103")
            (error,) = ours.told[document.uri]
            assert error.range.start == types.Position(1, column("1: A b"))
            on_use = types.Position(1, column("A a"))
            definition = await ours.text_document_definition_async(types.DefinitionParams(document, on_use))
            assert isinstance(definition, types.Location)
            assert definition.range.start == types.Position(0, len("\ufeffstruct ".encode()))
            ours.change("x.idl", types.TextDocumentContentChangePartial(error.range, "2"))
            await ours.until_codes("x.idl")
            edits = await ours.text_document_formatting_async(
                types.DocumentFormattingParams(document, types.FormattingOptions(4, True))
            )
            assert edits
            assert "\n" not in "".join(edit.new_text for edit in edits).replace("\r\n", "")

    asyncio.run(session())


def test_errors_end_nothing(tmp_path: pathlib.Path) -> None:
    """What makes no sense is answered with an error, or not at all; what follows, as ever."""

    async def session() -> None:
        async with editor(tmp_path) as ours:
            nowhere = ours.document("nowhere.idl")
            hover = await ours.text_document_hover_async(types.HoverParams(nowhere, types.Position(9, 9)))
            assert hover is None
            ours.open("x.idl", "void f()\n")
            behind = types.PrepareRenameParams(ours.document("x.idl"), types.Position(9, 9))
            with pytest.raises(Exception, match="nothing is named here"):
                await ours.text_document_prepare_rename_async(behind)
            ours.replace("closed.idl", "never opened")
            ours.replace("x.idl", "void f(\n")
            await ours.until_codes("x.idl", "E023")
            far = types.Range(types.Position(0, 99), types.Position(99, 0))
            ours.change("x.idl", types.TextDocumentContentChangePartial(far, ")"))
            await ours.until_codes("x.idl")
            for text in ("\x00", "\ud800", "", "void g()\n"):
                ours.replace("x.idl", text)
            await ours.until_codes("x.idl")

    asyncio.run(session())


def test_an_editor_that_goes_away_leaves_no_server(tmp_path: pathlib.Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "rpcgen", "lsp", "--stdio"],
        cwd=tmp_path,
        env=environment(),
        input=b"Content-Length: 9\r\n\r\n{",
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, b"", b"")


def test_what_is_no_message_ends_the_input(caplog: pytest.LogCaptureFixture) -> None:
    async def read() -> bytes:
        reader = stdio.Reader(limit=16)
        reader.feed_data(b"x" * 100)
        return await reader.readline()

    assert asyncio.run(read()) == b""
    assert caplog.messages == ["what comes is not of the Language Server Protocol"]
