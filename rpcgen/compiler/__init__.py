"""The compiler: interface text in, checked model out. Knows nothing of Python code to come.

    text --parser--> syntax tree --checker--> model

Every finding goes into one report; nothing here raises for faulty input.
"""

from __future__ import annotations

import dataclasses
import os
import typing

from rpcgen.compiler import checker, model
from rpcgen.compiler.diagnostics import Report
from rpcgen.compiler.loader import Loader


@dataclasses.dataclass(frozen=True, slots=True)
class Compilation:
    """What a file compiles to: its model, or None if the report has failed."""

    module: model.Module | None
    report: Report


def compile_file(
    path: str | os.PathLike[str],
    include_dirs: typing.Iterable[str | os.PathLike[str]] = (),
    loader: Loader | None = None,
) -> Compilation:
    """Compiles an interface file.

    Args:
        path: The file; shown in findings as it is given.
        include_dirs: Where to look for includes that are not beside the file that names them.
        loader: Reads the files, in place of one made from ``include_dirs``; it knows afterwards
            which files were read.
    """
    report = Report()
    loader = loader or Loader(include_dirs)
    files = loader.load(path, report)
    module = checker.check(files, report) if files else None
    return Compilation(None if report.failed else module, report)


def compile_text(
    text: str, name: str = "interface", includes: typing.Mapping[str, str] | None = None
) -> Compilation:
    """Compiles an interface that is in memory.

    Args:
        text: What would stand in ``NAME.idl``.
        name: The module's name.
        includes: Texts by path, of files that it includes; others are looked for on disk.
    """
    path = f"{name}.idl"
    return compile_file(path, loader=Loader(texts={**(includes or {}), path: text}))
