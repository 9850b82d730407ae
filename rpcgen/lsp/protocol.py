"""Answers as the Language Server Protocol has them: offsets become places, kinds become numbers."""

from __future__ import annotations

import typing

from lsprotocol import types

from rpcgen.compiler.diagnostics import Diagnostic
from rpcgen.compiler.lint import Edit, Finding
from rpcgen.compiler.source import Source, Span
from rpcgen.lsp import findings, symbols
from rpcgen.lsp.completion import Completion, Proposal
from rpcgen.lsp.documents import Documents
from rpcgen.lsp.fixes import Fix
from rpcgen.lsp.positions import Encoding, Place, Places

_SYMBOLS: typing.Final[dict[str, types.SymbolKind]] = {
    "constant": types.SymbolKind.Constant,
    "typedef": types.SymbolKind.TypeParameter,
    "enum": types.SymbolKind.Enum,
    "struct": types.SymbolKind.Struct,
    "union": types.SymbolKind.Class,
    "exception": types.SymbolKind.Event,
    "service": types.SymbolKind.Interface,
    "method": types.SymbolKind.Method,
    "field": types.SymbolKind.Field,
    "enum member": types.SymbolKind.EnumMember,
}
_PROPOSED: typing.Final[dict[str, types.CompletionItemKind]] = {
    "keyword": types.CompletionItemKind.Keyword,
    "type": types.CompletionItemKind.Class,
    "constant": types.CompletionItemKind.Constant,
    "enum member": types.CompletionItemKind.EnumMember,
    "exception": types.CompletionItemKind.Event,
    "service": types.CompletionItemKind.Interface,
    "include": types.CompletionItemKind.Module,
    "file": types.CompletionItemKind.File,
    "folder": types.CompletionItemKind.Folder,
    "tag": types.CompletionItemKind.Value,
    "annotation": types.CompletionItemKind.Property,
}


class Writer:
    """Writes places and what stands there, as one editor counts characters.

    Args:
        documents: The open texts, whose URIs are the editor's own.
    """

    def __init__(self, documents: Documents, encoding: Encoding) -> None:
        self._documents = documents
        self._encoding = encoding

    def places(self, source: Source) -> Places:
        """Gives the places of a text."""
        document = self._documents.at(source.path)
        return Places(source, self._encoding, document is not None and document.marked)

    def range(self, span: Span) -> types.Range:
        places = self.places(span.source)
        start, end = places.place(span.start), places.place(span.end)
        return types.Range(types.Position(*start), types.Position(*end))

    def location(self, span: Span) -> types.Location:
        return types.Location(self._documents.uri_of(span.source.path), self.range(span))

    def edit(self, source: Source, edit: Edit) -> types.TextEdit:
        return types.TextEdit(self.range(Span(source, edit.start, edit.end)), edit.text)

    def diagnostic(self, found: Diagnostic) -> types.Diagnostic:
        span = found.span
        message = found.message + (f": {found.label}" if found.label else "")
        severity = types.DiagnosticSeverity.Error
        if found.severity == "warning":
            severity = types.DiagnosticSeverity.Warning
            if found.code in findings.INFORMATION:
                severity = types.DiagnosticSeverity.Information
        return types.Diagnostic(
            range=self.range(span) if span else types.Range(types.Position(0, 0), types.Position(0, 0)),
            message=f"{message}\nhelp: {found.help}" if found.help else message,
            severity=severity,
            code=found.code,
            source="rpcgen lint" if isinstance(found, Finding) else "rpcgen",
            tags=[types.DiagnosticTag.Unnecessary] if found.code in findings.UNUSED else None,
            related_information=[
                types.DiagnosticRelatedInformation(self.location(place), label or "here")
                for place, label in found.secondary
            ]
            or None,
        )

    def outline(self, entry: symbols.Entry) -> types.DocumentSymbol:
        return types.DocumentSymbol(
            name=entry.name or "?",
            detail=entry.detail,
            kind=_SYMBOLS[entry.kind],
            range=self.range(entry.span),
            selection_range=self.range(entry.name_span),
            children=[self.outline(inner) for inner in entry.inside],
        )

    def completion(self, source: Source, offset: int, found: Completion) -> types.CompletionList:
        place = self.range(Span(source, min(found.start, offset), offset))

        def item(number: int, proposal: Proposal) -> types.CompletionItem:
            return types.CompletionItem(
                label=proposal.text.strip() or proposal.text,
                kind=_PROPOSED[proposal.kind],
                detail=proposal.detail or None,
                sort_text=f"{number:05}",
                filter_text=proposal.text,
                text_edit=types.TextEdit(place, proposal.text),
            )

        items = [item(number, proposal) for number, proposal in enumerate(found.proposals)]
        return types.CompletionList(is_incomplete=False, items=items)

    def action(self, found: Diagnostic, fix: Fix, source: Source) -> types.CodeAction:
        change = {self._documents.uri_of(source.path): [self.edit(source, fix.edit)]}
        return types.CodeAction(
            title=fix.title,
            kind=types.CodeActionKind.QuickFix,
            diagnostics=[self.diagnostic(found)],
            edit=types.WorkspaceEdit(changes=change),
        )

    def renaming(
        self, places: typing.Mapping[str, list[Span]], name: str, versioned: bool
    ) -> types.WorkspaceEdit:
        """Gives the change of places, by path, to a name.

        Args:
            versioned: The editor can take the versions of texts that the change is for.
        """
        changes: dict[str, list[types.TextEdit]] = {}
        documents: list[types.TextDocumentEdit] = []
        for path, spans in places.items():
            uri, document = self._documents.uri_of(path), self._documents.at(path)
            changes[uri] = [self.edit(span.source, Edit(span.start, span.end, name)) for span in spans]
            version = document.version if document else None
            known = types.OptionalVersionedTextDocumentIdentifier(uri, version)
            documents.append(types.TextDocumentEdit(known, changes[uri]))
        if versioned:
            return types.WorkspaceEdit(document_changes=documents)
        return types.WorkspaceEdit(changes=changes)


def place_of(position: types.Position) -> Place:
    """Gives a position as a place."""
    return position.line, position.character
