"""``rpcgen sync``: adds the methods to a class of handlers that its interface has and it lacks."""

from __future__ import annotations

import ast
import os
import typing

from rpcgen.cli.arguments import COMMON, Parser
from rpcgen.cli.console import Console
from rpcgen.cli.errors import CommandError, did_you_mean, lacking, refused
from rpcgen.cli.registries import printable

if typing.TYPE_CHECKING:
    from rpcgen.cli.handler_source import HandlerSource, Wanted
    from rpcgen.compiler import model

HELP = f"""\
Adds the methods to a class of handlers that its interface has and it lacks.

Usage: rpcgen sync [OPTIONS] HANDLERS.py --idl FILE

Each gets its signature, a docstring and `raise NotImplementedError`, at the end of the class;
nothing else in the file changes. Methods that cannot be called as the interface says are listed,
and left as they are. Needs rpcgen[sync].

Options:
  --idl FILE                  the interface
  -I, --include DIR           look for included files here too; may be repeated
  --class NAME                the class (default: the one that has the most of the methods)
  --service NAME              what it handles, - for the file's own service; may be repeated
                              (default: the services that it has a method of, or the only one)
  --check                     write nothing; list what is missing, too
{COMMON}

Examples:
  rpcgen sync handlers.py --idl service.idl
  rpcgen sync shop.py --idl shop.idl --class OrderHandlers --check

Exit status: 0 nothing to do, or done; 1 something does not fit, or with --check is missing, or the
interface is faulty; 2 wrong usage.
"""


def parser() -> Parser:
    """Makes the parser of the command's options."""
    found = Parser("sync")
    found.add_argument("file", nargs="?", metavar="HANDLERS.py")
    found.add_argument("--idl", metavar="FILE")
    found.add_argument("-I", "--include", action="append", default=[], metavar="DIR")
    found.add_argument("--class", dest="name", metavar="NAME")
    found.add_argument("--service", action="append", default=[], metavar="NAME")
    found.add_argument("--check", action="store_true")
    return found


def run(words: typing.Sequence[str]) -> int:
    """Runs the command; gives its exit status."""
    arguments = parser().read(words)
    console = Console(arguments.color)
    if not arguments.file:
        raise CommandError("HANDLERS.py is missing", help="name the file that has the class of handlers")
    if not arguments.idl:
        raise CommandError("--idl is missing", help="name the interface's file: --idl service.idl")
    path: str = arguments.file
    text = _read(path)

    from rpcgen.cli.findings import render
    from rpcgen.compiler import compile_file

    compilation = compile_file(arguments.idl, arguments.include)
    if compilation.module is None:
        render(compilation.report, console, "text")
        return 1
    try:
        from rpcgen.cli.handler_source import HandlerSource
    except ImportError as error:
        raise lacking("sync", "libcst", "sync", error) from error
    services = wanted(compilation.module)
    source = HandlerSource(path, text)
    everything = {name for methods in services.values() for name in methods}
    name = source.choose(arguments.name, everything)
    chosen = _chosen(arguments.service, services, source, name)
    gaps = source.gaps(name, chosen.values())
    missing = [gap for gap in gaps if gap.is_missing]
    for gap in gaps:
        if arguments.check or not gap.is_missing:
            signature = printable(gap.wanted.signature)
            console.find(f"{printable(path)}:{gap.line}: {gap.problem}; its IDL is: {signature}")
    if arguments.check:
        if not gaps:
            console.log(f"{name} in {path} has {_all(chosen)}")
        return 1 if gaps else 0
    if missing:
        _write(path, text, source.added(name, [gap.wanted for gap in missing]))
        console.log(f"added to {name} in {path}: {', '.join(gap.wanted.name for gap in missing)}")
    elif not gaps:
        console.log(f"nothing to add: {name} in {path} has {_all(chosen)}")
    return 1 if len(gaps) > len(missing) else 0


def _all(methods: typing.Sized) -> str:
    return "its one method" if len(methods) == 1 else f"all {len(methods)} methods"


def wanted(module: model.Module) -> dict[str, dict[str, Wanted]]:
    """Gives the methods of each service, by their names in Python; a file's own service is ``-``."""
    from rpcgen import codegen
    from rpcgen.cli.handler_source import Wanted
    from rpcgen.compiler import model

    tree = ast.parse(codegen.generate(module))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    found: dict[str, dict[str, Wanted]] = {}
    for service in module.of(model.Service):
        functions = [
            node for node in classes[f"{service.name}ClientStub"].body if isinstance(node, ast.FunctionDef)
        ]
        methods = [*(method for _, method in service.inherited), *service.methods]
        by_name = {method.name: method for method in methods}
        made = found[service.name or "-"] = {}
        for function in functions:
            # A name that Python has for itself gets an underscore behind it.
            method = by_name.get(function.name) or by_name[function.name.removesuffix("_")]
            params = tuple(
                (each.arg, ast.unparse(each.annotation or each)) for each in function.args.args[1:]
            )
            doc = f"{method.doc}\n\n{method.signature}" if method.doc else method.signature
            returns = ast.unparse(function.returns) if function.returns else "None"
            made[function.name] = Wanted(function.name, method.signature, doc, params, returns, module.name)
    return found


def _chosen(
    named: list[str], services: dict[str, dict[str, Wanted]], source: HandlerSource, name: str
) -> dict[str, Wanted]:
    """Gives the methods that the class should have."""
    for each in named:
        if each not in services:
            there = f"there are: {', '.join(services)}" if services else "the interface has none"
            raise CommandError(f"there is no service {each!r}", help=did_you_mean(each, services) or there)
    if not named:
        members = source.members(name)
        own = {each: methods for each, methods in services.items() if methods.keys() & members.keys()}
        named = list(own) if own else list(services)
        if len(named) > 1 and not own:
            raise CommandError(
                f"which service {name} handles is not clear", help=f"--service NAME: {', '.join(services)}"
            )
    if not named:
        raise CommandError("the interface has no methods")
    return {key: method for each in named for key, method in services[each].items()}


def _read(path: str) -> str:
    if os.path.exists(path) and not os.path.isfile(path):
        raise CommandError(f"{path} is not a file", help="name the module that has the class of handlers")
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except OSError as error:
        raise refused(f"read {path}", error) from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error


def _write(path: str, before: str, after: str) -> None:
    from rpcgen.cli.rewrite import Change

    Change(os.fspath(path), before, after).write()
