"""From a path to parsed files: the only reader of files.

A file is known by its real path, so that two ways to one file are one. Includes are followed
with a list of what is still to be read, not by recursion: a chain of any length is fine.
"""

from __future__ import annotations

import dataclasses
import itertools
import keyword
import os
import pathlib
import re
import stat
import sys
import typing

from rpcgen.compiler import cycles, parser, source, syntax
from rpcgen.compiler.diagnostics import Report, diagnose
from rpcgen.compiler.source import Source
from rpcgen.compiler.spelling import Speller

LARGEST = 64 * 1024 * 1024
_LOOKED_AT = 10_000
_OURS = frozenset({"rpcgen"})
_HIDES = "that is of no matter in a package; a plain file is found before Python's own"


@dataclasses.dataclass(slots=True, eq=False)
class Link:
    """An include, and the file that it names; None if there is none to be had (reported)."""

    alias: str
    written: syntax.Include
    target: File | None


@dataclasses.dataclass(slots=True, eq=False)
class File:
    """A parsed file.

    Args:
        path: As it was named on the command line or found.
        name: The Python module's name.
        links: Its includes, in order, without those that repeat an alias.
    """

    path: str
    name: str
    syntax: syntax.File
    links: list[Link]


class Loader:
    """Reads interface files and what they include.

    Args:
        include_dirs: Where to look for an include that is not beside its file, in this order.
        texts: Texts by path, taken in place of the files there (which need not exist).
        parse: Makes trees of texts: who reads the same files again and again may keep some.
    """

    def __init__(
        self,
        include_dirs: typing.Iterable[str | os.PathLike[str]] = (),
        texts: typing.Mapping[str, str] | None = None,
        parse: typing.Callable[[Source, Report], syntax.File] = parser.parse,
    ) -> None:
        self._parse = parse
        self.include_dirs = tuple(os.fspath(folder) for folder in include_dirs)
        self.read: dict[str, str] = {}
        """The files that were read or looked for in vain, real path to shown path: what to watch."""
        self._texts = {os.path.realpath(path): text for path, text in (texts or {}).items()}

    def load(self, path: str | os.PathLike[str], report: Report) -> list[File]:
        """Reads a file and all that it includes, as they are now; dependencies first, the file last.

        Includes that go in a circle are reported, and cut where the circle closes. The list is
        empty if the file cannot be read.
        """
        shown = os.fspath(path)
        real = shown if "\0" in shown else os.path.realpath(shown)
        loaded: dict[str, File | None] = {real: self._open(shown, real, None, report)}
        root = loaded[real]
        if root is None:
            return []
        waiting = [root]
        while waiting:
            file = waiting.pop()
            waiting.extend(self._follow(file, loaded, report))
        return _in_order(root, report)

    def read_alone(self, path: str | os.PathLike[str], report: Report) -> Source | None:
        """Reads a file, and not what it includes; None if it cannot be read (reported)."""
        shown = os.fspath(path)
        return self._source(shown, shown if "\0" in shown else os.path.realpath(shown), None, report)

    def _follow(self, file: File, loaded: dict[str, File | None], report: Report) -> list[File]:
        """Links a file to its includes; gives those that were not known before."""
        new: list[File] = []
        links: dict[str, tuple[str, syntax.Include]] = {}
        for item in file.syntax.items:
            if report.full(file.path):
                break
            if not isinstance(item, syntax.Include) or (not item.path and not file.syntax.complete):
                continue
            found = self._find(item, file, report)
            if found is None:
                alias, shown, real = module_name(item.path), "", ""
            else:
                shown, real = found
                alias = module_name(shown)
                if real not in loaded:
                    loaded[real] = self._open(shown, real, item, report)
                    new.extend(filter(None, (loaded[real],)))
            if alias in links:
                _report_twice(alias, item, real, links[alias], report)
                continue
            links[alias] = real, item
            file.links.append(Link(alias, item, loaded.get(real)))
        return new

    def _find(self, item: syntax.Include, file: File, report: Report) -> tuple[str, str] | None:
        """Finds an include: its path to show, and its real one."""
        missing: list[str] = []
        for folder in (os.path.dirname(file.path), *self.include_dirs):
            shown = os.path.normpath(os.path.join(folder, item.path)) if item.path else folder
            try:
                real = os.path.realpath(shown)
                if real in self._texts or os.path.lexists(shown):
                    return shown, real
            except ValueError:
                break
            missing.append(shown)
        for shown in missing:
            self.read[os.path.realpath(shown)] = shown
        similar = next(filter(None, map(_similar, missing)), None)
        report.add(
            diagnose(
                "E001",
                item.path_span,
                file=item.path or "a file without a name",
                what="there is no such file",
                help=f"did you mean {similar}" if similar else "",
            )
        )
        return None

    def _source(self, shown: str, real: str, include: syntax.Include | None, report: Report) -> Source | None:
        self.read[real] = shown
        span = include.path_span if include else None
        text = self._texts.get(real)
        data = _read(shown) if text is None else text.encode("utf-8", "surrogatepass")
        if isinstance(data, str):
            similar = _similar(shown) if include is None else None
            hint = f"did you mean {similar}" if similar else ""
            report.add(diagnose("E001", span, path=shown, file=shown, what=data, help=hint))
            return None
        return decoded(shown, data, report)

    def _open(self, shown: str, real: str, include: syntax.Include | None, report: Report) -> File | None:
        text = self._source(shown, real, include, report)
        if text is None:
            return None
        name = module_name(shown)
        _check_name(name, shown, include.path_span if include else None, report)
        return File(shown, name, self._parse(text, report), [])


