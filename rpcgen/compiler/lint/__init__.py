"""What is not wrong in an interface, and yet most likely a mistake.

files, compiled --judge, uses--> findings, each by a rule of one table --fixes--> text
"""

from __future__ import annotations

import os
import typing

from rpcgen.compiler import checker, model
from rpcgen.compiler.diagnostics import Report
from rpcgen.compiler.lint.findings import Edit, Finding, Findings, fixed
from rpcgen.compiler.lint.judge import judge
from rpcgen.compiler.lint.rules import DOCUMENTED, PARAMETERS, RULES, Options
from rpcgen.compiler.lint.uses import Uses
from rpcgen.compiler.loader import File, Loader

__all__ = [
    "DOCUMENTED",
    "PARAMETERS",
    "RULES",
    "Edit",
    "Finding",
    "Options",
    "Uses",
    "fixed",
    "judged",
    "lint",
]


def lint(
    paths: typing.Iterable[str | os.PathLike[str]],
    include_dirs: typing.Iterable[str | os.PathLike[str]] = (),
    options: Options | None = None,
) -> Report:
    """Looks for mistakes in interface files.

    Args:
        paths: The files. What others in their folders use of them counts as used.
        include_dirs: Where to look for includes that are not beside the file that names them.
        options: Which rules are asked, and how.

    Returns:
        A report that holds a ``Finding`` for each, in files that compile; of the others the
        errors, and then it has failed.
    """
    options = options or Options()
    report = Report()
    folders = tuple(include_dirs)
    named = [os.fspath(path) for path in paths]
    uses = Uses(named, lambda path: Loader(folders).load(path, Report()))
    for path in named:
        heard = Report()
        files = Loader(folders).load(path, heard)
        module = checker.check(files, heard) if files else None
        if module is None or heard.failed:
            for problem in heard.diagnostics:
                report.add(problem)
            continue
        for finding in judged(files[-1], module, uses, options):
            report.add(finding)
    return report


def judged(file: File, module: model.Module, uses: Uses, options: Options) -> list[Finding]:
    """Gives what is found in one file.

    Args:
        file: It compiles.
        module: What it compiles to.
        uses: Who uses what, there and around.
    """
    found = Findings(options)
    judge(module, found)
    uses.judge(file, module, found)
    found.judge_annotations(module)
    return found.all()
