"""``rpcgen lsp``: the language server, which editors start."""

from __future__ import annotations

import os
import sys
import typing

from rpcgen.cli.arguments import COMMON, Parser
from rpcgen.cli.config import read_config
from rpcgen.cli.console import Console
from rpcgen.cli.errors import CommandError, lacking

if typing.TYPE_CHECKING:
    from rpcgen.lsp.workspace import Settings

HELP = f"""\
Serves editors: findings as you type, hover, definitions, completion, rename, formatting, fixes.

Usage: rpcgen lsp [OPTIONS]

Editors start it, and speak to it over standard input and output (Language Server Protocol). Folders
of includes and the rules of lint are those that [tool.rpcgen] says in the pyproject.toml nearest to
a file. Needs rpcgen[lsp].

Options:
  -I, --include DIR           look for included files here too; may be repeated
  --stdio                     what it does anyway; some editors say it
{COMMON}

Examples:
  rpcgen lsp                                    what an editor is told to run: docs/editors.md

Exit status: 0 ended by the editor, 1 the editor went away without a word, 2 wrong usage.
"""


def parser() -> Parser:
    """Makes the parser of the command's options."""
    found = Parser("lsp")
    found.add_argument("-I", "--include", action="append", default=[], metavar="DIR")
    found.add_argument("--stdio", action="store_true")
    return found


def run(words: typing.Sequence[str]) -> int:
    """Runs the command; gives its exit status."""
    arguments = parser().read(words)
    if "" in arguments.include:
        raise CommandError("a path is empty")
    try:
        from rpcgen.lsp.server import serve
    except ImportError as error:
        raise lacking("lsp", "pygls", "lsp", error) from error
    if sys.stdin is None or sys.stdout is None:
        raise CommandError("lsp speaks over standard input and output, and they are closed")
    if sys.stdin.isatty():
        Console(arguments.color).log(
            "rpcgen lsp: a language server: editors start it and speak to it over standard input and "
            "output (docs/editors.md says how); Ctrl-C ends"
        )
    include = [os.path.abspath(folder) for folder in arguments.include]
    return serve(lambda folder: settings(folder, include))


def settings(folder: str, include: typing.Sequence[str] = ()) -> Settings:
    """Gives what holds for the interface files in a folder: the command line's word, and pyproject.toml's.

    Raises:
        CommandError: pyproject.toml is faulty.
    """
    from rpcgen.compiler.lint import Options
    from rpcgen.lsp.workspace import Settings

    config = read_config(folder)
    return Settings((*include, *map(os.path.abspath, config.include)), config.lint or Options())
