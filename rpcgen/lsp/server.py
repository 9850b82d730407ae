"""The language server: the one module that knows pygls.

Texts are kept here, on the event loop, as the editor changes them; questions about them are answered
in one thread beside it, in the order in which they come, on the texts as they were then. An error in
an answer is that answer's alone.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import sys
import threading
import typing

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.io_ import run_async
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol, lsp_method

from rpcgen import __version__
from rpcgen.compiler.diagnostics import Diagnostic
from rpcgen.lsp import completion, findings, fixes, formatting, hover, mentions, rename, stdio, symbols
from rpcgen.lsp.checking import Checking
from rpcgen.lsp.documents import Change, Document, Documents, path_of
from rpcgen.lsp.positions import Encoding
from rpcgen.lsp.protocol import Writer, place_of
from rpcgen.lsp.workspace import Analysis, Settings, Texts, Workspace, interface_files

LARGE: typing.Final = 50_000
"""What may be written in a text of more characters is told by the names that were last found in it: to look
for them takes longer than to type the next one."""

_T = typing.TypeVar("_T")


class _AtPlace(typing.Protocol):
    """A question about a place."""

    text_document: types.TextDocumentIdentifier
    position: types.Position


class _Protocol(LanguageServerProtocol):
    """pygls's, but for the texts, which are kept here.

    Its own go wrong with line separators of Unicode, and with what stands behind the end of a line.
    """

    _server: Server

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        item = params.text_document
        self._server.opened(item.uri, item.text, item.version)

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        changes = [
            Change(change.text, place_of(change.range.start), place_of(change.range.end))
            if isinstance(change, types.TextDocumentContentChangePartial)
            else Change(change.text)
            for change in params.content_changes
        ]
        self._server.changed(params.text_document.uri, changes, params.text_document.version)

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        self._server.closed(params.text_document.uri)


class Server(LanguageServer):
    """A server for one editor.

    Args:
        configure: Gives the settings of the files in a folder; raises what is wrong with them.
    """

    def __init__(self, configure: typing.Callable[[str], Settings]) -> None:
        super().__init__("rpcgen", __version__, protocol_cls=_Protocol)
        self._configure = configure
        self._complaints: dict[str, str] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "rpcgen-lsp")
        self._documents = Documents()
        self._workspace = Workspace(self._settings)
        self._checking = Checking(self._documents, self._workspace, self.work, self._publish)
        self.ended = False
        """Whether the editor has asked it to shut down."""
        _register(self)

    async def serve(self, reader: asyncio.StreamReader, writer: stdio.Output) -> None:
        """Answers until the editor is gone.

        Raises:
            SystemExit: The editor says exit.
        """
        self._loop = asyncio.get_running_loop()
        self.protocol.set_writer(writer)
        try:
            await run_async(threading.Event(), reader, self.protocol, error_handler=self.report_server_error)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the editor is gone
        finally:
            self._checking.close()
            self._thread.shutdown(wait=False, cancel_futures=True)

    # Texts

    @property
    def encoding(self) -> Encoding:
        """What the editor counts as a character."""
        return typing.cast(Encoding, str(getattr(self._chosen, "value", self._chosen)))

    @property
    def _chosen(self) -> object:
        return self.workspace.position_encoding or types.PositionEncodingKind.Utf16

    @property
    def writer(self) -> Writer:
        """Writes answers for this editor."""
        return Writer(self._documents, self.encoding)

    def opened(self, uri: str, text: str, version: int) -> None:
        self._checking.changed(self._documents.open(uri, text, version).real)

    def changed(self, uri: str, changes: list[Change], version: int) -> None:
        document = self._documents.get(uri)
        if document is not None:
            document.apply(changes, version, self.encoding)
            self._checking.changed(document.real)

    def closed(self, uri: str) -> None:
        document = self._documents.close(uri)
        if document is not None:
            self._checking.closed(document)

    def refresh(self, settings: bool = False) -> None:
        """Looks at everything again: something has changed on disk."""
        if settings:
            self._workspace.forget_settings()
        self._checking.all()

    def document(self, uri: str) -> Document | None:
        """Gives an open text."""
        return self._documents.get(uri)

    def _settings(self, folder: str) -> Settings:
        try:
            found = self._configure(folder)
        except Exception as error:
            complaint = f"{error}"
            if self._complaints.get(folder) != complaint and self._loop is not None:
                self._complaints[folder] = complaint
                message = types.ShowMessageParams(types.MessageType.Warning, f"rpcgen: {complaint}")
                self._loop.call_soon_threadsafe(self.window_show_message, message)
            return Settings()
        self._complaints.pop(folder, None)
        return found

    def _publish(self, path: str, found: list[Diagnostic]) -> None:
        document = self._documents.at(path)
        writer = self.writer
        self.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(
                self._documents.uri_of(path),
                [writer.diagnostic(one) for one in found],
                document.version if document else None,
            )
        )

    # Questions

    async def work(self, question: typing.Callable[[], _T]) -> _T:
        """Answers a question in the thread that has the workspace."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, question)

    async def ask(self, uri: str, answer: typing.Callable[[Analysis, Texts], _T | None]) -> _T | None:
        """Answers a question about a text as it is now; None if it cannot be read."""
        texts = self._documents.texts()
        path = path_of(uri)

        def answered() -> _T | None:
            found = self._workspace.analyse(path, texts)
            return None if found is None else answer(found, texts)

        return await self.work(answered)

    async def ask_at(
        self,
        params: _AtPlace,
        answer: typing.Callable[[Analysis, int, Texts], _T | None],
    ) -> _T | None:
        """Answers a question about a place."""
        writer, place = self.writer, place_of(params.position)
        return await self.ask(
            params.text_document.uri,
            lambda found, texts: answer(found, writer.places(found.source).offset(place), texts),
        )

    def candidates(self, path: str) -> list[str]:
        """Gives all files that could use what a file declares."""
        folders = [path_of(folder.uri) for folder in self.workspace.folders.values()]
        if not folders and self.workspace.root_path:
            folders = [self.workspace.root_path]
        found = interface_files(folders, os.path.dirname(path))
        return [*found, *(document.path for document in self._documents)]

    @property
    def analyses(self) -> Workspace:
        """Gives what files compile to; for ``work`` alone."""
        return self._workspace