def decoded(shown: str, data: bytes, report: Report) -> Source | None:
    """Gives a file's text; None if it is not UTF-8 (reported)."""
    found = source.decode(data)
    text = Source(shown, found.text)
    if found.fault is None:
        return text
    place, what = found.fault
    report.add(diagnose("E002", source.Span(text, place, min(place + 1, len(found.text))), what=what))
    return None


def module_name(path: str) -> str:
    """Gives the name of the Python module that a file compiles to: ``common`` of ``lib/common.idl``."""
    return os.path.basename(path).removesuffix(".idl")


def _check_name(name: str, shown: str, span: source.Span | None, report: Report) -> None:
    if (
        name.isidentifier()
        and not keyword.iskeyword(name)
        and not name.startswith("__")
        and name not in _OURS
    ):
        if name in sys.stdlib_module_names:
            report.add(diagnose("W003", span, name=name, path=shown, help=_HIDES))
        return
    fixed = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "service"
    fixed = f"_{fixed}" if fixed[0].isdigit() else fixed
    fixed = f"{fixed}_" if keyword.iskeyword(fixed) or fixed in _OURS else fixed
    report.add(diagnose("E003", span, name=name, path=shown, help=f"call the file {fixed}.idl"))


def _read(path: str) -> bytes | str:
    """Gives a file's bytes, or why there are none."""
    try:
        # A pipe or a device would make a compile wait for ever.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                return "it is not a file"
            if state.st_size > LARGEST:
                return f"it has more than {LARGEST // 1024 // 1024} MiB"
            return file.read(LARGEST)
    except FileNotFoundError:
        return "there is no such file"
    except IsADirectoryError:
        return "it is a folder"
    except PermissionError:
        return "permission denied"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    except ValueError:
        return "its name holds a null byte"


def _similar(path: str) -> str | None:
    """Finds an interface file in the same folder that is called almost so: upper case, ``.idl``, a slip."""
    folder, name = os.path.split(path)
    try:
        with os.scandir(folder or ".") as entries:
            names = [
                entry.name
                for entry in itertools.islice(entries, _LOOKED_AT)
                if entry.name.endswith(".idl") and entry.name != name  # a file that cannot be read is there
            ]
    except (OSError, ValueError):
        return None
    found = Speller().nearest(name.removesuffix(".idl"), [entry.removesuffix(".idl") for entry in names])
    return os.path.join(folder, f"{found}.idl") if found else None


def _report_twice(
    alias: str, item: syntax.Include, real: str, earlier: tuple[str, syntax.Include], report: Report
) -> None:
    first_real, first = earlier
    if not real or not first_real:
        return
    same = real == first_real
    report.add(
        diagnose(
            "E006" if same else "E005",
            item.path_span,
            "again here" if same else "and for this one",
            secondary=((first.path_span, "first included here" if same else "for this file"),),
            help="leave one out"
            if same
            else "rename one of the files: its name is what the declarations go by",
            file=item.path,
            alias=alias,
        )
    )


def _in_order(root: File, report: Report) -> list[File]:
    """Sorts files, dependencies first; reports circles and cuts them."""

    def included(file: File) -> list[File]:
        return [link.target for link in file.links if link.target is not None]

    ordered: list[File] = []
    for group in cycles.components([root], included):
        if not cycles.is_cycle(group, included):
            ordered.extend(group)
            continue
        chain = cycles.shortest_cycle(group, included)
        link = next(link for link in chain[0].links if link.target is chain[1 % len(chain)])
        report.add(
            diagnose(
                "E004",
                link.written.path_span,
                file=chain[0].path,
                chain=" -> ".join(pathlib.PurePath(file.path).name for file in [*chain, chain[0]]),
            )
        )
        for file in group:
            for link in file.links:
                if link.target in group:
                    link.target = None
        ordered.extend(group)
    return ordered
