"""``rpcgen init``: a first interface, server and client that run."""

from __future__ import annotations

import contextlib
import os
import shlex
import typing

from rpcgen.cli.arguments import COMMON, Parser
from rpcgen.cli.console import Console
from rpcgen.cli.errors import CommandError, refused
from rpcgen.cli.starter import files

HELP = f"""\
Writes a first interface, and a server and a client that run.

Usage: rpcgen init [OPTIONS] [DIR]

DIR is made if it is not there; without one it is the current folder. A file that is there
already is never touched: then nothing is written.

Options:
  --name NAME                 the name of the interface file and its module (default: service)
{COMMON}

Examples:
  rpcgen init
  rpcgen init hello --name greeter

Exit status: 0 written, 2 wrong usage, or a file is there already.
"""


def parser() -> Parser:
    """Makes the parser of the command's options."""
    found = Parser("init")
    found.add_argument("folder", nargs="?", default=".", metavar="DIR")
    found.add_argument("--name", default="service")
    return found


def run(words: typing.Sequence[str]) -> int:
    """Runs the command; gives its exit status."""
    arguments = parser().read(words)
    console = Console(arguments.color)
    folder, name = arguments.folder, arguments.name
    _check_name(name)
    texts = files(name)
    module = f"{name}.py"
    there = [file for file in (*texts, module) if os.path.lexists(os.path.join(folder, file))]
    if there:
        others = f" in {folder}" if folder != "." else ""
        raise CommandError(
            f"{' and '.join(there)} {'is' if len(there) == 1 else 'are'} there already{others}; nothing was written",
            help="name another folder: rpcgen init hello",
        )

    written: list[str] = []
    try:
        os.makedirs(folder, exist_ok=True)
        texts[module] = ""
        for file in (f"{name}.idl", module, "server.py", "client.py"):
            path = os.path.join(folder, file)
            if file == module:
                texts[module] = _compiled(os.path.join(folder, f"{name}.idl"))
            # "x": a file that appeared in between is not touched either.
            with open(path, "x", encoding="utf-8") as stream:
                written.append(path)
                stream.write(texts[file])
    except OSError as error:
        _take_back(written)
        raise refused(f"write {os.fsdecode(error.filename or folder)}", error) from error
    for path in written:
        console.log(os.path.normpath(path))
    console.find(_next_steps(folder, name))
    return 0


def _check_name(name: str) -> None:
    """Refuses what cannot be, or should not be, the name of the module."""
    import keyword
    import sys

    if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii():
        fixed = "".join(char if char.isascii() and char.isalnum() else "_" for char in name).strip("_")
        usable = fixed.isidentifier() and not keyword.iskeyword(fixed)
        raise CommandError(
            f"--name {name} cannot be the name of a Python module", help=f"--name {fixed}" if usable else ""
        )
    if name in ("server", "client", "rpcgen") or name in sys.stdlib_module_names:
        whose = "the program's own" if name in ("server", "client") else "another module's"
        raise CommandError(f"--name {name} is {whose}", help=f"--name {name}_service")


def _compiled(interface: str) -> str:
    from rpcgen import codegen
    from rpcgen.compiler import compile_file

    module = compile_file(interface).module
    if module is None:
        raise AssertionError("the first interface does not compile")
    return codegen.generate(module)


def _take_back(written: list[str]) -> None:
    for path in written:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _next_steps(folder: str, name: str) -> str:
    enter = "" if os.path.normpath(folder) == "." else f"  cd {shlex.quote(folder)}\n"
    return f"""\
Start the server:

{enter}  python server.py

and in another terminal call it:

{enter}  python client.py

To change the interface, edit {name}.idl, then:

  rpcgen compile {name}.idl
"""
