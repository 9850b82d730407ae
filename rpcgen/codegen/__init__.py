"""The generator: a checked model in, a Python module's text out.

    model --names, build--> view --templates--> text --output--> files

Jinja2 is imported only when a module is rendered.
"""

from __future__ import annotations

import pathlib
import typing

from rpcgen.codegen.names import NameBook
from rpcgen.compiler import model
from rpcgen.compiler.diagnostics import Diagnostic, Report

Imports: typing.TypeAlias = typing.Literal["auto", "relative", "absolute"]


class GenerateError(Exception):
    """A module cannot be generated or written; ``report`` says why."""

    def __init__(self, diagnostics: typing.Iterable[Diagnostic]) -> None:
        self.report = Report()
        self.diagnostics = tuple(diagnostics)
        for found in self.diagnostics:
            self.report.add(found)
        super().__init__("; ".join(found.message for found in self.diagnostics))


def problems(module: model.Module) -> tuple[Diagnostic, ...]:
    """Gives what keeps a module from being generated: names that collide in Python."""
    return tuple(NameBook().of(module).problems)


def generate(
    module: model.Module,
    *,
    imports: Imports = "auto",
    templates: pathlib.Path | None = None,
    package: bool = False,
) -> str:
    """Gives the Python module of one interface file.

    Modules of included files are taken to stand in the same folder, wherever the files do.

    Args:
        module: A checked model.
        imports: How includes are imported; ``auto`` is relatively in a package.
        templates: A folder whose templates replace ours of the same name.
        package: Whether the output folder is a package.

    Raises:
        GenerateError: Names collide in Python, or a template is faulty.
    """
    from rpcgen.codegen.build import build
    from rpcgen.codegen.environment import render

    book = NameBook()
    if found := book.of(module).problems:
        raise GenerateError(found)
    relative = package if imports == "auto" else imports == "relative"

    def importer(target: model.Module, name: str) -> str:
        known = target.name if target.name == name else f"{target.name} as {name}"
        return f"from . import {known}" if relative else f"import {known}"

    view = build(module, book, importer)
    text = render(view, templates)
    # Without its first line, no later run would know that the file is ours to overwrite.
    return text if text.startswith(view.mark) else f"{view.mark}\n{text}"
