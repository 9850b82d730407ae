"""What a command works on: the files and settings of the command line over those of pyproject.toml."""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import typing

from rpcgen.cli.arguments import Parser
from rpcgen.cli.config import IMPORTS, Config, Imports, read_config
from rpcgen.cli.errors import CommandError

FILES = """\
A FILE is an interface file, or a folder: then all *.idl in it, not in folders below. Without one,
`files` of [tool.rpcgen] in pyproject.toml says which; what a file includes comes along by itself."""


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What to compile, and how.

    Args:
        files: Each once, in the order given.
        output: The folder to write to; None: beside each file.
        sources: Folders, besides those of the files, that interface files are kept in.
        config: The pyproject.toml that was used, if any.
    """

    files: tuple[str, ...]
    include: tuple[str, ...]
    output: str | None
    templates: pathlib.Path | None
    imports: Imports
    sources: tuple[str, ...]
    config: str | None


def add_inputs(parser: Parser) -> None:
    """Adds the options that ``settings`` reads."""
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("-I", "--include", action="append", default=[], metavar="DIR")
    parser.add_argument("-o", "--output", metavar="DIR")
    parser.add_argument("--templates", metavar="DIR")
    parser.add_argument("--imports", choices=IMPORTS)
    parser.add_argument("--error-format", choices=("text", "json", "github"), default="text")


def settings(arguments: argparse.Namespace) -> Settings:
    """Joins the command line and pyproject.toml, as they are now.

    Raises:
        CommandError: Nothing is named to compile, a folder of templates is none, or the
            configuration is faulty.
    """
    config = read_config()
    if "" in (arguments.output, arguments.templates, *arguments.include):
        raise CommandError("a path is empty")
    files = named_files(arguments.files, config)
    templates = arguments.templates or config.templates
    if templates is not None and not os.path.isdir(templates):
        raise CommandError(f"the folder of templates, {templates}, is not there")
    return Settings(
        files=files,
        include=(*arguments.include, *config.include),
        output=arguments.output or config.output,
        templates=pathlib.Path(templates) if templates is not None else None,
        imports=arguments.imports or config.imports or "auto",
        sources=(*arguments.include, *config.include, *map(os.path.dirname, _files(config.files))),
        config=config.path,
    )


def named_files(named: typing.Sequence[str], config: Config) -> tuple[str, ...]:
    """Gives the interface files that are named, or else those of the configuration, each once.

    Raises:
        CommandError: There are none, or a path is empty.
    """
    if "" in named:
        raise CommandError("a path is empty")
    files = tuple(_files(named or config.files))
    if not files:
        raise CommandError("no FILE is named", help=_wanted(config))
    return files


def _files(named: typing.Iterable[str]) -> list[str]:
    """Puts what is in folders in their place, and drops what stands twice."""
    found: dict[str, str] = {}
    for name in named:
        for path in _within(name) if os.path.isdir(name) else [name]:
            found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def _within(folder: str) -> list[str]:
    inside = [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".idl")]
    # The compiler says what is wrong with a folder that has none.
    return [path for path in inside if os.path.isfile(path)] or [folder]


def _wanted(config: Config) -> str:
    if config.path:
        return f"name one, or set files in [tool.rpcgen] of {config.path}"
    return "name one: service.idl, say; `rpcgen init` writes a first one"
