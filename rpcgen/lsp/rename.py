"""All uses of a name, and another name for it in all of them.

A new name is tried before it is given: every file that could be concerned is compiled with it, in
memory. Whatever the compiler then has to say that it had not said before is why it is refused; so is
a use that would come to mean something else.
"""

from __future__ import annotations

import collections
import os
import re
import typing

from rpcgen import codegen
from rpcgen.compiler import tables
from rpcgen.compiler.diagnostics import Diagnostic
from rpcgen.compiler.loader import module_name
from rpcgen.compiler.scope import LONGEST_NAME
from rpcgen.compiler.source import Span
from rpcgen.lsp import hover, mentions
from rpcgen.lsp.mentions import Mention, Symbol
from rpcgen.lsp.workspace import Analysis, Texts, Workspace

_NAME: typing.Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class Refused(Exception):
    """Why a name cannot be changed, for people: one line."""


def nameable(found: Analysis, offset: int) -> Mention:
    """Gives the name at an offset, if another one can be given.

    Raises:
        Refused: It cannot.
    """
    here = mentions.at(found, offset)
    if here is None:
        word = hover.word_at(found.source, offset)
        if word is not None and word.text in tables.load().words:
            raise Refused(f"{word.text} is a word of the language")
        raise Refused("nothing is named here")
    if here.symbol.file == "@":
        raise Refused(f"@{here.span.text} is an annotation, which is declared nowhere")
    if not here.symbol.way:
        name = os.path.basename(here.symbol.file)
        raise Refused(f"{module_name(name)} is the name of the file {name}: rename that")
    return here


def uses(
    workspace: Workspace, symbol: Symbol, texts: Texts, paths: typing.Iterable[str]
) -> dict[str, list[Mention]]:
    """Gives all mentions of a thing in some files, by their paths, each in the order of the text.

    Args:
        paths: Where to look; others are not.
    """
    name = symbol.way[-1] if symbol.way else module_name(symbol.file)
    found: dict[str, list[Mention]] = {}
    for path in _once(paths):
        source = workspace.text(path, texts)
        if source is None or name not in source.text:
            continue
        analysis = workspace.analyse(path, texts)
        here = _of(analysis, symbol) if analysis else []
        if here:
            found[path] = here
    return found


def rename(
    workspace: Workspace, found: Analysis, offset: int, name: str, texts: Texts, paths: typing.Iterable[str]
) -> dict[str, list[Span]]:
    """Gives the places, by path, at which the new name is to be written.

    Raises:
        Refused: It cannot be given; the message says why, and where.
    """
    here = nameable(found, offset)
    old = here.symbol.way[-1]
    _check_name(name)
    if name == old:
        return {}
    files = _once([*paths, *(file.path for file in found.files)])
    everywhere = uses(workspace, here.symbol, texts, files)
    changed = dict(texts)
    for path, places in everywhere.items():
        analysis = workspace.analyse(path, texts)
        assert analysis is not None
        if old in analysis.file.syntax.lost:
            raise Refused(f"{path} has syntax errors near a {old}: mend them first")
        text = analysis.source.text
        for place in reversed(places):
            text = text[: place.span.start] + name + text[place.span.end :]
        changed[os.path.realpath(path)] = text
    _try(
        workspace, Symbol(here.symbol.file, (*here.symbol.way[:-1], name)), everywhere, texts, changed, files
    )
    return {path: [place.span for place in places] for path, places in everywhere.items()}


def _once(paths: typing.Iterable[str]) -> list[str]:
    return list({os.path.realpath(path): path for path in paths}.values())


def _of(found: Analysis, symbol: Symbol) -> list[Mention]:
    here = {one.span: one for one in mentions.mentions(found) if one.symbol == symbol}
    return sorted(here.values(), key=lambda one: one.span.start)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Refused(f"{name!r} is no name: names are made of the letters a to z and A to Z, digits and _")
    if name in tables.load().words:
        raise Refused(f"{name} is a word of the language")
    if len(name) > LONGEST_NAME:
        raise Refused(f"a name has at most {LONGEST_NAME} bytes")


def _try(
    workspace: Workspace,
    symbol: Symbol,
    everywhere: typing.Mapping[str, list[Mention]],
    texts: Texts,
    changed: Texts,
    files: typing.Iterable[str],
) -> None:
    """Compiles all that could be concerned with the new name in it.

    Raises:
        Refused: There is something new to say of it.
    """
    trial = workspace.fresh()
    edited = {os.path.realpath(path) for path in everywhere}
    for path in files:
        before = workspace.analyse(path, texts)
        if before is None or edited.isdisjoint(os.path.realpath(file.path) for file in before.files):
            continue
        after = trial.analyse(path, changed)
        assert after is not None
        known = collections.Counter(fault.code for fault in _errors(before))
        for fault in _errors(after):
            known[fault.code] -= 1
            if known[fault.code] < 0:
                raise Refused(_told(fault))
        places = _of(after, symbol)
        expected = everywhere.get(path, [])
        if len(places) != len(expected):
            news = [one for one in places if one.span.start not in _moved(expected, symbol.way[-1])]
            where = f" ({_where(news[0].span)})" if news else ""
            raise Refused(f"{symbol.way[-1]} is used already, and would come to mean this{where}")


def _moved(places: list[Mention], name: str) -> set[int]:
    """Gives where places begin once all have the name."""
    shift = 0
    found: set[int] = set()
    for place in places:
        found.add(place.span.start + shift)
        shift += len(name) - (place.span.end - place.span.start)
    return found


def _errors(found: Analysis) -> list[Diagnostic]:
    if not found.report.failed:
        return list(codegen.problems(found.module))
    return [fault for fault in found.report.diagnostics if fault.severity == "error"]


def _told(fault: Diagnostic) -> str:
    places = [fault.span, *(span for span, _ in fault.secondary)]
    where = ", ".join(_where(span) for span in places if span)
    return f"{fault.message} ({where})" if where else fault.message


def _where(span: Span) -> str:
    return f"{os.path.basename(span.source.path)}:{span.source.position(span.start)[0]}"
