"""The texts that an editor has open, changed as it says, and where they would stand on disk."""

from __future__ import annotations

import os
import pathlib
import re
import typing
import urllib.parse

from rpcgen.lsp import positions
from rpcgen.lsp.positions import Encoding, Place


class Change(typing.NamedTuple):
    """What stands between two places is now ``text``; without places, all of it is."""

    text: str
    start: Place | None = None
    end: Place | None = None


class Document:
    """An open text.

    Attributes:
        path: Where it stands, or would stand, on disk.
        real: The real path, by which it is known whatever way leads to it.
        text: As the editor has it, its line ends and byte order mark included.
    """

    def __init__(self, uri: str, text: str, version: int) -> None:
        self.uri = uri
        self.path = path_of(uri)
        self.real = os.path.realpath(self.path)
        self.text = text
        self.version = version

    @property
    def marked(self) -> bool:
        """Whether it begins with a byte order mark."""
        return self.text.startswith(positions.MARK)

    def apply(self, changes: typing.Iterable[Change], version: int, encoding: Encoding) -> None:
        """Makes changes, in their order; each counts from what the one before has left."""
        text = self.text
        for change in changes:
            if change.start is None or change.end is None:
                text = change.text
                continue
            starts = positions.line_starts(text)
            first = positions.offset_in(text, starts, change.start, encoding)
            last = positions.offset_in(text, starts, change.end, encoding)
            text = text[:first] + change.text + text[max(first, last) :]
        self.text = text
        self.version = version


class Documents:
    """The open ones, by their real paths."""

    def __init__(self) -> None:
        self._open: dict[str, Document] = {}

    def __iter__(self) -> typing.Iterator[Document]:
        return iter(tuple(self._open.values()))

    def open(self, uri: str, text: str, version: int) -> Document:
        """Opens a text, in place of what was open there."""
        document = Document(uri, text, version)
        self._open[document.real] = document
        return document

    def close(self, uri: str) -> Document | None:
        """Closes a text; None if it was not open."""
        return self._open.pop(os.path.realpath(path_of(uri)), None)

    def get(self, uri: str) -> Document | None:
        """Gives the open text of a URI."""
        return self.at(path_of(uri))

    def at(self, path: str) -> Document | None:
        """Gives the open text of a path."""
        return self._open.get(os.path.realpath(path))

    def texts(self) -> dict[str, str]:
        """Gives all texts by their real paths, as they are now."""
        return {real: document.text for real, document in self._open.items()}

    def uri_of(self, path: str) -> str:
        """Gives the URI of a path: the editor's own, if it is open."""
        document = self.at(path)
        return document.uri if document else pathlib.Path(os.path.abspath(path)).as_uri()


def path_of(uri: str) -> str:
    """Gives the path of a URI; for a text that is in no file, one in the current folder."""
    try:
        parts = urllib.parse.urlsplit(uri)
    except ValueError:
        parts = urllib.parse.SplitResult("", "", "", "", "")
    path = urllib.parse.unquote(parts.path, errors="surrogateescape")
    if parts.scheme == "file" and path.startswith("/") and "\0" not in path:
        return path
    name = re.sub(r"\W+", "_", uri, flags=re.ASCII).strip("_") or "untitled"
    return os.path.abspath(f"{name.removesuffix('_idl')}.idl")
