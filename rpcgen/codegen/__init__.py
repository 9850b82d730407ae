"""The generator: a checked model in, a Python module's text out.

    model --names, build--> view --templates--> text --output--> files

Jinja2 is imported only when a module is rendered.
"""

from __future__ import annotations

import pathlib
import typing

from rpcgen.codegen.names import NameBook, module_file
from rpcgen.compiler import model
from rpcgen.compiler.diagnostics import Diagnostic

Imports: typing.TypeAlias = typing.Literal["auto", "relative", "absolute"]


class GenerationError(Exception):
    """A module cannot be generated; ``diagnostics`` say why."""

    def __init__(self, diagnostics: typing.Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
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
    locations: typing.Mapping[str, tuple[str, ...]] | None = None,
) -> str:
    """Gives the Python module of one interface file.

    Args:
        module: A checked model.
        imports: How includes are imported; ``auto`` is relatively in a package.
        templates: A folder whose templates replace ours of the same name.
        package: Whether the output folder is a package.
        locations: By path of an interface file: the folders, under the output folder, that
            its module stands in. A file that is not named stands beside this one.

    Raises:
        GenerationError: Names collide in Python, or a template is faulty.
    """
    from rpcgen.codegen.build import build
    from rpcgen.codegen.environment import render

    book = NameBook()
    if found := book.of(module).problems:
        raise GenerationError(found)
    relative = package if imports == "auto" else imports == "relative"
    places = locations or {}
    here = places.get(module.path, ())

    def importer(target: model.Module, name: str) -> str:
        file = module_file(target.name)
        known = file if file == name else f"{file} as {name}"
        there = places.get(target.path, here)
        if not relative:
            return f"from {'.'.join(there)} import {known}" if there else f"import {known}"
        shared = 0
        while shared < min(len(here), len(there)) and here[shared] == there[shared]:
            shared += 1
        return f"from {'.' * (len(here) - shared + 1)}{'.'.join(there[shared:])} import {known}"

    return render(build(module, book, importer), templates)
