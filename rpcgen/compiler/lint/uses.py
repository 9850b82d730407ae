"""What is used of what: over the files that are judged, all that they include, and their folders.

By what is written, not by the model: a neighbour with errors may use a declaration, too.
"""

from __future__ import annotations

import os
import typing

from rpcgen.compiler import model, syntax
from rpcgen.compiler.lint.findings import Edit, Findings, whole_line
from rpcgen.compiler.loader import File
from rpcgen.compiler.scope import KINDS

Place: typing.TypeAlias = "tuple[str, str]"
"""The real path of a file, and a name that it declares."""

_FORGETTABLE: typing.Final = (
    syntax.Typedef,
    syntax.Enum,
    syntax.Struct,
    syntax.Union,
    syntax.ExceptionType,
)
"""Constants are for programs as well."""


class Uses:
    """Who uses what.

    Args:
        paths: The files that are judged.
        load: Reads a file and what it includes, the file last.
    """

    def __init__(
        self, paths: typing.Iterable[str], load: typing.Callable[[str], typing.Iterable[File]]
    ) -> None:
        self._edges: dict[Place, set[Place]] = {}
        self._roots: set[Place] = set()
        self._serving: set[str] = set()  # files that have methods, and what they include
        self._lost: set[str] = set()
        files: dict[str, File] = {}
        for path in _with_neighbours(paths):
            for file in load(path):
                files.setdefault(os.path.realpath(file.path), file)
        for real, file in files.items():
            self._read(real, file)
        self._reached = self._reach()

    def _read(self, real: str, file: File) -> None:
        self._lost |= file.syntax.lost
        aliases = {link.alias: os.path.realpath(link.target.path) for link in file.links if link.target}
        for item in file.syntax.items:
            if isinstance(item, syntax.Include):
                continue
            used = {(aliases.get(way, "") if way else real, name) for way, name in references(item)}
            place = real, "" if isinstance(item, syntax.Method) else item.name.text
            self._edges.setdefault(place, set()).update(used)
            if isinstance(item, (syntax.Method, syntax.Service, syntax.Const)):
                self._roots.add(place)
            if isinstance(item, (syntax.Method, syntax.Service)):
                self._serving |= {real, *aliases.values()}

    def _reach(self) -> set[Place]:
        reached = set(self._roots)
        waiting = list(self._roots)
        while waiting:
            for place in self._edges.get(waiting.pop(), ()):
                if place not in reached:
                    reached.add(place)
                    waiting.append(place)
        return reached

    def judge(self, file: File, module: model.Module, found: Findings) -> None:
        """Finds the declarations and includes of a file that nothing uses."""
        real = os.path.realpath(file.path)
        read = {item.name: item.annotations for item in module.declarations}
        for item in file.syntax.items:
            # A file of nothing but types is for others, wherever they are.
            if isinstance(item, _FORGETTABLE) and real in self._serving:
                name = item.name.text
                if (real, name) not in self._reached and name not in self._lost:
                    what = KINDS[type(item)]
                    found.add("L006", item.name.span, read.get(name, ()), what=what, name=name)
        if not file.links:
            return
        # One of nothing but includes is there to have them all compiled.
        declares = any(not isinstance(item, syntax.Include) for item in file.syntax.items)
        used = {way for item in file.syntax.items for way, _ in references(item)}
        for link in file.links:
            if declares and link.alias not in used:
                fix = _removal(link.written) if link.target and _is_plain(link.target) else None
                found.add("L007", link.written.path_span, _read_as_is(link.written), fix=fix, name=link.alias)


def _with_neighbours(paths: typing.Iterable[str]) -> list[str]:
    found = dict.fromkeys(paths)
    for folder in {os.path.dirname(path): None for path in found}:
        try:
            names = sorted(os.listdir(folder or "."))
        except OSError:
            continue
        found.update(dict.fromkeys(os.path.join(folder, name) for name in names if name.endswith(".idl")))
    return list(found)


def _is_plain(file: File) -> bool:
    """Tells whether a file has types alone: of others, servers may have come along with their includes."""
    serving = any(isinstance(item, (syntax.Method, syntax.Service)) for item in file.syntax.items)
    return not serving and not file.links


def _read_as_is(written: syntax.Include) -> tuple[model.Annotation, ...]:
    """Gives the annotations of an include, which the model leaves out."""
    return tuple(
        model.Annotation(
            one.name.text,
            tuple(value.value for value in one.arguments if isinstance(value, syntax.StringValue)),
            one.span,
        )
        for one in written.annotations
    )


def _removal(written: syntax.Include) -> Edit | None:
    """Takes an include away that has a line for itself, and neither doc comment nor annotations."""
    line = whole_line(written.span)
    if line == written.span or written.doc or written.annotations:
        return None
    return Edit(line.start, line.end, "")


def references(node: typing.Any) -> typing.Iterator[tuple[str, str]]:
    """Gives every name that is written in a declaration, with its qualifier or an empty text.

    ``Kind.HOME`` could be a constant of an include, and counts as that, too.
    """
    match node:
        case syntax.Reference(qualifier, name, _):
            yield qualifier.text if qualifier else "", name.text
        case syntax.NameValue(parts, _):
            texts = [part.text for part in parts]
            yield "", texts[0]
            if len(texts) > 1:
                yield texts[0], texts[1]
        case syntax.Name() | None:
            return
        case tuple():
            for part in node:
                yield from references(part)
        case _:
            for field in getattr(node, "__struct_fields__", ()):
                if field != "span":
                    yield from references(getattr(node, field))