def _register(server: Server) -> None:
    """Registers what is answered."""
    feature = server.feature

    @feature(types.INITIALIZED)
    def initialized(params: types.InitializedParams) -> None:
        watching = server.client_capabilities.workspace
        watched = watching.did_change_watched_files if watching else None
        if watched is None or not watched.dynamic_registration:
            return
        patterns = [types.FileSystemWatcher(glob) for glob in ("**/*.idl", "**/pyproject.toml")]
        options = types.DidChangeWatchedFilesRegistrationOptions(patterns)
        wanted = types.Registration("watch", types.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
        server.client_register_capability(types.RegistrationParams([wanted]))

    @feature(types.SHUTDOWN)
    def shutdown(params: None) -> None:
        server.ended = True

    @feature(types.TEXT_DOCUMENT_DID_SAVE)
    def saved(params: types.DidSaveTextDocumentParams) -> None:
        server.refresh(settings=True)

    @feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def watched(params: types.DidChangeWatchedFilesParams) -> None:
        server.refresh(any(change.uri.endswith("pyproject.toml") for change in params.changes))

    @feature(types.TEXT_DOCUMENT_HOVER)
    async def hovered(params: types.HoverParams) -> types.Hover | None:
        def answer(found: Analysis, offset: int, texts: Texts) -> types.Hover | None:
            shown = hover.hover(found, offset)
            if shown is None:
                return None
            content = types.MarkupContent(types.MarkupKind.Markdown, shown.text)
            return types.Hover(content, server.writer.range(shown.span))

        return await server.ask_at(params, answer)

    @feature(types.TEXT_DOCUMENT_DEFINITION)
    async def definition(params: types.DefinitionParams) -> types.Location | None:
        def answer(found: Analysis, offset: int, texts: Texts) -> types.Location | None:
            here = mentions.at(found, offset)
            node = mentions.node_of(found, here.symbol) if here else None
            return server.writer.location(mentions.place_of(node)) if node else None

        return await server.ask_at(params, answer)

    @feature(types.TEXT_DOCUMENT_REFERENCES)
    async def references(params: types.ReferenceParams) -> list[types.Location] | None:
        def answer(found: Analysis, offset: int, texts: Texts) -> list[types.Location] | None:
            here = mentions.at(found, offset)
            if here is None or here.symbol.file == "@":
                return None
            paths = [*server.candidates(found.file.path), *(file.path for file in found.files)]
            everywhere = rename.uses(server.analyses, here.symbol, texts, paths)
            writer, declared = server.writer, params.context.include_declaration
            return [
                writer.location(one.span)
                for places in everywhere.values()
                for one in places
                if declared or not one.declares
            ]

        return await server.ask_at(params, answer)

    @feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    async def outline(params: types.DocumentSymbolParams) -> list[types.DocumentSymbol] | None:
        def answer(found: Analysis, texts: Texts) -> list[types.DocumentSymbol]:
            writer = server.writer
            return [writer.outline(entry) for entry in symbols.outline(found.file.syntax)]

        return await server.ask(params.text_document.uri, answer)

    @feature(
        types.TEXT_DOCUMENT_COMPLETION,
        types.CompletionOptions(trigger_characters=[".", "@", '"', "/", ">", "="]),
    )
    async def complete(params: types.CompletionParams) -> types.CompletionList | None:
        writer, place = server.writer, place_of(params.position)

        def answer(found: Analysis, texts: Texts) -> types.CompletionList | None:
            source = server.analyses.text(found.file.path, texts)
            if source is None:
                return None
            offset = writer.places(source).offset(place)
            folders = server.analyses.settings(found.file.path).include
            proposed = completion.complete(found, offset, folders, source)
            return writer.completion(source, offset, proposed) if proposed else None

        document = server.document(params.text_document.uri)
        if document is not None and len(document.text) > LARGE:
            recent = server.analyses.recent(document.path)
            if recent is not None:
                return answer(recent, {document.real: document.text})
        return await server.ask(params.text_document.uri, answer)

    @feature(types.TEXT_DOCUMENT_PREPARE_RENAME)
    async def prepare(params: types.PrepareRenameParams) -> types.Range | None:
        def answer(found: Analysis, offset: int, texts: Texts) -> types.Range:
            return server.writer.range(rename.nameable(found, offset).span)

        with _refusing():
            return await server.ask_at(params, answer)

    @feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))
    async def renamed(params: types.RenameParams) -> types.WorkspaceEdit | None:
        def answer(found: Analysis, offset: int, texts: Texts) -> types.WorkspaceEdit:
            paths = server.candidates(found.file.path)
            places = rename.rename(server.analyses, found, offset, params.new_name, texts, paths)
            workspace = server.client_capabilities.workspace
            can = workspace.workspace_edit if workspace else None
            versioned = can is not None and bool(can.document_changes)
            return server.writer.renaming(places, params.new_name, versioned)

        with _refusing():
            return await server.ask_at(params, answer)

    @feature(types.TEXT_DOCUMENT_FORMATTING)
    async def formatted(params: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
        document = server.document(params.text_document.uri)
        line_end = "\r\n" if document and "\r\n" in document.text else "\n"

        def answer(found: Analysis, texts: Texts) -> list[types.TextEdit]:
            edit = formatting.change(found.source, line_end)
            return [server.writer.edit(found.source, edit)] if edit else []

        return await server.ask(params.text_document.uri, answer)

    @feature(
        types.TEXT_DOCUMENT_CODE_ACTION,
        types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix]),
    )
    async def actions(params: types.CodeActionParams) -> list[types.CodeAction] | None:
        writer = server.writer

        def answer(found: Analysis, texts: Texts) -> list[types.CodeAction]:
            places = writer.places(found.source)
            first, last = (places.offset(place_of(end)) for end in (params.range.start, params.range.end))
            checked = findings.check(server.analyses, found.file.path, texts)
            if checked.judgeable:
                checked = checked._replace(findings=findings.judge(server.analyses, checked, texts))
            given: list[types.CodeAction] = []
            for one in checked.findings.get(found.file.path, ()):
                fix = (
                    fixes.fix(one) if one.span and one.span.start <= last and first <= one.span.end else None
                )
                if fix is not None:
                    given.append(writer.action(one, fix, found.source))
            return given

        return await server.ask(params.text_document.uri, answer)


@contextlib.contextmanager
def _refusing() -> typing.Iterator[None]:
    """Tells the editor why a name cannot be changed."""
    try:
        yield
    except rename.Refused as error:
        raise _Refusal(str(error), types.LSPErrorCodes.RequestFailed.value) from None


class _Refusal(JsonRpcException):
    """An answer, not a fault: it is not logged."""


def serve(configure: typing.Callable[[str], Settings]) -> int:
    """Serves the editor at standard input and output until it says exit, or is gone.

    Args:
        configure: Gives the settings of the files in a folder; raises what is wrong with them.

    Returns:
        0 if the editor had asked it to shut down, else 1, as the protocol wants it.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="rpcgen lsp: %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_fault)
    server = Server(configure)
    with stdio.output() as output, contextlib.suppress(SystemExit, BrokenPipeError):
        asyncio.run(_serve(server, output))
    return 0 if server.ended else 1


async def _serve(server: Server, output: stdio.Output) -> None:
    await server.serve(stdio.reader(), output)


def _is_fault(record: logging.LogRecord) -> bool:
    return record.exc_info is None or not isinstance(record.exc_info[1], _Refusal)
