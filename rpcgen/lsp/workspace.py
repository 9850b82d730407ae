"""What files compile to, those that are open as the editor has them, and what is kept of it.

Every question begins with reading the file and what it includes anew, as they are on disk and in
the editor. A tree is made again only if its text has changed, and names are looked up again only if a
tree has: so most answers cost no more than reading.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import typing

from rpcgen import codegen
from rpcgen.compiler import checker, model, parser, syntax
from rpcgen.compiler.diagnostics import Diagnostic, Report
from rpcgen.compiler.lint import Options, Uses, judged
from rpcgen.compiler.loader import File, Loader
from rpcgen.compiler.scope import Scope
from rpcgen.compiler.source import Source

KEPT: typing.Final = 1_000
"""Trees of so many files are kept, and the names of so many."""

SKIPPED: typing.Final = frozenset({"node_modules", "__pycache__", "build", "dist", "venv", "target"})
MOST: typing.Final = 10_000
"""In so many folders uses of a name are looked for."""

Texts: typing.TypeAlias = "typing.Mapping[str, str]"
"""The open texts, by real path."""


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What pyproject.toml says of the files in a folder.

    Args:
        include: Folders in which includes are looked for.
        lint: How to judge.
    """

    include: tuple[str, ...] = ()
    lint: Options = dataclasses.field(default_factory=Options)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """A file with all that it includes, as they were when it was asked for.

    Args:
        real: The file's real path.
        files: Dependencies first.
        scopes: What the names of each file stand for, by the file's identity.
        module: What the file compiles to; of use only if the report has not failed.
        read: Real paths of all that was read, or looked for in vain.
    """

    real: str
    files: list[File]
    scopes: dict[int, Scope]
    module: model.Module
    report: Report
    read: frozenset[str]

    @property
    def file(self) -> File:
        """The file itself."""
        return next(file for file in self.files if os.path.realpath(file.path) == self.real)

    @property
    def scope(self) -> Scope:
        """The names of the file itself."""
        return self.scopes[id(self.file)]

    @property
    def source(self) -> Source:
        """The file's text."""
        return self.file.syntax.source


class Workspace:
    """Answers what files compile to. For one thread.

    Args:
        configure: Gives the settings for the files in a folder.
    """

    def __init__(self, configure: typing.Callable[[str], Settings] = lambda folder: Settings()) -> None:
        self._configure = configure
        self._settings: dict[str, Settings] = {}
        self._trees: dict[str, tuple[str, syntax.File, tuple[Diagnostic, ...]]] = {}
        self._analyses: dict[str, tuple[object, Analysis]] = {}

    def settings(self, path: str) -> Settings:
        """Gives the settings for a file; they are kept until ``forget_settings``."""
        folder = os.path.dirname(path)
        if folder not in self._settings:
            self._settings[folder] = self._configure(folder)
        return self._settings[folder]

    def recent(self, path: str) -> Analysis | None:
        """Gives what was last found of a file, whatever it has become. For any thread."""
        kept = self._analyses.get(os.path.realpath(path))
        return kept[1] if kept else None

    def fresh(self) -> Workspace:
        """Gives one of the same settings that keeps nothing of this one, for texts on trial."""
        return Workspace(self._configure)

    def forget_settings(self) -> None:
        """Reads settings again from now on."""
        self._settings.clear()

    def analyse(self, path: str, texts: Texts) -> Analysis | None:
        """Gives what a file compiles to; None if it cannot be read at all."""
        files, report, read = self._load(path, texts)
        if not files:
            return None
        real = os.path.realpath(path)
        stamp = (tuple(id(file.syntax) for file in files), report.diagnostics)
        kept = self._analyses.get(real)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        checked = checker.check_all(files, report)
        file = next(file for file in files if os.path.realpath(file.path) == real)
        found = Analysis(real, files, checked.scopes, checked.modules[id(file)], report, read)
        _keep(self._analyses, real, (stamp, found))
        return found

    def text(self, path: str, texts: Texts) -> Source | None:
        """Gives a file's text; None if it cannot be read."""
        return Loader(texts=texts).read_alone(path, Report())

    def unreadable(self, path: str, texts: Texts) -> tuple[Diagnostic, ...]:
        """Says why a file cannot be read."""
        return self._load(path, texts)[1].diagnostics

    def judge(self, found: Analysis, texts: Texts) -> list[Diagnostic]:
        """Gives what the linter finds in a file that compiles, and the names that collide in Python."""
        options = self.settings(found.file.path).lint
        uses = Uses([found.file.path], lambda path: self._load(path, texts)[0])
        return [*codegen.problems(found.module), *judged(found.file, found.module, uses, options)]

    def _load(self, path: str, texts: Texts) -> tuple[list[File], Report, frozenset[str]]:
        report = Report()
        loader = Loader(self.settings(path).include, texts, self._parse)
        files = loader.load(path, report)
        return files, report, frozenset(loader.read)

    def _parse(self, source: Source, report: Report) -> syntax.File:
        kept = self._trees.get(source.path)
        if kept is None or kept[0] != source.text:
            heard = Report()
            kept = source.text, parser.parse(source, heard), heard.diagnostics
            _keep(self._trees, source.path, kept)
        for found in kept[2]:
            report.add(found)
        return kept[1]


_Kept = typing.TypeVar("_Kept")


def _keep(place: dict[str, _Kept], key: str, value: _Kept) -> None:
    """Keeps a value, and drops the oldest of too many."""
    place.pop(key, None)
    place[key] = value
    if len(place) > KEPT:
        del place[next(iter(place))]


def interface_files(folders: typing.Iterable[str], beside: str) -> list[str]:
    """Finds the interface files in some folders and below, but not in hidden ones, and in one folder alone.

    No more than ``MOST`` folders are looked through: one of them may be somebody's home.
    """
    places = [(place, names) for place, _, names in itertools.islice(os.walk(beside), 1)]
    for folder in folders:
        for place, inner, names in os.walk(folder):
            inner[:] = sorted(name for name in inner if name not in SKIPPED and not name.startswith("."))
            places.append((place, names))
            if len(places) >= MOST:
                break
    found: dict[str, str] = {}
    for place, names in places[:MOST]:
        for name in sorted(names):
            if name.endswith(".idl"):
                path = os.path.join(place, name)
                found.setdefault(os.path.realpath(path), path)
    return list(found.values())
