"""What is wrong with a file, as the commands ``check`` and ``lint`` tell it, by file."""

from __future__ import annotations

import os
import typing

from rpcgen.compiler.diagnostics import Diagnostic
from rpcgen.lsp.workspace import Analysis, Texts, Workspace

INFORMATION: typing.Final = frozenset({"L001", "L003", "L005", "L008", "L010", "L013", "L014", "L016"})
"""Findings about how something is written rather than what it does."""

UNUSED: typing.Final = frozenset({"L006", "L007", "L015"})
"""Findings about what could as well not be there: editors pale it."""

ByFile: typing.TypeAlias = "dict[str, list[Diagnostic]]"
"""Findings by the path of the file that they are about."""


class Checked(typing.NamedTuple):
    """What compiling a file has given.

    Args:
        found: None if the file cannot be read.
        read: The real paths of all files that it depends on.
    """

    found: Analysis | None
    findings: ByFile
    read: frozenset[str]

    @property
    def judgeable(self) -> bool:
        """Whether it compiles, so that the linter can be asked."""
        return self.found is not None and not self.found.report.failed


def check(workspace: Workspace, path: str, texts: Texts) -> Checked:
    """Gives what the compiler says of a file and of those that it includes."""
    found = workspace.analyse(path, texts)
    if found is None:
        return Checked(None, _sorted(workspace.unreadable(path, texts), path), frozenset())
    return Checked(found, _sorted(found.report.diagnostics, path), found.read)


def judge(workspace: Workspace, checked: Checked, texts: Texts) -> ByFile:
    """Gives the same with what the linter says, and names that collide in Python."""
    if checked.found is None:
        return checked.findings
    more = workspace.judge(checked.found, texts)
    path = checked.found.file.path
    return {**checked.findings, path: [*checked.findings.get(path, ()), *more]}


def _sorted(found: typing.Iterable[Diagnostic], root: str) -> ByFile:
    """Sorts findings by file; what is about none is about the root."""
    by_file: ByFile = {root: []}
    real = os.path.realpath(root)
    for one in found:
        path = one.file or root
        by_file.setdefault(root if os.path.realpath(path) == real else path, []).append(one)
    return by_file
